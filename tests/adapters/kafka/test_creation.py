"""What a topic's settings must be, and which of those that are there will do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from watersmeet.adapters.kafka.brokers import Described
from watersmeet.adapters.kafka.creation import check, demands
from watersmeet.adapters.kafka.options import KafkaOptions
from watersmeet.core.errors import ConflictError, SettingsError

pytestmark = pytest.mark.unit
HOUR_US = 3_600_000_000
PLAIN = KafkaOptions()


def settings(of: KafkaOptions, retention_us: int | None = None, *, overridden: bool = False) -> dict[str, str]:
    found = demands("ratings", of, retention_us, overridden=overridden)
    return {demand.setting: demand.value for demand in found}


@pytest.mark.parametrize(
    ("of", "declared_hours", "overridden", "expected_ms"),
    [
        (PLAIN, None, False, 7 * 24 * 3_600_000),
        (PLAIN, 100, False, 100 * 3_600_000),
        (replace(PLAIN, retention="80h"), 100, False, 100 * 3_600_000),
        (replace(PLAIN, retention="80h"), 100, True, 80 * 3_600_000),
        (replace(PLAIN, retention="forever"), None, False, -1),
    ],
)
def test_the_retention_is_the_nearest_that_was_said(
    of: KafkaOptions, declared_hours: int | None, overridden: bool, expected_ms: int
) -> None:
    declared_us = declared_hours * HOUR_US if declared_hours else None
    assert settings(of, declared_us, overridden=overridden)["retention.ms"] == str(expected_ms)


@pytest.mark.parametrize(
    ("of", "declared_us", "said"),
    [
        (PLAIN, 71 * HOUR_US, "retention of topic ratings; expected at least 72 h.*got 71 h.*least_retention=255600s"),
        (replace(PLAIN, cleanup="compact", compaction_lag="1h"), None, "compaction_lag of topic ratings.*got 1 h"),
        (replace(PLAIN, cleanup="compact,delete", compaction_lag="80h"), HOUR_US, "retention of topic ratings"),
    ],
)
def test_what_goes_before_it_is_archived_is_refused(of: KafkaOptions, declared_us: int | None, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings(of, declared_us)


def test_a_lag_as_long_as_the_retention_guards_a_compacted_topic() -> None:
    found = settings(replace(PLAIN, cleanup="compact"), 100 * HOUR_US)
    assert found["min.compaction.lag.ms"] == str(100 * 3_600_000)
    assert int(settings(replace(PLAIN, cleanup="compact", retention="forever"))["min.compaction.lag.ms"]) > 1 << 60
    assert "min.compaction.lag.ms" not in settings(PLAIN)


def described(**changes: str) -> Described:
    config = settings(PLAIN) | {name.replace("_", "."): value for name, value in changes.items()}
    return Described(4, 3, config)


@pytest.mark.parametrize(
    "there",
    [
        described(),
        described(retention_ms="-1"),
        described(retention_ms=str(8 * 24 * 3_600_000)),
        described(min_insync_replicas="3"),
        replace(described(), replication=5),
    ],
)
def test_what_is_safer_than_demanded_will_do(there: Described) -> None:
    check("ratings", there, 4, PLAIN, demands("ratings", PLAIN, None, overridden=False))


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (replace(described(), partitions=3), "3 partitions, not 4"),
        (replace(described(), replication=2), "replication 2, not 3"),
        (described(message_timestamp_type="CreateTime"), "message.timestamp.type=CreateTime, not LogAppendTime"),
        (described(retention_ms="1000"), "retention.ms=1000, not at least 604800000"),
        (described(retention_bytes="1000"), "retention.bytes=1000, not -1"),
        (described(cleanup_policy="delete,compact"), "cleanup.policy=compact,delete, not delete"),
        (described(unclean_leader_election_enable="true"), "unclean.leader.election.enable=true, not false"),
        (described(min_insync_replicas="1"), "min.insync.replicas=1, not at least 2"),
        (described(max_message_bytes="1048588"), "max.message.bytes=1048588, not at least 16777216"),
    ],
)
def test_what_is_less_safe_is_a_conflict(there: Described, said: str) -> None:
    with pytest.raises(ConflictError) as caught:
        check("ratings", there, 4, PLAIN, demands("ratings", PLAIN, None, overridden=False))
    assert caught.value.got == said


def test_the_remedy_alters_what_may_be_altered_and_nothing_else() -> None:
    wanted = demands("ratings", PLAIN, None, overridden=False)
    with pytest.raises(ConflictError) as caught:
        check("ratings", described(retention_ms="1000", min_insync_replicas="1"), 4, PLAIN, wanted)
    assert caught.value.remedy.endswith("--add-config min.insync.replicas=2,retention.ms=604800000")
    with pytest.raises(ConflictError) as caught:
        check("ratings", described(message_timestamp_type="CreateTime", retention_ms="1"), 4, PLAIN, wanted)
    assert caught.value.remedy.endswith("or give the topic a new name")
