"""The backward pass of a loss that compares the examples of a batch with each other.

Purpose: in-batch negatives are those of the whole batch however small the parts are that fit into memory, and over
all processes. A batch in one part is one ordinary step. Otherwise the gradients are cached (Gao et al. 2021): all parts
are encoded without keeping anything, the loss of all vectors gives a gradient for each vector, and a second pass sends
these through the model part by part. Random numbers are put back, so that dropout is the same in both passes.
Trade-off: a batch that does not fit at once costs one forward pass more.
Processes: each encodes its share, all vectors are exchanged, and each computes the whole loss but sends back the
gradients of its own vectors only; their sum over the processes is the gradient of the whole batch.
Not covered: losses that are sums over examples (loop.py adds those up without a second pass).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from metier.train.batching import micro_batches


def backward(job: Any, model: nn.Module, accelerator: Any, batch: Sequence[int], mean_examples: float) -> float:
    """Add the gradient of the batch's loss, divided by `mean_examples`, to the parameters; returns this process's part
    of the sum over examples (equal parts add up to it)."""
    world, rank = accelerator.num_processes, accelerator.process_index
    shares = [list(batch[other::world]) for other in range(world)]
    parts = micro_batches(shares[rank], job.train.lengths, job.config.max_batch_tokens)
    if world == 1 and len(parts) == 1:
        losses = _loss(job, model(_inputs(job, parts[0])), parts[0])
        accelerator.backward(losses.sum() / mean_examples)
        return float(losses.sum().item())
    states, pieces = [], []
    with torch.no_grad():
        for part in parts:
            states.append(_random_state(accelerator.device))
            pieces.append(model(_inputs(job, part)))
    vectors, first = _gathered(torch.cat(pieces) if pieces else None, shares, rank, job, accelerator)
    with torch.enable_grad():
        leaf = vectors.detach().requires_grad_()
        losses = _loss(job, leaf, [index for share in shares for index in share])
        (losses.sum() * (world / mean_examples)).backward()  # the exchange of gradients divides by `world`
    assert leaf.grad is not None
    if not parts:  # every process must take part in the exchange of gradients
        accelerator.backward(model(_inputs(job, [batch[0]])).sum() * 0.0)
    after = _random_state(accelerator.device)
    for number, part in enumerate(parts):
        size = sum(job.train.counts[index] for index in part)
        _put_back(states[number], accelerator.device)
        with accelerator.no_sync(model) if number + 1 < len(parts) else contextlib.nullcontext():
            rows = model(_inputs(job, part))
            accelerator.backward((rows * leaf.grad[first : first + size]).sum())
        first += size
    _put_back(after, accelerator.device)
    return float(losses.sum().item()) / world


def _inputs(job: Any, part: Sequence[int]) -> list[Any]:
    return [job.train.inputs[index] for index in part]


def _loss(job: Any, rows: torch.Tensor, examples: Sequence[int]) -> torch.Tensor:
    counts, targets = ([column[index] for index in examples] for column in (job.train.counts, job.train.targets))
    found: torch.Tensor = job.task.loss(rows, counts, targets, job.config.label_smoothing)
    return found


def _gathered(
    own: torch.Tensor | None, shares: Sequence[Sequence[int]], rank: int, job: Any, accelerator: Any
) -> tuple[torch.Tensor, int]:
    """The vectors of all processes, one process's after the other's, and where those of this one begin."""
    sizes = [sum(job.train.counts[index] for index in share) for share in shares]
    if len(shares) == 1:
        assert own is not None
        return own, 0
    width = torch.tensor([0 if own is None else own.shape[1]], device=accelerator.device)
    padded = torch.zeros(max(sizes), int(accelerator.gather(width).max()), device=accelerator.device)
    if own is not None:
        padded[: len(own)] = own
    every = accelerator.gather(padded).split(max(sizes))
    return torch.cat([rows[:size] for rows, size in zip(every, sizes, strict=True)]), sum(sizes[:rank])


def _random_state(device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _put_back(state: tuple[torch.Tensor, torch.Tensor | None], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)
