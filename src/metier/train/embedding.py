"""Vectors of texts from a base model as it is: mean of the last hidden states, length 1.

Purpose: what another stage needs of a model without training one, such as finding texts that mean the same.
A base that says in 1_Pooling that it takes the first or the last state, or has a linear map behind it (2_Dense), as
models of the task `embed` do, is used so.
Trade-off: a text that is longer than the model's limit is cut into windows whose states are averaged, as in training;
where a base takes one state or has a map, only its beginning is read.
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
        from metier.train.methods.frozen import embed_windows
        from metier.train.network import Shape, load, load_tokenizer
        from metier.train.sentence import dense_weight, stated_pooling

        if not loaded:
            pooling, weight = stated_pooling(base.path), dense_weight(base.path)
            single = weight is not None or pooling in ("vector-first", "vector-last")
            shape = Shape(1, "", pooling or "vector-mean", rows="windows") if single else Shape(1, "regression", "mean")
            network = load(base, shape, 0)
            network.to("cuda" if torch.cuda.is_available() else "cpu")
            tokenizer = load_tokenizer(base)
            most = limit(network.config, tokenizer, None)
            loaded.extend([network, Encoder(tokenizer, most, "cut" if single else "window"), single, weight])
        network, encoder, single, weight = loaded
        encoded = encoder.encode(list(texts))
        if not single:
            return states(network, encoded, tokens).numpy()
        vectors = torch.cat(embed_windows(network, encoded, tokens))
        if weight is not None:
            vectors = torch.nn.functional.normalize(vectors @ weight.T, dim=1)
        return vectors.numpy()

    return embed
