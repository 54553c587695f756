"""What a Kafka URL may say."""

from __future__ import annotations

import pytest

from watersmeet.adapters.kafka.options import KafkaOptions, client, of_topic, parse
from watersmeet.core.address import parse_address
from watersmeet.core.errors import SettingsError

pytestmark = pytest.mark.unit


def test_options_are_read_from_the_url_and_the_rest_is_safe() -> None:
    url = "kafka://a:1,b?replication=5&min_insync=3&compression=lz4&linger_ms=20&timeout_seconds=2.5&group=tools"
    found = parse(parse_address(url))
    assert found == KafkaOptions(
        replication=5, min_insync=3, compression="lz4", linger_ms=20, timeout_seconds=2.5, group="tools"
    )
    assert (KafkaOptions().replication, KafkaOptions().min_insync, KafkaOptions().acks) == (3, 2, "all")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("kafka://a?replicas=3", "'replicas'.*Did you mean 'replication'"),
        ("kafka://a?replication=2&min_insync=3", "'min_insync'.*1 to 2; got 3"),
        ("kafka://a?in_flight=6", "'in_flight'.*1 to 5; got 6"),
        ("kafka://a?acks=0", "'acks'.*all 1; got 0"),
        ("kafka://a?compression=brotli", "'compression'"),
        ("kafka://a?cleanup=forget", "'cleanup'"),
        ("kafka://a?mechanism=MAGIC", "'mechanism'"),
        ("kafka://a?retention=soon", "'retention'.*'7d', or 'forever'; got soon"),
        ("kafka://a?message_bytes=1000", "'message_bytes'"),
        ("kafka://a?segment_bytes=1000", "'segment_bytes'.*1 MiB"),
        ("kafka://a/ratings", "no path"),
        ("kafka://", "at least one broker"),
    ],
)
def test_what_an_option_cannot_be_is_named(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse(parse_address(url))


def test_a_topic_has_options_of_its_own() -> None:
    address = parse_address("kafka://a?replication=3&min_insync=2&compression=lz4")
    found = of_topic(address, "ratings", {"replication": "5", "cleanup": "compact,delete"})
    assert (found.replication, found.min_insync, found.cleanup) == (5, 2, "compact,delete")
    with pytest.raises(SettingsError, match=r"'compression' of topic ratings; expected one of replication"):
        of_topic(address, "ratings", {"compression": "zstd"})
    with pytest.raises(SettingsError, match=r"'min_insync' of topic ratings of kafka://a; expected 1 to 1"):
        of_topic(address, "ratings", {"replication": "1"})


@pytest.mark.parametrize(
    ("url", "protocol"),
    [
        ("kafka://a", "PLAINTEXT"),
        ("kafka://a?tls=true", "SSL"),
        ("kafka://me:secret@a", "SASL_PLAINTEXT"),
        ("kafka://me:secret@a?tls=true", "SASL_SSL"),
    ],
)
def test_the_driver_is_told_who_we_are(url: str, protocol: str, caplog: pytest.LogCaptureFixture) -> None:
    address = parse_address(url)
    told = client(address, parse(address))
    assert told["security.protocol"] == protocol
    assert told["bootstrap.servers"] == "a:9092"
    if address.user:
        assert (told["sasl.username"], told["sasl.password"]) == ("me", "secret")
        assert told["sasl.mechanism"] == "SCRAM-SHA-512"
    assert ("unencrypted" in caplog.text) == (protocol == "SASL_PLAINTEXT")
    assert "secret" not in caplog.text


def test_certificates_are_files() -> None:
    address = parse_address("kafka://a?tls=true&ca=/etc/ca.pem&certificate=/etc/us.pem&key=/etc/us.key")
    told = client(address, parse(address))
    names = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location")
    assert [told[name] for name in names] == ["/etc/ca.pem", "/etc/us.pem", "/etc/us.key"]
