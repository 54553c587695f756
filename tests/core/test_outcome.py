"""Two topic versions never mix: what each has decided stands apart, and one comes into force whole or not at all."""

from __future__ import annotations

import pytest

from watersmeet.core.errors import ConflictError
from watersmeet.core.ledger import Entry, Outcome
from watersmeet.core.manifest import Commit, Gap, Manifest, Published, archived, commit, create, declare, publish, roll
from watersmeet.core.outcome import forget, outcome, take_up, undecided

pytestmark = pytest.mark.unit


def entry(lower: int, upper: int, used: int) -> Entry:
    return Entry(0, lower, upper, used=used, dead=upper - lower - used)


def sealed(epochs: int = 2) -> Manifest:
    """A manifest by version T1 with epochs of ten records, nine of them used, archived and published."""
    m = take_up(create(Manifest("t"), (0,)), 1, ["a"], 0, "T1")
    for number in range(epochs):
        m = roll(absorbed(m), 0)
        m = publish(archived(m, number), published(m, number, "", 9))
    return m


def absorbed(m: Manifest) -> Manifest:
    lower, upper = m.frontier[0], m.frontier[0] + 10
    newest = (upper,)
    c = Commit(
        f"s{lower}",
        m.generation,
        m.declaration,
        (lower,),
        (upper,),
        m.readable,
        (entry(lower, upper, 9),),
        None,
        newest,
        newest,
    )
    return commit(m, c)


def published(m: Manifest, number: int, version: str, used: int, newest: int | None = None) -> Published:
    epoch = m.epochs[number]
    entries = (entry(epoch.lower[0], epoch.upper[0], used),)
    return Published(number, (), f"{version}b{number}", entries, version, () if newest is None else (newest,))


def test_the_first_declaration_puts_its_version_in_force() -> None:
    m = sealed()
    assert m.topic_version == "T1"
    assert undecided(m, "T1") == ()
    assert outcome(m, m.epochs[1], "T1") == Outcome("T1", "b1", (entry(10, 20, 9),))


def test_what_a_waiting_version_decides_stands_apart() -> None:
    m = publish(sealed(), published(sealed(), 0, "T2", 5))
    assert m.epochs[0].owner == "b0"
    assert m.epochs[0].ledger == (entry(0, 10, 9),)
    assert outcome(m, m.epochs[0], "T2") == Outcome("T2", "T2b0", (entry(0, 10, 5),))
    assert undecided(m, "T2") == (1,)


def test_what_was_published_first_stays() -> None:
    m = publish(sealed(), published(sealed(), 0, "T2", 5))
    again = publish(m, published(m, 0, "T2", 4))
    assert again.epochs == m.epochs
    assert publish(m, published(m, 0, "T1", 4)).epochs == m.epochs


def test_a_version_comes_into_force_with_owners_ledgers_and_times() -> None:
    m = sealed()
    for number, newest in ((0, 7), (1, 3)):
        m = publish(m, published(m, number, "T2", 5, newest))
    before = m.event_times
    m = take_up(m, 2, ["b"], 0, "T2")
    assert (m.topic_version, m.declaration, m.readable) == ("T2", 2, frozenset("b"))
    assert [e.owner for e in m.epochs] == ["T2b0", "T2b1"]
    assert [e.ledger for e in m.epochs] == [(entry(0, 10, 5),), (entry(10, 20, 5),)]
    assert m.event_times == (7,), "greatest of what it accepts, not of what the old one did"
    back = take_up(m, 3, ["a"], 0, "T1")
    assert [e.owner for e in back.epochs] == ["b0", "b1"]
    assert back.event_times == before


def test_times_stay_where_the_new_ones_were_not_told() -> None:
    m = sealed()
    for number in (0, 1):
        m = publish(m, published(m, number, "T2", 5))
    assert take_up(m, 2, ["b"], 0, "T2").event_times == m.event_times


def test_no_version_comes_into_force_over_records_that_it_has_not_decided() -> None:
    m = publish(sealed(), published(sealed(), 0, "T2", 5))
    with pytest.raises(ConflictError, match="epoch 1 is not"):
        take_up(m, 2, ["b"], 0, "T2")
    m = publish(m, published(m, 1, "T2", 5))
    with pytest.raises(ConflictError, match="epoch 2 is not"):
        take_up(absorbed(m), 2, ["b"], 0, "T2")
    assert take_up(m, 2, ["b"], 0, "T2").topic_version == "T2"


def test_a_declaration_without_a_version_leaves_the_one_in_force() -> None:
    assert declare(sealed(), 2, ["b"], 0).topic_version == "T1"


def test_a_lost_epoch_is_nobodys() -> None:
    m = sealed()
    m = Manifest(**{f: getattr(m, f) for f in m.__slots__} | {"gaps": (Gap(0, "why", lost=True),)})
    assert undecided(m, "T2") == (1,)
    m = publish(m, published(m, 1, "T2", 5))
    m = Manifest(**{f: getattr(m, f) for f in m.__slots__} | {"gaps": (Gap(0, "why", lost=True),)})
    assert [e.owner for e in take_up(m, 2, ["b"], 0, "T2").epochs] == ["b0", "T2b1"]


def test_an_epoch_that_only_the_speed_layer_decided_leaves_nothing_behind() -> None:
    m = archived(roll(absorbed(sealed(0)), 0), 0)
    m = publish(m, published(m, 0, "T2", 5))
    assert m.epochs[0].owner == ""
    after = take_up(m, 2, ["b"], 0, "T2")
    assert (after.epochs[0].owner, after.epochs[0].others) == ("T2b0", ())


def test_what_nobody_can_go_back_to_is_forgotten() -> None:
    m = publish(sealed(), published(sealed(), 0, "T2", 5))
    assert forget(m, frozenset({"T2"})) is m
    after = forget(m, frozenset({"T3"}))
    assert after.version == m.version + 1
    assert all(e.others == () for e in after.epochs)
    assert [e.owner for e in after.epochs] == ["b0", "b1"], "what is in force is never forgotten"
