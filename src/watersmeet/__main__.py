"""The command ``watersmeet``: the root help comes from a file, everything else is loaded when asked for."""

from __future__ import annotations

import sys
from pathlib import Path

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

    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
