"""What training costs as the data grow: `python benchmarks/train_growth.py`.

First table: seconds of the processor for a token, from 10^3 to 10^5 examples of 8 to 40 tokens, one epoch of a tiny
model (0.2 M parameters), so that whatever is not arithmetic would show. Second: what it costs to put 10^3 to 10^6
examples into families and batches, beside what training on them would take a model of 26 M parameters at the speed that
is measured here. Metier alone; processor seconds, since other work on the machine disturbs them least.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import train_common as common
from train_contestant import processor_seconds

TINY = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2, "max_position_embeddings": 512}  # fmt: skip
LENGTHS, LEARNED, BATCH = (8, 41), 4, 64
TRIAL = 500  # examples by which the larger model's speed is measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--batch", nargs="+", type=int, default=[1_000, 10_000, 100_000, 1_000_000])
    given = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        common.tokenizer_for(["tatqa"], folder)
        common.save_model(folder, 1_000, TINY)
        train(folder, examples(500))  # the first time is slower
        lines, first = [], 0.0
        for number in given.train:
            made = examples(number)
            seconds = train(folder, made)
            each = 1e6 * seconds / sum(map(len, made))
            first = first or each
            lines.append([f"{number:,}", f"{sum(map(len, made)):,}", f"{seconds:.1f}", f"{each:.1f}",
                          f"{each / first:.2f}"])  # fmt: skip
        common.table(["examples", "tokens", "processor s", "µs a token", "times the first"], lines)
        common.save_model(folder)
        made = examples(TRIAL)
        rate = sum(map(len, made)) / train(folder, made)
    print(f"\nA model of 26 M parameters trains on {rate:,.0f} tokens a second of the processor.\n")
    lines = []
    for number in given.batch:
        made = examples(number)
        tokens = sum(map(len, made))
        start = time.process_time()
        batch(made)
        seconds = time.process_time() - start
        share = seconds / (tokens / rate)
        lines.append([f"{number:,}", f"{tokens:,}", f"{seconds:.2f}", f"{1e6 * seconds / number:.0f}", f"{share:.2%}"])
    common.table(["examples", "tokens", "batching, s", "µs an example", "of an epoch's training"], lines)


def examples(number: int) -> list[Any]:
    """Random token ids, the last four learned."""
    from metier.train.sharing import Example

    draw = np.random.default_rng(number)
    lengths = draw.integers(*LENGTHS, number)
    ids = np.split(draw.integers(3, 1_000, int(lengths.sum())), np.cumsum(lengths)[:-1])
    weights = [np.zeros(length, np.float32) for length in lengths]
    for one in weights:
        one[-LEARNED:] = 1
    return [Example(one, weight) for one, weight in zip(ids, weights, strict=True)]


def batch(made: list[Any]) -> tuple[Any, int]:
    """The examples in families, and the batches of an epoch; how many batches there are."""
    from metier.train.batching import plan_epoch
    from metier.train.grouping import grouped

    encoded = grouped(made, 8192)
    return encoded, len(plan_epoch(encoded.lengths(), BATCH, 0, 0).batches)


def train(folder: Path, made: list[Any]) -> float:
    """Seconds of the processor of one epoch, batching and the loop; loading the model is not counted."""
    from metier.console import Console
    from metier.registry import lookup
    from metier.tables import EXAMPLES, table
    from metier.train import bases, language, loop
    from metier.train.config import TaskConfig, TrainConfig

    task = lookup("task", "generate").from_training(TaskConfig(name="generate"), table([], EXAMPLES))
    network = language.load(bases.resolve(str(folder)), None, 0)
    network.summed = task.summed
    config = TrainConfig(device="cpu", bf16=False, max_batch_tokens=8192, threads=1)
    start = processor_seconds()
    encoded, _ = batch(made)
    split = loop.Split(encoded.items, encoded.lengths(), encoded.counts(task.rows), [None] * len(encoded.items),
                       encoded.sizes(), encoded.weights())  # fmt: skip
    job = loop.Job(network, task, split, None, config, loop.Rates(1e-4, 1e-4, 1, BATCH), 0)
    with tempfile.TemporaryDirectory() as state:
        loop.fit(job, Path(state) / "state", Console(quiet=True))
    return processor_seconds() - start


if __name__ == "__main__":
    main()
