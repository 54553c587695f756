"""Lineage: what a query's result rests on, found out without running it.

Two questions are answered from one reading. *How far does a range on the result reach into each input?* Time is
followed through projections, constant shifts, ``date_trunc`` and ``time_bucket``, joins that equate or bound times,
GROUP BY, DISTINCT, set operations and PARTITION BY that include it, and bounded RANGE frames, which widen it (`Shift`).
An input on whose way time is lost, or that is used in a way that is not understood, is read whole. *Does it add up what
must not be added up?* Presented means and distinct counts, and rows of different windows that overlap, are followed
likewise.

Both answers lean to the safe side of theirs: a range is pushed down only where that is proved, a total is refused only
where it is seen to be false.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from ..errors import DeclarationError
from .query import parse
from .relation import Input, Relation, relation_of
from .tracer import Tracer


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a range on a result reaches into an input.

    A row of the result with time t rests on the rows of the input with a time in [t − before_us, t + after_us]. Either
    may be negative: the whole span then lies on one side of t. Truncation is part of it: an hour needs the input's rows
    up to an hour after its start.

    Args:
        before_us, after_us: in microseconds.
    """

    before_us: int = 0
    after_us: int = 0

    def apply(self, lower_us: int | None, upper_us: int | None) -> tuple[int | None, int | None]:
        """The half-open range of the input that a half-open range of the result needs; None: unbounded."""
        return (
            None if lower_us is None else lower_us - self.before_us,
            None if upper_us is None else upper_us + self.after_us,
        )


@dataclass(frozen=True, slots=True)
class Lineage:
    """What was found out about a query.

    Args:
        result: its rows.
        inputs: its aliases.
        falsehoods: each total that adds up what must not be added up, in words.
    """

    result: Relation
    inputs: tuple[str, ...]
    falsehoods: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The columns of the result, in order; None if they depend on what is not known here."""
        return tuple(name for name, _ in self.result.columns) if self.result.closed else None


def trace(sql: str, inputs: Mapping[str, Input], *, subject: str, where: str) -> Lineage:
    """Read a query.

    Args:
        sql: one SELECT.
        inputs: what it may read, by alias.
        subject, where: for errors.

    Raises `DeclarationError` for SQL that cannot be parsed, and for a column that none of the tables in reach has.
    """
    tracer = Tracer(subject, where)
    tables = {name.lower(): relation_of(name, given) for name, given in inputs.items()}
    result = tracer.query(parse(sql, subject=subject, where=where), tables)
    return Lineage(result, tuple(inputs), tuple(dict.fromkeys(tracer.falsehoods)))


def extended(given: Input, derived: Sequence[tuple[str, str]], time: str | None, *, subject: str, where: str) -> Input:
    """An input with more columns, each (name, SQL scalar over those before it), and what follows of them."""
    columns = (
        exp.alias_(parse(f"select {text}", subject=subject, where=where).selects[0], name) for name, text in derived
    )
    tree = exp.select("*", *columns).from_("it")
    return Tracer(subject, where).query(tree, {"it": relation_of("it", given)}).as_input(time)


def pushdown(lineage: Lineage, time: str | None) -> Mapping[str, Shift | None]:
    """For each input how far a range on the result's column ``time`` reaches into it; None: it must be read whole."""
    origin = lineage.result.find(time) if time else None
    moment, axes = (origin.moment if origin else None), lineage.result.axes
    if moment is None:
        return dict.fromkeys(lineage.inputs)
    reach = axes.reach[moment.axis]
    spans = {name: reach.get(name) for name in lineage.inputs}
    return {
        name: None if span is None else Shift(moment.offset_us - span[0], span[1] - moment.offset_us)
        for name, span in spans.items()
    }


def check_aggregates(lineage: Lineage, unsafe: str | None, *, subject: str, where: str) -> None:
    """Refuse false totals: `DeclarationError` for the first of them, unless ``unsafe`` says why it is right."""
    if lineage.falsehoods and not unsafe:
        raise DeclarationError(
            subject,
            expected="totals of what may be added up, such as counts and sums",
            got=lineage.falsehoods[0],
            remedy="let a view merge the partials (view.at with another window, by= or through=), keep to one window "
            'with group by window_end, select with max, min or arg_max, or say why it is right with unsafe="reason"',
            where=where,
        )
