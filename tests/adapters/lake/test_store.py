"""What both stores must do: put once, replace what was looked at, and name what is wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from watersmeet.adapters.lake.store import Held, Store
from watersmeet.adapters.lake.stores import location, open_store
from watersmeet.core.address import Address, parse_address
from watersmeet.core.errors import SettingsError, UnavailableError
from watersmeet.testing.services.server import free_ports

pytestmark = pytest.mark.integration


@pytest.fixture(params=["s3", "hdfs"])
def address(request: pytest.FixtureRequest) -> Address:
    found = parse_address(request.getfixturevalue(request.param))
    return replace(found, path=f"{found.path}/{uuid4().hex}".strip("/"))


@pytest.fixture
def store(address: Address) -> Iterator[Store]:
    with closing(open_store(address)) as found:
        yield found


@pytest.mark.parametrize("key", ["a", "a/b=x%20y/c.json", "é/ü ?#+&=", "_x/.y"])
def test_a_key_gets_its_contents_once(store: Store, key: str) -> None:
    assert store.get(key) is None
    assert store.put_if_absent(key, b"1")
    assert not store.put_if_absent(key, b"2")
    assert store.get(key) == b"1"
    assert store.keys(key.rpartition("/")[0]) == [key]
    store.delete(key)
    store.delete(key)
    assert store.get(key) is None
    assert store.put_if_absent(key, b"")
    assert store.get(key) == b""


def test_only_what_was_looked_at_is_replaced(store: Store) -> None:
    assert store.look("a/b") == Held(None, "")
    assert store.replace("a/b", b"1", "")
    assert not store.replace("a/b", b"2", "")
    first = store.look("a/b")
    assert first.data == b"1"
    assert store.replace("a/b", b"2", first.version)
    for stale in (first.version, ""):
        assert not store.replace("a/b", b"old", stale)
    assert store.look("a/b").data == b"2"
    for number in range(3, 8):
        assert store.replace("a/b", b"%d" % number, store.look("a/b").version)
    assert not store.replace("a/b", b"old", first.version)
    assert store.look("a/b").data == store.get("a/b") == b"7"


def test_no_increment_is_lost_among_four_writers(address: Address) -> None:
    def work() -> None:
        with closing(open_store(address)) as mine:
            for _ in range(5):
                while True:
                    held = mine.look("n")
                    if mine.replace("n", b"%d" % (int(held.data or 0) + 1), held.version):
                        break

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(open_store(address)) as store:
        # A step may have been applied and still have been refused to its writer, who then counts it again.
        assert store.look("n").data is not None
        assert int(store.look("n").data or 0) >= 20


def test_files_come_back_as_they_were(store: Store, tmp_path: Path) -> None:
    data = bytes(range(256)) * 90_000
    (tmp_path / "a").write_bytes(data)
    store.upload("x/part", tmp_path / "a")
    assert store.download("x/part", tmp_path / "b", len(data))
    assert (tmp_path / "b").read_bytes() == data
    assert not store.download("x/none", tmp_path / "c", 5)


def test_a_long_list_is_whole(store: Store) -> None:
    names = [f"d/{n:04}/x" for n in range(30)]
    for name in names:
        store.put_if_absent(name, b"")
    assert sorted(store.keys("d")) == names
    assert store.keys("none") == []


def test_it_says_what_it_is_and_leaves_nothing(store: Store, address: Address) -> None:
    assert address.servers() in store.probe()
    assert store.keys("") == []


@pytest.mark.parametrize("form", ["s3://key:secret-word@127.0.0.1:{}/lake?retries=0", "hdfs://127.0.0.1:{}/lake"])
def test_a_server_that_is_not_there_is_named_without_its_password(form: str, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    (tmp_path / "a").write_bytes(b"1")
    with closing(open_store(parse_address(form.format(port)))) as store:
        for ask in (
            lambda: store.get("k"),
            lambda: store.look("k"),
            lambda: store.put_if_absent("k", b"1"),
            lambda: store.replace("k", b"1", ""),
            lambda: store.delete("k"),
            lambda: store.keys("k"),
            lambda: store.upload("k", tmp_path / "a"),
            lambda: store.download("k", tmp_path / "b", 1),
            store.probe,
        ):
            with pytest.raises(UnavailableError) as caught:
                ask()
            assert str(port) in caught.value.subject
            assert "secret-word" not in str(caught.value) + repr(store)
            assert caught.value.remedy


@pytest.mark.parametrize(
    "text", ["kafka://a:1", "s3://", "s3://h:1", "s3://a:1,b:2/lake", "hdfs:///x", "s3://b?regoin=x"]
)
def test_an_address_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        open_store(parse_address(text))


def test_a_location_is_spelled_for_hadoop_without_credentials() -> None:
    assert location(parse_address("s3://me:word@h:1/lake/a/b")) == "s3a://lake/a/b"
    assert location(parse_address("s3://lake")) == "s3a://lake"
    assert location(parse_address("hdfs://n:9870/a?rpc=8020")) == "hdfs://n:8020/a"
    assert location(parse_address("hdfs://n")) == "hdfs://n"
