"""``dead-letters``: records that could not be used, looked at, mended and replayed."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from watersmeet.core.errors import RequestError
from watersmeet.core.record import Position
from watersmeet.layers.repair import DeadLetter

from .context import DEFAULT, Common, open_node
from .output import out, print_json, print_rows, say

group = App(
    name="dead-letters", help="Look at, mend and replay records that could not be used.", help_format="plaintext"
)


@group.command(name="list")
def listing(topic: str, *, reason: str | None = None, limit: int = 100, common: Common = DEFAULT) -> int:
    """List dead letters by position, with how many there are of each reason.

    Parameters
    ----------
    topic:
        Whose.
    reason:
        Only these.
    limit:
        At most so many.
    """
    node = open_node(common)
    node.declarations().topic(topic)
    found, reasons = node.repair.letters(topic, reason=reason, limit=limit), node.repair.reasons(topic)
    if common.json:
        print_json({"reasons": reasons, "letters": [_facts(x) for x in found]})
    else:
        print_rows([_facts(x) for x in found], ("position", "reason", "detail", "replayed"))
        say(", ".join(f"{n} {name}" for name, n in sorted(reasons.items())) or "no dead letters")
    return 0


@group.command
def show(topic: str, position: str, *, common: Common = DEFAULT) -> int:
    """Show one dead letter: its bytes and the complaint.

    Parameters
    ----------
    topic:
        Whose.
    position:
        partition:offset.
    """
    node = open_node(common)
    found = node.repair.letter(topic, _position(position))
    if common.json:
        print_json(_facts(found))
    else:
        for name, value in _facts(found).items():
            out().print(f"{name:10} {value}", markup=False)
    return 0


@group.command
def fix(
    topic: str,
    position: str,
    assignments: Annotated[list[str], Parameter(name="--set", negative=())],
    *,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    common: Common = DEFAULT,
) -> int:
    """Replay one dead letter with some of its fields changed.

    Parameters
    ----------
    topic:
        Whose.
    position:
        partition:offset.
    assignments:
        column = SQL expression over the payload's own fields, several times.
    dry_run:
        Only say what would happen.
    """
    node = open_node(common)
    found = node.repair.letter(topic, _position(position))
    value = node.repair.fixed(found, assignments)
    complaint = node.repair.try_out(node.declarations().topic(topic), found, value)
    if complaint is not None:
        say(f"still dead: {complaint.reason}: {complaint.detail}", style="red")
        return 1
    if dry_run:
        out().print(value.decode("utf-8", "replace"), markup=False)
        say("usable; nothing was written")
        return 0
    at = node.repair.replay(node.declarations().topic(topic), found, value)
    say(f"replayed as {at.partition}:{at.offset}")
    return 0


@group.command
def replay(
    topic: str,
    *,
    reason: str | None = None,
    limit: int = 1000,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    common: Common = DEFAULT,
) -> int:
    """Replay dead letters as they are: those that the topic's present schema can use.

    Parameters
    ----------
    topic:
        Whose.
    reason:
        Only these.
    limit:
        At most so many.
    dry_run:
        Only say what would happen.
    """
    node = open_node(common)
    declared, usable, dead = node.declarations().topic(topic), 0, 0
    for letter in node.repair.letters(topic, reason=reason, limit=limit):
        if letter.replayed:
            continue
        if node.repair.try_out(declared, letter, letter.value) is not None:
            dead += 1
            continue
        usable += 1
        if not dry_run:
            node.repair.replay(declared, letter)
    if common.json:
        print_json({"usable": usable, "still_dead": dead, "dry_run": dry_run})
    else:
        say(f"{'would replay' if dry_run else 'replayed'} {usable}; {dead} still cannot be used")
    return 0


def _position(text: str) -> Position:
    partition, colon, offset = text.partition(":")
    if not (colon and partition.isdigit() and offset.isdigit()):
        raise RequestError("position", expected="partition:offset", got=text)
    return Position(int(partition), int(offset))


def _facts(letter: DeadLetter) -> dict[str, object]:
    return {
        "position": f"{letter.partition}:{letter.offset}",
        "arrival_us": letter.arrival_us,
        "reason": letter.reason,
        "detail": letter.detail,
        "key": None if letter.key is None else letter.key.decode("utf-8", "backslashreplace"),
        "value": letter.value.decode("utf-8", "backslashreplace"),
        "replayed": ", ".join(f"{p.partition}:{p.offset}" for p in letter.replayed),
    }
