"""A campus: who is on it, what is handed in, watched, opened and read, and how it goes."""
