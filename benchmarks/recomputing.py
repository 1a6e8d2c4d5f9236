"""What computing layers again in the backward pass saves and costs.

For an encoder over flat rows and for a decoder over shared documents, with `full` and `lora`: bytes that the forward
pass keeps for the backward pass (counted once for each storage, weights left out), processor seconds of a step (median,
both ways alternating), and the largest relative difference of the gradients.

    python benchmarks/recomputing.py [--steps 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
import torch
import transformers
from torch.autograd.graph import saved_tensors_hooks

from metier.console import quiet_libraries
from metier.train import recomputing
from metier.train.bases import resolve
from metier.train.config import TrainConfig
from metier.train.encoding import Item
from metier.train.language import LanguageNetwork
from metier.train.methods.lora import Lora
from metier.train.network import Shape, load
from metier.train.sharing import Example

LLAMA = {"vocab_size": 8000, "hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 6,
         "num_attention_heads": 6, "num_key_value_heads": 6, "max_position_embeddings": 4096}  # fmt: skip


def encoder(method: str) -> tuple[Any, Any, str]:
    """MiniLM, 32 texts of log-normal lengths around 60 tokens."""
    network = load(resolve("minilm"), Shape(10, "", "mean"), 0)
    draw = np.random.default_rng(0)
    lengths = np.clip(draw.lognormal(np.log(60), 0.6, 32), 8, 400).astype(int)
    items = [Item((tuple(draw.integers(1000, 20000, length).tolist()),)) for length in lengths]
    return _with(network, method, 10), items, f"MiniLM, 32 texts, {lengths.sum():,} tokens"


def decoder(method: str) -> tuple[Any, Any, str]:
    """A random Llama-like model of 6 layers, 12 questions about one document of 900 tokens."""
    torch.manual_seed(0)
    from metier.train import tree_attention

    tree_attention.install()
    network = LanguageNetwork(transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA)), 0)
    network.find_way()
    assert network.shares
    network.summed = True
    draw = np.random.default_rng(0)
    document = draw.integers(5, 8000, 900)
    family = []
    for _ in range(12):
        ids = np.concatenate([document, draw.integers(5, 8000, 30)])
        family.append(Example(ids, (np.arange(len(ids)) >= 920).astype(np.float32)))
    return _with(network, method, 1), [family], "Llama-like, 6 layers, 900 tokens with 12 branches of 30"


def _with(network: Any, method: str, outputs: int) -> Any:
    if method == "lora":
        Lora.wrap(network, TrainConfig(), outputs)
    return network.train()


def step(network: Any, inputs: Any) -> tuple[torch.Tensor, int, float]:
    """Gradients as one vector, bytes kept, processor seconds."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    network.zero_grad()
    start = time.process_time()
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = network(inputs).square().sum()
    loss.backward()
    seconds = time.process_time() - start
    gradients = [parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None]
    return torch.cat(gradients), sum(kept.values()), seconds


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5)
    steps = parser.parse_args().steps
    quiet_libraries()
    torch.set_num_threads(1)
    heads = ("model and batch", "method", "MB kept", "MB kept, again", "ratio", "seconds", "seconds, again", "ratio",
             "gradients differ")  # fmt: skip
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    for make in (encoder, decoder):
        for method in ("full", "lora"):
            (plain, inputs, title), (again, _, _) = make(method), make(method)
            recomputing.use(again, True, 0, False, "cpu")
            pairs = [(step(plain, inputs), step(again, inputs)) for _ in range(steps + 1)][1:]  # the first warms up
            first, second = pairs[0]
            apart = float(torch.linalg.norm(first[0] - second[0]) / torch.linalg.norm(first[0]))
            before, after = (statistics.median(pair[side][2] for pair in pairs) for side in (0, 1))
            print(f"| {title} | {method} | {first[1] / 1e6:,.0f} | {second[1] / 1e6:,.0f} | "
                  f"{second[1] / first[1]:.2f} | {before:.2f} | {after:.2f} | {after / before:.2f} | {apart:.0e} |",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
