"""The floor of a dictionary: what was an entity in training is one again, the longest match first.

Purpose: how far one gets by remembering, which on some data is most of the way. An entry is the words of an entity,
case folded; it stays in the dictionary if it was an entity in at least half of the places where it stood in the
training texts ("ran" is a gene once and a verb a hundred times). Its type is the most frequent one.
Not covered: spellings that training did not show.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from metier.errors import UserError
from metier.evaluate.floors.base import FloorData, FloorPrediction
from metier.registry import register
from metier.train.config import TaskConfig
from metier.train.tasks.base import Span
from metier.train.tasks.bio import units

SHARE = 0.5  # of its occurrences in training that an entry must have been an entity in
Words = tuple[str, ...]


@register("floor", "dictionary")
def dictionary(train: FloorData, test_texts: list[str], task: TaskConfig, seed: int) -> FloorPrediction:
    """Longest match, from left to right, of the entities of training."""
    if train.spans is None:
        raise UserError("the floor 'dictionary' needs spans", "evaluate.floors", "use 'tfidf' for labels and values")
    entries = learn(train.texts, train.spans)
    longest = max(map(len, entries), default=0)
    found = [[Span(start, end, label) for start, end, label in _matches(text, entries, longest)] for text in test_texts]
    return FloorPrediction(spans=found, how=f"the longest match among {len(entries):,} entities of training")


def learn(texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> dict[Words, str]:
    """Words of each entry -> its type."""
    types: dict[Words, Counter[str]] = defaultdict(Counter)
    for text, some in zip(texts, spans, strict=True):
        for span in some:
            types[_words(text[span.start : span.end])][span.label] += 1
    types.pop((), None)
    sizes = sorted({len(entry) for entry in types})
    seen: Counter[Words] = Counter()
    for text in texts:
        words = _words(text)
        for size in sizes:
            seen.update(entry for at in range(len(words) - size + 1) if (entry := words[at : at + size]) in types)
    return {
        entry: min(counts.items(), key=lambda item: (-item[1], item[0]))[0]
        for entry, counts in types.items() if counts.total() >= SHARE * seen[entry]
    }  # fmt: skip


def _matches(text: str, entries: dict[Words, str], longest: int) -> list[tuple[int, int, str]]:
    places, words, found, at = units(text), _words(text), [], 0
    while at < len(words):
        for size in range(min(longest, len(words) - at), 0, -1):
            label = entries.get(words[at : at + size])
            if label is not None:
                found.append((places[at][0], places[at + size - 1][1], label))
                at += size
                break
        else:
            at += 1
    return found


def _words(text: str) -> Words:
    return tuple(text[start:end].casefold() for start, end in units(text))
