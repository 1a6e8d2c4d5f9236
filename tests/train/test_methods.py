"""Every task with every method: it trains and saves what the method says, or it is refused by name."""

from __future__ import annotations

import importlib.util
import json
import math
from typing import Any

import numpy as np
import pytest
from tests.train.test_merging import rows

from metier import recipe as recipes
from metier.artifact import Artifact
from metier.checking import check
from metier.console import Console
from metier.errors import UserError
from metier.registry import names
from metier.tables import EXAMPLES, table, write
from metier.train import merging, model, pairs
from metier.train.config import TaskConfig, TrainConfig
from metier.train.quantization import quantized
from metier.train.stage import train

QUIET = Console(quiet=True)
# In each method's own folder: what must lie there, and what must not.
FILES = {
    "full": ({"model.safetensors"}, {"adapter_model.safetensors"}),
    "lora": ({"adapter_model.safetensors"}, {"model.safetensors", "quantization.json"}),
    "qlora": ({"adapter_model.safetensors", "quantization.json"}, {"model.safetensors"}),
    "frozen": ({"head.safetensors"}, {"adapter_model.safetensors", "model.safetensors"}),
}
# Elsewhere all tasks are trained with full, lora and frozen at length; these say the rest on each change.
QUICK = {("classify", "qlora"), ("tag", "qlora"), ("generate", "qlora")}
PAIRS = [(task, method) for task in names("task") for method in names("method")]


def refused(task: str, method: str) -> bool:
    return method in pairs.REFUSED.get(task, {})


@pytest.fixture
def examples(tmp_path) -> Artifact:
    write(table(rows(), EXAMPLES), tmp_path / "examples" / "examples.parquet")
    return Artifact(tmp_path / "examples", "prepare", "examples", {}, {}, {})


def config(method: str, path: Any, **more: Any) -> TrainConfig:
    return TrainConfig.model_validate({
        "base_model": str(path), "method": method, "epochs": 1, "batch_size": 8, "bf16": False, "device": "cpu", **more
    })  # fmt: skip


@pytest.mark.parametrize(
    ("task", "method"),
    [pytest.param(*pair, marks=() if pair in QUICK else pytest.mark.slow) for pair in PAIRS if not refused(*pair)],
)
def test_a_pair_trains_and_answers(task, method, base, writer, examples, tmp_path):
    writes = task in pairs.REFUSED
    source = writer("llama") if writes else base("bert")
    out = tmp_path / "out"
    summary = train(config(method, source.path), TaskConfig(name=task), 0, examples, out, QUIET)
    assert math.isfinite(summary["history"][-1]["train_loss"]) and summary["steps"] > 0
    files = {file.name for file in (out / "model").iterdir()}
    there, absent = FILES[method]
    assert there <= files and not absent & files
    assert (summary["trainable"] == summary["parameters"]) == (method == "full")
    assert json.loads((out / "model" / "metier.json").read_text())["needs_base"] == (method != "full")
    loaded = model.load(out / "model", "cpu")
    found = merging.answers(loaded, table(rows(), EXAMPLES))
    assert len(found) and np.isfinite(found).all()
    network = getattr(loaded.module, "base", [loaded.module])[0]
    assert bool(quantized(network.model)) == (method == "qlora")


@pytest.mark.parametrize(("task", "method"), [pair for pair in PAIRS if refused(*pair)])
def test_a_pair_that_cannot_work_is_refused_by_name_before_anything_is_read(task, method, writer, examples, tmp_path):
    recipe = recipes.parse(
        {"name": "x", "task": task, "train": {"method": method}, "collect": {"sources": ["nothing.csv"]}}
    )
    with pytest.raises(UserError, match=f"task {task} with method {method}"):
        check(recipe)
    with pytest.raises(UserError, match=f"task {task} with method {method}"):
        train(config(method, writer("llama").path), TaskConfig(name=task), 0, examples, tmp_path / "out", QUIET)


def test_all_pairs_are_walked() -> None:
    assert {method for _, method in PAIRS} >= set(FILES) and len({task for task, _ in PAIRS}) >= 10
    assert sum(refused(*pair) for pair in PAIRS) == sum(map(len, pairs.REFUSED.values())) > 0


@pytest.mark.parametrize(("task", "family"), [("generate", "bert"), ("classify", "t5"), ("tag", "bart")])
def test_a_base_of_another_kind_is_refused_or_trains(task, family, base, examples, tmp_path):
    """An encoder does not write; BART has no class for tags; T5 classifies."""
    given = config("qlora", base(family).path)
    if task == "classify":
        assert train(given, TaskConfig(name=task), 0, examples, tmp_path / "out", QUIET)["steps"] > 0
    else:
        with pytest.raises(UserError, match=r"cannot write|cannot be loaded as a tagger"):
            train(given, TaskConfig(name=task), 0, examples, tmp_path / "out", QUIET)


def test_a_missing_package_names_what_to_type(monkeypatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(pairs.importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else found(name))
    with pytest.raises(UserError, match=r"pip install \"metier\[qlora\]\""):
        pairs.check("classify", TrainConfig(method="qlora"))
    pairs.check("classify", TrainConfig(method="lora"))


def test_a_head_without_adapter_is_not_merged() -> None:
    with pytest.raises(UserError, match="cannot be merged"):
        pairs.check("classify", TrainConfig(method="frozen", save="merged"))
    pairs.check("classify", TrainConfig(method="full", save="merged"))
