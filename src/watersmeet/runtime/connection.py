"""For notebooks and scripts: ask an app's stores for answers.

from watersmeet.runtime import connect
connect().read("trending", since="6h").df()
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from watersmeet.core.answer import Answer, Receipt
from watersmeet.core.duration import Duration, microseconds
from watersmeet.core.engine import Filter, Order
from watersmeet.core.reader import Request
from watersmeet.core.window import Window

from . import loading, settings
from .node import Node
from .wiring import wire

if TYPE_CHECKING:
    import pandas as pd

SHOWN_ROWS = 20


@dataclass(frozen=True)
class Result:
    """An answer for people: Arrow, a data frame, or a table in a notebook with its receipt."""

    answer: Answer

    @property
    def receipt(self) -> Receipt:
        """What the answer rests on."""
        return self.answer.receipt

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.answer.rows.__arrow_c_stream__(requested_schema)

    def arrow(self) -> pa.Table:
        """The rows as an Arrow table."""
        return pa.table(self.answer.rows)

    def df(self) -> pd.DataFrame:
        """The rows as a pandas data frame; needs the extra ``watersmeet[pandas]``."""
        return self.arrow().to_pandas()

    def rows(self) -> list[dict[str, object]]:
        """The rows as dictionaries."""
        found: list[dict[str, object]] = self.arrow().to_pylist()
        return found

    def _repr_html_(self) -> str:
        table = self.arrow()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in table.column_names)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row.values()) + "</tr>"
            for row in table.slice(0, SHOWN_ROWS).to_pylist()
        )
        facts = asdict(self.receipt)
        shown = ("complete", "exact", "audit", "match_rate", "reasons")
        receipt = " · ".join(f"{name}: {html.escape(str(facts[name]))}" for name in shown)
        more = f"<p>{table.num_rows} rows, the first {SHOWN_ROWS} shown</p>" if table.num_rows > SHOWN_ROWS else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}<p>{receipt}</p>"


class Connection:
    """Reads an app's answers from its stores, without running its layers.

    Args:
        node: the app and its ports.
    """

    def __init__(self, node: Node) -> None:
        self.node = node

    def read(
        self,
        of: str,
        *,
        since: Duration | None = None,
        range: tuple[int | None, int | None] | None = None,
        where: Sequence[Filter] = (),
        window: Duration | Window | None = "declared",
        by: Sequence[str] | None = None,
        order: Sequence[Order] = (),
        limit: int | None = None,
        as_of_us: int | None = None,
    ) -> Result:
        """Read a view or query.

        Args:
            of: its name.
            since: only rows whose time is at most so long ago, such as ``"6h"``.
            range: half open, in microseconds of the time column; not together with ``since``.
            where, window, by, order, limit, as_of_us: see `watersmeet.core.reader.Request`.
        """
        if since is not None:
            range = (self.node.parts.clock.now_us() - microseconds(since, subject="since"), None)
        request = Request(of, range, where, window=window, by=by, order=order, limit=limit, as_of_us=as_of_us)
        return Result(self.node.reader.read(request))

    def list(self) -> list[str]:
        """Names of everything that can be read."""
        return sorted(self.node.declarations().readables)


def connect(path: Path | str | None = None, *, profile: str | None = None) -> Connection:
    """Connect to the app whose ``watersmeet.yaml`` is the nearest at or above ``path``.

    Args:
        path: where to look; default the working directory.
        profile: of the settings file.
    """
    loaded = settings.load(start=Path(path) if path else None, profile=profile)
    app = loading.load(loaded.settings.app, path=loaded.root)
    return Connection(Node(wire(loaded.settings), app))
