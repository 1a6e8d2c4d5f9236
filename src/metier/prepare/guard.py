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
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from metier.prepare.guard_words import HAN, looks, words

_NUMBER = r"(?:(?<![^\W_])[OIl|]+(?=\d)|\d)(?:[\dO]|[Il|](?=[\dO])|[.,:/-](?=[\dOIl|]))*"
_TOKEN = re.compile(rf"(?:(?<![\w.])[-+])?{_NUMBER}|[{HAN}]|[^\W\d_{HAN}]+(?:'[^\W\d_{HAN}]+)*|[%‰$€£¥^]")
_DIGITS = str.maketrans("OIl|", "0111")
_ENDS = re.compile(r"[.!?;:。！？；：\n\"“”(（•*]\s*$")  # what a sentence begins behind
_PAGE = re.compile(r"\bpage \d+(?: (?:of|/) \d+)?\b|第\s*\d+\s*页|共\s*\d+\s*页|^\s*[-–—] ?\d+ ?[-–—]\s*$", re.I | re.M)
_RAISED = {ord(raised): f"^{plain}" for raised, plain in zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True)}
_CAPITAL_I = re.compile("(?<=[a-z])I(?=[a-z]|$)")  # optical recognition of l
_BREAK = re.compile(r"[.!?;。！？；\n]")
_COLON = re.compile(r"[:：]\s*$")
SHORT = 9  # Han characters, or twice the words: a shorter sentence says nothing without the one before it
NOISY = 2  # places that only a scanner makes, from which on a look-alike letter in a name is taken for one as well
ALIKE = 0.5  # share of a sentence's words that must agree for it to be another version of a sentence
CAPITAL = frozenset(("may", "march", "sun", "sat", "mon", "second", "fall"))  # dates only if they are capitalised
GREETINGS = ("dear", "hello", "hi", "to")  # such a line stands for itself, however short
PAIRS = 10_000  # sentences times sentences that are compared at most


@dataclass(frozen=True)
class Token:
    """A word, a number, a sign or a Han character. `initial`: a sentence may begin here."""

    text: str
    folded: str
    initial: bool


class Text:
    """A text as it is compared: its folded words, where they stand, and `Token` for those that are looked at."""

    def __init__(self, text: str) -> None:
        given = text
        text = unicodedata.normalize("NFKC", text.translate(_RAISED)).replace("\u2019", "'").replace("\u2212", "-")
        text = re.sub(rf"(?<=[{HAN}])[ \t]+(?=[{HAN}])", "", _PAGE.sub(" ", text))
        text = words().stock.sub(" ", text)
        for pattern, plain in words().phrases:
            text = pattern.sub(plain, text)
        text = re.sub(r"(?<=[a-z])n't\b", " not", text)
        text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", re.sub(r"\b(?:can|ca)(?:not|n't|'t)\b", "can not", text))
        self.text = _CAPITAL_I.sub("l", text)
        found = [(match[0], match.start()) for match in _TOKEN.finditer(self.text)]
        self.words = [(word.translate(_DIGITS) if word[-1].isdigit() or word[0].isdigit() else word).casefold()
                      for word, _ in found]  # fmt: skip
        self.spaces = len(re.findall(rf"(?<=[{HAN}]) (?=[{HAN}])", given))  # which nobody writes
        self.starts = [start for _, start in found]
        self.ends = [start + len(word) for word, start in found]

    def tokens(self, start: int, stop: int) -> list[Token]:
        """Words number `start` to `stop`."""
        return [
            Token(self.text[self.starts[i] : self.ends[i]], self.words[i],
                  i == 0 or bool(_ENDS.search(self.text[self.ends[i - 1] : self.starts[i]])))
            for i in range(start, stop)
        ]  # fmt: skip

    @functools.cached_property
    def counts(self) -> Counter[str]:
        """How often each word stands in the text."""
        return Counter(self.words)


Span = tuple[int, int]  # words of a text, from and up to


def difference(one: str, two: str) -> str:
    """What of weight differs between two near duplicates: "" if nothing does, else one word such as "number".

    The kinds: number, date, negation, opposite, party, order. Symmetric, but for which of several kinds is named.
    """
    left, right = Text(one), Text(two)
    if left.words == right.words:
        return ""
    found = _compare(left, right, [((0, len(left.words)), (0, len(right.words)))])
    if found:
        pairs = _matched(left, right)
        if pairs is not None and not _compare(left, right, pairs):
            return ""
    return found


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
            places.append(_Place(left, right, (i, j), (k, m)))
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
        if j - i == m - k and any(_is_han(word) or word[-1].isdigit() for word in left[i:j]):
            yield from ((i + n, i + n + 1, k + n, k + n + 1) for n in range(j - i))
        else:
            yield i, j, k, m


