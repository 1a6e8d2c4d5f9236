"""A small model that was made to remember its training texts, and one that saw none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from tests.train.models import build_writer

from metier import tables
from metier.artifact import Artifact
from metier.console import Console
from metier.evaluate.checks import Asked, Told
from metier.evaluate.compare import Setting
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.resample import units
from metier.registry import lookup
from metier.train.config import TaskConfig, TrainConfig


def writer(folder: Path, task: TaskConfig, template: str = "") -> tuple[Any, Path]:
    """A random causal model as a TunedModel for a task that writes, and the folder of its base."""
    from metier.train import language
    from metier.train.encoding import Encoder
    from metier.train.model import TunedModel
    from metier.train.network import load_tokenizer

    base = build_writer("llama", folder, template)
    network = language.load(base, None, 0)
    encoder = Encoder(load_tokenizer(base), 256)
    made = lookup("task", task.name)(task, {})
    return TunedModel(network.eval(), made, lookup("method", "full"), encoder, 4096, False), base.path


def learn(model: Any, rows: pa.Table, steps: int, rate: float = 0.01) -> Any:
    """Full batches of the rows, as often as `steps`, through the model's own forward; returns the model."""
    import torch

    made = [one for family in model.task.encode(model.encoder, rows).items for one in family]
    ids = torch.full((len(made), max(map(len, made))), model.module.pad)
    labels = torch.full_like(ids, -100)
    for row, one in enumerate(made):
        ids[row, : len(one)] = torch.from_numpy(one.ids)
        learned = torch.from_numpy(one.weights) > 0
        labels[row, : len(one)][learned] = ids[row, : len(one)][learned]
    optimizer = torch.optim.AdamW(model.module.parameters(), lr=rate)
    with model.module.writing() as plain:
        for _ in range(steps):
            optimizer.zero_grad()
            plain(input_ids=ids, attention_mask=(ids != model.module.pad).long(), labels=labels).loss.backward()
            optimizer.step()
    return model


def examples(folder: Path, rows: list[dict[str, Any]]) -> Artifact:
    """An artifact of prepare with these examples."""
    tables.write(tables.table([{"id": f"e{i}", **row} for i, row in enumerate(rows)], tables.EXAMPLES),
                 folder / "examples.parquet")  # fmt: skip
    return Artifact(folder, "prepare", "0" * 32, {}, {}, {})


def asked(folder: Path, config: dict[str, Any], task: TaskConfig, base: Path, tuned: Any) -> Asked:
    """What a check is given; the examples and whatever training keeps lie in `folder`."""
    trained = Artifact(folder, "train", "1" * 32, {}, {}, {})
    given = Asked(
        EvaluateConfig.model_validate(config), task, TrainConfig(base_model=str(base), threads=1), 0,
        Artifact(folder, "prepare", "0" * 32, {}, {}, {}), trained, Console(quiet=True),
    )  # fmt: skip
    given.__dict__["tuned"] = tuned  # instead of loading it from a folder
    return given


def told(given: Asked, models: dict[str, Any] | None = None, classes: tuple[str, ...] = ()) -> Told:
    """What `judge` is given of the same run."""
    rows = given.parts["test"]
    unit = units([name or "" for name in rows["group"].to_pylist()])
    setting = Setting(unit, given.config.alpha, given.config.power, 200, 0)
    return Told(given.config, given.task, 0, rows, models or {}, classes, setting)
