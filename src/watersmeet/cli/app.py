"""The tree of commands, and what their errors mean for the exit code.

0  done                      2  wrong usage, settings or declarations
1  ran, but failed           3  a service cannot be reached             130  interrupted
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from watersmeet import __version__
from watersmeet.core.errors import (
    DeclarationError,
    PendingError,
    RequestError,
    SettingsError,
    UnavailableError,
    WatersmeetError,
)

from .output import say

COMMANDS = {
    "init": ("sending:init", "Write a small project that runs."),
    "demo": ("demo:demo", "Watch films being counted by both layers."),
    "dev": ("running:dev", "Run one file, applying every change when it is saved."),
    "plan": ("changing:plan", "Show what applying the files would change."),
    "apply": ("changing:apply", "Apply the files."),
    "rollback": ("changing:rollback", "Go back to what was served before."),
    "run": ("running:run", "Run the applied declarations: ingest, speed, batch, serve."),
    "send": ("sending:send", "Append records to a topic."),
    "tail": ("reading:tail", "Show the newest records of a topic."),
    "query": ("reading:query", "Ask a view or query, by name or in SQL."),
    "list": ("reading:listing", "List what is applied."),
    "status": ("inspecting:status", "Show the ledger, lag, epochs and coverage."),
    "audit": ("inspecting:audit", "Show how batch and speed agreed."),
    "doctor": ("inspecting:doctor", "Look at everything that the project needs."),
    "dead-letters": ("letters:group", "Look at, mend and replay records that could not be used."),
    "schemas": ("schemas:group", "List, check and register the Avro schemas of topics."),
    "exclude": ("changing:group", "Set records aside, with a reason, and take them back."),
    "import": ("adopting:draft", "Write the declaration of a topic that exists."),
    "compare": ("adopting:compare", "Compare a view with a table of somebody else's."),
    "test": ("administration:examples", "Run the examples, and torture them."),
    "bench": ("measuring:bench", "Measure this machine on records like yours."),
    "keys": ("administration:keys", "API keys: made, listed, revoked."),
    "config": ("administration:config", "Settings, and where each came from."),
    "completion": ("administration:completion", "Print a completion script for a shell."),
}
FAILED, MISUSED, UNREACHABLE, INTERRUPTED = 1, 2, 3, 130


def build() -> App:
    """The command tree; each command's module is imported when it is called."""
    app = App(
        name="watersmeet",
        version=__version__,
        help="One view, two layers, one answer.",
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
    )
    for name, (target, summary) in COMMANDS.items():
        app.command(f"watersmeet.cli.{target}", name=name, help=summary, sort_key=list(COMMANDS).index(name))
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code. Never lets a traceback out unless ``--debug`` is given."""
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    try:
        result = build()(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return MISUSED
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except WatersmeetError as error:
        return _report(error, debug)
    except Exception as error:
        return _report(error, debug)
    return result if isinstance(result, int) else 0


def _report(error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    if not isinstance(error, WatersmeetError):
        say(f"unexpected {type(error).__name__}: {error}. Run again with --debug for the traceback", style="red")
        return FAILED
    say(f"error: {error}", style="red")
    match error:
        case DeclarationError() | SettingsError() | RequestError() | PendingError():
            return MISUSED
        case UnavailableError():
            return UNREACHABLE
    return FAILED
