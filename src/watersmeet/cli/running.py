"""``run``, ``dev`` and ``bench``: the layers at work."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from watersmeet.core.errors import SettingsError, WatersmeetError
from watersmeet.runtime import loading, wiring
from watersmeet.runtime.node import ROLES, Node

from .context import DEFAULT, Common, load_settings, open_node
from .output import print_json, say
from .progress import TELL_SECONDS, Pace, Steps
from .server import Served

Role = Literal["ingest", "speed", "batch", "serve"]
QUIET_SECONDS = 10.0
"""How often to tell while nothing is unread."""


def run(
    *roles: Role,
    once: bool = False,
    full: bool = False,
    epochs: str | None = None,
    duration: Annotated[str | None, Parameter(name="--for")] = None,
    port: int | None = None,
    host: str | None = None,
    common: Common = DEFAULT,
) -> int:
    """Run the applied declarations: every layer, or those that are named.

    Parameters
    ----------
    roles:
        ingest, speed, batch, serve; none means all of them.
    once:
        With batch alone: seal what is unread if no speed layer does, work off every epoch, then end.
    full:
        With batch --once: recompute every epoch from the archive and compare with what is served.
    epochs:
        With --full: only these, as first:last, the last excluded.
    duration:
        End after so long, such as 30s.
    port, host:
        Where the API listens.
    """
    node = open_node(common, serve__port=port, serve__host=host)
    node.applied()
    if once:
        if roles != ("batch",):
            raise SettingsError("--once", expected="'run batch --once'", got=" ".join(roles) or "all roles")
        return _batch_once(node, common, full=full, epochs=epochs)
    if full or epochs:
        raise SettingsError("--full and --epochs", expected="'run batch --once --full'")
    return attend(node, roles or ROLES, duration)


def _batch_once(node: Node, common: Common, *, full: bool, epochs: str | None) -> int:
    bounds = _epochs(epochs)
    for name in node.declarations().topics:
        if node.is_unread(name):
            say(f"{name}: sealing what is unread")
            node.seal(name)
    with Steps(node.parts.clock) as progress:
        steps = node.catch_up({}, progress=progress)
        found = node.recheck(*bounds, progress=progress) if full else []
    report: dict[str, object] = {"steps": steps}
    for each in found:
        say(f"{each.topic}: {each.epochs} epochs computed anew, {each.cells:,} cells, {each.differences} differ")
    if full:
        report["recomputed"] = [asdict(each) for each in found]
    status = node.status()
    report |= {"match_rate": status.match_rate, "cells": status.audited_cells, "balanced": status.balanced}
    if common.json:
        print_json(report)
    else:
        say(f"done: {steps} steps; ledger balanced: {status.balanced}; audit match rate: {status.match_rate}")
    return 1 if any(each.differences for each in found) or not status.balanced else 0


def _epochs(text: str | None) -> tuple[int, int | None]:
    if text is None:
        return 0, None
    first, colon, last = text.partition(":")
    if not colon or not (first or "0").isdigit() or not (last or "0").isdigit():
        raise SettingsError("--epochs", expected="first:last, such as 3:7", got=text)
    return int(first or 0), int(last) if last else None


def attend(node: Node, roles: tuple[str, ...], duration: str | None) -> int:
    """Run until interrupted or for ``duration``, telling how far it is."""
    from watersmeet.core.duration import microseconds

    seconds = microseconds(duration, subject="--for") / 1e6 if duration else None
    clock, began = node.parts.clock, node.parts.clock.monotonic()
    with _until_interrupted() as stop, contextlib.ExitStack() as stack:
        if "serve" in roles:
            served = stack.enter_context(
                Served(node, host=node.parts.settings.serve.host, port=node.parts.settings.serve.port)
            )
            say(f"API {served.url}")
        node.start(roles)
        say(f"running {', '.join(roles)}; Ctrl-C drains and stops")
        pace = Pace(clock, node.status().ledger.received)
        while not stop.wait(0.2) and (seconds is None or clock.monotonic() - began < seconds):
            is_behind = pace.seconds >= TELL_SECONDS and any(map(node.is_unread, node.declarations().topics))
            if is_behind or pace.seconds >= QUIET_SECONDS:
                _tell(node, pace)
        say("draining …")
        node.stop()
        _tell(node, pace)
    return 0


def _tell(node: Node, pace: Pace) -> None:
    status = node.status()
    unread = sum(t.unread or 0 for t in status.topics)
    published = sum(t.published for t in status.topics)
    sealed = sum(t.epochs for t in status.topics)
    ledger = status.ledger
    paced = pace.words(ledger.received, unread)
    say(
        f"received {ledger.received:,} · dead {ledger.dead:,} · unread {unread:,}"
        f" · epochs published {published}/{sealed} · balanced {status.balanced}"
        f"{paced and f' · {paced}'}"
    )


@contextlib.contextmanager
def _until_interrupted() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second one ends the process at once."""
    stop = threading.Event()

    def interrupted(*_: object) -> None:
        if stop.is_set():
            say("stopped at once; what was acknowledged is kept")
            raise KeyboardInterrupt
        stop.set()

    before = {s: signal.signal(s, interrupted) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def dev(file: Path, *, port: int = 0, common: Common = DEFAULT) -> int:
    """Run one file's declarations with a state of their own, applying every change when it is saved.

    Parameters
    ----------
    file:
        A Python file with declarations.
    port:
        Of the API; 0 takes a free one.
    """
    if not file.is_file():
        raise SettingsError("dev", expected="a Python file with declarations", got=str(file))
    root, name = file.resolve().parent, file.stem
    loaded = load_settings(common, app=name, directory=str(root / ".watersmeet" / f"dev-{name}"), serve__port=port)
    with _until_interrupted() as stop:
        while not stop.is_set():
            changed = _stamp(file)
            try:
                node = Node(wiring.wire(loaded.settings), loading.load(name, path=root))
                node.apply()
            except WatersmeetError as error:
                say(f"error: {error}", style="red")
                _wait_for_change(file, changed, stop)
            else:
                with Served(node, port=port) as served:
                    say(f"applied {file.name}: {', '.join(sorted(node.declarations().readables))}. API {served.url}")
                    node.start()
                    _wait_for_change(file, changed, stop)
                    node.stop()
            sys.modules.pop(name, None)
    return 0


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _wait_for_change(file: Path, before: tuple[int, int], stop: threading.Event) -> None:
    while not stop.wait(0.3):
        if _stamp(file) != before:
            return
