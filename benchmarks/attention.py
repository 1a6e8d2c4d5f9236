"""Attention over short sequences on a CPU, forward and backward: `python benchmarks/attention.py`.

Ours packs sequences of nearly equal length into blocks and uses an explicit product; beside it PyTorch's fused
attention, one call for each sequence, and one call over the padded batch with a mask. bfloat16, 12 heads of width 32.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import torch
from torch.nn.functional import scaled_dot_product_attention

from metier.train import attention

HEADS, WIDTH, REPEATS = 12, 32, 10


def main() -> None:
    draw = random.Random(0)
    cases = {
        "64 x 15 tokens": [15] * 64,
        "64 x 8-24 tokens": sorted(draw.randint(8, 24) for _ in range(64)),
        "32 x 20-200 tokens": sorted(draw.randint(20, 200) for _ in range(32)),
        "4 x 500 tokens": [500] * 4,
    }
    print(f"{'sequences':22}{'ours ms':>9}{'each alone':>12}{'padded':>9}{'x alone':>9}{'x padded':>10}")
    for name, lengths in cases.items():
        ours, alone, padded = (measure(way, lengths) for way in (flat, each_alone, padded_batch))
        print(f"{name:22}{ours:>9.1f}{alone:>12.1f}{padded:>9.1f}{alone / ours:>9.1f}{padded / ours:>10.1f}")


def measure(way: Callable[..., torch.Tensor], lengths: list[int]) -> float:
    """Milliseconds of one forward and backward pass, the least of REPEATS."""
    torch.manual_seed(0)
    shape = (1, HEADS, sum(lengths), WIDTH)
    tensors = [torch.randn(shape, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        way(*tensors, lengths).float().sum().backward()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def flat(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    with attention.layout(lengths):
        return attention.flat_attention(torch.nn.Module(), q, k, v, None)[0]


def each_alone(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    parts = zip(*(x.split(lengths, 2) for x in (q, k, v)), strict=True)
    return torch.cat([scaled_dot_product_attention(*part) for part in parts], 2)


def padded_batch(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    longest = max(lengths)
    inside = torch.arange(longest)[None] < torch.tensor(lengths)[:, None]

    def pad(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(list(x[0].transpose(0, 1).split(lengths)), True).transpose(1, 2)

    return scaled_dot_product_attention(pad(q), pad(k), pad(v), attn_mask=inside[:, None, None])


if __name__ == "__main__":
    main()
