"""``keys``, ``config``, ``test`` and ``completion``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated, Literal

from cyclopts import App, Parameter
from pydantic import BaseModel, SecretStr

from watersmeet.api.keys import Keys
from watersmeet.core.address import masked

from .context import DEFAULT, Common, load_settings, open_node
from .output import out, print_json, print_rows, say

keys = App(name="keys", help="API keys: made, listed, revoked.", help_format="plaintext")
config = App(name="config", help="Settings, and where each came from.", help_format="plaintext")


@keys.command
def new(
    *scopes: Literal["read", "ingest", "operate"], label: str = "", days: int | None = None, common: Common = DEFAULT
) -> int:
    """Make a key; it is shown this once and stored only as a hash.

    Parameters
    ----------
    scopes:
        read, ingest, operate: what it allows.
    label:
        For people.
    days:
        After which it ends; default never.
    """
    node = open_node(common)
    key = Keys(node.parts.state, node.parts.clock).new(scopes, label=label, days=days)
    sys.stdout.write(key + "\n")
    say("keep it: it cannot be shown again")
    return 0


@keys.command(name="list")
def listing(*, common: Common = DEFAULT) -> int:
    """List keys, without their secrets."""
    node = open_node(common)
    found = [
        {k: v for k, v in asdict(key).items() if k != "digest"}
        for key in Keys(node.parts.state, node.parts.clock).all()
    ]
    if common.json:
        print_json(found)
    else:
        print_rows(found, ("id", "scopes", "label", "expires_us"))
    return 0


@keys.command
def revoke(identity: str, *, common: Common = DEFAULT) -> int:
    """End a key, from the next request on.

    Parameters
    ----------
    identity:
        As listed.
    """
    node = open_node(common)
    Keys(node.parts.state, node.parts.clock).revoke(identity)
    say(f"revoked {identity}")
    return 0


@config.command
def show(*, origin: Annotated[bool, Parameter(negative=())] = False, common: Common = DEFAULT) -> int:
    """Show every setting; secrets are masked.

    Parameters
    ----------
    origin:
        Also show where each value came from.
    """
    loaded = load_settings(common)
    found = [
        {"key": key, "value": value, "origin": loaded.origins.get(key, "default")}
        for key, value in _flat(loaded.settings)
    ]
    columns = ["key", "value", "origin"] if origin else ["key", "value"]
    if common.json:
        print_json([{c: row[c] for c in columns} for row in found])
    else:
        print_rows(found, columns)
    return 0


def _flat(model: BaseModel, prefix: str = "") -> list[tuple[str, object]]:
    out_rows: list[tuple[str, object]] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            out_rows += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, dict):
            out_rows += [
                (f"{prefix}{name}.{key}", "***" if isinstance(v, BaseModel | SecretStr) else masked(str(v)))
                for key, v in value.items()
            ]
        else:
            out_rows.append((prefix + name, value if isinstance(value, int | float | bool) else str(value)))
    return out_rows


def examples(*, torture: int = 20, seed: int = 1, common: Common = DEFAULT) -> int:
    """Run the examples of the declarations; then each again, shuffled, repeated, delayed, split and restarted.

    Parameters
    ----------
    torture:
        How many disturbed runs an example gets.
    seed:
        Of the disturbances.
    """
    from watersmeet.runtime import loading
    from watersmeet.testing.kit import check

    loaded = load_settings(common)
    app = loading.load(loaded.settings.app, path=loaded.root)
    found = check(app.declarations, torture=torture, seed=seed)
    if common.json:
        print_json([asdict(f) for f in found])
    else:
        for result in found:
            out().print(f"{'ok  ' if result.passed else 'FAIL'} {result.title} ({result.runs} runs)", markup=False)
            for line in result.complaints:
                out().print(f"     {line}", markup=False)
        failed = sum(not f.passed for f in found)
        say(
            f"{len(found) - failed} passed, {failed} failed"
            if found
            else "no examples: declare wm.Example beside a view"
        )
    return 1 if any(not f.passed for f in found) else 0


def completion(shell: Literal["bash", "zsh", "fish"]) -> int:
    """Print a completion script for a shell.

    Parameters
    ----------
    shell:
        bash, zsh or fish.
    """
    from .app import build

    sys.stdout.write(build().generate_completion(shell=shell))
    return 0
