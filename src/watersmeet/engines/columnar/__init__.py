"""The columnar engine: DuckDB in memory, in which truth never lives."""
