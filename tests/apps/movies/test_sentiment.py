"""The columnar VADER against the reference package."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vaderSentiment import vaderSentiment as reference  # noqa: N813 - a module whose name is in camel case

from watersmeet.apps.movies import sentiment
from watersmeet.apps.movies.sentiment import score

pytestmark = pytest.mark.data_quality

SNIPPETS = Path(__file__).parents[4] / "shared" / "data" / "movie_review_snippets.tsv"

RULES = [
    "VADER is smart, handsome, and funny.",
    "VADER is VERY SMART, uber handsome, and FRIGGIN FUNNY!!!",
    "At least it isn't a horrible book.",
    "One of the least compelling variations, the very least charming and at least good.",
    "Least good. least awful",
    "Today only kinda sux! But I'll get by, lol",
    "It was good, but good but bad good bad.",
    "but good",
    "Make sure you :) or :D today!",
    "Catch utf-8 emoji such as 💘 and 💋 and 😁",
    "x💘💘 y\n😁",
    "Not such a badass after all. It is the shit, the bomb and a kiss of death, yeah right at the bus stop",
    "With VADER, sentiment analysis is the shit!",
    "Never so good, never this good, this so good, never been this good",
    "Without a doubt an excellent idea, without doubt good, without any good doubt",
    "no good no no fun or joy, no trouble nor love, no",
    "sort of good, kind of bad, just enough love, it is of a kind of love",
    "really? really?? good??? good????",
    "BAD bad BAD! GOOD",
    "ALL BAD!",
    "ok :-) (-: :'( meh.",
    "",
    "   ",
    "!!!",
    "good bad",
    "good\u00a0bad\u2003good\u200bbad",
    "ǅ ß İ ﬀ GOOD",
    "x" * 100_000 + " good",
    "uh-uh good, cann't good, n't bad",
]

WORDS = st.sampled_from(
    sorted(
        {
            *reference.BOOSTER_DICT,
            *reference.NEGATE,
            *(word for phrase in reference.SPECIAL_CASES for word in phrase.split()),
        }
        | {"good", "bad", "love", "hate", "excellent", "but", "no", "least", "at", "so", "this", "never", "without"}
        | {"doubt", "or", "nor", "kind", "of", "the", "a", ":)", ":(", "💘", "😁", "!", "??", "?", "n't", "film"}
    )
)
CASES = st.sampled_from([str.lower, str.upper, str.capitalize])
TEXTS = st.lists(st.tuples(WORDS, CASES, st.sampled_from([" ", "", "\n", ", ", "! "])), max_size=14).map(
    lambda parts: "".join(case(word) + gap for word, case, gap in parts)
)


@cache
def analyzer() -> reference.SentimentIntensityAnalyzer:
    return reference.SentimentIntensityAnalyzer()


def expected(text: str) -> Decimal:
    return Decimal(str(analyzer().polarity_scores(text)["compound"])).quantize(Decimal("0.0001"))


def differing(texts: list[str]) -> list[tuple[str, Decimal, Decimal | None]]:
    pairs = zip(texts, score(texts), strict=True)
    return [(text, expected(text), found) for text, found in pairs if expected(text) != found]


def test_every_rule_gives_the_references_score() -> None:
    assert differing(RULES) == []
    assert len(set(score(RULES))) > 20


def test_our_own_sentences_score_as_in_the_reference() -> None:
    lines = (files("watersmeet.apps.movies") / "reviews.txt").read_text(encoding="utf-8").splitlines()
    assert differing([line[2:] for line in lines]) == []


@settings(max_examples=1500, deadline=None)
@given(TEXTS)
def test_any_words_in_any_order_score_as_in_the_reference(text: str) -> None:
    assert score([text]) == [expected(text)]


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_scores_as_in_the_reference(text: str) -> None:
    assert score([text]) == [expected(text)]


def test_all_known_snippets_score_as_in_the_reference() -> None:
    if not SNIPPETS.is_file():
        pytest.skip("the 10,605 human-rated snippets are not here")
    rows = SNIPPETS.read_text(encoding="utf-8").splitlines()[1:]
    texts = [row.split("\t")[2] for row in rows]
    assert len(texts) == 10_605
    assert differing(texts) == []


def test_scores_have_four_digits_and_no_negative_zero() -> None:
    scores = score([*RULES, "the", "", "good bad"])
    assert {found.as_tuple().exponent for found in scores if found is not None} == {-4}
    assert not any(found is not None and not found and found.is_signed() for found in scores)


def test_null_stays_null_and_what_is_no_text_is_neutral() -> None:
    column = ["good", None, "", 5, b"good"]
    assert score(column) == [Decimal("0.4404"), None, Decimal("0.0000"), Decimal("0.0000"), Decimal("0.0000")]  # type: ignore[arg-type]  # what untyped callers may hand over
    assert score([]) == []


def test_the_memory_of_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentiment, "_TOKENS_KEPT", 50)
    scorer = sentiment._Scorer()
    sizes = []
    for number in range(200):
        assert scorer.score(f"word{number} {'long' * number} good") == Decimal("0.4404")
        sizes.append(len(scorer._tokens))
    assert max(sizes) == 50


def test_the_lexicon_waits_for_the_first_score() -> None:
    code = "import sys, watersmeet.apps.movies.sentiment; sys.exit('vaderSentiment' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
