"""What an audit found: batch against speed, cell by cell."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """The audit of one epoch of one topic.

    Args:
        topic, epoch: which.
        at_us: when.
        cells: compared, over all fingerprints that both layers held.
        mismatches: cells that differ, or that only one layer has.
        ids: kept ids compared.
        id_mismatches: those that differ.
        ledger_matches: whether both ledgers say the same.
        sampled: cells that plain SQL over the archive recomputed as well.
        sample_mismatches: those that differ.
        views: cells fingerprint -> mismatches, only those above 0.
    """

    topic: str
    epoch: int
    at_us: int
    cells: int
    mismatches: int
    ids: int
    id_mismatches: int
    ledger_matches: bool
    sampled: int = 0
    sample_mismatches: int = 0
    views: tuple[tuple[str, int], ...] = ()

    @property
    def matches(self) -> bool:
        """True if nothing differs."""
        return not (self.mismatches or self.id_mismatches or self.sample_mismatches) and self.ledger_matches

    def encode(self) -> bytes:
        """As JSON, for the state."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Finding:
        """Back from `encode`."""
        fields = json.loads(data)
        fields["views"] = tuple((fp, n) for fp, n in fields["views"])
        return cls(**fields)


def match_rate(findings: Iterable[Finding]) -> tuple[float | None, int]:
    """(cells that agreed by cells compared, cells compared); (None, 0) before the first audit.

    >>> match_rate([])
    (None, 0)
    """
    found = list(findings)
    cells = sum(f.cells for f in found)
    return (1 - sum(f.mismatches for f in found) / cells if cells else (1.0 if found else None)), cells
