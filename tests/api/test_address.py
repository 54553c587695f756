"""Who a caller is, in each way that proxies can stand between."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.faults import shop
from watersmeet.api.address import UNKNOWN, client_address, is_loopback, networks
from watersmeet.cli.server import Served
from watersmeet.core.errors import SettingsError
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings, load

pytestmark = pytest.mark.integration

PROXIES = ["10.0.0.1", "10.0.0.2", "10.9.0.0/16", "127.0.0.1", "fd00::/8"]
CLIENT, OTHER = "203.0.113.9", "198.51.100.7"
TOPOLOGIES = {
    "straight": (CLIENT, [], CLIENT),
    "straight, and forging": (CLIENT, ["127.0.0.1"], CLIENT),
    "one proxy": ("10.0.0.1", [CLIENT], CLIENT),
    "one proxy that adds to what the caller forged": ("10.0.0.1", [f"127.0.0.1, {OTHER}, {CLIENT}"], CLIENT),
    "two proxies": ("10.0.0.2", [f"{CLIENT}, 10.0.0.1"], CLIENT),
    "two proxies, a header each": ("10.0.0.2", [CLIENT, "10.0.0.1"], CLIENT),
    "two proxies, and a caller who names a proxy": ("10.0.0.2", [f"10.0.0.1, {CLIENT}, 10.0.0.1"], CLIENT),
    "a proxy from a network of them": ("10.9.8.7", [CLIENT], CLIENT),
    "a proxy that is not trusted before one that is": ("10.0.0.1", [f"{CLIENT}, {OTHER}"], OTHER),
    "a proxy that is not trusted": (OTHER, [CLIENT], OTHER),
    "a proxy that names nobody": ("127.0.0.1", [], UNKNOWN),
    "a proxy that names itself": ("127.0.0.1", ["127.0.0.1"], UNKNOWN),
    "a proxy that names no address": ("10.0.0.1", [f"{CLIENT}, unknown"], UNKNOWN),
    "a proxy that adds an empty name": ("10.0.0.1", [f"{CLIENT}, "], UNKNOWN),
    "a proxy that adds the port": ("10.0.0.1", [f"{CLIENT}:54321"], CLIENT),
    "IPv6": ("fd00::1", ["2001:db8::9"], "2001:db8::9"),
    "IPv6 with a port": ("fd00::1", ["[2001:db8::9]:54321"], "2001:db8::9"),
    "an IPv4 peer on an IPv6 socket": ("::ffff:10.0.0.1", [f"::ffff:{CLIENT}"], CLIENT),
    "a Unix socket": ("", [CLIENT], ""),
}


@pytest.mark.parametrize(("peer", "forwarded", "expected"), TOPOLOGIES.values(), ids=TOPOLOGIES)
def test_a_caller_is_the_nearest_that_no_trusted_proxy_is(peer: str, forwarded: list[str], expected: str) -> None:
    assert client_address(peer, forwarded, networks(PROXIES)) == expected


def test_without_trusted_proxies_no_header_is_read() -> None:
    for peer, forwarded, _ in TOPOLOGIES.values():
        assert client_address(peer, forwarded, ()) == client_address(peer, [], ())


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_known_in_every_spelling(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["", UNKNOWN, "localhost", CLIENT, "0.0.0.0", "127.0.0.1.example"])
def test_what_is_not_loopback_is_not(address: str) -> None:
    assert not is_loopback(address)


def node(folder: Path, *trusted: str) -> Node:
    opened = shop.open_node(folder, shop.clock(), serve={"trusted_proxies": trusted})
    opened.apply()
    return opened


def test_over_a_socket_without_keys_a_proxy_of_this_machine_is_not_this_machine(tmp_path: Path) -> None:
    with Served(node(tmp_path)) as served:
        assert httpx2.get(f"{served.url}/v1/views").status_code == 200
        for forged in ("127.0.0.1", CLIENT, ""):
            assert httpx2.get(f"{served.url}/v1/views", headers={"X-Forwarded-For": forged}).status_code == 401


def test_over_a_socket_a_trusted_proxy_names_the_caller(tmp_path: Path) -> None:
    with Served(node(tmp_path, "127.0.0.0/8")) as served:
        for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Forwarded-For": CLIENT}):
            assert httpx2.get(f"{served.url}/v1/views", headers=headers).status_code == 401


def test_a_proxy_that_is_no_address_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "watersmeet.yaml").write_text("serve: {trusted_proxies: ['*']}")
    with pytest.raises(SettingsError, match="trusted_proxies"):
        load(start=tmp_path)
    assert Settings.model_validate({"serve": {"trusted_proxies": ["10.0.0.7/8"]}})
