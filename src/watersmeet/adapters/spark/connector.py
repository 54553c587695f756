"""What Spark's Kafka connector is told, made of the same ``kafka://`` URL that names the log."""

from __future__ import annotations

from pathlib import Path

from watersmeet.core.address import Address
from watersmeet.core.errors import SettingsError

PORT = 9092
_JAAS = 'org.apache.kafka.common.security.{kind} required username="{user}" password="{password}";'


def connector_settings(address: Address, topic: str) -> dict[str, str]:
    """Spark's options to read a topic of the log at ``address``: servers, security, and to be loud about lost records.

    Options of the URL that only concern writing are passed over.

    Raises:
        SettingsError: a file that the URL names cannot be read.
    """
    given = address.options
    tls = given.get("tls", "false").lower() in ("true", "1", "yes")
    settings = {
        "kafka.bootstrap.servers": address.servers(PORT),
        "kafka.security.protocol": ("SASL_" if address.user else "") + ("SSL" if tls else "PLAINTEXT"),
        "kafka.isolation.level": "read_committed",
        # One group for all slices lets an executor go on with the consumer of the slice before.
        "kafka.group.id": f"watersmeet-spark-{topic}",
        "failOnDataLoss": "true",
    }
    if address.user:
        mechanism = given.get("mechanism", "SCRAM-SHA-512")
        kind = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        user, password = (_quoted(text) for text in (address.user, address.password))
        settings["kafka.sasl.mechanism"] = mechanism
        settings["kafka.sasl.jaas.config"] = _JAAS.format(kind=kind, user=user, password=password)
    if given.get("ca"):
        settings |= {"kafka.ssl.truststore.type": "PEM", "kafka.ssl.truststore.certificates": _text(given["ca"])}
    if given.get("certificate"):
        settings["kafka.ssl.keystore.type"] = "PEM"
        settings["kafka.ssl.keystore.certificate.chain"] = _text(given["certificate"])
        settings["kafka.ssl.keystore.key"] = _text(given.get("key", ""))
    return settings


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _text(path: str) -> str:
    """The contents of a file of the driver: executors need not have it."""
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"file {path!r} of a kafka:// URL", expected="PEM text", got=str(error)) from error
