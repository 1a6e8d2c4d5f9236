"""A run is judged again from its stored answers: the same bytes, and what is said when they are not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from metier import tables
from metier.artifact import Artifact
from metier.console import Console
from metier.errors import UserError
from metier.replay import find_run, replay
from small import Answer, process

Metier = Callable[..., Answer]
# torch cannot be imported at all, nor what brings it.
NO_TORCH = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "accelerate", "peft"):
            raise ImportError(f"{name} is refused in this test")
sys.meta_path.insert(0, Refused())
"""


@pytest.fixture
def alone(finished: Path, work: Path) -> Path:
    """The run's folder by itself, its links followed but the model left out: no store, no data, no model."""
    shutil.copytree(finished / "runs" / "small", work / "small", ignore=shutil.ignore_patterns("model"))
    shutil.rmtree(work / "small" / "artifacts" / "train" / "model", ignore_errors=True)
    return work


def test_the_same_bytes_without_store_torch_or_the_same_hash_seed(alone: Path) -> None:
    shown = list(Artifact.load(alone / "small" / "artifacts" / "report").summary["files"])
    assert {"report.html", "results.json", "README.md"} < set(shown) and any("dossier/" in name for name in shown)
    before = {name: (alone / "small" / name).read_bytes() for name in shown}
    for seed in ("1", "77"):
        answer = process("replay", "small", "--output", f"new{seed}", cwd=alone, code=NO_TORCH, PYTHONHASHSEED=seed)
        assert answer.code == 0 and answer.out.startswith("the same, byte for byte: "), answer.text
        assert {name: (alone / f"new{seed}" / name).read_bytes() for name in shown} == before
    assert not list((alone / "small").rglob("*.safetensors")) and not (alone / ".metier").exists()


def test_links_into_the_store_do_as_well(copied: Path) -> None:
    found = replay(find_run("small"), Console(quiet=True))
    assert found.same and not found.differences and not found.versions
    assert {"evaluate/results.json", "evaluate/cases.parquet", "report.html", "results.json"} <= set(found.files)


def test_what_a_run_keeps_for_it(alone: Path) -> None:
    """The promise, the validation answers, and what was judged from them."""
    folder = alone / "small" / "artifacts"
    promised = json.loads((folder / "predictions" / "criteria.json").read_text(encoding="utf-8"))
    results = json.loads((alone / "small" / "results.json").read_text(encoding="utf-8"))
    assert promised["criteria"] == ["accuracy >= 0.1"]
    assert results["verdict"]["frozen"] == {**promised, "changed": False}
    judged = Artifact.load(folder / "evaluate")
    assert judged.identity["frozen"] == promised["sha256"]
    answers = tables.read(folder / "predictions" / "validation.parquet")
    examples = tables.read(folder / "prepare" / "examples.parquet").to_pylist()
    wanted = sorted(row["id"] for row in examples if row["split"] == "validation")
    assert answers["id"].to_pylist() == wanted and set(answers["model"].to_pylist()) == {"tuned"}
    assert results["calibration"]["validation"] == len(wanted) > 0


def test_a_changed_figure_is_named(alone: Path, metier: Metier) -> None:
    path = alone / "small" / "results.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    told["models"]["tuned"]["accuracy"]["value"] = 0.999
    tables.write_json(told, path)
    answer = metier("replay", "small")
    assert answer.code == 5
    assert "differs: results.json: models.tuned.accuracy.value: 0.999 in the run," in answer.out


def test_changed_answers_are_seen_in_every_file(alone: Path, metier: Metier) -> None:
    path = alone / "small" / "artifacts" / "predictions" / "predictions.parquet"
    rows = tables.read(path).to_pylist()
    for row in rows:
        row["label"] = "card"
    tables.write(tables.table(rows, tables.read(path).schema), path)
    answer = metier("replay", "small")
    assert answer.code == 5
    for name in ("evaluate/results.json", "report.html: from line", "README.md: from line"):
        assert f"differs: {name}" in answer.out


def test_what_is_missing_or_of_another_run_is_told(alone: Path) -> None:
    with pytest.raises(UserError, match="no finished run called 'other'"):
        find_run("other")
    record = alone / "small" / "run.json"
    told = json.loads(record.read_text(encoding="utf-8"))
    tables.write_json({**told, "stages": {**told["stages"], "prepare": {"fingerprint": "0" * 32}}}, record)
    with pytest.raises(UserError, match="belongs to another run"):
        replay(alone / "small", Console(quiet=True))
    tables.write_json(told, record)
    path = alone / "small" / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))
    tables.write_json({**results, "recipe": {**results["recipe"], "seed": 5}}, path)
    with pytest.raises(UserError, match="not the one that was run"):
        replay(alone / "small", Console(quiet=True))
    shutil.rmtree(alone / "small" / "artifacts" / "predictions")
    with pytest.raises(UserError, match="'predictions' wrote is not there"):
        replay(alone / "small", Console(quiet=True))


# -- metier verdict ----------------------------------------------------------------------------------------------------


def judged(folder: Path, **verdict: object) -> None:
    path = folder / "small" / "results.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    tables.write_json({**told, "verdict": {**told["verdict"], **verdict}}, path)


@pytest.mark.parametrize(
    ("decision", "changed", "code"),
    [("SIGN OFF", False, 0), ("REJECT", False, 3), ("CONDITIONAL", False, 4), ("SIGN OFF", True, 4)],
)
def test_the_exit_code_of_a_verdict(alone: Path, metier: Metier, decision: str, changed: bool, code: int) -> None:
    judged(alone, decision=decision, frozen={"changed": changed})
    answer = metier("verdict", "small")
    assert answer.code == code and answer.out.startswith(f"{decision}: ")
    assert "[yes] accuracy >= 0.1" in answer.out
    silent = metier("verdict", "small", "--quiet")
    assert (silent.code, silent.out) == (code, "")


def test_a_verdict_in_chinese_and_what_is_no_run(alone: Path, metier: Metier) -> None:
    assert "每 100 条文本中" in metier("verdict", "small", "--language", "zh").out
    for arguments, said in ((("nothing",), "no finished run"), (("small", "-l", "de"), "no language 'de'")):
        answer = metier("verdict", *arguments)
        assert answer.code == 2 and said in answer.err
    (alone / "small" / "results.json").write_text("{}", encoding="utf-8")
    assert "cannot be read" in metier("verdict", "small").err
