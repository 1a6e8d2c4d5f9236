"""Stands for the models where a check's statistics are tested: answers are what a function of the text says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from metier import tables
from metier.evaluate import load
from metier.evaluate.checks.base import Told
from metier.evaluate.compare import Setting
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.floors.base import FloorPrediction
from metier.evaluate.predict import answers_table
from metier.evaluate.resample import units
from metier.train.config import TaskConfig
from metier.train.tasks import Span, profile

Answering = Callable[[dict[str, Any]], Any]  # a row of examples -> label, value, spans or text


@dataclass
class FakeAsked:
    """What a check asks of `Asked`, answered by functions."""

    config: EvaluateConfig
    task: TaskConfig
    examples: list[dict[str, Any]]
    models: dict[str, Answering]
    classes: Sequence[str] = ()
    seed: int = 0
    documents: Any = None

    @property
    def parts(self) -> dict[str, pa.Table]:
        return {"train": self.table([]), "validation": self.table([]), "test": self.table(self.examples)}

    @staticmethod
    def table(rows: list[dict[str, Any]]) -> pa.Table:
        return tables.table(rows, tables.EXAMPLES)

    def answer(self, model: str, rows: pa.Table) -> pa.Table:
        given = [self.models[model](row) for row in rows.to_pylist()]
        column = profile(self.task).answer
        if column == "label":
            answer = FloorPrediction(labels=given)
        elif column == "value":
            answer = FloorPrediction(values=np.array(given))
        elif column == "spans":
            answer = FloorPrediction(spans=[[Span(*span) for span in spans] for spans in given])
        else:
            answer = FloorPrediction(texts=given, finished=[True] * len(given))
        return answers_table({model: answer}, rows["id"].to_pylist())

    def told(self, alpha: float = 0.05, resamples: int = 1000) -> Told:
        """The same models' answers to the test rows as they are."""
        rows = self.parts["test"]
        found = {
            model: load.of_answers(self.answer(model, rows), rows, profile(self.task).kind, self.classes, model, "")
            for model in self.models
        }
        setting = Setting(units(rows["group"].to_pylist()), alpha, 0.8, resamples, self.seed)
        return Told(self.config, self.task, self.seed, rows, load.same_classes(found), tuple(self.classes), setting)


def example(number: int, text: str, **more: Any) -> dict[str, Any]:
    """A test row."""
    return {"id": f"e{number}", "source": f"s#{number}", "split": "test", "text": text, **more}
