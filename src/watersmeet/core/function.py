"""Row functions: what SQL lacks, as named, versioned, column-at-a-time Python.

A row function runs once a record, while the record is decoded, and both layers see its result. Its version and the hash
of its source belong to the topic version, so that numbers never change meaning silently.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .errors import DeclarationError
from .schema import SqlType, parse
from .site import caller, check_column
from .sql.function import is_builtin

Column = Sequence[object]
RowCall = Callable[..., Column]  # type: ignore[explicit-any]  # any number of columns


@dataclass(frozen=True, slots=True)
class RowFunction:
    """A declared row function; calling it calls the Python function.

    Args:
        name: as SQL expressions call it.
        version: raise it with every change of meaning.
        returns: the SQL type of a result.
        source_hash: digest of the source text.
    """

    name: str
    version: int
    returns: SqlType
    source_hash: str
    call: RowCall = field(compare=False, repr=False)
    where: str = field(default="", compare=False)

    def __call__(self, *columns: Column) -> Column:
        return self.call(*columns)


def function(*, version: int, returns: str) -> Callable[[RowCall], RowFunction]:
    """Declare a row function.

    The function takes one sequence per argument, all of one length, with None for null, and returns a sequence of that
    length. It must be pure: same arguments, same results, on every machine.

    Args:
        version: at least 1; part of the topic version.
        returns: SQL type of one result, such as ``"decimal(5,4)"``.

    >>> @function(version=1, returns="integer")
    ... def letters(content):
    ...     return [None if text is None else len(text) for text in content]
    >>> letters(["abc", None])
    [3, None]
    """
    where = caller()
    check_version(version, where)

    def declare(call: RowCall) -> RowFunction:
        check_column("function", call.__name__, where)
        if is_builtin(call.__name__):
            raise DeclarationError(
                f"function {call.__name__}",
                expected="a name that SQL does not use itself",
                got=call.__name__,
                remedy="rename it, or the SQL function would be called in its place",
                where=where,
            )
        return described(call, version, returns, where)

    return declare


def check_version(version: int, where: str) -> None:
    """Refuse a version that is no whole number from 1."""
    if not isinstance(version, int) or version < 1:
        raise DeclarationError(
            "function version",
            expected="a whole number from 1",
            got=repr(version),
            remedy="write version=1",
            where=where,
        )


def described(call: RowCall, version: int, returns: str, where: str) -> RowFunction:
    """A Python function with its name, version, type and the digest of its source."""
    try:
        source = inspect.getsource(call)
    except OSError:  # typed into an interactive session: the compiled body stands in for the text
        source = call.__code__.co_code.hex()
    except TypeError:
        raise DeclarationError(
            f"function {call.__name__}",
            expected="a function written in Python, since its source belongs to the fingerprint",
            got=repr(call),
            remedy="wrap it in a def of its own",
            where=where,
        ) from None
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    return RowFunction(call.__name__, version, parse(returns, column=call.__name__, where=where), digest, call, where)
