"""The VADER compound score of a column of texts, exact and fast.

VADER (Hutto and Gilbert, 2014) is a lexicon and a handful of rules on the words around each hit; `vaderSentiment` is
the reference. This is a second writing of its compound score alone, over its own lexicon and tables, that gives the
same four decimals for every text, its quirks included. It is faster, about 4 times on single sentences and 12 times on
reviews of two to four (`benchmarks/sentiment.py` prints the ratio), because it looks each distinct token up once,
applies the rules only where the lexicon hits, and skips the pass over every character where a text has no emoji. A text
is scored as a whole: long texts saturate.

Loading the lexicon takes some 10 ms and waits for the first score.
"""

from __future__ import annotations

import functools
import math
import re
import string
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

_TOKENS_KEPT = 65_536
_LONGEST_KEPT = 32
_ZERO = Decimal("0.0000")


def score(texts: Sequence[str | None]) -> list[Decimal | None]:
    """Score each text from -1.0000 (very negative) to 1.0000 (very positive).

    An empty text, one without a known word, and what is no text at all score 0.0000; ``None`` stays ``None``.

    >>> score(["What a wonderful film!", "It was not good, it was TERRIBLE.", "", None])
    [Decimal('0.6114'), Decimal('-0.7383'), Decimal('0.0000'), None]
    """
    scorer = _scorer()
    return [None if text is None else scorer.score(text) if isinstance(text, str) else _ZERO for text in texts]


class _Token(NamedTuple):
    """What the rules ask about one token."""

    hit: bool  # it has a valence of its own and is no booster
    stirs: bool  # it can change the valence of a word after it
    phrasal: bool  # it occurs in an idiom or a booster of several words
    lower: str
    valence: float | None  # in the lexicon
    booster: float | None
    negates: bool
    upper: bool


class _Tokens(dict[str, _Token]):
    """Tokens by the words they were made of; a word not met before is looked up."""

    def __init__(self, tables: _Tables) -> None:
        super().__init__()
        self._tables = tables

    def __missing__(self, word: str) -> _Token:
        tables = self._tables
        stripped = word.strip(string.punctuation)
        kept = stripped if len(stripped) > 2 else word  # what is left of an emoticon is too short to be a word
        lower = kept.lower()
        valence, booster = tables.lexicon.get(lower), tables.boosters.get(lower)
        negates = lower in tables.negations or "n't" in lower
        stirs = negates or booster is not None or lower in ("so", "this", "least", "no")
        hit = valence is not None and booster is None
        token = _Token(hit, stirs, lower in tables.phrasal, lower, valence, booster, negates, kept.isupper())
        if len(word) <= _LONGEST_KEPT:
            if len(self) >= _TOKENS_KEPT:
                self.clear()
            self[word] = token
        return token


class _Tables:
    """The reference's lexicon and rules' tables."""

    def __init__(self) -> None:
        from vaderSentiment import vaderSentiment as reference  # noqa: N813 - a module whose name is in camel case

        analyzer = reference.SentimentIntensityAnalyzer()
        self.lexicon: dict[str, float] = analyzer.lexicon
        self.emojis: dict[str, str] = {emoji: text for emoji, text in analyzer.emojis.items() if len(emoji) == 1}
        self.negations = frozenset(reference.NEGATE)
        self.boosters: dict[str, float] = reference.BOOSTER_DICT
        self.idioms: dict[str, float] = reference.SPECIAL_CASES
        self.capitals: float = reference.C_INCR
        self.negation: float = reference.N_SCALAR
        phrases = [phrase.split(" ") for phrase in (*self.idioms, *self.boosters)]
        self.phrasal = frozenset(word for words in phrases if len(words) > 1 for word in words)


