"""The normal form of declarations: what `apply` stores and every process runs.

Bytes, from which equal declarations can be made without the files that they came from. Topics, views and queries are
written once, under their names; whatever uses one refers to it. A view made by `View.at` is written where it is used,
as a reading of the view that it refers to. Tables, alerts and examples are written beside them.

Row functions and window functions are code and stay in the files. Stored are name, version, type of the result and hash
of the source; on the way back each is looked up by name, and a different one is refused: numbers never change meaning
silently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from . import plain
from .alert import Alert
from .declarations import Declarations, views_of
from .errors import CorruptError, DeclarationError
from .example import Example
from .function import Column, RowFunction
from .measure import Lift, Measure
from .plain import Plain
from .query import Query
from .schema import SqlType
from .table import Table
from .topic import Exclusion, Topic
from .user_window import UserWindow
from .view import CellSpec, View
from .window import Window

FORMAT = 1
_SUBJECT = "stored declarations"
_SECTIONS: dict[str, type] = {"topics": Topic, "views": View, "queries": Query, "tables": Table, "alerts": Alert}
_KINDS: dict[str, type] = {
    cls.__name__: cls for cls in (*_SECTIONS.values(), Example, Exclusion, Lift, Measure, SqlType, UserWindow, Window)
}
_NAMED = {Topic: "topics", View: "views", Query: "queries"}


def encode(declarations: Declarations) -> bytes:
    """The normal form: canonical JSON.

    Raises `DeclarationError` if an example holds anything but plain data, or two functions have one name.
    """
    return plain.dumps(_tree(declarations))


def decode(data: bytes, functions: Mapping[str, RowFunction], *, strict: bool = True) -> Declarations:
    """Back from `encode`: declarations equal to the original ones.

    Args:
        data: the normal form.
        functions: the row and window functions of the files at hand, by name.
        strict: refuse a function that is missing or has another source; otherwise a stand-in takes its place, good
            for comparing and for reading what is stored, that refuses when it is called.

    Raises `DeclarationError` for such a function, `CorruptError` for bytes that `encode` did not write.
    """
    return _Decoder(plain.loads(data, subject=_SUBJECT), functions, strict).declarations()


def name_of(data: bytes) -> str:
    """The key under which a normal form is stored: its digest."""
    return hashlib.sha256(data).hexdigest()[:32]


def functions(declarations: Declarations) -> dict[str, RowFunction]:
    """The row functions of all topics and the window functions of all views, by name.

    Raises `DeclarationError` if two different ones share a name.
    """
    out: dict[str, RowFunction] = {}
    for item, user in _used_functions(declarations):
        if out.setdefault(item.name, item) != item:
            raise DeclarationError(
                f"function {item.name!r} of {user}",
                expected="one function of that name in an app",
                got=f"another one at {out[item.name].where}",
                remedy="rename one of them",
                where=item.where,
            )
    return out


def _used_functions(declarations: Declarations) -> Iterator[tuple[RowFunction, str]]:
    """Each function, and what uses it."""
    for topic in declarations.topics.values():
        yield from ((item, f"topic {topic.name}") for item in topic.functions)
    outputs = [*(table.of for table in declarations.tables.values()), *(x.of for x in declarations.examples)]
    for of in (*declarations.readables.values(), *outputs, *(alert.of for alert in declarations.alerts.values())):
        for view in () if isinstance(of, Topic) else views_of(of):
            if isinstance(view.cells.pane, UserWindow):
                yield view.cells.pane.function, f"view {view.root.name}"


def absent(of: Topic | CellSpec, available: Mapping[str, RowFunction]) -> tuple[DeclarationError, ...]:
    """An error for each function of a topic, or of cells' panes, that is not available, or has another source there."""
    if isinstance(of, Topic):
        used: Sequence[RowFunction] = of.functions
    else:
        used = [of.pane.function] if isinstance(of.pane, UserWindow) else []
    return tuple(_refusal(f, available.get(f.name)) for f in used if available.get(f.name) != f)


def with_exclusions(declarations: Declarations, exclusions: Mapping[str, tuple[Exclusion, ...]]) -> Declarations:
    """The same declarations with other exclusions of some topics; whatever uses those topics follows."""
    tree = _tree(declarations)
    topics = tree["topics"]
    for name, items in exclusions.items():
        topic = topics.get(declarations.topic(name).name) if isinstance(topics, dict) else None
        if isinstance(topic, dict):
            topic["exclusions"] = plain.write(items)
    return _Decoder(tree, functions(declarations), strict=True).declarations()


