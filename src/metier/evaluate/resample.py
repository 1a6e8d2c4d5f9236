"""Resampling: the units that are drawn (items, or groups of items), their draws, and random swaps and signs.

Purpose: one stream of weights serves every model and every metric, so all differences are paired by construction.
Weights come in chunks of at most 64 MB, so a million items fit beside their predictions.
Trade-off: a chunk's size depends on the units alone; with the seed it fixes every figure on every machine. Above twenty
thousand units, random lots of them are drawn in their place: sums of lots vary as sums of units do, and twenty
thousand lots give a standard error to half a percent, less than 2,000 resamples add themselves.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from metier.evaluate.items import Array
from metier.evaluate.metrics.base import Sums, Weighted

CHUNK_BYTES = 64 * 1024 * 1024  # one chunk of weights; metrics that rank hold about five such arrays at once
LOTS = 20_000  # units beyond which lots of them are drawn
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


def lots(unit: Units, seed: int) -> Units:
    """What is drawn in place of the units: the units themselves, or random lots of equal size where they are many."""
    if unit.count <= LOTS:
        return unit
    place = np.random.default_rng([seed, 4]).permutation(unit.count) % LOTS
    return Units(place[unit.of], LOTS, True)


def draws(unit: Units, resamples: int, seed: int) -> Iterator[Array]:
    """Bootstrap weights (b, units) of float64, how often each was drawn; chunks that add up to `resamples` rows."""
    random = np.random.default_rng([seed, 1])
    for size in chunks(unit.count, resamples):
        drawn = random.integers(0, unit.count, size=(size, unit.count))
        drawn += np.arange(size)[:, None] * unit.count
        counts = np.bincount(drawn.ravel(), minlength=size * unit.count).reshape(size, unit.count)
        yield counts.astype(np.float64)


def swaps(unit: Units, resamples: int, seed: int) -> Iterator[Array]:
    """0/1 weights (b, units) of float64: 1 where a unit keeps the answers in order; whole units swap together."""
    random = np.random.default_rng([seed, 2])
    for size in chunks(unit.count, resamples):
        yield random.integers(0, 2, size=(size, unit.count), dtype=np.int8).astype(np.float64)


def bootstrap(bound: Mapping[K, Weighted], unit: Units, resamples: int, seed: int) -> dict[K, Array]:
    """Each function's values (resamples,) over the same draws, so that differences of two are paired."""
    lot = lots(unit, seed)
    functions = {key: by_unit(function, lot) for key, function in bound.items()}
    parts: dict[K, list[Array]] = {key: [] for key in bound}
    for weights in draws(lot, resamples, seed):
        for key, function in functions.items():
            parts[key].append(function(weights))
    return {key: np.concatenate(part) if part else np.zeros(0) for key, part in parts.items()}


def by_unit(function: Weighted, unit: Units) -> Weighted:
    """A function of weights of units (b, count) from one of weights of items (b, n)."""
    if not unit.clustered:
        return function
    if isinstance(function, Sums):
        return function.folded(unit.of, unit.count)

    def spread(weights: Array) -> Array:
        rows = iter(chunks(len(unit.of), len(weights)))
        done, found = 0, []
        for size in rows:
            found.append(function(weights[done : done + size][:, unit.of]))
            done += size
        return np.concatenate(found)

    return spread


def chunks(n: int, resamples: int) -> Iterator[int]:
    """Rows of each chunk."""
    size = max(1, CHUNK_BYTES // (8 * max(n, 1)))
    for start in range(0, resamples, size):
        yield min(size, resamples - start)
