"""The command ``watersmeet``: the root help comes from a file, everything else is loaded when asked for."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

HELP = Path(__file__).parent / "cli" / "help.txt"


def main() -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:]
    if arguments in ([], ["--help"], ["-h"], ["help"]):
        sys.stdout.write(HELP.read_text(encoding="utf-8"))
        sys.exit(0)
    if arguments in (["--version"], ["-V"]):
        from watersmeet import __version__

        sys.stdout.write(f"watersmeet {__version__}\n")
        sys.exit(0)
    from watersmeet.cli.app import run

    _leave(run(arguments))


def _leave(code: int) -> NoReturn:
    """Exit; at once, if a thread is still at work that the interpreter would tear down in the middle of a statement."""
    if any(thread.daemon for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
