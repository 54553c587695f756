"""HDFS, through WebHDFS.

    hdfs://user@namenode:9870/folder          hdfs://first:9870,second:9870/folder      name nodes of one service

A file is created before its contents come, so one that must be whole or not there is written under a name of its own
and renamed; a rename that must not overwrite is the name node's own compare-and-set.

A name node cannot replace a file *if it is still the one that was looked at*. So versions are claimed:

    <folder>/<name>                         what others read
    <folder>/.<name>.claims/7/<attempt>     the next contents, until they are renamed over <name>
    <folder>/.<name>.claims/7               is the claim, and stays when they have left it

1. The contents are written to a folder of the attempt, which is renamed to the next number: one writer gets it.
2. Who has got a number that is not the highest has looked at something old, and gives it back.
3. The contents are renamed over the file: once, since nobody else ever uses the attempt's name.
4. Lower numbers are deleted. The highest never is, so what was the highest after a claim was so when it was made.

A writer that dies after the first step leaves a claim whose contents the next one moves into place before it looks.
So nobody ever overwrites what came after what he has seen, however long he was held up between two steps.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from watersmeet.core.address import Address, options
from watersmeet.core.errors import SettingsError, UnavailableError

from .store import Held

_CHUNK_BYTES = 1 << 20
_SAID = 300
_ELSEWHERE = ("StandbyException",)
_REMEDIES = {
    "SafeModeException": "wait until the name node leaves safe mode: hdfs dfsadmin -safemode get",
    "RetriableException": "wait until the name node is ready",
    "AccessControlException": "give its user rights to the folder, or name another user in the URL",
    "SecurityException": "name a user in the URL: hdfs://user@namenode:9870/folder",
    "DSQuotaExceededException": "raise the folder's space quota",
    "NSQuotaExceededException": "raise the folder's name quota",
}
_DEFAULT_PORT = 9870


@dataclass(frozen=True, slots=True)
class HdfsOptions:
    """What an ``hdfs://`` address may say after its question mark.

    Args:
        tls: WebHDFS over TLS.
        timeout_seconds: in which a node must accept a connection, and each piece of data move.
        rpc: port of the name node's own protocol, for those who read by that; 0: not known.
        cache_mib: what is downloaded of an archive may take on the local disk.
    """

    tls: bool = False
    timeout_seconds: float = 30.0
    rpc: int = 0
    cache_mib: int = 1024


class _RefusedError(Exception):
    """What a node says no with: the name of a Java exception."""

    def __init__(self, kind: str, said: str) -> None:
        super().__init__(f"{kind}: {said}")
        self.kind = kind


class HdfsStore:
    """The `Store` of a folder in HDFS.

    Args:
        address: ``hdfs://…``.
        client: in place of a new one.

    Raises:
        SettingsError: the address names no name node, or an option that there is not.
    """

    def __init__(self, address: Address, client: httpx2.Client | None = None) -> None:
        self._address = address
        chosen = options(address, HdfsOptions)
        if not address.hosts:
            raise SettingsError(f"store {address}", expected="hdfs://namenode:9870/folder")
        scheme = "https" if chosen.tls else "http"
        self._nodes = [f"{scheme}://{node}/webhdfs/v1" for node in address.servers(_DEFAULT_PORT).split(",")]
        self._root = f"/{address.path}" if address.path else ""
        self._user = {"user.name": address.user} if address.user else {}
        self._client = client or httpx2.Client(timeout=chosen.timeout_seconds, follow_redirects=False)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Give a key its contents; False if it has some already."""
        folder, _, name = key.rpartition("/")
        temporary = f"{folder}/.{name}.{secrets.token_hex(8)}" if folder else f".{name}.{secrets.token_hex(8)}"
        with self._reached(key):
            self._create(temporary, data)
            if self._rename(temporary, key, "NONE"):
                return True
            self._ask("DELETE", "DELETE", temporary)
            return False

    def look(self, key: str) -> Held:
        """What a key holds, by the highest number that was claimed; contents that wait are moved into place."""
        with self._reached(key):
            number = self._latest(key)
            place = f"{_claims(key)}/{number}"
            waiting = [name for name, _ in self._entries(place)] if number else []
            if waiting and self._latest(key) == number:
                self._rename(f"{place}/{waiting[0]}", key, "OVERWRITE")
            return Held(self._read(key), str(number) if number else "")

    def replace(self, key: str, data: bytes, version: str) -> bool:
        """Replace what had been claimed under a number; an empty one: what is not there."""
        claims, number, attempt = _claims(key), int(version or 0) + 1, secrets.token_hex(8)
        place = f"{claims}/{number}"
        with self._reached(key):
            self._create(f"{claims}/.{attempt}/{attempt}", data)
            if not self._rename(f"{claims}/.{attempt}", place, "NONE"):
                self._ask("DELETE", "DELETE", f"{claims}/.{attempt}", recursive="true")
                return False
            if self._latest(key) != number:
                # It was too old from the start; or has been moved into place and followed, which its caller will see.
                self._ask("DELETE", "DELETE", place, recursive="true")
                return False
            self._rename(f"{place}/{attempt}", key, "OVERWRITE")
            for old in self._numbers(key):
                if old < number:
                    self._ask("DELETE", "DELETE", f"{claims}/{old}", recursive="true")
            return True

    def get(self, key: str) -> bytes | None:
        """The contents of a key; None if there are none."""
        with self._reached(key):
            return self._read(key)

    def upload(self, key: str, path: Path) -> None:
        """Give a file to a key."""
        with self._reached(key), path.open("rb") as file:
            self._create(key, iter(lambda: file.read(_CHUNK_BYTES), b""))

    def download(self, key: str, path: Path, size: int) -> bool:
        """Write a file to a local one."""
        with self._reached(key), path.open("wb") as file:
            place = self._place("GET", "OPEN", key)
            if place is None:
                return False
            with self._client.stream("GET", place) as answer:
                if answer.status_code != httpx2.codes.OK:
                    answer.read()
                    _check(answer)
                for chunk in answer.iter_bytes(_CHUNK_BYTES):
                    file.write(chunk)
        return True

    def keys(self, folder: str) -> Sequence[str]:
        """The keys below a folder; files that are being written, whose names begin with a dot, too."""
        with self._reached(folder):
            found: list[str] = []
            waiting = [folder]
            while waiting:
                here = waiting.pop()
                for name, type_ in self._entries(here):
                    (found if type_ == "FILE" else waiting).append(f"{here}/{name}" if here else name)
            return found

    def delete(self, key: str) -> None:
        """Delete a file if it is there."""
        with self._reached(key):
            self._ask("DELETE", "DELETE", key)

    def probe(self) -> str:
        """Write and delete a file, and say what this is."""
        key = f".probe-{secrets.token_hex(8)}"
        try:
            self.put_if_absent(key, b"1")
        finally:
            self.delete(key)
        return f"HDFS folder {self._root or '/'}, by WebHDFS at {self._address.servers(_DEFAULT_PORT)}"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _latest(self, key: str) -> int:
        return max(self._numbers(key), default=0)

    def _numbers(self, key: str) -> list[int]:
        return [int(name) for name, _ in self._entries(_claims(key)) if name.isdigit()]

    def _entries(self, folder: str) -> Iterator[tuple[str, str]]:
        """(name, type) of what lies in a folder; none if there is no such folder."""
        after, more = "", 1
        while more:
            answer = self._ask("GET", "LISTSTATUS_BATCH", folder, startAfter=after)
            if answer is None:
                return
            listing = answer["DirectoryListing"]
            page = listing["partialListing"]["FileStatuses"]["FileStatus"]
            yield from ((entry["pathSuffix"], entry["type"]) for entry in page)
            more = listing["remainingEntries"]
            after = page[-1]["pathSuffix"] if page else ""

    def _read(self, key: str) -> bytes | None:
        place = self._place("GET", "OPEN", key)
        if place is None:
            return None
        answer = self._client.get(place)
        if answer.status_code == httpx2.codes.NOT_FOUND:
            return None
        _check(answer)
        return answer.content

    def _create(self, key: str, data: bytes | Iterator[bytes]) -> None:
        place = self._place("PUT", "CREATE", key, overwrite="false")
        answer = self._client.put(place or "", content=data, headers={"Content-Type": "application/octet-stream"})
        _check(answer)

    def _rename(self, key: str, to: str, how: str) -> bool:
        """Rename a file or folder; False if it is not there, or with ``NONE`` if there is something already."""
        try:
            answer = self._ask("PUT", "RENAME", key, destination=self._path(to), renameoptions=how)
        except _RefusedError as refused:
            if refused.kind != "FileAlreadyExistsException":
                raise
            return False
        return answer is not None

    def _place(self, method: str, operation: str, key: str, **more: str) -> str | None:
        """Which data node to write to or read from; None if there is no such file."""
        answer = self._ask(method, operation, key, noredirect="true", **more)
        return None if answer is None else str(answer["Location"])

    def _ask(self, method: str, operation: str, key: str, **more: str) -> Any:
        """Ask the name node that is active; None if there is no such file."""
        parameters = {"op": operation, **self._user, **more}
        lost: Exception | None = None
        for node in self._nodes:
            try:
                answer = self._client.request(method, node + quote(self._path(key)), params=parameters)
                _check(answer)
                return answer.json() if answer.content else {}
            except httpx2.ConnectError as error:
                lost = error
            except _RefusedError as refused:
                if refused.kind == "FileNotFoundException":
                    return None
                if refused.kind not in _ELSEWHERE:
                    raise
                lost = refused
        raise lost or _RefusedError("StandbyException", "no name node is active")

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}".rstrip("/") or "/"

    @contextmanager
    def _reached(self, key: str) -> Iterator[None]:
        try:
            yield
        except (httpx2.HTTPError, httpx2.InvalidURL, _RefusedError, OSError, KeyError, ValueError) as error:
            kind = error.kind if isinstance(error, _RefusedError) else type(error).__name__
            remedy = _REMEDIES.get(kind, "check its address, its name and data nodes, and the network")
            got = (str(error) if isinstance(error, _RefusedError) else f"{kind}: {error}").partition("\n")[0][:_SAID]
            raise UnavailableError(f"{self._address}, {key}", got=got, remedy=remedy) from error


def _check(answer: httpx2.Response) -> None:
    """Raise what a node refuses with."""
    if answer.is_success:
        return
    try:
        said = answer.json()["RemoteException"]
        raise _RefusedError(str(said["exception"]), str(said["message"]))
    except (ValueError, KeyError, TypeError):
        raise _RefusedError(f"HTTP status {answer.status_code}", answer.text[:_SAID]) from None


def _claims(key: str) -> str:
    folder, _, name = key.rpartition("/")
    return f"{folder}/.{name}.claims" if folder else f".{name}.claims"
