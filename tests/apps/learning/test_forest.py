from __future__ import annotations

import sys

import numpy as np
import pytest

import watersmeet as wm
from watersmeet.apps.learning import forest
from watersmeet.apps.learning.forest import Floats, Growth

pytestmark = pytest.mark.unit

SPAN = (0, 1)
SMALL = Growth(trees=20, sample=64)


def ordinary(seed: int = 1) -> Floats:
    """Features of a thousand windows with about thirty of a hundred and fifty events."""
    draw = np.random.default_rng(seed)
    observed, previous, others = (draw.poisson(mean, 1000).astype(np.float64) for mean in (30, 30, 120))
    return forest.features(observed, np.full(1000, 30.0), previous, observed + others)


def one(observed: float, expected: float = 30, previous: float = 30, together: float = 150) -> Floats:
    return forest.features(*(np.array([each], dtype=np.float64) for each in (observed, expected, previous, together)))


def test_features_are_roots_and_a_share() -> None:
    assert one(9, 4, 1, 36).tolist() == [[3, 1, 2, 0.25]]
    assert one(0, 0, 0, 0).tolist() == [[0, 0, 0, 0]]


def test_what_is_far_from_all_scores_above_the_threshold_and_what_is_among_them_below() -> None:
    model = forest.grow(ordinary(), SPAN, SMALL)
    [far], [near] = model.scores(one(200)), model.scores(one(30))
    assert near < model.threshold < far <= 1


def test_the_threshold_leaves_the_chosen_share_of_training_below() -> None:
    training = ordinary()
    model = forest.grow(training, SPAN, Growth(trees=20, sample=64, ordinary=0.9))
    assert 890 <= int((model.scores(training) <= model.threshold).sum()) <= 910


def test_the_reason_names_the_feature_that_is_furthest_from_its_median() -> None:
    model = forest.grow(ordinary(), SPAN, SMALL)
    assert model.reason(one(30, together=30)[0]).startswith("share of all: 1.00, in training 0.20 with")
    assert model.reason(one(30, previous=0)[0]).startswith("above the hour before: 5.48, in training ")


def test_equal_training_gives_an_equal_model() -> None:
    first, again = (forest.grow(ordinary(), SPAN, SMALL) for _ in range(2))
    assert (first.version, first.threshold) == (again.version, again.threshold)
    assert first.scores(ordinary(2)).tolist() == again.scores(ordinary(2)).tolist()


def test_the_version_tells_of_everything_that_went_into_a_model() -> None:
    grown = [
        forest.grow(ordinary(), SPAN, SMALL),
        forest.grow(ordinary(3), SPAN, SMALL),
        forest.grow(ordinary(), (0, 2), SMALL),
        forest.grow(ordinary(), SPAN, Growth(trees=21, sample=64)),
        forest.grow(ordinary(), SPAN, Growth(trees=20, sample=64, seed=8)),
    ]
    assert len({model.version for model in grown}) == len(grown)


def test_the_version_tells_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    before = forest.grow(ordinary(), SPAN, SMALL).version
    monkeypatch.setattr(forest.library(), "__version__", "0")
    assert forest.grow(ordinary(), SPAN, SMALL).version != before


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(wm.WatersmeetError) as caught:
        forest.library()
    assert caught.value.remedy == "pip install 'watersmeet[learned]'"
