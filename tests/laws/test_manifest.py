"""Each transition of a manifest: what it needs, what it refuses, and that taking it twice does no harm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from watersmeet.core import manifest
from watersmeet.core.errors import ConflictError, GapError
from watersmeet.core.frontier import Frontier
from watersmeet.core.ledger import Entry
from watersmeet.core.manifest import Commit, Manifest, Published, Run, cover, covered

pytestmark = pytest.mark.unit

A, B = "aaaa", "bbbb"


def entries(lower: Frontier, upper: Frontier) -> tuple[Entry, ...]:
    """A ledger in which every record was used."""
    return tuple(Entry(p, low, up, used=up - low) for p, (low, up) in enumerate(zip(lower, upper, strict=True)))


def began(*fingerprints: str) -> Manifest:
    """A topic of two partitions with a lease and declarations."""
    m = manifest.lease(manifest.create(Manifest("t"), (0, 0)), "me")
    return manifest.declare(m, 1, fingerprints or (A, B), 0)


def slice_to(m: Manifest, *upper: int, attempt: str = "", mark: int | None = None, **changes: object) -> Commit:
    """The next slice, up to a frontier."""
    times = (mark, None)
    made = Commit(
        attempt or f"s{m.next_sequence}", m.generation, m.declaration, m.frontier, upper, m.readable,
        entries(m.frontier, upper), mark, times, times,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]  # names of its fields


def published(m: Manifest, number: int, *fingerprints: str, owner: str = "") -> Published:
    """Runs of an epoch for some fingerprints."""
    epoch = m.epochs[number]
    owner = owner or f"b{number}"
    runs = tuple(Run(f"{owner}-{fp}", fp, number, number) for fp in fingerprints)
    return Published(number, runs, owner, entries(epoch.lower, epoch.upper))


def of_epochs(count: int, *, archived: bool = True) -> Manifest:
    """So many sealed epochs of two slices each, archived, nothing published."""
    m = began()
    for _ in range(count):
        for _ in range(2):
            m = manifest.commit(m, slice_to(m, *(offset + 1 for offset in m.frontier)))
        m = manifest.roll(m, 7)
        if archived:
            m = manifest.archived(m, m.epochs[-1].number)
    return m


def refused(m: Manifest, transition: Callable[[Manifest], Manifest], wrong: type[Exception] = ConflictError) -> None:
    """The transition raises, and says what it expected."""
    with pytest.raises(wrong) as caught:
        transition(m)
    assert str(caught.value)


# -- create, lease, declare ------------------------------------------------------------------------------------------


def test_a_topic_is_created_once() -> None:
    m = manifest.create(Manifest("t"), (3, 0))
    assert (m.version, m.start, m.frontier) == (1, (3, 0), (3, 0))
    assert manifest.create(m, (9, 9)) is m


def test_a_lease_fences_whoever_held_it_before() -> None:
    m = began()
    mine = slice_to(m, 1, 0)
    taken = manifest.lease(m, "other")
    assert (taken.generation, taken.holder) == (m.generation + 1, "other")
    refused(taken, lambda m: manifest.commit(m, mine))
    refused(taken, lambda m: manifest.seal(m, mine.generation, (1, 0), "x", 0))


def test_declarations_only_go_up_and_begin_a_new_epoch() -> None:
    m = began(A)
    m = manifest.commit(m, slice_to(m, 1, 0))
    declared = manifest.declare(m, 2, [A, B], 5)
    assert (declared.version, declared.open_epoch, len(declared.epochs)) == (m.version + 1, 1, 1)
    assert cover(declared, B).missing == (0,)
    refused(declared, lambda m: manifest.declare(m, 2, [A], 5))
    refused(declared, lambda now: manifest.commit(now, replace(slice_to(now, 2, 0), declaration=1)))


# -- commit ----------------------------------------------------------------------------------------------------------


def test_a_commit_lists_its_slice_and_its_block_and_moves_the_frontier() -> None:
    m = began()
    done = manifest.commit(m, slice_to(m, 2, 1, attempt="x", mark=40))
    assert (done.version, done.frontier, done.next_sequence) == (m.version + 1, (2, 1), 1)
    assert (done.slices[0].attempt, done.slices[0].epoch, done.slices[0].lower) == ("x", 0, (0, 0))
    assert done.blocks[0].fingerprints == {A, B}
    assert (done.watermark_us, done.event_times, done.arrivals) == (40, (40, None), (40, None))


def test_a_commit_below_the_frontier_is_refused_and_one_above_it_is_a_gap() -> None:
    m = began()
    m = manifest.commit(m, slice_to(m, 2, 2))
    refused(m, lambda m: manifest.commit(m, slice_to(m, 3, 3, lower=(0, 0), ledger=entries((0, 0), (3, 3)))))
    refused(m, lambda m: manifest.commit(m, slice_to(m, 4, 4, lower=(3, 2))), GapError)
    refused(m, lambda m: manifest.commit(m, slice_to(m, 4, 4, lower=(3, 1))), GapError)
    refused(m, lambda m: manifest.commit(m, slice_to(m, 3, 1)))


@pytest.mark.parametrize(
    "ledger",
    [
        (),
        (Entry(0, 0, 1, used=1),),
        (Entry(0, 0, 1, used=1), Entry(1, 0, 0), Entry(1, 0, 0)),
        (Entry(0, 0, 1, used=1), Entry(0, 0, 1, used=1), Entry(1, 0, 0)),
        (Entry(0, 0, 1), Entry(1, 0, 0)),
        (Entry(0, 0, 2, used=2), Entry(1, 0, 0)),
        (Entry(0, 0, 1, used=1, dead=1), Entry(1, 0, 0)),
    ],
)
def test_a_commit_whose_ledger_does_not_balance_is_refused(ledger: tuple[Entry, ...]) -> None:
    m = began()
    refused(m, lambda m: manifest.commit(m, slice_to(m, 1, 0, ledger=ledger)))


def test_a_commit_taken_twice_is_listed_once() -> None:
    m = began()
    first = slice_to(m, 1, 0, mark=3)
    m = manifest.commit(m, first)
    refused(m, lambda m: manifest.commit(m, first))
    idle = slice_to(m, 1, 0, mark=9)
    m = manifest.commit(m, idle)
    assert (m.watermark_us, len(m.slices)) == (9, 2)
    assert manifest.commit(m, idle) is m, "an empty slice is worth listing for a watermark only"


def test_the_watermark_and_the_greatest_times_never_go_back() -> None:
    m = began()
    m = manifest.commit(m, slice_to(m, 1, 0, mark=50))
    m = manifest.commit(m, slice_to(m, 2, 0, mark=20))
    m = manifest.commit(m, slice_to(m, 3, 0))
    assert (m.watermark_us, m.event_times, m.arrivals) == (50, (50, None), (50, None))


# -- roll, seal, archive ---------------------------------------------------------------------------------------------


def test_a_roll_seals_what_is_committed_and_an_empty_epoch_is_left_alone() -> None:
    m = began()
    assert manifest.roll(m, 5) is m
    m = manifest.commit(m, slice_to(m, 2, 0))
    m = manifest.commit(m, slice_to(m, 2, 3))
    rolled = manifest.roll(m, 5)
    [epoch] = rolled.epochs
    assert (epoch.lower, epoch.upper, epoch.first, epoch.last, epoch.sealed_us) == ((0, 0), (2, 3), 0, 1, 5)
    assert epoch.ledger == (Entry(0, 0, 2, used=2), Entry(1, 0, 3, used=3))
    assert (rolled.open_epoch, rolled.version) == (1, m.version + 1)
    assert manifest.roll(rolled, 9) is rolled
    assert manifest.commit(rolled, slice_to(rolled, 3, 3)).slices[-1].epoch == 1


def test_a_seal_makes_an_epoch_of_its_own_that_is_missing_until_published() -> None:
    m = began(A)
    m = manifest.commit(m, slice_to(m, 1, 0))
    sealed = manifest.seal(m, m.generation, (4, 4), "bare", 5)
    assert [(e.lower, e.upper, e.unabsorbed) for e in sealed.epochs] == [
        ((0, 0), (1, 0), False),
        ((1, 0), (4, 4), True),
    ]
    assert (sealed.version, sealed.frontier, sealed.open_epoch) == (m.version + 1, (4, 4), 2)
    assert cover(sealed, A).missing == (1,)
    sealed = manifest.archived(manifest.archived(sealed, 0), 1)
    done = manifest.publish(sealed, replace(published(sealed, 1, A), newest=(8, None)))
    assert cover(done, A).missing == ()
    assert done.event_times == (8, None), "nobody else knows them"
    assert done.epochs[1].ledger == entries((1, 0), (4, 4))


def test_a_seal_with_nothing_unread_changes_nothing() -> None:
    m = of_epochs(1)
    assert manifest.seal(m, m.generation, m.frontier, "x", 5) is m
    refused(m, lambda m: manifest.seal(m, m.generation, (0, 9), "x", 5))


def test_an_epoch_is_noted_as_archived_once_and_only_if_sealed() -> None:
    m = of_epochs(1, archived=False)
    noted = manifest.archived(m, 0)
    assert noted.epochs[0].archived
    assert manifest.archived(noted, 0) is noted
    refused(m, lambda m: manifest.archived(m, 1))


# -- publish and retire ----------------------------------------------------------------------------------------------


def test_an_epoch_is_published_only_when_sealed_and_archived() -> None:
    m = of_epochs(1, archived=False)
    refused(m, lambda now: manifest.publish(now, published(now, 0, A)))
    archived = manifest.archived(m, 0)
    refused(archived, lambda now: manifest.publish(now, replace(published(now, 0, A), epoch=1)))


def test_a_run_retires_blocks_once_every_readable_fingerprint_is_covered() -> None:
    m = of_epochs(2)
    one = manifest.publish(m, published(m, 0, A))
    assert (set(covered(one, A)), set(covered(one, B))) == ({0}, set())
    assert len(one.blocks) == len(m.blocks), "B still reads them"
    assert [b.epoch for b in cover(one, A).blocks] == [1, 1]
    both = manifest.publish(one, published(one, 0, B, owner="later"))
    assert {b.epoch for b in both.blocks} == {s.epoch for s in both.slices} == {1}
    assert both.epochs[0].owner == "b0", "whose ids were published first keeps the epoch"


def test_an_epoch_is_never_covered_twice() -> None:
    m = of_epochs(2)
    once = manifest.publish(m, published(m, 0, A))
    refused(once, lambda now: manifest.publish(now, published(now, 0, A, owner="again")))
    twice = published(m, 0, A, A)
    refused(m, lambda now: manifest.publish(now, twice))
    wide = replace(published(m, 1, A), runs=(Run("r", A, 0, 1),))
    refused(m, lambda now: manifest.publish(now, wide))
    m = manifest.publish(once, published(once, 1, A))
    merged = manifest.compact_runs(m, [r.owner for r in m.runs], "both")
    refused(merged, lambda now: manifest.publish(now, published(now, 1, A, owner="again")))


def test_a_batch_ledger_that_does_not_balance_is_refused() -> None:
    m = of_epochs(1)
    refused(m, lambda now: manifest.publish(now, replace(published(now, 0, A), ledger=entries((0, 0), (1, 1)))))


def test_where_nobody_reads_cells_slices_retire_with_the_kept_ids() -> None:
    m = manifest.declare(of_epochs(1), 2, [], 9)
    done = manifest.publish(m, published(m, 0))
    assert not done.slices
    assert not done.blocks
    assert done.epochs[0].owner == "b0"


def test_slices_wait_until_the_version_in_force_has_decided_their_epoch() -> None:
    """What another topic version decided is kept beside; it owns nothing yet."""
    m = replace(manifest.declare(of_epochs(1), 2, [A], 9), topic_version="v1")
    waiting = manifest.publish(m, replace(published(m, 0, A), topic_version="v2"))
    assert cover(waiting, A).missing == ()
    assert len(waiting.slices) == 2, "their ids are still the only ones of v1"
    assert (waiting.epochs[0].owner, [o.topic_version for o in waiting.epochs[0].others]) == ("", ["v2"])
    decided = manifest.publish(waiting, published(waiting, 0, owner="mine"))
    assert not decided.slices
    assert decided.epochs[0].owner == "mine"


def test_slices_wait_for_a_fingerprint_that_is_declared_but_not_covered() -> None:
    m = of_epochs(1)
    m = manifest.declare(m, 2, [A, B, "new"], 9)
    m = manifest.publish(m, published(m, 0, A, B))
    assert m.slices
    assert cover(m, "new").missing == (0,)
    done = manifest.publish(m, published(m, 0, "new", owner="later"))
    assert not done.slices
    assert cover(done, "new").missing == ()
    assert not manifest.declare(m, 3, [A, B], 9).slices, "nor do they wait when it is withdrawn"


# -- compaction ------------------------------------------------------------------------------------------------------


def test_blocks_of_one_epoch_merge_if_adjacent_and_alike() -> None:
    m = began()
    for offset in range(1, 5):
        m = manifest.commit(m, slice_to(m, offset, 0))
    merged = manifest.compact_blocks(m, iter(["s1", "s2"]), "m")
    assert [(b.owner, b.first, b.last) for b in merged.blocks] == [("s0", 0, 0), ("m", 1, 2), ("s3", 3, 3)]
    assert merged.slices == m.slices
    refused(m, lambda m: manifest.compact_blocks(m, ["s0", "s2"], "m"))
    refused(m, lambda m: manifest.compact_blocks(m, ["s0", "gone"], "m"))
    refused(m, lambda m: manifest.compact_blocks(m, [], "m"))
    refused(merged, lambda m: manifest.compact_blocks(m, ["s1", "s2"], "again"))
    across = of_epochs(2)
    refused(across, lambda m: manifest.compact_blocks(m, ["s1", "s2"], "m"))
    alike = manifest.commit(m, slice_to(m, 5, 0, fingerprints=frozenset([A])))
    refused(alike, lambda m: manifest.compact_blocks(m, ["s3", "s4"], "m"))


def test_runs_of_one_fingerprint_merge_if_adjacent() -> None:
    m = of_epochs(3)
    for number, panes in ((0, (5, 9)), (1, None), (2, (1, 6))):
        p = published(m, number, A)
        m = manifest.publish(m, replace(p, runs=(replace(p.runs[0], panes=panes),)))
    owners = [r.owner for r in m.runs]
    merged = manifest.compact_runs(m, iter(owners), "m")
    assert merged.runs == (Run("m", A, 0, 2, (1, 9)),)
    assert covered(merged, A) == {0, 1, 2}
    refused(m, lambda m: manifest.compact_runs(m, [owners[0], owners[2]], "m"))
    refused(merged, lambda m: manifest.compact_runs(m, owners[:2], "again"))
    other = manifest.publish(m, published(m, 0, B, owner="x"))
    refused(other, lambda m: manifest.compact_runs(m, [f"x-{B}", owners[1]], "m"))


# -- expire, drop ----------------------------------------------------------------------------------------------------


def test_expiry_writes_one_gap_that_lasts_until_every_fingerprint_is_covered() -> None:
    m = of_epochs(2)
    m = manifest.publish(m, published(m, 0, A))
    gone = manifest.expire(m, 0, "too late")
    assert [(g.epoch, g.lost) for g in gone.gaps] == [(0, False)]
    assert (cover(gone, A).missing, cover(gone, B).missing) == ((), (0,))
    assert manifest.expire(gone, 0, "again") is gone
    assert gone.slices == m.slices, "the archive may still need the slice log"
    more = manifest.publish(manifest.expire(gone, 1, "too"), published(gone, 1, A))
    assert [g.epoch for g in more.gaps] == [0, 1], "B is missing in both"
    healed = manifest.publish(more, published(more, 0, B, owner="later"))
    assert [g.epoch for g in healed.gaps] == [1]
    assert cover(healed, B).missing == (1,)


def test_expiry_of_what_is_covered_or_not_sealed_is_refused() -> None:
    m = of_epochs(1)
    m = manifest.publish(m, published(m, 0, A, B))
    refused(m, lambda m: manifest.expire(m, 0, "x"))
    refused(m, lambda m: manifest.expire(m, 1, "x"))


def test_what_expired_before_it_was_archived_is_lost_unless_the_archive_gets_it_after_all() -> None:
    m = of_epochs(1, archived=False)
    gone = manifest.expire(m, 0, "too late")
    assert gone.gaps[0].lost
    assert not manifest.archived(gone, 0).gaps[0].lost


def test_runs_are_dropped_only_of_fingerprints_that_nobody_may_read() -> None:
    m = of_epochs(1)
    m = manifest.publish(m, published(m, 0, A, B))
    refused(m, lambda m: manifest.drop_runs(m, A))
    m = manifest.declare(m, 2, [B], 9)
    assert [r.fingerprint for r in manifest.drop_runs(m, A).runs] == [B]


# -- all of them -----------------------------------------------------------------------------------------------------


def test_every_change_counts_the_version_by_one_and_touches_no_other_field() -> None:
    m = of_epochs(2)
    m = manifest.commit(m, slice_to(m, 5, 5))
    changes: list[tuple[Callable[[Manifest], Manifest], set[str]]] = [
        (lambda m: manifest.lease(m, "x"), {"generation", "holder"}),
        (lambda m: manifest.declare(m, 2, [A], 9), {"declaration", "readable", "open_epoch", "epochs"}),
        (lambda m: manifest.commit(m, slice_to(m, 6, 6)), {"frontier", "next_sequence", "slices", "blocks"}),
        (lambda m: manifest.roll(m, 9), {"open_epoch", "epochs"}),
        (
            lambda m: manifest.seal(m, m.generation, (9, 9), "x", 9),
            {"frontier", "next_sequence", "slices", "open_epoch", "epochs"},
        ),
        (lambda m: manifest.publish(m, published(m, 0, A)), {"epochs", "runs"}),
        (lambda m: manifest.compact_blocks(m, ["s0", "s1"], "x"), {"blocks"}),
        (lambda m: manifest.expire(m, 1, "x"), {"blocks", "gaps"}),
    ]
    names = set(Manifest.__slots__)
    for transition, touched in changes:
        after = transition(m)
        assert after.version == m.version + 1
        assert {n for n in names if getattr(m, n) != getattr(after, n)} == touched | {"version"}
