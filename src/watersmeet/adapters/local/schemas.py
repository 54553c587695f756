"""A schema registry that an app keeps for itself, among the small values of its `State`: for topics in Avro on one
machine, and for tests.

    id/<ten digits>       the text of a schema; ids count up from 1 and are given once
    subject/<subject>     {"level": …, "ids": [of each version, oldest first]}
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from watersmeet.core.avro_resolution import conflicts
from watersmeet.core.avro_schema import parse_avro
from watersmeet.core.errors import ConflictError, CorruptError, RequestError
from watersmeet.core.plain import Plain, dumps
from watersmeet.core.schemas import Level, Version, check_level
from watersmeet.core.state import State

SPACE = "schemas"
_LEVEL: Level = "NONE"


class LocalSchemas:
    """The `Schemas` port over a `State`. Safe to share between threads and processes.

    Args:
        state: where it is kept.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def get(self, id: int) -> str:
        """The text of a schema."""
        found = self._state.get(SPACE, _id_key(id))
        if found is None:
            raise RequestError(f"schema {id}", kind="unknown", expected="one that was registered", got="none")
        return found.data.decode()

    def register(self, subject: str, schema: str) -> int:
        """Its id. A text that another subject has keeps its id."""
        canonical = _canonical(schema)
        while True:
            level, ids, stored = self._subject(subject)
            known = next((id_ for id_ in ids if _canonical(self.get(id_)) == canonical), None)
            if known is not None:
                return known
            complaints = self.check(subject, schema)
            if complaints:
                raise RequestError(
                    f"subject {subject}",
                    expected=f"a schema that its level {level} allows",
                    got="; ".join(complaints),
                    remedy="give new fields a default, keep names and types, or set another level",
                )
            id_ = self._numbered(schema, canonical)
            if self._put(subject, level, [*ids, id_], stored):
                return id_

    def check(self, subject: str, schema: str) -> Sequence[str]:
        """Why the subject's level forbids to register a schema."""
        new = parse_avro(schema)
        level, ids, _ = self._subject(subject)
        return conflicts(level, new, [parse_avro(self.get(id_)) for id_ in ids])

    def level(self, subject: str, level: Level | None = None) -> Level:
        """The level of a subject, set first if one is given; NONE where none was ever set."""
        while True:
            found, ids, stored = self._subject(subject)
            if level is None or level == found:
                return found
            if self._put(subject, level, ids, stored):
                return level

    def subjects(self) -> Sequence[str]:
        """All subjects that have a version, sorted."""
        names = [key.partition("/")[2] for key in self._state.scan(SPACE, "subject/")]
        return sorted(name for name in names if self._subject(name)[1])

    def versions(self, subject: str) -> Sequence[Version]:
        """All versions of a subject, oldest first."""
        _, ids, _ = self._subject(subject)
        return [Version(number, id_, self.get(id_)) for number, id_ in enumerate(ids, 1)]

    def probe(self) -> str:
        """Reach it and say what it is."""
        return f"kept with the state, {len(self.subjects())} subjects"

    def close(self) -> None:
        """Nothing to let go of: the state belongs to others."""

    def _subject(self, subject: str) -> tuple[Level, list[int], int]:
        """Level, ids, and the version of the stored value; 0 if there is none."""
        found = self._state.get(SPACE, f"subject/{subject}")
        if found is None:
            return _LEVEL, [], 0
        fields = json.loads(found.data)
        if not isinstance(fields, dict) or not isinstance(fields.get("ids"), list):
            raise CorruptError(f"subject {subject}", expected="a level and ids", got=str(fields)[:80])
        return check_level(str(fields.get("level"))), fields["ids"], found.version

    def _put(self, subject: str, level: Level, ids: Sequence[int], version: int) -> bool:
        fields: dict[str, Plain] = {"level": level, "ids": [*ids]}
        try:
            self._state.put(SPACE, f"subject/{subject}", dumps(fields), version)
        except ConflictError:
            return False
        return True

    def _numbered(self, schema: str, canonical: str) -> int:
        """The id of a text, a new one if there is none."""
        while True:
            there = {int(key.partition("/")[2]): v.data.decode() for key, v in self._state.scan(SPACE, "id/").items()}
            for id_, text in there.items():
                if _canonical(text) == canonical:
                    return id_
            id_ = max(there, default=0) + 1
            try:
                self._state.put(SPACE, _id_key(id_), schema.encode(), 0)
            except ConflictError:
                continue
            return id_


def _id_key(id: int) -> str:
    return f"id/{id:010}"


def _canonical(schema: str) -> str:
    """The text without its white space; equal texts are one schema."""
    parse_avro(schema)
    try:
        return dumps(json.loads(schema)).decode()
    except ValueError:  # a primitive without quotation marks
        return f'"{schema.strip()}"'
