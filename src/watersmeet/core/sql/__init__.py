"""Everything that reads SQL: the only place that knows sqlglot."""
