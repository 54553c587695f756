"""What a registry's answers mean: only its word that there is no such schema is a verdict, all else is a pause."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from watersmeet.adapters.kafka.registry import RegistrySchemas
from watersmeet.core.address import parse_address
from watersmeet.core.errors import RequestError, SettingsError, UnavailableError
from watersmeet.testing.services.server import free_ports

pytestmark = pytest.mark.unit

SCHEMA = '{"type":"record","name":"r","fields":[{"name":"x","type":"long"}]}'
Answer = tuple[int, str]
Script = Mapping[str, Answer]


@contextmanager
def scripted(answers: Script) -> Iterator[tuple[str, list[str]]]:
    """A server that answers as told, by path; and what it was asked, with how the asker named itself."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = self.path.partition("?")[0]
            asked.append(f"{self.command} {path} {self.headers.get('Authorization', '')}".strip())
            status, body = answers.get(path, (404, '{"error_code":404,"message":"HTTP 404 Not Found"}'))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def opened(text: str) -> closing[RegistrySchemas]:
    return closing(RegistrySchemas(parse_address(text)))


def test_a_schema_is_fetched_once() -> None:
    with scripted({"/base/schemas/ids/7": (200, json.dumps({"schema": SCHEMA}))}) as (host, asked):
        with opened(f"registry://me:secret@{host}/base") as schemas:
            assert [schemas.get(7), schemas.get(7)] == [SCHEMA, SCHEMA]
        assert asked == ["GET /base/schemas/ids/7 Basic bWU6c2VjcmV0"]


def test_only_the_registrys_own_word_is_a_verdict() -> None:
    gone = {"/schemas/ids/7": (404, '{"error_code":40403,"message":"Schema 7 not found."}')}
    with scripted(gone) as (host, _), opened(f"registry://{host}") as schemas, pytest.raises(RequestError) as refused:
        schemas.get(7)
    assert refused.value.kind == "unknown"


@pytest.mark.parametrize(
    "answer",
    [
        (404, "<html>no such page</html>"),
        (404, '{"error_code":404,"message":"HTTP 404 Not Found"}'),
        (404, '{"error_code":40401,"message":"another thing is not there"}'),
        (401, '{"error_code":401,"message":"who are you"}'),
        (403, "{}"),
        (409, '{"error_code":409,"message":"no"}'),
        (422, '{"error_code":42202,"message":"no id"}'),
        (429, "{}"),
        (500, '{"error_code":50001,"message":"the store is down"}'),
        (503, ""),
        (200, "<html>welcome</html>"),
        (200, "{}"),
        (200, "[]"),
    ],
    ids=str,
)
def test_everything_else_is_a_pause(answer: Answer) -> None:
    with scripted({"/schemas/ids/7": answer}) as (host, _), opened(f"registry://me:secret@{host}") as schemas:
        with pytest.raises(UnavailableError) as refused:
            schemas.get(7)
        assert "secret" not in str(refused.value)


def test_nobody_there_is_a_pause() -> None:
    [port] = free_ports(1)
    with opened(f"registry://127.0.0.1:{port}") as schemas:
        calls: list[Callable[[], object]] = [
            lambda: schemas.get(7),
            lambda: schemas.register("a-value", SCHEMA),
            lambda: schemas.check("a-value", SCHEMA),
            lambda: schemas.level("a-value"),
            lambda: schemas.level("a-value", "FULL"),
            schemas.subjects,
            lambda: schemas.versions("a-value"),
            schemas.probe,
        ]
        for call in calls:
            with pytest.raises(UnavailableError):
                call()


def test_one_of_several_that_answers_is_enough() -> None:
    [port] = free_ports(1)
    answers = {"/schemas/ids/7": (200, json.dumps({"schema": SCHEMA}))}
    with scripted(answers) as (host, _), opened(f"registry://127.0.0.1:{port},{host}") as schemas:
        assert schemas.get(7) == SCHEMA


@pytest.mark.parametrize("code", [40401, 40408])
def test_a_subject_without_a_level_has_the_servers(code: int) -> None:
    answers = {
        "/config/a-value": (404, json.dumps({"error_code": code, "message": "none"})),
        "/config": (200, '{"compatibilityLevel":"FULL_TRANSITIVE"}'),
    }
    with scripted(answers) as (host, _), opened(f"registry://{host}") as schemas:
        assert schemas.level("a-value") == "FULL_TRANSITIVE"


@pytest.mark.parametrize("text", ["registry://", "registry://host?timeout_seconds=0", "registry://host?timout=1"])
def test_an_address_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        RegistrySchemas(parse_address(text))
