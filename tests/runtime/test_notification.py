"""Notices, sent to real listeners on loopback."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as Inbox
from aiosmtpd.smtp import AuthResult, LoginPassword
from pydantic import SecretStr, TypeAdapter

from watersmeet.core.errors import SettingsError, UnavailableError
from watersmeet.layers.alerts import Notice
from watersmeet.runtime.channels import Channel, Email
from watersmeet.runtime.notification import headline, notifier
from watersmeet.runtime.settings import Settings, load

pytestmark = pytest.mark.integration

LABELS, ROW = {"product": "tea"}, {"orders": "3", "note": "a < b & c"}
NOTICE = Notice("n1", "busy", "warning", "firing", LABELS, 7_000_000, ROW, "k1", 1_700_000_000_000_000)
OVER = replace(NOTICE, id="n2", status="resolved")


class Listener(HTTPServer):
    """A real listener on loopback."""

    def __init__(self) -> None:
        self.heard: list[tuple[str | None, Any]] = []
        self.status = 204
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/secret"


class Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.headers["Idempotency-Key"], json.loads(body)))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def channel(**fields: object) -> Channel:
    found: Channel = TypeAdapter(Channel).validate_python(fields)
    return found


# -- over HTTP ---------------------------------------------------------------------------------------------------------


def test_a_webhook_is_posted_the_notice(listener: Listener) -> None:
    notifier({"phone": channel(url=listener.url)})("phone", NOTICE)
    [(key, body)] = listener.heard
    assert key == "n1"
    assert (body["alert"], body["labels"], body["row"]["orders"], body["key"]) == ("busy", LABELS, "3", "k1")


def test_slack_gets_a_line_and_the_row_with_its_control_characters_escaped(listener: Listener) -> None:
    send = notifier({"ops": channel(kind="slack", url=listener.url)})
    for notice in (NOTICE, OVER):
        send("ops", notice)
    (_, firing), (_, resolved) = listener.heard
    assert firing["text"] == "warning: busy is firing for product tea"
    [attachment] = firing["attachments"]
    assert {"title": "note", "value": "a &lt; b &amp; c", "short": True} in attachment["fields"]
    assert attachment["color"] != resolved["attachments"][0]["color"]


def test_pagerduty_triggers_and_resolves_one_incident(listener: Listener) -> None:
    listener.status = 202
    send = notifier({"pager": channel(kind="pagerduty", routing_key="R0", url=listener.url)})
    for notice in (NOTICE, OVER):
        send("pager", notice)
    (_, firing), (_, resolved) = listener.heard
    assert (firing["event_action"], resolved["event_action"]) == ("trigger", "resolve")
    assert firing["dedup_key"] == resolved["dedup_key"] == "k1"
    assert firing["routing_key"] == "R0"
    payload = firing["payload"]
    assert (payload["severity"], payload["source"]) == ("warning", "busy")
    assert payload["timestamp"] == "2023-11-14T22:13:20+00:00"
    assert payload["custom_details"]["orders"] == "3"


def test_a_refusal_is_an_error_that_keeps_the_address_secret(listener: Listener) -> None:
    listener.status = 500
    with pytest.raises(UnavailableError, match="500") as caught:
        notifier({"phone": channel(url=listener.url)})("phone", NOTICE)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/secret", "secret", "http://[secret"])
def test_nobody_there_is_an_error_too(url: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        notifier({"phone": channel(url=url)})("phone", NOTICE)
    assert "secret" not in str(caught.value)


# -- by mail -----------------------------------------------------------------------------------------------------------


class Mails(Inbox):
    """What came, and what is refused."""

    def __init__(self) -> None:
        self.came: list[Message] = []
        self.refused: set[str] = set()
        super().__init__()

    def handle_message(self, message: Message) -> None:
        self.came.append(message)

    async def handle_RCPT(self, server: object, session: object, envelope: Any, address: str, options: Any) -> str:
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"


class MailServer(Controller):
    """On a free port."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]  # it has started
        super()._trigger_server()  # type: ignore[no-untyped-call]  # of the library


@contextmanager
def mail_server(**options: Any) -> Iterator[tuple[Mails, int]]:
    mails = Mails()
    controller = MailServer(mails, hostname="127.0.0.1", port=0, **options)
    controller.start()
    try:
        yield mails, controller.port
    finally:
        controller.stop(no_assert=True)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return context, path


def email(port: int, **more: object) -> Email:
    fields = {"host": "127.0.0.1", "port": port, "sender": "wm@example.org", "to": ["a@example.org", "b@example.org"]}
    return Email.model_validate({"kind": "email", **fields, **more})


