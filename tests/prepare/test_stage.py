"""The stage as a whole: files, funnel, summary, errors, size, real data."""

import csv
import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from metier import registry, tables
from metier.errors import UserError
from metier.prepare.config import PrepareConfig
from metier.prepare.stage import ROW_STEPS, STEPS, steps

from .conftest import document, run
from .test_tasks import BOTH, A


def test_tables_and_summary(stage: Any) -> None:
    done = stage([*BOTH, document(50, "  ", "card"), document(51, "nan", "card"), document(52, "null", "fee")])
    assert tables.read(done.path / "examples.parquet").schema == tables.EXAMPLES
    assert tables.read(done.path / "rejected.parquet").schema == tables.REJECTED
    assert done.reasons() == {"empty": 3}
    assert all(row["stage"] == "prepare" and row["detail"] for row in done.rejected)
    assert set(done.summary) == {"funnel", "labels", "splits", "split_by", "groups", "languages", "conflicts",
                                 "duplicates", "warnings", "classes"}  # fmt: skip
    assert [entry["step"] for entry in done.summary["funnel"]] == ["documents", *steps(PrepareConfig())]
    rows = [entry["rows"] for entry in done.summary["funnel"]]
    removed = [entry["removed"] for entry in done.summary["funnel"]]
    assert [before - after for before, after in itertools.pairwise(rows)] == removed[1:]
    assert sum(done.summary["splits"].values()) == len(done.examples) == 10
    assert "removed" in done.screen and "normalize" in done.screen
    assert {row["language"] for row in done.examples} == {"en"}


def test_no_documents(stage: Any) -> None:
    with pytest.raises(UserError, match="no documents"):
        stage([])


def test_only_empty_texts_say_where_they_went(stage: Any) -> None:
    with pytest.raises(UserError, match="no example is left") as error:
        stage([document(i, " ", "card") for i in range(3)])
    assert error.value.where == "prepare, step normalize: 3 × empty"


def test_short_texts(stage: Any) -> None:
    done = stage([*BOTH, document(50, "ok", "card")], {"min_characters": 3})
    assert done.reasons() == {"too short": 1}


def test_texts_are_repaired_before_they_are_compared(stage: Any) -> None:
    done = stage([*BOTH, document(50, "I donâ€™t know", "card"), document(51, "I don’t  know", "card")])
    (row,) = [row for row in done.examples if row["text"].startswith("I don")]
    assert row["text"] == "I don’t know" and len(row["document_ids"]) == 2


def test_every_step_is_behind_the_door() -> None:
    assert {"normalize", "language", *ROW_STEPS} <= set(registry.names("operation"))


def test_only_what_the_recipe_wants_runs_and_in_one_order() -> None:
    plain = steps(PrepareConfig())
    assert plain == [step for step in STEPS if step in plain] and plain[:2] == ["normalize", "language"]
    assert steps(PrepareConfig(operations=("mine",)))[:3] == ["normalize", "mine", "language"]


def test_an_operation_of_another_package(stage: Any) -> None:
    def shout(flow: Any) -> str:
        for row in flow.rows:
            row.text = row.text.upper()
        return "loud"

    registry.register("operation", "test-shout")(shout)
    try:
        done = stage(BOTH, {"operations": ["test-shout"]})
        assert all(text.isupper() for text in done.texts())
        assert done.summary["funnel"][2] == {"step": "test-shout", "rows": 10, "removed": 0, "note": "loud"}
    finally:
        registry._entries["operation"].pop("test-shout")
    with pytest.raises(UserError, match="no operation called"):
        stage(BOTH, {"operations": ["nonsense"]})
    with pytest.raises(UserError, match="runs anyway"):
        stage(BOTH, {"operations": ["split"]})


def test_ten_thousand_messages(tmp_path: Path) -> None:
    rows = [document(i, f"{A[i % 5]} since {i * 7919 % 10007} days, reference {i * 104729 % 99991}", f"l{i % 7}",
                     group=f"c{i % 900}") for i in range(10_000)]  # fmt: skip
    done = run(tmp_path, rows, {"dedup": {"threshold": 0.95}})
    assert len(done.examples) + len(done.rejected) == 10_000
    assert all(len(splits) == 1 for splits in done.sides("group").values())


def mirror() -> Path:
    named = os.environ.get("METIER_DATA_MIRROR")
    return Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.realdata
def test_banking77_keeps_its_test_set(tmp_path: Path) -> None:
    folder = mirror() / "finance" / "banking77"
    if not folder.is_dir():
        pytest.skip("needs finance/banking77 in the folder that METIER_DATA_MIRROR names")
    rows = []
    for split in ("train", "test"):
        with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as stream:
            rows += [document(i, row["text"], row["category"], split=split, source=f"{split}.csv#{i}")
                     for i, row in enumerate(csv.DictReader(stream), 1)]  # fmt: skip
    done = run(tmp_path, rows)
    assert done.summary["splits"]["test"] == 3080
    assert len(done.summary["classes"]) == 77
    assert done.reasons() == {"in the test set": 7}  # 6 when ends are trimmed, 7 when case is folded
    assert all(counts["train"] and counts["test"] == 40 for counts in done.summary["labels"].values())
