"""``init`` and ``send``: a first project, and records into a topic."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

from cyclopts import Parameter

from watersmeet.core.clock import Clock
from watersmeet.core.errors import RequestError, SettingsError
from watersmeet.core.log import Log
from watersmeet.core.topic import Topic
from watersmeet.layers import ingest

from .context import DEFAULT, Common, open_node
from .output import print_json, say
from .progress import TELL_SECONDS, Pace

CHUNK = 5_000

FILES = {
    "watersmeet.yaml": "app: shop\n",
    "shop.py": '''"""What is counted of a shop: sales by product, every five minutes and every hour."""

import watersmeet as wm

orders = wm.Topic(
    "orders",
    id="order_id",
    key="product",
    event_time="at",
    schema={
        "order_id": "varchar not null",
        "product": "varchar not null",
        "amount": "decimal(10,2) not null",
        "at": "timestamp_ms not null",
    },
    check={"negative_amount": "amount >= 0"},
)

sales = wm.View(
    "sales",
    topic=orders,
    dimensions=["product"],
    window=wm.tumbling("5m"),
    measures={"orders": wm.count(), "revenue": wm.sum("amount"), "average": wm.mean("amount")},
)

best_sellers = wm.Query(
    "best_sellers",
    inputs={"hourly": sales.at("1h")},
    key=["hour", "product"],
    time="hour",
    sql="""
    select window_start as hour, product, orders, revenue from hourly
    qualify rank() over (partition by hour order by revenue desc) <= 3""",
)

examples = [
    wm.Example(
        of=sales,
        given=[
            {"order_id": "1", "product": "tea", "amount": 2.5, "at": 1700000000000},
            {"order_id": "2", "product": "tea", "amount": 3.5, "at": 1700000001000},
            {"order_id": "2", "product": "tea", "amount": 3.5, "at": 1700000001000},
        ],
        expect=[{"product": "tea", "orders": 2, "revenue": 6.0, "average": 3.0}],
    )
]
''',
    "orders.ndjson": "".join(
        json.dumps(
            {
                "order_id": str(n),
                "product": ("tea", "coffee", "cocoa")[n % 3],
                "amount": n % 7 + 0.5,
                "at": 1_700_000_000_000 + n * 20_000,
            }
        )
        + "\n"
        for n in range(60)
    ),
    "README.md": """# shop

    watersmeet apply                      # take up the declarations in shop.py
    watersmeet send orders orders.ndjson  # 60 orders
    watersmeet run --for 3s               # both layers at work
    watersmeet query sales
    watersmeet query best_sellers
    watersmeet test                       # the examples, and the same shuffled, repeated, split
""",
    ".gitignore": ".watersmeet/\n__pycache__/\n",
}


def init(folder: Path = Path()) -> int:
    """Write a small project that runs: declarations, sample records, settings.

    Parameters
    ----------
    folder:
        Where; made if it is missing. Nothing that exists is overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True)
    present = [name for name in FILES if (folder / name).exists()]
    if present:
        raise SettingsError(
            f"folder {folder}",
            expected="none of the files that init writes",
            got=", ".join(present),
            remedy="choose another folder",
        )
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    say(f"wrote {', '.join(FILES)}. Next: watersmeet apply, then watersmeet send orders orders.ndjson")
    return 0


def send(topic: str, file: Annotated[str, Parameter(allow_leading_hyphen=True)], *, common: Common = DEFAULT) -> int:
    """Append records to a topic: one JSON object a line. Each chunk is durable before the next is read.

    Parameters
    ----------
    topic:
        Its name.
    file:
        A file, or - for standard input.
    """
    node = open_node(common)
    declared, clock = node.declarations().topic(topic), node.parts.clock
    if file == "-":
        sent = _send(node.parts.log, declared, sys.stdin.buffer, clock)
    else:
        path = Path(file)
        if not path.is_file():
            raise RequestError(f"file {file}", kind="unknown", expected="a file of records, one a line")
        with path.open("rb") as stream:
            sent = _send(node.parts.log, declared, stream, clock)
    if common.json:
        print_json({"topic": topic, "sent": sent})
    else:
        say(f"sent {sent:,} records to {topic}")
    return 0


def _send(log: Log, topic: Topic, stream: BinaryIO, clock: Clock) -> int:
    sent, pace = 0, Pace(clock)
    for chunk in _chunks(stream):
        ingest.append(log, topic, chunk)
        sent += len(chunk)
        if pace.seconds >= TELL_SECONDS:
            say(f"{sent:,} sent · {pace.words(sent)}")
    return sent


def _chunks(stream: BinaryIO) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    for line in stream:
        if line.strip():
            chunk.append(line.rstrip(b"\r\n"))
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
