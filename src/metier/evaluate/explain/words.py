"""How much each word raises an answer: integrated gradients, with their completeness, and attention beside them.

Purpose: integrated gradients (Sundararajan et al. 2017) go from the text without any word to the text as it is; their
sum is the difference of the two outputs. How far it misses that is measured, and the steps are doubled until it is
little; what is left is told. Captum does the integral.
Attention weights of any layer and head stand beside them, because people ask for them; they say where a model looks,
not what its answer rests on.
Trade-off: the words are attributed one by one; what two words do together is shared between them.
Shapes: N places, W words, L layers, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from metier.errors import UserError, need
from metier.evaluate.explain.reading import TOKENS_AT_ONCE, Reading
from metier.train.tasks.base import EXAMPLES

MOST = 8  # times the steps that the recipe names, at most


@dataclass(frozen=True)
class Attribution:
    """words: (W,) what each adds to the goal. full, empty: the goal with all words and with none. error: share of
    full - empty that the sum over all places misses. steps: of the integral."""

    words: np.ndarray
    full: float
    empty: float
    error: float
    steps: int


def attribute(reading: Reading, steps: int, completeness: float) -> Attribution:
    """Integrated gradients by word."""
    gradients = need("captum.attr", "explain").IntegratedGradients(reading)
    own, empty = reading.embeddings()
    with torch.no_grad():
        high, low = (float(value) for value in reading(torch.stack([own, empty])))
    most = MOST * steps
    while True:
        found = gradients.attribute(own[None], baselines=empty[None], n_steps=steps, method="gausslegendre",
                                    internal_batch_size=max(1, TOKENS_AT_ONCE // len(own)))  # fmt: skip
        places = found[0].detach().double().sum(-1).cpu().numpy()
        missed = abs(float(places.sum()) - (high - low))
        error = missed / max(abs(high - low), 1e-9)
        if error <= completeness or steps >= most or missed < 1e-6:
            return Attribution(by_word(reading, places), high, low, error, steps)
        steps *= 2


def by_word(reading: Reading, places: np.ndarray) -> np.ndarray:
    """(N,) of places -> (W,) sums over the places of each word."""
    inside = reading.word_of >= 0
    return np.bincount(reading.word_of[inside], places[inside], minlength=len(reading.words))


def attention(reading: Reading, layer: int | None = None, head: int | None = None) -> np.ndarray:
    """(W,) attention that each word gets, averaged over who looks and over layers and heads that are not named.

    A model that writes looks from the words of its answer, any other from all its tokens. Layers and heads count from
    0, or from the end if negative; UserError for one that is not there.
    """
    network = reading.network
    written = reading.model.task.rows == EXAMPLES
    plain = network.plain() if written else network._plain()
    before = plain.config._attn_implementation
    plain.set_attn_implementation("eager")  # only this one gives its weights
    places = np.zeros(len(reading.word_of))
    try:
        body, start = plain.base_model if written else network._backbone(), 0
        for window in reading.order:
            ids = reading.ids if written else list(reading.item.windows[window])
            given: dict[str, Any] = {"input_ids": ids, "attention_mask": [1] * len(ids)}
            if not written and reading.item.types:
                given["token_type_ids"] = reading.item.types[window]
            given = {name: torch.tensor([value], device=reading.layer.weight.device) for name, value in given.items()}
            with torch.no_grad():
                weights = body(**given, output_attentions=True).attentions
            table = _chosen(_chosen(torch.stack(weights)[:, 0].float(), layer, "layer"), head, "head")
            looking = np.flatnonzero(reading.item.weights[1:] > 0) if written else np.arange(len(ids))
            places[start : start + len(ids)] = table.cpu().numpy()[looking].mean(axis=0)
            start += len(ids)
    finally:
        plain.set_attn_implementation(before)
    return by_word(reading, places / max(1, len(reading.order)))


def _chosen(table: Any, number: int | None, what: str) -> Any:
    """One of the table's first axis, or their mean."""
    if number is None:
        return table.mean(0)
    if not -len(table) <= number < len(table):
        raise UserError(f"there is no {what} {number}", f"--{what}", f"this model has {what}s 0 to {len(table) - 1}")
    return table[number]
