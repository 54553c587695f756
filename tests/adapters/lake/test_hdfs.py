"""What is particular to HDFS: refusals of its nodes, several name nodes, claims of writers that died."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from uuid import uuid4

import httpx2
import pytest

from watersmeet.adapters.lake.hdfs import HdfsStore
from watersmeet.core.address import Address, parse_address
from watersmeet.core.errors import UnavailableError
from watersmeet.testing.services.server import free_ports

pytestmark = pytest.mark.integration


def own(url: str) -> Address:
    address = parse_address(url)
    return replace(address, path=uuid4().hex)


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("SafeModeException", "safe mode"),
        ("AccessControlException", "rights"),
        ("DSQuotaExceededException", "space quota"),
        ("StandbyException", "name and data nodes"),
        ("IOException", "data nodes"),
    ],
)
def test_a_refusal_is_told_with_its_remedy(kind: str, remedy: str) -> None:
    said = {"RemoteException": {"exception": kind, "message": "no\n\tat org.apache…"}}
    client = httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(403, json=said)))
    with closing(HdfsStore(parse_address("hdfs://n/lake"), client)) as store:
        for ask in (lambda: store.get("k"), lambda: store.put_if_absent("k", b""), lambda: store.keys("k")):
            with pytest.raises(UnavailableError, match=kind) as caught:
                ask()
            assert remedy in caught.value.remedy
            assert "\tat" not in str(caught.value)


def test_what_is_no_answer_of_hdfs_is_told(s3: str) -> None:
    store = HdfsStore(replace(parse_address(s3), scheme="hdfs", user="", password=""))
    with closing(store), pytest.raises(UnavailableError):
        store.get("k")


def test_the_active_one_of_several_name_nodes_is_found(hdfs: str) -> None:
    (nobody,) = free_ports(1)
    address = own(hdfs)
    with closing(HdfsStore(replace(address, hosts=(("127.0.0.1", nobody), *address.hosts)))) as store:
        assert store.put_if_absent("a", b"1")
        assert store.get("a") == b"1"
    standby = {"RemoteException": {"exception": "StandbyException", "message": "not active"}}
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.host)
        return httpx2.Response(403, json=standby) if request.url.host == "a" else httpx2.Response(200)

    client = httpx2.Client(transport=httpx2.MockTransport(answer))
    with closing(HdfsStore(parse_address("hdfs://me@a,b/lake"), client)) as store:
        store.delete("k")
    assert asked == ["a", "b"]


class _Death(httpx2.BaseTransport):
    """A client that dies before a rename of a kind."""

    def __init__(self, word: str) -> None:
        self._word, self._transport = word, httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.params.get("renameoptions") == self._word:
            raise httpx2.ReadError("dead", request=request)
        return self._transport.handle_request(request)

    def close(self) -> None:
        self._transport.close()


def test_a_claim_of_a_writer_that_died_is_moved_into_place_by_the_next(hdfs: str) -> None:
    """The writer has claimed version 2 and not renamed its contents: 1 is still read, and nobody is stuck."""
    address = own(hdfs)
    with closing(HdfsStore(address)) as store, closing(HdfsStore(address)) as other:
        assert store.replace("d/n", b"1", "")
        version = store.look("d/n").version
        dying = HdfsStore(address, httpx2.Client(transport=_Death("OVERWRITE")))
        with closing(dying), pytest.raises(UnavailableError):
            dying.replace("d/n", b"2", version)
        assert store.get("d/n") == b"1"
        assert not store.replace("d/n", b"3", version)
        held = other.look("d/n")
        assert held.data == b"2"
        assert other.replace("d/n", b"4", held.version)
        assert store.get("d/n") == b"4"
        assert not store.replace("d/n", b"5", version), "nor can its number be claimed again"
        assert store.look("d/n").data == b"4"
