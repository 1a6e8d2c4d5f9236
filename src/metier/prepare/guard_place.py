"""One place where two texts differ, and whether it matters.

Purpose: `Place.harm` asks in turn for negations, numbers and units, dates, opposites and parties. What a scanner
misread (broken spaces, digits within words, letters that look alike) is no difference.
Not covered: finding the places, words that changed places with each other (guard.py).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metier.prepare.guard_text import Span, Text, Token, close, is_han, is_name, visual, weighty
from metier.prepare.guard_words import looks, words

_UN = re.compile(
    r"(?:un(?!der|i|til|to|less|cle)|non(?!e)|dis(?![chpt])|mis(?![st]))-?[a-z]{3,}$"
)  # and not: union, district
CAPITAL = frozenset(("may", "march", "sun", "sat", "mon", "second", "fall"))  # dates only if they are capitalised


class Place:
    """A place where two texts differ: a span of one against a span of the other."""

    def __init__(self, left: Text, right: Text, here: Span, there: Span) -> None:
        self.left, self.right = left, right
        self.one, self.two = left.tokens(*here), right.tokens(*there)
        self.previous = left.words[here[0] - 1] if here[0] else ""
        self.around = (_around(left, *here), _around(right, *there))

    def harm(self, scanned: bool) -> str:
        """Kind of the difference, "" for a harmless one. scanned: the texts differ by what a scanner misread."""
        known = words()
        if self.same_letters() or (scanned and (self.look_alike() or self.stroke())):
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
        run = "".join(token.folded for token in tokens if is_han(token.folded))
        return found | ({run} if len(run) > 1 else set())

    def same_letters(self) -> bool:
        """Broken spaces, and letters that look alike where one side is a plain word or a plain number."""
        one, two = self.joined(self.one), self.joined(self.two)
        if one == two:
            return one.isalpha()
        for plain, other in ((one, two), (two, one)):
            word = plain.isalpha() and len(plain) > 1 and other.isalnum() and not other.isdigit()
            if word and not is_han(plain) and looks(plain) == looks(other):
                return True
        raw = [around.raw.casefold() for around in self.around]
        for plain, other in (raw, raw[::-1]):
            number = re.fullmatch("[0-9.:/-]+", plain) and re.fullmatch(r"(?=.*[0-9])(?=.*[oil|])[0-9oil|.:/-]+", other)
            if number and looks(other.replace("i", "l")) == looks(plain):
                return True
        return False

    def stroke(self) -> bool:
        """A single 1 that became an l or I, or the other way."""
        return {self.joined(self.one), self.joined(self.two)} in ({"1", "l"}, {"1", "i"}, {"1", "|"})

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
        if all(any(map(_surely_name, tokens)) for tokens in (self.one, self.two)) and (
            one[0] != two[0] or any(_another_name(one, two, i) for i in range(len(one)))
        ):
            return False
        return (len(differing) <= 1 + len(one) // 6 and all(pair in known.visual for pair in differing)
                and not (facts[0] and facts[1] and facts[0] != facts[1]))  # fmt: skip

    def _facts(self, known: frozenset[str], digits: bool = False) -> bool:
        """Whether the words of a list, or the numbers, differ; also broken ("withou t") and misspelt ones count."""

        def facts(tokens: Sequence[Token]) -> list[str]:
            whole = [weighty(t.folded) for t in tokens if t.folded not in CAPITAL or t.text[0].isupper()]
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
        return all(counts) or (any(counts) and not close(*units))

    def _prefix(self) -> bool:
        """A word with and without un-, dis-, in-, or with -less for -ful; a word with un- for one without."""
        one, two = (sum(bool(_UN.match(token.folded)) for token in tokens) for tokens in (self.one, self.two))
        if one != two:
            return True
        for pair in itertools.product(self.one, self.two):
            short, long = sorted((token.folded for token in pair), key=len)
            if len(short) > 2 and long.endswith(short) and long[: -len(short)].rstrip("-") in words().prefixes:
                return True
            if short.endswith("ful") and long == short[:-3] + "less":
                return True
        short, long = sorted((self.joined(self.one), self.joined(self.two)), key=len)  # where spaces are lost
        start = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
        added = long[start : start + len(long) - len(short)]
        return (
            len(short) > 4 and long[:start] + long[start + len(added) :] == short and added in words().prefixes - {"a"}
        )

    def _opposite(self) -> bool:
        one, two = ({weighty(token.folded) for token in tokens} for tokens in (self.one, self.two))
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
        one, two = ([t for i, t in enumerate(tokens) if is_name(t) and not (
                     sentence and t.initial and not any(map(is_name, tokens[i + 1 : i + 2])))]
                    for tokens in (self.one, self.two))  # fmt: skip
        if [token.folded for token in one] == [token.folded for token in two]:
            return False
        a, b = ([token.folded for token in tokens if token.text[0].isalpha() and not is_han(token.folded)]
                for tokens in (self.one, self.two))  # fmt: skip
        if len(a) == len(b):
            return not all(self._misspelt(x, y) for x, y in zip(a, b, strict=True) if x != y)
        return True

    def _misspelt(self, one: str, two: str) -> bool:
        """Whether two words are one word, of which a misspelt form stands on one side."""
        if looks(one) == looks(two):
            return True
        if not close(one, two):
            return False
        known = words()
        for right, wrong in ((one, two), (two, one)):
            if right in known.common and wrong not in known.common and (len(right) > 4 or visual(right, wrong)):
                return True
        sides = ((one, two, self.left, self.right), (two, one, self.right, self.left))
        return any(len(right) > 4 and there.counts[wrong] == 1 and not here.counts[wrong]
                   and self._stands_elsewhere(right, wrong, here, there)
                   for right, wrong, here, there in sides)  # fmt: skip

    def _stands_elsewhere(self, right: str, wrong: str, here: Text, there: Text) -> bool:
        """The right word stands in both texts besides, and beside the same other name if it has one here."""
        place = there.words.index(wrong)
        beside = [there.tokens(i, i + 1)[0] for i in (place - 1, place + 1) if 0 <= i < len(there.words)]
        names = {token.folded for token in beside if is_name(token)}
        if not names:
            return here.counts[right] > 1 and there.counts[right] > 0
        return any(
            names & set(there.words[max(0, i - 1) : i + 2]) for i, word in enumerate(there.words) if word == right
        )

    def _names_zh(self) -> bool:
        one, two = self.joined(self.one), self.joined(self.two)
        if not (is_han(one[:1]) or is_han(two[:1])):
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


def _surely_name(token: Token) -> bool:
    """A name, and not the long first word of a sentence."""
    return is_name(token) and not (token.initial and len(token.folded) > 7)


def _another_name(one: str, two: str, i: int) -> bool:
    """Whether letter number i makes another name: a for o does, i for l if it can be spoken (Maria, not Jarvls)."""
    pair = one[i] + two[i]
    if one[i] == two[i] or pair not in words().names_apart:
        return False
    beside = one[max(0, i - 1) : i] + one[i + 1 : i + 2]
    return pair not in ("il", "li") or any(letter in "aeiouy" for letter in beside)
