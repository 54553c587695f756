"""How far event time has come.

The watermark of a topic is the least, over partitions that are not idle, of (greatest accepted event time − lateness).
A partition is idle when it is read to its end and nothing has arrived for ``idle``; one that is merely behind is not.
When all are idle the watermark goes on with the clock, from the greatest accepted event time. It decides when a row is
final, never what becomes of a record; and it never goes back, because the manifest keeps the greatest.

    event time   ──────x──x────x───────|·············>      x accepted, | watermark = newest − lateness
"""

from __future__ import annotations

from collections.abc import Sequence


def watermark_us(
    newest: Sequence[int | None],
    arrivals: Sequence[int | None],
    unread: Sequence[bool],
    *,
    lateness_us: int,
    idle_us: int,
    now_us: int,
) -> int | None:
    """The watermark, or None before the first accepted record.

    Args:
        newest: greatest accepted event time of each partition.
        arrivals: greatest arrival of each partition.
        unread: whether the partition holds records beyond the frontier.
        lateness_us, idle_us: of the topic.
        now_us: the clock.
    """
    seen = [time for time in newest if time is not None]
    if not seen:
        return None
    idle = [
        not more and (arrival is None or now_us - arrival >= idle_us)
        for more, arrival in zip(unread, arrivals, strict=True)
    ]
    if all(idle):
        latest = max(arrival for arrival in arrivals if arrival is not None)
        return max(seen) - lateness_us + (now_us - latest - idle_us)
    # A busy partition without an accepted record cannot hold anything back: nobody knows its event time.
    busy = [time for time, quiet in zip(newest, idle, strict=True) if not quiet and time is not None]
    return min(busy) - lateness_us if busy else None
