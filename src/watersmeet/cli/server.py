"""The API served beside a command, by a thread of its own."""

from __future__ import annotations

import socket
import threading
from types import TracebackType

import uvicorn

from watersmeet.api.app import create
from watersmeet.core.errors import UnavailableError
from watersmeet.runtime.node import Node


class Served:
    """The API of a node, from `__enter__` to `__exit__`.

    Args:
        node: whose answers.
        host: the address; beyond loopback the API demands that keys exist.
        port: 0 takes a free one.
    """

    def __init__(self, node: Node, *, host: str = "127.0.0.1", port: int = 0) -> None:
        try:
            self._socket = socket.create_server((host, port))
        except OSError as error:
            raise UnavailableError(
                f"port {port}", expected="a free port", got=str(error.strerror), remedy="choose another with --port"
            ) from None
        # The event loop would set this only on a socket that names its protocol; without it each answer waits 40 ms for
        # an acknowledgement between its head and its body. Accepted sockets inherit it.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            create(node),
            log_config=None,
            log_level="warning",
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=1,
            server_header=False,
            proxy_headers=False,  # by default it would believe any header that comes over loopback; `api.guard` decides
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="api", daemon=True
        )

    def __enter__(self) -> Served:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(5)
        self._socket.close()
