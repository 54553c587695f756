"""Examples: a declaration's test, beside the declaration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .query import Query
from .site import caller
from .topic import Topic
from .view import View


@dataclass(frozen=True)
class Example:
    """Some records, and the rows that must come of them.

    Args:
        of: the topic (``expect`` counts outcomes), view or query under test.
        given: topic name -> records as dictionaries, in order of arrival; with a single topic the list alone.
        expect: the rows of the whole answer, as dictionaries of the columns that matter, in the order of the key; for a
            topic one row {"used": n, "duplicates": n, "dead": n, "filtered": n}.
        name: shown in reports; default the name of ``of``.
    """

    of: Topic | View | Query
    given: Mapping[str, Sequence[Mapping[str, object]]] | Sequence[Mapping[str, object]] = field(hash=False)
    expect: Sequence[Mapping[str, object]] = field(hash=False)
    name: str = ""
    where_declared: str = field(default_factory=caller, compare=False, repr=False)

    @property
    def title(self) -> str:
        """How reports call it."""
        return self.name or self.of.name
