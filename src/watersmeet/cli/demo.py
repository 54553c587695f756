"""``watersmeet demo``: films, or a campus, counted live by both layers."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.live import Live

from watersmeet.core.duration import microseconds
from watersmeet.core.errors import SettingsError
from watersmeet.runtime import logging

from . import board
from .output import print_json, say
from .server import Served
from .stage import Stage

UNATTENDED_SECONDS = 20.0
REFRESH_SECONDS = 0.5


def demo(
    *,
    app: Literal["movies", "learning"] = "movies",
    duration: Annotated[str | None, Parameter(name="--for")] = None,
    json: bool = False,
    live_service: Annotated[bool, Parameter(name="--live", negative=())] = False,
    profile: Literal["embedded", "cluster"] = "embedded",
    port: int = 0,
) -> int:
    """Watch films being counted: trending, sentiment, the ledger and the audit, on 17,472 real films; or a campus.

    Parameters
    ----------
    app:
        movies, or learning: who is active on a campus, what waits for grading, who watches, alerts.
    duration:
        End by itself after so long, such as 20s. Without a terminal the default is 20s, with one: until Ctrl-C.
    json:
        Print one JSON document with the outcome instead of the board.
    live_service:
        Poll TMDB itself; needs TMDB_API_KEY.
    profile:
        cluster: the film demo on Kafka, Spark, Cassandra, S3 and Redis, started here for it.
    port:
        Port of the API; 0 takes a free one.
    """
    seconds = microseconds(duration, subject="--for") / 1e6 if duration else None
    if seconds is None and (json or not sys.stdout.isatty()):
        seconds = UNATTENDED_SECONDS
    if live_service and app != "movies":
        raise SettingsError("--live", expected="the app movies", got=app, remedy="leave out --live")
    if profile == "cluster" and (app != "movies" or live_service):
        expected, got = "the app movies on the sandbox", "--live" if live_service else app
        raise SettingsError("--profile cluster", expected=expected, got=got, remedy="leave out the other option")
    say("starting …")
    logging.configure("error")
    with _stage(app, live_service, profile) as on, Served(on.node, port=port) as served:
        for line in on.simulated:
            say(f"  {line}", style="dim")
        return _show(on, served.url, seconds, json)


def _stage(app: str, live_service: bool, profile: str) -> AbstractContextManager[Stage]:
    """An app's stage; what one app or profile needs is not loaded for the other."""
    if app == "learning":
        from .campus import playing

        return playing()
    from .films import live, sandboxed

    if profile == "cluster":
        from .cluster import running

        return sandboxed(running)
    return live(Path(".watersmeet") / "demo-live") if live_service else sandboxed()


def _show(stage: Stage, url: str, seconds: float | None, json: bool) -> int:
    clock, stop = stage.node.parts.clock, threading.Event()
    began, first = clock.monotonic(), None
    started = _process_seconds()
    console = Console(stderr=json)
    previous = signal.signal(signal.SIGINT, lambda *_: _interrupt(stop))
    stage.node.start()
    picture = board.look(stage)
    try:
        with Live(console=console, auto_refresh=False, transient=json) as display:
            while not stop.is_set() and (seconds is None or clock.monotonic() - began < seconds):
                picture = board.look(stage)
                if first is None and picture.figures.is_answered:
                    first = started + clock.monotonic() - began
                if console.is_terminal:
                    display.update(board.draw(picture, stage, url=url, first_seconds=first), refresh=True)
                stop.wait(REFRESH_SECONDS)
            say("draining: absorbing what has arrived …")
            stage.node.stop()
            picture = board.look(stage)
            if not json:
                display.update(board.draw(picture, stage, url=url, first_seconds=first), refresh=True)
    finally:
        signal.signal(signal.SIGINT, previous)
    document = board.summary(picture, stage, seconds=clock.monotonic() - began, first_seconds=first, url=url)
    if json:
        print_json(document)
    return 0 if picture.status.balanced and not picture.status.mismatches else 1


def _interrupt(stop: threading.Event) -> None:
    """First Ctrl-C: drain. Second: stop at once; nothing durable is lost by that."""
    if stop.is_set():
        say("stopped at once; what was acknowledged is kept")
        os._exit(130)
    say("stopping: draining first; press Ctrl-C again to stop at once")
    stop.set()


def _process_seconds() -> float:
    """How long ago this process was started, in seconds; 0 where the system does not tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0
    return uptime - ticks / os.sysconf("SC_CLK_TCK")
