"""SQL statements with names in them. Values are never part of a statement; they are bound."""

from __future__ import annotations

from collections.abc import Iterable


class Sql(str):
    """Text that is SQL, to be put into a statement as it is."""

    __slots__ = ()


def statement(template: str, **parts: str | Iterable[str]) -> Sql:
    """Put ``parts`` into the ``{places}`` of a template: SQL as it is, a name quoted, several of either with commas.

    >>> statement("select {columns} from {table}", columns=["a", Sql("count(*)")], table='odd "name')
    'select "a", count(*) from "odd ""name"'
    """
    filled = {
        place: _one(part) if isinstance(part, str) else ", ".join(_one(each) for each in part)
        for place, part in parts.items()
    }
    return Sql(template.format_map(filled))


def _one(part: str) -> str:
    return part if isinstance(part, Sql) else '"' + part.replace('"', '""') + '"'
