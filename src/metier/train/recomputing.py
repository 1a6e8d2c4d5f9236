"""Activation checkpointing: the backward pass computes each layer again instead of keeping what it computed.

Purpose: of a layer only its input stays in memory until the backward pass (Chen et al. 2016, arXiv 1604.06174).
Transformers' own switch does it, with PyTorch's non-reentrant checkpoint.
The trap: attention over flat rows and over trees is told by a context variable how its row is cut (attention.py,
tree_attention.py), and a layer that is computed again does so outside that context, on a GPU even in another thread.
So each checkpoint carries, as `context_fn`, what its first pass saw, and puts it back for the second.
Trade-off: about one forward pass more for each step. Results are the same: dropout draws the same numbers again.
Not covered: keeping some layers; activations on the host's memory.
"""

from __future__ import annotations

import contextlib
from contextvars import ContextVar, Token
from typing import Any

from metier.errors import UserError
from metier.train import memory
from metier.train.attention import LAYOUT
from metier.train.tree_attention import TREE

# Bytes that a layer keeps for each token and each unit of its width, without attention scores: 34 where numbers have
# two bytes (Korthikanti et al. 2022, arXiv 2205.05198, section 4.1); twice that in float32.
KEPT = 34
SHARE = 0.5  # of the free memory that activations may fill before `auto` recomputes; the rest is gradients and slack


def use(network: Any, wanted: bool | str, tokens: int, bf16: bool, device: str) -> bool:
    """Switch recomputing on for `network` where the recipe says so; returns whether it is on.

    wanted: true, false or auto, which is true where the activations of `tokens` at once would fill more than half of
    the free memory of `device`. UserError where it is asked for and the model's class cannot do it.
    """
    model = network.model.get_base_model() if hasattr(network.model, "peft_config") else network.model
    if wanted == "auto":
        full = needed(model.config, tokens, bf16) > SHARE * free_memory(device)
        wanted = full and model.supports_gradient_checkpointing
    if not wanted:
        return False
    if not model.supports_gradient_checkpointing:
        raise UserError(
            f"{type(model).__name__} cannot compute its layers again in the backward pass",
            "train.gradient_checkpointing", "set it to false, and train.max_batch_tokens lower to save memory",
        )  # fmt: skip
    settings = {"use_reentrant": False, "context_fn": contexts}
    if hasattr(model, "activation_checkpointing_enable"):  # the name since Transformers 5.20
        model.activation_checkpointing_enable(settings)
    else:
        model.gradient_checkpointing_enable(settings)
    return True


def contexts() -> tuple[Any, Any]:
    """For each checkpoint: what surrounds its first pass (nothing), and its second: how the first saw its row cut."""
    return contextlib.nullcontext(), Seen(LAYOUT, TREE)


class Seen:
    """A context that puts back, however often and in whatever thread, what these variables held when it was made."""

    def __init__(self, *variables: ContextVar[Any]) -> None:
        self.held = [(variable, value) for variable in variables if (value := variable.get(None)) is not None]
        self.tokens: list[list[Token[Any]]] = []

    def __enter__(self) -> None:
        self.tokens.append([variable.set(value) for variable, value in self.held])

    def __exit__(self, *error: object) -> None:
        for (variable, _), token in zip(self.held, self.tokens.pop(), strict=True):
            variable.reset(token)


def needed(config: Any, tokens: int, bf16: bool) -> float:
    """Bytes of activations that all layers would keep for so many tokens at once."""
    text = config.get_text_config()
    layers = getattr(text, "num_hidden_layers", 0) or 0
    return float(KEPT * (1 if bf16 else 2) * tokens * layers * text.hidden_size)


def free_memory(device: str) -> float:
    """Bytes that are free on the device now; infinite where there is no such figure, so that nothing seems short."""
    found = memory.available(device)
    return float("inf") if found is None else float(found)
