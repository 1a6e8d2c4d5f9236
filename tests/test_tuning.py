"""`metier plan`, `method: auto` and `metier tune` on whole small recipes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from metier.artifact import Store
from metier.console import Console
from metier.errors import UserError
from metier.recipe import load, parse
from metier.run import Context, identity, run, settled
from metier.tuning import tune
from small import Answer, rows, write_csv, write_recipe

Metier = Callable[..., Answer]
TUNE = """tune:
  trials: 6
  startup: 2
  space:
    train.learning_rate: {low: 1e-6, high: 1e-2, log: true}
    train.batch_size: [8, 16]
"""


@pytest.fixture
def prepared(tiny_base: Path, work: Path) -> Path:
    write_csv(work / "data.csv", rows(90))
    return write_recipe(work, tiny_base, TUNE)


def context(folder: Path, name: str = "store") -> Context:
    return Context(folder, Store(folder / name), folder / f"runs-{name}", Console(quiet=True))


def test_plan_trains_nothing_and_fits(prepared: Path, metier: Metier) -> None:
    answer = metier("plan", prepared)
    assert answer.code == 0 and "optimizer steps" in answer.out and "MB" in answer.out
    assert not (prepared.parent / ".metier/store/train").exists()


def test_plan_that_cannot_fit_exits_2(prepared: Path, metier: Metier, monkeypatch: pytest.MonkeyPatch) -> None:
    from metier.train import memory

    monkeypatch.setattr(memory, "available", lambda device: 300_000)
    monkeypatch.setattr(memory, "resident", lambda: 0)
    answer = metier("plan", prepared)
    assert answer.code == 2 and "more than is free" in answer.err and "train.max_batch_tokens" in answer.err


def test_auto_is_told_and_what_it_chose_is_the_identity(prepared: Path, metier: Metier) -> None:
    answer = metier("run", prepared, "train.method=auto", "report.language=en")
    assert "method: full, since" in answer.err
    view = prepared.parent / "runs/small"
    assert yaml.safe_load((view / "recipe.yaml").read_text())["train"]["method"] == "full"
    page = (view / "report.html").read_text(encoding="utf-8")
    assert "The recipe left the method open; full fine-tuning was chosen" in page
    record = json.loads((view / "artifacts/train/artifact.json").read_text())
    assert record["identity"]["config"]["train"]["method"] == "full"
    assert "are free" in record["summary"]["method_reason"]
    again = metier("train", prepared, "train.method=full")
    assert "train: reused" in again.err  # the same model, however it was chosen
    assert "reuse" in metier("why", prepared, "train.method=auto").out


def test_auto_before_there_are_examples_is_left_open(prepared: Path) -> None:
    recipe = load(prepared, ["train.method=full"])
    assert settled(recipe, context(prepared.parent)) is recipe


def test_tune_searches_on_validation_and_writes_a_recipe(
    prepared: Path, metier: Metier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metier.evaluate.predict.predict_all", lambda *given, **more: pytest.fail("the test was read"))
    answer = metier("tune", prepared)
    assert answer.code == 0, answer.err
    folder = prepared.parent / "runs/small.tune"
    with (folder / "trials.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert len(table) == 6 and {row["state"] for row in table} <= {"done", "pruned", "failed"}
    assert all(1e-6 <= float(row["train.learning_rate"]) <= 1e-2 for row in table)
    figures = json.loads((folder / "tune.json").read_text())
    done = [float(row["validation"]) for row in table if row["state"] == "done"]
    assert figures["best"] == max(done)
    best = load(folder / "best.yaml")
    if figures["settings"]:
        assert best.train.learning_rate == figures["settings"]["train.learning_rate"]
    monkeypatch.undo()
    monkeypatch.chdir(prepared.parent)
    reused = metier("train", folder / "best.yaml")
    assert reused.code == 0 and "train: reused" in reused.err  # a trial is an ordinary training
    assert "search: at most 6 trials" in answer.err and "6 of 6 trials are left" in answer.err
    assert (folder / "trials.db").is_file() and "train.batch_size: 8, 16" in answer.err
    again = metier("tune", prepared)
    assert again.code == 0 and "trial 7" not in again.err and "trial 1" not in again.err


def test_a_killed_search_ends_as_one_that_was_not(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metier import tuning

    recipe = load(prepared)
    tune(recipe, context(prepared.parent, "whole"))
    train, calls = tuning._train, []

    def stop(*given):
        calls.append(1)
        if len(calls) == 5:  # the recipe as it is, and three trials, are done
            raise KeyboardInterrupt
        return train(*given)

    monkeypatch.setattr(tuning, "_train", stop)
    with pytest.raises(KeyboardInterrupt):
        tune(recipe, context(prepared.parent, "killed"))
    monkeypatch.setattr(tuning, "_train", train)
    tune(recipe, context(prepared.parent, "killed"))
    tables = [(prepared.parent / f"runs-{name}/small.tune/trials.csv").read_text() for name in ("whole", "killed")]
    assert tables[0] == tables[1]


def test_a_trial_that_fails_is_counted_and_told(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metier import tuning

    train, calls = tuning._train, []

    def fail(*given):
        calls.append(1)
        if len(calls) == 2:  # the first trial
            raise UserError("training has diverged", "learning rate 1", "set a smaller one")
        return train(*given)

    monkeypatch.setattr(tuning, "_train", fail)
    folder = tune(load(prepared, ["tune.trials=2"]), context(prepared.parent))
    with (folder / "trials.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [row["state"] for row in table] == ["failed", "done"] and table[0]["error"] == "training has diverged"
    assert table[0]["train.learning_rate"]  # its settings are kept


def test_a_pruned_trial_leaves_no_model(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import optuna

    where = context(prepared.parent)
    recipe = load(prepared, ["train.epochs=6"])
    run(recipe, where, until="prepare")
    from metier.tuning import _train

    def give_up(line: dict[str, float]) -> None:
        raise optuna.TrialPruned

    with pytest.raises(optuna.TrialPruned):
        _train(recipe, where, give_up)
    assert not list((prepared.parent / "store/train").glob("*/"))
    assert _train(recipe, where)["epochs"] > 0 and where.watch is None


def test_the_search_is_part_of_no_stage(prepared: Path) -> None:
    recipe = load(prepared)
    where = context(prepared.parent)
    run(recipe, where, until="prepare")
    other = load(prepared, ["tune.trials=3"])
    assert identity("train", recipe, where) == identity("train", other, where)
    assert recipe.identity() == other.identity()


@pytest.mark.parametrize(
    ("space", "word"),
    [
        ({"train.learning_rate": {"low": 1, "high": 0}}, "must be below"),
        ({"train.learning_rate": {"low": 0, "high": 1, "log": True}}, "above 0"),
        ({"task.name": ["classify", "score"]}, "cannot be searched"),
        ({"train.base_model": ["a", "b"]}, "cannot be searched"),
        ({"train.epochs": [3]}, "at least two"),
    ],
)
def test_a_space_without_sense_is_refused(space: dict, word: str) -> None:
    with pytest.raises(UserError, match=word):
        parse({"collect": {"sources": ["a.csv"]}, "tune": {"space": space}})


def test_a_setting_that_does_not_exist_and_a_missing_validation_are_told(prepared: Path) -> None:
    with pytest.raises(UserError, match="no such key"):
        tune(load(prepared, ['tune.space={"train.lerning_rate": [1, 2]}']), context(prepared.parent))
    with pytest.raises(UserError, match="needs a validation split"):
        tune(load(prepared, ["prepare.split.validation=0"]), context(prepared.parent))
