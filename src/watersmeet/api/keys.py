"""API keys: scoped, stored hashed, compared in constant time.

A key is ``wm_<id>_<secret>``: the id finds the stored entry, the secret has 256 bits, so one SHA-256 suffices. A key is
shown once, when it is made. While no key exists, requests from loopback are allowed everything and all others nothing
but liveness; once there is one, every request needs a key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from watersmeet.core.clock import Clock
from watersmeet.core.errors import RequestError
from watersmeet.core.state import State

SCOPES = ("read", "ingest", "operate")
_KEY = re.compile(r"wm_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY = hashlib.sha256(b"nobody").hexdigest()


@dataclass(frozen=True, slots=True)
class Key:
    """A stored key.

    Args:
        id: public; shown in lists and limits.
        digest: SHA-256 of the secret, hex.
        scopes: what it allows.
        label: for people.
        expires_us: when it ends; None: never.
    """

    id: str
    digest: str
    scopes: tuple[str, ...]
    label: str = ""
    expires_us: int | None = None


class Keys:
    """The keys of an app, kept in its state.

    Args:
        state, clock: the ports.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state, self._clock = state, clock

    def new(self, scopes: Sequence[str], *, label: str = "", days: int | None = None) -> str:
        """Make a key and return it; only its hash is stored."""
        if not scopes or set(scopes) - set(SCOPES):
            raise RequestError("scopes of a key", expected=f"some of {', '.join(SCOPES)}", got=", ".join(scopes))
        identity, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        expires = None if days is None else self._clock.now_us() + days * 86_400_000_000
        key = Key(identity, hashlib.sha256(secret.encode()).hexdigest(), tuple(sorted(set(scopes))), label, expires)
        self._state.put("keys", identity, json.dumps(asdict(key)).encode(), 0)
        return f"wm_{identity}_{secret}"

    def revoke(self, identity: str) -> None:
        """End a key; takes effect at the next request."""
        if self._state.get("keys", identity) is None:
            raise RequestError(f"key {identity!r}", kind="unknown", remedy="'watersmeet keys list' shows them")
        self._state.put("keys", identity, None)

    def all(self) -> list[Key]:
        """Every key that is stored."""
        return [_decode(value.data) for value in self._state.scan("keys").values()]

    def check(self, presented: str) -> Key | None:
        """The key, if the secret is right and it has not expired; takes as long for an unknown id."""
        found = _KEY.fullmatch(presented)
        value = self._state.get("keys", found[1]) if found else None
        key = _decode(value.data) if value else None
        digest = hashlib.sha256((found[2] if found else "").encode()).hexdigest()
        same = hmac.compare_digest(digest.encode(), (key.digest if key else _NOBODY).encode())
        if not same or key is None or (key.expires_us is not None and key.expires_us <= self._clock.now_us()):
            return None
        return key


def _decode(data: bytes) -> Key:
    fields = json.loads(data)
    fields["scopes"] = tuple(fields["scopes"])
    return Key(**fields)
