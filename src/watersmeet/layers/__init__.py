"""The three layers and what stands between them: independent modules that meet in runtime, through ports."""
