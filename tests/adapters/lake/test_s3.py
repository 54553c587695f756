"""What is particular to S3: how addresses are taken, other servers, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from watersmeet.adapters.lake.s3 import S3Store, place_of
from watersmeet.core.address import parse_address
from watersmeet.core.errors import UnavailableError
from watersmeet.testing.services.s3 import moto

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("text", "endpoint", "bucket", "prefix"),
    [
        ("s3://lake", "", "lake", ""),
        ("s3://lake/a/b?region=eu-central-1", "", "lake", "a/b"),
        ("s3://k:s@127.0.0.1:9000/lake/a", "http://127.0.0.1:9000", "lake", "a"),
        ("s3://k:s@h.example:443/lake?tls=true", "https://h.example:443", "lake", ""),
        ("s3://lake/a?endpoint=https://h.example", "https://h.example", "lake", "a"),
    ],
)
def test_an_address_names_a_server_or_a_bucket(text: str, endpoint: str, bucket: str, prefix: str) -> None:
    place = place_of(parse_address(text))
    assert (place.endpoint, place.bucket, place.prefix) == (endpoint, bucket, prefix)
    told = place.storage_options()
    assert told.get("aws_endpoint", "") == endpoint
    assert ("aws_secret_access_key" in told) is ("s@" in text)


def test_a_bucket_that_is_not_there_is_no_empty_one(s3: str, tmp_path: Path) -> None:
    with closing(S3Store(replace(parse_address(s3), path="nobody"))) as store:
        for ask in (
            lambda: store.get("k"),
            lambda: store.put_if_absent("k", b""),
            lambda: store.keys("k"),
            store.probe,
        ):
            with pytest.raises(UnavailableError):
                ask()


def test_wrong_credentials_are_a_refusal_that_does_not_show_them(s3: str) -> None:
    with closing(S3Store(replace(parse_address(s3), password="wrong-word"))) as store:
        for ask in (lambda: store.get("k"), lambda: store.put_if_absent("k", b""), store.probe):
            with pytest.raises(UnavailableError, match="rights") as caught:
                ask()
            assert "wrong-word" not in str(caught.value)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another maker's server."""
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server.url


def test_another_server_puts_conditionally_too(other: str) -> None:
    with closing(S3Store(parse_address(other))) as store:
        assert "conditionally" in store.probe()
        assert store.put_if_absent("a", b"1")
        assert not store.put_if_absent("a", b"2")
        version = store.look("a").version
        assert store.replace("a", b"3", version)
        assert not store.replace("a", b"4", version)
        assert store.get("a") == b"3"
