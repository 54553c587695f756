"""What every `Cache` must do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from watersmeet.core.cache import Cache

from .implementations import CACHES, connect

pytestmark = pytest.mark.integration


@pytest.fixture(params=CACHES)
def cache(request: pytest.FixtureRequest) -> Iterator[Cache]:
    connect(request, request.param)
    with CACHES[request.param]() as found:
        yield found


def never() -> bytes:
    raise AssertionError("made again")


def crowd(cache: Cache, key: str, make: Callable[[], bytes], size: int) -> list[bytes | str]:
    """What ``size`` threads get that ask at once: none is answered before all have asked."""
    asking, got = threading.Barrier(size + 1), list[bytes | str]()

    def ask() -> None:
        asking.wait()
        try:
            got.append(cache.get(key, make))
        except ValueError as error:
            got.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(size)]
    for thread in threads:
        thread.start()
    asking.wait()
    for thread in threads:
        thread.join()
    return got


def test_an_answer_is_made_once_and_kept(cache: Cache) -> None:
    assert cache.get("a", lambda: b"1") == b"1"
    assert cache.get("a", never) == b"1"
    assert cache.get("b", lambda: b"2") == b"2"
    assert cache.get("a", never) == b"1"


@pytest.mark.parametrize("answer", [b"", b"\0", b"\xff" * 1000])
@pytest.mark.parametrize("key", ["", "k", "é/ü?=\n", "k" * 5000])
def test_any_key_and_answer(cache: Cache, key: str, answer: bytes) -> None:
    assert cache.get(key, lambda: answer) == answer
    assert cache.get(key, never) == answer
    assert cache.get(key + "x", lambda: b"other") == b"other"


def test_many_misses_of_one_key_make_one_answer(cache: Cache) -> None:
    made: list[int] = []

    def make() -> bytes:
        made.append(1)
        return b"answer"

    assert crowd(cache, "k", make, 200) == [b"answer"] * 200
    assert len(made) == 1


def test_an_exception_is_told_and_not_kept(cache: Cache) -> None:
    def fail() -> bytes:
        raise ValueError("no answer")

    assert crowd(cache, "k", fail, 50) == ["no answer"] * 50
    assert cache.get("k", lambda: b"later") == b"later"
    assert cache.get("k", never) == b"later"


def test_keys_do_not_wait_for_each_other(cache: Cache) -> None:
    """One answer is made while another is being made, and within it."""
    begun, release = threading.Event(), threading.Event()

    def slow() -> bytes:
        begun.set()
        release.wait()
        return b"slow"

    thread = threading.Thread(target=lambda: cache.get("slow", slow))
    thread.start()
    begun.wait()
    assert cache.get("fast", lambda: cache.get("inner", lambda: b"i") + b"o") == b"io"
    release.set()
    thread.join()
    assert cache.get("slow", never) == b"slow"
