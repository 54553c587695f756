"""Collections that others wrote, as tables: what `watersmeet compare` reads."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId

from watersmeet.core.address import Address
from watersmeet.core.errors import RequestError

from .connection import Connection
from .document import OWN


def read_table(address: Address) -> pa.Table:
    """All documents of ``mongodb://host/database/collection``; a column whose values are of several kinds is text.

    Raises:
        RequestError: there is no such collection, or nothing is in it.
        UnavailableError: the server cannot be reached.
    """
    database, _, collection = address.path.partition("/")
    connection = Connection(replace(address, path=database))
    try:
        with connection.call(f"collection {collection}"):
            rows = [dict(document) for document in connection.database[collection].find()]
    finally:
        connection.close()
    if not rows:
        expected = "a collection with documents"
        raise RequestError(f"collection {address.path}", kind="unknown", expected=expected, got="none")
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name != OWN]
    return pa.table({name: _column([_value(row.get(name)) for row in rows]) for name in names})


def _column(values: list[object]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _value(value: object) -> object:
    match value:
        case Decimal128():
            found: Decimal = value.to_decimal()
            return found
        case ObjectId():
            return str(value)
        case datetime() | bool() | int() | float() | str() | bytes() | None:
            return value
        case list():
            return [_value(each) for each in value]
        case dict():
            return {name: _value(each) for name, each in value.items()}
    return str(value)
