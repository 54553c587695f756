"""S3, and what speaks its protocol.

    s3://bucket/prefix?region=eu-central-1                        of Amazon
    s3://KEY:SECRET@127.0.0.1:9000/bucket/prefix                  a host with a port is a server; plain HTTP
    s3://KEY:SECRET@store.example.com:443/bucket?tls=true         the same over TLS
    s3://bucket/prefix?endpoint=https://store.example.com         a server without a port of its own

Without a user and password in the URL, credentials are those of the environment, of a web identity, or of the
machine's role. They are given to the driver alone and stand in no message.

The server must put conditionally, as Amazon does: ``If-None-Match`` and ``If-Match``. `S3Store.probe` tries both.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import obstore
from obstore import exceptions
from obstore.store import S3Store as Driver

from watersmeet.core.address import Address, options
from watersmeet.core.errors import SettingsError, UnavailableError

from .store import Held

_RANGE_BYTES = 16 << 20
_SAID = 300
_FAILED = (
    exceptions.GenericError,
    exceptions.PermissionDeniedError,
    exceptions.UnauthenticatedError,
    exceptions.NotSupportedError,
    exceptions.JoinError,
    exceptions.InvalidPathError,
    exceptions.NotModifiedError,
)


@dataclass(frozen=True, slots=True)
class S3Options:
    """What an ``s3://`` address may say after its question mark.

    Args:
        region: of the bucket.
        endpoint: URL of a server, for one that the URL cannot name.
        tls: of a server that is named by host and port.
        timeout_seconds: of one request; uploads and downloads are many.
        retries: of a request that did not get through.
        cache_mib: what is downloaded of an archive may take on the local disk.
    """

    region: str = "us-east-1"
    endpoint: str = ""
    tls: bool = False
    timeout_seconds: float = 30.0
    retries: int = 2
    cache_mib: int = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where an ``s3://`` address points.

    Args:
        bucket, prefix: of everything; the prefix may be empty.
        endpoint: URL of the server; empty: Amazon's.
        chosen: the options.
        key, secret: credentials; empty: found elsewhere.
    """

    bucket: str
    prefix: str
    endpoint: str
    chosen: S3Options
    key: str
    secret: str

    def storage_options(self) -> Mapping[str, str]:
        """The same for the driver of Delta tables."""
        seconds = f"{self.chosen.timeout_seconds:g}s"
        found = {
            "aws_region": self.chosen.region,
            "aws_conditional_put": "etag",
            "timeout": seconds,
            "connect_timeout": seconds,
            "max_retries": str(self.chosen.retries),
            "retry_timeout": f"{self.chosen.timeout_seconds * (self.chosen.retries + 1):g}s",
        }
        if self.endpoint:
            found["aws_endpoint"] = self.endpoint
            found["allow_http"] = "true" if self.endpoint.startswith("http:") else "false"
        if self.key:
            found |= {"aws_access_key_id": self.key, "aws_secret_access_key": self.secret}
        return found


def place_of(address: Address) -> Place:
    """Take an ``s3://`` address apart.

    Raises:
        SettingsError: it names no bucket, or several servers.
    """
    chosen = options(address, S3Options)
    server = bool(address.hosts and address.hosts[0][1])
    bucket, _, prefix = address.path.partition("/")
    endpoint = chosen.endpoint
    if server:
        endpoint = f"{'https' if chosen.tls else 'http'}://{address.servers()}"
    elif address.hosts:
        bucket, prefix = address.hosts[0][0], address.path
    if len(address.hosts) != 1 or not bucket:
        expected = "s3://bucket/prefix, or s3://key:secret@host:port/bucket/prefix"
        raise SettingsError(f"store {address}", expected=expected)
    return Place(bucket, prefix, endpoint, chosen, address.user, address.password)


