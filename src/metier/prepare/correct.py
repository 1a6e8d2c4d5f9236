"""Correct OCR and typing errors against a lexicon that is mined from the corpus itself.

Purpose: a field's own words stand in no general dictionary, but they stand in its documents a hundred times. `observe`
counts English words with their neighbours, and Chinese sequences of three around characters that are taken for others;
`conclude` keeps what is frequent and, for each rare English form, the frequent forms one confusable edit away; `apply`
corrects a rare form only where the frequent one fits between its neighbours. Every correction is a change that can be
undone (changes.undo).
Never touched: whatever bears a figure or stands beside one (doses, amounts, clause numbers, dates, units), names and
abbreviations (capitals within a sentence), codes, words of the recipe's lexicon, Han numerals.
Trade-off: precision before recall. An error that is frequent, or whose right form is rare, stays. Measured in both
languages on real texts with errors put in: `benchmarks/texts.py`. Memory: about 30 bytes for each different pair of
words or sequence of three characters.
Not covered: missing or doubled Han characters, grammar, words that are split or joined.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from metier.prepare import confusions
from metier.prepare.changes import applied, change, has_copies, hidden
from metier.prepare.config_texts import CorrectConfig
from metier.prepare.flow import count
from metier.prepare.operation import Result, Settings, text_operation, with_texts

Array = NDArray[Any]

OBSERVED = pa.schema([("kind", pa.int8()), ("word", pa.string()), ("left", pa.int64()), ("right", pa.int64()),
                      ("count", pa.int64())])  # fmt: skip
WORD, NAME, PAIR, GRAM = 0, 1, 2, 3  # kinds of what is counted; a NAME is a word with a capital within a sentence
SHORTEST = 5  # letters; shorter words have too many neighbours (form, from; than, then)
LONG = 8  # letters; a shorter word (stags, stars) needs a neighbour that says more than "the"
COMMON = 0.001  # share of all words from which a neighbour says nothing: about the 100 most frequent
TELLING = 2  # times that a short word must have stood beside a neighbour that says something
SUPPORT = 2  # of the three Chinese sequences around a character, so many must be frequent with the other character
EDGE = 1 << 21  # above every character: three fit into 63 bits

_WORD = re.compile(r"(?:(?<=[\s\"'“‘(（\[，。、；：])|^)[A-Za-z]+(?=$|[\s，。、；：]|[.,;:!?)）\]\"'”’]+(?:\s|$))")
_START = re.compile(r"(?:[.!?:;。！？：；\n]|[-*•]\s)[\s\"'“”‘’(（\[]*$")
_FIGURE = re.compile(r"[\d〇零一二三四五六七八九十百千万亿两壹贰叁肆伍陆柒捌玖拾]")


@dataclass(frozen=True)
class Knowledge:
    """What the corpus says: rare English form -> frequent forms, and how often pairs and sequences stand in it."""

    words: Mapping[str, tuple[str, ...]]
    pairs: tuple[Array, Array]  # keys (sorted), counts
    grams: tuple[Array, Array]
    common: frozenset[str]  # words that fit beside any other
    kept: frozenset[str] = field(default_factory=frozenset)  # Han phrases of the recipe's lexicon


@dataclass(frozen=True)
class Token:
    """One English word in its place: text[start:end]."""

    start: int
    end: int
    word: str
    first: bool  # of its sentence


def tokens(text: str) -> Iterator[Token]:
    """The English words of a text that are no part of a code, an address or a compound."""
    for match in _WORD.finditer(text):
        before = text[max(0, match.start() - 8) : match.start()]
        first = match.start() == 0 or bool(_START.search(before)) or (len(before) == match.start() and before.isspace())
        yield Token(match.start(), match.end(), match.group(), first)


def observe(batch: pa.Table, settings: Settings) -> pa.Table:
    """Counts of words, names, pairs of neighbours, and sequences of three characters."""
    words: Counter[str] = Counter()
    names: Counter[str] = Counter()
    pairs: Counter[tuple[int, int]] = Counter()
    for text in batch["text"].to_pylist():
        previous: Token | None = None
        for token in tokens(text):
            word = token.word.casefold()
            (names if token.word[0].isupper() and not token.first else words)[word] += 1
            if previous is not None and text[previous.end : token.start].isspace():
                pairs[_hash(previous.word.casefold()), _hash(word)] += 1
            previous = token
    keys, numbers = np.unique(_grams(batch["text"].to_pylist()), return_counts=True)
    parts = [
        _table(WORD, words, [0] * len(words), list(words.values())),
        _table(NAME, names, [0] * len(names), list(names.values())),
        _table(PAIR, [""] * len(pairs), [key[0] for key in pairs], list(pairs.values()), [key[1] for key in pairs]),
        _table(GRAM, [""] * len(keys), keys, numbers),
    ]
    return pa.concat_tables(parts)


def conclude(observed: Sequence[pa.Table], settings: Settings) -> Knowledge:
    """The lexicon: which rare English forms are errors of which frequent ones, and the counts that judge contexts."""
    config = settings.config.correct
    summed = pa.concat_tables([OBSERVED.empty_table(), *observed]).group_by(["kind", "word", "left", "right"])
    table = summed.aggregate([("count", "sum")]).sort_by([("word", "ascending")])
    kind, left, right, number = (table[name].to_numpy() for name in ("kind", "left", "right", "count_sum"))
    spelled = np.flatnonzero((kind == WORD) | (kind == NAME))
    words: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for row, word in zip(spelled.tolist(), table["word"].take(spelled).to_pylist(), strict=True):
        (words if kind[row] == WORD else names)[word] += int(number[row])
    phrases = _lexicon(config.lexicon)
    errors = _errors(words, names, frozenset(phrase.casefold() for phrase in phrases), config)
    targets = np.array(sorted({_hash(target) for found in errors.values() for target in found}), np.int64)
    pairs = (kind == PAIR) & (np.isin(left, targets) | np.isin(right, targets))
    grams = (kind == GRAM) & (number > config.rarest)
    least = COMMON * (sum(words.values()) + sum(names.values()))
    common = frozenset(word for word, n in words.items() if n >= least)
    return Knowledge(
        errors, _sorted(_pair(left[pairs], right[pairs]), number[pairs]), _sorted(left[grams], number[grams]), common,
        frozenset(phrase for phrase in phrases if not phrase.isascii()),
    )  # fmt: skip


def note(counts: Mapping[str, int]) -> str:
    """For the funnel."""
    said = f"{count(counts.get('corrections', 0), 'correction')} in {count(counts.get('changed', 0), 'text')}"
    kept = counts.get("structured", 0)
    return said + (f"; {count(kept, 'example')} with offsets left alone" if kept else "")


@text_operation("correct", note, lambda config: config.correct.enabled, observe, conclude)
def correct(batch: pa.Table, settings: Settings, knowledge: Any) -> Result:
    """Correct every text; no document leaves."""
    result = Result(batch)
    counts: Counter[str] = Counter()
    texts = []
    for row in batch.to_pylist():
        changes = []
        if has_copies(row["metadata"]):
            counts["structured"] += 1
        else:
            found = corrections(row["text"], knowledge, settings.config.correct)
            changes = [change(row, "correct", start, end, after, reason) for start, end, after, reason in found]
        counts["corrections"] += len(changes)
        counts["changed"] += bool(changes)
        texts.append(applied(row["text"], changes))
        result.changes += hidden(changes, settings.config)
    result.batch, result.counts = with_texts(batch, texts), dict(counts)
    return result


def corrections(text: str, known: Knowledge, config: CorrectConfig) -> list[tuple[int, int, str, str]]:
    """(start, end, right form, reason) of every error found, in order."""
    return sorted([*_english(text, known), *_chinese(text, known, config)])


def _english(text: str, known: Knowledge) -> Iterator[tuple[int, int, str, str]]:
    if not known.words:
        return
    found = list(tokens(text))
    for number, token in enumerate(found):
        candidates = known.words.get(token.word.casefold())
        if not candidates or (token.word[0].isupper() and not token.first) or not token.word[1:].islower():
            continue
        if _figure_beside(text, token.start, token.end):
            continue
        before = _neighbour(text, found, number, number - 1)
        after = _neighbour(text, found, number, number + 1)
        fits = {word: (_pairs(known, before, word), _pairs(known, word, after)) for word in candidates}
        ranked = sorted(candidates, key=lambda word: (-sum(fits[word]), word))
        best, second = ranked[0], ranked[1] if len(ranked) > 1 else ""
        if not all(n for n, beside in zip(fits[best], (before, after), strict=True) if beside) or not sum(fits[best]):
            continue
        telling = [n for n, word in zip(fits[best], (before, after), strict=True) if word not in known.common]
        if len(best) < LONG and max(telling, default=0) < TELLING:
            continue
        if second and sum(fits[second]) * 4 > sum(fits[best]):
            continue  # two words fit: a person must decide
        capital = token.word[0].isupper() or (token.first and token.word[0] == "l" and best[0] == "i")
        after_case = best.capitalize() if capital else best
        yield (
            token.start,
            token.end,
            after_case,
            f"rare form of '{best}', which the corpus has here {sum(fits[best])} times",
        )


def _chinese(text: str, known: Knowledge, config: CorrectConfig) -> Iterator[tuple[int, int, str, str]]:
    kept = {at for phrase in known.kept for hit in re.finditer(re.escape(phrase), text) for at in range(*hit.span())}
    last = -2
    for at in _rare_places(text, known):
        if at in kept or at - last < 2 or _FIGURE.search(text[max(0, at - 1) : at + 2]):
            continue
        windows = [start for start in (at - 2, at - 1, at) if start >= 0 and start + 3 <= len(text)]
        windows = [start for start in windows if not any(map(str.isspace, text[start : start + 3]))]
        scores = {}
        for other in confusions.han_alike(text[at]):
            numbers = [_gram(known, text[start:at] + other + text[at + 1 : start + 3]) for start in windows]
            enough = [n for n in numbers if n >= config.rarest + 1]
            if len(enough) >= SUPPORT and sum(numbers) >= config.frequent:
                scores[other] = sum(numbers)
        ranked = sorted(scores, key=lambda other: (-scores[other], other))
        if ranked and (len(ranked) == 1 or scores[ranked[1]] * 4 <= scores[ranked[0]]):
            last = at
            yield at, at + 1, ranked[0], f"'{ranked[0]}' stands in these surroundings {scores[ranked[0]]} times"


def _rare_places(text: str, known: Knowledge) -> list[int]:
    """Where a confusable character stands and no sequence of three around it is frequent."""
    keys = known.grams[0]
    if len(text) < 3 or not len(keys):
        return []
    codes, marked, space = _coded(text)
    sequences = _keys(codes)
    found = keys[np.minimum(np.searchsorted(keys, sequences), len(keys) - 1)] == sequences
    whole = ~(space[:-2] | space[1:-1] | space[2:])
    frequent, windows = np.zeros(len(codes), bool), np.zeros(len(codes), np.int8)
    for shift in range(3):  # the sequence begins so many characters before the place
        frequent[shift : len(codes) - 2 + shift] |= found & whole
        windows[shift : len(codes) - 2 + shift] += whole
    return [int(at) for at in np.flatnonzero(marked & ~frequent & (windows >= SUPPORT))]


def _errors(
    words: Mapping[str, int], names: Mapping[str, int], right: frozenset[str], config: CorrectConfig
) -> dict[str, tuple[str, ...]]:
    """Rare form -> the frequent forms that it may be an error of."""
    targets = {word for word, n in words.items() if n >= config.frequent and n > names.get(word, 0)} | right
    near: dict[str, list[str]] = {}
    for word in sorted(word for word in targets if len(word) >= SHORTEST and word.isascii()):
        for shorter in confusions.deletes(word):
            near.setdefault(shorter, []).append(word)
    errors = {}
    for word in sorted(words):
        total = words[word] + names.get(word, 0)
        if total > config.rarest or len(word) < SHORTEST or word in right:
            continue
        found = {other for other in confusions.look_alikes(word) if other in targets and len(other) >= SHORTEST - 1}
        close = {other for shorter in confusions.deletes(word) for other in near.get(shorter, ())}
        found |= {other for other in close if confusions.mistyped(word, other)}
        if kept := sorted(other for other in found if words.get(other, config.frequent) >= config.ratio * total):
            errors[word] = tuple(kept)
    return errors


def _figure_beside(text: str, start: int, end: int) -> bool:
    """A figure before it makes it a unit, a figure behind it a label (Article 5)."""
    return bool(
        re.search(r"\d[\s.,%-]*$", text[max(0, start - 3) : start]) or re.match(r"[\s.:#-]*\d", text[end : end + 3])
    )


def _neighbour(text: str, found: Sequence[Token], number: int, other: int) -> str:
    """The word beside, if nothing but white space stands between; "" otherwise."""
    if not 0 <= other < len(found):
        return ""
    first, second = sorted((found[number], found[other]), key=lambda token: token.start)
    return found[other].word.casefold() if text[first.end : second.start].isspace() else ""


def _pairs(known: Knowledge, left: str, right: str) -> int:
    if not left or not right:
        return 0
    return _count(known.pairs, int(_pair(np.array([_hash(left)], np.int64), np.array([_hash(right)], np.int64))[0]))


def _gram(known: Knowledge, three: str) -> int:
    return _count(known.grams, ord(three[0]) * EDGE * EDGE + ord(three[1]) * EDGE + ord(three[2]))


def _count(counted: tuple[Array, Array], key: int) -> int:
    at = int(np.searchsorted(counted[0], key))
    return int(counted[1][at]) if at < len(counted[0]) and counted[0][at] == key else 0


def _sorted(keys: Array, numbers: Array) -> tuple[Array, Array]:
    order = np.argsort(keys, kind="stable")
    return keys[order], numbers[order]


def _pair(left: Array, right: Array) -> Array:
    """One 64-bit key for two hashes; which is left matters."""
    with np.errstate(over="ignore"):
        return left * np.int64(0x2545F4914F6CDD1D) + (right ^ (right >> 29))


def _grams(texts: Sequence[str]) -> Array:
    """The key of every sequence of three characters around a confusable one, white space left out; int64 (n,)."""
    codes, marked, space = _coded("\n\n".join(texts) + "\n\n\n")
    wanted = (marked[:-2] | marked[1:-1] | marked[2:]) & ~(space[:-2] | space[1:-1] | space[2:])
    return _keys(codes)[wanted]


def _coded(text: str) -> tuple[Array, Array, Array]:
    """Code points of a text, which of them are confusable, and which are white space; each (characters,)."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.int64)
    marked = np.isin(codes, np.array(sorted(map(ord, confusions.confusable())), np.int64))
    return codes, marked, np.isin(codes, np.array([9, 10, 11, 12, 13, 32, 0x3000], np.int64))


def _keys(codes: Array) -> Array:
    """One key for each three characters in a row, (characters - 2,)."""
    return codes[:-2] * EDGE * EDGE + codes[1:-1] * EDGE + codes[2:]


def _table(kind: int, words: Any, left: Any, numbers: Any, right: Any = None) -> pa.Table:
    words = list(words)
    return pa.Table.from_arrays(
        [pa.array([kind] * len(words), pa.int8()), pa.array(words, pa.string()), pa.array(left, pa.int64()),
         pa.array([0] * len(words) if right is None else right, pa.int64()), pa.array(numbers, pa.int64())],
        schema=OBSERVED,
    )  # fmt: skip


@lru_cache(maxsize=1 << 17)
def _hash(word: str) -> int:
    """63 bits that are the same in every process."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big") >> 1


def _lexicon(path: str) -> list[str]:
    if not path:
        return []
    lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
