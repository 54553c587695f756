from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

import watersmeet as wm
from watersmeet.core.clock import Clock
from watersmeet.core.declarations import Declarations
from watersmeet.runtime.loading import App
from watersmeet.runtime.wiring import manual_clock

pytestmark = pytest.mark.unit


class Named:
    """A source that brings nothing, and knows what it was made from."""

    def __init__(self, *made_from: object) -> None:
        self.name, self.made_from = "named", made_from

    def pull(self, position: bytes | None) -> wm.Pulled:
        return wm.Pulled([], position or b"")


class NoReader:
    def read(self, request: wm.Request) -> wm.Answer:
        raise wm.UnavailableError("nothing")


CLOCK, READER = manual_clock(0), NoReader()


def app(sources: Callable[..., list[wm.Source]] | None) -> App:
    module = ModuleType("made_up")
    if sources is not None:
        module.sources = sources  # type: ignore[attr-defined]  # as a module defines it
    return App("made_up", Declarations(), {}, module)


def of_a_clock(clock: Clock) -> list[wm.Source]:
    return [Named(clock)]


def of_a_clock_and_settings(clock: Clock, environ: dict[str, str] | None = None) -> list[wm.Source]:
    return [Named(clock, environ)]


def of_a_clock_and_a_reader(clock: Clock, reader: wm.Reader | None = None) -> list[wm.Source]:
    return [Named(clock, reader)]


@pytest.mark.parametrize(
    ("sources", "made_from"),
    [
        (of_a_clock, (CLOCK,)),
        (of_a_clock_and_settings, (CLOCK, None)),
        (of_a_clock_and_a_reader, (CLOCK, READER)),
    ],
)
def test_a_source_is_made_from_the_clock_and_if_it_asks_for_one_a_reader(
    sources: Callable[..., list[wm.Source]], made_from: tuple[object, ...]
) -> None:
    [source] = app(sources).sources(CLOCK, READER)
    assert isinstance(source, Named)
    assert source.made_from == made_from


def test_an_app_without_sources_has_none() -> None:
    assert app(None).sources(CLOCK, READER) == []
