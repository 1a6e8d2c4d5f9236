"""Which option an answer names, and stored answers to questions with options as Items.

Purpose: what was written for each rotation is kept as it is; here it is read. An answer names an option by its letter
("B", "(B)", "The answer is B.", 答案是B, 选B), or by the option's own words. One that names none, or several, is wrong
in its rotation and counted as unparsable.
Trade-off: rules; an answer that first argues and then decides is read where it says so ("the answer is").
Not covered: refusals as something of their own; they are unparsable.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa

from metier.errors import UserError
from metier.evaluate.items import CHOICE, Array, Items, objects
from metier.lettering import LETTERS, rotated

# Of Items.more, each (n,): the options; shares of the rotations that are right, and that name no option; whether all
# are right; whether the likeliest option is right, by all of its bits and by those of a byte.
OPTIONS, RIGHT, UNREAD, ALL = "options", "rotations_right", "rotations_unread", "rotations_all"
BY_SUM, BY_BYTE = "likely_sum", "likely_byte"

_ALONE = re.compile(
    r"[\s(\[\"'*“「【]*([A-J])(?:$|[\s)\]\"'*”」】]*(?:$|\n|[.,、:;。](?!\w)|[.:、。)]\s*\S|\s*[\u4e00-\u9fff]))"
)
_SAID = re.compile(
    r"(?:(?:answer|option|choice)(?:\s+is|\s*:)?\s*:?|(?:答案|选项|应选|故选|选择|选)(?:应)?(?:是|为|:)?)\s*[\"'*(\[“]*([A-J])(?![A-Za-z])"
    r"(?!\s*(?:[,、/&]|or|and|和|或|及)\s*[A-J](?![A-Za-z]))",
    re.IGNORECASE,
)
_SEVERAL = re.compile(r"[\s(\[\"'*]*[A-J](?:\s*(?:[,、/&+和及与]|and|or|或)\s*|)[A-J](?:\W|$)")


@lru_cache(1 << 16)
def named(answer: str, options: tuple[str, ...]) -> int:
    """The place of the option that an answer names, -1 where it names none or several."""
    text = unicodedata.normalize("NFKC", answer).strip()
    folded = [_folded(option) for option in options]
    said = _folded(text)
    if len(said) == 1 and (place := LETTERS.casefold().find(said)) >= 0:  # even where an option reads "a"
        return place if place < len(options) else -1
    if said in folded:
        return folded.index(said)
    if _SEVERAL.match(text):
        return -1
    letters = [found[1].upper() for found in (_ALONE.match(text), *_SAID.finditer(text)) if found]
    places = {LETTERS.index(letter) for letter in letters if LETTERS.index(letter) < len(options)}
    if letters:
        return places.pop() if len(set(letters)) == len(places) == 1 else -1
    inside = [place for place, option in enumerate(folded) if option and option in said]
    # "benign" stands in "not benign": an option within another one that is named too does not count
    whole = [
        place for place in inside if not any(other != place and folded[place] in folded[other] for other in inside)
    ]
    return whole[0] if len(whole) == 1 else -1


def choice_items(rows: pa.Table, answers: pa.Table, model: str) -> Items:
    """rows: test examples with `options` and `answer`. answers: with `rotations` and `option_bits`."""
    options = [tuple(own or ()) for own in rows.column("options").to_pylist()]
    gold = np.array([own.index(right) if right in own else -1 for own, right in
                     zip(options, rows.column("answer").to_pylist(), strict=True)], dtype=np.int64)  # fmt: skip
    if (gold < 0).any():
        raise UserError(f"{int((gold < 0).sum())} test examples have no right option among theirs", "examples.parquet",
                        "prepare the data again with the task `choose`")  # fmt: skip
    more: dict[str, Array] = {OPTIONS: objects(options)}
    predicted = np.full(len(gold), -1, dtype=np.int64)
    written = answers.column("rotations")
    if not written.null_count:
        found = [_read(texts, own) for texts, own in zip(written.to_pylist(), options, strict=True)]
        more |= {RIGHT: np.array([np.mean(place == right) for place, right in zip(found, gold, strict=True)]),
                 ALL: np.array([float(np.all(place == right)) for place, right in zip(found, gold, strict=True)]),
                 UNREAD: np.array([np.mean(place < 0) for place in found])}  # fmt: skip
        predicted = np.array([place[0] for place in found], dtype=np.int64)
    bits = answers.column("option_bits")
    if not bits.null_count:
        table = [np.array(own, dtype=np.float64) for own in bits.to_pylist()]
        if not all(np.isfinite(own).all() for own in table):
            raise UserError(f"the model '{model}' gave likelihoods that are no numbers", "predictions",
                            "lower train.learning_rate, or look at its training history")  # fmt: skip
        sizes = [np.array([len(option.encode()) for option in own]) for own in options]
        more[BY_SUM] = np.array([_least(own, right) for own, right in zip(table, gold, strict=True)])
        more[BY_BYTE] = np.array([_least(own / size, right)
                                  for own, size, right in zip(table, sizes, gold, strict=True)])  # fmt: skip
    return Items(CHOICE, gold, predicted, more=more)


def _read(texts: Sequence[str], options: tuple[str, ...]) -> Array:
    """(k,) the option that each answer names, as a place in the order of the data; -1: none."""
    found = [named(text, tuple(rotated(options, by))) for by, text in enumerate(texts)]
    return np.array([(place + by) % len(options) if place >= 0 else -1 for by, place in enumerate(found)])


def _least(costs: Array, right: int) -> float:
    """1.0 where the right option alone costs least; of several that cost the same each has its share."""
    best = costs <= costs.min() + 1e-9
    return float(best[right]) / float(best.sum())


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(" .。\"'“”")
