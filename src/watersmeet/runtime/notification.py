"""Sends alert notices: to the log, or to a channel of the settings.

A channel has taken a notice when it has said so: 2xx, or the SMTP server's acceptance for every address. All else
raises, and the notice is sent again at the next round under the same id: ``Idempotency-Key`` of a webhook,
``Message-ID`` of a mail. PagerDuty's ``dedup_key`` is that of the alert and value, so that the end resolves what the
start triggered. Addresses and keys are secrets and appear in no error.

The clients are loaded when there is something to send: most processes never have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from watersmeet.core.errors import SettingsError, UnavailableError
from watersmeet.core.site import suggest
from watersmeet.layers.alerts import Notice, Notify, log_notice

from .channels import Channel, Email, PagerDuty, Slack, Webhook

if TYPE_CHECKING:
    from email.message import EmailMessage

TIMEOUT_SECONDS = 5.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLOURS = {"info": "#4a90d9", "warning": "#e8a33d", "critical": "#d0342c"}
_RESOLVED = "#3d9a50"
_MAX_SUMMARY = 1024


def notifier(channels: Mapping[str, Channel]) -> Notify:
    """A function that sends a notice to ``log`` or to a channel.

    It raises `UnavailableError` when the channel does not take the notice, `SettingsError` when there is none of that
    name.
    """

    def notify(name: str, notice: Notice) -> None:
        if name == "log":
            log_notice(name, notice)
            return
        if name not in channels:
            raise SettingsError(
                f"notifier {name!r}", expected="an entry of 'notify'", remedy=suggest(name, [*channels, "log"])
            )
        match channels[name]:
            case Webhook() as to:
                _post(name, to.url.get_secret_value(), asdict(notice), {"Idempotency-Key": notice.id})
            case Slack() as to:
                _post(name, to.url.get_secret_value(), slack(notice))
            case PagerDuty() as to:
                _post(name, to.url, pagerduty(notice, to.routing_key.get_secret_value()))
            case Email() as to:
                _send(name, to, mail(notice, to))

    return notify


def headline(notice: Notice) -> str:
    """One line, such as ``critical: backlog is firing for course C1``."""
    about = ", ".join(f"{name} {value}" for name, value in notice.labels.items())
    line = f"{notice.severity}: {notice.alert} is {notice.status}{about and f' for {about}'}"
    return " ".join(line.split())[:_MAX_SUMMARY]


def slack(notice: Notice) -> dict[str, object]:
    """A message with the row that decided."""
    colour = _RESOLVED if notice.status == "resolved" else _COLOURS[notice.severity]
    fields = [{"title": _escaped(name), "value": _escaped(value), "short": True} for name, value in notice.row.items()]
    attachment = {"color": colour, "fields": fields, "ts": notice.at_us // 1_000_000}
    return {"text": _escaped(headline(notice)), "attachments": [attachment]}


def pagerduty(notice: Notice, routing_key: str) -> dict[str, object]:
    """An event of the Events API, version 2."""
    event: dict[str, object] = {
        "routing_key": routing_key,
        "event_action": "resolve" if notice.status == "resolved" else "trigger",
        "dedup_key": notice.key,
        "client": "watersmeet",
        "payload": {
            "summary": headline(notice),
            "source": notice.alert,
            "severity": notice.severity,
            "timestamp": _moment(notice.at_us).isoformat(),
            "custom_details": {"since": _moment(notice.since_us).isoformat(), **notice.labels, **notice.row},
        },
    }
    return event


def mail(notice: Notice, to: Email) -> EmailMessage:
    """A plain message."""
    from email.message import EmailMessage
    from email.utils import format_datetime

    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = headline(notice), to.sender, ", ".join(to.to)
    message["Message-ID"] = f"<{notice.id}@watersmeet>"
    message["Date"] = format_datetime(_moment(notice.at_us))
    lines = [f"{headline(notice)}, since {_moment(notice.since_us):%Y-%m-%d %H:%M:%S} UTC", ""]
    message.set_content("\n".join([*lines, *(f"{name}: {value}" for name, value in notice.row.items())]) + "\n")
    return message


def _post(name: str, url: str, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> None:
    import httpx2

    given = {"Content-Type": "application/json", **(headers or {})}
    try:
        answer = httpx2.post(url, content=json.dumps(body).encode(), headers=given, timeout=TIMEOUT_SECONDS)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise UnavailableError(f"notifier {name!r}", got=type(error).__name__) from None
    if not answer.is_success:
        raise UnavailableError(f"notifier {name!r}", expected="2xx", got=str(answer.status_code))


def _send(name: str, to: Email, message: EmailMessage) -> None:
    import smtplib
    import ssl

    try:
        context = None if to.security == "none" else ssl.create_default_context()
        if context and to.ca_file:
            context.load_verify_locations(to.ca_file)
        if context and to.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(to.host, to.port, timeout=TIMEOUT_SECONDS, context=context)
        else:
            server = smtplib.SMTP(to.host, to.port, timeout=TIMEOUT_SECONDS)
        with server:
            if to.security == "starttls":
                server.starttls(context=context)
            if to.username:
                server.login(to.username, to.password.get_secret_value())
            refused = server.send_message(message)
    except (smtplib.SMTPException, OSError) as error:  # TLS failures are among the latter
        raise UnavailableError(f"notifier {name!r}", expected="mail taken", got=type(error).__name__) from None
    if refused:
        raise UnavailableError(f"notifier {name!r}", expected="every address taken", got=f"{len(refused)} refused")


def _escaped(text: str) -> str:
    """As Slack wants its three control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
