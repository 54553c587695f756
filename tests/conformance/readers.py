"""What an independent reader finds in the tables of stores that are servers, as values of a shape's types."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import datetime
from functools import cache
from typing import Any

import duckdb
from bson.decimal128 import Decimal128
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy
from cassandra.query import dict_factory
from cassandra.util import Date
from pymongo import MongoClient

from watersmeet.core.address import Address
from watersmeet.core.sink import Shape

Rows = list[dict[str, object]]


def mongo_rows(address: Address, shape: Shape) -> Rows:
    """Documents without what is not the table's; times are cast from ms, exact texts stand in for what BSON cut."""
    with closing(MongoClient[dict[str, Any]](address.servers())) as client:
        found = list(client[address.path][shape.name].find())
    rows: Rows = []
    for document in found:
        own = document.pop("_watersmeet")
        assert json.loads(document.pop("_id")) is not None
        assert list(document) == [name for name, _ in shape.columns]
        rows.append({**document, **own.get("rest", {})})
    return _cast(rows, shape)


def cassandra_rows(address: Address, shape: Shape) -> Rows:
    """Rows of a table, whose key's and other columns' exact texts stand in for what CQL's types cut or refuse."""
    ((host, port),) = address.hosts
    session, table = _cassandra(host, port, address.path), f"{address.options['app']}_{shape.name}"
    there = "select table_name from system_schema.tables where keyspace_name = %s and table_name = %s"
    rows: Rows = []
    for row in (
        session.execute(f'select * from "{table}"') if list(session.execute(there, (address.path, table))) else []
    ):
        exact = {**json.loads(row["watersmeet_key"] or "{}"), **(row["watersmeet_rest"] or {})}
        rows.append({column: exact.get(column, row[column.lower()]) for column, _ in shape.columns})
    return _cast(rows, shape)


@cache
def _cassandra(host: str, port: int, keyspace: str) -> Any:
    profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy(), row_factory=dict_factory, request_timeout=60)
    return Cluster([host], port, execution_profiles={EXEC_PROFILE_DEFAULT: profile}, protocol_version=5).connect(
        keyspace
    )


def _cast(rows: Rows, shape: Shape) -> Rows:
    """Values as a driver gives them, or their text, in the types of a shape."""
    with closing(duckdb.connect()) as connection:
        out: Rows = [{} for _ in rows]
        for name, type_ in shape.columns:
            for new, old in zip(out, rows, strict=True):
                value = _plain(old[name])
                if isinstance(value, str) and type_ != "VARCHAR":
                    nested = "::json" * (type_.endswith("]") or type_.startswith("STRUCT"))
                    cast = connection.sql(f"select cast(?{nested} as {type_}) as v", params=[value])
                    value = cast.to_arrow_table()["v"][0].as_py()
                new[name] = value.date() if type_ == "DATE" and isinstance(value, datetime) else value
        return out


def _plain(value: object) -> object:
    """Drivers' own types of numbers and collections as Python's."""
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, Date):
        return value.date()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
