"""The few steps that everything in a lake is made of, the same on S3 and on HDFS.

Two of them are conditional, and they alone decide what happened:

    put_if_absent   a key gets its one and only contents, whole or not at all; of several writers one wins
    replace         a key's contents follow the version that its writer has looked at, whole or not at all

Every step may also end in `UnavailableError` with its outcome unknown: it was applied, was not, or will be applied
later. Callers look again and do it again; so what is written names the attempt that wrote it, or says the same whoever
writes it. No step waits without end: each request has its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Held:
    """What a key holds.

    Args:
        data: its contents; None if there are none.
        version: of the contents, for `Store.replace`; empty if there are none.
    """

    data: bytes | None
    version: str


class Store(Protocol):
    """Objects by key below one root. Keys are relative, with ``/`` between their parts. Safe to share between threads.

    Each step raises `UnavailableError` if the store cannot be reached, or refuses it for want of rights or space.
    """

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Give a key its contents; False if it has some already, perhaps by a first try of this very call."""
        ...

    def look(self, key: str) -> Held:
        """What a key holds that is written by `replace`."""
        ...

    def replace(self, key: str, data: bytes, version: str) -> bool:
        """Replace what `look` found; False if it is no longer that, perhaps by a first try of this very call."""
        ...

    def get(self, key: str) -> bytes | None:
        """The contents of a key that is written once; None if there are none."""
        ...

    def upload(self, key: str, path: Path) -> None:
        """Give a file to a key that nobody else uses. What a failed upload leaves is for `delete`."""
        ...

    def download(self, key: str, path: Path, size: int) -> bool:
        """Write an object of ``size`` bytes to a file; False if there is none."""
        ...

    def keys(self, folder: str) -> Sequence[str]:
        """The keys below a folder, at any depth, in any order; none if there is no such folder."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object if it is there."""
        ...

    def probe(self) -> str:
        """Write and delete an object, and say what this is."""
        ...

    def close(self) -> None:
        """Let go of connections; nothing may be asked afterwards."""
        ...
