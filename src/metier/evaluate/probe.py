"""What the base can do without tuning: a linear probe on its frozen embeddings, and zero-shot by label names.

Purpose: tuning is worth what it adds to the base, so the base gets the best use that costs no tuning: for texts a
logistic (ridge for scores) regression on their embeddings, for tagging one on the hidden states of their words, decoded
as the tuned model's are.
Trade-off: the probe tunes its regularisation on the validation split, as fair a use of the base as costs seconds.
A base that writes is asked just as the tuned model is. Not covered: prompts of its own for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from metier.console import Console
from metier.errors import need
from metier.evaluate.floors.base import FloorData, FloorPrediction
from metier.evaluate.items import WRITTEN
from metier.registry import lookup
from metier.train import bases
from metier.train.config import TaskConfig
from metier.train.tasks import Decoded, profile
from metier.train.tasks.base import PARTS, short_texts, softmax, strings

STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # inverse regularisation of the linear probe, chosen on validation
PART_STRENGTHS = (1.0, 10.0)  # likewise where every word of every text is an item
MOST_PARTS = 150_000  # words that such a probe learns from; more take minutes and hardly change a linear layer
ANSWER_STEPS, ANSWER_SCALE, ANSWER_DECAY = 60, 10.0, 1e-4  # of the probe of answers; the scale is that of `frozen`
Answer = tuple[str, str, str, float, FloorPrediction]  # name, title, how, start, answers


def ask(
    parts: dict[str, pa.Table], data: FloorData, task: TaskConfig, seed: int, base: bases.Base, tuned: Any,
    console: Console, known: dict[str, np.ndarray] | None = None,
) -> Iterator[Answer]:  # fmt: skip
    """The answers of the untouched base on the test split, one way of asking after the other.

    known: embeddings of the training and validation split; what is missing is computed and put in, so that whoever asks
    several times pays for it once.
    """
    start = time.monotonic()
    if profile(task).kind in WRITTEN:
        from metier.train.model import untouched

        how = f"{base.model} as it is, asked in the same way as the tuned model"
        decoded, _ = untouched(tuned, base).predict(parts["test"], console)
        yield "base", "untouched base", how, start, as_prediction(decoded)
        return
    embedder = Embedder(base, tuned, console)
    if profile(task).answer == "answers":
        how = (
            f"{base.model} as it is; a linear model of starts and ends on its frozen hidden states, fitted on training"
        )
        yield "base", "untouched base (linear probe)", how, start, probe_answers(embedder, parts, tuned, seed)
        return
    if tuned.task.rows == PARTS:
        how = f"{base.model} as it is; a linear model on its frozen hidden states, fitted on the training split"
        yield "base", "untouched base (linear probe)", how, start, probe_parts(embedder, parts, tuned, seed)
        return
    known = {} if known is None else known
    for name in ("train", "validation"):
        if name not in known:
            known[name] = embedder(parts[name])
    features = {**known, "test": embedder(parts["test"])}
    how = f"{base.model} as it is; a linear model on its frozen embeddings, fitted on the training split"
    yield "base", "untouched base (linear probe)", how, start, probe(features, parts, data, task, seed)
    if profile(task).zero_shot:
        start = time.monotonic()
        spoken = [task.label_names.get(label, label.replace("_", " ").replace("-", " ")) for label in data.classes]
        names = embedder(pa.table({"text": spoken}))
        scores = softmax(features["test"] @ names.T * 20.0)  # 20: the temperature sentence encoders are trained with
        how = f"{base.model} as it is; the label whose name is most similar to the text, no training at all"
        labels = [data.classes[k] for k in scores.argmax(1)]
        yield "zero_shot", "untouched base (zero-shot)", how, start, FloorPrediction(labels=labels, scores=scores)


class Embedder:
    """Embeddings of length 1 from the untouched base, with the windows of the tuned model."""

    def __init__(self, base: bases.Base, tuned: Any, console: Console) -> None:
        from metier.train.network import Shape, load, load_tokenizer

        self.tuned, self.console = tuned, console
        self.network = load(base, Shape(1, "regression", "mean", rows=tuned.task.rows), 0)
        self.network.to(next(tuned.module.parameters()).device)
        self.encoder = tuned.encoder.__class__(**{**vars(tuned.encoder), "tokenizer": load_tokenizer(base)})

    def __call__(self, part: pa.Table) -> np.ndarray:
        """(n, C) of texts."""
        from metier.train.methods.frozen import embed

        if not part.num_rows:
            return np.zeros((0, self.network.width))
        pairs = short_texts(self.tuned.task.config, part)
        encoded = self.encoder.encode(strings(part["text"]), pairs=pairs)
        return np.asarray(self._run(embed, encoded).double().numpy())

    def of_parts(self, encoded: Any) -> np.ndarray:
        """(R, C) float32 of the parts of texts, one text after the other."""
        from metier.train.methods.frozen import embed_parts

        return np.concatenate([one.numpy() for one in self._run(embed_parts, encoded)])

    def each_part(self, encoded: Any, examples: int = 32) -> Iterator[np.ndarray]:
        """As `of_parts`, a few texts at a time: the hidden states of all tokens of long texts would fill the memory."""
        for start in range(0, len(encoded), examples):
            yield self.of_parts(replace(encoded, items=encoded.items[start : start + examples]))

    def _run(self, function: Any, encoded: Any) -> Any:
        import torch

        device = next(self.network.parameters()).device.type
        with (
            self.console.progress("embedding with the base", len(encoded), "texts") as meter,
            torch.autocast(device, torch.bfloat16, enabled=self.tuned.bf16),
        ):
            return function(self.network, encoded, self.tuned.limit, meter)


def probe_parts(embedder: Embedder, parts: dict[str, pa.Table], tuned: Any, seed: int) -> FloorPrediction:
    """Logistic regression on the hidden states of parts; the figure that training watches chooses its strength."""
    import torch

    regression = need("sklearn.linear_model", "evaluate").LogisticRegression
    task, encoder = tuned.task, embedder.encoder
    learned = _some_parts(task, encoder, parts["train"], seed)
    encoded = task.encode(encoder, learned)
    gold = torch.cat(task.targets(learned, encoded)).numpy()
    features = embedder.of_parts(encoded)
    held, best, figure = parts["validation"], None, -1.0
    if held.num_rows:
        held_encoded = task.encode(encoder, held)
        held_features, held_gold = embedder.of_parts(held_encoded), task.targets(held, held_encoded)
    for strength in PART_STRENGTHS if held.num_rows else PART_STRENGTHS[-1:]:
        fitted = regression(C=strength, max_iter=200, random_state=seed).fit(features, gold)
        if held.num_rows:
            logits = torch.from_numpy(_log_probabilities(fitted, held_features, task.outputs))
            found = task.monitor(logits, held_encoded.counts(PARTS), held_gold)
            if found <= figure:
                continue
            figure = found
        best = fitted
    asked = task.encode(encoder, parts["test"])
    return as_prediction(task.decode(_log_probabilities(best, embedder.of_parts(asked), task.outputs), asked))


def probe_answers(embedder: Embedder, parts: dict[str, pa.Table], tuned: Any, seed: int) -> FloorPrediction:
    """The task's own loss over a linear layer on the hidden states of windows; the threshold is settled as in training.

    The loss is convex, so a few dozen steps of L-BFGS end at its least; a little weight decay keeps it there.
    """
    import torch

    task = lookup("task", tuned.task.config.name)(tuned.task.config, {})
    encoder = embedder.encoder
    learned = _some_parts(task, encoder, parts["train"], seed)
    encoded = task.encode(encoder, learned)
    targets, counts = task.targets(learned, encoded), encoded.counts(PARTS)
    states = torch.from_numpy(embedder.of_parts(encoded))
    layer = torch.nn.Linear(states.shape[1], task.outputs)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=ANSWER_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = task.loss(layer(states * ANSWER_SCALE), counts, targets, 0.0).mean()
        loss = loss + ANSWER_DECAY * layer.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        held = _some_parts(task, encoder, parts["validation"], seed) if parts["validation"].num_rows else None
        if held is not None:
            known = task.encode(encoder, held)
            rows = layer(torch.from_numpy(embedder.of_parts(known)) * ANSWER_SCALE)
            task.settle(rows, known.counts(PARTS), task.targets(held, known))
        asked = task.encode(encoder, parts["test"])
        found = [layer(torch.from_numpy(one) * ANSWER_SCALE).numpy() for one in embedder.each_part(asked)]
    return as_prediction(task.decode(np.concatenate(found), asked))


def _some_parts(task: Any, encoder: Any, table: pa.Table, seed: int) -> pa.Table:
    """Examples drawn from the seed, in their order, with at most MOST_PARTS parts in all (but at least one example)."""
    order = np.random.default_rng([seed, 5]).permutation(table.num_rows)
    sizes = np.array(task.encode(encoder, table).counts(PARTS))
    most = max(1, int(np.searchsorted(np.cumsum(sizes[order]), MOST_PARTS, side="right")))
    return table.take(pa.array(np.sort(order[:most])))


def _log_probabilities(fitted: Any, features: np.ndarray, outputs: int) -> np.ndarray:
    """(R, outputs) of float32; a tag that training did not show gets a probability that is as good as none."""
    table = np.full((len(features), outputs), -50.0, dtype=np.float32)
    if len(features):
        table[:, fitted.classes_] = fitted.predict_log_proba(features)
    return table


def as_prediction(decoded: Decoded) -> FloorPrediction:
    """A task's answers in the form that all models' answers are kept in."""
    return FloorPrediction(
        labels=decoded.labels or None, label_lists=decoded.label_lists or None, spans=decoded.spans or None,
        values=np.array(decoded.values) if decoded.values else None, scores=decoded.scores,
        texts=decoded.texts or None, finished=decoded.finished or None, bits=decoded.bits or None,
        bytes=decoded.bytes or None, tokens=decoded.tokens or None,
        margins=decoded.margins or None, raw_margins=decoded.raw_margins or None,
        rotations=decoded.rotations or None, option_bits=decoded.option_bits or None,
    )  # fmt: skip


def probe(
    features: dict[str, np.ndarray], parts: dict[str, pa.Table], data: FloorData, task: TaskConfig, seed: int
) -> FloorPrediction:
    """Logistic regression (ridge for score) on embeddings; regularisation chosen on validation, refitted on train."""
    need("sklearn", "evaluate")
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    answer = profile(task).answer

    def fit(strength: float) -> Any:
        if answer == "value":
            return Ridge(alpha=1 / strength).fit(features["train"], data.values)
        regression = LogisticRegression(C=strength, max_iter=1000, random_state=seed)
        if answer == "labels":
            return OneVsRestClassifier(regression).fit(
                features["train"], _indicator(data.label_lists or [], data.classes)
            )
        return regression.fit(features["train"], data.labels)

    def quality(fitted: Any) -> float:
        part = parts["validation"]
        gold: Any = strings(part["label"])
        if answer == "value":
            gold = part["value"].to_pylist()
        elif answer == "labels":
            gold = _indicator([row or [] for row in part["labels"].to_pylist()], data.classes)
        return float(fitted.score(features["validation"], gold))

    candidates = {strength: fit(strength) for strength in (STRENGTHS if len(features["validation"]) else (10.0,))}
    best = max(candidates, key=lambda c: quality(candidates[c])) if len(candidates) > 1 else next(iter(candidates))
    fitted = candidates[best]
    if answer == "value":
        return FloorPrediction(values=np.asarray(fitted.predict(features["test"]), dtype=float))
    scores = np.asarray(fitted.predict_proba(features["test"]))
    if answer == "labels":
        scores = scores[:, -len(data.classes) :]  # of a single label scikit-learn also gives the probability of "not"
        lists = [[data.classes[k] for k in np.flatnonzero(row >= 0.5)] for row in scores]
        return FloorPrediction(label_lists=lists, scores=scores)
    order = [list(fitted.classes_).index(label) for label in data.classes]
    scores = scores[:, order]
    return FloorPrediction(labels=[data.classes[k] for k in scores.argmax(1)], scores=scores)


def _indicator(lists: Sequence[Sequence[str]], classes: Sequence[str]) -> np.ndarray:
    return np.array([[label in row for label in classes] for row in lists], dtype=int)
