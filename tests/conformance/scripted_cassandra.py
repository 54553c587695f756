"""The driver's session of a real Cassandra, between which and the server a script decides what happens to a statement.

The outcomes of a remote call: it is done and said so (`DONE`), done but the answer is lost (`LOST`), not done and
reported as failed (`FAILED`), refused before anything was done (`REFUSED`), or it is slow: the caller gives up, and it
arrives at the server only after `LATE` more statements (`SLOW`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from cassandra import ConsistencyLevel, OperationTimedOut, Unavailable, WriteTimeout, WriteType

from watersmeet.adapters.cassandra.session import Session

DONE, LOST, FAILED, REFUSED, SLOW = "done", "lost", "failed", "refused", "slow"
BAD = (LOST, FAILED, REFUSED, SLOW)
LATE = 3
Script = Callable[[str], str]
"""CQL of a statement about to be sent -> its outcome; it may raise, as if the process died."""


class _Failed:
    is_schema_agreed = True

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self) -> object:
        raise self._error


class Scripted:
    """A driver's session that does what a script says. A statement is decided on when it is sent."""

    def __init__(self, driver: Any, script: Script) -> None:
        self._driver, self._script = driver, script
        self._held: list[tuple[int, Any, dict[str, Any]]] = []
        self._turn = threading.Lock()

    def prepare(self, cql: str) -> Any:
        return self._driver.prepare(cql)

    def execute_async(self, statement: Any, **how: Any) -> Any:
        self._let_go()
        prepared = getattr(statement, "prepared_statement", None)
        outcome = self._script(prepared.query_string if prepared else str(statement))
        if outcome == SLOW:
            with self._turn:
                self._held.append((LATE, statement, how))
            return _Failed(OperationTimedOut({}, None))
        if outcome == FAILED:
            return _Failed(WriteTimeout("scripted", write_type=WriteType.SIMPLE, consistency=ConsistencyLevel.QUORUM))
        if outcome == REFUSED:
            return _Failed(Unavailable("scripted", ConsistencyLevel.QUORUM, 2, 1))
        future = self._driver.execute_async(statement, **how)
        if outcome == LOST:
            future.result()
            return _Failed(OperationTimedOut({}, None))
        return future

    def flush(self) -> None:
        """Let everything slow arrive."""
        while self._held:
            self._let_go()

    def _let_go(self) -> None:
        with self._turn:
            held = [(left - 1, statement, how) for left, statement, how in self._held]
            self._held = [each for each in held if each[0]]
        for left, statement, how in held:
            if not left:
                self._driver.execute_async(statement, **how).result()


def scripted(session: Session, script: Script) -> Session:
    """The same connection, with a script in between."""
    return Session(Scripted(session.driver, script), session.address, session.options)


def now_and_then(every: int) -> Script:
    """One statement in ``every`` of each thread goes wrong, each time in the next way; repeated, it does not."""
    mine = threading.local()

    def script(_: str) -> str:
        mine.count = getattr(mine, "count", 0) + 1
        return BAD[mine.count // every % len(BAD)] if mine.count % every == 0 else DONE

    return script
