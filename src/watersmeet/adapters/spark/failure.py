"""What is raised for what Spark says went wrong.

Spark fails for reasons of its own (an executor is lost, the JVM is gone, a broker does not answer): worth trying again.
What this package raised on purpose inside an executor comes back as text, and keeps its kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from watersmeet.core.errors import (
    ConflictError,
    CorruptError,
    DeclarationError,
    RequestError,
    SettingsError,
    UnavailableError,
    WatersmeetError,
)

_OWN = re.compile(r"watersmeet\.core\.errors\.(\w+): (.*)")
_KINDS: dict[str, type[WatersmeetError]] = {
    kind.__name__: kind for kind in (ConflictError, CorruptError, DeclarationError, RequestError, SettingsError)
}
_LENGTH = 600


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise what the port promises in place of Spark's errors; ``what`` was being done."""
    try:
        yield
    except spark_errors() as error:
        raise _kind(what, str(error)) from error


def spark_errors() -> tuple[type[Exception], ...]:
    """What pyspark and its bridge to the JVM raise when something is not as it should be."""
    from pyspark.context import Py4JError  # of the bridge, which only pyspark depends on
    from pyspark.errors import PySparkException

    return OSError, Py4JError, PySparkException


def _kind(what: str, text: str) -> WatersmeetError:
    own = _OWN.search(text)
    if own and own[1] in _KINDS:
        return _KINDS[own[1]](what, got=own[2])
    return UnavailableError(f"Spark, {what}", got=_cause(text), remedy="look at the driver's log; it is tried again")


def _cause(text: str) -> str:
    """The line that says most: the deepest cause, else the first line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return (causes[-1].removeprefix("Caused by: ") if causes else next(iter(lines), "nothing"))[:_LENGTH]
