"""Which release a broker is of: Kafka's driver does not say, so the broker is asked by one small request of its own.

A broker answers *ApiVersions* before anybody has to prove who they are. Beside the requests that it knows, it names the
greatest ``metadata.version`` that it supports, and each release has raised that.
"""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import closing

from .options import KafkaOptions

_KEY, _VERSION = 18, 3
_LARGEST_BYTES = 1 << 20
_RELEASES = ((30, "4.3"), (28, "4.2"), (26, "4.1"), (22, "4.0"), (21, "3.9"), (20, "3.8"), (15, "3.7"), (12, "3.6"))
_NEWEST_LEVEL = 30


def release(host: str, port: int, of: KafkaOptions) -> str:
    """The release of the broker at an address, such as ``4.3``; `OSError` if it cannot be asked."""
    with closing(socket.create_connection((host, port), of.timeout_seconds)) as plain:
        if not of.tls:
            return named(_ask(plain))
        context = ssl.create_default_context(cafile=of.ca or None)
        if of.certificate:
            context.load_cert_chain(of.certificate, of.key or None)
        with context.wrap_socket(plain, server_hostname=host) as secret:
            return named(_ask(secret))


def named(answer: bytes) -> str:
    """The release in an answer."""
    level = _supported(answer).get("metadata.version", 0)
    if level > _NEWEST_LEVEL:
        return f"{_RELEASES[0][1]} or later"
    return next((name for least, name in _RELEASES if level >= least), "before 3.6")


def _ask(connection: socket.socket) -> bytes:
    name = b"watersmeet"
    text = bytes([len(name) + 1]) + name
    request = struct.pack(">hhih", _KEY, _VERSION, 1, -1) + b"\0" + text + text + b"\0"
    connection.sendall(struct.pack(">i", len(request)) + request)
    (size_bytes,) = struct.unpack(">i", _received(connection, 4))
    if not 0 < size_bytes < _LARGEST_BYTES:
        raise OSError(f"an answer of {size_bytes} bytes; is it a Kafka broker, and is tls as it should be?")
    return _received(connection, size_bytes)


def _received(connection: socket.socket, size_bytes: int) -> bytes:
    out = b""
    while len(out) < size_bytes:
        more = connection.recv(size_bytes - len(out))
        if not more:
            raise ConnectionResetError("the broker closed the connection")
        out += more
    return out


def _supported(answer: bytes) -> dict[str, int]:
    """Feature -> the greatest level that the broker supports."""
    at = 4 + 2  # the request's number, an error's
    count, at = _unsigned(answer, at)
    at += (count - 1) * 7 + 4  # requests with their versions, how long we are to wait
    tags, at = _unsigned(answer, at)
    for _ in range(tags):
        tag, at = _unsigned(answer, at)
        size_bytes, at = _unsigned(answer, at)
        if tag == 0:
            return _features(answer, at)
        at += size_bytes
    return {}


def _features(answer: bytes, at: int) -> dict[str, int]:
    out = {}
    count, at = _unsigned(answer, at)
    for _ in range(count - 1):
        length, at = _unsigned(answer, at)
        name = answer[at : at + length - 1].decode()
        at += length - 1
        _, out[name] = struct.unpack_from(">hh", answer, at)
        at += 5  # two numbers and no further fields
    return out


def _unsigned(answer: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the least first, and where it ends."""
    value = shift = 0
    while True:
        byte = answer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
