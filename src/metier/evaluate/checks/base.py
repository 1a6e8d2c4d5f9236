"""What a check is given, and what it must say.

Purpose: one contract for all of them. `ask` has the models and stores tables; `judge` has no model, only those
tables, the test examples and the stored predictions, so that a verdict can be replayed. A check that cannot say
anything about a task or about so few items says why (`unfit`, `Findings.missing`), never a number that means nothing.
Trade-off: findings are plain words, figures and tables in a fixed form, so that the report shows a check that it has
never heard of; a check with a picture of its own must bring it as a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from metier.artifact import Artifact
from metier.console import Console
from metier.errors import UserError, nearest
from metier.evaluate.compare import Setting
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.items import RANKING, Items
from metier.evaluate.wording import Both
from metier.tables import read
from metier.train.config import TaskConfig, TrainConfig
from metier.train.tasks import profile

Model = Literal["tuned", "base"]


@dataclass(frozen=True)
class Asked:
    """The models and all data, for `Check.ask`."""

    config: EvaluateConfig
    task: TaskConfig
    train: TrainConfig
    seed: int
    examples: Artifact
    trained: Artifact
    console: Console
    near: Path | None = None  # a base named by a relative path starts here
    predictions: Artifact | None = None  # what every model answered to the test set
    folder: Path | None = None  # of the unfinished artifact: what a check keeps here is there again after a crash
    documents: Artifact | None = None  # what was read, with every column that the examples do not keep

    @cached_property
    def parts(self) -> dict[str, pa.Table]:
        """Examples of `train`, `validation` and `test`."""
        table = read(self.examples.path / "examples.parquet")
        return {name: table.filter(pc.equal(table["split"], name)) for name in ("train", "validation", "test")}

    @cached_property
    def tuned(self) -> Any:
        """The tuned model, a `metier.train.model.TunedModel`."""
        from metier.train import model

        return model.load(self.trained.path / "model", self.train.device)

    @cached_property
    def base(self) -> Any:
        """The untouched base's files, a `metier.train.bases.Base`."""
        from metier.train import bases

        return bases.resolve(self.train.base_model, self.train.revision, self.near)

    @cached_property
    def embedded(self) -> dict[str, Any]:
        """The base's embeddings of the training and validation split, once they are known (see probe.py)."""
        return {}

    @cached_property
    def classes(self) -> list[str]:
        """The labels known in training, in the order of the scores; empty where the task has none."""
        return list(getattr(self.tuned.task, "classes", []))

    def stored(self, model: str) -> pa.Table:
        """Rows of `predict.PREDICTIONS` that a model gave to `parts["test"]`, in its order; UserError without any."""
        assert self.predictions is not None
        table = read(self.predictions.path / "predictions.parquet")
        known = pc.unique(table["model"]).to_pylist()
        if model not in known:
            raise UserError(f"no model '{model}' answered the test set", "evaluate", nearest(model, known))
        mine = table.filter(pc.equal(table["model"], model))
        return mine.take(pc.index_in(self.parts["test"]["id"].combine_chunks(), value_set=mine["id"].combine_chunks()))

    def answer(self, model: Model, rows: pa.Table) -> pa.Table:
        """Rows of `predict.PREDICTIONS`: what a model answers to rows like those of `parts["test"]`, in their order.

        base: asked in the best way that costs no tuning (probe.py), which is fitted anew with each call: ask once with
        all rows rather than often. Changed rows keep the columns of their example; ids need not differ.
        """
        from metier.evaluate import predict, probe

        ids = predict.strings(rows["id"])
        if profile(self.task).kind == RANKING:
            return self._rank(model, rows, ids)
        if model == "tuned":
            decoded, _ = self.tuned.predict(rows, self.console)
            return predict.answers_table({"tuned": probe.as_prediction(decoded)}, ids)
        data = predict.floor_data(self.parts["train"], self.task, self.classes, test=rows)
        parts = {**self.parts, "test": rows}
        for name, _, _, _, answer in probe.ask(
            parts, data, self.task, self.seed, self.base, self.tuned, self.console, self.embedded
        ):
            if name == "base":
                return predict.answers_table({"base": answer}, ids)
        raise AssertionError("the probe gave no answers")

    def _rank(self, model: Model, rows: pa.Table, ids: list[str]) -> pa.Table:
        """Passages of the corpus that the test queries were asked of, for the queries of these rows."""
        from metier.evaluate import predict, retrieval
        from metier.evaluate.floors.base import FloorPrediction
        from metier.train.model import untouched

        passages = predict.strings(retrieval.corpus(self.parts, self.config.corpus == "all")["text"])
        asked = self.tuned if model == "tuned" else untouched(self.tuned, self.base)
        ranked, _ = retrieval.ranked_by(asked, predict.strings(rows["pair"]), passages, self.console)
        return predict.answers_table({model: FloorPrediction(ranked=ranked)}, ids)


