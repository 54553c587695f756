"""What a topic's settings must be, and what is wrong with one that is there already.

A topic that differs is reported with everything that differs, and never changed: whoever made it may have had reasons,
and what was written under the wrong settings stays as it is. Most of what is demanded guards against silent loss:

    message.timestamp.type          arrivals are the brokers', so that a producer's clock decides nothing
    min.insync.replicas             what is acknowledged outlives a broker
    unclean.leader.election.enable  no broker that missed records becomes the leader
    retention.ms, .bytes,           nothing is deleted or compacted away before it can have been archived
    min.compaction.lag.ms
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from watersmeet.core.errors import ConflictError, SettingsError

from .brokers import Described
from .options import FOREVER, KafkaOptions, duration_ms

_ENDLESS = -1


@dataclass(frozen=True, slots=True)
class Demand:
    """What one setting must be.

    Args:
        setting: Kafka's name of it.
        value: what a topic is made with.
        rule: whether one that is there may also be greater; -1 is the greatest.
    """

    setting: str
    value: str
    rule: Literal["exactly", "at least"] = "exactly"

    def met(self, by: str) -> bool:
        """True if a topic may have this value."""
        if self.rule == "exactly" or not by.lstrip("-").isdigit():
            return by == self.value
        return _order(int(by)) >= _order(int(self.value))


def demands(topic: str, of: KafkaOptions, retention_us: int | None, *, overridden: bool) -> tuple[Demand, ...]:
    """What the settings of a topic must be.

    Args:
        topic: named in errors.
        of: its options.
        retention_us: as declared, in microseconds; None: the options' own.
        overridden: the options' retention was given for this very topic, and goes before what is declared.

    Raises:
        SettingsError: it would be deleted or compacted before it is safe.
    """
    kept_ms = duration_ms(f"retention of topic {topic}", of.retention)
    if retention_us is not None and not overridden:
        kept_ms = retention_us // 1_000
    least_ms = duration_ms(f"least_retention of topic {topic}", of.least_retention)
    lag_ms = duration_ms(f"compaction_lag of topic {topic}", of.compaction_lag) if of.compaction_lag else kept_ms
    lag_ms = lag_ms if lag_ms != _ENDLESS else (1 << 63) - 1
    deleted, compacted = "delete" in of.cleanup, "compact" in of.cleanup
    for what, length_ms, counts in (("retention", kept_ms, deleted), ("compaction_lag", lag_ms, compacted)):
        if counts and _order(length_ms) < _order(least_ms):
            raise SettingsError(
                f"{what} of topic {topic}",
                expected=f"at least {_hours(least_ms)}, so that records are archived before they go",
                got=_hours(length_ms),
                remedy=f"lengthen it, or say least_retention={max(length_ms // 1_000, 1)}s if you mean it",
            )
    out = [
        Demand("message.timestamp.type", "LogAppendTime" if of.arrival == "broker" else "CreateTime"),
        Demand("min.insync.replicas", str(of.min_insync), "at least"),
        Demand("unclean.leader.election.enable", "false"),
        Demand("cleanup.policy", of.cleanup),
        Demand("retention.ms", str(kept_ms), "at least"),
        Demand("retention.bytes", str(_ENDLESS)),
        Demand("max.message.bytes", str(of.message_bytes), "at least"),
        Demand("compression.type", "producer"),
    ]
    if compacted:
        out.append(Demand("min.compaction.lag.ms", str(lag_ms), "at least"))
    if of.segment_bytes:
        out.append(Demand("segment.bytes", str(of.segment_bytes)))
    return tuple(out)


def check(topic: str, there: Described, partitions: int, of: KafkaOptions, wanted: tuple[Demand, ...]) -> None:
    """Raise `ConflictError` with all that differs between a topic and what it must be."""
    differences, alterable = [], []
    if there.partitions != partitions:
        differences.append(f"{there.partitions} partitions, not {partitions}")
    if there.replication < of.replication:
        differences.append(f"replication {there.replication}, not {of.replication}")
    for demand in wanted:
        found = _canonical(there.config, demand.setting)
        if not demand.met(found):
            least = "at least " if demand.rule == "at least" else ""
            differences.append(f"{demand.setting}={found}, not {least}{demand.value}")
            alterable.append(f"{demand.setting}={_bracketed(demand.value)}")
    if not differences:
        return
    remedy = "say so in its options if it shall be as it is, or give the topic a new name"
    if len(alterable) == len(differences) and not any(each.startswith("message.timestamp") for each in alterable):
        change = f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config"
        remedy = f"say so in its options if it shall be as it is, or run {change} {','.join(alterable)}"
    raise ConflictError(
        f"topic {topic} exists and differs",
        expected=f"{partitions} partitions with the declared settings",
        got="; ".join(differences),
        remedy=remedy,
    )


def _canonical(config: Mapping[str, str], setting: str) -> str:
    value = config.get(setting) or ""
    return ",".join(sorted(value.split(","))) if setting == "cleanup.policy" else value


def _bracketed(value: str) -> str:
    return f"[{value}]" if "," in value else value


def _order(number: int) -> float:
    return float("inf") if number == _ENDLESS else number


def _hours(length_ms: int) -> str:
    return FOREVER if length_ms == _ENDLESS else f"{length_ms / 3_600_000:g} h"
