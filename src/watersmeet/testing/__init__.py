"""For users: test declarations by example, and torture the examples."""