def _moved(places: Sequence[_Place]) -> bool:
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


class _Place:
    """A place where two texts differ: a span of one against a span of the other."""

    def __init__(self, left: Text, right: Text, here: Span, there: Span) -> None:
        self.left, self.right = left, right
        self.one, self.two = left.tokens(*here), right.tokens(*there)
        self.previous = left.words[here[0] - 1] if here[0] else ""
        self.around = (_around(left, *here), _around(right, *there))

    def harm(self, scanned: bool) -> str:
        """Kind of the difference, "" for a harmless one. scanned: the texts differ by what a scanner misread."""
        known = words()
        if self.same_letters() or (scanned and self.look_alike()):
            return ""
        if self._facts(known.negations) or self._facts_zh(known.negations_zh):
            return "negation"
        if self._facts(known.numbers, digits=True) or self._facts_zh(known.numerals) or self._unit():
            return "number"
        if self._facts(known.dates) or self._strings(known.dates_zh):
            return "date"
        if self._prefix():
            return "negation"
        if self._opposite():
            return "opposite"
        if self._facts_zh(known.roles_zh) or self._names() or self._names_zh():
            return "party"
        return ""

    def noise(self) -> bool:
        """What only a scanner does: broken spaces, a digit in a word, letters that look alike in an ordinary word."""
        if self.same_letters():
            return True
        return not any(token.text[0].isupper() for token in (*self.one, *self.two)) and self.look_alike()

    def joined(self, tokens: Sequence[Token]) -> str:
        return "".join(token.folded for token in tokens)

    def pieces(self, tokens: Sequence[Token]) -> set[str]:
        """What would be noticed if it came back elsewhere: words of four letters, runs of two Han characters."""
        found = {token.folded for token in tokens if len(token.folded) > 3 and token.folded not in words().openers}
        run = "".join(token.folded for token in tokens if _is_han(token.folded))
        return found | ({run} if len(run) > 1 else set())

    def same_letters(self) -> bool:
        """Broken spaces, and letters that look alike where one side is a plain word or a plain number."""
        one, two = self.joined(self.one), self.joined(self.two)
        if one == two:
            return one.isalpha()
        for plain, other in ((one, two), (two, one)):
            word = plain.isalpha() and len(plain) > 1 and other.isalnum() and not other.isdigit()
            if word and not _is_han(plain) and looks(plain) == looks(other):
                return True
        raw = [around.raw.casefold() for around in self.around]
        for plain, other in (raw, raw[::-1]):
            number = re.fullmatch("[0-9.:/-]+", plain) and re.fullmatch(r"(?=.*[0-9])(?=.*[oil|])[0-9oil|.:/-]+", other)
            if number and looks(other.replace("i", "l")) == looks(plain):
                return True
        return False

    def look_alike(self) -> bool:
        """Equally long, of letters on one side at least, and each letter that differs looks like the other.

        In a name, not its first letter, and no letter that makes another name of it (Carla, Carlo).
        """
        plain = [self.joined(tokens) for tokens in (self.one, self.two)]
        one, two = (looks(text) for text in plain)
        if not any(text.isalpha() for text in plain) or any(text.isdigit() for text in plain) or len(one) != len(two):
            return False
        differing = [a + b for a, b in zip(one, two, strict=True) if a != b]
        known = words()
        facts = [[t.folded for t in tokens if t.folded in known.facts or t.folded in known.facts_zh]
                 for tokens in (self.one, self.two)]  # fmt: skip
        named = any(_is_name(token) for token in (*self.one, *self.two))
        if named and (one[0] != two[0] or any(pair in known.names_apart for pair in differing)):
            return False
        return (len(differing) <= 1 + len(one) // 6 and all(pair in known.visual for pair in differing)
                and not (facts[0] and facts[1] and facts[0] != facts[1]))  # fmt: skip

    def _facts(self, known: frozenset[str], digits: bool = False) -> bool:
        """Whether the words of a list, or the numbers, differ; also broken ("withou t") and misspelt ones count."""

        def facts(tokens: Sequence[Token]) -> list[str]:
            whole = [_weighty(t.folded) for t in tokens if t.folded not in CAPITAL or t.text[0].isupper()]
            broken = [a.folded + b.folded for a, b in itertools.pairwise(tokens)]
            return [word for word in whole + broken if word in known or (digits and word[-1].isdigit())]

        return facts(self.one) != facts(self.two)

    def _facts_zh(self, known: frozenset[str]) -> bool:
        one, two = ([c for c in words().no_numerals.sub("", around.near) if c in known] for around in self.around)
        return one != two

    def _strings(self, known: Iterable[str]) -> bool:
        one, two = (around.near for around in self.around)
        return any((string in one) != (string in two) for string in known)

    def _unit(self) -> bool:
        """The first word behind a number differs and is a unit on either side."""
        known = words()
        if not (self.previous[-1:].isdigit() or self.previous in known.numbers or self.previous in known.numerals):
            return False
        first = [tokens[0].folded if tokens else "" for tokens in (self.one, self.two)]
        units = [word.removesuffix("s") if len(word) > 2 else word for word in first]
        if units[0] == units[1]:
            return False
        counts = [unit in known.units or (bool(unit) and unit in known.units_zh) for unit in units]
        return all(counts) or (any(counts) and not _close(*units))

    def _prefix(self) -> bool:
        """A word with and without un-, dis-, in-, or with -less for -ful."""
        for pair in itertools.product(self.one, self.two):
            short, long = sorted((token.folded for token in pair), key=len)
            if len(short) > 2 and long.endswith(short) and long[: -len(short)].rstrip("-") in words().prefixes:
                return True
            if short.endswith("ful") and long == short[:-3] + "less":
                return True
        short, long = sorted((self.joined(self.one), self.joined(self.two)), key=len)  # where spaces are lost
        start = len(os.path.commonprefix((short, long)))
        added = long[start : start + len(long) - len(short)]
        return (
            len(short) > 4 and long[:start] + long[start + len(added) :] == short and added in words().prefixes - {"a"}
        )

    def _opposite(self) -> bool:
        one, two = ({_weighty(token.folded) for token in tokens} for tokens in (self.one, self.two))
        for a, b in words().opposites:
            if a[0] > "\u2fff":
                near, far = (around.wide for around in self.around)
                if a in near and b in far and a not in far and b not in near:
                    return True
                if b in near and a in far and b not in far and a not in near:
                    return True
            elif (a in one and b in two) or (b in one and a in two):
                return True
        return False

    def _names(self) -> bool:
        """Names in Latin script that differ; a misspelt one may be forgiven."""
        sentence = not (self.one and self.two) and len(self.one) + len(self.two) > 4
        one, two = ([t for i, t in enumerate(tokens) if _is_name(t) and not (
                     sentence and t.initial and not any(map(_is_name, tokens[i + 1 : i + 2])))]
                    for tokens in (self.one, self.two))  # fmt: skip
        if [token.folded for token in one] == [token.folded for token in two]:
            return False
        a, b = ([token.folded for token in tokens if token.text[0].isalpha() and not _is_han(token.folded)]
                for tokens in (self.one, self.two))  # fmt: skip
        if len(a) == len(b):
            return not all(self._misspelt(x, y) for x, y in zip(a, b, strict=True) if x != y)
        return True

    def _misspelt(self, one: str, two: str) -> bool:
        """Whether two words are one word, of which a misspelt form stands on one side."""
        if looks(one) == looks(two):
            return True
        if not _close(one, two):
            return False
        known = words()
        for right, wrong in ((one, two), (two, one)):
            if right in known.common and wrong not in known.common and (len(right) > 4 or _visual(right, wrong)):
                return True
        sides = ((one, two, self.left, self.right), (two, one, self.right, self.left))
        return any(len(right) > 4 and there.counts[wrong] == 1 and not here.counts[wrong]
                   and self._stands_elsewhere(right, wrong, here, there) for right, wrong, here, there in sides)  # fmt: skip

    def _stands_elsewhere(self, right: str, wrong: str, here: Text, there: Text) -> bool:
        """The right word stands in both texts besides, and beside the same other name if it has one here."""
        place = there.words.index(wrong)
        beside = [there.tokens(i, i + 1)[0] for i in (place - 1, place + 1) if 0 <= i < len(there.words)]
        names = {token.folded for token in beside if _is_name(token)}
        if not names:
            return here.counts[right] > 1 and there.counts[right] > 0
        return any(
            names & set(there.words[max(0, i - 1) : i + 2]) for i, word in enumerate(there.words) if word == right
        )

    def _names_zh(self) -> bool:
        one, two = self.joined(self.one), self.joined(self.two)
        if not (_is_han(one[:1]) or _is_han(two[:1])):
            return False
        known = words()
        suspect = False
        for around, own in zip(self.around, (one, two), strict=True):
            if not own:
                continue  # the other side has what stands here
            inside = len(own) > 4 and (known.titled.search(own) or known.organisation.search(own))
            reaching = known.organisation.match(own + around.after) or known.after_name.match(around.after)
            cued = any(match.end() > len(around.before) for match in known.cued.finditer(around.before + own))
            particle = set(own) <= known.particles
            suspect |= bool(inside or cued or (reaching and not particle) or known.field.search(around.before))
        named = all(own[:1] in known.surnames for own in (one, two)) and 0 < len(one) < 5 and 0 < len(two) < 5
        behind = self.around[0].before[-1:] in known.sure_surnames and 0 < max(len(one), len(two)) < 3
        return (suspect or named or behind) and not self._misspelt_zh(one, two)

    def _misspelt_zh(self, one: str, two: str) -> bool:
        """One character for another, and the text has the right form elsewhere, between the same neighbours."""
        if len(one) != 1 or len(two) != 1:
            return False
        before, after = self.around[0].before[-1:], self.around[0].after[:1]
        a, b = before + one + after, before + two + after
        return len(a) > 1 and any(
            right in there.text and here.text.count(right) > 1 and there.text.count(wrong) == 1
            and wrong not in here.text
            for right, wrong, here, there in ((a, b, self.left, self.right), (b, a, self.right, self.left))
        )  # fmt: skip


