"""Redis: finished answers, shared by all serving processes."""
