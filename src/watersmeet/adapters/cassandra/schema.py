"""The tables of a state, made once a keyspace.

heads       a topic's newest version: one row, changed by compare-and-set alone
changes     what each version changed, 64 versions a partition; the first of each partition comes with the whole
slices      blobs that the speed layer stored: short lives, so by windows of time, with the store's own expiry
runs        blobs that the batch layer stored: long lives
…_parts     what does not fit into a row of half a megabyte, 8 MB a partition
attempts    changes under way that have blobs, an hour a partition, until they are through
facts       small values, a space a partition, changed by compare-and-set alone
names       which topics and spaces there are, and the format of all this
"""

from __future__ import annotations

from watersmeet.core.errors import SettingsError

from .session import Session

FORMAT = 1
_BLOB = "app text, topic text, kind text, owner text, attempt text"
_TABLES = {
    "heads": "app text, topic text, version bigint, attempt text, at_us bigint, recent text, fence bigint,"
    " floor bigint, floor_us bigint, reaped bigint, hour bigint, primary key ((app, topic))",
    "changes": "app text, topic text, bucket bigint, version bigint, attempt text, whole boolean, part int, parts int,"
    " previous text, previous_us bigint, crc bigint, body blob,"
    " primary key ((app, topic, bucket), version, attempt, whole, part)",
    "slices": f"{_BLOB}, parts int, crc bigint, data blob, primary key ((app, topic, kind, owner), attempt)",
    "slices_parts": f"{_BLOB}, section int, part int, data blob,"
    " primary key ((app, topic, kind, owner, attempt, section), part)",
    "runs": f"{_BLOB}, parts int, crc bigint, data blob, primary key ((app, topic, kind, owner), attempt)",
    "runs_parts": f"{_BLOB}, section int, part int, data blob,"
    " primary key ((app, topic, kind, owner, attempt, section), part)",
    "attempts": "app text, topic text, hour bigint, attempt text, at_us bigint, base bigint, done boolean,"
    " addresses blob, primary key ((app, topic, hour), attempt)",
    "facts": "app text, space text, key blob, changes bigint static, last bigint static, live bigint static,"
    " recent text static, version bigint, crc bigint, data blob, primary key ((app, space), key)",
    "names": "app text, sort text, name text, primary key ((app), sort, name)",
}
_WINDOWED = ("slices", "slices_parts", "attempts")


def make_tables(session: Session, app: str, keyspace: str) -> None:
    """Make the tables that are missing, and refuse those of a newer format.

    Raises:
        SettingsError: a newer version of this package has made them.
        UnavailableError: no quorum answers, or the nodes do not agree on the schema.
    """
    query = "select table_name from system_schema.tables where keyspace_name = ?"
    there = {name for (name,) in session.read(query, (keyspace,))}
    for name, columns in _TABLES.items():
        if name not in there:
            session.define(f"create table if not exists {name} ({columns}) with {_storage(session, name)}")
    formats = [
        int(name) for (name,) in session.read("select name from names where app = ? and sort = 'format'", (app,))
    ]
    if not formats:
        session.write("insert into names (app, sort, name) values (?, 'format', ?)", (app, str(FORMAT)))
    elif max(formats) > FORMAT:
        subject, got = f"state at {session.address}", f"format {max(formats)}"
        raise SettingsError(subject, expected=f"format {FORMAT} or older", got=got, remedy="upgrade watersmeet")


def _storage(session: Session, name: str) -> str:
    storage = f"gc_grace_seconds = {session.options.gc_grace_seconds}"
    if name in _WINDOWED:
        hours = session.options.window_hours
        windows = f"'compaction_window_unit': 'HOURS', 'compaction_window_size': '{hours}'"
        storage += f" and compaction = {{'class': 'TimeWindowCompactionStrategy', {windows}}}"
    return storage