def test_a_mail_says_what_holds_since_when(tls: tuple[ssl.SSLContext, Path]) -> None:
    with mail_server(tls_context=tls[0], require_starttls=True) as (mails, port):
        notifier({"mail": email(port, ca_file=tls[1])})("mail", NOTICE)
    [came] = mails.came
    assert came["Subject"] == "warning: busy is firing for product tea"
    assert (came["To"], came["From"]) == ("a@example.org, b@example.org", "wm@example.org")
    assert came["Message-ID"] == "<n1@watersmeet>"
    text = came.get_payload(decode=True).decode()  # type: ignore[union-attr]  # it is one part
    assert "since 1970-01-01 00:00:07 UTC" in text
    assert "note: a < b & c" in text


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # the server does not see that its socket is TLS throughout
def test_a_mail_over_tls_after_a_login(tls: tuple[ssl.SSLContext, Path]) -> None:
    def check(server: object, session: object, envelope: object, mechanism: str, data: LoginPassword) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"wm", b"secret"))

    options = {"authenticator": check, "auth_required": True, "auth_require_tls": False}
    with mail_server(ssl_context=tls[0], **options) as (mails, port):
        given = {"security": "tls", "ca_file": tls[1], "username": "wm"}
        notifier({"mail": email(port, password="secret", **given)})("mail", NOTICE)
        with pytest.raises(UnavailableError) as caught:
            notifier({"mail": email(port, password="secret2", **given)})("mail", NOTICE)
    assert len(mails.came) == 1
    assert "secret2" not in str(caught.value)


def test_a_server_that_nobody_vouches_for_gets_no_mail(tls: tuple[ssl.SSLContext, Path]) -> None:
    with mail_server(tls_context=tls[0]) as (mails, port), pytest.raises(UnavailableError, match="SSLCertVerification"):
        notifier({"mail": email(port)})("mail", NOTICE)
    assert mails.came == []


def test_a_server_without_tls_gets_no_mail_unless_it_may() -> None:
    with mail_server() as (mails, port):
        with pytest.raises(UnavailableError, match="SMTPNotSupportedError"):
            notifier({"mail": email(port)})("mail", NOTICE)
        assert mails.came == []
        notifier({"mail": email(port, security="none")})("mail", NOTICE)
        assert len(mails.came) == 1


def test_an_address_that_is_refused_is_an_error() -> None:
    with mail_server() as (mails, port):
        mails.refused = {"b@example.org"}
        with pytest.raises(UnavailableError, match="1 refused"):
            notifier({"mail": email(port, security="none")})("mail", NOTICE)


def test_no_label_can_add_a_header_or_a_line() -> None:
    evil = replace(NOTICE, labels={"product": "tea\r\nBcc: eve@example.org"})
    assert headline(evil) == "warning: busy is firing for product tea Bcc: eve@example.org"
    with mail_server() as (mails, port):
        notifier({"mail": email(port, security="none")})("mail", evil)
    [came] = mails.came
    assert came["Bcc"] is None


# -- names and settings ------------------------------------------------------------------------------------------------


def test_a_name_that_is_not_in_the_settings_suggests_one(listener: Listener) -> None:
    with pytest.raises(SettingsError, match="phone"):
        notifier({"phone": channel(url=listener.url)})("phon", NOTICE)


def test_the_log_is_always_there(caplog: pytest.LogCaptureFixture) -> None:
    notifier({})("log", NOTICE)
    assert "busy" in caplog.text


def test_channels_are_settings(tmp_path: Path) -> None:
    (tmp_path / "watersmeet.yaml").write_text(
        """
        notify:
          hook: {url: "https://example.org/hook"}
          pager: {kind: pagerduty, routing_key: R0}
          mail: {kind: email, host: smtp.example.org, sender: a@example.org, to: [b@example.org]}
        routes: {critical: [pager, mail]}
        """
    )
    found = load(start=tmp_path, environ={"WATERSMEET__NOTIFY__PAGER__ROUTING_KEY": "R1"}).settings
    assert [found.notify[name].kind for name in ("hook", "pager", "mail")] == ["webhook", "pagerduty", "email"]
    assert found.notify["pager"].routing_key == SecretStr("R1")  # type: ignore[union-attr]  # it is PagerDuty's
    assert found.routes.model_dump() == {"info": ("log",), "warning": ("log",), "critical": ("pager", "mail")}
    assert "R1" not in repr(found)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "fax", "url": "x"},
        {"kind": "slack"},
        {"kind": "email", "host": "h", "sender": "s", "to": []},
        {"url": "x", "colour": "red"},
    ],
)
def test_a_wrong_channel_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="notify"):
        Settings.model_validate({"notify": {"x": wrong}})
