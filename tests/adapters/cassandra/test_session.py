from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cassandra import AuthenticationFailed, InvalidRequest, OperationTimedOut, Unauthorized
from cassandra.cluster import NoHostAvailable

from watersmeet.adapters.cassandra.session import Session, named, open_session
from watersmeet.core.address import Address, parse_address
from watersmeet.core.errors import RequestError, SettingsError, UnavailableError
from watersmeet.testing.services.server import free_ports

from ...conformance.scripted_cassandra import DONE, FAILED, LOST, REFUSED, Script, scripted

pytestmark = pytest.mark.integration
TABLE = "create table if not exists sessions (name text, part int, total int static, n int, primary key ((name), part))"
INSERT = "insert into sessions (name, part, n) values (?, ?, ?)"
SELECT = "select part, n from sessions where name = ?"
COUNT = "update sessions set total = ? where name = ? if total = ?"


@pytest.fixture(scope="module")
def session(cassandra: str) -> Iterator[Session]:
    opened = open_session(parse_address(cassandra))
    opened.define(TABLE)
    yield opened
    opened.close()


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


def _with(address: Address, **options: str) -> Address:
    return replace(address, options=options)


def _failing(*kinds: str) -> tuple[Script, list[str]]:
    """The first statements go wrong in these ways; what is sent."""
    left, sent = list(kinds), list[str]()

    def script(cql: str) -> str:
        sent.append(cql)
        return left.pop(0) if left else DONE

    return script, sent


def test_rows_come_back_in_the_order_of_the_store_over_many_pages(session: Session, name: str) -> None:
    session.write_all([(INSERT, (name, n, n * n)) for n in reversed(range(1_234))])
    assert session.read(SELECT, (name,)) == [(n, n * n) for n in range(1_234)]
    assert session.read(SELECT, (name,), serial=True) == [(n, n * n) for n in range(1_234)]


def test_several_requests_are_answered_in_their_order(session: Session, name: str) -> None:
    session.write_all([(INSERT, (f"{name}{n}", 0, n)) for n in range(100)])
    found = session.read_all([(SELECT, (f"{name}{n}",)) for n in range(101)])
    assert found == [*([(0, n)] for n in range(100)), []]
    assert session.read_all([]) == []


def test_a_batch_of_one_partition_is_written_whole(session: Session, name: str) -> None:
    session.write_batch([(INSERT, (name, n, n)) for n in range(200)])
    assert len(session.read(SELECT, (name,))) == 200


def test_a_decision_is_made_once(session: Session, name: str) -> None:
    assert session.decide(COUNT, (1, name, None)) is True
    assert session.decide(COUNT, (1, name, None)) is False
    assert session.decide(COUNT, (2, name, 1)) is True


@pytest.mark.parametrize(("kind", "after"), [(LOST, 1), (FAILED, None), (REFUSED, None)])
def test_a_decision_without_an_answer_is_unknown_and_not_sent_again(
    session: Session, name: str, kind: str, after: int | None
) -> None:
    session.write(INSERT, (name, 0, 0))
    script, sent = _failing(kind)
    assert scripted(session, script).decide(COUNT, (1, name, None)) is None
    assert sent == [COUNT]
    total = "select total from sessions where name = ?"
    assert session.read(total, (name,), serial=True) == [(after,)]


@pytest.mark.parametrize("kind", [LOST, FAILED, REFUSED])
def test_what_may_be_repeated_is(session: Session, name: str, kind: str) -> None:
    script, sent = _failing(kind, kind)
    scripted(session, script).write(INSERT, (name, 0, 7))
    assert sent == [INSERT] * 3
    script, sent = _failing(kind, kind)
    assert scripted(session, script).read_all([(SELECT, (name,)), (SELECT, (name,))]) == [[(0, 7)]] * 2
    assert len(sent) == 4
    script, sent = _failing(kind, kind)
    scripted(session, script).write_batch([(INSERT, (name, 1, 7))])
    script, sent = _failing(kind, kind, kind)
    with pytest.raises(UnavailableError):
        scripted(session, script).read(SELECT, (name,))
    assert len(sent) == session.options.tries


def test_what_the_server_does_not_understand_is_not_repeated(session: Session) -> None:
    for call in (session.read, session.define):
        script, sent = _failing()
        with pytest.raises(RequestError):
            getattr(scripted(session, script), call.__name__)("select nothing from nowhere")
        assert len(sent) <= 1
    with pytest.raises(RequestError):
        session.decide("update nowhere set a = 1 where b = 1 if a = 2")


def test_something_is_made_once_a_session(session: Session, name: str) -> None:
    made: list[int] = []
    for _ in range(2):
        session.once(name, lambda: made.append(1))
    assert made == [1]


def test_a_keyspace_is_made_as_wished_and_never_altered(cassandra: str) -> None:
    place = replace(parse_address(cassandra), path=f"k{uuid.uuid4().hex[:12]}")
    open_session(_with(place, replication="datacenter1:1")).close()
    open_session(place).close()
    open_session(_with(place, replication="1")).close()
    with pytest.raises(SettingsError, match="expected 3; got datacenter1: 1"):
        open_session(_with(place, replication="3"))
    with pytest.raises(SettingsError, match="one of datacenter1; got west"):
        open_session(_with(place, dc="west"))
    open_session(_with(place, dc="datacenter1", consistency="ONE", serial="SERIAL", protocol="4")).close()


def test_a_keyspace_of_three_copies_needs_levels_that_overlap(cassandra: str) -> None:
    place = replace(parse_address(cassandra), path=f"k{uuid.uuid4().hex[:12]}")
    open_session(_with(place, replication="3")).close()
    with pytest.raises(SettingsError, match="R \\+ W > RF = 3"):
        open_session(_with(place, consistency="ONE"))


@pytest.mark.parametrize("path", ["Upper", "a-b", "1a", 'a"; drop'])
def test_a_keyspace_has_a_plain_name(path: str) -> None:
    with pytest.raises(SettingsError, match="keyspace"):
        open_session(Address("cassandra", (("127.0.0.1", 1),), path))


def test_a_cluster_that_does_not_answer_is_unavailable_and_the_password_secret() -> None:
    (port,) = free_ports(1)
    with pytest.raises(UnavailableError) as caught:
        open_session(parse_address(f"cassandra://me:secret@127.0.0.1:{port}/k"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NoHostAvailable("none", {"a": AuthenticationFailed("no")}), SettingsError),
        (NoHostAvailable("none", {"a": OSError("refused")}), UnavailableError),
        (Unauthorized("no"), SettingsError),
        (InvalidRequest("no"), RequestError),
        (OperationTimedOut(), UnavailableError),
    ],
)
def test_errors_of_the_driver_come_out_as_ours(error: Any, kind: type[Exception]) -> None:
    assert type(named(parse_address("cassandra://me:secret@a/k"), error)) is kind
