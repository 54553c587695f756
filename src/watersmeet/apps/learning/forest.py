"""A learned model of ordinary windows: an isolation forest, and why it finds a window strange.

A window is isolated by few random cuts if it lies far from the others: its score, 0 to 1, grows with that. The
threshold is the score that all but a few of the training windows stay below. Of equal windows, parameters and library
version the same model is trained, bit for bit; its version is their digest. So no model is ever stored: a restart
trains it again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from watersmeet import WatersmeetError

Floats = npt.NDArray[np.float64]
FEATURES = ("observed", "above what is expected", "above the hour before", "share of all")


@dataclass(frozen=True, slots=True)
class Growth:
    """How a forest is grown.

    Args:
        trees: how many.
        sample: windows that each tree sees.
        ordinary: the share of training windows that stay below the threshold.
        seed: of chance.
    """

    trees: int = 100
    sample: int = 512
    ordinary: float = 0.99
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Forest:
    """A trained model.

    Args:
        version: digest of what it was trained on, how, and by which library.
        threshold: windows that score more are strange.
        medians, spreads: of each feature in training.
        trees: the library's estimator.
    """

    version: str
    threshold: float
    medians: Floats
    spreads: Floats
    trees: Any

    def scores(self, features: Floats) -> Floats:
        """The score of each window; ``features`` has a row for each."""
        return np.asarray(-self.trees.score_samples(features), dtype=np.float64).round(6)

    def reason(self, features: Floats) -> str:
        """Which feature of a window is furthest from its training median."""
        away = np.abs(features - self.medians) / self.spreads
        place = int(np.argmax(away))
        return (
            f"{FEATURES[place]}: {features[place]:.2f}, in training {self.medians[place]:.2f} "
            f"with a spread of {self.spreads[place]:.2f}"
        )


def features(observed: Floats, expected: Floats, previous: Floats, together: Floats) -> Floats:
    """The features of windows, a row for each; counts as their roots, whose chance does not grow with them."""
    level = np.sqrt(observed)
    return np.column_stack(
        [level, level - np.sqrt(expected), level - np.sqrt(previous), observed / np.maximum(together, 1)]
    )


def grow(training: Floats, span: tuple[int, int], growth: Growth) -> Forest:
    """Train a model.

    Args:
        training: features of windows, in the order of their keys.
        span: the training range, for the version.
        growth: how.

    Raises `WatersmeetError` if scikit-learn is not installed.
    """
    sklearn = library()
    estimator = sklearn.ensemble.IsolationForest(
        n_estimators=growth.trees, max_samples=min(growth.sample, len(training)), random_state=growth.seed
    )
    estimator.fit(training)
    medians = np.median(training, axis=0)
    spreads = np.maximum(1.4826 * np.median(np.abs(training - medians), axis=0), 0.1)
    told = hashlib.sha256(repr((sklearn.__version__, span, growth, FEATURES, training.shape)).encode())
    told.update(np.ascontiguousarray(training).tobytes())
    threshold = float(np.quantile(-estimator.score_samples(training), growth.ordinary))
    return Forest(told.hexdigest()[:16], round(threshold, 6), medians, spreads, estimator)


def library() -> Any:
    """scikit-learn; raises `WatersmeetError` if it is not installed."""
    try:
        import sklearn.ensemble
    except ModuleNotFoundError as error:
        if error.name != "sklearn":
            raise
        raise WatersmeetError(
            "the learned anomaly detector",
            expected="scikit-learn, which the extra 'learned' brings",
            got="it is not installed",
            remedy="pip install 'watersmeet[learned]'",
        ) from None
    return sklearn
