"""Records set aside, and what was set aside taken back: proposals that go through plan and apply like any other.

Files say nothing about exclusions, so a proposal from files carries over those that are applied.
"""

from __future__ import annotations

from watersmeet.core.applied import Applied
from watersmeet.core.declarations import Declarations
from watersmeet.core.errors import DeclarationError, RequestError
from watersmeet.core.normal import with_exclusions
from watersmeet.core.sql.expression import scalar
from watersmeet.core.topic import Exclusion, Topic


def exclude(found: Applied, topic: str, *exclusions: Exclusion) -> Declarations:
    """The applied declarations with more exclusions of a topic; pass them to `plan` with ``exclusions=True``.

    Raises `RequestError` for an unknown topic, a position that cannot be, or an exclusion of nothing,
    `DeclarationError` for a condition that is no SQL over the topic's columns.
    """
    declared = found.declarations.topic(topic)
    for exclusion in exclusions:
        _check(declared, exclusion)
    all_of_them = tuple(dict.fromkeys((*declared.exclusions, *exclusions)))
    return with_exclusions(found.declarations, {topic: all_of_them})


def lift(found: Applied, topic: str, *exclusions: Exclusion) -> Declarations:
    """The applied declarations without some exclusions of a topic; pass them to `plan` with ``exclusions=True``.

    Raises `RequestError` (unknown) for an unknown topic, or an exclusion that it does not have.
    """
    declared = found.declarations.topic(topic)
    for exclusion in exclusions:
        if exclusion not in declared.exclusions:
            known = "; ".join(str(x) for x in declared.exclusions[:20])
            raise RequestError(
                f"exclusion of topic {topic}",
                kind="unknown",
                expected=f"one of {known}" if known else "one of those applied: there is none",
                got=str(exclusion),
            )
    return with_exclusions(found.declarations, {topic: tuple(x for x in declared.exclusions if x not in exclusions)})


def carried(proposed: Declarations, old: Declarations | None) -> Declarations:
    """A proposal from files, with the exclusions that are applied."""
    before = {name: topic.exclusions for name, topic in old.topics.items()} if old else {}
    for topic in proposed.topics.values():
        if topic.exclusions and topic.exclusions != before.get(topic.name):
            raise DeclarationError(
                f"exclusions of topic {topic.name}",
                expected="none in the files",
                got=str(topic.exclusions[0]),
                remedy="leave them out and use 'watersmeet exclude'",
                where=topic.where_declared,
            )
    missing = {n: before[n] for n, topic in proposed.topics.items() if before.get(n, ()) != topic.exclusions}
    return with_exclusions(proposed, missing) if missing else proposed


def _check(topic: Topic, exclusion: Exclusion) -> None:
    if bool(exclusion.where) == bool(exclusion.positions):
        raise RequestError(
            f"exclusion of topic {topic.name}", expected="a condition or positions, one of them", got=str(exclusion)
        )
    if not exclusion.reason:
        raise RequestError(f"exclusion of topic {topic.name}", expected="a reason", got="none")
    for partition, offset in exclusion.positions:
        if not (0 <= partition < topic.partitions and offset >= 0):
            raise RequestError(
                f"exclusion of topic {topic.name}",
                expected=f"partition 0 to {topic.partitions - 1} and an offset from 0",
                got=f"{partition}:{offset}",
            )
    if exclusion.where:
        subject = f"exclusion of topic {topic.name}"
        scalar(exclusion.where, topic.columns, subject=subject, where=topic.where_declared)
