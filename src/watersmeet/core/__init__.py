"""What can be said, and the ports: the standard library alone, sqlglot in `core.sql`."""
