"""What lies in a lake, as readers find it that know nothing of how it was written: boto3, WebHDFS, Arrow and DuckDB."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, unquote
from urllib.request import urlopen

import boto3
import duckdb
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from watersmeet.core.address import Address
from watersmeet.core.sink import Shape
from watersmeet.formats.naming import path_name

from .readers import Rows

_SEEN: dict[tuple[str, str], bytes] = {}
"""What was read already, by what the store calls its version: tables are looked at after each step."""


def download(address: Address, to: Path) -> Path:
    """Everything below an address, as files of a folder."""
    to.mkdir(parents=True, exist_ok=True)
    files = _of_s3(address) if address.scheme.startswith("s3") else _of_hdfs(address)
    for name, data in files.items():
        path = to / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return to


def parquet_rows(folder: Path, shape: Shape) -> Rows:
    """The rows of a table of Parquet files, read as a glob."""
    if not list((folder / "tables" / path_name(shape.name)).rglob("*.parquet")):
        return []
    with closing(duckdb.connect()) as connection:
        files = f"{folder}/tables/{path_name(shape.name)}/**/*.parquet".replace("'", "''")
        rows: Rows = (
            connection.sql(f"from read_parquet('{files}', hive_partitioning=false)").to_arrow_table().to_pylist()
        )
        return rows


def delta_rows(folder: Path, shape: Shape) -> Rows:
    """The rows of a Delta table by its log, as the protocol says; for tables without a checkpoint."""
    place = folder / path_name(shape.name).replace("%", "=")
    files: dict[str, None] = {}
    for commit in sorted((place / "_delta_log").glob("*.json")):
        for action in map(json.loads, commit.read_text().split("\n")):
            if "add" in action:
                files[unquote(action["add"]["path"])] = None
            if "remove" in action:
                files.pop(unquote(action["remove"]["path"]), None)
    tables = [pq.read_table(place / name) for name in files]
    return typed_rows(pa.concat_tables(tables), shape) if tables else []


def iceberg_rows(folder: Path, shape: Shape) -> Rows:
    """The rows of an Iceberg table: the catalogue read by SQL, manifests as Avro, files by Arrow."""
    with closing(sqlite3.connect(folder / "catalogue.db")) as connection:
        query = "select metadata_location from iceberg_tables where table_name = ?"
        found = connection.execute(query, (shape.name,)).fetchone()
    metadata = json.loads(_path(found[0]).read_text()) if found else {}
    snapshots = {each["snapshot-id"]: each for each in metadata.get("snapshots", [])}
    current = snapshots.get(metadata.get("current-snapshot-id"))
    files = []
    for manifest in _avro(current["manifest-list"]) if current else []:
        assert manifest["content"] == 0, "no delete files are ever written"
        files += [e["data_file"]["file_path"] for e in _avro(manifest["manifest_path"]) if e["status"] != 2]
    return typed_rows(pa.concat_tables([pq.read_table(_path(f)) for f in files]), shape) if files else []


def _avro(location: str) -> list[Any]:
    with _path(location).open("rb") as file:
        return list(fastavro.reader(file))


def _path(location: str) -> Path:
    return Path(unquote(location.removeprefix("file://")))


def typed_rows(table: pa.Table, shape: Shape) -> Rows:
    """Rows in the types of a shape: instants as times in UTC that do not say so."""
    with closing(duckdb.connect()) as connection:
        connection.execute("set TimeZone='UTC'")
        connection.register("found", table)
        columns = [
            "{0}::{1} as {0}".format('"' + name.replace('"', '""') + '"', type_) for name, type_ in shape.columns
        ]
        rows: Rows = connection.sql(f"select {', '.join(columns)} from found").to_arrow_table().to_pylist()
        return rows


def _of_s3(address: Address) -> dict[str, bytes]:
    bucket, _, prefix = address.path.partition("/")
    client = _client(address.servers(), address.user, address.password)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    found = {}
    for entry in (entry for page in pages for entry in page.get("Contents", [])):
        version = (entry["Key"], entry["ETag"])
        if version not in _SEEN:
            _SEEN[version] = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        found[entry["Key"].removeprefix(f"{prefix}/")] = _SEEN[version]
    return found


@cache
def _client(server: str, key: str, secret: str) -> Any:
    """One a test run: making one takes a second."""
    return boto3.client(
        "s3",
        endpoint_url=f"http://{server}",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
    )


def _of_hdfs(address: Address) -> dict[str, bytes]:
    root = f"http://{address.servers()}/webhdfs/v1" + (f"/{address.path}" if address.path else "")
    found: dict[str, bytes] = {}
    waiting = [""]
    while waiting:
        here = waiting.pop()
        try:
            with urlopen(f"{root}{quote(here)}?op=LISTSTATUS") as answer:
                entries = json.load(answer)["FileStatuses"]["FileStatus"]
        except HTTPError as error:
            with error:
                if error.code != 404:
                    raise
            continue  # nothing was written yet
        for entry in entries:
            name = f"{here}/{entry['pathSuffix']}"
            if entry["pathSuffix"].startswith("."):
                continue  # as readers of such folders do
            if entry["type"] == "DIRECTORY":
                waiting.append(name)
                continue
            version = (address.servers(), str(entry["fileId"]))
            if version not in _SEEN:
                with urlopen(f"{root}{quote(name)}?op=OPEN") as data:
                    _SEEN[version] = data.read()
            found[name[1:]] = _SEEN[version]
    return found
