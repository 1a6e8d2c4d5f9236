"""Layers that are computed again in the backward pass: the same gradients, fewer numbers kept."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from metier.errors import UserError
from metier.train import attention, recomputing, tree_attention
from metier.train.config import TrainConfig
from metier.train.encoding import Item
from metier.train.methods.lora import Lora
from metier.train.network import Shape, load
from metier.train.sharing import Example

TEXTS = [Item((tuple(3 + (7 * place + length) % 100 for place in range(length)),)) for length in (4, 9, 9, 30, 61)]
OWN = Shape(3, "single_label_classification", "own", 0.1)
MEAN = Shape(3, "", "mean", 0.1)
WRITES = Shape(1, "", "language", None, "examples")


def families() -> list[list[Example]]:
    """Three questions about a document of 40 tokens, and one example alone."""
    draw = np.random.default_rng(0)
    document = draw.integers(5, 250, 40)
    made = []
    for length in (5, 9, 17):
        ids = np.concatenate([document, draw.integers(5, 250, length)])
        made.append(Example(ids, (np.arange(len(ids)) >= 42).astype(np.float32)))
    alone = draw.integers(5, 250, 12)
    return [made, [Example(alone, (np.arange(12) > 3).astype(np.float32))]]


def network_of(family: str, shape: Shape, method: str, base: Any) -> Any:
    network = load(base(family), shape, 0)
    if method == "lora":
        Lora.wrap(network, TrainConfig.model_validate({"lora": {"dropout": 0.1}}), shape.outputs)
        generator = torch.Generator().manual_seed(1)
        for name, parameter in network.named_parameters():
            if "lora_B" in name:  # from zero the other half of each adapter would learn nothing
                parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return network.train()


def step(network: Any, inputs: Any) -> tuple[torch.Tensor, int]:
    """The gradient of one step as one vector, and the bytes that its forward pass kept for the backward pass."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    network.zero_grad()
    torch.manual_seed(5)  # of the dropout
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = network(inputs).square().sum()
    loss.backward()
    gradients = [parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None]
    return torch.cat(gradients), sum(kept.values())


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize(("family", "shape"), [
    ("bert", OWN), ("roberta", MEAN), ("llama", WRITES), ("gpt2", WRITES),
    pytest.param("modernbert", MEAN, marks=pytest.mark.slow), pytest.param("deberta", OWN, marks=pytest.mark.slow),
    pytest.param("gemma2", WRITES, marks=pytest.mark.slow), pytest.param("t5", WRITES, marks=pytest.mark.slow),
])  # fmt: skip
def test_gradients_are_the_same_and_fewer_numbers_are_kept(family, shape, method, base, writer):
    writes = shape is WRITES
    network = network_of(family, shape, method, writer if writes else base)
    assert network.flat == (family not in ("deberta", "t5"))
    inputs = families() if writes else TEXTS
    expected, before = step(network, inputs)
    assert not recomputing.use(network, False, 0, False, "cpu")
    assert recomputing.use(network, True, 0, False, "cpu")
    found, after = step(network, inputs)
    assert torch.linalg.norm(found - expected) <= 1e-6 * torch.linalg.norm(expected)
    assert torch.linalg.norm(expected) > 1e-3
    assert after < 0.8 * before, (before, after)


def test_a_row_of_many_blocks_is_computed_again(base):
    """Texts of very different lengths are several blocks of attention, each with numbers of its own."""
    draw = np.random.default_rng(3)
    many = [
        Item((tuple(draw.integers(5, 60, length).tolist()),)) for length in (3, 4, 4, 5, 30, 31, 33, 58, 60, 60) * 2
    ]
    network = network_of("bert", Shape(3, "", "mean", 0.0), "full", base)
    expected, before = step(network, many)
    recomputing.use(network, True, 0, False, "cpu")
    found, after = step(network, many)
    assert torch.linalg.norm(found - expected) <= 1e-6 * torch.linalg.norm(expected) and after < before


def test_without_the_cuts_put_back_a_layer_cannot_be_computed_again(base, monkeypatch):
    """What the test above would show if checkpoints did not carry how their row is cut."""
    import contextlib

    monkeypatch.setattr(recomputing, "contexts", lambda: (contextlib.nullcontext(), contextlib.nullcontext()))
    network = network_of("bert", OWN, "full", base)
    recomputing.use(network, True, 0, False, "cpu")
    with pytest.raises(LookupError):
        step(network, TEXTS)


def test_each_row_is_computed_again_as_it_was_cut(base):
    """Two rows of other lengths are on their way when the backward pass begins."""
    network = network_of("bert", OWN, "full", base)

    def both() -> torch.Tensor:
        network.zero_grad()
        torch.manual_seed(5)
        (network(TEXTS).square().sum() + network(TEXTS[1:4]).square().sum()).backward()
        return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])

    expected = both()
    recomputing.use(network, True, 0, False, "cpu")
    assert torch.linalg.norm(both() - expected) <= 1e-6 * torch.linalg.norm(expected)


def test_what_was_seen_is_put_back_in_another_thread_and_more_than_once():
    with attention.layout([3, 4]):
        cuts = attention.LAYOUT.get()
        seen = recomputing.Seen(attention.LAYOUT, tree_attention.TREE)
    told: list[Any] = []

    def elsewhere() -> None:
        for _ in range(2):
            with seen:
                told.append(attention.LAYOUT.get())
        told.append(attention.LAYOUT.get(None))
        told.append(tree_attention.TREE.get(None))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert told == [cuts, cuts, None, None]


def test_auto_follows_the_memory(base, monkeypatch):
    network = network_of("bert", OWN, "full", base)
    needed = recomputing.needed(network.config, 16384, False)
    assert needed == 68 * 16384 * 2 * 32  # bytes a token and unit of width, tokens, layers, width
    monkeypatch.setattr(recomputing, "free_memory", lambda device: 2.1 * needed)
    assert not recomputing.use(network, "auto", 16384, False, "cpu")
    monkeypatch.setattr(recomputing, "free_memory", lambda device: 1.9 * needed)
    assert recomputing.use(network, "auto", 16384, False, "cpu")
    assert recomputing.needed(network.config, 16384, True) == needed / 2


def test_free_memory_is_that_of_the_machine():
    assert 1e6 < recomputing.free_memory("cpu") < 1e15 or sys.platform != "linux"


def test_a_class_that_cannot_is_told(base, monkeypatch):
    network = network_of("bert", OWN, "full", base)
    monkeypatch.setattr(type(network.model), "supports_gradient_checkpointing", False)
    assert not recomputing.use(network, "auto", 10**15, False, "cpu")
    with pytest.raises(UserError, match="cannot compute its layers again"):
        recomputing.use(network, True, 0, False, "cpu")


def test_the_setting_is_no_part_of_the_identity():
    assert TrainConfig(gradient_checkpointing=True).identity() == TrainConfig().identity()
