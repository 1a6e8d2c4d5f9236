"""Which training examples an answer rests on: the nearest in the model's own space, and those that pushed it most.

Purpose: nearest by the cosine of mean last hidden states, the space in which the model itself compares texts. Influence
is TracIn's (Pruthi et al. 2020) for the last layer and the final weights: a gradient step on a training example changes
the head's weights, and that changes the number that is explained; both gradients have a closed form for a linear head,
(difference of logits) x (what the head sees), so no example is trained on again. Positive: the step raises the answer.
Trade-off: only the head is looked at, and only where training ended; what the layers below learned of an example is in
what the head sees, not in its gradient. For a model that writes, whose head has a row for each token of a vocabulary,
influence is computed among the nearest examples only.
Shapes: n training examples, R rows of logits, K outputs, F features of the head, C width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from metier.console import Console
from metier.evaluate.explain.reading import Reading, frozen_features
from metier.train.batching import inference_batches
from metier.train.optimizers import is_head
from metier.train.tasks.base import EXAMPLES, PARTS, TEXTS

NEAREST = 50  # examples among which a model that writes is asked for influence
TOKENS = 128  # learned tokens of an example whose gradient is taken there, at most


@dataclass(frozen=True)
class Head:
    """For each row of logits what the head saw (R, F) and the gradient by its logits (R, K); owner (R,): the example.

    The gradient of an example by the head's weights is the sum of the outer products of its rows; `bias`: the head has
    one, which sees a 1.
    """

    features: Any
    slopes: Any
    owner: Any
    bias: bool

    def against(self, other: Head) -> np.ndarray:
        """(n,) products of the gradients of these n examples with that of the other, taken as one."""
        products = (self.slopes @ other.slopes.T) * (self.features @ other.features.T + float(self.bias))
        sums = torch.zeros(int(self.owner.max()) + 1 if len(self.owner) else 0, dtype=products.dtype)
        return np.asarray(sums.index_add(0, self.owner, products.sum(1)).numpy())


class Training:
    """Training examples, read once, that answers are then compared with."""

    def __init__(self, model: Any, rows: pa.Table, console: Console) -> None:
        self.model, self.rows, self.console = model, rows, console
        self.encoded = model.task.encode(model.encoder, rows, console)
        self.space = _space(model, _items(model, self.encoded), console)
        self.head: Head | None = None
        if model.task.rows != EXAMPLES:
            targets = model.task.targets(rows, self.encoded)
            self.head = _head_of_training(model, self.encoded, targets, console)

    def nearest(self, reading: Reading, most: int) -> list[tuple[int, float]]:
        """(row, cosine) of the training examples whose states are most alike, best first."""
        cosine = self.space @ _space(self.model, [reading.item], Console(quiet=True))[0]
        return _first(cosine, most)

    def influential(self, reading: Reading, most: int) -> list[tuple[int, float]]:
        """(row, influence) of those that raise the answer most, best first; without those that raise nothing."""
        if self.head is not None:
            features, bias = _seen(self.model, [reading.item])
            owner = torch.zeros(len(features), dtype=torch.int64)
            pushed = -self.head.against(Head(features, torch.as_tensor(reading.goal.weights), owner, bias))
            return [pair for pair in _first(pushed, most) if pair[1] > 0]
        near = [row for row, _ in self.nearest(reading, NEAREST)]
        mine = _written_head(self.model, reading.item)
        examples = {row: self.encoded.examples[self.encoded.owner.index(row)] for row in near}
        pushed = np.array([_written_head(self.model, examples[row]).against(mine)[0] for row in near])
        return [(near[place], value) for place, value in _first(pushed, most) if value > 0]


def _first(values: np.ndarray, most: int) -> list[tuple[int, float]]:
    order = np.argsort(-values, kind="stable")[:most]
    return [(int(place), float(values[place])) for place in order]


def _items(model: Any, encoded: Any) -> Sequence[Any]:
    """One input an example; of a long text of pretraining its first piece."""
    if model.task.rows != EXAMPLES:
        return encoded.items  # type: ignore[no-any-return]
    return [encoded.examples[encoded.owner.index(row)] for row in range(encoded.rows)]


@torch.no_grad()
def _space(model: Any, items: Sequence[Any], console: Console) -> np.ndarray:
    """(n, C) mean last hidden states of length 1."""
    out: list[Any] = [None] * len(items)
    written = model.task.rows == EXAMPLES
    network = getattr(model.module, "base", [model.module])[0]
    lengths = [len(item) if written else sum(map(len, item.windows)) for item in items]
    with console.progress("placing examples", len(items), "texts") as meter:
        for batch in inference_batches(lengths, model.limit):
            some = [items[index] for index in batch]
            means = _written_means(network, some) if written else _means(network, some)
            for index, mean in zip(batch, means, strict=True):
                out[index] = mean
            meter.advance(len(batch))
    table = torch.nn.functional.normalize(torch.stack(out).float(), dim=1) if out else torch.zeros(0, 1)
    return np.asarray(table.cpu().numpy())


def _means(network: Any, items: Sequence[Any]) -> Any:
    windows = [window for item in items for window in item.windows]
    types = [kinds for item in items for kinds in item.types]
    states, _ = network.hidden(windows, types)
    return [part.mean(0) for part in states.split([sum(map(len, item.windows)) for item in items])]


def _written_means(network: Any, items: Sequence[Any]) -> Any:
    """As `_means`, of a model that writes, which runs padded for this."""
    longest = max(map(len, items))
    ids = torch.full((len(items), longest), network.pad)
    mask = torch.zeros_like(ids)
    for row, item in enumerate(items):
        ids[row, : len(item)] = torch.from_numpy(item.ids)
        mask[row, : len(item)] = 1
    device = next(network.parameters()).device
    with network.writing():
        body = network.plain().base_model
        states = body(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False).last_hidden_state
    return [row[: len(item)].mean(0) for row, item in zip(states, items, strict=True)]


def _head_of_training(model: Any, encoded: Any, targets: Sequence[Any], console: Console) -> Head:
    """Features and slopes of the loss of every training example."""
    task = model.task
    features: list[Any] = []
    slopes: list[Any] = []
    owners: list[Any] = []
    counts, bias = model.method.counts(encoded, task), False
    order = inference_batches(encoded.lengths(), model.limit)
    with console.progress("reading the head", len(encoded), "texts") as meter:
        for batch in order:
            items, sizes = [encoded.items[index] for index in batch], [counts[index] for index in batch]
            seen, bias = _seen(model, items)
            logits = _logits(model, seen).requires_grad_()
            loss = task.loss(logits, sizes, [targets[index] for index in batch], 0.0).sum()
            (slope,) = torch.autograd.grad(loss, logits)
            features.append(seen)
            slopes.append(slope)
            owners.append(torch.repeat_interleave(torch.tensor(batch), torch.tensor(sizes)))
            meter.advance(len(batch))
    return Head(torch.cat(features), torch.cat(slopes), torch.cat(owners), bias)


def _last_layer(model: Any) -> Any:
    """The linear layer that makes the logits: the last one of as many outputs that belongs to the head."""
    found = [layer for name, layer in model.module.named_modules()
             if isinstance(layer, torch.nn.Linear) and layer.out_features == model.task.outputs
             and (is_head(name) or name.endswith("out_proj"))]  # fmt: skip
    return found[-1]


def _logits(model: Any, features: Any) -> Any:
    """(R, K) of what the head sees; the last layer is linear, so means over windows and tokens may come before it."""
    layer = _last_layer(model)
    with torch.no_grad():
        return layer(features.to(layer.weight.device)).float().cpu()


@torch.no_grad()
def _seen(model: Any, items: Sequence[Any]) -> tuple[Any, bool]:
    """(R, F) of what the head's last layer sees for each row of logits, in the order of items, and whether it has a
    bias."""
    layer, caught = _last_layer(model), list[Any]()
    bias = layer.bias is not None
    network = getattr(model.module, "base", [None])[0]
    if network is not None:
        from metier.train.methods.frozen import SCALE

        return (frozen_features(network, items) * SCALE).float().cpu(), bias
    handle = layer.register_forward_pre_hook(lambda module, given: caught.append(given[0]))
    try:
        model.module(items)
    finally:
        handle.remove()
    return _in_rows(model, items, caught[-1].float()).cpu(), bias


def _in_rows(model: Any, items: Sequence[Any], caught: Any) -> Any:
    """What was caught, in the order in which the network reads windows, as one row of features a row of logits."""
    from metier.train.network import _sorted

    network, task = model.module, model.task
    if network.pooling == "spans":
        return caught
    windows, _, order, back = _sorted(items)
    caught = caught.reshape(-1, caught.shape[-1]) if caught.dim() < 3 or task.rows != PARTS else caught
    if task.rows == PARTS:
        if caught.dim() == 3:  # padded: the places of real tokens
            inside = torch.arange(caught.shape[1])[None] < torch.tensor([len(window) for window in windows])[:, None]
            caught = caught[inside]
        return network.parts_of(items, caught, [len(window) for window in windows], order)
    if len(caught) != len(windows):  # a head that looks at every token, of which the last one decides (decoders)
        longest = len(caught) // len(windows)
        caught = caught.reshape(len(windows), longest, -1)
        caught = torch.stack([row[len(window) - 1] for row, window in zip(caught, windows, strict=True)])
    caught = caught[torch.tensor(back)]
    if task.rows != TEXTS:
        return caught
    return torch.stack([part.mean(0) for part in caught.split([len(item.windows) for item in items])])


@torch.no_grad()
def _written_head(model: Any, example: Any) -> Head:
    """Of the learned tokens of one example, as one: what the output layer saw, and the slopes of their likelihood."""
    from metier.train.language import head_of

    network = model.module
    places = np.flatnonzero(example.weights[1:] > 0)[:TOKENS]
    device = next(network.parameters()).device
    with network.writing():
        ids = torch.from_numpy(example.ids)[None].to(device)
        states = network.plain().base_model(input_ids=ids, use_cache=False).last_hidden_state[0, places]
        slopes = -torch.softmax(head_of(network.plain())(states).float(), dim=1)
    slopes[torch.arange(len(places)), torch.from_numpy(example.ids[places + 1]).to(device)] += 1.0
    return Head(states.float().cpu(), slopes.cpu(), torch.zeros(len(places), dtype=torch.int64), False)
