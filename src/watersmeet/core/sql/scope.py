"""Scopes: what the names and expressions of one SELECT stand for.

A name is looked for as DuckDB does: among the columns of the tables, then among the aliases of the SELECT, then as a
table (its rows as structs), then in the SELECT around. What is not understood stands for nothing: no time, and nothing
known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from .axis import Axes, Axis, Bound, Moment, Span
from .function import kind_of, totals_list
from .interval import DAY_US, span_of, unit_us
from .relation import Origin, Relation

_TIMESTAMPS = ("timestamp", "timestampntz", "datetime")


@dataclass
class Scope:
    """A SELECT while it is read, from its tables to its result.

    Args:
        parent: the SELECT around a subquery.
        axes: the times of the rows, as far as the clauses have been read.
        tables: what each table's name stands for.
        visible: the columns that need no table name; those merged by USING once.
        aliases: the expressions of the SELECT list that have a name.
        nested: the relations of subqueries within expressions, by `id` of their node.
        constant: those of ``nested`` that do not look at this SELECT's rows.
        fixed: times that a condition holds to one value.
        pins: after grouping, the key that each axis is tied to; None before.
        asked: how often a subquery looked for a name here.
    """

    parent: Scope | None = None
    axes: Axes = field(default_factory=Axes)
    tables: dict[str, Relation] = field(default_factory=dict)
    visible: list[tuple[str, Origin]] = field(default_factory=list)
    aliases: dict[str, exp.Expr] = field(default_factory=dict)
    nested: dict[int, Relation] = field(default_factory=dict)
    constant: set[int] = field(default_factory=set)
    fixed: set[Axis] = field(default_factory=set)
    pins: Mapping[Axis, Axis] | None = None
    asked: int = 0
    _busy: set[str] = field(default_factory=set)

    # -- names -----------------------------------------------------------------------------------------------------

    def add(self, name: str, relation: Relation) -> None:
        """Read one more table; its axes are the caller's business."""
        self.tables[name.lower() or f"table {len(self.tables)}"] = relation
        self.visible += relation.columns

    def show(self, name: str, merged: Origin) -> None:
        """Show the columns of that name as one, where the first of them stands."""
        places = [i for i, (known, _) in enumerate(self.visible) if known.lower() == name.lower()]
        shown = [(known, merged if i in places else origin) for i, (known, origin) in enumerate(self.visible)]
        self.visible = [column for i, column in enumerate(shown) if i not in places[1:]]

    def table(self, name: str) -> Relation | None:
        """The table of that name, here or around."""
        found = self.tables.get(name.lower()) if name else None
        return found if found is not None or self.parent is None else self.parent.table(name)

    def find(self, name: str) -> Origin | None:
        """The first visible column of that name."""
        return next((origin for known, origin in self.visible if known.lower() == name.lower()), None)

    def resolve(self, column: exp.Column) -> Origin | None:
        """What a column stands for; None if no table here or around is known to have it."""
        found = self._here(column)
        if found is None and self.parent is not None:
            self.parent.asked += 1
            found = self.parent.resolve(column)
            return found and found.without_time()
        return found

    def output(self, key: exp.Expr) -> exp.Expr:
        """What DISTINCT ON means by a key: if it is a name alone, the column of the result before that of a table."""
        if isinstance(key, exp.Column) and not key.table:
            return self.aliases.get(key.name.lower(), key)
        return key

    def _here(self, column: exp.Column) -> Origin | None:
        name, table = column.name.lower(), column.table.lower()
        if column.args.get("db"):
            return None
        if not table:
            return self._plain(name)
        if table in self.tables:
            return self.tables[table].find(name)
        struct = self._plain(table)  # a field of a struct
        return None if struct is None else replace(struct, moment=None)

    def _plain(self, name: str) -> Origin | None:
        found = self.find(name)
        if found is None and name in self.aliases and name not in self._busy:
            self._busy.add(name)
            found = self.origin(self.aliases[name])
            self._busy.remove(name)
        if found is None and name in self.tables:
            found = Origin().mixed(*(origin for _, origin in self.tables[name].columns))
        return found

    @property
    def closed(self) -> bool:
        """True if all columns of all tables here and around are known."""
        own = all(relation.closed for relation in self.tables.values())
        return own and (self.parent is None or self.parent.closed)

    def names(self) -> Iterator[str]:
        """All that a name may stand for, here and around."""
        yield from (name.lower() for table in self.tables.values() for name, _ in table.columns if name)
        yield from self.aliases
        yield from self.tables
        if self.parent is not None:
            yield from self.parent.names()

    # -- expressions -----------------------------------------------------------------------------------------------

    def origin(self, node: exp.Expr) -> Origin:
        """Where the value of an expression comes from."""
        mixed = self.mixed(node)
        return Origin(self.moment(node), mixed.presented, mixed.windows)

    def live(self, node: exp.Expr) -> Moment | None:
        """The time that an expression is, if rows still have it."""
        moment = self.moment(node)
        return moment if moment is not None and moment.axis in self.axes.reach else None

    def moment(self, node: exp.Expr) -> Moment | None:
        """The time that an expression is; None if it is none, or is not understood."""
        match node:
            case exp.Paren() | exp.Alias():
                return self.moment(node.this)
            case exp.Column():
                found = self.resolve(node)
                return found.moment if found is not None else None
            case exp.Cast() if node.is_type(*_TIMESTAMPS):
                return self.moment(node.this)
            case exp.Cast() if node.is_type("date"):
                return self._back(node.this, DAY_US, "DAY")
            case exp.Add():
                return self._shifted(node.this, node.expression) or self._shifted(node.expression, node.this)
            case exp.DateAdd() if not node.args.get("unit"):
                return self._shifted(node.this, node.expression)
            case exp.Sub():
                return self._shifted(node.this, node.expression, back=True)
            case exp.TimestampTrunc() | exp.DateTrunc() if not node.args.get("zone"):
                unit = node.args["unit"].name.upper()
                return self._back(node.this, unit_us(unit), unit)
            case exp.DateBin():
                width = span_of(node.this)
                return self._back(node.expression, width and width[1], node.sql(dialect="duckdb"))
            case exp.Coalesce() | exp.Greatest() | exp.Least():
                return self._either([node.this, *node.expressions])
        return None

    def _shifted(self, of: exp.Expr, by: exp.Expr, *, back: bool = False) -> Moment | None:
        span, moment = span_of(by), self.moment(of)
        if span is None or moment is None:
            return None
        low, high = (-span[1], -span[0]) if back else span
        if low == high:
            return Moment(moment.axis, moment.offset_us + low)
        return self._derived(moment, (low, high), f"{'-' * back}{by.sql(dialect='duckdb')}")

    def _back(self, of: exp.Expr, width_us: int | None, name: str) -> Moment | None:
        moment = self.moment(of)
        if moment is None or width_us is None or width_us <= 0:
            return None
        return self._derived(moment, (1 - width_us, 0), name)

    def _derived(self, moment: Moment, span: Span, name: str) -> Moment | None:
        self.axes, axis = self.axes.derived(moment, span, name)
        return None if axis is None else Moment(axis)

    def _either(self, nodes: Sequence[exp.Expr]) -> Moment | None:
        found = [self.moment(node) for node in nodes]
        moments = [m for m in found if m is not None and m.axis in self.axes.reach]
        if len(moments) < len(nodes):
            return None
        nullable = all(self.axes.may_lack(m.axis) for m in moments)
        self.axes, axis = self.axes.either(moments, nullable=nullable)
        return Moment(axis)

    def mixed(self, node: exp.Expr) -> Origin:
        """What went into a value, apart from its time."""
        if isinstance(node, exp.Query):
            columns = self.nested[id(node)].columns if id(node) in self.nested else ()
            return columns[0][1].without_time() if columns else Origin()
        kind = kind_of(node)
        match node:
            case exp.Column() if isinstance(node.this, exp.Star):
                table = self.table(node.table)
                return _starred(node.this, table.columns if table else ())
            case exp.Column():
                return replace(self.resolve(node) or Origin(), moment=None)
            case exp.Columns():
                return self.mixed(node.this) if node.this.is_star else Origin()  # chosen by a pattern
            case exp.Star():
                return _starred(node, self.visible)
            case exp.Predicate() | exp.Connector() | exp.Not():
                return Origin()
            case exp.Case():
                branches = [branch.args["true"] for branch in node.args["ifs"]]
                return self._all([*branches, node.args.get("default")])
            case exp.If():
                return self._all([node.args["true"], node.args.get("false")])
            case exp.Window() | exp.Filter() | exp.WithinGroup() | exp.Order():
                return self.mixed(node.this)
        if kind == "count":
            return Origin()
        if kind == "selection":
            return self.mixed(node.this) if isinstance(node.this, exp.Expr) else self._all(node.expressions[:1])
        return self._all(node.iter_expressions())

    def _all(self, nodes: Iterable[exp.Expr | None]) -> Origin:
        return Origin().mixed(*(self.mixed(node) for node in nodes if node is not None))

    # -- aggregates ------------------------------------------------------------------------------------------------

    def falsehoods(self, node: exp.Expr, pinned: Iterable[Axis]) -> Iterator[str]:
        """Why an aggregate is false: what it adds up that must not be added up.

        Args:
            node: an aggregate or window function.
            pinned: times that are the same in all rows it sees.
        """
        if kind_of(node) != "total" and not totals_list(node):
            return
        mixed = self._all(node.iter_expressions())
        text = node.sql(dialect="duckdb")
        for label in sorted(mixed.presented):
            yield f"{text} adds up {label}"
        held = {*pinned, *self.fixed}
        if not all(any(self.axes.tied(x, pin) for pin in held) for x in self._seen(mixed.windows)):
            yield f"{text} adds up rows of different windows that overlap"

    def group(self, keys: set[Axis]) -> None:
        """Put rows together that agree in the keys, which are ``keys`` as far as they are times."""
        tied = {x: pin for x in self.axes.reach for pin in keys if self.axes.tied(x, pin)}
        self.pins = {**tied, **{pin: pin for pin in keys}}
        self.axes = self.axes.kept(keys)

    def _seen(self, windows: Iterable[Axis]) -> frozenset[Axis]:
        """Windows by the times that rows still have; after grouping, those that the keys do not tell apart are gone."""
        return frozenset(windows) if self.pins is None else frozenset(self.pins[x] for x in windows if x in self.pins)

    def shown(self, origin: Origin) -> Origin:
        """Where a value comes from, once the rows leave this SELECT."""
        moment = origin.moment if origin.moment is not None and origin.moment.axis in self.axes.reach else None
        windows = self._seen(x for x in origin.windows if not any(self.axes.tied(x, pin) for pin in self.fixed))
        return Origin(moment, origin.presented, windows)

    # -- conditions ------------------------------------------------------------------------------------------------

    def bounds(self, conditions: Iterable[exp.Expr], left: Axes, right: Axes) -> list[Bound]:
        """What conditions say of how far times on the right lie after times on the left."""
        found: dict[tuple[Axis, Axis], tuple[int | None, int | None]] = {}
        lefts, rights = set(left.roots.values()), set(right.roots.values())
        for one, other, low, high in self._comparisons(conditions):
            root, other_root = self.axes.roots[one.axis], self.axes.roots[other.axis]
            if root in rights and other_root in lefts:
                one, other, low, high = other, one, _minus(high), _minus(low)
            elif not (root in lefts and other_root in rights):
                continue
            offset_us = one.offset_us - other.offset_us
            low, high = (None if x is None else x + offset_us for x in (low, high))
            old = found.get((one.axis, other.axis), (None, None))
            lows, highs = [x for x in (low, old[0]) if x is not None], [x for x in (high, old[1]) if x is not None]
            found[one.axis, other.axis] = (max(lows, default=None), min(highs, default=None))
        return [Bound(*pair, (lo, hi)) for pair, (lo, hi) in found.items() if lo is not None and hi is not None]

    def _comparisons(self, conditions: Iterable[exp.Expr]) -> Iterator[tuple[Moment, Moment, int | None, int | None]]:
        for node in conditions:
            pairs: list[tuple[exp.Expr, exp.Expr, int | None, int | None]] = []
            match node:
                case exp.EQ():
                    pairs = [(node.this, node.expression, 0, 0)]
                case exp.LT() | exp.LTE():
                    pairs = [(node.this, node.expression, 0, None)]
                case exp.GT() | exp.GTE():
                    pairs = [(node.expression, node.this, 0, None)]
                case exp.Between():
                    pairs = [(node.args["low"], node.this, 0, None), (node.this, node.args["high"], 0, None)]
            for one, other, low, high in pairs:
                moments = self.live(one), self.live(other)
                if moments[0] is not None and moments[1] is not None:
                    yield moments[0], moments[1], low, high

    def hold(self, conditions: Iterable[exp.Expr]) -> None:
        """Take note of times that conditions hold to one value."""
        for node in conditions:
            if isinstance(node, exp.EQ):
                for one, other in ((node.this, node.expression), (node.expression, node.this)):
                    moment = self.live(one)
                    if moment is not None and self._is_constant(other):
                        self.fixed.add(moment.axis)

    def _is_constant(self, node: exp.Expr) -> bool:
        if isinstance(node, exp.Query):
            return id(node) in self.constant
        if isinstance(node, exp.Column):
            return self._here(node) is None and self.resolve(node) is not None
        return all(self._is_constant(part) for part in node.iter_expressions())


def _minus(value: int | None) -> int | None:
    return None if value is None else -value


def _starred(star: exp.Expr, columns: Iterable[tuple[str, Origin]]) -> Origin:
    """What goes into an expression of all columns."""
    left_out = {part.name.lower() for part in star.args.get("except_") or ()}
    return Origin().mixed(*(origin for name, origin in columns if name.lower() not in left_out))
