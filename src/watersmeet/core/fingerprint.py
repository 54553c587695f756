"""Digests of meaning.

Two fingerprints follow a view through its life. *cells* says what is stored (topic version, filter, explode,
dimensions, panes, lifts): while it stays, nothing is recomputed. *view* says what is served. Both are SHA-256 over a
canonical text of the parts, so white space, comments and the order of measures do not matter.
"""

from __future__ import annotations

import hashlib


def digest(*parts: object) -> str:
    """Sixteen hex digits over the ``repr`` of plain values: strings, numbers, booleans, None and tuples of them.

    >>> digest("a", 1) == digest("a", 1) != digest("a", "1")
    True
    """
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