@dataclass(frozen=True)
class _Around:
    """What stands before and after a place, up to the next mark; `near`: the place with a word on each side, which are
    the same in both texts; `wide`: with two characters; `raw`: the place alone, without spaces."""

    before: str
    after: str
    near: str
    wide: str
    raw: str


def _around(text: Text, i: int, j: int) -> _Around:
    if i < j:
        start, end = text.starts[i], text.ends[j - 1]
    else:
        start = end = text.ends[i - 1] if i else 0
    before = re.split(r"[^\w:·]", text.text[max(0, start - 12) : start])[-1]
    after = re.split(r"[^\w·]", text.text[end : end + 14])[0]
    raw = text.text[start:end]
    near = "".join(text.words[max(0, i - 1) : j + 1])
    return _Around(before, after, near, before[-2:] + raw + after[:2], re.sub(r"[\s,]", "", raw))


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
    for start, stop in itertools.pairwise(edges):
        size = sum(1 if _is_han(word) else 2 for word in text.words[start:stop][:SHORT])
        size = SHORT if text.words[start] in GREETINGS else size
        if joined and (size < SHORT or joined[-1][2] < SHORT):
            joined[-1][1:] = [stop, joined[-1][2] + size]
        else:
            joined.append([start, stop, size])
    return [(start, stop) for start, stop, _ in joined]


