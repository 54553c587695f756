"""Faults of remote calls, request by request: a proxy before S3, and a transport before WebHDFS.

One request of many, the ``at``-th that changes something, ends in one of three ways that its client cannot tell apart:

    lost     it is not applied
    silent   it is applied, and the answer is lost
    late     it is applied when `Script.release` is called, after others

and with ``dead`` none after it gets through: its client has died at that moment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

Answer = tuple[int, list[tuple[str, str]], bytes]


@dataclass
class Script:
    """What becomes of requests; the first that changes something is number 0."""

    at: int
    fate: str
    dead: bool = False
    seen: int = 0
    held: list[Callable[[], object]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def reached(self) -> bool:
        """Whether there were so many requests."""
        return self.seen > self.at

    def judge(self, method: str, send: Callable[[], Answer]) -> Answer | None:
        """The answer that the client gets; None: its connection breaks."""
        with self.lock:
            number, self.seen = self.seen, self.seen + (method in ("PUT", "POST", "DELETE"))
            if number > self.at:
                hit, gone = False, self.dead
            else:
                hit, gone = number == self.at and self.seen > number, False
        if gone:
            return None
        if not hit:
            return send()
        if self.fate == "silent":
            send()
        elif self.fate == "late":
            self.held.append(send)
        return None

    def release(self) -> None:
        """Apply what was held up."""
        for send in self.held:
            send()
        self.held.clear()


@contextmanager
def s3_proxy(port: int, script: Script) -> Iterator[int]:
    """A port of loopback behind which S3 answers as the script says."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            method, path, headers = self.command, self.path, dict(self.headers.items())

            def send() -> Answer:
                with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
                    connection.request(method, path, body, headers)
                    found = connection.getresponse()
                    return found.status, found.getheaders(), found.read()

            said = script.judge(method, send)
            if said is None:
                self.close_connection = True
                return
            status, names, data = said
            self.send_response_only(status)
            for name, value in names:
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = {n.lower(): v for n, v in names}.get("content-length", str(len(data)))
            self.send_header("Content-Length", length if method == "HEAD" else str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815  # as the server looks for them

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class ScriptedTransport(httpx2.BaseTransport):
    """Sends requests as the script says."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        body = b"".join(request.stream) if isinstance(request.stream, httpx2.SyncByteStream) else b""

        def send() -> Answer:
            again = httpx2.Request(request.method, request.url, headers=request.headers, stream=httpx2.ByteStream(body))
            with httpx2.HTTPTransport() as transport:  # its own: what was late comes when the client is closed
                found = transport.handle_request(again)
                return found.status_code, list(found.headers.items()), found.read()

        # Asking for a place to write to, or where to read from, changes nothing.
        method = "GET" if "noredirect" in request.url.params else request.method
        said = self._script.judge(method, send)
        if said is None:
            raise httpx2.ReadError("the connection broke", request=request)
        status, headers, data = said
        kept = [(n, v) for n, v in headers if n.lower() not in ("content-length", "transfer-encoding")]
        return httpx2.Response(status, headers=kept, content=data, request=request)
