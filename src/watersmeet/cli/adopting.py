"""``import`` and ``compare``: watersmeet beside what a team has already."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from cyclopts import Parameter

from watersmeet.core.address import parse_address
from watersmeet.core.errors import RequestError, SettingsError
from watersmeet.core.reader import Request
from watersmeet.core.schemas import subject_of
from watersmeet.layers import adoption, comparison
from watersmeet.runtime import wiring

from .context import DEFAULT, Common, open_node
from .output import print_json, print_rows, say

SAMPLE_RECORDS = 5_000


def draft(
    source: str,
    *,
    sample: Path | None = None,
    registry: str | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
) -> int:
    """Write the declaration of a topic that exists: from its registered schema, its records, or a sample of them.

    Parameters
    ----------
    source:
        kafka://host:9092/topic, or only a topic's name with --sample.
    sample:
        A file of records: .jsonl, .csv or .parquet.
    registry:
        Where the topic's schema is registered, such as registry://host:8081.
    output:
        The file to write; default standard output. One that exists is not overwritten.
    """
    made = _draft(source, sample, registry)
    text = adoption.written(made)
    for field, why in made.left_out.items():
        say(f"left out: {field}, since {why}", style="yellow")
    if output is None:
        sys.stdout.write(text)
        return 0
    try:
        with output.open("x") as file:
            file.write(text)
    except FileExistsError as error:
        raise RequestError(
            f"file {output}", expected="a name that is free", got="a file", remedy="name another"
        ) from error
    say(f"wrote {output}: topic {made.name} with {len(made.schema)} columns")
    return 0


def _draft(source: str, sample: Path | None, registry: str | None) -> adoption.Draft:
    if "://" not in source:
        if sample is None:
            remedy = "name it as kafka://host:9092/topic, or add --sample FILE"
            raise SettingsError(f"topic {source}", expected="somewhere to look at it", remedy=remedy)
        return adoption.draft(source, adoption.rows_of(sample))
    address = parse_address(source)
    topic = address.path
    if not topic:
        raise SettingsError(f"source {address}", expected="a topic, as in kafka://host:9092/topic")
    if sample is not None:
        return adoption.draft(topic, adoption.rows_of(sample))
    if registry is not None:
        with closing(wiring.open_schemas(parse_address(registry))) as schemas:
            versions = schemas.versions(subject_of(topic))
        if not versions:
            expected = f"the subject {subject_of(topic)}"
            raise RequestError(f"registry of topic {topic}", kind="unknown", expected=expected, got="none")
        return adoption.draft_avro(topic, versions[-1].schema)
    log = wiring.open_log(address)
    start, end = log.start(topic), log.end(topic)
    share = SAMPLE_RECORDS // len(end) + 1
    newest = tuple(max(low, high - share) for low, high in zip(start, end, strict=True))
    values = pa.table(log.read(topic, newest, end, SAMPLE_RECORDS))["value"].to_pylist()
    return adoption.draft(topic, adoption.decoded(value for value in values if value is not None))


def compare(
    view: str,
    *,
    other: Annotated[str, Parameter(name="--with")],
    column: Annotated[list[str] | None, Parameter(negative=())] = None,
    map: Annotated[list[str] | None, Parameter(negative=())] = None,
    tolerance: float = 0.0,
    limit: int = 20,
    common: Common = DEFAULT,
) -> int:
    """Compare the rows of a view or query with a table of somebody else's; 1 if any row differs.

    Parameters
    ----------
    view:
        Its name.
    other:
        cassandra://host/keyspace/table, mongodb://host/database/collection, s3+delta://bucket/table, delta:///folder,
        or a file: .parquet, .csv, .jsonl.
    column:
        Compare only this column, several times; default all that both have.
    map:
        ours=theirs, several times, for columns that are named differently.
    tolerance:
        Relative, for numbers that are not whole.
    limit:
        Show at most so many differences.
    """
    node = open_node(common)
    of = node.declarations().readable(view)
    names = dict(_pair(each) for each in map or ())
    ours = node.reader.read(Request(view))
    theirs = wiring.read_table(other)
    found = comparison.compare(
        ours.rows, theirs, key=of.key, columns=column or (), names=names, tolerance=tolerance, limit=limit
    )
    if common.json:
        print_json({**asdict(found), "match_rate": found.match_rate})
    else:
        if found.differences:
            print_rows(found.differences, [*of.key, "column", "ours", "theirs"])
        say(
            f"match rate {found.match_rate:.6f}: {found.equal:,} equal, {found.differing:,} differ, "
            f"{found.only_ours:,} only ours, {found.only_theirs:,} only theirs; compared {', '.join(found.columns)}"
        )
    return 0 if found.match_rate == 1.0 else 1


def _pair(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not (ours and equals and theirs):
        raise SettingsError("--map", expected="ours=theirs", got=text)
    return ours, theirs
