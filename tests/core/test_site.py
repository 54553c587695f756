"""Errors name the line that its author wrote, whatever stands between it and the check."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import watersmeet as wm
from watersmeet.core.errors import DeclarationError
from watersmeet.core.site import caller, check_column, check_name, suggest

pytestmark = pytest.mark.unit

TOPIC = wm.Topic("clicks", {"page": "varchar not null", "at": "timestamp not null"}, event_time="at")


def place(offset: int = 0) -> str:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return f"{__file__}:{frame.f_back.f_lineno + offset}"


def clicks_by(column: str) -> wm.View:
    """A helper of an app: what is wrong is named where the view is made."""
    return wm.View("clicks_by", topic=TOPIC, dimensions=[column], measures={"n": wm.count()})


def test_a_declaration_knows_its_line() -> None:
    view = wm.View("v", topic=TOPIC, measures={"n": wm.count()})
    assert view.where_declared == place(-1)


def test_a_declaration_over_several_lines_is_named_by_its_first() -> None:
    expected = place(1)
    view = wm.View(
        "v",
        topic=TOPIC,
        measures={"n": wm.count()},
    )
    assert view.where_declared == expected


def test_within_a_function_it_is_the_line_that_declares() -> None:
    with pytest.raises(DeclarationError) as caught:
        clicks_by("pgae")
    first = clicks_by.__code__.co_firstlineno
    assert caught.value.where == f"{__file__}:{first + 2}"
    assert "did you mean 'page'?" in caught.value.remedy


def test_in_a_comprehension_it_is_the_line_that_declares() -> None:
    views = [wm.View(f"v{i}", topic=TOPIC, measures={"n": wm.count()}) for i in range(2)]
    assert {view.where_declared for view in views} == {place(-1)}


def test_a_reading_of_a_view_knows_its_own_line() -> None:
    view = wm.View("v", topic=TOPIC, window=wm.tumbling("5m"), measures={"n": wm.count()})
    hourly = view.at("1h")
    assert hourly.where_declared == place(-1)


def test_a_replaced_declaration_keeps_the_line_of_the_original() -> None:
    view = wm.View("v", topic=TOPIC, measures={"n": wm.count()})
    expected = place(-1)
    with pytest.raises(DeclarationError) as caught:
        replace(view, dimensions=["pgae"])
    assert caught.value.where == expected


def test_what_is_checked_while_replacing_is_named_by_the_line_that_replaces() -> None:
    with pytest.raises(DeclarationError) as caught:
        replace(TOPIC, lateness="soon")
    assert caught.value.where == place(-1)


@pytest.mark.parametrize(
    "declare",
    [
        lambda: wm.tumbling("5"),
        lambda: wm.hopping("5m", "1h"),
        lambda: wm.sum(""),
        lambda: wm.distinct("x", size=3),
        lambda: wm.calendar("fortnight"),  # type: ignore[arg-type]  # as users do
    ],
)
def test_parts_of_a_declaration_are_named_by_their_line(declare: Callable[[], object]) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare()
    assert caught.value.where == f"{__file__}:{declare.__code__.co_firstlineno}"


def test_what_the_platform_asks_for_at_run_time_names_no_line() -> None:
    package = Path(wm.__file__).parent
    space: dict[str, object] = {"caller": caller}
    for part, named in (("layers/serving.py", False), ("apps/movies/views.py", True)):
        exec(compile("found = caller()", str(package / part), "exec"), space)
        assert bool(space["found"]) is named


def test_a_command_line_names_what_python_calls_it() -> None:
    code = "import watersmeet as wm\nprint(wm.Topic('t', {'a': 'integer'}).where_declared)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "<string>:2"


@pytest.mark.parametrize("name", ["a", "movie.reviews", "A-1_b.c", "x" * 120])
def test_a_name_can_be_a_file_a_table_and_part_of_an_address(name: str) -> None:
    check_name("topic", name, "here:1")


@pytest.mark.parametrize("name", ["", "1a", ".a", "a/b", "a b", "a..b", "ä", "x" * 121, None, "a\n"])
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(DeclarationError, match="topic name") as caught:
        check_name("topic", name, "here:1")
    assert (caught.value.got, caught.value.where) == (repr(name), "here:1")


@pytest.mark.parametrize("name", ["final", "Window_Start", "partition"])
def test_the_platforms_own_columns_are_refused(name: str) -> None:
    with pytest.raises(DeclarationError, match="not reserved"):
        check_column("view v", name, "here:1")
    check_column("view v", name, "here:1", reserved=False)


def test_the_nearest_name_is_suggested() -> None:
    assert suggest("pgae", ["page", "at"]) == "did you mean 'page'?"
    assert suggest("xyz", ["page", "at"]) == "known are at, page"
    assert suggest("xyz", []) == "there is none"
