"""Which store an address means, and how others name it."""

from __future__ import annotations

from watersmeet.core.address import Address, options
from watersmeet.core.errors import SettingsError

from .hdfs import HdfsOptions, HdfsStore
from .s3 import S3Store, place_of
from .store import Store


def open_store(address: Address) -> Store:
    """The store of an ``s3://`` or ``hdfs://`` address; nothing is asked of it yet.

    Raises:
        SettingsError: the address is another one's, or lacks something.
    """
    match address.scheme.partition("+")[0]:
        case "s3":
            return S3Store(address)
        case "hdfs":
            return HdfsStore(address)
    raise SettingsError(f"store {address}", expected="s3://… or hdfs://…", got=address.scheme)


def location(address: Address) -> str:
    """The root as Hadoop's file systems name it, without credentials: ``s3a://bucket/prefix``, ``hdfs://node:8020/x``.

    Raises:
        SettingsError: the address means nothing.
    """
    if address.scheme.partition("+")[0] == "s3":
        place = place_of(address)
        return f"s3a://{place.bucket}/{place.prefix}".rstrip("/")
    port = options(address, HdfsOptions).rpc
    return f"hdfs://{address.hosts[0][0]}{f':{port}' if port else ''}/{address.path}".rstrip("/")
