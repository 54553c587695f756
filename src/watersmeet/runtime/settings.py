"""Settings: command line > environment > ``.env`` > ``watersmeet.yaml`` (profile over base) > defaults.

The environment spells nesting with two underscores: ``WATERSMEET__SERVE__PORT=9000``. The nearest ``watersmeet.yaml``
at or above the working directory is read; its folder is where relative paths start and where the app is imported from.
Unknown keys are errors, with the nearest known one. Values that are secret are never shown.

    app: shop                    # module or package with the declarations
    directory: .watersmeet       # everything embedded stores keep
    serve: {port: 8080}
    profiles:
      prod: {serve: {host: 0.0.0.0}}
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

import yaml
from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from watersmeet.core.address import Address, parse_address
from watersmeet.core.errors import SettingsError
from watersmeet.core.site import suggest

from .channels import Channel, Routes

PREFIX = "WATERSMEET__"
FILE = "watersmeet.yaml"
MAX_FILE_BYTES = 1 << 20


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ingest(_Section):
    """What comes in."""

    most_unread: int = Field(
        10_000_000, ge=1, description="unread records of a topic from which on producers are told to wait"
    )


class Speed(_Section):
    """The speed layer."""

    slice_records: int = Field(250_000, ge=1, le=5_000_000, description="most records one commit absorbs")
    epoch_seconds: float = Field(600.0, gt=0, description="an open epoch is sealed after so many seconds")
    epoch_slices: int = Field(512, ge=1, description="… or after so many slices")
    epoch_records: int = Field(5_000_000, ge=1, description="… or after so many records")


class Batch(_Section):
    """The batch layer."""

    every_seconds: float = Field(5.0, gt=0, description="how often it looks for a sealed epoch, in real seconds")
    keep_seconds: float = Field(86_400.0, ge=0, description="how far back as_of reaches")


class Serve(_Section):
    """The API."""

    host: str = Field("127.0.0.1", description="address to listen on; beyond loopback needs keys")
    port: int = Field(8080, ge=0, le=65_535, description="port; 0 takes a free one")
    requests_per_minute: int = Field(6_000, ge=1, description="limit for each key and address")
    max_body_bytes: int = Field(16 << 20, ge=1024, description="largest request body")
    trusted_proxies: tuple[str, ...] = Field(
        (), description="addresses and networks (10.0.0.0/8) whose X-Forwarded-For is believed"
    )
    allowed_origins: tuple[str, ...] = Field((), description="origins for CORS; none by default")

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, found: tuple[str, ...]) -> tuple[str, ...]:
        for each in found:
            ip_network(each, strict=False)
        return found


class Compute(_Section):
    """The engine."""

    threads: int = Field(0, ge=0, description="threads; 0 takes one a core")
    memory: str = Field("", description="memory limit such as 2GB; empty takes DuckDB's default")


def _address(given: object) -> Address | None:
    if given is None or isinstance(given, Address):
        return given
    try:
        return parse_address(str(given)) if given else None
    except SettingsError as error:
        raise ValueError(str(error)) from None


Store = Annotated[Address | None, BeforeValidator(_address)]


class Stores(_Section):
    """Where everything is kept, each a URL; what is left out is embedded, in files of ``directory``."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    log: Store = Field(None, description="kafka://host:9092,…")
    schemas: Store = Field(None, description="registry://host:8081: schemas of topics in Avro")
    state: Store = Field(None, description="cassandra://host,…/keyspace")
    archive: Store = Field(None, description="s3://bucket/prefix or hdfs://host:9870/folder")
    runner: Store = Field(None, description="spark:///?master=…: what drives the engine")
    cache: Store = Field(None, description="redis://host:6379/0: answers that several servers share")


class Watch(_Section):
    """When the platform alerts about itself."""

    every_seconds: float = Field(10.0, gt=0, description="how often it looks, in real seconds")
    failure_seconds: float = Field(60.0, gt=0, description="a job fails for so long after its last error")
    unread_seconds: float = Field(60.0, gt=0, description="reading is late when the newest record read is older")
    watermark_seconds: float = Field(3600.0, gt=0, description="the watermark is late when it is further behind")
    memory_percent: float = Field(80.0, gt=0, le=100, description="most of the machine's memory for the process")
    disk_free_percent: float = Field(5.0, ge=0, le=100, description="least room on the disk of the state")


