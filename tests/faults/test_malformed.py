"""Malformed input by the ten thousand: nothing stops, each record has one outcome, good neighbours are untouched."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

import watersmeet as wm
from watersmeet.core.manifest import roll
from watersmeet.layers import ingest

from . import shop

pytestmark = pytest.mark.data_quality
COUNT = 200_000 if os.environ.get("WATERSMEET_PROVE") else 20_000
CHUNK = 5_000
TOKENS = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0", b"1.0", b"9223372036854775808", b"true", b"null", b'"\\ud800"',
    b'"\\u0000"', b'"x"', b"[]", b"{}", b"[null]", b"1" * 400, b'""', b"-", b"0x1", b"1_0", b"01", b"+1", b".5", b"5.",
]  # fmt: skip


def mutate(payload: bytes, draw: random.Random) -> bytes:
    """One payload, broken in one of many ways; now and then still good."""
    match draw.randrange(12):
        case 0:
            return payload[: draw.randrange(len(payload))]
        case 1:
            at = draw.randrange(len(payload))
            return payload[:at] + bytes([payload[at] ^ 1 << draw.randrange(8)]) + payload[at + 1 :]
        case 2:
            at = draw.randrange(len(payload))
            return payload[:at] + bytes([draw.randrange(256)]) + payload[at:]
        case 3 | 4 | 5:
            field = draw.choice([b'"order_id": ', b'"product": ', b'"buyer": ', b'"amount": ', b'"at": '])
            head, found, rest = payload.partition(field)
            end = min((i for i in (rest.find(b","), rest.find(b"}")) if i >= 0), default=0)
            return head + found + draw.choice(TOKENS) + rest[end:]
        case 6:
            return b"[" * draw.randrange(1, 3000)
        case 7:
            return payload + draw.choice([b" x", payload, b"\n", b"\x00", b"\xef\xbb\xbf", b"}"])
        case 8:
            return draw.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n", b" \t"]) + payload
        case 9:
            return draw.choice([b"", b" ", b"\n", b"null", b"0", b'"s"', b"\x00" * 9, bytes(range(256))])
        case 10:
            return payload[:-1] + b', "amount": 7, "order_id": "second"}'
    return payload.replace(b'": ', b'":\r\n')


def test_every_malformed_record_is_accounted_for_and_harms_no_other(tmp_path: Path) -> None:
    draw = random.Random(11)
    node = shop.open_node(tmp_path, shop.clock())
    node.apply()
    topic = node.declarations().topic("orders")
    good = [
        shop.order(n, draw, product="sentinel", at=shop.NOON_MS) for n in range(1_000_000, 1_000_000 + COUNT // 100)
    ]
    payloads = good + [mutate(shop.order(n, draw), draw) for n in range(COUNT)]
    draw.shuffle(payloads)
    for at in range(0, len(payloads), CHUNK):
        ingest.append(node.parts.log, topic, payloads[at : at + CHUNK])
        node.absorb("orders")
    sums = shop.sums(node)
    assert sums.received == len(payloads)
    assert sums.balanced
    reasons = Counter(node.repair.reasons("orders"))
    assert sum(reasons.values()) == sums.dead
    assert {"malformed_json", "not_an_object", "missing_field", "invalid_value", "invalid_timestamp"} <= reasons.keys()
    answer = node.reader.read(wm.Request("sales", where=(wm.Filter("product", "=", "sentinel"),)))
    assert [row["orders"] for row in pa.table(answer.rows).to_pylist()] == [len(good)]
    node.parts.state.change("orders", lambda m: roll(m, node.parts.clock.now_us()))
    node.catch_up({})
    status = node.status()
    assert (status.balanced, status.match_rate, status.mismatches) == (True, 1.0, 0)
    assert shop.sums(node) == sums
    letters = node.repair.letters("orders", limit=50)
    sent = set(payloads)
    assert all(letter.value in sent for letter in letters)