class _Scorer:
    """The tables, and the tokens met so far."""

    def __init__(self) -> None:
        self._tables = _Tables()
        self._tokens = _Tokens(self._tables)
        self._emoji = re.compile("[" + "".join(map(re.escape, self._tables.emojis)) + "]")
        self._decimals: dict[str, Decimal] = {}

    def score(self, text: str) -> Decimal:
        if not text.isascii() and self._emoji.search(text):
            text = self._spell(text)
        tokens = list(map(self._tokens.__getitem__, text.split()))
        places: list[int] = []
        valences: list[float] = []
        for place in [place for place, token in enumerate(tokens) if token[0]]:
            token = tokens[place]
            if token.lower == "kind" and place < len(tokens) - 1 and tokens[place + 1].lower == "of":
                continue
            valence = self._valence(tokens, place)
            if valence:
                places.append(place)
                valences.append(valence)
        if "but" in text.lower():
            _turn(tokens, places, valences)
        return self._present(_normal(sum(valences), text))

    def _valence(self, tokens: list[_Token], i: int) -> float:
        """What a word of the lexicon weighs between its neighbours."""
        token = tokens[i]
        valence = token.valence or 0.0
        if token.lower == "no" and i != len(tokens) - 1 and tokens[i + 1].valence is not None:
            valence = 0.0
        stirred = False
        for near in tokens[max(i - 3, 0) : i]:
            if near.stirs:
                stirred = True
                break
        if stirred and _denied(tokens, i):
            valence = (token.valence or 0.0) * self._tables.negation
        if token.upper and _mixed(tokens):
            valence += self._tables.capitals if valence > 0 else -self._tables.capitals
        if stirred:
            for back in (1, 2):
                if i >= back and tokens[i - back].valence is None:
                    valence = self._stirred(valence, tokens, i, back)
        if i >= 3 and tokens[i - 3].valence is None:
            if stirred:
                valence = self._stirred(valence, tokens, i, 3)
            if token.phrasal or tokens[i - 2].phrasal:  # one of them is in any phrase that counts
                valence = self._idiom(valence, tokens, i)
        if stirred and tokens[i - 1].lower == "least" and (i == 1 or tokens[i - 2].lower not in ("at", "very")):
            valence *= self._tables.negation
        return valence

    def _stirred(self, valence: float, tokens: list[_Token], i: int, back: int) -> float:
        """The valence as the word ``back`` places before it boosts, damps or negates it."""
        near = tokens[i - back]
        if near.booster is not None:
            boost = near.booster if valence >= 0 else -near.booster
            if near.upper and _mixed(tokens):
                boost += self._tables.capitals if valence > 0 else -self._tables.capitals
            valence += boost if back == 1 else boost * 0.95 if back == 2 else boost * 0.9
        if back > 1:
            between = [token.lower for token in tokens[i - back + 1 : i]]
            if (near.lower == "never" and between[0] in ("so", "this")) or (back == 3 and between[1] in ("so", "this")):
                return valence * 1.25
            if near.lower == "without" and "doubt" in between:
                return valence
        return valence * self._tables.negation if near.negates else valence

    def _idiom(self, valence: float, tokens: list[_Token], i: int) -> float:
        """The valence of the idiom around a word, if there is one, and what two-word boosters before it add."""
        three, two, one, zero = (token.lower for token in tokens[i - 3 : i + 1])
        before = (f"{one} {zero}", f"{two} {one} {zero}", f"{two} {one}", f"{three} {two} {one}", f"{three} {two}")
        for phrase in before:
            if phrase in self._tables.idioms:
                valence = self._tables.idioms[phrase]
                break
        if len(tokens) - 1 > i:
            following = f"{zero} {tokens[i + 1].lower}"
            valence = self._tables.idioms.get(following, valence)
            if len(tokens) - 1 > i + 1:
                valence = self._tables.idioms.get(f"{following} {tokens[i + 2].lower}", valence)
        for phrase in (before[3], before[4], before[2]):
            valence += self._tables.boosters.get(phrase, 0.0)
        return valence

    def _spell(self, text: str) -> str:
        """Replace each emoji by its description, as the reference does: a space is put before it, none after it."""
        out: list[str] = []
        spaced = True
        for character in text:
            description = self._tables.emojis.get(character)
            if description is None:
                out.append(character)
                spaced = character == " "
            else:
                out.append(description if spaced else f" {description}")
                spaced = False
        return "".join(out)

    def _present(self, compound: float) -> Decimal:
        digits = f"{compound:.4f}"
        found = self._decimals.get(digits)
        if found is None:
            found = self._decimals[digits] = Decimal(digits) + _ZERO  # the sum of -0.0000 and 0.0000 is 0.0000
        return found


def _denied(tokens: list[_Token], i: int) -> bool:
    """True for a word after "no", also with one word between, and with two of which the second is "or" or "nor"."""
    if i > 0 and tokens[i - 1].lower == "no":
        return True
    if i > 1 and tokens[i - 2].lower == "no":
        return True
    return i > 2 and tokens[i - 3].lower == "no" and tokens[i - 1].lower in ("or", "nor")


def _mixed(tokens: list[_Token]) -> bool:
    """True if some tokens, but not all, are in capitals."""
    return 0 < sum([token.upper for token in tokens]) < len(tokens)


def _turn(tokens: list[_Token], places: list[int], valences: list[float]) -> None:
    """Halve what stands before the first "but" and raise what stands after it by half, in place.

    The reference finds each valence by its value, so of two equal ones the first is changed, perhaps twice.
    """
    turn = next((place for place, token in enumerate(tokens) if token.lower == "but"), None)
    if turn is None:
        return
    for k in range(len(valences)):
        valence = valences[k]
        found = valences.index(valence)
        if places[found] != turn:
            valences[found] = valence * (0.5 if places[found] < turn else 1.5)


def _normal(total: float, text: str) -> float:
    """The sum of valences with the emphasis of ! and ?, brought between -1 and 1."""
    if not total:
        return 0.0
    questions = text.count("?")
    emphasis = min(text.count("!"), 4) * 0.292
    if questions > 1:
        emphasis += questions * 0.18 if questions <= 3 else 0.96
    total = total + emphasis if total > 0 else total - emphasis
    return max(-1.0, min(1.0, total / math.sqrt(total * total + 15)))


@functools.cache
def _scorer() -> _Scorer:
    return _Scorer()