@dataclass(frozen=True)
class Told:
    """What stands on disk, for `Check.judge`."""

    config: EvaluateConfig
    task: TaskConfig
    seed: int
    rows: pa.Table  # test examples
    models: Mapping[str, Items]  # their stored answers, by model
    classes: Sequence[str]
    setting: Setting  # groups, alpha, power, resamples, seed


@dataclass(frozen=True)
class Figure:
    """One number with its interval; `value` is None where there is no data. It may stand in `evaluate.accept`.

    percent: shown as a percentage, a difference of shares as points.
    """

    title: Both
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    better: Literal["higher", "lower"] = "lower"
    percent: bool = False


def largest(figures: Iterable[Figure]) -> Figure:
    """The one with the largest value, called so: under its own name it would look like the same figure twice."""
    found = max(figures, key=lambda one: one.value or 0.0)
    return replace(found, title=(f"largest of these: {found.title[0]}", f"其中最大：{found.title[1]}"))


@dataclass(frozen=True)
class Table:
    """Rows of cells for the report. A cell is a string, a number, a Figure, a pair (English, Chinese), None for "no
    data", or `quote(text)` or `marked(text, ...)` for a text of the data, which the report hides where it must show
    none."""

    title: Both
    heads: Sequence[Both]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Findings:
    """What a check found. said: sentences, the worst first. warnings: for the first page. missing: why there are no
    figures, where there are none."""

    title: Both
    figures: Mapping[str, Figure] = field(default_factory=dict)
    said: Sequence[Both] = ()
    warnings: Sequence[Both] = ()
    tables: Sequence[Table] = ()
    missing: Both | None = None


class Check(Protocol):
    """Behind the door `check`: an object without state; its settings are a section of `evaluate` under its name."""

    title: Both
    figures: Mapping[str, Literal["higher", "lower"]]
    """Names of all figures that it may give, and which way is better: criteria are checked against them before
    anything runs."""

    def unfit(self, task: TaskConfig) -> Both | None:
        """Why it says nothing about a task, or None."""
        ...

    def ask(self, asked: Asked) -> Mapping[str, pa.Table]:
        """Ask the models; returns tables by name, which are stored."""
        ...

    def judge(self, stored: Mapping[str, pa.Table], told: Told) -> Findings:
        """Figures and sentences, from what is stored alone."""
        ...


LEVELS = 3  # strengths of a mark that a reader can tell apart


def marked(text: str, weights: Sequence[tuple[int, int, float]]) -> dict[str, Any]:
    """A cell that holds a text of the data with words marked by weight: characters start to end (exclusive), in order.

    A piece has a level from -3 (against) to 3 (for), in thirds of the largest weight; less than a sixth of it is 0.
    """
    most = max((abs(weight) for _, _, weight in weights), default=0.0) or 1.0
    pieces: list[dict[str, Any]] = []
    at = 0
    for start, end, weight in weights:
        level = round(LEVELS * weight / most)
        for words, strength in ((text[at:start], 0), (text[start:end], level)):
            if words and pieces and pieces[-1]["level"] == strength:
                pieces[-1]["text"] += words
            elif words:
                pieces.append({"text": words, "level": strength})
        at = end
    if at < len(text):
        pieces.append({"text": text[at:], "level": 0})
    return {"marked": pieces}


def quote(text: str) -> dict[str, str]:
    """A cell that holds a text of the data."""
    return {"quote": text}
