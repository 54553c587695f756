"""Delta tables that others wrote: what `watersmeet compare` reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from watersmeet.core.address import Address
from watersmeet.core.errors import RequestError, UnavailableError

from .s3 import place_of

_SAID = 300


def read_table(address: Address) -> pa.Table:
    """The newest version of the table at ``delta:///folder`` or ``s3+delta://…/bucket/path``.

    Raises:
        RequestError: there is no Delta table.
        UnavailableError: the store cannot be reached, or refuses it.
    """
    uri, options = _place(address)
    try:
        return pa.table(DeltaTable(uri, storage_options=dict(options)).scan())
    except TableNotFoundError as error:
        raise RequestError(f"table {address}", kind="unknown", expected="a Delta table", got="none") from error
    except (DeltaError, OSError) as error:
        raise UnavailableError(f"table {address}", expected="a Delta table", got=str(error)[:_SAID]) from error


def _place(address: Address) -> tuple[str, Mapping[str, str]]:
    if address.scheme == "delta":
        return Path("/", address.path).as_uri(), {}
    place = place_of(address)
    return f"s3://{place.bucket}/{quote(place.prefix)}", place.storage_options()
