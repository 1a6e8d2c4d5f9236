"""How fast a small base is trained: Metier's network beside a plain loop, and how much of the processor it uses.

Purpose: the same model, optimizer and tokens three ways: Transformers' own forward over full rows; Metier's over the
same rows; Metier's over texts of unequal length, which a plain loop would pad. Tokens per second of processor time, so
that other programs on the machine disturb little, and model FLOPs utilisation: 6 FLOPs a weight and token (embeddings
counted once, as the head) and attention's, divided by what a large float32 matrix product reaches in the same process.
Trade-off: few steps, random tokens. Not covered: reading data, validation.

    python benchmarks/base_speed.py --model primer --threads 1
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

ROWS, LENGTH, STEPS = 4, 512, 3


def spent(work: Callable[[], Any], times: int) -> float:
    """Processor seconds of one call, after one to warm up."""
    work()
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


def peak(size: int = 1024) -> float:
    """FLOPs a processor second of a float32 matrix product."""
    import torch

    one, two = torch.rand(size, size), torch.rand(size, size)
    return 2 * size**3 / spent(lambda: one @ two, 5)


def flops(model: Any, length: int) -> float:
    """FLOPs of one token in training: forward and backward."""
    config = model.config
    weights = sum(p.numel() for p in model.parameters())  # tied embeddings stand once, as the head
    attention = config.num_hidden_layers * config.hidden_size * length  # half of the pairs are masked
    return 6.0 * (weights + attention)


def table(name: str, threads: int) -> None:
    """Print the table for a base by name, or its folder."""
    import torch

    from metier.train import bases, language
    from metier.train.loop import reuse_memory
    from metier.train.sharing import Example

    torch.set_num_threads(threads)
    reuse_memory()
    network = language.load(bases.resolve(name), None, 0)
    network.train()
    network.summed, model = True, network.model
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    draw = np.random.default_rng(0)

    def examples(lengths: list[int]) -> list[tuple[Example]]:
        top = model.config.vocab_size
        return [(Example(draw.integers(5, top, n), np.r_[0, np.ones(n - 1)].astype(np.float32)),) for n in lengths]

    def step(loss: Callable[[], Any]) -> Callable[[], None]:
        def work() -> None:
            loss().backward()
            optimizer.step()
            optimizer.zero_grad()

        return work

    whole = examples([LENGTH] * ROWS)
    uneven = examples(sorted(int(n) for n in draw.integers(32, LENGTH, 2 * ROWS)))
    ids = torch.stack([torch.from_numpy(family[0].ids) for family in whole])
    lengths = [len(family[0]) for family in uneven]
    limit = peak()
    print(f"{sum(p.numel() for p in model.parameters()):,} weights, {threads} thread(s), matrix product "
          f"{limit / 1e9:.0f} GFLOP a processor second\n")  # fmt: skip
    print("| way | rows | tokens a processor second | model FLOPs utilisation |\n| --- | --- | ---: | ---: |")
    ways: list[tuple[str, str, list[int], Callable[[], Any]]] = [
        ("Transformers' forward", "full", [LENGTH] * ROWS, lambda: model(input_ids=ids, labels=ids).loss),
        ("Metier", "full", [LENGTH] * ROWS, lambda: network(whole).sum() / ids.numel()),
        ("Metier", "uneven", lengths, lambda: network(uneven).sum() / sum(lengths)),
    ]
    for name, rows, sizes, loss in ways:
        model.set_attn_implementation("sdpa")
        if name == "Metier":
            network.use_tree()
        tokens, seconds = sum(sizes), spent(step(loss), STEPS)
        used = tokens / seconds * flops(model, tokens / len(sizes)) / limit
        print(f"| {name} | {rows} | {tokens / seconds:,.0f} | {used:.0%} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="primer", help="a base by name, or its folder")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    table(given.model, given.threads)


if __name__ == "__main__":
    main()
