"""Redis: the machine's own redis-server, else that of its Debian or Ubuntu packages, unpacked and not installed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from .artefacts import made, run, tool
from .server import Server, free_ports

_PACKAGE = "redis-tools"  # it holds the server too, which is one program with redis-check-rdb and goes by its own name
_SERVER, _PROGRAM = "usr/bin/redis-server", "usr/bin/redis-check-rdb"
_REMEDY = "install redis-server"
_DEPENDENCY = re.compile(r"Depends: ((?:lib|lua)[a-z0-9+.-]*)")


def redis(folder: Path) -> Server:
    """A redis-server that keeps nothing on disk; its URL is ``redis://127.0.0.1:PORT/0``.

    Raises:
        UnavailableError: there is none on PATH, and no packages of it can be fetched.
    """
    binary, environment = _binary()
    (port,) = free_ports(1)
    folder.mkdir(parents=True, exist_ok=True)
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "."]

    def ready() -> bool:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=1.0)) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")

    url = f"redis://127.0.0.1:{port}/0"
    return Server("redis", url, command, folder=folder, ready=ready, environment=environment, seconds=30.0)


def _binary() -> tuple[str, dict[str, str]]:
    """The server's program, and what its environment needs."""
    found = shutil.which("redis-server")
    return (found, {}) if found else unpacked()


def unpacked() -> tuple[str, dict[str, str]]:
    """The program and its environment from packages in the artefact folder; needs no root and no installation."""
    folder = made("redis-debian", _unpack)
    libraries = sorted({str(path.parent) for path in folder.rglob("*.so*")})
    own = os.environ.get("LD_LIBRARY_PATH")
    paths = os.pathsep.join([*libraries, *([own] if own else [])])
    return str(folder / _SERVER), {"LD_LIBRARY_PATH": paths}


def _unpack(folder: Path) -> None:
    apt, dpkg = tool("apt-get", _REMEDY), tool("dpkg-deb", _REMEDY)
    with TemporaryDirectory() as lists:
        own = [] if _said(["apt-cache", "show", _PACKAGE]) else _listed(apt, Path(lists))
        run([apt, *own, "download", *_missing(own)], folder)
    for package in sorted(folder.glob("*.deb")):
        run([dpkg, "-x", str(package), str(folder)], folder)
        package.unlink()
    (folder / _PROGRAM).rename(folder / _SERVER)


def _listed(apt: str, folder: Path) -> list[str]:
    """Options of apt with lists of packages of its own, fetched now: a machine's image may come without."""
    (folder / "lists" / "partial").mkdir(parents=True)
    own = ["-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder}", "-o", "APT::Sandbox::User=root"]
    run([apt, *own, "update"], folder)
    return own


def _missing(own: list[str]) -> list[str]:
    """The package and the libraries it needs, of any depth, that are not installed; ``own``: options of apt."""
    wanted, looked = [_PACKAGE], set[str]()
    while new := [name for name in wanted if name not in looked]:
        looked.update(new)
        said = _said([tool("apt-cache", _REMEDY), *own, "depends", *new])
        needed = dict.fromkeys(_DEPENDENCY.findall(said))
        wanted += [name for name in needed if name not in wanted and not _installed(name)]
    return wanted


def _installed(package: str) -> bool:
    return "install ok installed" in _said([tool("dpkg-query", _REMEDY), "-W", "-f=${Status}", package])


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)  # noqa: S603  # the package tools
    return done.stdout
