from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from watersmeet.adapters.cassandra import blobs, manifests
from watersmeet.adapters.cassandra.manifests import Manifests, Tip, _won
from watersmeet.adapters.cassandra.session import Session
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.core.errors import CorruptError, RequestError, UnavailableError
from watersmeet.core.manifest import Manifest, compact_blocks, lease

from ...conformance.changes import TOPIC, absorb, begin, contents, listed
from ...conformance.implementations import connect
from ...conformance.test_state_model import Model
from .conftest import Open

pytestmark = pytest.mark.integration
_CHANGES = "select version, attempt from changes where app = ? and topic = ? and bucket = ?"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few versions a partition, few bytes a row, few rows a partition: every border is met."""
    monkeypatch.setattr(manifests, "BUCKET", 4)
    monkeypatch.setattr(manifests, "PART_BYTES", 300)
    monkeypatch.setattr(blobs, "PART_BYTES", 200)
    monkeypatch.setattr(blobs, "SECTION", 2)


@pytest.mark.usefixtures("small")
def test_a_state_behaves_like_its_model_across_every_border(request: pytest.FixtureRequest) -> None:
    connect(request, "cassandra")
    run_state_machine_as_test(
        type("Model", (Model,), {"implementation": "cassandra"}),
        settings=settings(
            max_examples=6,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.usefixtures("small")
def test_every_version_can_be_read_back_until_the_floor_passes_it(open_state: Open, clock: ManualClock) -> None:
    state, seen = open_state(), []
    begin(state)
    for number in range(20):
        clock.advance(1)
        seen.append((clock.now_us(), absorb(state, f"a{number}", number)))
    for at_us, m in seen:
        assert open_state().manifest(TOPIC, at_us) == open_state().manifest(TOPIC, at_us + 1) == m
    assert open_state().manifest(TOPIC, 999_999) == Manifest(TOPIC)
    floor_us, at_floor = seen[14]
    clock.advance(1)
    m = state.change(TOPIC, lambda m: compact_blocks(m, [b.owner for b in m.blocks], "m"), [])
    assert state.sweep(TOPIC, floor_us) == 0
    assert open_state().manifest(TOPIC) == m
    assert open_state().manifest(TOPIC, floor_us) == at_floor
    assert contents(state, listed(at_floor)).keys() == listed(at_floor)
    with pytest.raises(RequestError) as caught:
        open_state().manifest(TOPIC, seen[13][0])
    assert caught.value.kind == "gone"


@pytest.mark.usefixtures("small")
def test_changes_below_the_floor_are_dropped(open_state: Open, clock: ManualClock, session: Session, app: str) -> None:
    state = open_state()
    begin(state)
    for number in range(20):
        clock.advance(1)
        absorb(state, f"a{number}", number)
    state.sweep(TOPIC, clock.now_us())
    kept = [bool(session.read(_CHANGES, (app, TOPIC, bucket))) for bucket in range(7)]
    assert kept == [False] * 4 + [True] * 2 + [False]
    assert open_state().manifest(TOPIC) == state.manifest(TOPIC)
    state.sweep(TOPIC, clock.now_us())


def test_attempts_that_lost_are_passed_over(open_state: Open, session: Session, app: str) -> None:
    state, other = open_state(), open_state()
    begin(state)
    before = state.manifest(TOPIC)
    turns: list[Manifest] = []

    def slow(m: Manifest) -> Manifest:
        if not turns:
            turns.append(other.change(TOPIC, lambda m: lease(m, "two")))
        return lease(m, "three")

    assert state.change(TOPIC, slow) == lease(lease(before, "two"), "three")
    rows = {tuple(row) for row in session.read(_CHANGES, (app, TOPIC, 0))}
    assert len(rows) == before.version + 3
    assert open_state().manifest(TOPIC) == state.manifest(TOPIC)


@pytest.mark.parametrize(
    "damage",
    [
        "update changes set body = 0x00 where {row}",
        "update changes set crc = 1 where {row}",
        "update changes set parts = 2 where {row}",
        "delete from changes where {row}",
    ],
)
def test_damage_is_refused(open_state: Open, session: Session, app: str, damage: str) -> None:
    state = open_state()
    begin(state)
    version, attempt = session.read(_CHANGES, (app, TOPIC, 0))[1]
    row = "app = ? and topic = ? and bucket = 0 and version = ? and attempt = ? and whole = false and part = 0"
    session.write(damage.format(row=row), (app, TOPIC, version, attempt))
    with pytest.raises(CorruptError, match=TOPIC):
        open_state().manifest(TOPIC)
    assert state.manifest(TOPIC).version == 3


def test_an_attempt_is_known_by_the_last_ones() -> None:
    tip = Tip(version=10, attempt="e", recent=("c", "d", "e"))
    assert _won(TOPIC, tip, 9, "d")
    assert not _won(TOPIC, tip, 9, "x")
    assert not _won(TOPIC, tip, 11, "x")
    with pytest.raises(UnavailableError, match="among the last"):
        _won(TOPIC, tip, 7, "b")


def test_a_topic_that_is_not_there_has_no_head(session: Session, app: str) -> None:
    assert Manifests(session, app).tip("nothing") == Tip()
