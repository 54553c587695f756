"""The three layers and what stands between them; each module is independent and meets the others in runtime, through ports."""
