"""Releases by what a broker supports."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from watersmeet.adapters.kafka.options import KafkaOptions
from watersmeet.adapters.kafka.version import named, release

pytestmark = pytest.mark.unit


def answer(**levels: int) -> bytes:
    """As brokers write it: two requests, no wait, an unknown field, and the features."""
    requests = b"\x03" + struct.pack(">hhhx", 0, 3, 13) + struct.pack(">hhhx", 18, 0, 4) + bytes(4)
    features = bytes([len(levels) + 1])
    for name, level in levels.items():
        text = name.replace("_", ".").encode()
        features += bytes([len(text) + 1]) + text + struct.pack(">hhx", 1, level)
    tags = b"\x02" + b"\x01\x02\xff\xff" + b"\x00" + bytes([len(features)]) + features
    return struct.pack(">ih", 1, 0) + requests + tags


@pytest.mark.parametrize(
    ("level", "expected"),
    [(1, "before 3.6"), (12, "3.6"), (19, "3.7"), (21, "3.9"), (25, "4.0"), (30, "4.3"), (31, "4.3 or later")],
)
def test_a_release_is_known_by_the_greatest_level_it_supports(level: int, expected: str) -> None:
    assert named(answer(group_version=1, metadata_version=level)) == expected


def test_a_broker_without_features_is_an_old_one() -> None:
    assert named(struct.pack(">ih", 1, 0) + b"\x01" + bytes(4) + b"\x00") == "before 3.6"


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request", b"\0\0"])
def test_what_is_no_broker_is_an_os_error(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(OSError, match=r"broker"):
            release("127.0.0.1", server.getsockname()[1], KafkaOptions())
        thread.join()
