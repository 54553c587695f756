"""Time comes from the `Clock` that is passed in, so that tests move it by hand and no test waits for it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from .tree import Module, modules

pytestmark = pytest.mark.unit

HOME = "src/watersmeet/adapters/local/clock.py"
STOPWATCHES = {"time.perf_counter", "time.perf_counter_ns", "time.process_time", "time.process_time_ns"}
CLOCKS = {
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "time.clock_gettime",
    "time.clock_gettime_ns",
    "time.ctime",
    "time.gmtime",
    "time.localtime",
    "time.monotonic",
    "time.monotonic_ns",
    "time.sleep",
    "time.strftime",
    "time.time",
    "time.time_ns",
}
SQL_CLOCK = re.compile(
    r"\b(now|today|get_current_timestamp|unixepoch|julianday)\s*\(|\bcurrent_(timestamp|date|time)\b", re.I
)
"""SQL reads clocks too. What core/sql refuses in declarations, it must be able to name."""


def used(module: Module) -> Iterator[tuple[int, str]]:
    """Every attribute or name in a file, spelled in full through the file's imports, and its line."""
    full: dict[str, str] = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            full |= {
                a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0]
                for a in node.names
            }
        elif isinstance(node, ast.ImportFrom) and not node.level:
            full |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute | ast.Name):
            head, _, rest = ast.unparse(node).partition(".")
            if head in full:
                yield node.lineno, full[head] + (f".{rest}" if rest else "")


def texts(module: Module) -> Iterator[ast.Constant]:
    """The strings of a file that are not docstrings."""
    documentation = {
        id(node.value)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node


def test_the_source_reads_no_clock_but_in_one_file() -> None:
    found = {
        f"{m.path}:{line} {name}" for m in modules("src") for line, name in used(m) if name in CLOCKS | STOPWATCHES
    }
    assert {where for where in found if not where.startswith(HOME)} == set()
    assert {where.split()[1] for where in found} & CLOCKS, "the scan finds no clock even where there is one"


def test_tests_neither_sleep_nor_hold_a_stopwatch() -> None:
    forbidden = STOPWATCHES | {"time.sleep"}
    assert [f"{m.path}:{line} {name}" for m in modules("tests") for line, name in used(m) if name in forbidden] == []


SERVERS_TIME = ("src/watersmeet/adapters/cassandra/sink.py",)
"""Write timestamps, by which Cassandra settles conflicts, are the servers' and must be above those already there."""


def test_no_sql_asks_the_database_for_the_time() -> None:
    found = [
        f"{module.path}:{node.lineno} {node.value!r}"
        for module in modules("src")
        if not module.path.startswith(("src/watersmeet/core/sql/", *SERVERS_TIME))
        for node in texts(module)
        if SQL_CLOCK.search(str(node.value))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import time\ntime.time()", "time.time"),
        ("import time as t\nt.monotonic()", "time.monotonic"),
        ("from time import sleep as nap\nnap(1)", "time.sleep"),
        ("import datetime as dt\ndt.datetime.now(dt.UTC)", "datetime.datetime.now"),
        ("from datetime import datetime, date\ndate.today()", "datetime.date.today"),
        ("import time\nread = time.time_ns", "time.time_ns"),
    ],
)
def test_the_scan_sees_through_imports(source: str, name: str) -> None:
    assert name in {found for _, found in used(Module("x.py", source, ast.parse(source)))}
