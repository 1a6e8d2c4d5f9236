"""What a check is given, and what it must say.

Purpose: one contract for all of them. `ask` has the models and stores tables; `judge` has no model, only those
tables, the test examples and the stored predictions, so that a verdict can be replayed. A check that cannot say
anything about a task or about so few items says why (`unfit`, `Findings.missing`), never a number that means nothing.
Trade-off: findings are plain words, figures and tables in a fixed form, so that the report shows a check that it has
never heard of; a check with a picture of its own must bring it as a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from metier.artifact import Artifact
from metier.console import Console
from metier.evaluate.compare import Setting
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.items import Items
from metier.evaluate.wording import Both
from metier.tables import read
from metier.train.config import TaskConfig, TrainConfig

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
    def classes(self) -> list[str]:
        """The labels known in training, in the order of the scores; empty where the task has none."""
        return list(getattr(self.tuned.task, "classes", []))

    def answer(self, model: Model, rows: pa.Table) -> pa.Table:
        """Rows of `predict.PREDICTIONS`: what a model answers to rows like those of `parts["test"]`, in their order.

        base: asked in the best way that costs no tuning (probe.py), which is fitted anew with each call: ask once with
        all rows rather than often. Changed rows keep the columns of their example; ids need not differ.
        """
        from metier.evaluate import predict, probe

        ids = predict.strings(rows["id"])
        if model == "tuned":
            decoded, _ = self.tuned.predict(rows, self.console)
            return predict.answers_table({"tuned": probe.as_prediction(decoded)}, ids)
        data = predict.floor_data(self.parts["train"], self.task, self.classes, test=rows)
        parts = {**self.parts, "test": rows}
        for name, _, _, _, answer in probe.ask(parts, data, self.task, self.seed, self.base, self.tuned, self.console):
            if name == "base":
                return predict.answers_table({"base": answer}, ids)
        raise AssertionError("the probe gave no answers")


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


@dataclass(frozen=True)
class Table:
    """Rows of cells for the report. A cell is a string, a number, a Figure, a pair (English, Chinese), None for "no
    data", or `quote(text)` for a text of the data, which the report hides where it must show none."""

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


def quote(text: str) -> dict[str, str]:
    """A cell that holds a text of the data."""
    return {"quote": text}
