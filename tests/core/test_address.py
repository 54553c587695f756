from __future__ import annotations

from dataclasses import dataclass

import pytest

from watersmeet.core.address import Address, options, parse_address
from watersmeet.core.errors import SettingsError

pytestmark = pytest.mark.unit


@dataclass(frozen=True)
class Known:
    name: str
    replication: int = 1
    linger: float = 0.005
    strict: bool = False


def test_an_address_is_taken_apart() -> None:
    found = parse_address("cassandra://me:s%40cret@node-1,node-2:9043/shop?name=x&replication=3")
    assert (found.scheme, found.user, found.password, found.path) == ("cassandra", "me", "s@cret", "shop")
    assert found.hosts == (("node-1", 0), ("node-2", 9043))
    assert found.servers(9042) == "node-1:9042,node-2:9043"
    assert found.options == {"name": "x", "replication": "3"}


def test_hosts_may_be_numbers_and_may_be_missing() -> None:
    assert parse_address("redis://[::1]:6379/0").hosts == (("::1", 6379),)
    assert parse_address("file:///tmp/x") == Address("file", (), "tmp/x")
    assert parse_address("mock://").hosts == ()


def test_a_password_is_never_shown() -> None:
    found = parse_address("mongodb://me:hunter2@db:27017/shop")
    assert "hunter2" not in f"{found} {found!r}"
    for wrong in ("mongodb://me:hunter2@db:99999/x", "mongodb:me:hunter2@db", "a://me:hunter2@db?x=1&x=2"):
        with pytest.raises(SettingsError) as caught:
            parse_address(wrong)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "kafka", "kafka:9092", "kafka://a:b:c", "kafka://a:99999", "kafka://a b"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_address(text)


def test_options_have_types_and_defaults() -> None:
    given = parse_address("kafka://a?name=x&replication=3&linger=0.1&strict=true")
    assert options(given, Known) == Known("x", 3, 0.1, strict=True)
    assert options(parse_address("kafka://a?name=x"), Known) == Known("x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kafka://a?name=x&replicaton=3", "replication"),
        ("kafka://a?name=x&replication=three", "type int"),
        ("kafka://a?name=x&strict=perhaps", "true or false"),
        ("kafka://a", "the option name"),
    ],
)
def test_a_wrong_option_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        options(parse_address(text), Known)
