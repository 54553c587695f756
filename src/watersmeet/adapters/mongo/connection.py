"""A MongoDB deployment: how it is reached, what its failures mean, and how long a request may take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pymongo import MongoClient
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from watersmeet.core.address import Address, options
from watersmeet.core.errors import RequestError, SettingsError, UnavailableError, WatersmeetError

_PORT = 27017
_REFUSED = frozenset({13, 18})  # Unauthorized, AuthenticationFailed
_TOO_LARGE = frozenset({10334, 17419, 17420})
_INVALID = frozenset({2, 9, 14, 73, 17280})  # BadValue, FailedToParse, TypeMismatch, InvalidNamespace, KeyTooLong
_SAID = 300

Document = dict[str, object]


@dataclass(frozen=True)
class MongoOptions:
    """What may follow the question mark of ``mongodb://user:password@host:port,host:port/database``.

    Args:
        tls: speak TLS. Default false.
        auth_source: database that knows the user. Default ``admin``.
        replica_set: name of the set that it must be; empty (default): whatever is found.
        transactions: use them where there are any. Default true.
        timeout_seconds: longest that one request may take, all its attempts together. Default 30.
        connect_seconds: longest that one connection may take. Default 5.
    """

    tls: bool = False
    auth_source: str = "admin"
    replica_set: str = ""
    transactions: bool = True
    timeout_seconds: float = 30.0
    connect_seconds: float = 5.0


class Connection:
    """A client of one database; safe to share between threads. Nothing is sent before it is first asked.

    Raises:
        SettingsError: the address names no database, or an option is unknown.
    """

    def __init__(self, address: Address) -> None:
        self.address, self.options = address, options(address, MongoOptions)
        if not address.path or "/" in address.path:
            raise SettingsError(
                str(address), expected="one database", got=address.path or "none", remedy="append /name"
            )
        milliseconds = int(self.options.connect_seconds * 1000)
        source = self.options.auth_source
        known: dict[str, Any] = {"username": address.user, "password": address.password, "authSource": source}
        self.client: MongoClient[Document] = MongoClient(
            address.servers(_PORT).split(","),
            **(known if address.user else {}),
            tls=self.options.tls,
            replicaSet=self.options.replica_set or None,
            timeoutMS=int(self.options.timeout_seconds * 1000),
            connectTimeoutMS=milliseconds,
            serverSelectionTimeoutMS=milliseconds,
            uuidRepresentation="standard",
            appname="watersmeet",
            connect=False,
        )
        # A write is done when a majority has it in its journal: nothing that was acknowledged is lost with a server.
        self.database = self.client.get_database(
            address.path, read_concern=ReadConcern("majority"), write_concern=WriteConcern(w="majority", j=True)
        )

    @contextmanager
    def call(self, subject: str) -> Iterator[None]:
        """A block of requests; the driver's errors become ours."""
        try:
            yield
        except PyMongoError as error:
            raise self._named(subject, error) from error

    def transactions(self) -> bool:
        """Whether it has them: a replica set or a sharded cluster, not a server alone."""
        hello = self.client.admin.command("hello")
        return "setName" in hello or hello.get("msg") == "isdbgrid"

    def close(self) -> None:
        """Close all connections."""
        self.client.close()

    def _named(self, subject: str, error: PyMongoError) -> WatersmeetError:
        got = str(error).partition(", full error")[0].partition(", Timeout:")[0][:_SAID]
        code, faults = code_of(error), _faults(error)
        got = str(faults[0]["errmsg"])[:_SAID] if faults else got
        if isinstance(error, DocumentTooLarge) or code in _TOO_LARGE:
            return RequestError(subject, kind="too_large", expected="rows of at most 16 MB", got=got)
        if code in _INVALID:
            return RequestError(subject, expected="what MongoDB can hold", got=got)
        remedy = (
            "check user, password and rights" if code in _REFUSED else "look whether mongod runs and can be reached"
        )
        expected = f"MongoDB at {self.address}"
        return UnavailableError(subject, expected=expected, got=got, remedy=remedy)


def code_of(error: PyMongoError) -> int | None:
    """MongoDB's number of a failure; of the first, if several writes failed."""
    faults = _faults(error)
    if faults:
        return int(faults[0]["code"])
    return error.code if isinstance(error, OperationFailure) else None


def _faults(error: PyMongoError) -> list[dict[str, Any]]:
    if not isinstance(error, BulkWriteError):
        return []
    faults: list[dict[str, Any]] = error.details["writeErrors"] or error.details["writeConcernErrors"]
    return faults
