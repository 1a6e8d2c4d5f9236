"""The loss of each example under the tuned model, and under the untouched base, fitted where that needs a head.

Purpose: what membership inference and canaries compare. A base that writes has losses of its own. A base that reads
gets a linear head on its frozen states, and each example's loss comes from a head that was fitted without it
(cross-fitting), training and test examples alike: so the base's losses say how hard an example is, and nothing about
what was trained on.
Trade-off: a linear head is weaker than a tuned model; it is a yardstick of difficulty, not a rival.
Not covered: tasks whose loss compares examples with each other (embed) or with the base (prefer).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from metier.console import Console
from metier.evaluate.items import Array
from metier.evaluate.wording import Both
from metier.tables import digest
from metier.train.config import TaskConfig
from metier.train.tasks import profile
from metier.train.tasks.base import EXAMPLES, PARTS, strings

FOLDS = 4  # of cross-fitting: each head sees three quarters
STEPS, SCALE, DECAY = 60, 10.0, 1e-3  # of a head's fit by L-BFGS; the scale is that of the method `frozen`


def no_losses(task: TaskConfig) -> Both | None:
    """Why a task has no loss of a single example, or None."""
    if profile(task).answer in ("label", "labels", "value", "spans", "answers", "answer", "text"):
        return None
    return ("the loss of this task compares texts with each other, so a single example has none",
            "该任务的损失是在文本之间比较得出的，单个样本没有损失值")  # fmt: skip


def of_model(model: Any, rows: pa.Table, console: Console, per_token: bool = False) -> Array:
    """(n,) float64; NaN where there is nothing that could have been learned (an unknown label, an answer outside).

    model: a TunedModel. per_token: of a model that writes, the mean over the learned tokens instead of their sum.
    """
    import torch

    task = model.task
    if not rows.num_rows:
        return np.zeros(0)
    encoded = task.encode(model.encoder, rows, console)
    if task.rows == EXAMPLES:
        from metier.train.answering import nats

        sums = encoded.by_row(nats(model, encoded, console))
        tokens = encoded.by_row(np.array([one.labelled for one in encoded.examples], dtype=np.float64))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(tokens > 0, sums / tokens if per_token else sums, np.nan)
    targets = task.targets(rows, encoded)
    with console.progress("measuring losses", rows.num_rows, "texts") as meter:
        logits = torch.from_numpy(model.logits(encoded, meter))
    losses = task.loss(logits, model.method.counts(encoded, task), targets, 0.0).double().numpy()
    return np.where(_known(task, targets), losses, np.nan)


def of_base(model: Any, base: Any, rows: pa.Table, console: Console, per_token: bool = False) -> Array:
    """(n,) of the untouched base, as `of_model`. base: a `bases.Base`."""
    if model.task.rows == EXAMPLES:
        from metier.train.model import untouched

        return of_model(untouched(model, base), rows, console, per_token)
    return _cross_fitted(model, base, rows, console)


def _cross_fitted(model: Any, base: Any, rows: pa.Table, console: Console) -> Array:
    """Each example's loss from a head that saw no example of its fold; a group or cluster is never cut."""
    task, features, counts, targets = model.task, *_features(model, base, rows, console)
    fold = np.array([int(digest("fold", group or cluster or id), 16) % FOLDS for group, cluster, id in
                     zip(*(strings(rows[name]) for name in ("group", "cluster", "id")), strict=True)])  # fmt: skip
    known, losses = _known(task, targets), np.full(rows.num_rows, np.nan)
    for number in range(FOLDS):
        asked, learned = np.flatnonzero(fold == number), np.flatnonzero((fold != number) & known)
        if len(asked) and len(learned):
            losses[asked] = _head_losses(task, features, counts, targets, learned, asked)
    return np.where(known, losses, np.nan)


def _features(model: Any, base: Any, rows: pa.Table, console: Console) -> tuple[list[Any], list[int], Sequence[Any]]:
    """States (r, C) of each example's r rows of logits, their number, and the targets, on the base's own weights."""
    from metier.train.methods.frozen import embed, embed_parts
    from metier.train.network import Shape, load, load_tokenizer

    task = model.task
    spans = task.pooling("mean") == "spans"
    network = load(base, Shape(1, "regression", "spans" if spans else "mean", rows=task.rows), 0)
    network.to(next(model.module.parameters()).device)
    encoder = replace(model.encoder, tokenizer=load_tokenizer(base))
    encoded = task.encode(encoder, rows, console)
    targets = task.targets(rows, encoded)
    with console.progress("embedding with the base", rows.num_rows, "texts") as meter:
        if task.rows == PARTS:
            features = embed_parts(network, encoded, model.limit, meter)
        elif spans:
            features = [one.reshape(1, -1) for one in embed_parts(network, encoded, model.limit, meter)]
        else:
            features = list(embed(network, encoded, model.limit, meter)[:, None])
    return features, [len(one) for one in features], targets


def _head_losses(
    task: Any, features: list[Any], counts: list[int], targets: Sequence[Any], learned: Array, asked: Array
) -> Array:
    """Fit a linear head on the examples `learned` with the task's own loss; the losses of `asked`."""
    import torch

    def chosen(some: Array) -> tuple[Any, list[int], list[Any]]:
        return torch.cat([features[i] for i in some]) * SCALE, [counts[i] for i in some], [targets[i] for i in some]

    states, sizes, gold = chosen(learned)
    layer = torch.nn.Linear(states.shape[1], task.outputs)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = task.loss(layer(states), sizes, gold, 0.0).mean() + DECAY * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    states, sizes, gold = chosen(asked)
    with torch.no_grad():
        return np.asarray(task.loss(layer(states), sizes, gold, 0.0).double().numpy())


def _known(task: Any, targets: Sequence[Any]) -> Array:
    """(n,) of bool: whether training could have learned the example's answer."""
    import torch

    if task.profile(task.config).answer == "answers":
        from metier.train.tasks.extract import START

        return np.array([bool((table[:, START] >= 0).any()) for table in targets], dtype=bool)
    if isinstance(targets, torch.Tensor) and targets.dtype == torch.int64:
        return np.asarray((targets >= 0).numpy())
    return np.ones(len(targets), dtype=bool)
