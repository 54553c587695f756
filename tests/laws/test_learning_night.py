"""One night of a campus of 10,000 students: every figure of every view and query is what plain SQL says of the lines.

111,465 lines arrive, late, twice and broken among them: those of a Monday night from 22:00 to 06:00, ten minutes of each
of the four Mondays before, and what a detector could have said. The batch layer counts up to 23:00, which is nearly half
of the night's lines, the speed layer the rest. Then all rows and all columns of each answer are compared with a SELECT,
written by hand from what the figure means, over the same lines in a bare DuckDB: it reads the JSON, judges it, leaves
out copies and cuts windows on its own, and shares nothing with watersmeet or the declarations but the names of columns.

All must be equal, distinct counts too: no figure shown counts more than the 4,096 values up to which it is exact. Doubles
may differ by 1e-12 of themselves. Three answers that have a row for every five minutes since the first week are asked
for the night alone; what has waited since then is in it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from watersmeet.runtime.loading import load

from .night import events, oracles, story
from .night.comparison import differences

pytestmark = pytest.mark.data_quality

LINES = 111_465


@dataclass(frozen=True, slots=True)
class Night:
    """A night that is over.

    Args:
        folder: with the answers.
        sql: a database with the lines and what is read out of them.
        told: what the node says of them.
    """

    folder: Path
    sql: duckdb.DuckDBPyConnection
    told: dict[str, Any]

    def answer(self, name: str) -> str:
        return f"from '{self.folder}/answers/{name}.parquet'"


def spend(folder: Path) -> None:
    """Play the night, let a node count it, and read its lines into a database."""
    folder.mkdir()
    arrived = story.arrivals()
    print(f"{len(arrived):,} lines")  # noqa: T201  # how large the proof is
    (folder / "told.json").write_text(json.dumps(story.answer(arrived, folder)))
    shutil.rmtree(folder / "node")
    with duckdb.connect(folder / "lines.duckdb", config={"threads": 1}) as connection:
        events.tables(connection, arrived)
        oracles.tables(connection)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """Spent once, however many processes share the tests."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "learning_night"
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            spend(unfinished)
            unfinished.rename(folder)
    told = json.loads((folder / "told.json").read_text())
    with duckdb.connect(folder / "lines.duckdb", read_only=True, config={"threads": 1}) as connection:
        yield Night(folder, connection, told)


def test_every_view_and_query_of_the_app_has_an_oracle() -> None:
    declared = load("watersmeet.apps.learning").declarations
    assert {*declared.views, *declared.queries} == set(oracles.ORACLES)


def test_every_line_counts_or_is_a_copy_or_is_dead(night: Night) -> None:
    counted = night.sql.execute("""
        select topic, count(distinct id) filter (valid), count(*) filter (valid) - count(distinct id) filter (valid),
               count(*) filter (not valid)
        from judged group by topic""").fetchall()
    assert night.told["status"]["topics"] == {topic: outcomes for topic, *outcomes in counted}
    assert (night.told["status"]["balanced"], night.told["status"]["match_rate"]) == (True, 1.0)
    assert sum(sum(outcomes) for _, *outcomes in counted) == LINES
    assert all(min(outcomes) > 0 for _, *outcomes in counted)


@pytest.mark.parametrize("name", sorted(oracles.ORACLES))
def test_every_figure_is_what_sql_says_of_the_lines(name: str, night: Night) -> None:
    rest = night.told["rests"][name]
    assert rest["complete"]
    assert all(epochs and slices for epochs, slices in rest["layers"])
    assert night.sql.execute(f"select count(*) > 0 {night.answer(name)}").fetchone() == (True,)
    assert differences(night.sql, night.answer(name), oracles.ORACLES[name]) == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("select 'a' as k, 1::bigint as n, 0.5::double as x", []),
        ("select 1::hugeint as n, 'a' as k, 0.5 + 1e-15::double as x", []),
        ("select 'a' as k, 2 as n, 0.5::double as x", ["found: ('a', 2, 0.5)", "expected: ('a', 1, 0.5)"]),
        ("select 'a' as k, 1 as n, 0.5000001::double as x", ["found: ('a', 1, 0.5000001)", "expected: ('a', 1, 0.5)"]),
        ("select 'a' as k, 1 as n, null::double as x", ["found: ('a', 1, None)", "expected: ('a', 1, 0.5)"]),
        ("select 'a' as k, 1 as n, 0.5::double as x from range(2)", ["found: ('a', 1, 0.5)"]),
        ("select 'a' as k, 1 as n, 0.5::double as x where false", ["expected: ('a', 1, 0.5)"]),
        ("select 'a' as k, 1.0::decimal(3,1) as n, 0.5::double as x", ["column n is decimal with 1 digits", "column n is whole"]),
        ("select 'a' as k, 1 as n", ["column x is double"]),
    ],
)  # fmt: skip
def test_a_difference_is_told(found: str, told: list[str]) -> None:
    with duckdb.connect() as connection:
        assert differences(connection, found, "select 'a' as k, 1 as n, 0.5::double as x") == told
