"""What is particular to the cache in memory: how much it keeps, and which goes first."""

from __future__ import annotations

import os
import random
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable

import pytest

from watersmeet.adapters.local.cache import LocalCache

pytestmark = pytest.mark.unit


def noting(made: list[str], key: str, size: int) -> Callable[[], bytes]:
    """Makes an answer, and a note that it was made."""

    def make() -> bytes:
        made.append(key)
        return bytes(size)

    return make


def test_the_least_recently_used_goes_first() -> None:
    cache, made = LocalCache(max_bytes=3 * (1 + 100 + 200)), list[str]()

    def ask(key: str) -> None:
        cache.get(key, noting(made, key, 100))

    for key in "abcadabca":
        ask(key)
    assert "".join(made) == "abcdbc"


def test_it_never_keeps_more_than_it_may() -> None:
    """Against a model: the newest uses that fit."""
    chance, limit = random.Random(2), 5_000
    cache, model = LocalCache(max_bytes=limit), OrderedDict[str, int]()
    for _ in range(5_000):
        key = f"k{chance.randrange(40)}"
        size = 100 * (int(key[1:]) % 30)
        made: list[str] = []
        assert len(cache.get(key, noting(made, key, size))) == size
        assert bool(made) == (key not in model)
        model[key] = size + len(key) + 200
        model.move_to_end(key)
        while sum(model.values()) > limit:
            model.popitem(last=False)
    assert len(model) > 2


def test_an_answer_that_is_too_large_pushes_nothing_out() -> None:
    cache, made = LocalCache(max_bytes=1_000), list[str]()
    cache.get("small", lambda: b"s")
    for _ in range(2):
        assert cache.get("large", noting(made, "large", 1_000)) == bytes(1_000)
    assert len(made) == 2
    assert cache.get("small", lambda: b"again") == b"s"


def test_a_cache_of_nothing_still_answers() -> None:
    cache = LocalCache(max_bytes=0)
    assert [cache.get("k", lambda n=n: b"%d" % n) for n in range(3)] == [b"0", b"1", b"2"]  # type: ignore[misc]  # bound


@pytest.mark.parametrize("fails", [False, True])
def test_those_who_wait_get_what_the_first_gets(fails: bool) -> None:
    """200 threads wait before the answer is there; not one of them makes it again."""
    cache, begun, release = LocalCache(), threading.Event(), threading.Event()
    made, got = list[int](), list[bytes | str]()

    def make() -> bytes:
        made.append(1)
        begun.set()
        release.wait()
        if fails:
            raise ValueError("no answer")
        return b"answer"

    def ask() -> None:
        try:
            got.append(cache.get("k", make))
        except ValueError as error:
            got.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(200)]
    threads[0].start()
    begun.wait()
    for thread in threads[1:]:
        thread.start()
    while not all(map(_is_waiting, threads)):
        os.sched_yield()
    release.set()
    for thread in threads:
        thread.join()
    assert made == [1]
    assert got == (["no answer"] if fails else [b"answer"]) * 200


def _is_waiting(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code.co_name == "wait" and frame.f_code.co_filename == threading.__file__
