"""Every registry keeps what it was given, gives ids that mean one thing, and guards its subjects alike."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import fastavro
import pytest

from tests.laws.columnar import chunk, plain
from tests.laws.test_engines import logged
from watersmeet.adapters.kafka.registry import RegistrySchemas
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.schemas import LocalSchemas
from watersmeet.adapters.local.state import LocalState
from watersmeet.core.address import parse_address
from watersmeet.core.errors import RequestError
from watersmeet.core.schemas import LEVELS, Level, Schemas, framed
from watersmeet.core.topic import Topic
from watersmeet.engines import reference
from watersmeet.engines.columnar.engine import ColumnarEngine

from .evolution import CHANGES, Change

pytestmark = pytest.mark.integration

Open = Callable[[], Schemas]


@pytest.fixture(params=["local", "registry"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens a handle on the same registry, again and again."""
    with ExitStack() as stack:
        if request.param == "local":

            def open_() -> Schemas:
                return LocalSchemas(stack.enter_context(closing(LocalState(tmp_path / "state.db", ManualClock(0)))))
        else:
            address = parse_address(request.getfixturevalue("registry"))

            def open_() -> Schemas:
                return stack.enter_context(closing(RegistrySchemas(address)))

        yield open_


@pytest.fixture
def schemas(opened: Open) -> Schemas:
    return opened()


@pytest.fixture
def subject() -> str:
    """A subject of the test's own."""
    return f"{uuid4().hex}-value"


def record(name: str = "r", **fields: object) -> str:
    """A record; a pair is a type and a default."""
    given = [
        {"name": field, "type": of[0], "default": of[1]} if isinstance(of, tuple) else {"name": field, "type": of}
        for field, of in fields.items()
    ]
    return json.dumps({"type": "record", "name": name, "fields": given})


def test_what_was_registered_is_there(opened: Open, subject: str) -> None:
    first, second = record(x="long"), record(x="long", y=("string", ""))
    ids = [opened().register(subject, text) for text in (first, second)]
    found = opened().versions(subject)
    assert [(v.number, v.id) for v in found] == list(enumerate(ids, 1))
    assert [json.loads(v.schema) for v in found] == [json.loads(first), json.loads(second)]
    assert [json.loads(opened().get(id_)) for id_ in ids] == [json.loads(first), json.loads(second)]
    assert subject in opened().subjects()


def test_the_same_schema_again_is_no_new_version(opened: Open, subject: str) -> None:
    text = record(x="long")
    assert opened().register(subject, text) == opened().register(subject, text)
    assert len(opened().versions(subject)) == 1


def test_one_text_has_one_id_in_all_subjects(schemas: Schemas, subject: str) -> None:
    text = record(x="long", y="bytes")
    assert schemas.register(subject, text) == schemas.register(f"other-{subject}", text)


def test_what_is_not_there(schemas: Schemas, subject: str) -> None:
    for id_ in (0, 2_000_000_000, 2**31 - 1, 2**31, 2**32 - 1):  # every id that a header can name
        with pytest.raises(RequestError) as refused:
            schemas.get(id_)
        assert refused.value.kind == "unknown"
    assert list(schemas.versions(subject)) == []
    assert list(schemas.check(subject, record(x="long"))) == []
    assert subject not in schemas.subjects()


def test_what_is_no_schema_is_refused(schemas: Schemas, subject: str) -> None:
    for text in ("", "{", '{"type":"record"}', '{"type":"unheard"}'):
        with pytest.raises(RequestError):
            schemas.register(subject, text)
    assert list(schemas.versions(subject)) == []


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_kept(opened: Open, subject: str, level: Level) -> None:
    assert opened().level(subject, level) == level
    assert opened().level(subject) == level


def test_a_subject_without_a_level_has_the_registrys(schemas: Schemas, subject: str) -> None:
    assert schemas.level(subject) == "NONE"


def test_a_refusal_says_what_is_wrong_and_registers_nothing(schemas: Schemas, subject: str) -> None:
    schemas.level(subject, "BACKWARD")
    schemas.register(subject, record(x="long"))
    with pytest.raises(RequestError, match=r"BACKWARD.*price: the writer has no such field, and it has no default"):
        schemas.register(subject, record(x="long", price="long"))
    assert len(schemas.versions(subject)) == 1


def test_a_transitive_level_asks_about_all_versions(schemas: Schemas, subject: str) -> None:
    versions = [record(x="long", y="int"), record(x="long"), record(x="long", y="string")]
    for level, forbidden in (("BACKWARD_TRANSITIVE", True), ("NONE", False)):
        schemas.level(f"{level}-{subject}", "NONE")
        for text in versions[:2]:
            schemas.register(f"{level}-{subject}", text)
        schemas.level(f"{level}-{subject}", level)  # type: ignore[arg-type]  # one of LEVELS
        assert bool(schemas.check(f"{level}-{subject}", versions[2])) is forbidden


@pytest.mark.parametrize("level", ["NONE", "BACKWARD", "FORWARD", "FULL"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_evolution(schemas: Schemas, subject: str, change: Change, level: Level) -> None:
    """14 changes at 4 levels: what may be registered."""
    schemas.level(subject, level)
    schemas.register(subject, change.before)
    allowed = level in change.verdicts
    assert bool(schemas.check(subject, change.after)) is not allowed
    if allowed:
        schemas.register(subject, change.after)
    else:
        with pytest.raises(RequestError):
            schemas.register(subject, change.after)
    assert len(schemas.versions(subject)) == 1 + allowed


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_reading_what_changed(schemas: Schemas, subject: str, change: Change) -> None:
    """What the topic that was declared before reads of what is written afterwards, on both engines."""
    topic = Topic("evolving", schema=change.schema, format="avro")
    schemas.level(subject, "NONE")
    ids = [schemas.register(subject, text) for text in (change.before, change.after)]
    payloads = [
        framed(id_, _bytes(text, change.written(number)))
        for number, (id_, text) in enumerate(zip(ids, (change.before, change.after), strict=True))
    ]
    decoded = reference.decode(topic, logged(payloads), schemas)
    found = ColumnarEngine(threads=1, schemas=schemas).decode(topic, chunk(logged(payloads)))
    reasons = {row["offset"]: row["reason"] for row in plain(found.dead)}
    assert reasons == {d.record["offset"]: d.reason for d in decoded if d.reason}
    is_dead = isinstance(change.read, str) and change.read.startswith("!")
    assert reasons == ({1: change.read[1:]} if is_dead else {})
    expected = [{"x": 1, "y": y} for y in (change.values[0], change.read)][: 1 if is_dead else 2]
    rows = plain(found.rows)
    for row, d, wanted in zip(rows, [d for d in decoded if not d.reason], expected, strict=True):
        named = {name: value for name, value in wanted.items() if name in change.schema}
        assert {name: row[name] for name in named} == {name: d.row[name] for name in named} == named


def _bytes(schema: str, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(schema)), value)
    return out.getvalue()
