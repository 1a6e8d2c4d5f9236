"""A tagger that was trained here finds the names that another run de-identifies."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from metier import tables
from metier.tagging import identity
from small import Answer

Metier = Callable[..., Answer]
NAMES = ("zorbo", "quill", "mabel", "yusra", "丢丢", "卡请")  # no rule of ours takes any of them for a name


def sentence(draw: random.Random, name: str, number: int) -> str:
    return f"please send {name} to {draw.choice(['the', 'a', 'my'])} {draw.choice(['friend', 'house'])} {number}"


@pytest.fixture
def tagger(tiny_base: Path, work: Path, metier: Metier) -> Path:
    """A finished run `names` of the task `tag`; the folder that it was run in."""
    draw = random.Random(0)
    lines = []
    for number in range(90):
        name = draw.choice(NAMES)
        spans = [{"start": 12, "end": 12 + len(name), "label": "PER"}]
        lines.append(json.dumps({"text": sentence(draw, name, number), "spans": spans}, ensure_ascii=False))
    Path("names.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    Path("names.yaml").write_text(
        "name: names\ntask: tag\ncollect:\n  sources: [{path: names.jsonl, columns: {text: text}}]\n  workers: 1\n"
        f"train: {{base_model: {tiny_base}, epochs: 6, threads: 1, learning_rate: 0.005}}\n"
        'evaluate: {bootstrap: 200, accept: ["recall[PER] >= 0.1"]}\n', encoding="utf-8"
    )  # fmt: skip
    answer = metier("run", "names.yaml")
    assert answer.code == 0, answer.text
    return work


def test_its_names_are_replaced_and_it_is_part_of_the_identity(tagger: Path, metier: Metier) -> None:
    letters, draw = tagger / "letters", random.Random(1)
    letters.mkdir()
    rows = [
        {"text": sentence(draw, NAMES[number % 6], 100 + number), "label": "ab"[number % 2]} for number in range(30)
    ]
    (letters / "letters.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = letters / "letters.yaml"
    text = (
        "name: letters\ntask: classify\ncollect: {sources: letters.jsonl, workers: 1}\n"
        "prepare:\n  dedup: {near: false}\n  split: {by: stratified}\n"
        "  deidentify: {policy: placeholder, vault: safe, names: {context: false, model: NAMED}}\n"
    )
    recipe.write_text(text.replace(", model: NAMED", ""), encoding="utf-8")
    assert metier("prepare", recipe, "-o", "without").code == 0
    assert all(any(name in row["text"] for name in NAMES) for row in _examples("without"))

    recipe.write_text(text.replace("NAMED", "names"), encoding="utf-8")
    answer = metier("prepare", recipe, "-o", "with")
    assert answer.code == 0, answer.text
    left = [row["text"] for row in _examples("with") if any(name in row["text"] for name in NAMES)]
    assert len(left) <= 3, left  # a random base of two layers, a few seconds of training
    masked = [
        row["text"] for row in _examples("with") if "send [PERSON] to" in row["text"] or "【姓名】" in row["text"]
    ]
    assert len(masked) >= 25, [row["text"] for row in _examples("with")]
    record = json.loads(Path("with/artifact.json").read_text(encoding="utf-8"))
    trained = json.loads(Path("runs/names/artifacts/train/artifact.json").read_text(encoding="utf-8"))["fingerprint"]
    assert record["identity"]["config"]["prepare"]["deidentify"]["names"]["model"] == trained
    assert record["summary"]["deidentified"]["kinds"]["person"]["texts"] >= 27
    # Away from its run, it is known by its files.
    shutil.copytree(Path("runs/names/model"), tagger / "moved")
    moved = identity("moved")
    weights = next((tagger / "moved").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    assert len({trained, moved, identity("moved")}) == 3
    # The vault lies beside the recipe, as its other paths do, and not in the working folder.
    assert list((letters / "safe").glob("*.jsonl")) and not (tagger / "safe").exists()


def test_a_run_of_another_task_is_no_tagger(copied: Path, metier: Metier) -> None:
    answer = metier("prepare", "recipe.yaml", "prepare.deidentify={policy: mask, names: {model: small}}")
    assert answer.code == 2 and "this model does not tag" in answer.text


def _examples(folder: str) -> list[dict[str, str]]:
    return tables.read(Path(folder) / "examples.parquet").to_pylist()
