"""What a registry said about schemas, kept: so that batch and speed decide alike, now and in years.

What becomes of a record is decided by its topic's version and the archive alone. A registry is neither: it may lose a
schema, be replaced, or learn an id after a record was found to have an unknown one. So the first answer about an id
stands, for every process that shares the `State`: the text of its schema, or that there is none. Only an operator makes
the registry be asked again about an id that it did not know (`KeptSchemas.forget`); a schema that was found is never
forgotten, since an id means one thing for ever.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watersmeet.core.avro import schema_of
from watersmeet.core.avro_resolution import conflicts, reading
from watersmeet.core.avro_schema import parse_avro
from watersmeet.core.errors import ConflictError, RequestError
from watersmeet.core.schemas import Level, Schemas, Version, subject_of
from watersmeet.core.state import State
from watersmeet.core.topic import Topic

SPACE = "schemas"
_ABSENT = b""


class KeptSchemas:
    """The `Schemas` port over another one, with its answers about ids kept. Safe to share between threads.

    Args:
        of: the registry.
        state: where its answers are kept.
    """

    def __init__(self, of: Schemas, state: State) -> None:
        self._of, self._state = of, state
        self._texts: dict[int, str] = {}
        self._lock = threading.Lock()

    def get(self, id: int) -> str:
        """The text of a schema, as the registry first answered."""
        if id in self._texts:
            return self._texts[id]
        found = self._state.get(SPACE, _key(id))
        data = self._asked(id) if found is None else found.data
        if data == _ABSENT:
            raise RequestError(
                f"schema {id}",
                kind="unknown",
                expected="one that the registry has",
                got="none, when it was first asked",
                remedy=f"if it was registered since: watersmeet schemas forget {id}",
            )
        with self._lock:
            self._texts[id] = data.decode()
        return self._texts[id]

    def forget(self, id: int) -> bool:
        """Ask the registry again about an id that it did not know; False if it never was unknown."""
        found = self._state.get(SPACE, _key(id))
        if found is None or found.data != _ABSENT:
            return False
        self._state.put(SPACE, _key(id), None, found.version)
        return True

    def register(self, subject: str, schema: str) -> int:
        """See `Schemas.register`."""
        return self._of.register(subject, schema)

    def check(self, subject: str, schema: str) -> Sequence[str]:
        """See `Schemas.check`."""
        return self._of.check(subject, schema)

    def level(self, subject: str, level: Level | None = None) -> Level:
        """See `Schemas.level`."""
        return self._of.level(subject, level)

    def subjects(self) -> Sequence[str]:
        """See `Schemas.subjects`."""
        return self._of.subjects()

    def versions(self, subject: str) -> Sequence[Version]:
        """See `Schemas.versions`."""
        return self._of.versions(subject)

    def probe(self) -> str:
        """See `Schemas.probe`."""
        return self._of.probe()

    def close(self) -> None:
        """See `Schemas.close`."""
        self._of.close()

    def _asked(self, id: int) -> bytes:
        """The registry's answer, or that of another process which came first."""
        try:
            data = self._of.get(id).encode()
        except RequestError as error:
            if error.kind != "unknown":
                raise
            data = _ABSENT
        try:
            self._state.put(SPACE, _key(id), data, 0)
        except ConflictError:
            found = self._state.get(SPACE, _key(id))
            return data if found is None else found.data
        return data


@dataclass(frozen=True, slots=True)
class Proposal:
    """What registering a topic's schema would mean.

    Args:
        topic, subject, schema: what is to be registered, and where.
        level: that the subject will have.
        id: of the version that is the same; None: it will be a new one.
        complaints: why the level forbids it.
        unreadable: versions that the topic cannot read, with the reason: records written by them are dead.
    """

    topic: str
    subject: str
    schema: str
    level: Level
    id: int | None
    complaints: tuple[str, ...]
    unreadable: tuple[str, ...]


def propose(schemas: Schemas, topic: Topic, level: Level | None = None) -> Proposal:
    """Compare a topic with its subject; changes nothing.

    Args:
        schemas: the registry.
        topic: in Avro.
        level: that the subject shall have; None: the one that it has, and BACKWARD if it has no version yet.
    """
    subject, schema = subject_of(topic.name), schema_of(topic)
    versions = schemas.versions(subject)
    wanted = level or (schemas.level(subject) if versions else "BACKWARD")
    same = next((v.id for v in reversed(versions) if json.loads(v.schema) == json.loads(schema)), None)
    complaints = conflicts(wanted, parse_avro(schema), [parse_avro(v.schema) for v in versions]) if same is None else []
    unreadable = []
    for version in versions:
        try:
            reading(topic, version.schema)
        except RequestError as error:
            unreadable.append(f"version {version.number} (id {version.id}): {error.got}")
    return Proposal(topic.name, subject, schema, wanted, same, tuple(complaints), tuple(unreadable))


def register(schemas: Schemas, proposals: Sequence[Proposal]) -> Mapping[str, int]:
    """Register what was proposed, all of it or nothing; topic -> id.

    Raises:
        RequestError: a level forbids one of them; nothing was changed.
    """
    for each in proposals:
        if each.complaints:
            raise RequestError(
                f"topic {each.topic}",
                expected=f"a schema that level {each.level} of subject {each.subject} allows",
                got="; ".join(each.complaints),
                remedy="let new columns be null, keep names and types, or register it with another --level",
            )
    ids = {}
    for each in proposals:
        schemas.level(each.subject, each.level)
        ids[each.topic] = each.id or schemas.register(each.subject, each.schema)
    return ids


def _key(id: int) -> str:
    return f"kept/{id:010}"
