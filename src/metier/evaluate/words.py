"""Two answers in free words, compared: are they the same, and how many words do they share.

Purpose: the rules of SQuAD (Rajpurkar et al. 2016) for spaced writing and of CMRC 2018 (Cui et al. 2019) for Chinese,
in one: case, width (NFKC), punctuation and English articles say nothing; a Chinese, Japanese or Korean character is a
word; of several gold answers the best one counts; order does not.
Trade-off: two departures from SQuAD's script, which calls 3.5 and 35 the same and "A" no answer at all: a point between
digits stays, and so does what an answer consists of when nothing else would be left of it. CMRC's own F1 asks for the
longest common stretch; the multiset that is used here is never lower.
Not covered: meaning ("three" is not "3"), stems, other languages' articles.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from metier.train.tasks.bio import WIDE

ARTICLES = frozenset({"a", "an", "the"})
_POINT = re.compile(r"(?<=\d)\.(?=\d)")
_WORD = re.compile(rf"[{WIDE}]|[^\s{WIDE}]+")
_KEPT = "\ue000"  # stands for a point between digits while punctuation is dropped; a private character, never in a text


@lru_cache(maxsize=65536)  # gold answers are compared with those of every model
def words(text: str) -> tuple[str, ...]:
    """The words of an answer after normalisation; () only for a text of nothing but spaces."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace(_KEPT, " ")
    bare = "".join(sign for sign in _POINT.sub(_KEPT, plain) if not _silent(sign)).replace(_KEPT, ".")
    found = _WORD.findall(bare) or _WORD.findall(plain)
    return tuple(word for word in found if word not in ARTICLES) or tuple(found)


def exact_match(answer: str, gold: Sequence[str]) -> float:
    """1.0 where the answer's words are those of a gold answer, in order, else 0.0. No gold answers: "" is right."""
    found = words(answer)
    return float(any(found == words(one) for one in gold or ("",)))


def token_f1(answer: str, gold: Sequence[str]) -> float:
    """In [0, 1]: 2 * shared / (words of the answer + words of the gold answer), the best over the gold answers.

    Words are counted as often as they stand. Where one of the two has no words: 1.0 if the other has none either.
    """
    found = words(answer)
    return max(_shared(found, words(one)) for one in gold or ("",))


def _shared(found: tuple[str, ...], wanted: tuple[str, ...]) -> float:
    if not found or not wanted:
        return float(found == wanted)
    return 2 * (Counter(found) & Counter(wanted)).total() / (len(found) + len(wanted))


def _silent(sign: str) -> bool:
    """Punctuation (Unicode's, and the ASCII signs that SQuAD counts in, such as $ and +) and invisible marks."""
    return sign in string.punctuation or unicodedata.category(sign) in ("Cf", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps")
