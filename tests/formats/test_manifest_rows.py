"""Manifests into rows and back, without a store."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from watersmeet.core.errors import ConflictError, CorruptError
from watersmeet.core.ledger import Entry, Outcome
from watersmeet.core.manifest import Block, Epoch, Gap, Manifest, Run, Slice
from watersmeet.formats.manifest_rows import (
    Change,
    advance,
    assemble,
    check,
    checksum,
    difference,
    head_bytes,
    head_of,
    listed,
    read_head,
)

pytestmark = pytest.mark.unit
LEDGER = (Entry(0, 1, 9, used=3, duplicates=2, dead=1, filtered=1, holes=1, conflicts=1, late=2), Entry(1, 2, 2))
FULL = Manifest(
    "t",
    version=7,
    generation=3,
    holder='odd "holder" é',
    declaration=4,
    start=(1, 2),
    frontier=(9, 2),
    open_epoch=2,
    next_sequence=5,
    watermark_us=-1,
    event_times=(None, 2**62),
    arrivals=(5, None),
    readable=frozenset("fg"),
    slices=tuple(Slice(n, f"a{n}", n, (1, 2), (9, 2), LEDGER) for n in (9, 10, 11)),
    blocks=tuple(Block(f"a{n}", n, n, n, frozenset("gf")) for n in (9, 10, 11)),
    epochs=(
        Epoch(0, (1, 2), (9, 2), 0, 8, 17, True, True, "r0", LEDGER, (Outcome("v1", "q0", LEDGER, (None, 3)),)),
        Epoch(1, (9, 2), (9, 2), 9, 9, 18),
    ),
    runs=(Run("r0", "f", 0, 0, (0, 5)), Run("r0", "g", 0, 0), Run("r1", "g", 1, 1)),
    gaps=(Gap(0, "late", lost=True), Gap(1, "later")),
    topic_version="v2",
)


def rows(m: Manifest) -> list[tuple[str, bytes]]:
    return [(kind, body) for kind, _, body in difference(Manifest(m.topic), m).added]


def test_every_field_of_a_manifest_comes_back() -> None:
    """Were a field added and forgotten here, it would have its default above."""
    plain = Manifest("t")
    assert [f.name for f in fields(Manifest) if getattr(FULL, f.name) == getattr(plain, f.name)] == ["topic"]
    for m in (plain, FULL):
        head = read_head(head_bytes(head_of(m, 5, 2**32 - 1)))
        assert (head.live, head.sum) == (5, 2**32 - 1)
        assert assemble(head, reversed(rows(m))) == m


def test_equal_manifests_give_equal_bytes() -> None:
    again = replace(FULL, readable=frozenset(["g", "f"]))
    assert head_bytes(head_of(FULL, 1, 2)) == head_bytes(head_of(again, 1, 2))
    assert rows(FULL) == rows(again)


def test_a_difference_is_what_came_and_what_went() -> None:
    more = replace(FULL, slices=(*FULL.slices, Slice(12, "a12", 3, (9, 2), (9, 3))))
    assert [row[:2] for row in difference(FULL, more).added] == [("slice", "12")]
    assert difference(FULL, replace(FULL, version=8)) == Change()
    assert difference(FULL, replace(FULL, blocks=tuple(replace(b) for b in FULL.blocks))) == Change()
    changed = replace(
        FULL,
        slices=FULL.slices[1:],
        epochs=(FULL.epochs[0], replace(FULL.epochs[1], archived=True)),
        readable=frozenset("gh"),
    )
    found = difference(FULL, changed)
    assert sorted(found.gone) == [("epoch", "1"), ("readable", "f"), ("slice", "9")]
    assert [row[:2] for row in found.added] == [("epoch", "1"), ("readable", "h")]


def test_a_manifest_advances_by_its_difference() -> None:
    """In the middle, at the end, and nothing but less."""
    merged = Block("m", 9, 9, 10, frozenset("fg"))
    for new in (
        replace(FULL, blocks=(merged, FULL.blocks[2]), runs=FULL.runs[:1], version=8),
        replace(FULL, slices=(*FULL.slices, Slice(12, "a12", 3, (9, 2), (9, 3)), Slice(13, "a13", 3, (9, 3), (9, 4)))),
        replace(FULL, gaps=(), readable=frozenset(), topic_version="v3"),
    ):
        change = difference(FULL, new)
        head = read_head(head_bytes(head_of(new, 0, 0)))
        assert advance(FULL, head, change.gone, [(kind, body) for kind, _, body in change.added]) == new


def test_an_entry_is_listed_once() -> None:
    with pytest.raises(ConflictError, match="blocks of topic t"):
        difference(FULL, replace(FULL, blocks=(*FULL.blocks, FULL.blocks[0], replace(FULL.blocks[0], epoch=1))))


def test_entries_list_their_blobs() -> None:
    found = {address for kind, body in rows(FULL) for address in listed(kind, body)}
    assert found == {
        *((kind, owner) for kind in ("ids", "dead") for owner in ("a9", "a10", "a11", "r0", "q0")),
        *((f"cells:{fp}", owner) for fp in "fg" for owner in ("a9", "a10", "a11")),
        ("cells:f", "r0"),
        ("cells:g", "r0"),
        ("cells:g", "r1"),
    }


def test_a_checksum_tells_rows_apart() -> None:
    sums = {checksum(data, *names) for data in (b"", b"a") for names in ((), ("a",), ("a", "b"), ("ab",), ("a", 1))}
    assert len(sums) == 10
    assert check("x", b"a", checksum(b"a", 1, 2), 1, 2) == b"a"
    for data, crc in ((b"b", checksum(b"a")), ("a", checksum(b"a")), (None, 0), (b"a", None), (b"a", "1")):
        with pytest.raises(CorruptError, match="x; expected"):
            check("x", data, crc)
