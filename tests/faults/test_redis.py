"""A real Redis that dies, hangs, or loses the process that makes an answer: answers are right all the same."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from watersmeet.adapters.local.clock import SystemClock
from watersmeet.adapters.redis.cache import RedisCache
from watersmeet.core.address import parse_address
from watersmeet.testing.services.redis import redis as own_redis

pytestmark = pytest.mark.integration
MAKER = """
import sys
from watersmeet.adapters.local.clock import SystemClock
from watersmeet.adapters.redis.cache import RedisCache
from watersmeet.core.address import parse_address

def make():
    print("made", flush=True)
    sys.stdin.readline()
    return b"theirs"

print(RedisCache(parse_address(sys.argv[1]), SystemClock()).get("k", make).decode(), flush=True)
"""


@contextmanager
def cache(url: str, **options: object) -> Iterator[RedisCache]:
    with closing(RedisCache(parse_address(with_options(url, **options)), SystemClock())) as opened:
        yield opened


def with_options(url: str, **options: object) -> str:
    return f"{url}?{'&'.join(f'{name}={value}' for name, value in options.items())}"


@contextmanager
def maker(url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that asks for ``k``; it has begun to make the answer."""
    command = [sys.executable, "-c", MAKER, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "made\n"
        yield process
        process.kill()


def never() -> bytes:
    raise AssertionError("made again")


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_server_that_is_gone_or_hangs_costs_time_only(tmp_path: Path, fault: str) -> None:
    with own_redis(tmp_path) as server, cache(server.url, pause_seconds=0) as opened:
        assert opened.get("k", lambda: b"1") == b"1"
        getattr(server, fault)()
        for number in range(3):
            assert opened.get("k", str(number).encode) == str(number).encode()
        if fault == "kill":
            server.start()
        server.resume()
        with cache(server.url, timeout_seconds=5) as other:
            assert other.get("after", lambda: b"2") == b"2"
            assert other.get("after", never) == b"2"


def test_a_server_that_is_gone_while_an_answer_is_made(tmp_path: Path) -> None:
    with own_redis(tmp_path) as server, cache(server.url) as opened:

        def make() -> bytes:
            server.kill()
            return b"answer"

        assert opened.get("k", make) == b"answer"


def test_two_processes_make_an_answer_once(redis: str) -> None:
    options = {"prefix": uuid4().hex, "timeout_seconds": 5, "wait_seconds": 60}
    with maker(with_options(redis, **options)) as theirs, cache(redis, **options) as ours:
        got: list[bytes] = []
        thread = threading.Thread(target=lambda: got.append(ours.get("k", never)))
        thread.start()
        assert theirs.stdin is not None
        assert theirs.stdout is not None
        theirs.stdin.write("\n")
        theirs.stdin.flush()
        assert theirs.stdout.readline() == "theirs\n"
        thread.join()
        assert got == [b"theirs"]


def test_the_answer_of_a_process_that_was_killed_is_made_by_another(redis: str) -> None:
    options = {"prefix": uuid4().hex, "timeout_seconds": 5, "wait_seconds": 1}
    with maker(with_options(redis, **options)) as theirs, cache(redis, **options) as ours:
        theirs.kill()
        theirs.wait()
        assert ours.get("k", lambda: b"ours") == b"ours"


def test_a_maker_who_never_ends_is_waited_for_once_in_a_while(redis: str) -> None:
    options = {"prefix": uuid4().hex, "timeout_seconds": 5, "pause_seconds": 60}
    url = with_options(redis, **options, wait_seconds=600)
    with maker(url), cache(redis, **options, wait_seconds=0.2) as ours:
        assert ours.get("k", lambda: b"ours") == b"ours"
        assert ours.get("k", lambda: b"again") == b"again"
