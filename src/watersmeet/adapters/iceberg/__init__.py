"""Published tables as Iceberg tables."""