class Settings(_Section):
    """Everything that can be set."""

    app: str = Field("", description="module or package with the declarations")
    directory: Path = Field(Path(".watersmeet"), description="where embedded stores keep their files")
    ingest: Ingest = Ingest()  # type: ignore[call-arg]  # every field has a default
    speed: Speed = Speed()  # type: ignore[call-arg]  # every field has a default
    batch: Batch = Batch()  # type: ignore[call-arg]  # every field has a default
    serve: Serve = Serve()  # type: ignore[call-arg]  # every field has a default
    compute: Compute = Compute()  # type: ignore[call-arg]  # every field has a default
    stores: Stores = Stores()  # type: ignore[call-arg]  # every field has a default
    topics: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="topic -> what its log is told besides, such as replication"
    )
    sinks: dict[str, str] = Field(default_factory=dict, description="name -> URL of a destination for tables")
    notify: dict[str, Channel] = Field(default_factory=dict, description="name -> notifier")
    watch: Watch = Watch()  # type: ignore[call-arg]  # every field has a default
    routes: Routes = Routes()  # type: ignore[call-arg]  # every field has a default
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="least level that is logged")


@dataclass(frozen=True)
class Loaded:
    """Settings and where each came from.

    Args:
        settings: the values.
        origins: dotted key -> ``default``, ``file:line``-like text, environment variable or ``command line``.
        root: folder of the settings file, else the working directory.
    """

    settings: Settings
    origins: Mapping[str, str]
    root: Path


def find_file(start: Path) -> Path | None:
    """The nearest settings file at or above ``start``."""
    return next((folder / FILE for folder in (start, *start.parents) if (folder / FILE).is_file()), None)


def load(
    *,
    start: Path | None = None,
    profile: str | None = None,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Read the settings.

    Args:
        start: where the search for the file begins; default the working directory.
        profile: overlay of the file's ``profiles``; default ``WATERSMEET__PROFILE``.
        overrides: dotted key -> value from the command line.
        environ: default the process's environment.

    Raises `SettingsError` naming the key, where it came from and the remedy.
    """
    here = (start or Path.cwd()).resolve()
    environ = os.environ if environ is None else environ
    path = find_file(here)
    root = path.parent if path else here
    layers: list[tuple[str, dict[str, Any]]] = []
    document = _read_yaml(path) if path else {}
    profiles = document.pop("profiles", None) or {}
    layers.append((path.name if path else "", document))
    variables = {**{k: v for k, v in dotenv_values(root / ".env").items() if v is not None}, **environ}
    wanted = profile or variables.get(PREFIX + "PROFILE") or document.pop("profile", None)
    document.pop("profile", None)
    if wanted:
        if wanted not in profiles:
            raise SettingsError(
                f"profile {wanted!r}", expected="a profile of the settings file", remedy=suggest(str(wanted), profiles)
            )
        layers.append((f"{FILE}, profile {wanted}", profiles[wanted] or {}))
    for name, value in variables.items():
        if name.startswith(PREFIX) and name != PREFIX + "PROFILE":
            origin = name if name in environ else f".env, {name}"
            layers.append((origin, _nest(name[len(PREFIX) :].lower().split("__"), yaml.safe_load(value))))
    for key, given in (overrides or {}).items():
        layers.append(("command line", _nest(key.split("."), given)))
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, values in layers:
        _merge(merged, values, origin, origins, "")
    return Loaded(_validate(merged, origins, root), origins, root)


def _validate(values: dict[str, Any], origins: Mapping[str, str], root: Path) -> Settings:
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        where = next((origins[k] for k in (key, *(o for o in origins if o.startswith(key + "."))) if k in origins), "")
        remedy = suggest(key.rpartition(".")[2], _known(key)) if first["type"] == "extra_forbidden" else ""
        raise SettingsError(f"setting {key!r}", expected=first["msg"].lower(), remedy=remedy, where=where) from None
    return settings.model_copy(update={"directory": root / settings.directory})


def _known(key: str) -> list[str]:
    model: type[BaseModel] = Settings
    for part in key.split(".")[:-1]:
        inner = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return [*model.model_fields, *(["profiles", "profile"] if model is Settings else [])]


def _read_yaml(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    if len(data) > MAX_FILE_BYTES:
        raise SettingsError(str(path), expected=f"at most {MAX_FILE_BYTES} bytes", got=str(len(data)))
    if any(token in data for token in (b"&", b"<<:")) and b"*" in data:
        raise SettingsError(str(path), expected="YAML without anchors and aliases")
    try:
        document = yaml.safe_load(data) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path.name}:{mark.line + 1}" if mark else path.name
        raise SettingsError(
            "settings file", expected="valid YAML", got=str(getattr(error, "problem", error)), where=where
        ) from None
    if not isinstance(document, dict):
        raise SettingsError("settings file", expected="keys and values", got=type(document).__name__, where=path.name)
    return document


def _nest(parts: list[str], value: object) -> dict[str, Any]:
    out: dict[str, Any] = {parts[-1]: value}
    for part in reversed(parts[:-1]):
        out = {part: out}
    return out


def _merge(into: dict[str, Any], values: Mapping[str, Any], origin: str, origins: dict[str, str], prefix: str) -> None:
    for key, value in values.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, dict) and isinstance(into.get(key, {}), dict):
            _merge(into.setdefault(key, {}), value, origin, origins, dotted + ".")
        else:
            into[key] = value
            origins[dotted] = origin
