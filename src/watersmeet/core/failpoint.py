"""Named places where a test may make the process die.

A durable step calls ``hit("state.commit.before")`` on each side of what it makes durable. With no hook installed that
is one comparison. The names are listed in ``NAMES``; a test installs a hook, copies the state directory at each hit
and recovers the copy, so that every crash moment is tried and not a random few.
"""

from __future__ import annotations

from collections.abc import Callable

NAMES: set[str] = set()
_hook: Callable[[str], None] | None = None


def declare(*names: str) -> None:
    """Register failpoint names; a module calls this once, beside its imports."""
    NAMES.update(names)


def hit(name: str) -> None:
    """Report that the process has reached ``name``; does nothing unless a test has installed a hook."""
    if _hook is not None:
        _hook(name)


def install(hook: Callable[[str], None] | None) -> None:
    """Install the hook that each hit calls with its name, or remove it with ``None``. For tests."""
    global _hook
    _hook = hook
