"""``status``, ``audit`` and ``doctor``: how things are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version

from watersmeet.core.errors import WatersmeetError
from watersmeet.layers.status import findings
from watersmeet.runtime import wiring
from watersmeet.runtime.wiring import Parts

from .context import DEFAULT, Common, load_settings, open_node
from .output import out, print_json, print_rows, say

TOPIC_COLUMNS = (
    "name",
    "received",
    "used",
    "duplicates",
    "dead",
    "filtered",
    "holes",
    "late",
    "balanced",
    "unread",
    "epochs",
    "published",
    "blocks",
    "runs",
)


def status(*, common: Common = DEFAULT) -> int:
    """Show the ledger, lag, epochs, coverage and what is pending; ends with 1 when a ledger does not balance."""
    found = open_node(common).status()
    if common.json:
        print_json(found.as_dict())
    else:
        print_rows([asdict(t) for t in found.topics], TOPIC_COLUMNS)
        out().print()
        print_rows([asdict(v) for v in found.views], ("name", "kind", "state", "covered", "epochs"))
        rate = (
            "no audit yet"
            if found.match_rate is None
            else f"audit {found.match_rate:.2%} of {found.audited_cells:,} cells"
        )
        pending = f"; pending: {', '.join(found.pending)} (run 'watersmeet plan')" if found.pending else ""
        say(f"declarations {found.declaration}{pending}; {rate}; ledger balanced: {found.balanced}")
    return 0 if found.balanced else 1


def audit(*, common: Common = DEFAULT) -> int:
    """Show how batch and speed agreed, epoch by epoch; ends with 1 when something differs."""
    node = open_node(common)
    found, state = findings(node.parts.state), node.status()
    if common.json:
        print_json(
            {"match_rate": state.match_rate, "cells": state.audited_cells, "findings": [asdict(f) for f in found]}
        )
    else:
        columns = (
            "topic",
            "epoch",
            "cells",
            "mismatches",
            "ids",
            "id_mismatches",
            "ledger_matches",
            "sampled",
            "sample_mismatches",
        )
        print_rows([asdict(f) for f in found], columns)
        say(
            "no epoch has been audited yet"
            if state.match_rate is None
            else f"match rate {state.match_rate:.4%} over {state.audited_cells:,} cells"
        )
    return 1 if state.mismatches else 0


@dataclass(frozen=True)
class Probe:
    """One thing that doctor looked at."""

    what: str
    well: bool
    finding: str
    remedy: str = ""


def doctor(*, common: Common = DEFAULT) -> int:
    """Look at everything that this project needs, and say what to do about what is missing; 3 if something is."""
    probes = [Probe("python", sys.version_info >= (3, 11), sys.version.split()[0], "use Python 3.11 or newer")]
    probes += [_probe(name, partial(version, name)) for name in ("duckdb", "pyarrow", "sqlglot", "fastapi")]
    probes.append(_probe("settings", lambda: str(load_settings(common).root)))
    if all(p.well for p in probes):
        found = load_settings(common).settings
        probes += [_probe(what, look) for what, look in wiring.probes(found, wiring.system_clock()).items()]
    if all(p.well for p in probes):
        probes += _project(common)
    if common.json:
        print_json([asdict(p) for p in probes])
    else:
        print_rows(
            [{**asdict(p), "well": "ok" if p.well else "PROBLEM"} for p in probes],
            ("what", "well", "finding", "remedy"),
        )
    return 0 if all(p.well for p in probes) else 3


def _project(common: Common) -> list[Probe]:
    try:
        node = open_node(common)
    except WatersmeetError as error:
        return [Probe("app", False, str(error), error.remedy)]
    parts = node.parts
    topics = list(node.app.declarations.topics)
    out_probes = [
        Probe("app", True, f"{node.app.name}: {len(node.app.declarations.readables)} views and queries"),
        _probe("state", lambda: f"token {parts.state.token()}"),
        _probe("log", lambda: ", ".join(f"{t} to {parts.log.end(t)}" for t in topics)),
        _probe("archive", lambda: ", ".join(f"{t}: {len(parts.archive.epochs(t))} epochs" for t in topics)),
        _probe("applied", lambda: f"declarations {node.applied().number}"),
    ]
    destinations = sorted({t.to for t in node.app.declarations.tables.values()})
    return out_probes + [_probe(f"sink {name}", partial(_probe_sink, parts, name)) for name in destinations]


def _probe_sink(parts: Parts, name: str) -> str:
    return parts.sink(name).probe()


def _probe(what: str, look: Callable[[], str]) -> Probe:
    try:
        return Probe(what, True, look())
    except WatersmeetError as error:
        return Probe(what, False, error.subject + (f": {error.got}" if error.got else ""), error.remedy)
    except (OSError, ImportError) as error:
        return Probe(what, False, str(error))
