"""A registry in this process's memory, for tests that only need schemas by id: it takes everything."""

from __future__ import annotations

from collections.abc import Sequence

from watersmeet.core.errors import RequestError, UnavailableError
from watersmeet.core.schemas import Level, Version


class MemorySchemas:
    """The `Schemas` port at level NONE.

    Args:
        texts: of the schemas 1, 2, …
    """

    def __init__(self, *texts: str) -> None:
        self.down = False
        self.asked: list[int] = []
        self._texts: list[str] = list(texts)
        self._subjects: dict[str, list[int]] = {}

    def add(self, schema: str) -> int:
        """The id of a text."""
        if schema not in self._texts:
            self._texts.append(schema)
        return self._texts.index(schema) + 1

    def get(self, id: int) -> str:
        """The text of a schema; `UnavailableError` while it is down."""
        self.asked.append(id)
        if self.down:
            raise UnavailableError("registry", got="no answer")
        if not 1 <= id <= len(self._texts):
            raise RequestError(f"schema {id}", kind="unknown", got="none")
        return self._texts[id - 1]

    def register(self, subject: str, schema: str) -> int:
        """Its id."""
        id_ = self.add(schema)
        if id_ not in self._subjects.setdefault(subject, []):
            self._subjects[subject].append(id_)
        return id_

    def check(self, subject: str, schema: str) -> Sequence[str]:
        """Nothing is forbidden."""
        return ()

    def level(self, subject: str, level: Level | None = None) -> Level:
        """Always NONE."""
        return "NONE"

    def subjects(self) -> Sequence[str]:
        """All subjects, sorted."""
        return sorted(self._subjects)

    def versions(self, subject: str) -> Sequence[Version]:
        """All versions of a subject."""
        ids = self._subjects.get(subject, [])
        return [Version(number, id_, self._texts[id_ - 1]) for number, id_ in enumerate(ids, 1)]

    def probe(self) -> str:
        """What it is."""
        return "in memory"

    def close(self) -> None:
        """Nothing to let go of."""
