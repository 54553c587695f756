"""The root help, written to a file so that showing it costs no import of the command tree."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rich.console import Console

from .app import build

FILE = Path(__file__).parent / "help.txt"


def text() -> str:
    """The root help as the command tree has it, 100 columns wide."""
    sink = io.StringIO()
    build().help_print([], console=Console(file=sink, width=100, no_color=True, force_terminal=False))
    return "\n".join(line.rstrip() for line in sink.getvalue().splitlines()).strip() + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"wrote {FILE.name}\n")
