"""A table's rows as the bytes of one file, and back, losing nothing: Parquet, CSV and newline-delimited JSON.

CSV       header; UTF-8; lines end in a line feed; null is an empty cell, the empty text ``""``; nested values are JSON.
          A text that a spreadsheet would take for a formula gets a ``'`` in front: one that begins with = + - @, a tab
          or a line end, with or without ``'`` before it. Numbers are written as they are.
JSON      one object a line; decimals are numbers with all their digits, times ISO 8601 in UTC, bytes base64, doubles
          that are not finite texts.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from watersmeet.core.sink import Shape

from .statement import Sql, statement
from .table_rows import TableRows, is_nested, types_of

_NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(.*\)")
_FORMULA = Sql(r"'^''*[=+\-@＝＋－＠\t\r\n]'")
_GUARDED = Sql(r"'^''''*[=+\-@＝＋－＠\t\r\n]'")
_SPECIAL = Sql(r"""'[,"\r\n]|^$|^\s|\s$'""")


@dataclass(frozen=True, slots=True)
class Format:
    """How one kind of file is written and read.

    Args:
        name: for people.
        file: name of a piece's file.
        encode: rows to bytes; equal rows give equal bytes.
        decode: bytes to rows.
    """

    name: str
    file: str
    encode: Callable[[TableRows, Shape, pa.Table], bytes]
    decode: Callable[[TableRows, Shape, bytes], pa.Table]


def _to_parquet(_: TableRows, __: Shape, table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _from_parquet(rows: TableRows, shape: Shape, data: bytes) -> pa.Table:
    return rows.typed(shape, pq.read_table(io.BytesIO(data)), [name for name, _ in shape.columns])


def _to_csv(rows: TableRows, shape: Shape, table: pa.Table) -> bytes:
    columns, comma = types_of(shape), " || ',' || "
    header = [_csv_cell(Sql("'" + name.replace("'", "''") + "'"), "VARCHAR") for name, _ in columns]
    cells = [_csv_cell(statement("{name}", name=name), type_) for name, type_ in columns]
    first = statement("select {line} as line", line=Sql(comma.join(header)))
    rest = statement("select {line} as line from given", line=Sql(comma.join(cells)))
    subject = f"table {shape.name} as CSV"
    return _lines(rows.run(subject, first)) + _lines(rows.run(subject, rest, given=table))


def _csv_cell(value: Sql, type_: str) -> Sql:
    """SQL that makes a cell of a column."""
    text = statement(
        "cast(to_json({value}) as varchar)" if is_nested(type_) else "cast({value} as varchar)", value=value
    )
    if not _NUMBER.fullmatch(type_):
        guarded = "case when regexp_matches({text}, {formula}) then '''' || {text} else {text} end"
        text = statement(guarded, text=text, formula=_FORMULA)
    quoted = """'"' || replace({text}, '"', '""') || '"'"""
    cell = "coalesce(case when regexp_matches({text}, {special}) then " + quoted + " else {text} end, '')"
    return statement(cell, text=text, special=_SPECIAL)


def _from_csv(rows: TableRows, shape: Shape, data: bytes) -> pa.Table:
    columns = types_of(shape)
    names = [f"c{number}" for number in range(len(columns))]
    given = pacsv.read_csv(
        io.BytesIO(data),
        # A line must lie within a block, and a cell may be of any length.
        read_options=pacsv.ReadOptions(column_names=names, skip_rows=1, block_size=len(data) + 1),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )
    cells = [
        statement("{value} as {name}", value=_from_csv_cell(cell, type_), name=name)
        for cell, (name, type_) in zip(names, columns, strict=True)
    ]
    return rows.run(f"table {shape.name} from CSV", statement("select {cells} from given", cells=cells), given=given)


def _from_csv_cell(cell: str, type_: Sql) -> Sql:
    text = statement("{cell}", cell=cell)
    if not _NUMBER.fullmatch(type_):
        plain = "case when regexp_matches({text}, {guarded}) then substr({text}, 2) else {text} end"
        text = statement(plain, text=text, guarded=_GUARDED)
    cast = "cast(cast({text} as json) as {type})" if is_nested(type_) else "cast({text} as {type})"
    return statement(cast, text=text, type=type_)


def _to_json(rows: TableRows, shape: Shape, table: pa.Table) -> bytes:
    fields = [statement("{name} := {value}", name=n, value=_json_value(n, type_)) for n, type_ in types_of(shape)]
    query = statement("select cast(to_json(struct_pack({fields})) as varchar) as line from given", fields=fields)
    return _lines(rows.run(f"table {shape.name} as JSON", query, given=table))


def _json_value(name: str, type_: str) -> Sql:
    value = "{name}"
    if type_ == "TIMESTAMP":
        value = "case when isfinite({name}) then strftime({name}, '%Y-%m-%dT%H:%M:%S.%fZ') else {name}::varchar end"
    elif type_ == "BLOB":
        value = "to_base64({name})"
    elif type_ in ("DOUBLE", "FLOAT"):
        value = "case when isfinite({name}) then to_json({name}) else to_json({name}::varchar) end"
    return statement(value, name=name)


def _from_json(rows: TableRows, shape: Shape, data: bytes) -> pa.Table:
    columns = types_of(shape)
    fields = [
        statement("{name} {type}", name=name, type=Sql("VARCHAR") if type_ == "BLOB" else type_)
        for name, type_ in columns
    ]
    values = [
        statement("from_base64(o.{name}) as {name}" if type_ == "BLOB" else "o.{name}", name=name)
        for name, type_ in columns
    ]
    query = "select {values} from (select cast(cast(line as json) as struct({fields})) as o from given)"
    given = pa.table({"line": pa.array(data.decode().split("\n")[:-1], pa.string())})
    return rows.run(f"table {shape.name} from JSON", statement(query, values=values, fields=fields), given=given)


def _lines(table: pa.Table) -> bytes:
    return "".join(f"{line}\n" for line in table["line"].to_pylist()).encode()


PARQUET = Format("Parquet", "part.parquet", _to_parquet, _from_parquet)
CSV = Format("CSV", "part.csv", _to_csv, _from_csv)
JSON = Format("newline-delimited JSON", "part.ndjson", _to_json, _from_json)
