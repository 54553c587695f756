"""Everything this package raises on purpose.

    WatersmeetError
    ├── DeclarationError   a declaration is wrong; names its file and line
    ├── SettingsError      a setting, flag or project file is wrong
    ├── RequestError       a read, append or command asks for what cannot be given
    ├── PendingError       it will be possible, but not yet (a fingerprint that is still being covered)
    ├── ConflictError      somebody else changed the manifest, the lease or a value first
    ├── GapError           records that should be readable are gone, or would be skipped
    ├── CorruptError       bytes on disk do not match their checksum
    └── UnavailableError   a service or file cannot be reached; worth trying again

An error carries fields; its text is made from them, so callers can match on fields and people can read the text.
"""

from __future__ import annotations


class WatersmeetError(Exception):
    """Base of every deliberate error.

    Args:
        subject: the thing that is wrong, named as its owner named it.
        expected: what it must be.
        got: what came instead.
        remedy: what to do next, as a command or an edit.
        where: ``file:line`` of the declaration or setting, when there is one.
    """

    def __init__(
        self,
        subject: str,
        *,
        expected: str = "",
        got: str = "",
        remedy: str = "",
        where: str = "",
    ) -> None:
        super().__init__(subject)
        self.subject = subject
        self.expected = expected
        self.got = got
        self.remedy = remedy
        self.where = where

    def __str__(self) -> str:
        text = f"{self.where}: {self.subject}" if self.where else self.subject
        if self.expected:
            text += f"; expected {self.expected}"
        if self.got:
            text += f"; got {self.got}"
        if self.remedy:
            text += f". {self.remedy[0].upper()}{self.remedy[1:]}"
        return text


class DeclarationError(WatersmeetError):
    """A topic, view, query, table, alert or example that cannot mean anything."""


class SettingsError(WatersmeetError):
    """A setting, flag or project file that is missing, unknown or malformed."""


class RequestError(WatersmeetError):
    """A read, append or command that asks for what cannot be given.

    ``kind`` is ``unknown`` (no such name), ``invalid`` (malformed), ``gone`` (older than kept) or ``too_large``.
    """

    def __init__(
        self,
        subject: str,
        *,
        kind: str = "invalid",
        expected: str = "",
        got: str = "",
        remedy: str = "",
        where: str = "",
    ) -> None:
        super().__init__(subject, expected=expected, got=got, remedy=remedy, where=where)
        self.kind = kind


class PendingError(WatersmeetError):
    """Asked too early: the declaration is applied but history does not cover it yet."""


class ConflictError(WatersmeetError):
    """A compare-and-set lost: the caller must look again before it goes on."""


class GapError(WatersmeetError):
    """Records between two frontiers are gone, or would be skipped."""


class CorruptError(WatersmeetError):
    """Stored bytes do not match their checksum or their format."""


class UnavailableError(WatersmeetError):
    """A service, file or lock cannot be reached now."""
