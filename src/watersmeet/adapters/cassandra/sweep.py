"""What no manifest lists, now or back to the floor of its history, goes: the floor first, the blobs, then the changes.

Blobs die in two ways. A version that came to be let go of them: the chain of changes from the last sweep's floor to
this one's tells which. Or they never came to be: an attempt that was not struck out tells which. It is fenced off
before they are deleted, and so is everyone who began before; whoever lives begins anew.

A sweep that is interrupted is done again from where the last whole one ended.
"""

from __future__ import annotations

from collections.abc import Iterable

from watersmeet.formats.manifest_rows import listed

from .attempts import Attempt, Attempts
from .blobs import Blobs
from .manifests import BUCKET, HOUR_US, Known, Manifests, Tip


class Sweeper:
    """Deletes what is not there any more for anybody.

    Args:
        manifests, attempts, blobs: of the state.
        grace_us: how long an attempt may take before it is fenced off.
    """

    def __init__(self, manifests: Manifests, attempts: Attempts, blobs: Blobs, grace_us: int) -> None:
        self._manifests, self._attempts, self._blobs, self._grace_us = manifests, attempts, blobs, grace_us

    def sweep(self, topic: str, before_us: int, now_us: int) -> int:
        """Delete what left the manifest before ``before_us``, and what never was in it; how many blobs went."""
        begun = self._manifests.tip(topic)
        if not begun.version:
            return 0
        self._manifests.raise_floor(topic, begun, before_us)
        now_us = max(now_us, begun.at_us)
        noted = self._attempts.found(topic, range(begun.hour, now_us // HOUR_US + 1))
        old = [a for a in noted if not a.done and a.at_us <= now_us - self._grace_us]
        if old:
            self._manifests.raise_fence(topic, begun)
        tip = self._manifests.tip(topic)
        newest = _alive(self._manifests.newest(topic, tip))
        gone = self._blobs.delete(topic, sorted(self._dead(topic, tip) - newest))
        over = [a for a in noted if a.done]
        if tip.fence > begun.fence:
            over += old
        for attempt in over:
            keep = newest if attempt.done else self._kept(topic, tip, attempt)
            gone += self._blobs.delete(topic, sorted(set(attempt.addresses) - keep), attempt.name)
            self._attempts.strike(topic, attempt)
        left = [a.hour for a in noted if a not in over]
        hour = min([*left, (now_us - self._grace_us) // HOUR_US - 1])
        self._manifests.settle(topic, tip, max(tip.hour, hour))
        return gone

    def _dead(self, topic: str, tip: Tip) -> set[tuple[str, str]]:
        """The blobs that were let go of since the last sweep's floor."""
        dead: set[tuple[str, str]] = set()
        for _, _, change in self._manifests.chain(topic, tip, tip.reaped, tip.floor):
            dead -= _listed((kind, body) for kind, _, body in change.added)
            dead.update(change.dead)
        return dead

    def _kept(self, topic: str, tip: Tip, attempt: Attempt) -> set[tuple[str, str]]:
        """The blobs that a fenced attempt came to list after all, before the fence and without striking itself out."""
        if attempt.base + 1 < max(tip.reaped // BUCKET - 1, 0) * BUCKET:
            floor = self._manifests.past(topic, tip, tip.floor_us)  # its change is dropped, and so lies below the floor
            return _alive(floor) if floor else set()
        for _, name, change in self._manifests.chain(topic, tip, attempt.base, tip.version):
            if name.partition(".")[0] == attempt.name:
                return _listed((kind, body) for kind, _, body in change.added)
        return set()


def _alive(known: Known) -> set[tuple[str, str]]:
    return _listed((kind, body) for (kind, _), body in known.bodies.items())


def _listed(entries: Iterable[tuple[str, bytes]]) -> set[tuple[str, str]]:
    return {address for kind, body in entries for address in listed(kind, body)}
