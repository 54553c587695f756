"""Axes: where the time of a row comes from, followed through the relations of a query.

An *axis* is a time that each row of a relation has, or lacks. What is kept about it is one promise. Let x be an axis of
relation R, and i an input on which R rests, with ``reach[x][i] = (a, b)``. Then for each time t

    the rows of R whose x is t are the same, whatever R's other inputs hold,
    when i keeps no more than its rows whose own time lies in [t + a, t + b]

and None in place of (a, b) says: only when i keeps everything. Since the promise holds whatever the other inputs hold,
inputs may be cut down one after the other; and of two ways to the same input the narrower may be taken.

A *gap* (a, b) between axes x and y says that y − x lies in [a, b] in each row that has both. It comes from a join that
equates times, or from an axis made from another (`Axes.derived`).

All times and lengths are microseconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

Span = tuple[int, int]
Reach = Mapping[str, Span | None]


class Axis:
    """A time that each row of a relation has, or lacks; equal only to itself."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """A value that is always ``offset_us`` after an axis."""

    axis: Axis
    offset_us: int = 0


@dataclass(frozen=True, slots=True)
class Bound:
    """What is known of two rows that meet: an axis of the second lies within ``span`` after an axis of the first."""

    left: Axis
    right: Axis
    span: Span


@dataclass(frozen=True, slots=True)
class Axes:
    """The axes of one relation; every operation gives new ones.

    Args:
        inputs: on which the relation rests.
        reach: by axis, for every one of ``inputs``.
        gaps: between pairs of axes.
        roots: the axis from which each was derived; they are null together.
        nullable: the roots that a row may lack.
        names: axes derived in this relation, by what they were derived from and how.
    """

    inputs: frozenset[str] = frozenset()
    reach: Mapping[Axis, Reach] = field(default_factory=dict)
    gaps: Mapping[tuple[Axis, Axis], Span] = field(default_factory=dict)
    roots: Mapping[Axis, Axis] = field(default_factory=dict)
    nullable: frozenset[Axis] = frozenset()
    names: Mapping[tuple[Moment, str], Axis] = field(default_factory=dict)

    def gap(self, start: Axis, end: Axis) -> Span | None:
        """How far ``end`` lies after ``start``; None if nobody knows."""
        if start is end:
            return 0, 0
        if (start, end) in self.gaps:
            return self.gaps[start, end]
        back = self.gaps.get((end, start))
        return None if back is None else (-back[1], -back[0])

    def tied(self, start: Axis, end: Axis) -> bool:
        """True if the two always lie equally far apart."""
        gap = self.gap(start, end)
        return gap is not None and gap[0] == gap[1]

    def may_lack(self, axis: Axis) -> bool:
        """True if some row may have no such time."""
        return self.roots[axis] in self.nullable

    def scanned(self, name: str, *, nullable: bool) -> tuple[Axes, Axis]:
        """The rows of an input, and the axis that is their own time."""
        axis = Axis()
        roots = frozenset([axis]) if nullable else frozenset[Axis]()
        return Axes(frozenset([name]), {axis: {name: (0, 0)}}, {}, {axis: axis}, roots), axis

    def derived(self, moment: Moment, span: Span, name: str) -> tuple[Axes, Axis | None]:
        """An axis that lies within ``span`` after a moment, by a rule called ``name``; None if the moment is gone."""
        known = self.names.get((moment, name))
        if known is not None or moment.axis not in self.reach:
            return self, known
        axis, gap = Axis(), _sum(span, (moment.offset_us, moment.offset_us))
        reach = _along(self.reach[moment.axis], (-gap[1], -gap[0]))
        gaps = {(x, axis): _sum(to, gap) for x in self.reach if (to := self.gap(x, moment.axis)) is not None}
        return (
            replace(
                self,
                reach={**self.reach, axis: reach},
                gaps={**self.gaps, **gaps},
                roots={**self.roots, axis: self.roots[moment.axis]},
                names={**self.names, (moment, name): axis},
            ),
            axis,
        )

    def either(self, moments: Sequence[Moment], *, nullable: bool) -> tuple[Axes, Axis]:
        """An axis that in each row is one of several moments, chosen by that row alone."""
        axis = Axis()
        ways = [_along(self.reach[m.axis], (-m.offset_us, -m.offset_us)) for m in moments]
        gaps = {}
        for x in self.reach:
            found = [_sum(to, (m.offset_us, m.offset_us)) for m in moments if (to := self.gap(x, m.axis)) is not None]
            if len(found) == len(moments):
                gaps[x, axis] = (min(lo for lo, _ in found), max(hi for _, hi in found))
        return (
            replace(
                self,
                reach={**self.reach, axis: _widest(ways)},
                gaps={**self.gaps, **gaps},
                roots={**self.roots, axis: axis},
                nullable=self.nullable | {axis} if nullable else self.nullable,
            ),
            axis,
        )

    def beside(self, other: Axes) -> Axes:
        """The axes of two relations that are about to be joined, each still as it was."""
        return Axes(
            self.inputs | other.inputs,
            {**self.reach, **other.reach},
            {**self.gaps, **other.gaps},
            {**self.roots, **other.roots},
            self.nullable | other.nullable,
            {**self.names, **other.names},
        )

    def joined(self, left: Axes, right: Axes, bounds: Sequence[Bound], *, lacking: Iterable[Axis] = ()) -> Axes:
        """Axes beside each other, after a join.

        Args:
            left, right: the two sides as they were; ``self`` has their axes and those derived from them since.
            bounds: what the join's condition implies, each from left to right.
            lacking: axes that rows without a partner lack.
        """
        turned = [Bound(b.right, b.left, (-b.span[1], -b.span[0])) for b in bounds]
        lefts, rights = set(left.roots.values()), set(right.roots.values())
        ends = [axis for axis in self.reach if self.roots[axis] in rights]
        reach, gaps = {}, dict(self.gaps)
        for axis, own in self.reach.items():
            if self.roots[axis] in lefts:
                reach[axis] = _widest([own, _narrowest(self._ways(axis, bounds), right.inputs)])
                gaps |= {(axis, end): gap for end in ends if (gap := self._across(axis, end, bounds))}
            elif self.roots[axis] in rights:
                reach[axis] = _widest([own, _narrowest(self._ways(axis, turned), left.inputs)])
        return replace(self, reach=reach, gaps=gaps, nullable=self.nullable | {self.roots[axis] for axis in lacking})

    def _across(self, start: Axis, end: Axis, bounds: Sequence[Bound]) -> Span | None:
        found = None
        for bound in bounds:
            to, on = self.gap(start, bound.left), self.gap(bound.right, end)
            if to is not None and on is not None:
                gap = _sum(_sum(to, bound.span), on)
                found = gap if found is None else (max(found[0], gap[0]), min(found[1], gap[1]))
        return found

    def _ways(self, axis: Axis, bounds: Iterable[Bound]) -> list[Reach]:
        """What the rows with one value of ``axis`` reach on the other side of the bounds."""
        gaps = ((b, self.gap(axis, b.left)) for b in bounds)
        return [_along(self.reach[b.right], _sum(gap, b.span)) for b, gap in gaps if gap is not None]

    def kept(self, axes: Collection[Axis]) -> Axes:
        """Only some axes are left: rows were put together that agree in these, and in nothing else that is a time."""
        return replace(
            self,
            reach={x: reach for x, reach in self.reach.items() if x in axes},
            gaps={(x, y): gap for (x, y), gap in self.gaps.items() if x in axes and y in axes},
            names={name: x for name, x in self.names.items() if x in axes},
        )

    def spread(self, windows: Sequence[Sequence[Bound]]) -> Axes:
        """Each row now looks at others, by one or more windows.

        Args:
            windows: for each, what is known of the rows that it looks at, from the row's own axis to theirs. All bounds
                of one window hold at once.
        """
        reach = {}
        for axis, own in self.reach.items():
            # A row that lacks the bound's axis looks at all others that lack it, whatever their other times are.
            usable = [
                [b for b in bounds if self.roots[b.left] is self.roots[axis] or not self.may_lack(b.left)]
                for bounds in windows
            ]
            reach[axis] = _widest([own, *(_narrowest(self._ways(axis, bounds), self.inputs) for bounds in usable)])
        return replace(self, reach=reach)

    def whole(self, inputs: Collection[str] | None = None) -> Axes:
        """Each row depends on all of some inputs; default: of every one."""
        wanted = self.inputs if inputs is None else inputs
        reach = {axis: {**own, **dict.fromkeys(wanted)} for axis, own in self.reach.items()}
        return replace(self, inputs=self.inputs | frozenset(wanted), reach=reach)

    def stacked(
        self, other: Axes, pairs: Sequence[tuple[Moment | None, Moment | None]]
    ) -> tuple[Axes, list[Axis | None]]:
        """The axes of a set operation: for each pair of columns one, or None where neither side has a moment."""
        sides = (self, other)
        made = [None if pair == (None, None) else Axis() for pair in pairs]
        found = [(axis, pair) for axis, pair in zip(made, pairs, strict=True) if axis is not None]
        reach = {
            axis: _widest([side._at(moment) for side, moment in zip(sides, pair, strict=True)]) for axis, pair in found
        }
        gaps = {
            (x, y): (min(g[0] for g in both), max(g[1] for g in both))
            for i, (x, of) in enumerate(found)
            for y, to in found[i + 1 :]
            if len(both := [g for s, m, n in zip(sides, of, to, strict=True) if (g := s._between(m, n))]) == 2
        }
        lacking = {
            axis
            for axis, pair in found
            if any(m is None or side.may_lack(m.axis) for side, m in zip(sides, pair, strict=True))
        }
        roots = {axis: axis for axis, _ in found}
        return Axes(self.inputs | other.inputs, reach, gaps, roots, frozenset(lacking)), made

    def _at(self, moment: Moment | None) -> Reach:
        if moment is None:
            return dict.fromkeys(self.inputs)
        return _along(self.reach[moment.axis], (-moment.offset_us, -moment.offset_us))

    def _between(self, start: Moment | None, end: Moment | None) -> Span | None:
        gap = None if start is None or end is None else self.gap(start.axis, end.axis)
        return (
            None if gap is None or start is None or end is None else _sum(gap, (end.offset_us - start.offset_us,) * 2)
        )

    def fresh(self) -> tuple[Axes, Mapping[Axis, Axis]]:
        """The same for another reading of the same relation, and what each axis is called there."""
        new = {axis: Axis() for axis in {*self.roots, *self.roots.values()}}
        return (
            Axes(
                self.inputs,
                {new[x]: reach for x, reach in self.reach.items()},
                {(new[x], new[y]): gap for (x, y), gap in self.gaps.items()},
                {new[x]: new[root] for x, root in self.roots.items()},
                frozenset(new[x] for x in self.nullable if x in new),
            ),
            new,
        )


def _sum(one: Span, other: Span) -> Span:
    return one[0] + other[0], one[1] + other[1]


def _along(reach: Reach, gap: Span) -> Reach:
    """What is reached from a time before which an axis lies by ``gap``."""
    return {name: None if span is None else _sum(span, gap) for name, span in reach.items()}


def _narrowest(ways: Sequence[Reach], inputs: Iterable[str]) -> Reach:
    """For each input the best of several ways to it; None if there is none."""
    found = {name: [span for way in ways if (span := way.get(name)) is not None] for name in inputs}
    return {name: min(spans, key=lambda s: s[1] - s[0], default=None) for name, spans in found.items()}


def _widest(reaches: Sequence[Reach]) -> Reach:
    """What is reached by any of several ways."""
    out: dict[str, Span | None] = {}
    for reach in reaches:
        for name, span in reach.items():
            old = out.get(name, span)
            out[name] = None if old is None or span is None else (min(old[0], span[0]), max(old[1], span[1]))
    return out
