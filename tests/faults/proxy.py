"""A TCP proxy on loopback that breaks what goes through it, as a test says.

    pass      nothing is broken
    refuse    nobody listens, and connections that are there are cut
    reset     after so many bytes of answers a connection is cut in the middle of one
    hang      connections are taken, and nothing is ever answered
    delay     every answer comes so many seconds late, or as soon as the fault is over
    garble    every bit of an answer that could be told from another one is another one
    reply     a server of the test answers in place of the real one
    flap      every other connection is cut at once, the others after so many bytes

A fault hits connections that are there already. When it is over, those whose bytes it has swallowed or changed are cut.
Faults go by bytes and connections, not by time, so a test that breaks something breaks it in the same way each time.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

_CHUNK_BYTES = 1 << 16
_FLIP = bytes(n ^ 0x55 for n in range(256))


@dataclass(frozen=True, eq=False, slots=True)
class Fault:
    """What is done to connections.

    Args:
        kind: as the module says.
        after: bytes of answers that get through a connection before it is cut, for ``reset`` and ``flap``.
        seconds: how late answers are, for ``delay``.
        reply: request -> answer, for ``reply``.
        over: set when another one takes its place.
    """

    kind: str = "pass"
    after: int = 64
    seconds: float = 5.0
    reply: Callable[[bytes], bytes] = bytes
    over: threading.Event = field(default_factory=threading.Event)


class _Link:
    """One connection of a client and its other half to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.answered: tuple[Fault | None, int] = (None, 0)

    def cut(self) -> None:
        """Reset the connection to the client."""
        for each in (self.client, self.server):
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RD)  # whoever waits for bytes stops waiting
            each.close()


class Proxy:
    """Listens on a port of its own, `port`, in front of a server on loopback; use as a context manager.

    Args:
        server: port of the server.
        announced: bytes of answers that name the server, and bytes of the same length that name the proxy.
    """

    def __init__(self, server: int, announced: Callable[[int], tuple[bytes, bytes]] | None = None) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._links: list[_Link] = []
        self._taken = 0
        self._fault = Fault()
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._announced = announced(self.port) if announced else (b"", b"")

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.set(Fault("refuse"))

    def set(self, fault: Fault) -> None:
        """Put a fault in the place of the one before."""
        with self._lock:
            before, self._fault = self._fault, fault
            links = list(self._links)
            cut = before.kind in ("hang", "garble", "reply", "flap", "reset") or fault.kind in (
                "refuse",
                "reply",
                "flap",
            )
            if fault.kind == "refuse" and before.kind != "refuse":
                self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
            elif before.kind == "refuse" and fault.kind != "refuse":
                self._listener = self._listen(self.port)
        before.over.set()
        for link in links if cut else ():
            self._drop(link)

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        threading.Thread(target=self._accept, args=(listener,), name="proxy", daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # nobody listens any more
            server = socket.socket()
            link = _Link(client, server)
            self._taken += 1
            try:
                server.connect(("127.0.0.1", self._server))
            except OSError:
                link.cut()
                continue
            with self._lock:
                fault = self._fault
                self._links.append(link)
            if fault.kind == "refuse" or (fault.kind == "flap" and self._taken % 2):
                self._drop(link)
                continue
            for work in (self._ask, self._answer):
                threading.Thread(target=self._pump, args=(work, link), name="proxy", daemon=True).start()

    def _pump(self, work: Callable[[_Link], bool], link: _Link) -> None:
        with suppress(OSError):
            while work(link):
                pass
        self._drop(link)

    def _ask(self, link: _Link) -> bool:
        data, fault = link.client.recv(_CHUNK_BYTES), self._fault
        if fault.kind == "reply":
            link.client.sendall(fault.reply(data))
        elif fault.kind != "hang":
            link.server.sendall(data)
        return bool(data)

    def _answer(self, link: _Link) -> bool:
        data, fault = link.server.recv(_CHUNK_BYTES).replace(*self._announced), self._fault
        if not data:
            return False
        match fault.kind:
            case "hang" | "reply":
                return True
            case "delay":
                fault.over.wait(fault.seconds)
            case "garble":
                data = data.translate(_FLIP)
            case "reset" | "flap":
                before = link.answered[1] if link.answered[0] is fault else 0
                link.answered = (fault, before + len(data))
                link.client.sendall(data[: max(fault.after - before, 0)])
                return before + len(data) <= fault.after
        link.client.sendall(data)
        return True

    def _drop(self, link: _Link) -> None:
        with self._lock:
            if link in self._links:
                self._links.remove(link)
        link.cut()
