"""Changes under way: what a sweep must know of those that never got to their end.

An attempt that stores blobs is noted before the first of them and struck out when it is through. One that stays has
died, or takes its time; which of the two does not matter, since it can be fenced off (see `state`).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from .manifests import HOUR_US, Tip
from .session import Request, Session

_NOTE = "insert into attempts (app, topic, hour, attempt, at_us, base, done, addresses) values (?, ?, ?, ?, ?, ?, ?, ?)"
_STRIKE = "delete from attempts where app = ? and topic = ? and hour = ? and attempt = ?"
_FIND = "select hour, attempt, at_us, base, done, addresses from attempts where app = ? and topic = ? and hour = ?"
_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, str]]).decode


@dataclass(frozen=True, slots=True)
class Attempt:
    """A change that somebody has begun.

    Args:
        name: of its blobs; the attempts in the chain of changes are its name, a dot and a number.
        hour, at_us: when.
        base: the version it began from.
        fence: under which it began.
        done: it came to be, and ``addresses`` are those of its blobs that it did not list.
        addresses: (kind, owner) of its blobs.
    """

    name: str
    hour: int
    at_us: int
    base: int
    fence: int = 0
    done: bool = False
    addresses: Sequence[tuple[str, str]] = ()


class Attempts:
    """The attempts of every topic, an hour a partition.

    Args:
        session: the connection.
        app: whose.
    """

    def __init__(self, session: Session, app: str) -> None:
        self._session, self._app = session, app

    def begin(self, tip: Tip, now_us: int, addresses: Sequence[tuple[str, str]]) -> Attempt:
        """A new attempt from the head ``tip``; not noted yet."""
        at_us = max(now_us, tip.at_us)  # so that a clock that is behind does not note it where nobody looks any more
        hour = max(at_us // HOUR_US, tip.hour)
        return Attempt(uuid.uuid4().hex[:16], hour, at_us, tip.version, tip.fence, addresses=addresses)

    def note(self, topic: str, attempt: Attempt) -> Request:
        """The write that notes an attempt."""
        place = (self._app, topic, attempt.hour, attempt.name)
        return _NOTE, (*place, attempt.at_us, attempt.base, attempt.done, _encode(attempt.addresses))

    def strike(self, topic: str, attempt: Attempt) -> None:
        """Forget an attempt that has left nothing to be swept."""
        self._session.write(_STRIKE, (self._app, topic, attempt.hour, attempt.name))

    def found(self, topic: str, hours: Collection[int]) -> list[Attempt]:
        """The attempts of some hours that are not struck out."""
        rows = self._session.read_all([(_FIND, (self._app, topic, hour)) for hour in hours])
        return [
            Attempt(name, hour, at_us, base, done=done, addresses=_decode(addresses))
            for hour, name, at_us, base, done, addresses in (row for one in rows for row in one)
        ]
