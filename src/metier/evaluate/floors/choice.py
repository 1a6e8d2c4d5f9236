"""Floors of multiple choice: always the most frequent letter, always the longest option.

Purpose: what a test gives away by its making. Writers of examinations like some letters and take care to make the right
option complete, so it is often the longest. Over all rotations a fixed letter has exactly one k-th: chance.
Not covered: words that give an option away ("always", "none of these").
"""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from metier.errors import UserError
from metier.evaluate.floors.base import FloorData, FloorPrediction
from metier.lettering import LETTERS, rotated
from metier.registry import register
from metier.train.config import TaskConfig


@register("floor", "majority_letter")
def majority_letter(train: FloorData, test_texts: list[str], task: TaskConfig, seed: int) -> FloorPrediction:
    """Always the letter that is right most often in training, in the order of the data; ties go to the first."""
    learned, tested = _needed(train.learned), _needed(train.tested)
    known = zip(learned["options"].to_pylist(), learned["answer"].to_pylist(), strict=True)
    counts = Counter(LETTERS[own.index(right)] for own, right in known if right in own)
    letter = min(counts, key=lambda name: (-counts[name], name), default=LETTERS[0])
    return FloorPrediction(rotations=[[letter] * len(own) for own in tested["options"].to_pylist()],
                           how=f"always {letter}, the letter that is right most often in training")  # fmt: skip


@register("floor", "longest_option")
def longest_option(train: FloorData, test_texts: list[str], task: TaskConfig, seed: int) -> FloorPrediction:
    """Always the option with most characters; ties go to the first in the order of the data."""
    found = []
    for own in _needed(train.tested)["options"].to_pylist():
        longest = max(own, key=len)
        found.append([LETTERS[rotated(own, by).index(longest)] for by in range(len(own))])
    return FloorPrediction(rotations=found, how="always the option with most characters")


def _needed(examples: pa.Table | None) -> pa.Table:
    if examples is None or "options" not in examples.column_names or examples["options"].null_count:
        raise UserError(
            "this floor needs the options of the examples", "evaluate.floors", "use it with the task choose"
        )
    return examples
