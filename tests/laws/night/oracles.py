"""Every oracle: the name of a view or query -> one SELECT over the tables of `events` that says the same."""

from __future__ import annotations

import duckdb

from . import assessment, auth, course, notification, overview, profile, video

ORACLES = {
    name: sql
    for module in (auth, assessment, video, course, profile, notification, overview)
    for name, sql in module.ORACLES.items()
}


def tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make what several oracles read."""
    for module in (auth, assessment, video, profile, notification):
        for statement in module.TABLES:
            connection.execute(statement)
