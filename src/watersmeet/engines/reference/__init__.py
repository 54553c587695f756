"""The definition of meaning: every step from bytes to an answer in plain Python, row by row, with no cleverness.

    records ── decode ──> Decoded ── cut ──> slices ── decide ──> fates ── inputs ── lift ──> cells ── merge ──> rows
            ──────────────── outcomes ─────────────────────────>       ────── cells ──────>
            ─────────────────────────────────────── answer ─────────────────────────────────────────────────────────>

Every other engine must equal it bit for bit, and it shares no code with them. One thing it borrows: the *expression
language* is DuckDB's by definition, so SQL scalars (where, expr, compute, check, having, bodies of derive) are
evaluated by DuckDB over VALUES of plain columns, all expressions of all rows in one statement (`scalar`). Everything
else is Python integers, `decimal`, `fractions` and `hashlib`.

A value is held as: bool, int, float, Decimal, str, date, a tuple for a list, a dict for a struct, None; a timestamp as
an integer, µs since 1970-01-01Z. `answer` does it all; the steps are there for whoever wants to cut between them.
"""

from .answer import answer, presented, rows, select, shown_types, windows
from .decoding import Decoded, Fate, Known, cut, decide, decode, ledger, outcomes
from .partial import Cells, Input, Partial, add, cells, inputs, lift, merge, present, types, unit, zero
from .scalar import Row, evaluate

__all__ = [
    "Cells",
    "Decoded",
    "Fate",
    "Input",
    "Known",
    "Partial",
    "Row",
    "add",
    "answer",
    "cells",
    "cut",
    "decide",
    "decode",
    "evaluate",
    "inputs",
    "ledger",
    "lift",
    "merge",
    "outcomes",
    "present",
    "presented",
    "rows",
    "select",
    "shown_types",
    "types",
    "unit",
    "windows",
    "zero",
]
