"""What must agree before a near duplicate may be removed: numbers, dates, parties and negations.

Purpose: "pay 100 today" and "pay 900 today", 有效 and 无效, "Anders owes Moreau" and "Moreau owes Anders" are near
duplicates by any measure of shape and opposite in meaning. `difference` lays two texts side by side word by word
(Han: character by character) and looks only at the places where they differ: each must be harmless. A place is
harmful if a number, a unit behind a number, a date word, a negation, one of a pair of opposites, or a name differs in
it: in English a capitalised word that does not merely open a sentence, in Chinese what stands where names stand
(after 患者, 原告 and the like, before 先生 or 某, behind a surname, within reach of 公司, 银行, 法院 and the like).
Sentences in another order: if the texts as they stand do not agree, equal sentences are taken out and the others
matched with names and numbers hidden, so that "the lender is A, the borrower is B" never meets its own swap; a word
that left one place and came back at another is a difference.
Which side to err on: a duplicate that stays costs a little; a merged pair that differs costs a fact. So a name that
differs by one letter is another name, unless the text itself has the right form elsewhere or no writer would have
put what stands there (a digit within a word, rn for m).
Words that are looked for stand in guard.yaml. Source of the confusable letters: Unicode TR 39.
Not covered: drugs, diagnoses and places in lower case, Chinese names without any cue, meaning that hangs on the order
of whole sentences.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from metier.prepare.guard_place import Place
from metier.prepare.guard_text import Span, Text, Token, is_han, is_name

_BREAK = re.compile(r"[.!?;。！？；\n]")
_COLON = re.compile(r"[:：]\s*$")
SHORT = 8  # Han characters, or twice the words: a shorter sentence says nothing without the one before it
NOISY = 2  # places that only a scanner makes, from which on a look-alike letter in a name is taken for one as well
ALIKE = 0.5  # share of a sentence's words that must agree for it to be another version of a sentence
GREETINGS = ("dear", "hello", "hi", "to")  # such a line stands for itself, however short
PAIRS = 10_000  # sentences times sentences that are compared at most


def difference(one: str, two: str) -> str:
    """What of weight differs between two near duplicates: "" if nothing does, else one word such as "number".

    The kinds: number, date, negation, opposite, party, order. The order of the two texts does not matter.
    """
    left, right = map(_text, sorted((one, two)))  # of several shortest ways from one to the other one is taken
    if left.words == right.words:
        return ""
    found = _compare(left, right, [((0, len(left.words)), (0, len(right.words)))])
    if found:
        pairs = _matched(left, right)
        if pairs is not None and not _compare(left, right, pairs):
            return ""
    return found


_text = functools.lru_cache(256)(Text)  # of one text there are often several near ones


def _compare(left: Text, right: Text, pairs: Iterable[tuple[Span, Span]]) -> str:
    """The first harmful place of all pairs of spans, or "order" if words changed places."""
    from rapidfuzz.distance import Levenshtein

    places = []
    for one, two in pairs:
        merged: list[list[int]] = []
        for step in Levenshtein.opcodes(left.words[slice(*one)], right.words[slice(*two)]):
            if step.tag == "equal":
                continue
            if merged and merged[-1][1] == step.src_start and merged[-1][3] == step.dest_start:
                merged[-1][1], merged[-1][3] = step.src_end, step.dest_end
            else:
                merged.append([step.src_start, step.src_end, step.dest_start, step.dest_end])
        for i, j, k, m in _single(merged, left.words, right.words, one[0], two[0]):
            places.append(Place(left, right, (i, j), (k, m)))
    scanned = sum(place.noise() for place in places) + (left.spaces != right.spaces) >= NOISY
    for place in places:
        if found := place.harm(scanned):
            return found
    return "order" if _moved(places) else ""


def _single(
    merged: Sequence[Sequence[int]], left: Sequence[str], right: Sequence[str], one: int, two: int
) -> Iterator[tuple[int, int, int, int]]:
    """Spans of places within the texts; Han characters and numbers that face each other one to one stand apart."""
    for i, j, k, m in merged:
        i, j, k, m = i + one, j + one, k + two, m + two
        if j - i == m - k and any(is_han(word) or word[-1].isdigit() for word in left[i:j]):
            yield from ((i + n, i + n + 1, k + n, k + n + 1) for n in range(j - i))
        else:
            yield i, j, k, m


def _moved(places: Sequence[Place]) -> bool:
    """Whether something that left one place came back at another."""
    gone: set[str] = set()
    come: set[str] = set()
    for place in places:
        if place.noise():
            continue
        gone |= place.pieces(place.one)
        come |= place.pieces(place.two)
    if gone & come:
        return True
    swaps = {(place.joined(place.one), place.joined(place.two)) for place in places}
    return any((two, one) in swaps for one, two in swaps if one and two and one != two)


def _matched(left: Text, right: Text) -> list[tuple[Span, Span]] | None:
    """Sentences that stand on both sides taken out, the others matched; None if there are too many to try."""
    from rapidfuzz.distance import Indel

    sides = [(text, _sentences(text)) for text in (left, right)]
    keys = [[tuple(text.words[slice(*span)]) for span in spans] for text, spans in sides]
    both = Counter(keys[0]) & Counter(keys[1])
    rest: list[list[Span]] = []
    for (_, spans), names in zip(sides, keys, strict=True):
        spare = both.copy()
        kept = []
        for span, name in zip(spans, names, strict=True):
            if spare[name] > 0:
                spare[name] -= 1
            else:
                kept.append(span)
        rest.append(kept)
    if len(rest[0]) * len(rest[1]) > PAIRS:
        return None
    hidden = [[[_hidden(token) for token in text.tokens(*span)] for span in kept]
              for text, kept in zip((left, right), rest, strict=True)]  # fmt: skip
    scores = [(-Indel.normalized_similarity(one, two), i, k)
              for i, one in enumerate(hidden[0]) for k, two in enumerate(hidden[1])]  # fmt: skip
    taken: tuple[set[int], set[int]] = (set(), set())
    pairs: list[tuple[Span, Span]] = []
    for score, i, k in sorted(scores):
        if score <= -ALIKE and i not in taken[0] and k not in taken[1]:
            taken[0].add(i)
            taken[1].add(k)
            pairs.append((rest[0][i], rest[1][k]))
    pairs += [(span, (0, 0)) for i, span in enumerate(rest[0]) if i not in taken[0]]
    return pairs + [((0, 0), span) for k, span in enumerate(rest[1]) if k not in taken[1]]


def _sentences(text: Text) -> list[Span]:
    """Sentences and lines; short ones stay with the one before, as does what follows a colon."""
    edges = [0]
    for i in range(1, len(text.words)):
        gap = text.text[text.ends[i - 1] : text.starts[i]]
        if gap not in ("", " ") and _BREAK.search(gap) and not _COLON.search(gap):
            edges.append(i)
    edges.append(len(text.words))
    joined: list[list[int]] = []
    for start, stop in itertools.pairwise(edges) if text.words else ():
        size = sum(1 if is_han(word) else 2 for word in text.words[start:stop][:SHORT])
        size = SHORT if text.words[start] in GREETINGS else size
        if joined and (size < SHORT or joined[-1][2] < SHORT):
            joined[-1][1:] = [stop, joined[-1][2] + size]
        else:
            joined.append([start, stop, size])
    return [(start, stop) for start, stop, _ in joined]


def _hidden(token: Token) -> str:
    return "#" if token.folded[-1].isdigit() or is_name(token) else token.folded
