"""``plan``, ``apply``, ``rollback`` and ``exclude``: safe change."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from watersmeet.core.topic import Exclusion

from .context import DEFAULT, Common, open_node
from .output import out, print_json, say


def plan(*, exit_code: Annotated[bool, Parameter(negative=())] = False, common: Common = DEFAULT) -> int:
    """Show what applying the files would change, and what it would cost.

    Parameters
    ----------
    exit_code:
        End with 2 when there is something to apply.
    """
    found = open_node(common).plan()
    if common.json:
        print_json(found.as_dict())
    else:
        for line in found.lines():
            out().print(line, markup=False)
    return 2 if exit_code and found.changes else 0


def apply(*, common: Common = DEFAULT) -> int:
    """Apply the files: make topics, take up changed declarations; history is covered by the batch layer."""
    node = open_node(common)
    for line in node.plan().lines():
        say(line)
    done = node.apply()
    if common.json:
        print_json({"declaration": done.number, "readables": sorted(done.declarations.readables)})
    else:
        say(f"applied as declarations {done.number}")
    return 0


def rollback(*, common: Common = DEFAULT) -> int:
    """Go back to the declarations that were served before the last apply."""
    done = open_node(common).rollback()
    if common.json:
        print_json({"declaration": done.number})
    else:
        say(f"back to what was served before, as declarations {done.number}")
    return 0


group = App(name="exclude", help="Set records aside, with a reason, and take them back.", help_format="plaintext")


@group.command
def add(
    topic: str,
    *,
    reason: str,
    where: str = "",
    position: Annotated[list[str] | None, Parameter(negative=())] = None,
    yes: bool = False,
    common: Common = DEFAULT,
) -> int:
    """Exclude records by an SQL condition or by positions.

    Parameters
    ----------
    topic:
        Whose records.
    reason:
        Why.
    where:
        SQL condition over the topic's columns.
    position:
        partition:offset, several times.
    yes:
        Apply it; without, only the plan is shown.
    """
    positions = tuple(_position(text) for text in position or [])
    found = open_node(common).exclude(topic, Exclusion(reason, where, positions), apply=yes)
    for line in found.lines():
        say(line)
    return 0


@group.command
def lift(topic: str, *, reason: str, yes: bool = False, common: Common = DEFAULT) -> int:
    """Take back the exclusions that were added with a reason.

    Parameters
    ----------
    topic:
        Whose records.
    reason:
        As it was given.
    yes:
        Apply it; without, only the plan is shown.
    """
    found = open_node(common).lift(topic, reason, apply=yes)
    for line in found.lines():
        say(line)
    return 0


def _position(text: str) -> tuple[int, int]:
    from watersmeet.core.errors import RequestError

    partition, colon, offset = text.partition(":")
    if not (colon and partition.isdigit() and offset.isdigit()):
        raise RequestError("position", expected="partition:offset", got=text)
    return int(partition), int(offset)
