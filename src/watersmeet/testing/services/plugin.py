"""pytest fixtures of real servers: one server a test run, shared by all worker processes, started when first asked for.

Tests share a server, so each takes names of its own in it (topic, keyspace, database, bucket). A test that kills its
server starts one for itself instead. Without what a server needs (Java, Maven) a test is skipped with the reason;
where ``CI`` is set it fails.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp

import pytest

from watersmeet.core.errors import UnavailableError

from .server import Server

NAMES = ("kafka", "registry", "cassandra", "mongo", "redis", "s3", "hdfs")
"""Each is a module beside this one with a function of the same name: folder -> `Server`."""


@contextmanager
def shared(name: str, root: Path) -> Iterator[str]:
    """The URL of the run's one server ``name``; the last process that lets go of it stops it.

    Args:
        name: one of `NAMES`.
        root: folder that all worker processes of the run have in common.
    """
    given = os.environ.get(f"WATERSMEET_TEST_{name.upper()}")
    if given:
        yield given
        return
    root.mkdir(parents=True, exist_ok=True)
    note = root / f"{name}.json"
    with _locked(root / f"{name}.lock"):
        running = _read(note) if note.exists() else _start(name, Path(mkdtemp(prefix=f"{name}-", dir=root)))
        note.write_text(json.dumps(asdict(replace(running, users=running.users + 1))))
    try:
        yield running.url
    finally:
        with _locked(root / f"{name}.lock"):
            running = _read(note)
            if running.users > 1:
                note.write_text(json.dumps(asdict(replace(running, users=running.users - 1))))
            else:
                note.unlink()
                _end(running)


@dataclass(frozen=True)
class _Running:
    url: str
    pids: list[int]
    users: int = 0


def _end(running: _Running) -> None:
    for pid in reversed(running.pids):
        os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # another worker's child
            os.waitpid(pid, 0)


def _read(note: Path) -> _Running:
    return _Running(**json.loads(note.read_text()))


def _start(name: str, folder: Path) -> _Running:
    make: Callable[[Path], Server] = getattr(import_module(f"watersmeet.testing.services.{name}"), name)
    server = make(folder).start()
    return _Running(server.url, server.release())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fixture(name: str) -> Callable[..., Iterator[str]]:
    @pytest.fixture(scope="session", name=name)
    def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        base = tmp_path_factory.getbasetemp()
        root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "services"
        try:
            with shared(name, root) as url:
                yield url
        except UnavailableError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))

    serve.__doc__ = f"The URL of a running {name}."
    return serve


kafka, registry, cassandra, mongo, redis, s3, hdfs = map(_fixture, NAMES)
