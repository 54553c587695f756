"""What the driver's errors mean to those who call the log."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from watersmeet.core.errors import RequestError, SettingsError, UnavailableError, WatersmeetError

_UNKNOWN = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_ID,
}
_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_MSG_SIZE}
_REFUSED = {KafkaError.INVALID_RECORD, KafkaError.POLICY_VIOLATION, KafkaError.INVALID_CONFIG}
_DENIED = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}


def translated(error: KafkaError, subject: str) -> WatersmeetError:
    """Our error for one of the driver's; what it does not know is a service that cannot be reached.

    A refused password is `UnavailableError` too: what waits for the log shall go on waiting until it is put right.

    Args:
        error: the driver's.
        subject: what was asked for, such as ``topic ratings``.
    """
    code, said = error.code(), error.str()
    if code in _UNKNOWN:
        return unknown(subject)
    if code == KafkaError._INVALID_ARG:
        return SettingsError(subject, expected="options that the driver accepts", got=said)
    if code in _TOO_LARGE:
        return RequestError(subject, kind="too_large", expected="a record that the brokers accept", got=said)
    if code in _REFUSED:
        return RequestError(subject, expected="what the brokers accept", got=said)
    if code in _DENIED:
        return UnavailableError(subject, got=said, remedy="check the user, the password and what the user may do")
    return UnavailableError(subject, got=f"{error.name()}: {said}", remedy="look whether the brokers run")


def unknown(subject: str) -> RequestError:
    """There is no such topic."""
    return RequestError(f"no {subject}", kind="unknown", remedy="apply its declaration first")


@contextmanager
def told(subject: str) -> Iterator[None]:
    """Turn what the driver raises within into our errors."""
    try:
        yield
    except KafkaException as error:
        raise translated(error.args[0], subject) from error
    except FutureTimeout:
        raise UnavailableError(subject, got="no answer", remedy="look whether the brokers run") from None
