"""A server that is a process of ours: started, awaited, killed, started again over the same data, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType

from watersmeet.core.errors import UnavailableError
from watersmeet.runtime.wiring import system_clock

_POLL_SECONDS = 0.1
_STOP_SECONDS = 20.0
_LAST_WORDS = 2_000


class Server:
    """One process, or several that make one service, such as a name node and a data node.

    Args:
        name: for messages and the log file.
        url: where clients find it.
        commands: one a process, started in this order.
        folder: working directory; keeps the data and ``<name>.log``.
        ready: asked until it is true; an `OSError` means not yet.
        environment: added to this process's own.
        seconds: how long it may take to get ready.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *commands: Sequence[str],
        folder: Path,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        seconds: float = 180.0,
    ) -> None:
        self.name, self.url, self.folder = name, url, folder
        self.log = folder / f"{name}.log"
        self._commands, self._ready, self._seconds = commands, ready, seconds
        self._environment = {**os.environ, **(environment or {})}
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Server:
        """Start it unless it runs."""
        return self if self.pids else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop it."""
        self.stop()

    @property
    def pids(self) -> list[int]:
        """Its processes that run."""
        return [process.pid for process in self._processes if process.poll() is None]

    def start(self) -> Server:
        """Start it and wait until it is ready; `UnavailableError` with the end of its log if it does not get there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._processes = [
                subprocess.Popen(  # noqa: S603  # commands of this package alone
                    command,
                    cwd=self.folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # an interrupt of the tests is not one of the servers
                )
                for command in self._commands
            ]
        clock = system_clock()
        until = clock.monotonic() + self._seconds
        while not self._is_ready():
            dead = len(self.pids) < len(self._commands)
            if dead or clock.monotonic() > until:
                self.kill()
                words = self.log.read_text(errors="replace")[-_LAST_WORDS:]
                got = "a process that ended" if dead else f"nothing for {self._seconds:.0f} s"
                raise UnavailableError(self.name, expected="a server that gets ready", got=f"{got}; its log: {words}")
            clock.sleep(_POLL_SECONDS)
        return self

    def kill(self) -> None:
        """SIGKILL, as a power cut of the process: it gets no chance to write anything more."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM; SIGKILL if that does not end it."""
        self._signal(signal.SIGTERM)

    def release(self) -> list[int]:
        """Let its processes outlive this one; returns their ids, for whoever ends them."""
        pids = self.pids
        for process in self._processes:
            process.returncode = 0  # else its handle complains when it goes
        self._processes = []
        return pids

    def pause(self) -> None:
        """SIGSTOP: it holds its connections and answers nothing."""
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        for pid in self.pids:
            os.kill(pid, signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(number)
        for process in self._processes:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _is_ready(self) -> bool:
        try:
            return self._ready()
        except OSError:
            return False


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on; all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def answers(port: int) -> bool:
    """True if something accepts connections at a port of loopback."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=1.0)):
        return True
