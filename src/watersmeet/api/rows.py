"""Requests for rows, as query parameters, and answers in five formats."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from watersmeet.core.answer import Answer
from watersmeet.core.duration import microseconds
from watersmeet.core.engine import Filter, Order
from watersmeet.core.errors import DeclarationError, RequestError
from watersmeet.core.query import Readable
from watersmeet.core.reader import Request

Format = Literal["json", "ndjson", "csv", "arrow", "parquet"]
MEDIA = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
OPS = {
    "eq": "=",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "in": "in",
    "is_null": "is_null",
    "not_null": "not_null",
}
_CONDITION = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,62}):([a-z_]{2,8})(?::(.*))?", re.DOTALL)


def filters(conditions: Sequence[str], types: Mapping[str, str]) -> tuple[Filter, ...]:
    """``column:op:value`` each; op is eq ne lt le gt ge in is_null not_null; ``in`` takes values between commas."""
    out = []
    for text in conditions:
        found = _CONDITION.fullmatch(text)
        if found is None or found[2] not in OPS:
            raise RequestError("where", expected=f"column:op:value with op one of {', '.join(OPS)}", got=text[:80])
        column, op, value = found[1], OPS[found[2]], found[3]
        if column not in types:
            raise RequestError(f"column {column!r}", expected=f"one of {', '.join(sorted(types))}")
        if op in ("is_null", "not_null"):
            out.append(Filter(column, op))
        elif op == "in":
            out.append(Filter(column, op, tuple(typed(v, types[column], column) for v in (value or "").split(","))))
        else:
            out.append(Filter(column, op, typed(value or "", types[column], column)))
    return tuple(out)


def typed(text: str, sql_type: str, column: str) -> object:
    """A value of a column's SQL type out of its text; `RequestError` if it is none."""
    kind = sql_type.upper()
    try:
        if kind in ("BOOLEAN",):
            return {"true": True, "false": False}[text.lower()]
        if kind.startswith("DECIMAL"):
            value = Decimal(text)
            if not value.is_finite():
                raise ValueError
            return value
        if kind.endswith("INT") or kind in ("INTEGER",):
            if abs(int(text)) > 2**126:
                raise ValueError
            return int(text)
        if kind in ("DOUBLE", "FLOAT"):
            return float(text)
        if kind.startswith("TIMESTAMP"):
            return dt.datetime.fromtimestamp(0, dt.UTC).replace(tzinfo=None) + dt.timedelta(microseconds=instant(text))
        if kind == "DATE":
            return dt.date.fromisoformat(text)
    except (ValueError, KeyError, InvalidOperation, OverflowError):
        raise RequestError(f"value of {column!r}", expected=f"a {kind.lower()}", got=text[:80]) from None
    if "\x00" in text:
        raise RequestError(f"value of {column!r}", expected="text without NUL")
    return text


