from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import SecretStr

from watersmeet.core.errors import SettingsError, UnavailableError
from watersmeet.layers.alerts import Notice
from watersmeet.runtime.notification import notifier
from watersmeet.runtime.settings import Notifier

pytestmark = pytest.mark.integration
NOTICE = Notice("n1", "busy", "warning", "firing", {"product": "tea"}, 7, {"orders": "3"})


class Listener(HTTPServer):
    """A real listener on loopback."""

    def __init__(self) -> None:
        self.heard: list[tuple[str | None, dict[str, object]]] = []
        self.status = 204
        super().__init__(("127.0.0.1", 0), Handler)


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


def target(listener: Listener) -> dict[str, Notifier]:
    return {"phone": Notifier(url=SecretStr(f"http://127.0.0.1:{listener.server_port}/secret"))}


def test_a_notice_is_posted_as_json(listener: Listener) -> None:
    notifier(target(listener))("phone", NOTICE)
    [(key, body)] = listener.heard
    assert key == "n1"
    assert body["alert"] == "busy"
    assert body["labels"] == {"product": "tea"}


def test_a_refusal_is_an_error_that_keeps_the_address_secret(listener: Listener) -> None:
    listener.status = 500
    with pytest.raises(UnavailableError, match="500") as caught:
        notifier(target(listener))("phone", NOTICE)
    assert "secret" not in str(caught.value)


def test_nobody_there_is_an_error_too(listener: Listener) -> None:
    nowhere = {"phone": Notifier(url=SecretStr("http://127.0.0.1:1/secret"))}
    with pytest.raises(UnavailableError) as caught:
        notifier(nowhere)("phone", NOTICE)
    assert "secret" not in str(caught.value)


def test_a_name_that_is_not_in_the_settings_suggests_one(listener: Listener) -> None:
    with pytest.raises(SettingsError, match="phone"):
        notifier(target(listener))("phon", NOTICE)


def test_the_log_is_always_there(caplog: pytest.LogCaptureFixture) -> None:
    notifier({})("log", NOTICE)
    assert "busy" in caplog.text
