"""Is an explanation more than decoration? Words are taken away in its order, and in random orders.

Purpose: if the first words of an explanation are those that the answer rests on, the output falls fast when they are
taken away (deletion) and rises fast when they alone are there (insertion). The area under each curve is compared with
that of random orders of the same words (Petsiuk et al. 2018; DeYoung et al. 2020), so 0 is what an explanation without
knowledge would get, and 1 the most that is possible.
Trade-off: a text without half of its words is no text that the model was trained on; the random orders suffer alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from metier.evaluate.explain.reading import Reading

POINTS = 10  # of a curve, the ends not counted


@dataclass(frozen=True)
class Faithfulness:
    """Areas of the curves, as shares of the range of all outputs that were seen; random: means over random orders.

    gain: in [-1, 1], the mean of what deletion falls and insertion rises more than in a random order.
    """

    deletion: float
    insertion: float
    random_deletion: float
    random_insertion: float

    @property
    def gain(self) -> float:
        return (self.random_deletion - self.deletion + self.insertion - self.random_insertion) / 2


def faithfulness(reading: Reading, weights: np.ndarray, orders: int, random: Any) -> Faithfulness | None:
    """weights: (W,) of an explanation. None for a text of fewer than two words, or whose output no word changes."""
    words = [index for index in range(len(reading.words)) if (reading.word_of == index).any()]
    if len(words) < 2:
        return None
    explained = sorted(words, key=lambda index: (-weights[index], index))
    ways = [explained, *([words[place] for place in random.permutation(len(words))] for _ in range(orders))]
    cuts = np.unique(np.linspace(0, len(words), min(POINTS, len(words)) + 2).round().astype(int))
    own, empty = reading.embeddings()
    gone = [np.isin(reading.word_of, order[:cut]) for order in ways for cut in cuts]  # words that are taken away
    inside = reading.word_of >= 0
    with torch.no_grad():
        deleted = _outputs(reading, own, empty, gone)
        inserted = _outputs(reading, own, empty, [inside & ~mask for mask in gone])
    both = np.stack([deleted, inserted]).reshape(2, len(ways), len(cuts))
    low, high = float(both.min()), float(both.max())
    if high - low < 1e-9:
        return None
    areas = np.trapezoid((both - low) / (high - low), cuts / len(words), axis=2)
    return Faithfulness(areas[0, 0], areas[1, 0], areas[0, 1:].mean(), areas[1, 1:].mean())


def _outputs(reading: Reading, own: Any, empty: Any, masks: list[np.ndarray]) -> np.ndarray:
    """The goal where the masked places are empty; a mask that stands there again is not asked again."""
    keys = [mask.tobytes() for mask in masks]
    different = dict(zip(keys, masks, strict=True))
    points = [torch.where(torch.from_numpy(mask)[:, None].to(own.device), empty, own) for mask in different.values()]
    found: list[float] = []
    for start in range(0, len(points), 64):
        found += reading(torch.stack(points[start : start + 64])).double().cpu().tolist()
    value = dict(zip(different, found, strict=True))
    return np.array([value[key] for key in keys])