def in_json(declarations: Declarations) -> Declarations:
    """The same declarations with every topic in JSON: what an example is run on, since its records are given as JSON.

    What the rows of a topic mean does not depend on its format.
    """
    tree = _tree(declarations)
    topics = tree["topics"]
    for topic in topics.values() if isinstance(topics, dict) else ():
        if isinstance(topic, dict):
            topic.pop("format", None)
    return _Decoder(tree, functions(declarations), strict=True).declarations()


def _tree(declarations: Declarations) -> dict[str, Plain]:
    sections = {section: getattr(declarations, section) for section in _SECTIONS}

    def refer(item: object) -> Plain:
        if isinstance(item, RowFunction):
            return {"$": "function", "of": item.name}
        section = _NAMED.get(type(item), "")
        # A view or topic that is only used, and never declared, is written out where it is used.
        if section and sections[section].get(getattr(item, "name", "")) == item:
            return {"$": section, "of": getattr(item, "name", "")}
        return None

    tree: dict[str, Plain] = {"format": FORMAT}
    tree["functions"] = {name: _function(item) for name, item in functions(declarations).items()}
    for section, items in sections.items():
        tree[section] = {name: plain.written_out(item, refer) for name, item in items.items()}
    tree["examples"] = [plain.write(item, refer) for item in declarations.examples]
    return tree


def _function(item: RowFunction) -> Plain:
    stored = {"version": item.version, "returns": item.returns, "source_hash": item.source_hash, "where": item.where}
    return {name: plain.write(value) for name, value in stored.items()}


def _refusal(stored: RowFunction, found: RowFunction | None) -> DeclarationError:
    return DeclarationError(
        f"function {stored.name!r}",
        expected=f"version {stored.version} with source {stored.source_hash}, as applied",
        got=f"version {found.version} with source {found.source_hash}" if found else "no function of that name",
        remedy="run 'watersmeet plan' and 'watersmeet apply' to take up the files, or restore the function",
        where=found.where if found else stored.where,
    )


@dataclass
class _Decoder:
    """Reads sections on demand, so that whatever is referred to exists and is made once."""

    tree: Mapping[str, Plain]
    available: Mapping[str, RowFunction]
    strict: bool
    made: dict[tuple[str, str], object] = field(default_factory=dict)

    def declarations(self) -> Declarations:
        if self.tree.get("format") != FORMAT:
            raise CorruptError(
                _SUBJECT,
                expected=f"format {FORMAT}",
                got=f"format {self.tree.get('format')}",
                remedy="they were written by another version of watersmeet; use that one, or apply again",
            )
        examples = self._read(self.tree.get("examples"))
        sections = {s: {name: self._named(s, name) for name in self._section(s)} for s in _SECTIONS}
        return Declarations(**sections, examples=tuple(examples if isinstance(examples, list) else ()))  # type: ignore[arg-type]  # each section is checked where it is read

    def _section(self, section: str) -> dict[str, Plain]:
        found = self.tree.get(section)
        if not isinstance(found, dict):
            raise CorruptError(_SUBJECT, expected=f"a section {section}", got=type(found).__name__)
        return found

    def _read(self, value: Plain) -> object:
        return plain.read(value, _KINDS, self._follow, subject=_SUBJECT)

    def _follow(self, kind: str, of: Plain) -> object:
        if isinstance(of, str) and kind in _NAMED.values():
            return self._named(kind, of)
        if isinstance(of, str) and kind == "function":
            return self._function(of)
        raise CorruptError(_SUBJECT, expected="a reference to a declaration", got=f"{kind} {of}")

    def _named(self, section: str, name: str) -> object:
        address = (section, name)
        if address not in self.made:
            self.made[address] = None  # a declaration cannot use itself
            found = self._read(self._section(section).get(name))
            if not isinstance(found, _SECTIONS[section]):
                raise CorruptError(_SUBJECT, expected=f"{name} among its {section}", got=type(found).__name__)
            self.made[address] = found
        if self.made[address] is None:
            raise CorruptError(_SUBJECT, expected="declarations that do not use themselves", got=f"{section} {name}")
        return self.made[address]

    def _function(self, name: str) -> RowFunction:
        stored = self._section("functions").get(name)
        fields = {key: self._read(value) for key, value in stored.items()} if isinstance(stored, dict) else {}
        version, returns, source = fields.get("version"), fields.get("returns"), fields.get("source_hash")
        if not (isinstance(version, int) and isinstance(returns, SqlType) and isinstance(source, str)):
            raise CorruptError(_SUBJECT, expected=f"version, type and hash of function {name}", got=str(stored))

        def refuse(*columns: Column) -> Sequence[object]:
            raise refusal

        stand_in = RowFunction(name, version, returns, source, refuse, str(fields.get("where", "")))
        found = self.available.get(name)
        refusal = _refusal(stand_in, found)
        if found == stand_in:
            return found
        if self.strict:
            raise refusal
        return stand_in
