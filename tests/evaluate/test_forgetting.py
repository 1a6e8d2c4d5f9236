"""Forgetting: the bundled material is whole, the four sentences are true, and real models are asked end to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.train.models import build_writer

from metier.errors import UserError
from metier.evaluate.checks import general
from metier.evaluate.checks.base import Told
from metier.evaluate.checks.forgetting import UNMOVED, Forgetting, own_texts
from metier.evaluate.checks.general_answers import ANSWERS, embedded, holds, nearest_of
from metier.evaluate.compare import Setting
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.resample import units
from metier.train.config import TaskConfig
from small import Answer, write_csv


def test_the_bundled_material_is_whole() -> None:
    content = general.content()
    for language in general.LANGUAGES:
        texts = [text for _, text in general.paragraphs(language)]
        assert len(texts) == len(set(texts)) == 30 and len({topic for topic, _ in general.paragraphs(language)}) == 6
        assert all(len(text) > 40 for text in texts)
        assert all(len(set(endings)) == 4 for _, *endings in content["cloze"][language])
        assert all(accepted for _, *accepted in content["instructions"][language])
        assert all(len(set(one)) == 3 for one in content["similar"][language])
    assert all(char >= "一" or not char.isalpha() for one in content["cloze"]["zh"] for char in "".join(one))


@pytest.mark.parametrize(
    ("answer", "accepted", "right"),
    [("The capital is Paris.", ["Paris"], True), ("Parisian", ["Paris"], False), ("法国的首都是巴黎。", ["巴黎"], True),
     ("18", ["8"], False), ("3, 5 and 9", ["3, 5, 9"], False), ("3, 5, 9.", ["3, 5, 9"], True), ("", ["x"], False),
     ("\n\nGreen\nred", ["green"], True), ("red\ngreen", ["green"], False)],
)  # fmt: skip
def test_an_answer_holds_the_expected_word(answer: str, accepted: list[str], right: bool) -> None:
    assert holds(answer, accepted) == right


def test_vectors_that_mean_something_and_vectors_that_do_not() -> None:
    topic = {text: name for language in general.LANGUAGES for name, text in general.paragraphs(language)}
    similar = [one for language in general.LANGUAGES for one in general.content()["similar"][language]]
    meaning = {text: n for n, (first, same, _) in enumerate(similar) for text in (first, same)}
    axes = {name: n for n, name in enumerate(sorted(set(topic.values())))}

    def knowing(texts: list[str]) -> np.ndarray:
        places = [axes[topic[text]] if text in topic else 10 + meaning.get(text, 90) for text in texts]
        return np.eye(120)[places]

    def blind(texts: list[str]) -> np.ndarray:
        made = np.random.default_rng(0).normal(size=(len(texts), 50))
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    assert all(row["right"] for row in embedded(knowing, "tuned"))
    share = np.mean([row["right"] for row in embedded(blind, "tuned") if row["kind"] == "topics"])
    assert share < 0.4  # by chance 4 of 29
    assert list(nearest_of(np.array([[1.0, 0], [0.9, 0.1], [0, 1]]))) == [1, 0, 1]


def told(**settings: Any) -> Told:
    setting = Setting(units([""]), 0.05, 0.8, 500, 0)
    config = EvaluateConfig(forgetting=settings)
    return Told(config, TaskConfig(name="generate"), 0, pa.table({"id": ["a"]}), {}, (), setting)


def shares(kind: str, base: list[bool], tuned: list[bool], language: str = "en") -> list[dict[str, Any]]:
    return [{"kind": kind, "language": language, "item": n, "model": model, "right": bool(right), "asked": f"q{n}",
             "written": f"{model} {n}"}
            for model, some in (("tuned", tuned), ("base", base)) for n, right in enumerate(some)]  # fmt: skip


def bits(shift: float, n: int = 60, noise: float = 0.02) -> list[dict[str, Any]]:
    random = np.random.default_rng(0)
    cost = random.uniform(100, 200, n)
    more = cost * (1 + shift + noise * random.normal(size=n))
    return [{"kind": "bits_per_byte", "language": "en" if k < n / 2 else "zh", "item": k, "model": model,
             "bits": float(some[k]), "bytes": 150}
            for model, some in (("tuned", more), ("base", cost)) for k in range(n)]  # fmt: skip


def judged(rows: list[dict[str, Any]], **settings: Any) -> Any:
    return Forgetting().judge({"answers": pa.Table.from_pylist(rows, schema=ANSWERS)}, told(**settings))


def test_each_sentence_is_told_when_it_is_true() -> None:
    right = [k % 4 != 0 for k in range(400)]
    lost = [one and k % 5 != 0 for k, one in enumerate(right)]  # about 15 of 100 fewer
    few = [one and k % 33 != 1 for k, one in enumerate(right)]
    same = judged([*shares("cloze", right, right), *bits(0.0)])
    assert all("not worse by more than the margin" in said[0] for said in same.said) and not same.warnings
    assert same.figures["cloze"].value == 0 and same.figures["cloze"].low > -0.05
    assert same.figures["bits_per_byte"].low < 0 < same.figures["bits_per_byte"].high
    much = judged([*shares("cloze", right, lost), *bits(0.3)])
    assert all("worse by more than the margin" in said[0] and "超过允许" in said[1] for said in much.said)
    assert len(much.warnings) == 2 and much.figures["bits_per_byte"].low > 0.05
    assert much.figures["cloze"].value == pytest.approx(-0.15, abs=0.01)
    little = judged(shares("cloze", right, few), margin=0.02)
    assert "worse, but perhaps within the margin" in little.said[0][0] and little.warnings
    unclear = judged(shares("cloze", right[:30], right[:30]))
    assert "too few items" in unclear.said[0][0] and not unclear.warnings  # no difference seen, and no promise made


def test_languages_are_told_apart_and_lost_instructions_are_shown() -> None:
    english = shares("instructions", [True] * 20, [True] * 20)
    chinese = shares("instructions", [True] * 20, [k >= 12 for k in range(20)], "zh")
    chinese = [{**row, "item": row["item"] + 20} for row in chinese]
    found = judged([*english, *chinese])
    assert found.figures["instructions_en"].value == 0 and found.figures["instructions_zh"].value == -0.6
    assert found.figures["instructions"].value == pytest.approx(-0.3)
    lost = found.tables[1]
    assert lost.title[0] == "Forgotten instructions (12)" and len(lost.rows) == 10
    assert lost.rows[0] == [{"quote": "q0"}, {"quote": "base 0"}, {"quote": "tuned 0"}]
    assert set(found.figures) <= set(Forgetting.figures)


def test_texts_of_your_own(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One.\nStill one.\n\n\nTwo.\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("id,text\n1,三\n2,\n", encoding="utf-8")
    pq.write_table(pa.table({"text": ["four", None]}), tmp_path / "c.parquet")
    (tmp_path / "d.jsonl").write_text('{"text": "five"}\n', encoding="utf-8")
    files = ("a.txt", "b.csv", "c.parquet", "d.jsonl")
    assert own_texts(files, tmp_path, 99, 0) == ["One.\nStill one.", "Two.", "三", "four", "five"]
    assert len(own_texts(files, tmp_path, 2, 0)) == 2 and own_texts(files, tmp_path, 2, 0) == own_texts(
        files, tmp_path, 2, 0
    )
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "none.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.txt").write_text(" \n\n")
    for name, message in (("bad.txt", "UTF-8"), ("none.csv", "no column `text`"), ("empty.txt", "no text")):
        with pytest.raises(UserError, match=message):
            own_texts((name,), tmp_path, 9, 0)


def test_a_model_that_writes_from_end_to_end(work: Path, metier: Callable[..., Answer]) -> None:
    build_writer("qwen2", work / "base")
    write_csv(Path("data.csv"), [{"text": f"The bank lends money in case {i}. " * 3} for i in range(36)])
    Path("own.txt").write_text("A text of our own.\n\nAnother one.", encoding="utf-8")
    Path("recipe.yaml").write_text(
        "name: kept\ntask: pretrain\ncollect:\n  sources: [{path: data.csv}]\n  workers: 1\n"
        "train: {base_model: base, epochs: 1, threads: 1, max_length: 128}\n"
        "evaluate: {bootstrap: 200, checks: [robustness, forgetting], floors: [],\n"
        "  forgetting: {texts: [own.txt], max_new_tokens: 4}, accept: ['bits_per_byte < 9']}\n",
        encoding="utf-8",
    )
    answer = metier("run", "recipe.yaml")
    assert answer.code == 0, answer.text
    checks = json.loads(Path("runs/kept/results.json").read_text(encoding="utf-8"))["checks"]
    assert "goes on reading" in checks["robustness"]["missing"]["en"]
    figures = checks["forgetting"]["figures"]
    assert figures["bits_per_byte"]["n"] == 62 and figures["bits_per_byte_own"]["n"] == 2
    assert figures["cloze"]["n"] == 48 and figures["instructions"]["n"] == 40
    assert figures["bits_per_byte"]["value"] < 0  # a random base learns at least how often which byte stands
    Path("own.txt").write_text("Another text.", encoding="utf-8")
    told = metier("why", "recipe.yaml")
    assert "checks" in told.text and "files.forgetting" in told.text, told.text  # its content is part of the identity


def test_an_encoder_from_end_to_end(tiny_base: Path, work: Path, metier: Callable[..., Answer]) -> None:
    write_csv(Path("data.csv"), [{"text": f"my {'card' if i % 2 else 'loan'} number {i}",
                                  "label": "card" if i % 2 else "loan"} for i in range(60)])  # fmt: skip
    Path("recipe.yaml").write_text(
        "name: kept\ntask: classify\ncollect:\n  sources: [{path: data.csv}]\n  workers: 1\n"
        f"train: {{base_model: {tiny_base}, epochs: 1, threads: 1}}\n"
        "evaluate: {bootstrap: 200, checks: [forgetting], accept: ['accuracy >= 0.01']}\n",
        encoding="utf-8",
    )
    answer = metier("run", "recipe.yaml")
    assert answer.code == 0, answer.text
    block = json.loads(Path("runs/kept/results.json").read_text(encoding="utf-8"))["checks"]["forgetting"]
    assert block["figures"]["topics"]["n"] == 60 and block["figures"]["similar"]["n"] == 24
    frozen = metier("run", "recipe.yaml", "train.method=frozen", "name=frozen")
    assert frozen.code == 0, frozen.text
    block = json.loads(Path("runs/frozen/results.json").read_text(encoding="utf-8"))["checks"]["forgetting"]
    assert block["said"][0]["en"] == UNMOVED[0] and not block["figures"]


def test_an_encoder_that_reads_on_is_asked_for_hidden_words_alone(
    tiny_base: Path, work: Path, metier: Callable[..., Answer]
) -> None:
    write_csv(Path("data.csv"), [{"text": f"the loan rate for a new house is {i} " * 3} for i in range(40)])
    Path("recipe.yaml").write_text(
        "name: kept\ntask: pretrain\ncollect:\n  sources: [{path: data.csv}]\n  workers: 1\n"
        f"prepare: {{dedup: {{near: false}}}}\ntrain: {{base_model: {tiny_base}, epochs: 1, threads: 1}}\n"
        "evaluate: {bootstrap: 200, checks: [forgetting], floors: [], accept: ['bits_per_byte < 99']}\n",
        encoding="utf-8",
    )
    answer = metier("run", "recipe.yaml")
    assert answer.code == 0, answer.text
    block = json.loads(Path("runs/kept/results.json").read_text(encoding="utf-8"))["checks"]["forgetting"]
    assert set(block["figures"]) == {"bits_per_byte", "bits_per_byte_en", "bits_per_byte_zh"}, block
    assert block["figures"]["bits_per_byte"]["n"] == 60
