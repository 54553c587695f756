"""S3: versitygw, a gateway whose objects are files that outlive it; moto where there is no Go to build it with.

Both put conditionally (``If-None-Match``, ``If-Match``); moto looks and puts in two steps, so of writers that race two
may win, now and then. Building versitygw takes minutes, once; it starts in a third of a second. What moto holds is gone
when it ends: neither for tests that kill it nor for tests of races.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from .artefacts import cache, made, run, tool
from .server import Server, answers, free_ports

_MODULE, _VERSION = "github.com/versity/versitygw/cmd/versitygw", "1.8.0"
KEY, SECRET, BUCKET = "watersmeet", "loopback-only", "lake"  # of servers on loopback, for tests
_SECONDS = 5.0


def s3(folder: Path) -> Server:
    """An S3 with one bucket; its URL is ``s3://KEY:SECRET@127.0.0.1:PORT/lake``.

    Args:
        folder: for its data and log.
    """
    return versitygw(folder) if shutil.which("go") or _built() else moto(folder)


def versitygw(folder: Path) -> Server:
    """The gateway; a bucket is a folder in ``folder/data``.

    Raises:
        UnavailableError: it is not built yet, and there is no Go to build it.
    """

    def make(target: Path) -> None:
        environment = [tool("env", "install the core utilities"), f"GOBIN={target}", "GOFLAGS=-buildvcs=false"]
        run([*environment, tool("go", "install Go"), "install", f"{_MODULE}@v{_VERSION}"], target)

    binary = made(f"versitygw-{_VERSION}", make) / "versitygw"
    (port,) = free_ports(1)
    (folder / "data" / BUCKET).mkdir(parents=True, exist_ok=True)
    command = [str(binary), "--access", KEY, "--secret", SECRET, "--port", f"127.0.0.1:{port}"]
    # Entity tags are attributes of the files. Kept beside them they would not change at once with the contents, and
    # of two writers that replace one object both could win.
    command += ["--quiet", "--keep-alive", "posix", str(folder / "data")]
    return Server("s3", _url(port), command, folder=folder, ready=lambda: answers(port))


def moto(folder: Path) -> Server:
    """The S3 of moto, in memory."""
    (port,) = free_ports(1)
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]

    def ready() -> bool:
        with closing(HTTPConnection("127.0.0.1", port, timeout=_SECONDS)) as connection:
            try:
                connection.request("PUT", f"/{BUCKET}", headers={"Host": f"127.0.0.1:{port}"})
                return connection.getresponse().status in (200, 409)
            except HTTPException as error:
                raise OSError(str(error)) from error

    folder.mkdir(parents=True, exist_ok=True)
    return Server("s3", _url(port), command, folder=folder, ready=ready)


def _url(port: int) -> str:
    return f"s3://{KEY}:{SECRET}@127.0.0.1:{port}/{BUCKET}"


def _built() -> bool:
    return (cache() / f"versitygw-{_VERSION}").is_dir()
