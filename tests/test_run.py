"""Whole runs on a base of two layers: what is reused, what runs again and why, and what comes out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metier import tables
from metier.artifact import Artifact, Store
from metier.checking import check
from metier.console import Console
from metier.errors import UserError
from metier.finding import find_recipe, shipped_names
from metier.recipe import load, parse
from metier.run import OPTIONAL, ORDER, PARENTS, VERSIONS, Context, run, why
from small import NO_NET, Answer, process, rows, write_csv, write_recipe

Metier = Callable[..., Answer]


def again(*overrides: str, until: str = "report") -> tuple[set[str], dict[str, Artifact]]:
    """Run recipe.yaml of the working folder; (stages that ran, all stages)."""
    context = Context(Path(), Store(Path(".metier/store")), Path("runs"), Console(quiet=True))
    return context.fresh, run(load(Path("recipe.yaml"), overrides), context, until)


def results(name: str = "small") -> dict[str, Any]:
    return json.loads(Path("runs", name, "results.json").read_text(encoding="utf-8"))


def test_the_stages_and_their_parents() -> None:
    assert ORDER == ("collect", "prepare", "train", "predictions", "checks", "evaluate", "report") == tuple(VERSIONS)
    for position, stage in enumerate(ORDER):
        assert set(PARENTS[stage]) <= set(ORDER[:position])


# -- what is reused ----------------------------------------------------------------------------------------------------


def test_a_second_run_reuses_every_stage_in_another_folder_too(copied: Path) -> None:
    fresh, done = again()
    assert fresh == set() and set(done) == set(ORDER) - set(OPTIONAL)
    shutil.move("data.csv", "elsewhere.csv")
    shutil.move("elsewhere.csv", "data.csv")
    os.utime("data.csv", (1, 1))  # another date is not another file
    assert again()[0] == set()


def test_a_reused_run_imports_nothing_heavy_and_says_what_it_did(copied: Path) -> None:
    code = (
        "import atexit, sys\n"
        "heavy = ('torch', 'transformers', 'sklearn', 'scipy', 'accelerate', 'peft', 'trafilatura', 'pypdfium2')\n"
        "atexit.register(lambda: print('HEAVY', [name for name in heavy if name in sys.modules]))"
    )
    answer = process("run", "recipe.yaml", cwd=copied, code=code)
    assert answer.code == 0 and "HEAVY []" in answer.out, answer.text
    assert answer.err.count(": reused (") == 6 and "6 of 6 stages reused" in answer.err
    assert answer.out.startswith(("SIGN OFF: ", "CONDITIONAL: "))


def test_one_byte_of_an_input_file_runs_everything_again(copied: Path) -> None:
    before = again()[1]
    data = Path("data.csv").read_bytes()
    Path("data.csv").write_bytes(data.replace(b"lost", b"last", 1))
    fresh, done = again()
    assert fresh == set(ORDER) - set(OPTIONAL)
    assert all(done[stage].fingerprint != before[stage].fingerprint for stage in before)
    texts = tables.read(done["collect"].path / "documents.parquet")["text"].to_pylist()
    assert sum("last" in text for text in texts) == 1
    Path("data.csv").write_bytes(data)
    assert again()[0] == set()  # and back: the old artifacts are still there


def test_a_changed_criterion_judges_again_and_asks_no_model(copied: Path) -> None:
    fresh, _ = again("evaluate.accept=[accuracy >= 0.2]")
    assert fresh == {"evaluate", "report"}
    assert results()["verdict"]["reasons"][0]["criterion"] == "accuracy >= 0.2"
    pages = [path.read_text(encoding="utf-8") for path in Path("runs").glob("*/report.html")]
    assert len(pages) == 1 and "Changed after the answers were known" in pages[0]
    again()
    assert "Changed after" not in next(Path("runs").glob("*/report.html")).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("train.device=cpu", set()), ("train.threads=2", set()), ("train.checkpoint_seconds=5", set()),
        ("collect.workers=2", set()), ("report.language=zh", {"report"}), ("description=new words", {"report"}),
        ("evaluate.listed_cases=1", {"evaluate", "report"}),
        ("evaluate.floors=[majority]", {"predictions", "evaluate", "report"}),
    ],
)  # fmt: skip
def test_what_a_setting_runs_again(copied: Path, setting: str, expected: set[str]) -> None:
    fresh, _ = again(setting)
    assert fresh == expected


def test_a_run_stopped_in_the_middle_goes_on(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("metier.evaluate.predict.predict_all", stop)
        with pytest.raises(KeyboardInterrupt):
            again("seed=1")
    fresh, _ = again("seed=1")
    assert fresh == {"predictions", "evaluate", "report"}


# -- why ---------------------------------------------------------------------------------------------------------------


def reasons(*overrides: str) -> list[dict[str, Any]]:
    context = Context(Path(), Store(Path(".metier/store")), Path("runs"), Console(quiet=True))
    return why(load(Path("recipe.yaml"), overrides), context)


def test_why_says_reuse_then_the_differing_field_then_what_follows(copied: Path) -> None:
    assert [line["state"] for line in reasons()] == ["reuse"] * 6
    lines = reasons("train.epochs=3")
    assert [line["state"] for line in lines] == ["reuse", "reuse", "run", *["run after it"] * 3]
    assert lines[2]["differences"] == [{"field": "config.train.epochs", "was": 2.0, "is": 3.0}]


def test_why_names_the_changed_file_and_takes_the_nearest_artifact(copied: Path) -> None:
    again("train.epochs=1", "train.label_smoothing=0.2")
    lines = reasons("train.epochs=1", "train.label_smoothing=0.1")
    assert lines[2]["differences"] == [{"field": "config.train.label_smoothing", "was": 0.2, "is": 0.1}]
    write_csv(Path("data.csv"), rows(61))
    first = reasons()[0]
    assert first["state"] == "run" and {d["field"] for d in first["differences"]} == {"config.files"}
    assert first["differences"][0]["was"][1] == "data.csv" == first["differences"][1]["is"][1]


def test_why_with_an_empty_store_and_with_a_mistake(copied: Path) -> None:
    shutil.rmtree(".metier")
    first = reasons()[0]
    assert first["state"] == "run" and "nothing of this stage" in first["differences"][0]["note"]
    assert not Path(".metier").exists()  # nothing was run
    with pytest.raises(UserError, match="there is no method called 'ful'"):
        reasons("train.method=ful")


def test_why_on_the_command_line(copied: Path, metier: Metier) -> None:
    answer = metier("why", "recipe.yaml", "train.epochs=3")
    assert answer.code == 0
    assert "  config.train.epochs: 2.0 -> 3.0\n" in answer.out and "predictions: run after it" in answer.out


# -- what comes out ----------------------------------------------------------------------------------------------------


def test_results_have_the_promised_figures(copied: Path) -> None:
    found = results()
    for name in ("tuned", "base", "tfidf", "majority", "zero_shot"):
        figure = found["models"][name]["accuracy"]
        assert set(figure) >= {"value", "low", "high", "n"}
        assert figure["n"] == 18 and 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
    assert found["models"]["tfidf"]["accuracy"]["value"] == 1.0  # the kinds have words of their own
    keys = {"metric", "model", "against", "difference", "low", "high", "p", "mde", "n"}
    assert found["comparisons"] and all(keys <= set(line) for line in found["comparisons"])
    assert {line["against"] for line in found["comparisons"]} == {"base", "zero_shot", "tfidf", "majority"}
    verdict = found["verdict"]
    assert verdict["decision"] in ("SIGN OFF", "CONDITIONAL") and verdict["headline"] and verdict["headline_zh"]
    assert [reason["criterion"] for reason in verdict["reasons"]] == ["accuracy >= 0.1"]
    assert found["data"]["test"] == 18 and found["fingerprints"]["train"] and found["name"] == "small"


def test_every_row_is_accounted_for(copied: Path) -> None:
    _, done = again()
    documents = tables.read(done["collect"].path / "documents.parquet")
    examples = tables.read(done["prepare"].path / "examples.parquet").to_pylist()
    rejected = tables.read(done["prepare"].path / "rejected.parquet")
    assert documents.num_rows == 60 == sum(len(row["document_ids"]) for row in examples) + rejected.num_rows
    predictions = tables.read(done["predictions"].path / "predictions.parquet").to_pylist()
    test = [row["id"] for row in examples if row["split"] == "test"]
    for model in ("tuned", "base", "zero_shot", "majority", "tfidf"):
        assert [row["id"] for row in predictions if row["model"] == model] == test


def bare(value: Any) -> Any:
    """Without what no two runs share: durations, memory, and what is counted from them."""
    unequal = {"peak_memory_mb", "per_hour", "energy", "joules_of_1000", "price_of_1000"}
    if isinstance(value, dict):
        return {k: bare(v) for k, v in value.items() if not k.endswith("seconds") and k not in unequal}
    return [bare(item) for item in value] if isinstance(value, list) else value


def test_the_same_seed_gives_the_same_bytes_and_needs_no_net(finished: Path, tiny_base: Path, tmp_path: Path) -> None:
    """In another process, another folder, another order of hashes, and with every connection refused."""
    work, site = tmp_path / "work", tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(NO_NET)
    write_csv(work / "data.csv", rows())
    write_recipe(work, tiny_base)
    code = "import socket\nassert socket.socket.connect.__name__ == 'refuse'"  # or the test would prove nothing
    answer = process("run", "recipe.yaml", cwd=work, code=code, PYTHONPATH=str(site), PYTHONHASHSEED="7",
                     HF_HUB_OFFLINE="0", ATTEMPTS=str(tmp_path / "attempts"))  # fmt: skip
    assert answer.code == 0 and "Traceback" not in answer.text, answer.text
    assert not (tmp_path / "attempts").exists(), (tmp_path / "attempts").read_text()
    for file in ("collect/documents.parquet", "prepare/examples.parquet", "train/model/model.safetensors",
                 "predictions/predictions.parquet", "evaluate/cases.parquet"):  # fmt: skip
        first, second = ((folder / "runs/small/artifacts" / file).read_bytes() for folder in (finished, work))
        assert first == second, file
    first, second = (json.loads((folder / "runs/small/results.json").read_text()) for folder in (finished, work))
    assert bare(first) == bare(second)
    assert json.dumps(first["models"]["tuned"]["accuracy"]) == json.dumps(second["models"]["tuned"]["accuracy"])


def test_another_seed_gives_another_model(copied: Path) -> None:
    before = again()[1]["train"].path / "model" / "model.safetensors"
    fresh, done = again("seed=1", until="train")
    assert fresh == {"prepare", "train"}
    assert (done["train"].path / "model" / "model.safetensors").read_bytes() != before.read_bytes()


def test_a_bare_table_needs_no_recipe(work: Path, tiny_base: Path, metier: Metier) -> None:
    write_csv(work / "messages.csv", rows())
    answer = metier("run", "messages.csv", "--task", "classify", f"train.base_model={tiny_base}", "train.epochs=1",
                    "train.threads=1", "evaluate.accept=[accuracy >= 0.05]", "collect.workers=1")  # fmt: skip
    assert answer.code == 0, answer.text
    assert results("messages")["models"]["tuned"]["accuracy"]["n"] == 12
    assert "[" not in answer.out and "\x1b" not in answer.text


def test_scores_and_several_labels(work: Path, tiny_base: Path, metier: Metier) -> None:
    data = [{"text": row["text"], "value": {"card": 1, "loan": 2.5, "transfer": 4}[row["label"]]} for row in rows(45)]
    write_csv(work / "values.csv", data)
    quick = (f"train.base_model={tiny_base}", "train.epochs=1", "train.threads=1", "collect.workers=1", "--quiet")
    answer = metier("run", "values.csv", "--task", "score", "evaluate.accept=[mae <= 100]", *quick)
    assert answer.code == 0, answer.text
    found = results("values")
    assert found["primary"] == "mae" and found["models"]["tuned"]["mae"]["n"] == 9
    assert set(found["models"]) == {"tuned", "base", "mean", "tfidf"}
    several = [
        {"text": row["text"], "label": row["label"] + ("|new" if i % 2 else "")} for i, row in enumerate(rows(45))
    ]
    write_csv(work / "several.csv", several)
    answer = metier("run", "several.csv", "task.multi_label=true", "evaluate.accept=[macro_f1 >= 0.0]", *quick)
    assert answer.code in (0, 3), answer.text
    assert results("several")["primary"] == "macro_f1"


# -- before anything is read -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "what", "fix"),
    [
        ({"task": "clasify"}, "no task called 'clasify'", "'classify'"),
        ({"train": {"method": "lorra"}}, "no method called 'lorra'", "'lora'"),
        ({"evaluate": {"floors": ["tf-idf"]}}, "no floor called 'tf-idf'", "'tfidf'"),
        ({"evaluate": {"accept": ["acuracy > 0.9"]}}, "no metric 'acuracy'", "'accuracy'"),
        ({"evaluate": {"accept": ["accuracy >= 90"]}}, "lies between 0 and 1", "90 %"),
        ({"task": {"name": "score", "multi_label": True}}, "only classify can be multi-label", ""),
        ({"collect": {"sources": []}}, "names no documents", "at least one"),
    ],
)
def test_mistakes_that_can_be_known_at_once(data: dict[str, Any], what: str, fix: str) -> None:
    with pytest.raises(UserError, match=what) as error:
        check(parse({"collect": {"sources": "a.csv"}, **data}))
    assert fix in error.value.fix


def test_a_base_that_is_not_there_is_told_before_the_reading(work: Path) -> None:
    context = Context(work, Store(work / "store"), work / "runs", Console(quiet=True))
    write_csv(work / "data.csv", rows(9))
    with pytest.raises(UserError, match="there is no base model called 'nowhere'"):
        run(parse({"collect": {"sources": "data.csv"}, "train": {"base_model": "nowhere"}}), context)
    assert not (work / "store").exists()
    run(parse({"collect": {"sources": "data.csv"}, "train": {"base_model": "nowhere"}}), context, until="prepare")
    assert (work / "store" / "prepare").exists()  # which needs no base


def test_a_criterion_on_a_label_that_is_not_there_is_told_before_training(work: Path, tiny_base: Path) -> None:
    write_csv(work / "data.csv", rows(30))
    recipe = load(write_recipe(work, tiny_base), ['evaluate.accept=["recall[lone] >= 0.5"]'])
    context = Context(work, Store(work / "store"), work / "runs", Console(quiet=True))
    with pytest.raises(UserError, match="there is no label 'lone'") as error:
        run(recipe, context)
    assert "'loan'" in error.value.fix and not (work / "store" / "train").exists()


def test_find_recipe(work: Path) -> None:
    write_csv(work / "data.csv", rows(9))
    (work / "deep").mkdir()
    (work / "deep" / "r.yaml").write_text("name: deep\ncollect: {sources: data.csv}\n")
    found, base = find_recipe("deep/r.yaml", overrides=["seed=4"])
    assert (found.name, found.seed, base) == ("deep", 4, Path("deep"))
    found, base = find_recipe("data.csv", "classify", ["seed=4"])
    assert found.collect.sources[0].columns == {"text": "text", "label": "label"} and base == work and found.seed == 4
    for name in shipped_names():
        for spelling in (name, f"{name}.yaml"):
            found, base = find_recipe(spelling)
            assert found.name == name.replace("/", "-") and (base / f"{name.split('/')[1]}.yaml").is_file()
    for name in ("../run", "/etc/passwd.yaml", "nothing", ""):
        with pytest.raises(UserError):
            find_recipe(name)
    with pytest.raises(UserError, match="for a bare data file") as error:
        find_recipe("deep/r.yaml", "score")
    assert "task=score" in error.value.fix


@pytest.mark.parametrize("name", ["mean", "majority"])
def test_the_constant_floor_fits_the_task(name: str) -> None:
    from metier.evaluate.config import EvaluateConfig
    from metier.evaluate.floors import floor_names
    from metier.train.config import TaskConfig

    assert floor_names(EvaluateConfig(floors=(name,)), TaskConfig()) == ["majority"]
    assert floor_names(EvaluateConfig(floors=(name,)), TaskConfig(name="score")) == ["mean"]


def test_words_for_labels_ask_no_training(copied: Path) -> None:
    fresh, _ = again("task.label_names={card: credit card}")
    assert fresh == {"predictions", "evaluate", "report"}


@pytest.mark.parametrize("lists", [[["x"], [], ["x"], []], [["x"]] * 4])
@pytest.mark.filterwarnings("ignore:Label .* is present in all training examples")
def test_a_multi_label_task_with_one_label_is_judged(lists: list[list[str]]) -> None:
    import numpy as np

    from metier.evaluate.floors import FloorData
    from metier.evaluate.probe import probe
    from metier.tables import EXAMPLES, table
    from metier.train.config import TaskConfig

    draw = np.random.default_rng(0)
    features = {"train": draw.normal(size=(4, 3)), "validation": np.zeros((0, 3)), "test": draw.normal(size=(2, 3))}
    data = FloorData(texts=["a"] * 4, label_lists=lists, classes=("x",))
    answer = probe(features, {"validation": table([], EXAMPLES)}, data, TaskConfig(multi_label=True), 0)
    assert answer.scores is not None and answer.scores.shape == (2, 1) and len(answer.label_lists or []) == 2
