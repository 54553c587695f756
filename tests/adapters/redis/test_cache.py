"""The cache against servers that are absent, slow, or lying: the answer is always right, and nothing waits for ever."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watersmeet.adapters.local.clock import SystemClock
from watersmeet.adapters.redis.cache import RedisCache, packed, unpacked
from watersmeet.core.address import parse_address
from watersmeet.core.errors import SettingsError, UnavailableError
from watersmeet.testing.services.server import free_ports

pytestmark = pytest.mark.integration


class Stopped(SystemClock):
    """A clock whose monotonic time a test moves by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


class Liar:
    """A server that says the same to whatever it is asked, and counts who comes.

    Args:
        says: sent for every request; a byte at a time if ``slow``.
    """

    def __init__(self, says: bytes, *, slow: bool = False) -> None:
        self.says, self.slow, self.visits = says, slow, 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._socket.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve)]
        self._closing = threading.Event()
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            if self._closing.is_set():
                connection.close()
                return
            self.visits += 1
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._talk, args=(connection,)))
            self._threads[-1].start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            while connection.recv(65536):
                if not self.slow:
                    connection.sendall(self.says)
                while self.slow and not self._closing.wait(0.01):
                    connection.sendall(self.says[:1])
        except OSError:
            return

    def close(self) -> None:
        self._closing.set()
        socket.create_connection(self._socket.getsockname()).close()
        self._threads[0].join()
        for connection in self._open:
            connection.close()
        for thread in self._threads[1:]:
            thread.join()
        self._socket.close()


@contextmanager
def cache(url: str, clock: SystemClock | None = None) -> Iterator[RedisCache]:
    with closing(RedisCache(parse_address(url), clock or SystemClock())) as opened:
        yield opened


def check(opened: RedisCache, times: int = 3) -> None:
    for number in range(times):
        assert opened.get(f"k{number}", str(number).encode) == str(number).encode()


LIES = {
    "nothing": b"",
    "another's bytes": b"$5\r\nhello\r\n",
    "a value stored under another key": b"$%d\r\n%s\r\n" % (len(packed("x", b"1", 99)), packed("x", b"1", 99)),
    "no length": b"$abc\r\n",
    "a huge length": b"$99999999999\r\n",
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "zeros": b"\0" * 100,
    "an error": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "a number": b":1\r\n",
    "done": b"+OK\r\n",
    "none": b"$-1\r\n",
    "a list in a list": b"*1\r\n" * 50,
    "too deep a list": b"*1\r\n" * 5000,
}


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_a_server_that_lies_costs_time_only(lie: str) -> None:
    with closing(Liar(LIES[lie])) as liar, cache(f"{liar.url}?wait_seconds=0.2") as opened:
        check(opened)
        with pytest.raises(ValueError, match="no answer"):
            opened.get("k", _fail)


def _fail() -> bytes:
    raise ValueError("no answer")


def test_a_server_that_sends_a_byte_now_and_then_is_late() -> None:
    """Each byte comes in time; without a deadline for all of them the first answer would never be there."""
    with closing(Liar(b"1", slow=True)) as liar, cache(liar.url) as opened:
        assert opened.get("k", lambda: b"answer") == b"answer"


def test_a_server_that_failed_is_left_alone_for_a_while() -> None:
    clock = Stopped()
    with closing(Liar(b"?\r\n")) as liar, cache(f"{liar.url}?pause_seconds=3&timeout_seconds=30", clock) as opened:
        check(opened)
        assert liar.visits == 1
        clock.seconds += 2.9
        check(opened)
        assert liar.visits == 1
        clock.seconds += 0.2
        check(opened)
        assert liar.visits == 2


def test_a_server_that_is_not_there_is_named_by_the_probe_alone() -> None:
    (port,) = free_ports(1)
    with cache(f"redis://u:secret@127.0.0.1:{port}/0") as opened:
        assert opened.get("k", lambda: b"answer") == b"answer"
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1") as caught:
            opened.probe()
    assert "secret" not in str(caught.value)
    assert "redis-server" in caught.value.remedy


def test_the_probe_says_what_is_there(redis: str) -> None:
    with cache(redis) as opened:
        assert opened.probe().startswith("Redis ")


@pytest.mark.parametrize(
    "url", ["redis://a,b/0", "redis:///0", "redis://a/zero", "redis://a/0?unknown=1", "redis://a/0?ttl_seconds=x"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        RedisCache(parse_address(url), SystemClock())


def test_what_is_too_large_is_not_kept(redis: str) -> None:
    with cache(f"{redis}?prefix=large&timeout_seconds=5&max_bytes=100&ttl_seconds=60") as opened:
        assert opened.get("k", lambda: b"1" * 101) == b"1" * 101
        assert opened.get("k", lambda: b"2" * 101) == b"2" * 101
        assert opened.get("k", lambda: b"3" * 100) == b"3" * 100
        assert opened.get("k", _fail) == b"3" * 100


@given(st.text(max_size=20), st.text(max_size=20), st.binary(max_size=300), st.integers(0, 300), st.data())
def test_only_what_was_stored_under_a_key_is_read_from_it(
    key: str, other: str, answer: bytes, compress_bytes: int, data: st.DataObject
) -> None:
    stored = packed(key, answer, compress_bytes)
    assert unpacked(key, stored, 300) == answer
    if other != key:
        assert unpacked(other, stored, 300) is None
    at = data.draw(st.integers(0, len(stored) - 1))
    changed = stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]
    assert unpacked(key, changed, 300) in (None, answer)
    assert unpacked(key, stored[:at], 300) is None


def test_a_small_value_that_would_be_large_is_refused() -> None:
    assert unpacked("k", packed("k", bytes(10**6), 1), 10**6) == bytes(10**6)
    assert unpacked("k", packed("k", bytes(10**6), 1), 10**6 - 1) is None
