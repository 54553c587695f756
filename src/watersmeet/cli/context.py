"""What most commands share: where the project is, and how to print."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from watersmeet.core.errors import SettingsError
from watersmeet.runtime import loading, logging, settings, wiring
from watersmeet.runtime.node import Node


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options that every command takes.

    Parameters
    ----------
    project:
        Folder in or below which to look for watersmeet.yaml; default the working directory.
    profile:
        Overlay of the settings file.
    json:
        Print JSON.
    """

    project: Annotated[Path | None, Parameter(name=["--project", "-C"])] = None
    profile: str | None = None
    json: Annotated[bool, Parameter(negative=())] = False


DEFAULT = Common()


def load_settings(common: Common, **overrides: object) -> settings.Loaded:
    """The settings of the project; keyword names are dotted keys with ``__`` for the dot."""
    given = {key.replace("__", "."): value for key, value in overrides.items() if value is not None}
    return settings.load(start=common.project, profile=common.profile, overrides=given)


def open_node(common: Common, **overrides: object) -> Node:
    """The project's node, wired and loaded but not running."""
    loaded = load_settings(common, **overrides)
    if not loaded.settings.app:
        raise SettingsError(
            "app",
            expected="'app: module' in watersmeet.yaml",
            got="nothing",
            remedy="run 'watersmeet init' in a new folder",
        )
    logging.configure(loaded.settings.log_level)
    app = loading.load(loaded.settings.app, path=loaded.root)
    return Node(wiring.wire(loaded.settings), app)
