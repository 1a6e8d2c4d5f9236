"""Each command as it is typed: what it prints, where, and how it exits."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import metier as package
from metier.recipe import Recipe, load
from small import Answer, process, rows, write_csv

Metier = Callable[..., Answer]
HEAVY = ("torch", "transformers", "pyarrow", "sklearn", "scipy", "numpy", "pandas")


def imported(program: str, folder: Path) -> set[str]:
    """Modules that are there when a program of its own has ended."""
    code = f"import sys\ntry:\n    {program}\nexcept SystemExit:\n    pass\nprint('MODULES', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return set(done.stdout.split("MODULES ")[1].split())


def test_importing_the_package_is_light(tmp_path: Path) -> None:
    assert package.__version__
    assert not imported("import metier", tmp_path) & {*HEAVY, "pydantic", "typer", "rich", "yaml"}


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["train", "--help"], []])
def test_help_is_light(tmp_path: Path, arguments: list[str]) -> None:
    found = imported(f"sys.argv = {['metier', *arguments]}; from metier.cli import main; main()", tmp_path)
    assert not found & {*HEAVY, "metier.recipe"} and "metier.cli.run" in found


def test_show_needs_no_model_library(copied: Path) -> None:
    for command in ("show", "why", "collect"):
        program = f"sys.argv = ['metier', '{command}', 'recipe.yaml']; from metier.cli import main; main()"
        assert not imported(program, copied) & {"torch", "transformers", "sklearn", "scipy"}, command


def test_help_names_every_command(metier: Metier) -> None:
    answer = metier("--help")
    assert answer.code == 0
    for name in ("run", "new", "show", "why", "schema", "collect", "prepare", "train", "evaluate", "report", "predict",
                 "runs", "bases", "answers"):  # fmt: skip
        assert f" {name} " in answer.out, name
    assert metier().code == 2 or "Usage" in metier().text
    unknown = metier("rnu")
    assert unknown.code == 2 and "rnu" in unknown.err and "Traceback" not in unknown.text


def test_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "metier", "schema"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["title"] == "Recipe"


def test_show_prints_the_whole_recipe(work: Path, metier: Metier) -> None:
    (work / "r.yaml").write_text("name: 中文\ntask: classify\ncollect: {sources: a.csv}\n", encoding="utf-8")
    answer = metier("show", "r.yaml", "train.learning_rate=1e-5", "evaluate.accept=[accuracy >= 0.5]")
    shown = yaml.safe_load(answer.out)
    assert answer.code == 0 and "name: 中文" in answer.out and answer.err == ""
    assert shown["train"]["learning_rate"] == 1e-5 and shown["evaluate"]["accept"] == ["accuracy >= 0.5"]
    (work / "again.yaml").write_text(answer.out, encoding="utf-8")
    assert load(work / "again.yaml") == load(work / "r.yaml", ["train.learning_rate=1e-5",
                                                              "evaluate.accept=[accuracy >= 0.5]"])  # fmt: skip


def test_schema(metier: Metier) -> None:
    made = json.loads(metier("schema").out)
    assert set(made["properties"]) == set(Recipe.model_fields)


def test_bases(metier: Metier) -> None:
    answer = metier("bases")
    assert answer.code == 0 and answer.out.startswith("minilm\tsentence-transformers/all-MiniLM-L6-v2\t")


# -- stages ------------------------------------------------------------------------------------------------------------

FILES = {
    "collect": ("documents.parquet", "rejected.parquet"),
    "prepare": ("examples.parquet", "rejected.parquet", "conflicts.parquet", "duplicates.parquet"),
    "train": ("model/metier.json", "model/model.safetensors", "history.json"),
    "evaluate": ("results.json", "cases.parquet"),
    "report": ("report.html", "results.json", "README.md"),
}


@pytest.mark.parametrize("stage", FILES)
def test_every_stage_has_its_command(copied: Path, metier: Metier, stage: str) -> None:
    answer = metier(stage, "recipe.yaml")
    assert answer.code == 0, answer.text
    place = Path(answer.out.strip())  # and nothing else on stdout
    assert place.parts[:3] == (".metier", "store", stage)
    answer = metier(stage, "recipe.yaml", "--output", f"out/{stage}", "--quiet")
    assert answer.code == 0 and answer.out == f"out/{stage}\n" and answer.err == ""
    for name in (*FILES[stage], "artifact.json"):
        assert (place / name).is_file() and (copied / "out" / stage / name).is_file(), name


def test_a_stage_runs_only_what_it_needs(work: Path, metier: Metier, finished: Path) -> None:
    (work / "data.csv").write_bytes((finished / "data.csv").read_bytes())
    (work / "recipe.yaml").write_bytes((finished / "recipe.yaml").read_bytes())
    answer = metier("prepare", "recipe.yaml")
    assert answer.code == 0 and sorted(os.listdir(work / ".metier/store")) == ["collect", "prepare"]
    assert not (work / "runs").exists()
    for word in ("documents", "normalize", "duplicates", "split"):  # the funnel
        assert f"\n  {word} " in answer.err


@pytest.mark.parametrize("name", ["inbox", "inbox/*.txt", "inbox/a.txt", "table.csv"])
def test_collect_takes_a_bare_path(work: Path, metier: Metier, name: str) -> None:
    (work / "inbox").mkdir()
    (work / "inbox/a.txt").write_text("first letter")
    (work / "inbox/b.txt").write_text("  ")
    (work / "inbox/c.bin").write_bytes(bytes(range(256)))
    write_csv(work / "table.csv", [*rows(3), {"text": "", "label": "card"}])
    answer = metier("collect", name, "--output", "out", "collect.workers=1")
    assert answer.code == 0 and answer.out == "out\n", answer.text
    documents, rejected = (pq.read_table(work / "out" / file).to_pylist()
                           for file in ("documents.parquet", "rejected.parquet"))  # fmt: skip
    assert all(row["source"] for row in [*documents, *rejected])
    counts = {"inbox": (1, 2), "inbox/*.txt": (1, 1), "inbox/a.txt": (1, 0), "table.csv": (3, 1)}[name]
    assert (len(documents), len(rejected)) == counts
    for row in rejected:
        assert row["reason"] and row["stage"] == "collect" and row["reason"] in answer.err  # counted on the screen


# -- exit codes --------------------------------------------------------------------------------------------------------


def test_reject_exits_3_with_the_verdict_on_stdout(copied: Path, metier: Metier) -> None:
    answer = metier("run", "recipe.yaml", "evaluate.accept=[accuracy >= 0.99]", "--quiet")
    assert answer.code == 3 and answer.out.startswith("REJECT: ") and answer.err == ""
    assert metier("report", "recipe.yaml", "evaluate.accept=[accuracy >= 0.99]").code == 0
    assert metier("run", "recipe.yaml").code == 0
    assert process("run", "recipe.yaml", "evaluate.accept=[accuracy >= 0.99]", cwd=copied).code == 3


@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_interrupted_exits_130_and_says_how_to_go_on(work: Path) -> None:
    program = (
        "import signal, sys, time\nfrom metier.collect import inputs\nfrom metier.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "inputs.hash_file = lambda path: (print('here', flush=True), time.sleep(60))\n"
        "sys.argv = ['metier', 'collect', 'data.csv']\nmain()"
    )
    write_csv(work / "data.csv", rows(3))
    with subprocess.Popen([sys.executable, "-c", program], cwd=work, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as running:  # fmt: skip
        assert running.stdout is not None and running.stdout.readline() == "here\n"
        time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    assert running.returncode == 130 and "run the same command to go on" in err and "Traceback" not in err


def test_a_reader_that_stops_listening_is_no_error(work: Path) -> None:
    done = subprocess.run(f"{sys.executable} -m metier schema | head -c 1", shell=True, cwd=work, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout == "{" and "Traceback" not in done.stderr


def test_stores_and_runs_elsewhere(copied: Path, metier: Metier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METIER_STORE", str(copied / "big disk" / "store"))
    assert metier("collect", "recipe.yaml").out.strip().startswith(str(copied / "big disk" / "store" / "collect"))
    monkeypatch.setenv("METIER_STORE", "")  # empty is not set
    assert metier("collect", "recipe.yaml").out.startswith(".metier/store/collect/")


# -- predict -----------------------------------------------------------------------------------------------------------


def test_predict_texts_files_and_folders(copied: Path, metier: Metier) -> None:
    answer = metier("predict", "small", "my card is lost", "what is the rate")
    assert answer.code == 0 and answer.out.splitlines()[0].split() == [
        "source",
        "text",
        "label",
        "confidence",
        "scores",
    ]
    assert "text 1" in answer.out and "my card is lost" in answer.out
    for name in ("runs/small/model", "runs/small"):  # a folder instead of a name
        assert metier("predict", name, "my card is lost").out.split()[-6:] == answer.out.splitlines()[1].split()[-6:]
    write_csv(copied / "new.csv", [{"message": row["text"]} for row in rows(5)])
    assert metier("predict", "small", "-i", "new.csv", "-o", "out/p.csv").code == 0
    with (copied / "out/p.csv").open(encoding="utf-8-sig", newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [row["source"] for row in found] == [f"new.csv#{n}" for n in range(1, 6)]
    assert all(row["label"] in ("card", "loan", "transfer") and 0 < float(row["confidence"]) <= 1 for row in found)
    assert metier("predict", "small", "-i", "new.csv", "-o", "p.jsonl").code == 0
    assert metier("predict", "small", "-i", "new.csv", "-o", "p.parquet").code == 0
    lines = [json.loads(line) for line in (copied / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["label"] for row in lines] == [row["label"] for row in found]
    assert pq.read_table(copied / "p.parquet")["label"].to_pylist() == [row["label"] for row in found]
    assert abs(sum(json.loads(lines[0]["scores"]).values()) - 1) < 1e-5


def test_predict_gives_what_the_run_stored(copied: Path, metier: Metier) -> None:
    examples = pq.read_table(copied / "runs/small/artifacts/prepare/examples.parquet").to_pylist()
    stored = {row["id"]: row["label"] for row in
              pq.read_table(copied / "runs/small/artifacts/predictions/predictions.parquet").to_pylist()
              if row["model"] == "tuned"}  # fmt: skip
    test = [row for row in examples if row["split"] == "test"]
    metier("predict", "small", *[row["text"] for row in test], "-o", "p.jsonl")
    lines = [json.loads(line) for line in (copied / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["label"] for row in lines] == [stored[row["id"]] for row in test]


def test_predict_chinese_into_a_file_that_spreadsheets_read(copied: Path, metier: Metier) -> None:
    (copied / "信.txt").write_text("我的卡丢了，请帮我。", encoding="utf-8")
    assert metier("predict", "small", "-i", "信.txt", "-o", "答.csv").code == 0
    data = (copied / "答.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") and "我的卡丢了，请帮我。" in data.decode("utf-8-sig")
