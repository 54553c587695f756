"""Adapters on Apache Spark."""
