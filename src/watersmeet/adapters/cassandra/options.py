"""What the URL of a Cassandra cluster may say, and which consistency is strong enough.

A read that must see every acknowledged write needs ``R + W > RF``: the replicas that answered the one and those that
took the other then have one in common. Anything weaker is refused when the connection is made, since it would give
wrong answers now and then and say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from watersmeet.core.address import Address
from watersmeet.core.errors import SettingsError

_SERIAL = ("LOCAL_SERIAL", "SERIAL")
_FIXED = {"ONE": 1, "TWO": 2, "THREE": 3, "LOCAL_ONE": 1}
_LEVELS = (*_FIXED, "LOCAL_QUORUM", "QUORUM", "EACH_QUORUM", "ALL")
KEYSPACE = "watersmeet"


@dataclass(frozen=True)
class Options:
    """Options of ``cassandra://user:password@host:9042,host:9042/keyspace?…``.

    Args:
        app: keeps the state of several apps apart in one keyspace.
        dc: the data centre of this process; needed when the keyspace is in several.
        replication: copies in every data centre (``3``) or in each (``east:3,west:2``). Used when the keyspace is
            made, 1 unless given; one that is there must have it if it is given, and is never altered.
        consistency: of reads and writes.
        read, write: of one of the two, when it is to differ.
        serial: of what is decided by compare-and-set. ``LOCAL_SERIAL`` if all writers are in one data centre.
        timeout_seconds: how long one request may take.
        tries: how often a request that may be repeated is sent before the cluster counts as unavailable.
        refresh_ms: how old the token of a state may be; own changes are seen at once.
        grace_seconds: how long a change may take before what it has stored is swept away and it has to store it anew.
        slice_ttl_days: store's own expiry of what the speed layer stored, as a backstop for what no sweep found. Longer
            than any epoch waits to be published. 0: none.
        gc_grace_seconds: how long deletions are remembered; the cluster is repaired more often than that.
        window_hours: cells of one window of time are compacted together.
        protocol: version of the native protocol; 4 for servers before 4.0.
        tls: encrypt, and check the servers' certificates.
        tls_ca: file of the authority that signed them; the system's if empty.
    """

    app: str = ""
    dc: str = ""
    replication: str = ""
    consistency: str = "LOCAL_QUORUM"
    read: str = ""
    write: str = ""
    serial: str = "LOCAL_SERIAL"
    timeout_seconds: float = 5.0
    tries: int = 3
    refresh_ms: int = 250
    grace_seconds: int = 600
    slice_ttl_days: int = 30
    gc_grace_seconds: int = 864_000
    window_hours: int = 6
    protocol: int = 5
    tls: bool = False
    tls_ca: str = ""

    @property
    def reads(self) -> str:
        """The level of reads."""
        return (self.read or self.consistency).upper()

    @property
    def writes(self) -> str:
        """The level of writes."""
        return (self.write or self.consistency).upper()


def replication(text: str, address: Address) -> dict[str, str]:
    """The replication of a keyspace that is made, as Cassandra wants it: ``3`` or ``east:3,west:2``; 1 if empty."""
    made = {"class": "NetworkTopologyStrategy"}
    for part in (text or "1").split(","):
        name, _, count = part.rpartition(":")
        if not count.isdecimal() or not int(count) or (not name and "," in text):
            raise SettingsError(f"option 'replication' of {address}", expected="3, or east:3,west:2", got=text)
        made[name.strip() or "replication_factor"] = count
    return made


def check_levels(wanted: Options, copies: Mapping[str, int], address: Address) -> None:
    """Refuse levels at which a read could miss an acknowledged write.

    Args:
        wanted: the options.
        copies: replicas in each data centre; a strategy that knows none has one of the empty name.
        address: for messages.

    Raises:
        SettingsError: ``R + W <= RF``, a level that is none, or no data centre where there are several.
    """
    for name, level in (("read", wanted.reads), ("write", wanted.writes)):
        if level not in _LEVELS or (name == "read" and level == "EACH_QUORUM"):
            raise SettingsError(f"{name} consistency of {address}", expected=f"one of {', '.join(_LEVELS)}", got=level)
    if wanted.serial.upper() not in _SERIAL:
        subject = f"option 'serial' of {address}"
        raise SettingsError(subject, expected=f"one of {', '.join(_SERIAL)}", got=wanted.serial)
    if (len(copies) > 1 and not wanted.dc) or (wanted.dc and "" not in copies and wanted.dc not in copies):
        subject, remedy = f"data centre of {address}", "append ?dc=…"
        raise SettingsError(subject, expected=f"one of {', '.join(sorted(copies))}", got=wanted.dc, remedy=remedy)
    total = sum(copies.values())
    local = copies.get(wanted.dc, 0) if wanted.dc in copies else total
    everywhere = _replicas(wanted.reads, local, total) + _replicas(wanted.writes, local, total) > total
    here = _here(wanted.reads, local, total) + _here(wanted.writes, local, total) > local
    if not everywhere and not here:
        raise SettingsError(
            f"consistency of {address}",
            expected=f"read and write levels that overlap (R + W > RF = {local})",
            got=f"{wanted.reads} and {wanted.writes}",
            remedy="use LOCAL_QUORUM for both",
        )


def _replicas(level: str, local: int, total: int) -> int:
    """How many replicas, wherever they are, have answered at a level."""
    counts = {"LOCAL_QUORUM": local // 2 + 1, "EACH_QUORUM": local // 2 + 1, "QUORUM": total // 2 + 1, "ALL": total}
    return _FIXED.get(level) or counts[level]


def _here(level: str, local: int, total: int) -> int:
    """How many replicas of this data centre have answered at a level, at least."""
    count = _replicas(level, local, total)
    return count if level in ("LOCAL_QUORUM", "EACH_QUORUM", "LOCAL_ONE") else max(count - (total - local), 0)
