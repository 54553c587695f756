"""Topics: what decides the fate of a record, and what of it makes a new version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

import watersmeet as wm
from watersmeet.core.topic import Exclusion, Topic

from .refusals import refusal

pytestmark = pytest.mark.unit

SCHEMA = {
    "order_id": "varchar not null",
    "customer": "varchar",
    "tags": "varchar[] not null",
    "amount": "decimal(10,2)",
    "at": "timestamp_ms not null",
    "noted_at": "timestamp",
}


@wm.function(version=1, returns="integer")
def letters(text: list[str | None]) -> list[int | None]:
    return [None if item is None else len(item) for item in text]


@wm.function(version=2, returns="integer")
def initials(text: list[str | None]) -> list[int | None]:
    return [None if item is None else len(item) for item in text]


ORDERS = Topic(
    "orders",
    SCHEMA,
    event_time="at",
    id="order_id",
    check={"negative": "amount >= 0"},
    compute={"whole": "floor(amount)", "twice": "whole * 2", "signs": "letters(customer)"},
    functions=[letters],
)

WRONG: Mapping[str, tuple[Callable[[], object], str, str, str]] = {
    "name": (lambda: Topic("../orders", SCHEMA), "topic name", "beginning with a letter", "rename it"),
    "no event time": (lambda: Topic("t", SCHEMA, event_time="att"), "event_time of topic t", "a column of the schema", "did you mean 'at'?"),
    "no id": (lambda: Topic("t", SCHEMA, id="orderid"), "id of topic t", "a column of the schema", "did you mean 'order_id'?"),
    "event time may be null": (lambda: Topic("t", SCHEMA, event_time="noted_at"), "event_time of topic t", "not null", "timestamp not null"),
    "event time is text": (lambda: Topic("t", SCHEMA, event_time="order_id"), "event_time of topic t", "a timestamp column", "timestamp not null"),
    "id may be null": (lambda: Topic("t", SCHEMA, id="customer"), "id of topic t", "a single column that is not null", "not null"),
    "key is a list": (lambda: Topic("t", SCHEMA, key="tags"), "key of topic t", "a single column", "choose another"),
    "another event_time": (
        lambda: Topic("t", {**SCHEMA, "event_time": "timestamp"}, event_time="at"),
        "topic t",
        "a column called event_time to be the event time",
        "rename the column",
    ),
    "partitions": (lambda: Topic("t", SCHEMA, partitions=0), "partitions of topic t", "1 to 4096", "core"),
    "extra": (lambda: Topic("t", SCHEMA, extra="keep"), "extra of topic t", "'reject' or 'ignore'", "ignore"),  # type: ignore[arg-type]  # as users do
    "zone": (lambda: Topic("t", SCHEMA, zone="Europe/Berlim"), "zone of topic t", "an IANA zone", "UTC"),
    "lateness": (lambda: Topic("t", SCHEMA, lateness="soon"), "lateness of topic t", "a length of time", "units"),
    "horizon": (lambda: Topic("t", SCHEMA, horizon="0s"), "horizon of topic t", "a length of time", "units"),
    "type": (lambda: Topic("t", {"a": "text"}), "type of column 'a'", "varchar", "for example"),
    "no schema": (lambda: Topic("t", {}), "schema", "at least one column", "for example"),
    "check of nothing": (lambda: Topic("t", SCHEMA, check={"bad": "amout > 0"}), "check 'bad' of topic t", "a known column", "did you mean 'amount'?"),
    "check of a computed column": (
        lambda: Topic("t", SCHEMA, compute={"whole": "floor(amount)"}, check={"bad": "whole > 0"}),
        "check 'bad' of topic t",
        "a known column",
        "known are",
    ),
    "clock": (lambda: Topic("t", SCHEMA, compute={"age": "now() - at"}), "compute 'age' of topic t", "at any time", "event_time"),
    "computed twice": (lambda: Topic("t", SCHEMA, compute={"amount": "1"}), "computed column 'amount' of topic t", "a name that the schema", "rename"),
    "computed later": (lambda: Topic("t", SCHEMA, compute={"b": "c + 1", "c": "1"}), "compute 'b' of topic t", "a known column", "known are"),
    "reserved": (lambda: Topic("t", SCHEMA, compute={"final": "1"}), "topic t compute column 'final'", "not reserved", "rename it"),
    "nested calls": (
        lambda: Topic("t", SCHEMA, compute={"x": "letters(initials(customer))"}, functions=[letters, initials]),
        "compute 'x' of topic t",
        "row functions that are not nested",
        "a column of its own",
    ),
    "no row function": (lambda: Topic("t", SCHEMA, functions=[len]), "function of topic t", "row functions", "@wm.function"),  # type: ignore[list-item]  # as users do
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_topic_is_refused(name: str) -> None:
    declare, subject, expected, remedy = WRONG[name]
    error = refusal(declare)
    assert error.subject == subject
    assert expected in error.expected
    assert remedy in error.remedy


def test_columns_are_the_schema_the_computed_ones_and_the_place() -> None:
    assert ORDERS.columns == (*SCHEMA, "whole", "twice", "signs", "event_time", "arrived_at", "partition", "offset")


def test_a_topic_may_carry_its_time_under_the_platforms_own_word() -> None:
    topic = Topic("t", {"event_time": "timestamp not null"}, event_time="event_time")
    assert topic.columns == ("event_time", "arrived_at", "partition", "offset")


def test_a_row_function_is_called_once_a_record_with_its_arguments() -> None:
    [call] = dict(ORDERS.computed)["signs"].calls
    assert (call.name, call.arguments) == ("letters", ("customer",))


def test_the_horizon_is_the_retention_unless_it_is_said() -> None:
    assert (
        Topic("t", SCHEMA, retention="3d").horizon_us
        == Topic("t", SCHEMA, horizon="3d").horizon_us
        == 3 * 86_400_000_000
    )


KEEPS: Mapping[str, Topic] = {
    "lateness": replace(ORDERS, lateness="1h"),
    "idle": replace(ORDERS, idle="5m"),
    "zone": replace(ORDERS, zone="Europe/Berlin"),
    "partitions": replace(ORDERS, partitions=8),
    "key": replace(ORDERS, key="order_id"),
    "white space": replace(ORDERS, check={"negative": "amount  >=  0 -- at least nothing"}),
    "place of the declaration": replace(ORDERS, where_declared="elsewhere:1"),
}
CHANGES: Mapping[str, Topic] = {
    "name": replace(ORDERS, name="sales"),
    "schema": replace(ORDERS, schema={**SCHEMA, "customer": "varchar not null"}),
    "order of columns": replace(ORDERS, schema=dict(reversed(SCHEMA.items()))),
    "event time": replace(ORDERS, event_time=None),
    "id": replace(ORDERS, id=None),
    "check": replace(ORDERS, check={"negative": "amount > 0"}),
    "reason": replace(ORDERS, check={"below_zero": "amount >= 0"}),
    "compute": replace(ORDERS, compute={**ORDERS.compute, "twice": "whole * 3"}),
    "function": replace(ORDERS, functions=[replace(letters, version=2)]),
    "source of a function": replace(ORDERS, functions=[replace(letters, source_hash="0")]),
    "horizon": replace(ORDERS, horizon="1d"),
    "retention, as the horizon": replace(ORDERS, retention="1d"),
    "skew": replace(ORDERS, skew="1m"),
    "extra": replace(ORDERS, extra="reject"),
    "exclusion": replace(ORDERS, exclusions=(Exclusion("test orders", where="customer = 'test'"),)),
}


@pytest.mark.parametrize("name", KEEPS)
def test_what_decides_no_record_keeps_the_version(name: str) -> None:
    assert KEEPS[name].version == ORDERS.version


@pytest.mark.parametrize("name", CHANGES)
def test_what_decides_records_makes_a_new_version(name: str) -> None:
    assert CHANGES[name].version != ORDERS.version


def test_every_change_is_a_version_of_its_own() -> None:
    assert len({topic.version for topic in CHANGES.values()}) == len(CHANGES) - 1, "horizon and retention say the same"


def test_a_horizon_of_a_topic_without_id_decides_nothing() -> None:
    plain = Topic("t", SCHEMA)
    assert replace(plain, horizon="1d").version == plain.version
