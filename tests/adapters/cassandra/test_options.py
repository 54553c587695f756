from __future__ import annotations

import pytest

from watersmeet.adapters.cassandra.options import Options, check_levels, replication
from watersmeet.core.address import parse_address
from watersmeet.core.errors import SettingsError

pytestmark = pytest.mark.unit
PLACE = parse_address("cassandra://me:secret@node/space")


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("", {"replication_factor": "1"}),
        ("3", {"replication_factor": "3"}),
        ("east:3,west:2", {"east": "3", "west": "2"}),
        ("east:3", {"east": "3"}),
    ],
)
def test_replication_is_said_for_all_data_centres_or_for_each(text: str, made: dict[str, str]) -> None:
    assert replication(text, PLACE) == {"class": "NetworkTopologyStrategy", **made}


@pytest.mark.parametrize("text", ["0", "three", "east:", "3,4", "east:3,4", "east:0"])
def test_replication_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="replication") as caught:
        replication(text, PLACE)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("read", "write", "copies", "dc"),
    [
        ("LOCAL_QUORUM", "LOCAL_QUORUM", {"dc": 1}, ""),
        ("LOCAL_QUORUM", "LOCAL_QUORUM", {"dc": 3}, ""),
        ("local_quorum", "LOCAL_QUORUM", {"east": 3, "west": 3}, "east"),
        ("LOCAL_QUORUM", "EACH_QUORUM", {"east": 3, "west": 3}, "west"),
        ("ONE", "ALL", {"dc": 3}, ""),
        ("ALL", "ONE", {"dc": 3}, ""),
        ("ONE", "ONE", {"dc": 1}, ""),
        ("TWO", "TWO", {"dc": 3}, ""),
        ("QUORUM", "QUORUM", {"east": 3, "west": 2}, "east"),
        ("LOCAL_ONE", "ALL", {"east": 3, "west": 3}, "east"),
    ],
)
def test_levels_that_overlap_will_do(read: str, write: str, copies: dict[str, int], dc: str) -> None:
    check_levels(Options(read=read, write=write, dc=dc), copies, PLACE)


@pytest.mark.parametrize(
    ("read", "write", "copies", "dc"),
    [
        ("ONE", "ONE", {"dc": 2}, ""),
        ("LOCAL_ONE", "LOCAL_QUORUM", {"dc": 3}, ""),
        ("ONE", "TWO", {"dc": 3}, ""),
        ("LOCAL_QUORUM", "ONE", {"dc": 3}, ""),
        ("LOCAL_QUORUM", "TWO", {"east": 3, "west": 3}, "east"),
        ("QUORUM", "LOCAL_ONE", {"east": 3, "west": 3}, "east"),
    ],
)
def test_levels_at_which_a_write_could_be_missed_are_refused(
    read: str, write: str, copies: dict[str, int], dc: str
) -> None:
    with pytest.raises(SettingsError, match="R \\+ W > RF"):
        check_levels(Options(read=read, write=write, dc=dc), copies, PLACE)


@pytest.mark.parametrize(
    ("options", "copies", "match"),
    [
        (Options(consistency="MOST"), {"dc": 3}, "consistency"),
        (Options(read="EACH_QUORUM"), {"dc": 3}, "read consistency"),
        (Options(serial="QUORUM"), {"dc": 3}, "serial"),
        (Options(), {"east": 3, "west": 3}, "dc="),
        (Options(dc="north"), {"east": 3, "west": 3}, "east, west"),
    ],
)
def test_levels_and_data_centres_that_are_none_are_refused(
    options: Options, copies: dict[str, int], match: str
) -> None:
    with pytest.raises(SettingsError, match=match):
        check_levels(options, copies, PLACE)
