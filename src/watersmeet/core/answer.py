"""Answers and the receipts that say what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from .frontier import Frontier
from .record import Records


@dataclass(frozen=True, slots=True)
class Rest:
    """What an answer rests on in one topic.

    Args:
        version: of the manifest.
        frontier: everything below is in the answer.
        epochs: how many epochs came from the batch layer.
        slices: how many slices came from the speed layer.
        watermark_us: rows whose window ends at or before it are final.
        newest_us: greatest accepted event time.
        arrival_us: greatest arrival in the answer: its freshness is the time since.
        unread: records that the log holds beyond the frontier.
        missing: epochs that neither layer could give.
        late, dead, duplicates: of the ledger, over everything below the frontier.
    """

    version: int
    frontier: Frontier
    epochs: int
    slices: int
    watermark_us: int | None
    newest_us: int | None
    arrival_us: int | None
    unread: int
    missing: tuple[int, ...] = ()
    late: int = 0
    dead: int = 0
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """The part of an answer that says what it rests on.

    Args:
        name: of the view or query.
        as_of_us: when it was answered, or the past time that was asked for.
        complete: no record below the frontiers is missing from it.
        exact: nothing in it is an estimate.
        audit: ``"match"``, ``"mismatch"`` or ``"none"``: how batch and speed agreed on what they both computed.
        match_rate: cells that agreed by cells compared; None before the first audit.
        topics: topic -> what it rests on there.
        fingerprint: of what was served.
        reasons: why it is not complete, not exact or not safe, in words.
        errors: column -> relative standard error of an estimate.
        unsafe: the declared reason of a query that aggregates presented values.
    """

    name: str
    as_of_us: int
    complete: bool
    exact: bool
    audit: str
    match_rate: float | None
    topics: Mapping[str, Rest]
    fingerprint: str
    reasons: tuple[str, ...] = ()
    errors: Mapping[str, float] = field(default_factory=dict)
    unsafe: str | None = None

    @property
    def watermark_us(self) -> int | None:
        """The lowest watermark among its topics: rows whose window ends at or before it are final."""
        marks = [rest.watermark_us for rest in self.topics.values()]
        return None if not marks or None in marks else min(mark for mark in marks if mark is not None)

    @property
    def etag(self) -> str:
        """Changes whenever the answer could."""
        versions = ".".join(f"{topic}:{rest.version}" for topic, rest in sorted(self.topics.items()))
        return f"{self.fingerprint}-{versions}"

    def as_dict(self, now_us: int | None = None) -> dict[str, object]:
        """Plain values, as bodies of answers carry them: absolute times as stored, freshness as of ``now_us``.

        Args:
            now_us: default when it was answered.
        """
        newest = [rest.arrival_us for rest in self.topics.values() if rest.arrival_us is not None]
        now_us = self.as_of_us if now_us is None else now_us
        facts = asdict(self)
        facts["freshness_seconds"] = (now_us - max(newest)) / 1e6 if newest else None
        facts["watermark_us"] = self.watermark_us
        return facts


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows and their receipt.

    Args:
        rows: an Arrow chunk with the columns of the view or query.
        receipt: what they rest on.
        next: values of the key of the last row when there is more, else None.
    """

    rows: Records
    receipt: Receipt
    next: tuple[object, ...] | None = None
