"""``bench``: how fast this machine takes in records like yours."""

from __future__ import annotations

import tempfile
from pathlib import Path

from watersmeet.core.errors import RequestError
from watersmeet.layers import ingest
from watersmeet.runtime import loading, wiring
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings

from .context import DEFAULT, Common, load_settings
from .output import print_json, say

ENOUGH_RECORDS = 200_000
APPEND = 20_000


def bench(topic: str, file: Path, *, common: Common = DEFAULT) -> int:
    """Send a file's records, over and over, through log and speed layer in a state of their own; print the rates.

    Parameters
    ----------
    topic:
        Its name.
    file:
        Records, one JSON object a line.
    """
    if not file.is_file():
        raise RequestError(f"file {file}", kind="unknown", expected="a file of records, one a line")
    lines = [line for line in file.read_bytes().split(b"\n") if line.strip()]
    if not lines:
        raise RequestError(f"file {file}", expected="at least one record")
    values = (lines * (ENOUGH_RECORDS // len(lines) + 1))[:ENOUGH_RECORDS]
    loaded = load_settings(common)
    app = loading.load(loaded.settings.app, path=loaded.root)
    with tempfile.TemporaryDirectory(prefix="watersmeet-bench-") as folder:
        settings = Settings.model_validate({"app": loaded.settings.app, "directory": Path(folder)})
        found = _measure(Node(wiring.wire(settings), app, sources=[]), topic, values)
    if common.json:
        print_json(found)
    else:
        say(
            f"{found['records']:,} records: appended durably at {found['append_per_second']:,.0f}/s, absorbed at "
            f"{found['absorb_per_second']:,.0f}/s; used {found['used']:,}, dead {found['dead']:,}, "
            f"duplicates {found['duplicates']:,}; answers see {found['used']:,} of them"
        )
    return 0


def _measure(node: Node, name: str, values: list[bytes]) -> dict[str, float]:
    node.apply()
    topic, clock = node.declarations().topic(name), node.parts.clock
    say(f"appending {len(values):,} records …")
    began = clock.monotonic()
    for at in range(0, len(values), APPEND):
        ingest.append(node.parts.log, topic, values[at : at + APPEND])
    appended = clock.monotonic()
    say("absorbing …")
    node.absorb(name)
    absorbed = clock.monotonic()
    sums = node.status().ledger
    return {
        "records": len(values),
        "append_per_second": len(values) / (appended - began),
        "absorb_per_second": len(values) / (absorbed - appended),
        "used": sums.used,
        "dead": sums.dead,
        "duplicates": sums.duplicates,
    }
