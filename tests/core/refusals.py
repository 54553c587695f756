"""Wrong declarations, and what their errors must say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from watersmeet.core.errors import DeclarationError


def refusal(declare: Callable[[], object]) -> DeclarationError:
    """The error of a wrong declaration: it says which thing, what it must be, what came, what to do, and where."""
    with pytest.raises(DeclarationError) as caught:
        declare()
    error = caught.value
    file, _, line = error.where.rpartition(":")
    assert file == declare.__code__.co_filename
    assert line.isdigit()
    assert [name for name in ("subject", "expected", "got", "remedy") if not getattr(error, name)] == []
    return error
