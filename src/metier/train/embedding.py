"""Vectors of texts from an untouched base model: mean of the last hidden states, length 1.

Purpose: what another stage needs of a model without training one, such as finding texts that mean the same.
Trade-off: a text that is longer than the model's limit is cut into windows whose states are averaged, as in training.
Not covered: models that were trained with a prompt for each side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from metier.train.bases import Base


def embedder(base: Base, tokens: int = 16_384) -> Callable[[Sequence[str]], Any]:
    """texts -> float32 array (n, C); the model is loaded at the first call. tokens: of one batch at most."""
    loaded: list[Any] = []

    def embed(texts: Sequence[str]) -> Any:
        from metier.errors import need

        need("torch", "train")
        import torch

        from metier.train.encoding import Encoder, limit
        from metier.train.methods.frozen import embed as states
        from metier.train.network import Shape, load, load_tokenizer

        if not loaded:
            network = load(base, Shape(1, "regression", "mean"), 0)
            network.to("cuda" if torch.cuda.is_available() else "cpu")
            tokenizer = load_tokenizer(base)
            loaded.extend([network, Encoder(tokenizer, limit(network.config, tokenizer, None))])
        network, encoder = loaded
        return states(network, encoder.encode(list(texts)), tokens).numpy()

    return embed
