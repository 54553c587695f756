"""Which rows of a finished table are wanted: conditions, order and pages, as SQL with bound values.

Comparisons follow SQL: a null meets none of them, only ``is_null``. Numbers are compared as numbers and times as times,
however the value was written; a value that cannot be one is refused before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from math import isfinite

from ...core.engine import Filter, Order, Selection
from ...core.errors import RequestError
from ...core.site import suggest
from .partials import quoted

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - as DuckDB holds it: UTC without saying so
_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")

DIGITS = 38
"""Of the widest decimal."""

Parameters = dict[str, object]


def moment(us: int) -> datetime:
    """A time as DuckDB takes it; one beyond the years 1 to 9999 is moved to their edge."""
    try:
        return _EPOCH + timedelta(microseconds=us)
    except OverflowError:
        return datetime.min if us < 0 else datetime.max  # noqa: DTZ901 - naive, like every TIMESTAMP


def conditions(
    where: Sequence[Filter], types: Mapping[str, str], prefix: str = "asked_w"
) -> tuple[list[str], Parameters]:
    """SQL conditions for filters, and the values of their parameters.

    Args:
        where: what must hold.
        types: column -> SQL type, of every column that may be named.
        prefix: of the parameters' names.

    Raises `RequestError` for an unknown column or operator, and a value that the column's type cannot be compared with.
    """
    texts: list[str] = []
    values: Parameters = {}
    for i, item in enumerate(where):
        name, kind = quoted(item.column), _type(item.column, types)
        if item.op == "is_null":
            texts.append(f"{name} IS NULL")
        elif item.op == "not_null":
            texts.append(f"{name} IS NOT NULL")
        elif item.op in _COMPARISONS:
            values[f"{prefix}{i}"] = _value(item, item.value, kind)
            texts.append(f"{name} {item.op} ${prefix}{i}")
        elif item.op == "in":
            if isinstance(item.value, str) or not isinstance(item.value, Sequence | set | frozenset):
                raise _refused(item, "a list of values", item.value)
            each = {f"{prefix}{i}_{j}": _value(item, value, kind) for j, value in enumerate(item.value)}
            values.update(each)
            texts.append(f"{name} IN ({', '.join('$' + key for key in each)})" if each else "false")
        else:
            raise RequestError(
                f"condition on {item.column!r}",
                expected=f"one of {' '.join(_COMPARISONS)} in is_null not_null",
                got=repr(item.op),
            )
    return texts, values


def page(after: Sequence[object], key: Sequence[str], types: Mapping[str, str]) -> tuple[list[str], Parameters]:
    """The condition that a row comes after one with these key values, in key order with nulls last."""
    if len(after) != len(key):
        raise RequestError("page", expected=f"a value for each of {', '.join(key)}", got=f"{len(after)} values")
    values: Parameters = {}
    choices, equal = [], ""
    for i, (column, value) in enumerate(zip(key, after, strict=True)):
        name = quoted(column)
        if value is None:  # nothing comes after a null
            equal += f"{name} IS NULL AND "
            continue
        values[f"asked_a{i}"] = _value(Filter(column, "="), value, _type(column, types), any_type=True)
        choices.append(f"{equal}({name} > $asked_a{i} OR {name} IS NULL)")
        equal += f"{name} = $asked_a{i} AND "
    return [f"({' OR '.join(choices)})" if choices else "false"], values


def ordering(order: Sequence[Order], key: Sequence[str], types: Mapping[str, str]) -> str:
    """An ORDER BY that leaves no tie: what was asked for, then the key; nulls last."""
    named = {item.column: _type(item.column, types) for item in order}
    every = [*order, *(Order(column) for column in key if column not in named)]
    return "ORDER BY " + ", ".join(
        f"{quoted(item.column)} {'DESC' if item.descending else 'ASC'} NULLS LAST" for item in every
    )


@dataclass(frozen=True, slots=True)
class Ending:
    """What follows a FROM of finished rows.

    Args:
        where, order, limit: SQL, each with a blank before it, or empty.
        values: of their parameters.
        columns: what where and order read.
    """

    where: str
    order: str
    limit: str
    values: Parameters
    columns: frozenset[str]

    @property
    def sql(self) -> str:
        return self.where + self.order + self.limit


def ending(selection: Selection, types: Mapping[str, str], key: Sequence[str], time: str | None) -> Ending:
    """Range of the time column, where, page, order and limit.

    Args:
        selection: what is asked for.
        types: column -> SQL type of the rows.
        key: columns that identify a row; they break ties, and pages follow them.
        time: the column that a range selects by; None: there is no range.

    Raises `RequestError` for what these rows cannot be asked for.
    """
    texts: list[str] = []
    values: Parameters = {}
    for name, op, bound in (("lower", ">=", selection.lower_us), ("upper", "<", selection.upper_us)):
        if bound is not None:
            if time is None:
                raise RequestError("range", expected="none, since the rows have no time", remedy="leave the range away")
            texts.append(f"{quoted(time)} {op} $asked_{name}")
            values[f"asked_{name}"] = moment(bound)
    more, bound_values = conditions(selection.where, types)
    texts, values = texts + more, values | bound_values
    if selection.after:
        if selection.order:
            raise RequestError("page", expected="no order: pages follow the key", got="both an order and after")
        more, bound_values = page(selection.after, key, types)
        texts, values = texts + more, values | bound_values
    limit = ""
    if selection.limit is not None:
        if selection.limit < 0:
            raise RequestError("limit", expected="0 or more", got=str(selection.limit))
        limit = f" LIMIT {int(selection.limit)}"
    columns = {*key, *(f.column for f in selection.where), *(o.column for o in selection.order)}
    return Ending(
        f" WHERE {' AND '.join(texts)}" if texts else "",
        " " + ordering(selection.order, key, types),
        limit,
        values,
        frozenset(columns),
    )


def _type(column: str, types: Mapping[str, str]) -> str:
    if column not in types:
        raise RequestError(
            f"column {column!r}", kind="unknown", expected="a column of the answer", remedy=suggest(column, types)
        )
    return types[column]


def _refused(item: Filter, expected: str, got: object) -> RequestError:
    return RequestError(f"condition {item.column} {item.op}", expected=expected, got=repr(got))


def _value(item: Filter, value: object, kind: str, *, any_type: bool = False) -> object:
    """The value as its column is compared with it."""
    if value is None:
        raise _refused(item, "a value; for nulls use is_null or not_null", value)
    try:
        if kind in _NUMBERS or kind.startswith("DECIMAL"):
            return _number(value)
        if kind in ("DOUBLE", "FLOAT"):
            return _double(value)
        if kind.startswith("TIMESTAMP"):
            return _moment(value)
        if kind == "DATE":
            return value if type(value) is date else date.fromisoformat(str(value))
    except (ValueError, InvalidOperation):
        raise _refused(item, f"a value of type {kind.lower()}", value) from None
    if kind == "BOOLEAN" and str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    if kind == "VARCHAR" and isinstance(value, str):
        return value
    if any_type and kind not in ("BOOLEAN", "VARCHAR"):
        return value
    raise _refused(item, f"a value of type {kind.lower()}", value)


def _number(value: object) -> int | Decimal:
    """A number that some integer or decimal column could hold."""
    number = Decimal(repr(value) if isinstance(value, float) else _numeric(value))
    if not number.is_finite():
        raise ValueError
    _, digits, exponent = number.as_tuple()
    if max(len(digits), len(digits) + int(exponent), -int(exponent)) > DIGITS:
        raise ValueError
    whole = int(number)
    return whole if whole == number and -(1 << 63) <= whole < 1 << 63 else number


def _double(value: object) -> float:
    number = float(_numeric(value))
    if not isfinite(number):
        raise ValueError
    return number


def _numeric(value: object) -> int | float | Decimal | str:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ValueError
    return value


def _moment(value: object) -> datetime:
    if isinstance(value, int) and not isinstance(value, bool):
        return moment(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a naive time is UTC here
    read = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return read if read.tzinfo is None else read.astimezone(UTC).replace(tzinfo=None)
