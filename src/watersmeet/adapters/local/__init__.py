"""Everything in files of one machine."""
