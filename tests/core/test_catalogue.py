"""The catalogue: what is stored comes back, what is damaged is refused, and each step follows from manifests alone."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import watersmeet as wm
from watersmeet.core import catalogue
from watersmeet.core.catalogue import Catalogue, Cells, Duty, Edition, Previous
from watersmeet.core.declarations import collect
from watersmeet.core.errors import CorruptError

from . import figures

pytestmark = pytest.mark.unit

EDITION = Edition("d", "f", (Cells("t", "v", ("a", "b")),))
FULL = Catalogue(
    7,
    "d",
    {"x": EDITION},
    {"x": EDITION, "table/y": replace(EDITION, cells=())},
    {"t": Duty(6, "d", "v", ("a", "b"), waiting="w", held=True), "u": Duty(1, "c", "v", absent=True)},
    Previous("c", {"x": EDITION}, 9),
    4,
    5,
    ("c",),
)


@pytest.mark.parametrize("value", [Catalogue(), FULL])
def test_a_catalogue_comes_back(value: Catalogue) -> None:
    assert catalogue.decode(catalogue.encode(value)) == value


@pytest.mark.parametrize("data", [b"", b"{}", b'{"$":"Edition"}', b'{"$":"tuple","of":[]}', b'{"$":"x","of":1}'])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptError):
        catalogue.decode(data)


def test_one_that_a_newer_version_wrote_is_refused_by_field() -> None:
    newer = json.dumps(json.loads(catalogue.encode(FULL)) | {"regions": []}).encode()
    with pytest.raises(CorruptError, match="regions"):
        catalogue.decode(newer)


def test_pending_and_waiting_are_told_by_name() -> None:
    assert FULL.pending == ("table/y",)
    assert FULL.waiting == ("t",)
    assert FULL.cells("t") == EDITION.cells
    assert FULL.cells("u") == ()


def test_an_edition_names_every_cell_that_is_read() -> None:
    declarations = figures.engagement()
    films, seen = declarations.views["films"].cells, declarations.views["film_views"].cells
    edition = catalogue.editions(declarations, "d")["genre_viewers"]
    assert edition.cells == (
        Cells("facts", films.topic.version, (films.fingerprint,)),
        Cells("views", seen.topic.version, (seen.fingerprint,)),
    ), "through a view means reading it too"


def test_the_cells_of_a_ranking_are_read_too() -> None:
    topic = wm.Topic("t", schema={"k": "varchar"})
    view = wm.View("v", topic=topic, measures={"n": wm.count(), "best": wm.top("k", 3)})
    assert {spec.fingerprint for spec in catalogue.specs_of(view)} == {s.fingerprint for s in view.specs}
    assert len(view.specs) == 2


def test_what_only_a_table_or_an_alert_reads_is_kept_too() -> None:
    topic = wm.Topic("t", schema={"k": "varchar"})
    one = wm.View("one", topic=topic, measures={"n": wm.count()})
    two = wm.View("two", topic=topic, measures={"n": wm.distinct("k")})
    found = collect([topic, wm.Table("a", of=one), wm.Alert("b", of=two, when="n > 1"), wm.Table("c", of=topic)])
    assert {s.fingerprint for s in catalogue.specs(found)} == {one.cells.fingerprint, two.cells.fingerprint}
    assert catalogue.editions(found, "d")["table/c"].cells == ()


@pytest.mark.parametrize(
    "change",
    [
        {"to": "json"},
        {"partition": ["n"]},
        {"order": ["n"]},
        {"columns": ["n"]},
        {"every": "31s"},
        {"ttl": "1h"},
        {"when": "final"},
        {"freeze": "1h"},
    ],
)
def test_everything_that_a_table_says_is_its_meaning(change: dict[str, object]) -> None:
    view = wm.View(
        "v", topic=wm.Topic("t", schema={"k": "varchar"}), window=wm.tumbling("1m"), measures={"n": wm.count()}
    )

    def fingerprint(**more: object) -> str:
        declared = collect([view, wm.Table("x", of=view, **more)])  # type: ignore[arg-type]  # what a test changes
        return catalogue.editions(declared, "d")["table/x"].fingerprint

    assert fingerprint(**change) != fingerprint() == fingerprint(every="30s")
