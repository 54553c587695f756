"""The tracer: reads the SELECTs of a query from the inside out, in the order in which their clauses take effect.

FROM and joins (with the conditions of WHERE that join), subqueries within expressions, WHERE, GROUP BY, windows, the
SELECT list, DISTINCT, LIMIT. After each step the axes of the scope hold their promise for the rows at that step
(`watersmeet.core.sql.axis`). What is not understood keeps the promise by reading its inputs whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from ..errors import DeclarationError
from ..site import suggest
from .axis import Axes, Axis, Bound, Moment
from .clause import conjuncts, frame, function_of, is_cut, is_windowed, keys, nodes
from .function import kind_of, totals_list
from .projection import deduplicated, projected, stacked
from .relation import Origin, Relation
from .scope import Scope

_Tables = Mapping[str, Relation]


@dataclass
class Tracer:
    """Reads one query.

    Args:
        subject, where: for errors.
        falsehoods: what it adds up that must not be added up, as far as it was read.
    """

    subject: str
    where: str
    falsehoods: list[str] = field(default_factory=list)

    def query(self, node: exp.Expr, tables: _Tables, parent: Scope | None = None) -> Relation:
        """The result of a SELECT, a set operation, or one of them in parentheses.

        Args:
            node: the syntax tree.
            tables: what it may read, by name in lower case.
            parent: the SELECT around it.
        """
        tables = self._with(node, tables, parent)
        match node:
            case exp.Select():
                result = self._select(node, tables, parent)
            case exp.SetOperation():
                left, right = self.query(node.this, tables, parent), self.query(node.expression, tables, parent)
                result = stacked(left, right, by_name=bool(node.args.get("by_name")))
            case exp.Subquery() if isinstance(node.this, exp.Query):
                result = self.query(node.this, tables, parent)
            case _:
                return self._opaque(node, tables)
        return replace(result, axes=result.axes.whole()) if is_cut(node) else result

    def _with(self, node: exp.Expr, tables: _Tables, parent: Scope | None) -> _Tables:
        clause = node.args.get("with_")
        if clause is None:
            return tables
        for cte in clause.expressions:
            name = cte.alias.lower()
            again = clause.args.get("recursive") and any(t.name.lower() == name for t in cte.this.find_all(exp.Table))
            found = self._opaque(cte.this, tables) if again else self.query(cte.this, tables, parent)
            tables = {**tables, name: found.renamed([column.name for column in cte.args["alias"].columns])}
        return tables

    def _opaque(self, node: exp.Expr, tables: _Tables) -> Relation:
        """Rows of which nothing is known but the inputs that they may rest on."""
        found = (tables.get(table.name.lower()) for table in node.find_all(exp.Table))
        inputs = frozenset(name for relation in found if relation for name in relation.axes.inputs)
        return Relation(axes=Axes(inputs), complete=False)

    def _select(self, node: exp.Select, tables: _Tables, parent: Scope | None) -> Relation:
        scope = Scope(parent)
        clause, where = node.args.get("from_"), node.args.get("where")
        conditions = list(conjuncts(where.this if where else None))
        if clause is not None:
            self._from(scope, clause.this, node.args.get("joins") or (), conditions, tables)
        scope.aliases = {item.alias.lower(): item.this for item in node.expressions if isinstance(item, exp.Alias)}
        self._nest(scope, node, tables)
        self._check_names(scope, node)
        scope.hold(conditions)
        self._group(scope, node)
        self._look(scope, node)
        columns, complete = projected(scope, node)
        result = Relation(columns, replace(scope.axes, names={}), complete)
        distinct = node.args.get("distinct")
        if distinct is None:
            return result
        on = distinct.args.get("on")
        found = [scope.live(scope.output(key)) for key in on.expressions] if on else [o.moment for _, o in columns]
        return deduplicated(result, {moment.axis for moment in found if moment is not None})

    # -- clauses -----------------------------------------------------------------------------------------------------

    def _nest(self, scope: Scope, node: exp.Select, tables: _Tables) -> None:
        """Read the subqueries within expressions; whatever they rest on is needed whole."""
        for query in (part for part in nodes(node) if isinstance(part, exp.Query)):
            asked = scope.asked
            relation = self.query(query, tables, scope)
            scope.nested[id(query)] = relation
            scope.axes = scope.axes.whole(relation.axes.inputs)
            if scope.asked == asked:
                scope.constant.add(id(query))

    def _group(self, scope: Scope, node: exp.Select) -> None:
        """Put rows together, by GROUP BY or because there is an aggregate."""
        aggregates = [part for part in nodes(node) if kind_of(part) and not is_windowed(part)]
        lists = [part for part in nodes(node) if totals_list(part)]
        group = node.args.get("group")
        if group is None and not aggregates:
            for part in lists:
                self.falsehoods += scope.falsehoods(part, scope.axes.reach)
            return
        moments = [scope.live(key) for key in keys(node)]
        if group is not None and group.args.get("all") and any(item.is_star for item in node.expressions):
            moments += [origin.moment for _, origin in scope.visible]
        pins = {moment.axis for moment in moments if moment is not None}
        for part in (*aggregates, *lists):
            self.falsehoods += scope.falsehoods(part, pins)
        scope.group(pins)

    def _look(self, scope: Scope, node: exp.Select) -> None:
        """Let rows look at others, through windows."""
        named = {window.this.name.lower(): window for window in node.args.get("windows") or ()}
        distinct, order = node.args.get("distinct"), node.args.get("order")
        choosing = list(order.walk()) if order and distinct and distinct.args.get("on") else []
        windows = []
        for part in nodes(node):
            if not isinstance(part, exp.Window) or part in named.values():
                continue
            base = named.get(str(part.args.get("alias") or "").lower())
            around = [key for window in (base, part) if window for key in window.args.get("partition_by") or ()]
            bounds = [Bound(m.axis, m.axis, (0, 0)) for key in around if (m := scope.live(key)) is not None]
            self.falsehoods += scope.falsehoods(function_of(part), [bound.left for bound in bounds])
            framed = frame(part)
            moment = scope.live(framed[0]) if framed else None
            if framed and moment:
                bounds.append(Bound(moment.axis, moment.axis, framed[1]))
            # Where ORDER BY chooses rows, a name in it may mean an alias first.
            windows.append([] if any(part is other for other in choosing) else bounds)
        scope.axes = scope.axes.spread(windows)

    def _check_names(self, scope: Scope, node: exp.Select) -> None:
        """Refuse a column that no table in reach has; says nothing where not all columns are known."""
        if not scope.closed:
            return
        known = {name.lower() for name in scope.names()}
        known |= {p.name.lower() for part in nodes(node) if isinstance(part, exp.Lambda) for p in part.expressions}
        known |= {part.expression.name.lower() for part in nodes(node) if isinstance(part, exp.Comprehension)}
        for column in (part for part in nodes(node) if isinstance(part, exp.Column)):
            wrong, among = column.parts[0].name.lower(), known
            table = scope.table(column.table)
            if table is not None and not isinstance(column.this, exp.Star):
                wrong, among = column.name.lower(), {name.lower() for name, _ in table.columns}
            if wrong not in among:
                raise self._unknown(column.sql(dialect="duckdb"), wrong, among)

    def _unknown(self, text: str, wrong: str, among: Iterable[str]) -> DeclarationError:
        remedy = suggest(wrong, among)
        return DeclarationError(
            self.subject, expected="a known column", got=repr(text), remedy=remedy, where=self.where
        )

    # -- FROM --------------------------------------------------------------------------------------------------------

    def _from(
        self, scope: Scope, first: exp.Expr, joins: Sequence[exp.Join], conditions: list[exp.Expr], tables: _Tables
    ) -> None:
        name, relation = self._source(first, tables, scope)
        scope.add(name, relation)
        scope.axes = relation.axes
        for join in joins:
            self._join(scope, join, conditions, tables)

    def _source(self, node: exp.Expr, tables: _Tables, scope: Scope) -> tuple[str, Relation]:
        """One table of a FROM clause: the name by which columns call it, and its rows."""
        inner = node.this if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table) else node
        name = node.alias_or_name
        joins = inner.args.get("joins")
        match inner:
            case exp.Table() if joins:
                several, first = Scope(scope), inner.copy()
                first.set("joins", None)
                self._from(several, first, joins, [], tables)
                # Its tables keep their names outside of the parentheses; those are left unknown.
                name = node.alias if isinstance(node, exp.Subquery) else ""
                relation = Relation(tuple(several.visible), replace(several.axes, names={}), complete=False)
            case exp.Table() if isinstance(inner.this, exp.Identifier):
                known = tables.get(inner.name.lower())
                relation = known.fresh() if known else Relation(complete=False)
            case exp.Subquery():
                relation = self.query(inner, tables, scope)
            case exp.Lateral() if isinstance(inner.this, exp.Query):
                relation = self.query(inner.this, tables, scope)
            case _:
                relation = self._opaque(inner, tables)
        alias = node.args.get("alias")
        return name, relation.renamed([column.name for column in alias.columns] if alias else [])

    def _join(self, scope: Scope, node: exp.Join, conditions: list[exp.Expr], tables: _Tables) -> None:
        method, side, kind = (str(node.args.get(part) or "").upper() for part in ("method", "side", "kind"))
        name, right = self._source(node.this, tables, scope)
        left, visible = scope.axes, list(scope.visible)
        using = [column.name for column in node.args.get("using") or ()]
        if method == "NATURAL":
            using = [known for known, _ in visible if right.find(known)]
        for column in using:
            for relation in (Relation(tuple(visible), complete=scope.closed), right):
                if relation.closed and relation.find(column) is None:
                    raise self._unknown(column, column.lower(), (known.lower() for known, _ in relation.columns))
        shared = [(column, scope.find(column) or Origin(), right.find(column) or Origin()) for column in using]
        scope.axes = left.beside(right.axes)
        scope.add(name, right)
        on = list(conjuncts(node.args.get("on")))
        inner = not side and not method and kind in ("", "INNER", "CROSS")
        bounds = scope.bounds(on + conditions if inner else on, left, right.axes)
        for _, one, other in shared:
            if one.moment and other.moment:
                offset_us = one.moment.offset_us - other.moment.offset_us
                bounds.append(Bound(one.moment.axis, other.moment.axis, (offset_us, offset_us)))
        lacking: list[Axis] = []
        if side in ("LEFT", "FULL"):
            lacking += right.axes.reach
        if side in ("RIGHT", "FULL"):
            lacking += left.reach
        scope.axes = scope.axes.joined(left, right.axes, bounds, lacking=lacking)
        if method not in ("", "ASOF", "NATURAL") or kind not in ("", "INNER", "OUTER", "CROSS", "SEMI", "ANTI"):
            scope.axes = scope.axes.whole()
        if kind in ("SEMI", "ANTI"):
            roots = set(left.roots.values())
            scope.visible = visible
            scope.axes = scope.axes.kept({axis for axis in scope.axes.reach if scope.axes.roots[axis] in roots})
            return
        for column, one, other in shared:
            scope.show(column, _merged(scope, one, other, side, left.nullable | right.axes.nullable))


def _merged(scope: Scope, one: Origin, other: Origin, side: str, nullable: frozenset[Axis]) -> Origin:
    """The column that USING makes of two, ``nullable`` being what the two sides could lack before."""
    moment: Moment | None = None
    if side == "RIGHT":
        moment = other.moment
    elif side != "FULL":
        moment = one.moment or (None if side else other.moment)
    elif one.moment and other.moment:
        may_lack = any(scope.axes.roots[m.axis] in nullable for m in (one.moment, other.moment))
        scope.axes, axis = scope.axes.either([one.moment, other.moment], nullable=may_lack)
        moment = Moment(axis)
    return replace(one.mixed(other), moment=moment)
