"""Columns named by the user: the same words for `run`, `new` and `predict`; and what became of rejected rows."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metier.finding import find_recipe
from metier.recipe import load
from small import Answer, rows, write_csv

Metier = Callable[..., Answer]
PLAIN = {"text": "foo", "label": "bar"}


def complaints(path: Path, text: str, label: str) -> Path:
    return write_csv(path, [{text: row["text"], label: row["label"], "customer_id": f"c{i % 5}", "n": i}
                            for i, row in enumerate(rows(20))])  # fmt: skip


def columns(recipe: Any) -> dict[str, str]:
    return dict(recipe.collect.sources[0].columns)


def test_the_example_of_the_readme(work: Path, metier: Metier) -> None:
    complaints(work / "complaints.csv", "narrative", "product")
    expected = {"text": "narrative", "label": "product", "group": "customer_id"}
    assert columns(find_recipe("complaints.csv", "classify")[0]) == expected
    assert metier("new", "complaints.csv").code == 0
    assert columns(load(work / "complaints.yaml")) == expected
    assert "label = 'product'" in (work / "complaints.yaml").read_text(encoding="utf-8")
    told = metier("show", "complaints.csv")
    assert told.code == 0 and "label = 'product'" in told.err
    assert "guessed" not in metier("collect", "complaints.yaml", "--quiet").err


@pytest.mark.parametrize("said", [
    ["collect.sources.0.columns={text: foo, label: bar}"],
    ["collect.sources.0.columns.text=foo", "collect.sources.0.columns.label=bar"],
])  # fmt: skip
def test_the_printed_remedy_works(work: Path, metier: Metier, said: list[str]) -> None:
    complaints(work / "odd.csv", "foo", "bar")
    refused = metier("show", "odd.csv")
    assert refused.code == 2 and "--label COLUMN" in refused.err and "collect.sources.0.columns=" in refused.err
    assert columns(find_recipe("odd.csv", "classify", said)[0]).items() >= PLAIN.items()
    wrong = metier("show", "odd.csv", "collect.sources.0.columns={text: fooo, label: bar}")
    assert wrong.code == 2 and "did you mean 'foo'?" in wrong.err
    assert "Traceback" not in metier("show", "odd.csv", "collect.sources.0.columns=foo").text


def test_new_with_named_columns(work: Path, metier: Metier) -> None:
    complaints(work / "odd.csv", "foo", "bar")
    assert metier("new", "odd.csv", "--text", "foo", "--label", "bar", "--group", "n", "-o", "r.yaml").code == 0
    assert columns(load(work / "r.yaml")) == {**PLAIN, "group": "n"}
    assert metier("new", "odd.csv", "--text", "foo", "--label", "n", "--task", "score", "-o", "s.yaml").code == 0
    assert columns(load(work / "s.yaml")) == {"text": "foo", "value": "n", "group": "customer_id"}
    wrong = metier("new", "odd.csv", "--text", "fo", "--label", "bar", "-o", "t.yaml")
    assert wrong.code == 2 and "did you mean 'foo'?" in wrong.err and not (work / "t.yaml").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_new_where_nothing_can_be_made(work: Path, metier: Metier) -> None:
    complaints(work / "odd.csv", "text", "label")
    answer = metier("new", "odd.csv", "-o", "/proc/x.yaml")
    assert answer.code == 2 and answer.err.startswith("error: ") and "/proc/x.yaml" in answer.err


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_predict_from_a_named_column_with_what_was_left_out(copied: Path, metier: Metier) -> None:
    data: list[dict[str, Any]] = [{"text": "another column", "foo": row["text"]} for row in rows(4)]
    write_csv(copied / "new.csv", [*data, {"text": "another column", "foo": ""}])
    answer = metier("predict", "small", "-i", "new.csv", "--text", "foo", "-o", "out/p.csv")
    assert answer.code == 0 and "empty text" in answer.err and "p.rejected.csv" in answer.err
    assert [row["text"] for row in read(copied / "out/p.csv")] == [row["foo"] for row in data]
    assert [(row["source"], row["reason"]) for row in read(copied / "out/p.rejected.csv")] == [
        ("new.csv#5", "empty text")
    ]
    write_csv(copied / "new.csv", data)
    assert metier("predict", "small", "-i", "new.csv", "--text", "foo", "-o", "out/p.csv").code == 0
    assert not (copied / "out/p.rejected.csv").exists()  # an older list would be of another file
    (copied / "none.csv").write_text("foo,n\n,1\n,2\n", encoding="utf-8")
    assert metier("predict", "small", "-i", "none.csv", "--text", "foo", "-o", "q.csv").code == 2
    assert len(read(copied / "q.rejected.csv")) == 2  # nothing could be answered, and each row says why
    assert metier("predict", "small", "-i", "new.csv", "--text", "fooo").code == 2


def test_predict_takes_the_column_of_the_recipe(copied: Path, metier: Metier) -> None:
    recipe = copied / "runs/small/recipe.yaml"
    text = recipe.read_text(encoding="utf-8")
    assert "columns:" in text
    found = load(recipe)
    source = found.collect.sources[0].model_copy(update={"columns": {"text": "foo", "label": "bar"}})
    changed = found.model_copy(update={"collect": found.collect.model_copy(update={"sources": (source,)})})
    from metier.recipe import dump

    recipe.write_text(dump(changed), encoding="utf-8")
    write_csv(copied / "new.csv", [{"text": "another column", "foo": row["text"]} for row in rows(3)])
    for name in ("small", "runs/small", "runs/small/model"):
        answer = metier("predict", name, "-i", "new.csv", "-o", "p.csv")
        assert answer.code == 0 and "text column 'foo', as in the run's recipe" in answer.err
        assert "another column" not in {row["text"] for row in read(copied / "p.csv")}
    write_csv(copied / "other.csv", [{"message": row["text"]} for row in rows(3)])  # has no such column: guessed
    answer = metier("predict", "small", "-i", "other.csv", "-o", "p.csv")
    assert answer.code == 0 and "text = 'message'" in answer.err
