"""runs/<name>/: complete, repeatable, and never over something that is not ours."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from metier.artifact import Store
from metier.console import Console
from metier.errors import UserError
from metier.prediction import find_model
from metier.recipe import load, parse
from metier.run import Context, run
from metier.runs import all_runs, moved
from small import Answer, rows, write_csv

Metier = Callable[..., Answer]


def context(folder: Path, base: Path | None = None) -> Context:
    return Context(base or folder, Store(folder / ".metier/store"), folder / "runs", Console(quiet=True))


def test_the_view_is_complete(finished: Path) -> None:
    view = finished / "runs" / "small"
    assert {path.name for path in view.iterdir()} == {
        "report.html", "results.json", "README.md", "recipe.yaml", "run.json", "artifacts", "model", "dossier",
    }  # fmt: skip
    stages = {"collect", "prepare", "train", "predictions", "evaluate", "report"}
    assert {path.name for path in (view / "artifacts").iterdir()} == stages
    assert (view / "artifacts/prepare/examples.parquet").is_file() and (view / "model/metier.json").is_file()
    record = json.loads((view / "run.json").read_text())
    assert set(record["stages"]) == stages and not any(stage["reused"] for stage in record["stages"].values())
    page = (view / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") or page.lower().lstrip().startswith("<!doctype html>")
    assert str(finished) not in page and str(finished) not in (view / "results.json").read_text()


def test_links_stay_right_when_the_folder_moves(copied: Path) -> None:
    for path in [*(copied / "runs/small/artifacts").iterdir(), copied / "runs/small/model"]:
        assert path.is_symlink() and not os.path.isabs(os.readlink(path)) and path.is_dir()
        assert str(path.resolve()).startswith(str(copied.resolve()))


def test_its_recipe_repeats_the_run_from_where_it_lies(copied: Path) -> None:
    again = context(copied, copied / "runs" / "small")
    recipe = load(copied / "runs/small/recipe.yaml")
    assert recipe.collect.sources[0].path == "../../data.csv"
    run(recipe, again)
    assert again.fresh == set()
    assert load(copied / "runs/small/recipe.yaml") == recipe  # the view was written again, the same
    results = json.loads((copied / "runs/small/results.json").read_text())
    assert results["command"] == "metier run runs/small/recipe.yaml"


def test_a_second_run_of_one_name_replaces_the_first(copied: Path) -> None:
    (copied / "runs/small/left_over.txt").write_text("x")
    run(load(copied / "recipe.yaml", ["evaluate.accept=[accuracy >= 0.99]"]), context(copied))
    view = copied / "runs/small"
    assert not (view / "left_over.txt").exists() and not (copied / "runs/.small.new").exists()
    assert json.loads((view / "results.json").read_text())["verdict"]["decision"] == "REJECT"
    assert json.loads((view / "run.json").read_text())["stages"]["train"]["reused"]


def test_a_folder_of_somebody_else_is_left_alone_and_told_before_any_work(work: Path) -> None:
    write_csv(work / "data.csv", rows(9))
    (work / "r.yaml").write_text("name: mine\ncollect: {sources: data.csv}\n")
    (work / "runs/mine").mkdir(parents=True)
    (work / "runs/mine/thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="not written by Metier"):
        run(load(work / "r.yaml"), context(work))
    assert (work / "runs/mine/thesis.txt").read_text() == "years of work" and not (work / ".metier").exists()


def test_where_links_are_not_possible_a_file_names_the_folder(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("links need a right that this user has not")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    run(load(copied / "recipe.yaml"), context(copied))
    named = (copied / "runs/small/artifacts/train.path.txt").read_text(encoding="utf-8").strip()
    assert Path(named).is_dir() and (Path(named) / "artifact.json").is_file()
    monkeypatch.chdir(copied)
    for name in ("small", "runs/small"):
        assert (find_model(name) / "metier.json").is_file()
    with pytest.raises(UserError) as told:
        find_model("smal")
    assert "known runs: small" in told.value.fix


def test_runs_are_listed_with_their_verdict(copied: Path, metier: Metier) -> None:
    found = all_runs(copied / "runs", Console())
    assert [(row["name"], row["metric"]) for row in found] == [("small", "accuracy")] and 0 <= found[0]["value"] <= 1
    answer = metier("runs")
    assert answer.code == 0 and answer.out.splitlines()[0].split() == ["run", "verdict", "figure", "finished"]
    assert f"accuracy {found[0]['value']:.3f}" in answer.out
    (copied / "runs/broken").mkdir()
    (copied / "runs/broken/run.json").write_text("{}")  # without results: not a finished run
    assert len(all_runs(copied / "runs", Console())) == 1


@pytest.mark.parametrize(
    ("file", "content"),
    [("results.json", '{"prim'), ("results.json", "[]"), ("results.json", "{}"), ("run.json", "{}"), ("run.json", "")],
)
def test_a_damaged_run_is_named_and_the_others_are_listed(
    copied: Path, metier: Metier, file: str, content: str
) -> None:
    shutil.copytree(copied / "runs/small", copied / "runs/hurt", symlinks=True)
    (copied / "runs/hurt" / file).write_text(content)
    answer = metier("runs")
    assert answer.code == 0 and "Traceback" not in answer.text
    assert "runs/hurt is damaged and left out" in " ".join(answer.err.split())
    assert "small" in answer.out and "hurt" not in answer.out


def test_a_run_without_a_tuned_model_has_no_figure(copied: Path) -> None:
    file = copied / "runs/small/results.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"models": {}}), encoding="utf-8")
    assert [row["value"] for row in all_runs(copied / "runs", Console())] == [None]


def test_runs_may_be_a_link_to_a_folder_at_another_depth(copied: Path) -> None:
    shutil.rmtree(copied / "runs")
    (copied / "a/b/c").mkdir(parents=True)
    (copied / "runs").symlink_to(copied / "a/b/c", target_is_directory=True)
    run(load(copied / "recipe.yaml"), context(copied))
    view = copied / "runs/small"
    assert (view / "model/metier.json").is_file() and (view / "artifacts/train/artifact.json").is_file()
    again = context(copied, view)
    run(load(view / "recipe.yaml"), again)
    assert again.fresh == set()


def test_no_runs_yet(work: Path, metier: Metier, monkeypatch: pytest.MonkeyPatch) -> None:
    assert metier("runs").out == f"no runs in {work / 'runs'}\n"
    monkeypatch.setenv("METIER_RUNS", str(work / "other"))
    assert metier("runs").out == f"no runs in {work / 'other'}\n"


def test_paths_of_prepare_move_with_the_recipe(tmp_path: Path) -> None:
    recipe = parse({"collect": {"sources": [{"path": "texts"}]}, "prepare": {"correct": {"lexicon": "words.txt"}}})
    found = moved(recipe, tmp_path, tmp_path / "runs" / "one")
    assert found.collect.sources[0].path == "../../texts" and found.prepare.correct.lexicon == "../../words.txt"
