"""One URL for the driver's log and for the executors' connector."""

from __future__ import annotations

from pathlib import Path

import pytest

from watersmeet.adapters.spark.connector import connector_settings
from watersmeet.core.address import parse_address
from watersmeet.core.errors import SettingsError

pytestmark = pytest.mark.unit


def test_plain() -> None:
    found = connector_settings(parse_address("kafka://a,b:9093?compression=zstd"), "orders")
    assert found["kafka.bootstrap.servers"] == "a:9092,b:9093"
    assert found["kafka.security.protocol"] == "PLAINTEXT"
    assert found["kafka.isolation.level"] == "read_committed"
    assert found["failOnDataLoss"] == "true"
    assert not [name for name in found if "ssl" in name or "sasl" in name]


@pytest.mark.parametrize(
    ("mechanism", "module"), [("PLAIN", "plain.PlainLoginModule"), ("SCRAM-SHA-256", "scram.ScramLoginModule")]
)
def test_a_password_is_quoted(mechanism: str, module: str) -> None:
    found = connector_settings(parse_address(f"kafka://me:a%22b%5Cc@a?mechanism={mechanism}&tls=true"), "orders")
    assert found["kafka.security.protocol"] == "SASL_SSL"
    assert found["kafka.sasl.mechanism"] == mechanism
    jaas = found["kafka.sasl.jaas.config"]
    assert module in jaas
    assert 'username="me" password="a\\"b\\\\c";' in jaas


def test_certificates_go_by_value(tmp_path: Path) -> None:
    for name in ("ca", "certificate", "key"):
        (tmp_path / name).write_text(f"the {name}")
    given = "&".join(f"{name}={tmp_path / name}" for name in ("ca", "certificate", "key"))
    found = connector_settings(parse_address(f"kafka://a?tls=true&{given}"), "orders")
    assert found["kafka.security.protocol"] == "SSL"
    assert found["kafka.ssl.truststore.certificates"] == "the ca"
    assert found["kafka.ssl.keystore.certificate.chain"] == "the certificate"
    assert found["kafka.ssl.keystore.key"] == "the key"


def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.pem"):
        connector_settings(parse_address(f"kafka://a?tls=true&ca={tmp_path / 'gone.pem'}"), "orders")
