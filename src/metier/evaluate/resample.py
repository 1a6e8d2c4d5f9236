"""Resampling: the units that are drawn (items, or groups of items), their draws, and random swaps and signs.

Purpose: one stream of weights serves every model and every metric, so all differences are paired by construction.
Weights come in chunks of at most 64 MB, so a million items fit beside their predictions.
Trade-off: a chunk's size depends on n alone; with the seed it fixes every figure on every machine.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from metier.evaluate.items import Array
from metier.evaluate.metrics.base import Weighted

CHUNK_BYTES = 64 * 1024 * 1024  # one chunk of weights; metrics that rank hold about five such arrays at once
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Units:
    """What is drawn: unit code of each item (n,) in [0, count); clustered when some unit holds several items."""

    of: Array
    count: int
    clustered: bool


def units(groups: Sequence[str]) -> Units:
    """Units from the group of each item; an item without a group ("") is its own unit."""
    names = np.asarray(groups, dtype=object)
    codes: dict[str, int] = {}
    of = np.empty(len(names), dtype=np.int64)
    count = 0
    for index, name in enumerate(names):
        if name and name in codes:
            of[index] = codes[name]
            continue
        of[index] = count
        if name:
            codes[name] = count
        count += 1
    return Units(of, count, count < len(names))


def draws(unit: Units, resamples: int, seed: int) -> Iterator[Array]:
    """Bootstrap weights (b, n) of float64, how often each item was drawn; chunks that add up to `resamples` rows."""
    n = len(unit.of)
    random = np.random.default_rng([seed, 1])
    for size in chunks(n, resamples):
        drawn = random.integers(0, unit.count, size=(size, unit.count))
        drawn += np.arange(size)[:, None] * unit.count
        counts = np.bincount(drawn.ravel(), minlength=size * unit.count).reshape(size, unit.count)
        yield (counts[:, unit.of] if unit.clustered else counts).astype(np.float64)


def swaps(unit: Units, resamples: int, seed: int) -> Iterator[Array]:
    """0/1 weights (b, n) of float64: 1 where an item keeps the answers in order; whole units swap together."""
    n = len(unit.of)
    random = np.random.default_rng([seed, 2])
    for size in chunks(n, resamples):
        kept = random.integers(0, 2, size=(size, unit.count), dtype=np.int8)
        yield (kept[:, unit.of] if unit.clustered else kept).astype(np.float64)


def bootstrap(bound: Mapping[K, Weighted], unit: Units, resamples: int, seed: int) -> dict[K, Array]:
    """Each function's values (resamples,) over the same draws, so that differences of two are paired."""
    parts: dict[K, list[Array]] = {key: [] for key in bound}
    for weights in draws(unit, resamples, seed):
        for key, function in bound.items():
            parts[key].append(function(weights))
    return {key: np.concatenate(part) if part else np.zeros(0) for key, part in parts.items()}


def chunks(n: int, resamples: int) -> Iterator[int]:
    """Rows of each chunk."""
    size = max(1, CHUNK_BYTES // (8 * max(n, 1)))
    for start in range(0, resamples, size):
        yield min(size, resamples - start)
