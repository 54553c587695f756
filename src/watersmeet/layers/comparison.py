"""A view beside somebody else's table: how many rows agree, and where the others differ.

Rows are matched by key. A key that a side has twice is matched once for each time that the other has it. Values are
compared as the view's types; one of theirs that cannot be read as such is a difference, never an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from watersmeet.core.errors import RequestError
from watersmeet.core.record import Records
from watersmeet.core.site import suggest

_MEASURED = ("FLOAT", "DOUBLE", "DECIMAL")
_ROW = "row_number() over (partition by {keys})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far two tables agree.

    Args:
        columns: what was compared, besides the key.
        equal, differing, only_ours, only_theirs: how many rows.
        differences: the key's columns, ``column``, ``ours``, ``theirs`` as text; the first ones, by key. A row that
            one side lacks has a null ``column``.
    """

    columns: tuple[str, ...]
    equal: int
    differing: int
    only_ours: int
    only_theirs: int
    differences: Sequence[Mapping[str, object]]

    @property
    def match_rate(self) -> float:
        """Equal rows of all rows of either side; 1 for two empty tables."""
        rows = self.equal + self.differing + self.only_ours + self.only_theirs
        return self.equal / rows if rows else 1.0


def compare(
    ours: Records,
    theirs: Records,
    *,
    key: Sequence[str],
    columns: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    tolerance: float = 0.0,
    limit: int = 20,
) -> Comparison:
    """Compare two tables.

    Args:
        ours: rows of a view or query.
        theirs: rows of the other table, of any types.
        key: columns that identify a row of ours.
        columns: which others to compare; default all that both have.
        names: our column -> theirs, where they differ; else upper and lower case are the same.
        tolerance: relative, for numbers that are not whole: ``abs(a - b) <= tolerance * greatest(abs(a), abs(b))``.
        limit: the most differences returned.

    Raises:
        RequestError: a column is on neither or only one side.

    >>> one, other = pa.table({"film": [1, 2], "n": [5, 7]}), pa.table({"FILM": ["1", "2"], "n": [5, 8]})
    >>> found = compare(one, other, key=["film"])
    >>> found.match_rate, found.differences
    (0.5, [{'film': '2', 'column': 'n', 'ours': '7', 'theirs': '8'}])
    """
    here, there = pa.table(ours), pa.table(theirs)
    paired = _paired(here, there, [*key, *columns], names or {})
    compared = tuple(columns) or tuple(name for name in paired if name not in key)
    with closing(duckdb.connect()) as db:
        db.execute("set TimeZone = 'UTC'")
        db.register("given_ours", here)
        db.register("given_theirs", there)
        types = {name: type_ for name, type_, *_ in db.execute("describe given_ours").fetchall()}
        wanted = [*key, *compared]
        cast = ", ".join(f"try_cast({_name(paired[n])} as {types[n]}) as {_name(n)}" for n in wanted)
        number = _ROW.format(keys=", ".join(map(_name, key)))
        db.execute(f"create table ours as select {', '.join(map(_name, wanted))}, {number} as nth from given_ours")
        db.execute(f"create table theirs as select *, {number} as nth from (select {cast} from given_theirs)")
        same = {n: _same(n, types[n], tolerance) for n in compared}
        db.execute(_joined(key, same))
        counts = dict(db.execute("select side, count(*) from joined group by side").fetchall())
        found = db.sql(f"{_differences(key, compared)} limit {int(limit)}").to_arrow_table().to_pylist()
    tallied = (int(counts.get(side, 0)) for side in ("equal", "differs", "ours", "theirs"))
    equal, differing, only_ours, only_theirs = tallied
    return Comparison(compared, equal, differing, only_ours, only_theirs, found)


def _paired(ours: pa.Table, theirs: pa.Table, asked: Sequence[str], names: Mapping[str, str]) -> dict[str, str]:
    """Our columns that theirs has too -> their spelling."""
    spelled = {name.lower(): name for name in theirs.column_names}
    found = {n: spelled[names.get(n, n).lower()] for n in ours.column_names if names.get(n, n).lower() in spelled}
    for name in [*names, *asked]:
        if name not in ours.column_names:
            raise RequestError(
                f"column {name!r}", kind="unknown", expected="a column of ours", remedy=suggest(name, ours.column_names)
            )
        if name not in found:
            wanted = names.get(name, name)
            remedy = suggest(wanted, theirs.column_names) or f"name theirs: --map {name}=…"
            raise RequestError(f"column {wanted!r}", kind="unknown", expected="a column of theirs", remedy=remedy)
    return found


def _same(name: str, type_: str, tolerance: float) -> str:
    a, b = f"o.{_name(name)}", f"t.{_name(name)}"
    equal = f"{a} is not distinct from {b}"
    if tolerance and type_.startswith(_MEASURED):
        return f"({equal} or coalesce(abs({a} - {b}) <= {float(tolerance)!r} * greatest(abs({a}), abs({b})), false))"
    return equal


def _joined(key: Sequence[str], same: Mapping[str, str]) -> str:
    on = " and ".join(f"o.{_name(k)} is not distinct from t.{_name(k)}" for k in [*key, "nth"])
    keys = ", ".join(f"coalesce(o.{_name(k)}, t.{_name(k)}) as {_name(k)}" for k in key)
    values = "".join(
        f", o.{_name(n)} as {_name('ours ' + n)}, t.{_name(n)} as {_name('theirs ' + n)}, {s} as {_name('same ' + n)}"
        for n, s in same.items()
    )
    equal = " and ".join(same.values()) or "true"
    side = (
        "case when t.nth is null then 'ours' when o.nth is null then 'theirs'"
        f" when {equal} then 'equal' else 'differs' end"
    )
    return f"create table joined as select {keys}, {side} as side{values} from ours o full join theirs t on {on}"


def _differences(key: Sequence[str], columns: Sequence[str]) -> str:
    keys = ", ".join(f"cast({_name(k)} as varchar) as {_name(k)}" for k in key)
    missing = (
        f"select {keys}, null as \"column\", case side when 'ours' then 'a row' end as ours,"
        " case side when 'theirs' then 'a row' end as theirs from joined where side in ('ours', 'theirs')"
    )
    others = [
        f"select {keys}, {_text(n)}, cast({_name('ours ' + n)} as varchar), cast({_name('theirs ' + n)} as varchar)"
        f" from joined where side = 'differs' and not {_name('same ' + n)}"
        for n in columns
    ]
    return " union all ".join([missing, *others]) + " order by all"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
