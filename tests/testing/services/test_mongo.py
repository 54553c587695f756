from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from watersmeet.testing.services.mongo import mongo

pytestmark = pytest.mark.integration


@contextmanager
def client(url: str) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=5000, journal=True) as opened:
        yield opened


@pytest.mark.parametrize(("replica_set", "atomic"), [("rs0", True), ("", False)])
def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path, replica_set: str, atomic: bool) -> None:
    with mongo(tmp_path, replica_set) as server:
        with client(server.url) as opened:
            opened.get_database("d").t.insert_one({"_id": 1})
            assert ("setName" in opened.admin.command("hello")) == atomic
        (pid,) = server.pids
        server.kill()
        assert server.pids == []
        server.start()
        assert server.pids != [pid]
        with client(server.url) as opened:
            assert list(opened.get_database("d").t.find()) == [{"_id": 1}]


def test_the_shared_server_has_transactions(mongo: str) -> None:
    with client(mongo) as opened, opened.start_session() as session:
        rows = opened.get_database("transactions").t
        with session.start_transaction():
            rows.insert_one({"n": 1}, session=session)
            session.abort_transaction()
        assert rows.count_documents({}) == 0
