"""Batches by token budget, from length-sorted buckets, in a seeded order that can be resumed.

Purpose: a batch holds as many examples as fit a token budget (batch_size times the mean length), so a batch of short
messages and a batch of long reports cost the same; sorting within a bucket of batches makes neighbours equally long,
so their attention is one call. Over an epoch each example (each learned token of a model that writes) occurs once and
weighs the same: the loss of a batch is its sum divided by their mean number in a batch, not by its own number.
Trade-off: a batch is a little more alike in length than a random one; a bucket of 16 batches keeps that small.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

BUCKET = 16  # batches that are sorted together


@dataclass(frozen=True)
class Plan:
    """The batches of one epoch: indices of the network's inputs."""

    batches: tuple[tuple[int, ...], ...]


def batches_per_epoch(lengths: Sequence[int], batch_size: float) -> int:
    """Optimizer steps in an epoch; the same for every epoch, so that the schedule is known beforehand."""
    return max(1, math.ceil(len(lengths) / batch_size))


def plan_epoch(lengths: Sequence[int], batch_size: float, seed: int, epoch: int, joint: bool = False) -> Plan:
    """Exactly `batches_per_epoch` batches of about equal tokens, in an order drawn from seed and epoch.

    joint: batches drawn at random whatever the lengths, of equally many examples: where the examples of a batch are
    compared with each other, a batch of equally long ones would make length the thing to tell them apart by.
    """
    generator = random.Random(f"{seed}/{epoch}")  # a string seeds the same way in every process
    order = list(range(len(lengths)))
    generator.shuffle(order)
    count = batches_per_epoch(lengths, batch_size)
    if joint:
        cuts = [len(order) * batch // count for batch in range(count + 1)]
        return Plan(tuple(tuple(order[a:b]) for a, b in itertools.pairwise(cuts)))
    batches: list[tuple[int, ...]] = []
    buckets = math.ceil(count / BUCKET)
    for bucket in range(buckets):
        chosen = order[len(order) * bucket // buckets : len(order) * (bucket + 1) // buckets]
        quota = count * (bucket + 1) // buckets - count * bucket // buckets
        chosen.sort(key=lambda index: lengths[index])
        batches += _cut(chosen, lengths, quota)
    generator.shuffle(batches)
    return Plan(tuple(batches))


def _cut(chosen: list[int], lengths: Sequence[int], quota: int) -> list[tuple[int, ...]]:
    """Cut sorted examples into `quota` non-empty pieces of nearly equal tokens."""
    pieces: list[tuple[int, ...]] = []
    position, left = 0, sum(lengths[index] for index in chosen)
    for piece in range(quota):
        remaining = quota - piece
        budget, current = left / remaining, 0
        taken: list[int] = []
        most = len(chosen) - position - (remaining - 1)  # leave one for each later piece
        while len(taken) < most and (not taken or remaining == 1 or current < budget):
            length = lengths[chosen[position]]
            if taken and remaining > 1 and current + length - budget > budget - current:
                break
            taken.append(chosen[position])
            current += length
            position += 1
        left -= current
        if taken:
            pieces.append(tuple(taken))
    return pieces


def micro_batches(batch: Sequence[int], lengths: Sequence[int], limit: int) -> list[list[int]]:
    """Cut one batch so that no piece holds more than `limit` tokens (an example alone may)."""
    pieces: list[list[int]] = []
    tokens = 0
    for index in batch:
        if not pieces or tokens + lengths[index] > limit:
            pieces.append([])
            tokens = 0
        pieces[-1].append(index)
        tokens += lengths[index]
    return pieces


def inference_batches(lengths: Sequence[int], limit: int) -> list[list[int]]:
    """All examples, sorted by length, in batches of at most `limit` tokens."""
    return micro_batches(sorted(range(len(lengths)), key=lambda index: lengths[index]), lengths, limit)
