"""How much faster the columnar VADER is than the reference package, on equal output.

    python benchmarks/sentiment.py [texts.tsv]

Texts are the last column of a tab separated file with a header, or, without one, 10,000 reviews made of the sandbox's
sentences. Prints the ratio of the best of five runs of each, with the sum of the scores of both beside it.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from importlib.resources import files

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from watersmeet.apps.movies.sentiment import score


def main() -> None:
    """Measure and print."""
    texts = _file(sys.argv[1]) if len(sys.argv) > 1 else _reviews(10_000)
    analyzer = SentimentIntensityAnalyzer()
    reference, slow = _best(lambda: [Decimal(str(analyzer.polarity_scores(text)["compound"])) for text in texts])
    columnar, fast = _best(lambda: [found for found in score(texts) if found is not None])
    if reference != columnar:
        sys.exit("the outputs differ")
    print(f"texts {len(texts):,}   sum of scores {sum(reference)} and {sum(columnar)}")
    print(f"reference {len(texts) / slow:,.0f}/s   columnar {len(texts) / fast:,.0f}/s   ratio {slow / fast:.1f}")


def _best(run: Callable[[], list[Decimal]]) -> tuple[list[Decimal], float]:
    best, result = float("inf"), list[Decimal]()
    for _ in range(5):
        started = time.perf_counter()
        result = run()
        best = min(best, time.perf_counter() - started)
    return result, best


def _file(path: str) -> list[str]:
    with open(path, encoding="utf-8") as lines:
        return [line.rstrip("\n").split("\t")[-1] for line in lines][1:]


def _reviews(count: int) -> list[str]:
    lines = (files("watersmeet.apps.movies") / "reviews.txt").read_text(encoding="utf-8").splitlines()
    sentences = [line[2:] for line in lines if line[0] in "+-="]
    draw = random.Random(7)
    return [" ".join(draw.sample(sentences, draw.randint(2, 4))) for _ in range(count)]


if __name__ == "__main__":
    main()
