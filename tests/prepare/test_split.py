"""Splits: shares, strata, groups, official ones; and nothing on two sides, whatever comes in."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from metier.errors import UserError
from metier.prepare.config import SplitConfig
from metier.prepare.flow import Row
from metier.prepare.split import check_no_leaks

from .conftest import document, run
from .test_tasks import BOTH, A, B


def many(number: int, labels: int = 4, **more: Any) -> list[dict[str, Any]]:
    """Texts without near duplicates."""
    rows = []
    for i in range(number):
        words = " ".join(f"{(i * 7919 + k * 104729) % 99991:05d}"[::-1] for k in range(6))
        extra = {name: value(i) for name, value in more.items()}
        rows.append(document(i, f"text {words}", f"label{i % labels}", **extra))
    return rows


def test_stratified_shares_are_met_for_every_label(stage: Any) -> None:
    done = stage(many(400))
    assert done.summary["split_by"] == "stratified"
    assert done.summary["splits"] == {"train": 280, "validation": 40, "test": 80}
    for counts in done.summary["labels"].values():
        assert counts == {"train": 70, "validation": 10, "test": 20}


def test_values_are_stratified_too(stage: Any) -> None:
    done = stage(many(400, value=lambda i: i / 100), task={"name": "score"})
    assert done.summary["splits"] == {"train": 280, "validation": 40, "test": 80}
    means = {split: sum(r["value"] for r in done.examples if r["split"] == split) / n
             for split, n in done.summary["splits"].items()}  # fmt: skip
    assert max(means.values()) - min(means.values()) < 0.15


def test_seed_and_order(stage: Any) -> None:
    rows = many(100, group=lambda i: f"g{i // 3}")
    first, again, turned, other = stage(rows), stage(rows), stage(rows[::-1]), stage(rows, seed=1)
    for name in ("examples", "rejected", "conflicts", "duplicates"):
        bytes_ = (first.path / f"{name}.parquet").read_bytes()
        assert bytes_ == (again.path / f"{name}.parquet").read_bytes() == (turned.path / f"{name}.parquet").read_bytes()
    assert [row["split"] for row in first.examples] != [row["split"] for row in other.examples]
    assert first.summary == again.summary == turned.summary


def test_groups_stay_together_and_empty_groups_stand_alone(stage: Any) -> None:
    done = stage(many(300, group=lambda i: f"g{i % 20}" if i % 3 else ""))
    assert done.summary["split_by"] == "group"
    assert all(len(splits) == 1 for splits in done.sides("group").values())
    assert {row["split"] for row in done.examples if not row["group"]} == {"train", "validation", "test"}
    assert 45 <= done.summary["splits"]["test"] <= 75
    assert done.summary["groups"] == 20


def test_one_giant_group_cannot_be_split(stage: Any) -> None:
    with pytest.raises(UserError, match="only 1 independent groups"):
        stage(many(50, group=lambda i: "all"))


def test_a_giant_group_goes_to_train_and_is_told(stage: Any) -> None:
    done = stage(many(100, group=lambda i: "giant" if i < 80 else f"g{i}"))
    assert done.sides("group")["giant"] == {"train"}
    assert any("hang together" in warning for warning in done.summary["warnings"])
    assert done.summary["splits"]["test"] > 0


def test_every_label_is_learned(stage: Any) -> None:
    for seed in range(5):
        done = stage(many(60, labels=20, group=lambda i: f"g{i // 6}"), seed=seed)
        for name, counts in done.summary["labels"].items():
            assert counts["train"] >= 1, name


def test_a_label_with_two_examples_is_learned_and_tested(stage: Any) -> None:
    done = stage([*BOTH, document(90, "buy a boat with me", "spam"), document(91, "you have won a house", "spam")])
    assert done.summary["labels"]["spam"] == {"train": 1, "validation": 0, "test": 1}


def test_three_examples(stage: Any) -> None:
    rows = [document(0, A[0], "card"), document(1, A[1], "card"), document(2, B[0], "fee")]
    with pytest.raises(UserError, match="only one label"):
        stage(rows)
    done = stage(rows, {"min_examples_per_label": 1})
    assert done.summary["labels"] == {"card": {"train": 1, "validation": 0, "test": 1},
                                      "fee": {"train": 1, "validation": 0, "test": 0}}  # fmt: skip
    assert any("validation" in warning for warning in done.summary["warnings"])


def test_two_groups_with_a_label_each_cannot_be_split(stage: Any) -> None:
    rows = [document(i, text, "card", group="a") for i, text in enumerate(A)]
    rows += [document(20 + i, text, "fee", group="b") for i, text in enumerate(B)]
    with pytest.raises(UserError, match="only 2 independent groups"):
        stage(rows)


def test_a_label_that_hangs_together_outside_train_leaves(stage: Any) -> None:
    rows = many(100, labels=2, group=lambda i: "large" if i < 80 else "small")
    rows += [document(500 + i, text, "lonely", group="small") for i, text in enumerate(A)]
    done = stage(rows)
    assert done.sides("group") == {"large": {"train"}, "small": {"test"}}
    assert done.reasons() == {"label not in train": 5}
    assert done.summary["classes"] == ["label0", "label1"]


def test_shares_that_make_no_sense(stage: Any) -> None:
    with pytest.raises(UserError, match="no test split"):
        stage(BOTH, {"split": {"test": 0}})
    with pytest.raises(ValidationError, match="below 1"):
        SplitConfig(test=0.6, validation=0.4)
    done = stage(many(100), {"split": {"validation": 0}})
    assert done.summary["splits"] == {"train": 80, "validation": 0, "test": 20}
    assert done.summary["warnings"] == []


def test_asking_for_what_the_data_lacks(stage: Any) -> None:
    with pytest.raises(UserError, match="no document has a group"):
        stage(BOTH, {"split": {"by": "group"}})
    with pytest.raises(UserError, match="no row is marked"):
        stage(BOTH, {"split": {"by": "column"}})


def official(number: int = 60) -> list[dict[str, Any]]:
    return many(number, split=lambda i: "test" if i % 3 == 0 else "train")


def test_the_official_split_is_kept(stage: Any) -> None:
    done = stage(official(), {"split": {"test": 0}})
    assert done.summary["split_by"] == "column"
    assert done.summary["splits"] == {"train": 36, "validation": 4, "test": 20}
    assert {row["source"] for row in done.examples if row["split"] == "test"} == {
        f"data.csv#{i}" for i in range(0, 60, 3)}  # fmt: skip


def test_official_validation_is_kept_and_other_names_are_understood(stage: Any) -> None:
    names = ["Train", " DEV ", "测试集"]
    done = stage(many(60, split=lambda i: names[i % 3]))
    assert done.summary["splits"] == {"train": 20, "validation": 20, "test": 20}


def test_train_loses_what_stands_in_the_official_test_set(stage: Any) -> None:
    rows = official()
    test = [row for i, row in enumerate(rows) if i % 3 == 0]
    copies = [document(900, test[0]["text"].upper(), "label0", split="train"),
              document(901, test[1]["text"], "label1", split="train"),  # with another label: a conflict as well
              document(902, test[2]["text"], "label2", split="test"),  # twice within test: stays
              document(903, test[3]["text"] + " ok", "label1", split="train")]  # fmt: skip
    done = stage(rows + copies)
    assert done.reasons() == {"in the test set": 2}
    assert {row["id"] for row in done.rejected} == {copies[0]["id"], copies[1]["id"]}
    assert done.summary["splits"]["test"] == 21
    assert {row["id"] for row in done.conflicts if row["kind"] == "exact"} == {test[1]["id"], copies[1]["id"]}
    assert any("nearly equal" in warning for warning in done.summary["warnings"])
    free = stage(rows + copies[:3:2] + copies[3:], {"split": {"by": "stratified"}})
    assert all(len(splits) == 1 for splits in free.sides("cluster").values())


def test_an_official_label_that_train_never_saw_is_told(stage: Any) -> None:
    done = stage([*official(), document(800, "something new", "unseen", split="test")])
    assert done.summary["labels"]["unseen"] == {"train": 0, "validation": 0, "test": 1}
    assert any("'unseen'" in warning for warning in done.summary["warnings"])


def test_groups_on_both_sides_of_an_official_split_are_told(stage: Any) -> None:
    done = stage(many(60, split=lambda i: "test" if i % 3 == 0 else "train", group=lambda i: f"g{i // 6}"))
    assert any("10 groups stand both" in warning for warning in done.summary["warnings"])
    train = {row["group"] for row in done.examples if row["split"] == "train"}
    assert train.isdisjoint(row["group"] for row in done.examples if row["split"] == "validation")


@pytest.mark.parametrize(("names", "problem"), [("AB", "unknown names"), (["train", "val"], "no row is marked test"),
                                                (["test", "test"], "no row is left for train")])  # fmt: skip
def test_an_official_split_that_cannot_be_used(stage: Any, names: Any, problem: str) -> None:
    rows = many(40, split=lambda i: names[i % 2])
    with pytest.raises(UserError, match=problem):
        stage(rows, {"split": {"by": "column"}})
    done = stage(rows)
    assert done.summary["split_by"] == "stratified"
    assert any(problem in warning for warning in done.summary["warnings"])


def test_the_check_raises() -> None:
    rows = [Row("a", "s", "x", cluster="c", group="g", split="train"),
            Row("b", "s", "y", cluster="c", group="g", split="test")]  # fmt: skip
    with pytest.raises(AssertionError, match="cluster c"):
        check_no_leaks(rows, "stratified")
    rows[1].cluster = "d"
    check_no_leaks(rows, "stratified")
    with pytest.raises(AssertionError, match="group g"):
        check_no_leaks(rows, "group", [[("group", row.group)] for row in rows])
    rows[1].key = rows[0].key = "k"
    with pytest.raises(AssertionError, match="text k"):
        check_no_leaks(rows, "column")
    rows[1].split = ""
    with pytest.raises(AssertionError, match="split ''"):
        check_no_leaks(rows, "column")


# A pool in which random draws repeat, resemble and contradict each other.
POOL = [*A, *B, *(text.upper() for text in A), *(f"{text}!" for text in B), "", "nan", "谢谢",
        "你好，我的卡丢了怎么办呢", "你好，我的卡丢了怎么办", "ok", "Ok ",
        *(f"{A[0]} and number {n} is in it" for n in range(4))]  # fmt: skip

ROWS = st.lists(
    st.tuples(
        st.sampled_from(POOL), st.sampled_from(["x", "y", "z", "", None]),
        st.sampled_from(["", "g1", "g2", "g3", "g4"]), st.sampled_from(["", "train", "test", "dev"]),
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    ROWS, st.sampled_from(["auto", "group", "stratified", "column"]), st.sampled_from(["drop", "keep", "majority"]),
    st.booleans(), st.booleans(), st.booleans(), st.integers(0, 3),
)  # fmt: skip
def test_nothing_straddles_and_nothing_is_lost(
    rows: list[tuple[str, str | None, str, str]], by: str, conflicts: str, exact: bool, remove_near: bool,
    several: bool, seed: int,
) -> None:  # fmt: skip
    documents = [
        document(i, text, label, group=group, split=split) for i, (text, label, group, split) in enumerate(rows)
    ]
    dedup = {"conflicts": conflicts, "exact": exact, "remove_near": remove_near, "threshold": 0.7}
    config = {"split": {"by": by}, "min_examples_per_label": 1 + seed % 2, "dedup": dedup}
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = run(Path(folder), documents, config, {"multi_label": several}, seed)
        except UserError as error:
            assert error.where and error.fix
            return
    kept = Counter(id for row in done.examples for id in row["document_ids"])
    rejected = Counter(row["id"] for row in done.rejected)
    assert kept + rejected == Counter(row["id"] for row in documents)
    assert done.summary["splits"]["train"] and done.summary["splits"]["test"]
    assert all(row["text"] not in ("", "nan") for row in done.examples)
    split_by = done.summary["split_by"]
    if split_by != "column":
        assert all(len(splits) == 1 for splits in done.sides("cluster").values())
        assert all(counts["train"] for counts in done.summary["labels"].values())
    if split_by == "group":
        assert all(len(splits) == 1 for splits in done.sides("group").values())
    folded: dict[str, set[str]] = {}
    for row in done.examples:
        folded.setdefault(row["text"].casefold(), set()).add(row["split"])
    assert all(len(splits) == 1 for splits in folded.values())
    assert done.summary["funnel"][-1]["rows"] == len(done.examples)