def instant(text: str) -> int:
    """ISO 8601 (UTC unless it says otherwise) or integer microseconds since 1970-01-01Z, as microseconds."""
    try:
        if re.fullmatch(r"-?\d{1,18}", text):
            value = int(text)
            if abs(value) > 200_000_000_000_000_000:
                raise ValueError
            return value
        when = dt.datetime.fromisoformat(text)
        when = when if when.tzinfo else when.replace(tzinfo=dt.UTC)
        return (when - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise RequestError("time", expected="ISO 8601 or microseconds since 1970-01-01Z", got=text[:80]) from None


def orders(text: str | None) -> tuple[Order, ...]:
    """``column`` or ``-column`` (descending), between commas."""
    return tuple(Order(part.lstrip("-"), part.startswith("-")) for part in (text or "").split(",") if part)


def as_request(
    of: Readable,
    types: Mapping[str, str],
    *,
    where: Sequence[str],
    since: str | None,
    lower: str | None,
    upper: str | None,
    window: str | None,
    every: str | None,
    by: str | None,
    order: str | None,
    limit: int,
    page: str | None,
    as_of: str | None,
    fill: bool,
    layer: Literal["merged", "batch", "speed"],
    now_us: int,
) -> Request:
    """A `Request` out of query parameters; `RequestError` naming the parameter that is wrong."""
    try:
        start = now_us - microseconds(since, subject="since") if since else (instant(lower) if lower else None)
        bounds = (start, instant(upper) if upper else None)
        changed: dict[str, object] = {}
        if window is not None:
            microseconds(window, subject="window") if window != "all" else None
            changed["window"] = None if window == "all" else window
        if every is not None:
            microseconds(every, subject="every")
            changed["every"] = every
        if by is not None:
            changed["by"] = tuple(part for part in by.split(",") if part)
        return Request(
            of,
            None if bounds == (None, None) else bounds,
            filters(where, types),
            order=orders(order),
            limit=limit,
            after=decode_page(page, of, types) if page else (),
            as_of_us=instant(as_of) if as_of else None,
            fill=fill,
            layer=layer,
            **changed,  # type: ignore[arg-type]  # each was checked above
        )
    except DeclarationError as error:
        raise RequestError(error.subject, expected=error.expected, got=error.got, remedy=error.remedy) from None


def encode_page(values: Sequence[object]) -> str:
    """An opaque token for the page after a row with these key values."""
    texts = [None if v is None else v.isoformat() if isinstance(v, dt.date) else str(v) for v in values]
    return base64.urlsafe_b64encode(json.dumps(texts).encode()).decode().rstrip("=")


def decode_page(token: str, of: Readable, types: Mapping[str, str]) -> tuple[object, ...]:
    """Back from `encode_page`."""
    try:
        texts = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except ValueError:
        texts = None
    if not isinstance(texts, list) or len(texts) != len(of.key) or not all(isinstance(t, str | None) for t in texts):
        raise RequestError("page", expected="the 'next' of an earlier answer", got=token[:40])
    return tuple(
        None if t is None else typed(t, types.get(k, "VARCHAR"), k) for k, t in zip(of.key, texts, strict=True)
    )


def headers(answer: Answer) -> dict[str, str]:
    """The short receipt, for formats that have no place for it."""
    found = answer.receipt
    out = {
        "ETag": f'"{found.etag}"',
        "Watersmeet-As-Of": str(found.as_of_us),
        "Watersmeet-Complete": str(found.complete).lower(),
        "Watersmeet-Exact": str(found.exact).lower(),
        "Watersmeet-Audit": found.audit,
    }
    if answer.next is not None:
        out["Watersmeet-Next"] = encode_page(answer.next)
    return out


def render(answer: Answer, form: Format, now_us: int) -> bytes:
    """The body of an answer."""
    table = pa.table(answer.rows)
    if form == "json":
        rows = [plain_row(row) for row in table.to_pylist()]
        following = encode_page(answer.next) if answer.next is not None else None
        return json.dumps({"rows": rows, "receipt": answer.receipt.as_dict(now_us), "next": following}).encode()
    if form == "ndjson":
        return b"".join(json.dumps(plain_row(row)).encode() + b"\n" for row in table.to_pylist())
    sink = io.BytesIO()
    if form == "csv":
        pyarrow.csv.write_csv(_flat(table), sink)
    elif form == "arrow":
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        pyarrow.parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def plain_row(row: Mapping[str, object]) -> dict[str, object]:
    """A row as JSON has it."""
    return {name: plain(value) for name, value in row.items()}


def plain(value: object) -> object:
    """Decimals as numbers where a double holds them exactly enough to print the same, else text; times as ISO 8601."""
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value()
        if whole and abs(value) < 2**53:
            return int(value)
        number = float(value)
        return number if Decimal(repr(number)) == value.normalize() else str(value)
    if isinstance(value, dt.datetime):
        return value.isoformat() + "Z"
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return plain_row(value)
    return value


def _flat(table: pa.Table) -> pa.Table:
    """Lists and structs as JSON text, and text that a spreadsheet would run made harmless."""
    columns = []
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_nested(column.type):
            column = pa.array([None if v is None else json.dumps(plain(v)) for v in column.to_pylist()], pa.string())
        elif pa.types.is_string(column.type):
            column = pa.array([_harmless(v) for v in column.to_pylist()], pa.string())
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _harmless(text: str | None) -> str | None:
    return "'" + text if text and text[0] in "=+-@\t\r" else text
