"""Where a store is, as one URL: which technology, which machines, what within it, and its options.

    kafka://broker-1:9092,broker-2:9092?replication=3&compression=zstd
    cassandra://user:secret@node-1,node-2:9042/watersmeet?consistency=LOCAL_QUORUM
    s3://lake/shop?region=eu-central-1          hdfs://namenode:9870/lake          redis://localhost:6379/0

An address never shows its password: its text has ``***`` there, and messages are made from its text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar, get_type_hints
from urllib.parse import parse_qsl, unquote

from .errors import SettingsError
from .site import suggest

_FORM = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:(?P<user>[^@/?#]*)@)?(?P<hosts>[^/?#@]*)(?P<rest>.*)", re.DOTALL
)
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Address:
    """A store's URL, taken apart.

    Args:
        scheme: names the technology, such as ``kafka``.
        hosts: (name, port); port 0 where none is given.
        path: what follows the hosts, without the leading slash: keyspace, database, bucket's prefix.
        user, password: empty if none.
        options: what follows the question mark.
    """

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The URL without what is secret and without its options."""
        known = f"{self.user}:***@" if self.password else f"{self.user}@" if self.user else ""
        return f"{self.scheme}://{known}{self.servers()}" + (f"/{self.path}" if self.path else "")

    def servers(self, port: int = 0) -> str:
        """The hosts as ``name:port,name:port``; ``port`` is given to those without one."""
        return ",".join(f"{name}:{own or port}" if own or port else name for name, own in self.hosts)


def parse_address(text: str) -> Address:
    """Take a URL apart.

    Raises:
        SettingsError: it is none, or a port is not one.

    >>> parse_address("kafka://a:9092,b:9092?acks=all").hosts
    (('a', 9092), ('b', 9092))
    >>> str(parse_address("cassandra://me:secret@node/space"))
    'cassandra://me:***@node/space'
    """
    found = _FORM.fullmatch(text)
    if not found:
        raise SettingsError("address of a store", expected="scheme://host:port/path", got=masked(text))
    user, _, password = (found["user"] or "").partition(":")
    rest, _, _ = found["rest"].partition("#")
    path, _, query = rest.partition("?")
    hosts = tuple(_host(text, part) for part in found["hosts"].split(",") if part)
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in options:
            raise SettingsError(masked(text), expected=f"option {name} once", got="twice")
        options[name] = value
    return Address(found["scheme"], hosts, unquote(path).strip("/"), unquote(user), unquote(password), options)


def options(address: Address, of: type[_T]) -> _T:
    """The options of an address as a dataclass: field name -> str, int, float or bool.

    Raises:
        SettingsError: an option is unknown (the nearest known one is named) or not of its type.

    >>> @dataclass
    ... class Known:
    ...     replication: int = 1
    >>> options(parse_address("kafka://a?replication=3"), Known)
    Known(replication=3)
    """
    hints = get_type_hints(of)
    known = {f.name: hints[f.name] for f in fields(of)}  # type: ignore[arg-type]  # of is a dataclass
    for name in address.options:
        if name not in known:
            subject = f"option {name!r} of {address}"
            raise SettingsError(subject, expected=f"one of {', '.join(known)}", remedy=suggest(name, known))
    values = {name: _typed(address, name, value, known[name]) for name, value in address.options.items()}
    for f in fields(of):  # type: ignore[arg-type]  # of is a dataclass
        if f.name not in values and f.default is MISSING and f.default_factory is MISSING:
            raise SettingsError(f"{address}", expected=f"the option {f.name}", remedy=f"append ?{f.name}=…")
    return of(**values)


def _typed(address: Address, name: str, value: str, type_: type) -> Any:  # type: ignore[explicit-any]  # a field's value
    subject = f"option {name!r} of {address}"
    if type_ is bool:
        if value.lower() not in _TRUTH:
            raise SettingsError(subject, expected="true or false", got=value)
        return _TRUTH[value.lower()]
    try:
        return type_(value)
    except ValueError:
        raise SettingsError(subject, expected=f"a value of type {type_.__name__}", got=value) from None


def _host(text: str, part: str) -> tuple[str, int]:
    found = _HOST.fullmatch(part)
    port = int(found["port"] or 0) if found else 0
    if not found or port > 65_535:
        raise SettingsError(masked(text), expected="hosts as name:port, with commas between them", got=part)
    return found["name"].strip("[]"), port


def masked(text: str) -> str:
    """Any text with the passwords of the URLs in it covered."""
    return re.sub(r":[^:@/]*@", ":***@", text)
