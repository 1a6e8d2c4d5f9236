"""The loss of a whole batch over two processes: each encodes its share, and the gradients are those of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from metier.tables import EXAMPLES, table
from metier.train import joint
from metier.train.bases import resolve
from metier.train.config import TaskConfig, TrainConfig
from metier.train.encoding import Encoder
from metier.train.loop import Job, Rates, Split, make_accelerator
from metier.train.network import Shape, load, load_tokenizer
from metier.train.tasks.embed import Embed

WORDS = ["card", "bank", "loan", "fee", "my", "help", "late", "pay", "卡"]


def gradient(folder: str, size: int, out: str | None) -> torch.Tensor:
    """All gradients of one batch of `size` examples, end to end, in parts of at most 40 tokens."""
    torch.set_num_threads(1)
    config = TrainConfig(bf16=False, device="cpu", max_batch_tokens=40)
    accelerator = make_accelerator(config)
    base = resolve(folder)
    network = load(base, Shape(1, "", "vector-last", 0.0, "windows"), seed=1)
    with torch.no_grad():  # random weights give all texts nearly one vector, and differences of such are noise
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter *= 8
    task = Embed(TaskConfig(name="embed"), {})
    texts = [f"the {word} is {'not ' * (number % 4)}here" for number, word in enumerate(WORDS)]
    pairs = [{"pair": f"{word} please", "text": text} for word, text in zip(WORDS, texts, strict=True)]
    data = table(pairs, EXAMPLES)
    encoded = task.encode(Encoder(load_tokenizer(base), 40), data)
    split = Split(encoded.items, encoded.lengths(), encoded.counts("windows"), task.targets(data, encoded),
                  encoded.sizes(), encoded.weights())  # fmt: skip
    job = Job(network, task, split, None, config, Rates(1e-3, 1e-3, 1, size), 0)
    model: Any = network
    if accelerator.num_processes > 1:
        model = torch.nn.parallel.DistributedDataParallel(network, broadcast_buffers=False)
    joint.backward(job, model, accelerator, range(size), float(size))
    found = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    if out is not None and accelerator.is_main_process:
        torch.save(found, out)
    return found


def _process(rank: int, port: int, folder: str, size: int, out: str) -> None:
    import os

    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
                      MASTER_PORT=str(port), ACCELERATE_USE_CPU="true")  # fmt: skip
    gradient(folder, size, out)
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("size", [9, 1])  # of a single example the second process has no share
def test_two_processes_have_the_gradient_of_one(size: int, base: Any, tmp_path: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder, out = str(base("llama").path), str(tmp_path / "gradient.pt")
    torch.multiprocessing.spawn(_process, (port, folder, size, out), nprocs=2)
    two, one = torch.load(out), gradient(folder, size, None)
    if size == 1:  # a query alone has nothing to be told apart from
        assert not one.any() and not two.any()
    else:
        assert float((one - two).norm() / one.norm()) <= 1e-5 and float(one.norm()) > 1e-3
