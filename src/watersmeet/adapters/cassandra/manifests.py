"""The manifests of every topic, now and as they were.

A topic is a chain of changes, each naming the one before, and a head that names the last:

    heads     version 130, attempt x ───────────────┐        one row, changed by compare-and-set
    changes   … 128 ←── 129 ←── 130 of x            │        written before the head says so
               │ whole           130 of y: lost ────┘        invisible, and stays so

* A change is written under (version, attempt) first, in as many rows as it takes. It comes to be in one step: the head
  is set from version v to v + 1 if it is still at v, *and* no sweep has fenced off those who began before (`fence`).
  So half of a change is never seen, however large it is, and no version comes to be twice.
* An attempt is made from the head: whichever row of version v + 1 is looked at, it names the attempt that won v.
* The head remembers the last `RECENT` attempts. If the outcome of setting it is unknown, a serial read tells: ours is
  among them at its version, another one is, or the head has not moved, and then the very same is asked again. It may
  arrive twice; it can only be applied once.
* Times never go back, whatever the clocks of several processes say.

The first change of every `BUCKET` comes with all the entries there are, so that a manifest of any time is one partition
read, and one partition is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import groupby
from operator import itemgetter, xor

import msgspec

from watersmeet.core.errors import ConflictError, RequestError, UnavailableError
from watersmeet.core.manifest import Manifest
from watersmeet.formats.manifest_rows import (
    Head,
    advance,
    assemble,
    check,
    checksum,
    corrupt,
    difference,
    head_bytes,
    head_of,
    listed,
    read_head,
)

from .session import Request, Row, Session

BUCKET = 64
RECENT = 32
PART_BYTES = 256 << 10
HOUR_US = 3_600_000_000
_BATCH = ("epoch", "run")
Addresses = list[tuple[str, str]]
_HEAD = "version, attempt, at_us, recent, fence, floor, floor_us, reaped, hour"
_SELECT = f"select {_HEAD} from heads where app = ? and topic = ?"  # noqa: S608  # names of columns
_INSERT = (
    f"insert into heads (app, topic, {_HEAD})"  # noqa: S608  # names of columns
    " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) if not exists"
)
_UPDATE = (
    "update heads set version = ?, attempt = ?, at_us = ?, recent = ? where app = ? and topic = ?"
    " if version = ? and fence = ?"
)
_WRITE = (
    "insert into changes (app, topic, bucket, version, attempt, whole, part, parts, previous, previous_us, crc, body)"
    " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_READ = (
    "select version, attempt, whole, part, parts, previous, crc, body from changes"
    " where app = ? and topic = ? and bucket = ? and version >= ? and version <= ?"
)
_BEFORE = "select previous, previous_us from changes where app = ? and topic = ? and bucket = ? and version = ? limit 1"


@dataclass(frozen=True, slots=True)
class Tip:
    """The head of a topic.

    Args:
        version, attempt, at_us: of the newest change; version 0 if there is none.
        recent: the last attempts, oldest first.
        fence: changes that began under a smaller one cannot come to be any more.
        floor, floor_us: the oldest version that may be read, and its time.
        reaped: blobs that died at this version or before are deleted.
        hour: attempts of earlier hours are all settled.
    """

    version: int = 0
    attempt: str = ""
    at_us: int = 0
    recent: tuple[str, ...] = ()
    fence: int = 0
    floor: int = 1
    floor_us: int = 0
    reaped: int = 1
    hour: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """A manifest in memory, and what made it.

    Args:
        manifest: whole.
        attempt, at_us: of its change.
        bodies: every live entry as written, by (kind, identity).
        sum: the exclusive or of their checksums.
    """

    manifest: Manifest
    attempt: str = ""
    at_us: int = 0
    bodies: Mapping[tuple[str, str], bytes] = field(default_factory=dict)
    sum: int = 0


class Change(msgspec.Struct, frozen=True):
    """What one version changed.

    Args:
        at_us: when.
        head: of the manifest.
        gone: entries, as (kind, identity).
        added: entries, as (kind, identity, body).
        dead: blobs, as (kind, owner), that were listed before and are not any more.
    """

    at_us: int
    head: bytes
    gone: list[tuple[str, str]]
    added: list[tuple[str, str, bytes]]
    dead: Addresses


_encode = msgspec.msgpack.encode
_decode_change = msgspec.msgpack.Decoder(Change).decode
_decode_whole = msgspec.msgpack.Decoder(list[tuple[str, str, bytes]]).decode


@dataclass(frozen=True, slots=True)
class Link:
    """One change as it is stored: of which attempt, after which, and its rows."""

    version: int
    attempt: str
    previous: str
    rows: tuple[Row, ...]

    def body(self, topic: str, *, whole: bool = False) -> bytes:
        """What it changed, or all that there was then."""
        subject = f"version {self.version} of topic {topic}"
        mine = [row for row in self.rows if row[2] == whole]
        if [row[3] for row in mine] != list(range(mine[0][4] if mine else 1)):
            raise corrupt(subject, "all of its parts", f"{len(mine)}")
        names = (topic, self.version, self.attempt, whole)
        return b"".join(check(subject, row[7], row[6], *names, row[3]) for row in mine)


@dataclass(frozen=True, slots=True)
class Staged:
    """A change that waits to be written and for the head.

    Args:
        known: what the manifest will be.
        tip: the head that it follows.
        requests: the writes that must be done before.
        listed: the blobs that its new entries list.
        lasting: those of them that the batch layer stored.
    """

    known: Known
    tip: Tip
    requests: Sequence[Request]
    listed: frozenset[tuple[str, str]]
    lasting: frozenset[tuple[str, str]]


class Manifests:
    """Manifests by topic. Safe to share between threads.

    Args:
        session: the connection.
        app: whose topics.
    """

    def __init__(self, session: Session, app: str) -> None:
        self._session, self._app = session, app
        self._known: dict[str, Known] = {}

    def tip(self, topic: str) -> Tip:
        """The head now; every decision made before is in it."""
        rows = self._session.read(_SELECT, (self._app, topic), serial=True)
        if not rows:
            return Tip()
        version, attempt, at_us, recent, *rest = rows[0]
        return Tip(version, attempt, at_us, tuple(recent.split()), *rest)

    def newest(self, topic: str, tip: Tip) -> Known:
        """The manifest at the head ``tip``."""
        known = self._known.get(topic, Known(Manifest(topic)))
        if known.attempt == tip.attempt:
            return known
        found = self._advanced(known, tip) or self._at(topic, tip.version, tip.attempt)
        self._known[topic] = found
        return found

    def lasting(self, topic: str) -> frozenset[str]:
        """The owners of the batch layer's blobs, as far as they are in the manifest last read."""
        m = self._known.get(topic, Known(Manifest(topic))).manifest
        outcomes = (outcome.owner for epoch in m.epochs for outcome in epoch.others)
        return frozenset((*(run.owner for run in m.runs), *(epoch.owner for epoch in m.epochs), *outcomes))

    def past(self, topic: str, tip: Tip, as_of_us: int) -> Known | None:
        """The manifest as it was at a time; None before the first one.

        Raises:
            RequestError: older than what is kept (gone).
        """
        if as_of_us >= tip.at_us:
            return self.newest(topic, tip) if tip.version else None
        if as_of_us < tip.floor_us:
            if tip.floor == 1:
                return None
            expected = f"{tip.floor_us} µs or later, which is kept"
            raise RequestError(f"topic {topic} as of {as_of_us} µs", kind="gone", expected=expected)
        low, high = tip.floor // BUCKET, tip.version // BUCKET
        while low < high:  # the first bucket that ends after that time
            middle = (low + high) // 2
            if self._before(topic, (middle + 1) * BUCKET)[1] > as_of_us:
                high = middle
            else:
                low = middle + 1
        return self._in_bucket(topic, tip, low, as_of_us)

    def chain(self, topic: str, tip: Tip, after: int, upto: int) -> Iterator[tuple[int, str, Change]]:
        """The versions after ``after`` up to ``upto`` with their attempts and changes, in order."""
        for bucket in range((after + 1) // BUCKET, upto // BUCKET + 1):
            low, high = max(after + 1, bucket * BUCKET, 1), min(upto, bucket * BUCKET + BUCKET - 1)
            for link in self._links(topic, low, high, self._winner(topic, tip, high)):
                yield link.version, link.attempt, _change(topic, link)

    def stage(self, known: Known, tip: Tip, new: Manifest, attempt: str, now_us: int) -> Staged:
        """Prepare what leads from ``known``, which is at the head ``tip``, to ``new``. An attempt is staged once.

        Raises:
            ConflictError: ``new`` is not the next version, or lists an entry twice.
        """
        version = known.manifest.version + 1
        if (new.topic, new.version) != (known.manifest.topic, version):
            expected, got = f"version {version}", f"version {new.version} of {new.topic}"
            raise ConflictError(f"transition of topic {known.manifest.topic}", expected=expected, got=got)
        delta = difference(known.manifest, new)
        bodies, sum_ = dict(known.bodies), known.sum
        unlisted: set[tuple[str, str]] = set()
        for entry in delta.gone:
            body = bodies.pop(entry)
            sum_ ^= checksum(body, *entry)
            unlisted.update(listed(entry[0], body))
        lists: set[tuple[str, str]] = set()
        lasting: set[tuple[str, str]] = set()
        for kind, identity, body in delta.added:
            bodies[kind, identity] = body
            sum_ ^= checksum(body, kind, identity)
            lists.update(listed(kind, body))
            if kind in _BATCH:
                lasting.update(listed(kind, body))
        at_us = max(now_us, tip.at_us)
        head = head_bytes(head_of(new, len(bodies), sum_))
        change = Change(at_us, head, delta.gone, delta.added, sorted(unlisted - lists))
        place = (self._app, new.topic, version // BUCKET, version, attempt)
        requests = _rows(place, tip, whole=False, body=_encode(change))
        if version % BUCKET == 0:
            everything = [(kind, identity, body) for (kind, identity), body in bodies.items()]
            requests += _rows(place, tip, whole=True, body=_encode(everything))
        staged = Known(new, attempt, at_us, bodies, sum_)
        return Staged(staged, tip, requests, frozenset(lists), frozenset(lasting))

    def flip(self, staged: Staged) -> bool:
        """Let a change come to be; False if another one, or a sweep, was first.

        Raises:
            UnavailableError: nobody answers; it may come to be or not. To try the same change again does no harm.
        """
        known, tip = staged.known, staged.tip
        topic, version = known.manifest.topic, known.manifest.version
        recent = " ".join((*tip.recent, known.attempt)[-RECENT:])
        for _ in range(self._session.options.tries):
            if tip.version:
                values = (version, known.attempt, known.at_us, recent, self._app, topic, tip.version, tip.fence)
                applied = self._session.decide(_UPDATE, values)
            else:
                hour = known.at_us // HOUR_US
                row = (self._app, topic, version, known.attempt, known.at_us, recent, 0, 1, known.at_us, 1, hour)
                applied = self._session.decide(_INSERT, row)
            if not applied:
                now = self.tip(topic)
                if now.version < version and now.fence == tip.fence:
                    continue  # not yet, and perhaps later: ask for the same again
                applied = _won(topic, now, version, known.attempt)
            if applied:
                self._known[topic] = known
            return applied
        raise UnavailableError(f"change of topic {topic}", expected="to be decided", got="no answer")

    def raise_floor(self, topic: str, tip: Tip, before_us: int) -> None:
        """Let nobody read versions older than the newest at or before ``before_us``."""
        if before_us < tip.floor_us:
            return
        found = self.past(topic, tip, before_us)
        if found is not None and found.manifest.version > tip.floor:
            values = (found.manifest.version, found.at_us, self._app, topic, found.manifest.version)
            cql = "update heads set floor = ?, floor_us = ? where app = ? and topic = ? if floor < ?"
            self._session.decide(cql, values)

    def raise_fence(self, topic: str, tip: Tip) -> None:
        """Let no change come to be that began before this."""
        cql = "update heads set fence = ? where app = ? and topic = ? if fence = ?"
        self._session.decide(cql, (tip.fence + 1, self._app, topic, tip.fence))

    def settle(self, topic: str, tip: Tip, hour: int) -> None:
        """Drop the changes that lead up to the floor, whose dead blobs are deleted, and note how far that is."""
        for bucket in range(max(tip.reaped // BUCKET - 1, 0), tip.floor // BUCKET - 1):
            cql = "delete from changes where app = ? and topic = ? and bucket = ?"
            self._session.write(cql, (self._app, topic, bucket))
        if (tip.floor, hour) != (tip.reaped, tip.hour):
            cql = "update heads set reaped = ?, hour = ? where app = ? and topic = ? if reaped = ? and hour = ?"
            self._session.decide(cql, (tip.floor, hour, self._app, topic, tip.reaped, tip.hour))

    def _in_bucket(self, topic: str, tip: Tip, bucket: int, as_of_us: int) -> Known:
        """The newest manifest at or before a time that lies in a bucket, or just before its first change."""
        last = min(tip.version, bucket * BUCKET + BUCKET - 1)
        links = self._links(topic, max(bucket * BUCKET, 1), last, self._winner(topic, tip, last))
        within = [link for link in links if _change(topic, link).at_us <= as_of_us]
        if within:
            return _fold(topic, within)
        return self._at(topic, bucket * BUCKET - 1, links[0].previous)

    def _at(self, topic: str, version: int, attempt: str) -> Known:
        return _fold(topic, self._links(topic, max(version // BUCKET * BUCKET, 1), version, attempt))

    def _advanced(self, known: Known, tip: Tip) -> Known | None:
        """What ``known`` has become, from what changed since; None if that is told otherwise."""
        topic, version = known.manifest.topic, known.manifest.version
        if version >= tip.version or (version + 1) // BUCKET != tip.version // BUCKET:
            return None
        links = self._links(topic, version + 1, tip.version, tip.attempt)
        return _applied(known, links) if links[0].previous == known.attempt else None

    def _winner(self, topic: str, tip: Tip, version: int) -> str:
        return tip.attempt if version == tip.version else self._before(topic, version + 1)[0]

    def _before(self, topic: str, version: int) -> tuple[str, int]:
        """Attempt and time of the version before ``version``, as any attempt at ``version`` tells them."""
        rows = self._session.read(_BEFORE, (self._app, topic, version // BUCKET, version))
        if not rows:
            raise corrupt(f"version {version} of topic {topic}", "a change", "none")
        return rows[0][0], rows[0][1]

    def _links(self, topic: str, low: int, version: int, attempt: str) -> list[Link]:
        """The changes ``low`` … ``version`` of one bucket that lead to ``attempt``, in order."""
        found = self._session.read(_READ, (self._app, topic, version // BUCKET, low, version))
        stored = {key: tuple(rows) for key, rows in groupby(found, itemgetter(0, 1))}
        links: list[Link] = []
        while version >= low:
            rows = stored.get((version, attempt), ())
            if not rows:
                raise corrupt(f"version {version} of topic {topic}", f"the change of attempt {attempt}", "none")
            links.append(Link(version, attempt, rows[0][5], rows))
            version, attempt = version - 1, rows[0][5]
        return links[::-1]


def _rows(place: tuple[str, str, int, int, str], tip: Tip, *, whole: bool, body: bytes) -> list[Request]:
    pieces = [body[begin : begin + PART_BYTES] for begin in range(0, len(body), PART_BYTES)]
    names = (place[1], place[3], place[4], whole)
    return [
        (_WRITE, (*place, whole, n, len(pieces), tip.attempt, tip.at_us, checksum(piece, *names, n), piece))
        for n, piece in enumerate(pieces)
    ]


def _won(topic: str, tip: Tip, version: int, attempt: str) -> bool:
    """Whether an attempt has become ``version``, now that the head stands at ``tip``."""
    if tip.version < version:
        return False
    past = tip.version - version
    if past >= len(tip.recent):
        subject, got = f"change of topic {topic}", f"{past} later ones"
        raise UnavailableError(subject, expected="to be among the last", got=got, remedy="read its manifest")
    return tip.recent[-1 - past] == attempt


def _change(topic: str, link: Link) -> Change:
    return _decode_change(link.body(topic))


def _fold(topic: str, links: Sequence[Link]) -> Known:
    """The manifest after the last of ``links``, which begin with their bucket."""
    first = links[0]
    if first.version == 1:
        return _applied(Known(Manifest(topic)), links)
    everything = _decode_whole(first.body(topic, whole=True))
    bodies = {(kind, identity): body for kind, identity, body in everything}
    sum_ = reduce(xor, (checksum(body, *entry) for entry, body in bodies.items()), 0)
    change = _change(topic, first)
    entries = ((kind, body) for kind, _, body in everything)
    m = assemble(_checked_head(topic, first, change, len(bodies), sum_), entries)
    known = Known(m, first.attempt, change.at_us, bodies, sum_)
    return _applied(known, links[1:]) if links[1:] else known


def _applied(known: Known, links: Sequence[Link]) -> Known:
    """The manifest that ``known`` becomes by ``links``, which follow it."""
    topic, bodies, sum_ = known.manifest.topic, dict(known.bodies), known.sum
    touched: set[tuple[str, str]] = set()
    for link in links:
        change = _change(topic, link)
        for entry in change.gone:
            sum_ ^= checksum(bodies.pop(entry, b""), *entry)
        for kind, identity, body in change.added:
            bodies[kind, identity] = body
            sum_ ^= checksum(body, kind, identity)
        touched.update(change.gone, ((kind, identity) for kind, identity, _ in change.added))
    head = _checked_head(topic, links[-1], change, len(bodies), sum_)
    gone = [entry for entry in touched if entry in known.bodies]
    added = [(entry[0], bodies[entry]) for entry in touched if entry in bodies]
    m = advance(known.manifest, head, gone, added)
    return Known(m, links[-1].attempt, change.at_us, bodies, sum_)


def _checked_head(topic: str, link: Link, change: Change, live: int, sum_: int) -> Head:
    head = read_head(change.head)
    if (head.manifest.version, head.live, head.sum) != (link.version, live, sum_):
        raise corrupt(f"entries of topic {topic}", f"{head.live} at version {link.version}", f"{live}, or others")
    return head
