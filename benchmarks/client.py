"""A small HTTP client that asks for one address as fast as it is answered.

``python -m benchmarks.client URL CONNECTIONS SECONDS``
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from urllib.parse import urlsplit


async def main(url: str, connections: int, seconds: float) -> None:
    """Keep ``connections`` busy; print how many answers came a second, and how many of them were no success."""
    began = time.perf_counter()
    found = await asyncio.gather(*(_ask(url, began + seconds) for _ in range(connections)))
    taken = time.perf_counter() - began
    done, failed = (sum(each) for each in zip(*found, strict=True))
    print(json.dumps({"rate": done / taken, "failed": failed}))


async def _ask(url: str, until: float) -> tuple[int, int]:
    """One connection that is kept open; answers, and those that were no success."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    target = f"{address.path}?{address.query}" if address.query else address.path
    request = f"GET {target} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    done = failed = 0
    while time.perf_counter() < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        await reader.readexactly(int(length.partition(b":")[2]))
        done += 1
        failed += head.split(b" ", 2)[1] != b"200"
    writer.close()
    await writer.wait_closed()
    return done, failed


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
