"""The heads of Transformers' own classes as functions of hidden states, found by their parts.

Purpose: a head that is a function of hidden states works on flattened rows, which no model's own forward can do, and
its weights stay where the class saves them. Trade-off: a head of another build than the common ones is not known; the
caller then runs the model's own forward on padded rows.
Shapes: N tokens of n windows end to end, C width, K outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

Head = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # states (N, C), first, last (n,) -> (n, K)
TokenHead = Callable[[torch.Tensor], torch.Tensor]  # states (N, C) -> (N, K)


def head_of(model: Any) -> Head:
    """The head of an AutoModelForSequenceClassification; ValueError for one of another build."""
    body = model.base_model
    if hasattr(model, "score"):  # decoders: the last token decides
        return lambda states, first, last: model.score(states[last])
    if hasattr(model, "pre_classifier"):  # DistilBERT
        return lambda states, first, last: model.classifier(
            model.dropout(torch.relu(model.pre_classifier(states[first])))
        )
    if getattr(body, "pooler", None) is not None and hasattr(model, "dropout"):  # BERT, ALBERT-like
        return lambda states, first, last: model.classifier(model.dropout(body.pooler(states[first][:, None])))
    if hasattr(getattr(model, "classifier", None), "out_proj"):  # RoBERTa, ELECTRA
        return lambda states, first, last: model.classifier(states[first][:, None])
    if getattr(model.config, "classifier_pooling", "") == "cls" and hasattr(model, "head"):  # ModernBERT
        return lambda states, first, last: model.classifier(model.drop(model.head(states[first])))
    raise ValueError(f"unknown head: {type(model).__name__}")


def token_head_of(model: Any) -> TokenHead:
    """The head of an AutoModelForTokenClassification or ...QuestionAnswering; ValueError for one of another build."""
    last = next((part for name in ("qa_outputs", "classifier", "score")
                 if isinstance(part := getattr(model, name, None), torch.nn.Module)), None)  # fmt: skip
    if last is None:
        raise ValueError(f"unknown head: {type(model).__name__}")
    before = [part for name in ("head", "dropout", "drop") if callable(part := getattr(model, name, None))]

    def head(states: torch.Tensor) -> torch.Tensor:
        for part in before:
            states = part(states)
        return last(states)  # type: ignore[no-any-return]

    return head


def mean_states(states: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """States (N, C) of rows end to end -> their means (n, C), summed in float32."""
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).to(states.device)
    sums = torch.zeros(len(lengths), states.shape[1], device=states.device).index_add(0, owner, states.float())
    return sums / torch.tensor(lengths, device=states.device)[:, None]


def vectors_of(states: torch.Tensor, lengths: Sequence[int], pooling: str) -> torch.Tensor:
    """States (N, C) of rows end to end -> one float32 vector of length 1 a row (n, C): their mean, the first, the last.

    pooling: `vector-mean`, `vector-first` or `vector-last`.
    """
    if pooling == "vector-mean":
        chosen = mean_states(states, lengths)
    else:
        ends = torch.tensor(lengths, device=states.device).cumsum(0)
        starts = ends - torch.tensor(lengths, device=states.device)
        chosen = states[starts if pooling == "vector-first" else ends - 1]
    return torch.nn.functional.normalize(chosen.float(), dim=1)


def gather_parts(rows: torch.Tensor, starts: Sequence[int], parts: Sequence[Sequence[tuple[int, int]]]) -> torch.Tensor:
    """rows (N, X) of tokens -> (R, X): the mean over each part's tokens, in the order of windows and parts.

    starts: where each window begins in `rows`. parts: for each window, its tokens from start to end (exclusive).
    """
    places: list[int] = []
    owner: list[int] = []
    sizes: list[int] = []
    for start, window in zip(starts, parts, strict=True):
        for first, end in window:
            owner += [len(sizes)] * (end - first)
            places += range(start + first, start + end)
            sizes.append(end - first)
    chosen = rows[torch.tensor(places, dtype=torch.int64, device=rows.device)]
    if len(places) == len(sizes):
        return chosen
    sums = torch.zeros(len(sizes), rows.shape[1], device=rows.device, dtype=chosen.dtype)
    sums = sums.index_add(0, torch.tensor(owner, device=rows.device), chosen)
    return sums / torch.tensor(sizes, device=rows.device)[:, None]
