from __future__ import annotations

from pathlib import Path

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import WhiteListRoundRobinPolicy

from watersmeet.core.address import parse_address
from watersmeet.testing.services.cassandra import cassandra

pytestmark = pytest.mark.integration


def _ask(url: str, *statements: str) -> list[tuple[object, ...]]:
    ((host, port),) = parse_address(url).hosts
    profile = ExecutionProfile(WhiteListRoundRobinPolicy([host]), request_timeout=30.0)
    with Cluster([host], port=port, protocol_version=4, execution_profiles={EXEC_PROFILE_DEFAULT: profile}) as cluster:
        session = cluster.connect()
        return [tuple(row) for statement in statements for row in session.execute(statement)]


def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    with cassandra(tmp_path, commitlog="batch") as server:
        _ask(
            server.url,
            "create keyspace k with replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
            "create table k.t (n int primary key)",
            *(f"insert into k.t (n) values ({n})" for n in range(50)),
        )
        (pid,) = server.pids
        server.kill()
        assert server.pids == []
        again = cassandra(tmp_path).start()
        try:
            assert again.url == server.url
            assert again.pids != [pid]
            assert sorted(_ask(again.url, "select n from k.t")) == [(n,) for n in range(50)]
        finally:
            again.kill()


def test_the_shared_node_says_what_it_is(cassandra: str) -> None:
    assert _ask(cassandra, "select release_version from system.local")[0][0] >= "4.0"  # type: ignore[operator]  # a text