class S3Store:
    """The `Store` of a bucket, or of what lies below a prefix in one.

    Raises:
        SettingsError: the address names no bucket, or an option that there is not.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        place = place_of(address)
        seconds = timedelta(seconds=place.chosen.timeout_seconds)
        config: dict[str, str] = {"region": place.chosen.region, "conditional_put": "etag"}
        if place.endpoint:
            config["endpoint"] = place.endpoint
        if place.key:
            config |= {"access_key_id": place.key, "secret_access_key": place.secret}
        self._place = place
        self._driver = Driver(
            place.bucket,
            prefix=place.prefix or None,
            config=config,  # type: ignore[arg-type]  # its own names, as texts
            client_options={
                "timeout": seconds,
                "connect_timeout": min(seconds, timedelta(seconds=5)),
                "allow_http": place.endpoint.startswith("http:"),
            },
            retry_config={
                "max_retries": place.chosen.retries,
                "retry_timeout": seconds * (place.chosen.retries + 1),
                "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=2), "base": 2},
            },
        )

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Give a key its contents; False if it has some already."""
        return self.replace(key, data, "")

    def look(self, key: str) -> Held:
        """What a key holds, with its entity tag."""
        with self._reached(key):
            try:
                found = obstore.get(self._driver, key)
                return Held(bytes(found.bytes()), found.meta["e_tag"] or "")
            except FileNotFoundError as error:
                self._check_bucket(error)
                return Held(None, "")

    def replace(self, key: str, data: bytes, version: str) -> bool:
        """Replace what has an entity tag; an empty one: what is not there."""
        with self._reached(key):
            try:
                obstore.put(self._driver, key, data, mode={"e_tag": version} if version else "create")
                return True
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
                return False
            except FileNotFoundError as error:
                self._check_bucket(error)
                return False  # what should be replaced is gone

    def get(self, key: str) -> bytes | None:
        """The contents of a key; None if there are none."""
        return self.look(key).data

    def upload(self, key: str, path: Path) -> None:
        """Give a file to a key, in several parts if it is large."""
        with self._reached(key):
            obstore.put(self._driver, key, path, mode="overwrite")

    def download(self, key: str, path: Path, size: int) -> bool:
        """Write an object to a file, one range after the other."""
        with self._reached(key), path.open("wb") as file:
            try:
                for begin in range(0, size, _RANGE_BYTES):
                    end = min(size, begin + _RANGE_BYTES)
                    file.write(obstore.get_range(self._driver, key, start=begin, end=end))
            except FileNotFoundError as error:
                self._check_bucket(error)
                return False
        return True

    def keys(self, folder: str) -> Sequence[str]:
        """The keys below a folder."""
        with self._reached(folder):
            return [str(found["path"]) for page in obstore.list(self._driver, folder) for found in page]

    def delete(self, key: str) -> None:
        """Delete an object if it is there."""
        with self._reached(key):
            try:
                obstore.delete(self._driver, key)
            except FileNotFoundError as error:
                self._check_bucket(error)

    def probe(self) -> str:
        """Write, replace and delete an object, and say what this is.

        Raises:
            UnavailableError: it cannot be reached, or does not put conditionally.
        """
        key = f".probe-{secrets.token_hex(8)}"
        try:
            first = self.put_if_absent(key, b"1") and not self.put_if_absent(key, b"2")
            version = self.look(key).version
            if not first or not self.replace(key, b"3", version) or self.replace(key, b"4", version):
                expected, got = "a server that puts conditionally (If-None-Match, If-Match)", "one that does not"
                remedy = "use a newer version of it; a lake on this one would lose what two writers write at once"
                raise UnavailableError(str(self._address), expected=expected, got=got, remedy=remedy)
        finally:
            self.delete(key)
        where = self._place.endpoint or f"Amazon, {self._place.chosen.region}"
        return f"S3 at {where}, bucket {self._place.bucket}, puts conditionally (obstore {obstore.__version__})"

    def close(self) -> None:
        """Connections close with the driver's own object."""

    def _check_bucket(self, error: FileNotFoundError) -> None:
        if "NoSuchBucket" in str(error):
            remedy = f"create the bucket {self._place.bucket}, or name another one"
            raise UnavailableError(str(self._address), expected="a bucket", got="none", remedy=remedy) from error

    @contextmanager
    def _reached(self, key: str) -> Iterator[None]:
        try:
            yield
        except (*_FAILED, OSError) as error:
            remedy = "check its address, its credentials and rights, and the network"
            got = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"[:_SAID]
            raise UnavailableError(f"{self._address}, {key}", got=got, remedy=remedy) from error
