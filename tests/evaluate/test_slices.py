"""Parts of the test split: what they are, what is withheld, and how criteria judge them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from metier import tables
from metier.console import Console
from metier.errors import UserError
from metier.evaluate import load
from metier.evaluate.config import EvaluateConfig
from metier.evaluate.criteria import parse
from metier.evaluate.slices import attribute, check
from metier.evaluate.stage import evaluate
from metier.train.config import TaskConfig

from .conftest import write_run

LANGUAGES = ("en", "zh", "fr")


def made(folder: Path, sizes: tuple[int, ...] = (160, 80, 12), zh_right: float = 0.5) -> Any:
    """Texts in three languages; the tuned model is right nearly always, but in Chinese in `zh_right` of 1."""
    random, examples, documents = np.random.default_rng(1), [], []
    answers: dict[str, list[dict[str, Any]]] = {"tuned": [], "base": []}
    for language, n in zip(LANGUAGES, sizes, strict=True):
        for i in range(n):
            name, gold = f"{language}{i}", "ab"[i % 2]
            examples.append({
                "id": name, "split": "test", "text": "x" * (40 if i % 4 else 700), "label": gold, "language": language,
                "source": f"branch-{i % 2 + 1}/{name}.txt" if language != "fr" else f"other.csv#{i}",
                "document_ids": [f"d{name}"],
            })  # fmt: skip
            told = json.dumps({"region": "north" if i % 3 else "south", "vip": i % 2 == 0})
            day = f"202{i % 3}-05-0{i % 9 + 1}"
            documents.append({"id": f"d{name}", "time": day, "text": "x", "metadata": told})
            for model, share in (("tuned", zh_right if language == "zh" else 0.97), ("base", 0.8)):
                right = random.random() < share
                answers[model].append({"label": gold if right else "ba"[i % 2]})
    run = write_run(folder, examples, answers, ["a", "b"])
    tables.write(tables.table(documents, tables.DOCUMENTS), folder / "documents.parquet")
    return run, folder / "documents.parquet"


def results(folder: Path, quiet: Console, run: Any, documents: Path, **config: Any) -> dict[str, Any]:
    evaluate(EvaluateConfig(bootstrap=200, **config), TaskConfig(), 0, *run, folder / "out", quiet, documents=documents)
    return json.loads((folder / "out" / "results.json").read_text(encoding="utf-8"))


def test_every_column_gives_the_values_that_it_names(tmp_path: Path) -> None:
    run, documents = made(tmp_path, (4, 0, 1))
    rows = load.split_rows(run[0].path / "examples.parquet")
    expected = {
        "language": ["en"] * 4 + ["fr"], "length": ["500-1999", "0-99", "0-99", "0-99", "500-1999"],
        "source": ["branch-1", "branch-2", "branch-1", "branch-2", "other"],
        "file": ["branch-1/en0.txt", "branch-2/en1.txt", "branch-1/en2.txt", "branch-2/en3.txt", "other.csv"],
        "time": ["2020", "2021", "2022", "2020", "2020"],
        "month": ["2020-05", "2021-05", "2022-05", "2020-05", "2020-05"],
        "region": ["south", "north", "north", "south", "south"], "vip": ["true", "false", "true", "false", "true"],
        "nothing": [""] * 5,
    }  # fmt: skip
    for column, values in expected.items():
        assert attribute(column, rows, documents) == values, column
    assert attribute("region", rows, None) == [""] * 5


def test_a_weak_language_stands_first_and_small_parts_are_counted_but_not_named(tmp_path: Path, quiet: Console) -> None:
    run, documents = made(tmp_path)
    found = results(tmp_path, quiet, run, documents, slices=("language", "region"))["slices"]
    first = found["rows"][0]
    assert (first["column"], first["value"], first["n"]) == ("language", "zh", 80)
    assert first["models"]["tuned"]["high"] < 0.75 and first["comparisons"][0]["outcome"] == "worse"
    assert [row["models"]["tuned"]["value"] for row in found["rows"]] == sorted(
        row["models"]["tuned"]["value"] for row in found["rows"]
    )
    assert "fr" not in {row["value"] for row in found["rows"]}
    assert found["columns"][0] == {"column": "language", "parts": 3, "shown": 2, "small": 1, "small_examples": 12,
                                   "unknown": 0}  # fmt: skip
    p = [row["comparisons"][0] for row in found["rows"]]
    assert len(p) == 4 and all(one["p_holm"] >= one["p"] for one in p) and any(one["p_holm"] > one["p"] for one in p)


def test_figures_of_a_part_are_those_of_a_test_set_that_is_the_part(tmp_path: Path, quiet: Console) -> None:
    run, documents = made(tmp_path / "all")
    whole = results(tmp_path / "all", quiet, run, documents, slices=("language",))
    row = next(row for row in whole["slices"]["rows"] if row["value"] == "zh")
    rows = [r for r in tables.read(run[0].path / "examples.parquet").to_pylist() if r["language"] == "zh"]
    given = tables.read(run[1].path / "predictions.parquet").to_pylist()
    answers = {m: [{"label": r["label"]} for r in given if r["model"] == m and r["id"].startswith("zh")]
               for m in ("tuned", "base")}  # fmt: skip
    alone = results(tmp_path / "zh", quiet, write_run(tmp_path / "zh", rows, answers, ["a", "b"]), documents)
    assert row["models"]["tuned"] == alone["models"]["tuned"]["accuracy"]
    same = next(r for r in alone["comparisons"] if r["metric"] == "accuracy")
    assert {k: row["comparisons"][0][k] for k in ("difference", "low", "high", "p")} == {
        k: same[k] for k in ("difference", "low", "high", "p")
    }


def test_criteria_on_parts(tmp_path: Path, quiet: Console) -> None:
    run, documents = made(tmp_path)
    accept = ("accuracy[language=zh] >= 0.8", "accuracy[language=en] >= 0.9", "accuracy[region=north] >= base - 0.5",
              "accuracy[ language = fr ] >= 0.5", "macro_f1[source=branch-1] >= base - 0.2")  # fmt: skip
    found = results(tmp_path, quiet, run, documents, accept=accept, slices=())
    reasons = found["verdict"]["reasons"]
    assert [reason["met"] for reason in reasons[:4]] == ["no", "yes", "yes", "unclear"]
    assert "Within language=zh (80 examples): Of 100 texts" in reasons[0]["text"] and "80 条" in reasons[0]["text_zh"]
    assert "fewer than 30 test examples" in reasons[3]["text"] and "少于 30 条" in reasons[3]["text_zh"]
    assert found["verdict"]["decision"] == "REJECT"
    assert {row["metric"] for row in found["slices"]["rows"]} == {"accuracy", "macro_f1"}


def test_superiority_within_a_part_needs_the_corrected_test(tmp_path: Path, quiet: Console) -> None:
    run, documents = made(tmp_path)
    found = results(tmp_path, quiet, run, documents, accept=("accuracy[language=en] > base",), slices=())
    assert found["verdict"]["reasons"][0]["met"] == "yes"


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("accuracy[language=zhh] >= 0.8", "no test example has language=zhh", "did you mean 'zh'?"),
        ("accuracy[languge=zh] >= 0.8", "no test example has a 'languge'", "did you mean 'language'?"),
        ("accuracy[region=west] >= 0.8", "no test example has region=west", "north"),
    ],
)
def test_parts_that_do_not_exist_are_told(tmp_path: Path, text: str, what: str, fix: str) -> None:
    run, documents = made(tmp_path)
    rows = load.split_rows(run[0].path / "examples.parquet")
    with pytest.raises(UserError) as caught:
        check([parse(text)], rows, documents)
    assert what in caught.value.what and fix in caught.value.fix and text in caught.value.where


def test_groups_inside_a_part_are_counted_as_groups(tmp_path: Path, quiet: Console) -> None:
    run, documents = made(tmp_path)
    data = tables.read(run[0].path / "examples.parquet")
    groups = pa.array([f"g{i // 4}" for i in range(len(data))])
    tables.write(
        data.set_column(data.schema.get_field_index("group"), "group", groups), run[0].path / "examples.parquet"
    )
    found = results(tmp_path, quiet, run, documents, slices=("language",))["slices"]
    zh = next(row for row in found["rows"] if row["value"] == "zh")
    assert zh["groups"] == 20 and zh["comparisons"][0]["test"] == "cluster sign-flip"