def _hidden(token: Token) -> str:
    return "#" if token.folded[-1].isdigit() or _is_name(token) else token.folded


def _is_name(token: Token) -> bool:
    """A capitalised word that does not merely open a sentence."""
    word, known = token.text, words()
    return word[0].isupper() and not (token.initial and token.folded in known.openers) and token.folded != "i"


def _is_han(text: str) -> bool:
    return bool(text) and text[0] > "\u3040"


@functools.cache
def _weighty(word: str) -> str:
    """The number, date, negation or opposite that a word is meant to be, the word itself if it is none."""
    from rapidfuzz import process
    from rapidfuzz.distance import OSA

    known = words()
    if word in known.facts or len(word) < 3 or not word.isascii():
        return word
    if found := known.by_looks.get(looks(word)):
        return found
    if len(word) < 5 or word in known.common:
        return word
    near = process.extractOne(word, known.weighty, scorer=OSA.distance, score_cutoff=1)
    return near[0] if near and len(near[0]) > 4 and word not in known.weighty else word


def _visual(one: str, two: str) -> bool:
    """Equally long, and what differs looks alike."""
    return len(one) == len(two) and all(a + b in words().visual for a, b in zip(one, two, strict=True) if a != b)


def _close(one: str, two: str) -> bool:
    """Whether one typing error leads from one word to the other; two in words of more than eight letters."""
    from rapidfuzz.distance import OSA

    return OSA.distance(one, two) <= (2 if min(len(one), len(two)) > 8 else 1)
