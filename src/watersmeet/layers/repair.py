"""Repair: dead letters looked at, mended and replayed.

A replay never changes the past. It first stores an exclusion of the origin's position (reason ``superseded``, which
takes effect with the next topic version), then appends a *new* record with header ``origin``, same key and so same
partition. Of several replays of one origin the first that is used wins, since their id is the same.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from watersmeet.core import failpoint
from watersmeet.core.engine import Engine
from watersmeet.core.errors import RequestError
from watersmeet.core.log import Log
from watersmeet.core.manifest import Manifest
from watersmeet.core.record import Position, Record
from watersmeet.core.state import State
from watersmeet.core.topic import Topic

failpoint.declare("repair.replay.before", "repair.replay.after")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be used.

    Args:
        topic, partition, offset: where it stands.
        arrival_us: when it came.
        reason, detail: why it is dead; the schema's complaint.
        key, value: its bytes.
        replayed: positions of its replays, oldest first.
    """

    topic: str
    partition: int
    offset: int
    arrival_us: int
    reason: str
    detail: str
    key: bytes | None
    value: bytes
    replayed: tuple[Position, ...] = ()


class Repair:
    """Lists and replays dead letters.

    Args:
        state, log, engine: the ports.
    """

    def __init__(self, state: State, log: Log, engine: Engine) -> None:
        self._state, self._log, self._engine = state, log, engine

    def letters(
        self, topic: str, *, reason: str | None = None, limit: int = 100, after: Position | None = None
    ) -> list[DeadLetter]:
        """Dead letters in the order of their position, at most ``limit``, after ``after``."""
        table = self._table(self._state.manifest(topic))
        if table is None:
            return []
        table = table.sort_by([("partition", "ascending"), ("offset", "ascending")])
        replays = self._replays(topic)
        out: list[DeadLetter] = []
        for row in table.to_pylist():
            at = Position(row["partition"], row["offset"])
            if (reason is not None and row["reason"] != reason) or (after is not None and at <= after):
                continue
            if len(out) == limit:
                break
            out.append(_letter(topic, row, replays.get(at, ())))
        return out

    def letter(self, topic: str, at: Position) -> DeadLetter:
        """One dead letter; `RequestError` (unknown) if there is none at that position."""
        table = self._table(self._state.manifest(topic))
        for row in table.to_pylist() if table is not None else []:
            if (row["partition"], row["offset"]) == (at.partition, at.offset):
                return _letter(topic, row, self._replays(topic).get(at, ()))
        raise RequestError(
            f"dead letter {at.partition}:{at.offset} of {topic}",
            kind="unknown",
            remedy="'watersmeet dead-letters list' shows them",
        )

    def reasons(self, topic: str) -> dict[str, int]:
        """How many dead letters for each reason."""
        table = self._table(self._state.manifest(topic))
        if table is None:
            return {}
        counted = table.group_by("reason").aggregate([("offset", "count")])
        return dict(zip(counted.column("reason").to_pylist(), counted.column("offset_count").to_pylist(), strict=True))

    def fixed(self, letter: DeadLetter, assignments: Sequence[str]) -> bytes:
        """The payload after SQL assignments ``column = expression`` over its own fields.

        The payload must be a JSON object. Expressions see each field as JSON text; the result replaces the field.
        """
        try:
            payload = json.loads(letter.value)
        except ValueError:
            payload = None
        if not isinstance(payload, dict):
            raise RequestError(
                "fix",
                expected="a payload that is a JSON object",
                got=letter.reason,
                remedy="replay it with a whole new value",
            )
        fields = {name: [json.dumps(value)] for name, value in payload.items()}
        for assignment in assignments:
            name, equals, expression = assignment.partition("=")
            if not equals or not name.strip() or not expression.strip():
                raise RequestError("fix", expected="column = expression", got=assignment)
            sql = f"select to_json({expression}) as value from letter"  # noqa: S608  # runs on a locked engine, one row
            columns = {field: pa.array(value, pa.string()) for field, value in fields.items()} or {
                "_": pa.array([None])
            }
            found = pa.table(self._engine.query(sql, {"letter": pa.table(columns)}, as_of_us=0))
            payload[name.strip()] = json.loads(found.column("value")[0].as_py())
        return json.dumps(payload, ensure_ascii=False).encode()

    def try_out(self, topic: Topic, letter: DeadLetter, value: bytes) -> DeadLetter | None:
        """What the topic would say to ``value`` now: None if usable, else the letter it would be. Stores nothing."""
        columns = {
            "partition": pa.array([letter.partition], pa.int32()),
            "offset": pa.array([letter.offset], pa.int64()),
            "arrival": pa.array([letter.arrival_us], pa.int64()),
            "key": pa.array([letter.key], pa.binary()),
            "value": pa.array([value], pa.binary()),
            "headers": pa.array([None], pa.map_(pa.string(), pa.binary())),
        }
        dead = pa.table(self._engine.decode(topic, pa.table(columns)).dead).to_pylist()
        return _letter(topic.name, dead[0], ()) if dead else None

    def replay(self, topic: Topic, letter: DeadLetter, value: bytes | None = None) -> Position:
        """Append the letter again, mended or as it was; returns where the new record stands."""
        origin = f"{letter.partition}:{letter.offset}"
        failpoint.hit("repair.replay.before")
        record = Record(letter.value if value is None else value, letter.key, {"origin": origin.encode()})
        at = self._log.append(topic.name, [record])[0]
        failpoint.hit("repair.replay.after")
        key = f"{topic.name}/{origin}"
        stored = self._state.get("replays", key)
        before = json.loads(stored.data) if stored else []
        self._state.put("replays", key, json.dumps([*before, [at.partition, at.offset]]).encode())
        return at

    def _table(self, m: Manifest) -> pa.Table | None:
        """Every dead letter of a topic: the batch layer's where it owns the epoch, else the speed layer's."""
        owned = {e.number for e in m.epochs if e.owner}
        owners = [e.owner for e in m.epochs if e.owner] + [s.attempt for s in m.slices if s.epoch not in owned]
        loaded = [pa.table(x) for x in self._state.load(m.topic, "dead", owners).values()]
        return pa.concat_tables(loaded, promote_options="default") if loaded else None

    def _replays(self, topic: str) -> dict[Position, tuple[Position, ...]]:
        out = {}
        for key, value in self._state.scan("replays", f"{topic}/").items():
            partition, offset = key.rpartition("/")[2].split(":")
            out[Position(int(partition), int(offset))] = tuple(Position(*at) for at in json.loads(value.data))
        return out


def _letter(topic: str, row: dict[str, object], replayed: tuple[Position, ...]) -> DeadLetter:
    key, value = row["key"], row["value"]
    return DeadLetter(
        topic,
        int(str(row["partition"])),
        int(str(row["offset"])),
        int(str(row["arrival"])),
        str(row["reason"]),
        str(row["detail"] or ""),
        key if isinstance(key, bytes) else None,
        value if isinstance(value, bytes) else b"",
        replayed,
    )
