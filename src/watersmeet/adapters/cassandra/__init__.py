"""Cassandra: state, and tables as a sink."""
