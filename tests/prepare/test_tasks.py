"""Labels and values out of cells, as people write them."""

from typing import Any

import pytest

from metier.errors import UserError
from metier.prepare.tasks import read_labels, read_values
from metier.train.config import TaskConfig

from .conftest import document

A = [
    "my card is lost",
    "where did my card go",
    "card stolen in the tram",
    "somebody has my card",
    "no card in the post",
]
B = ["the fee is too high", "why this charge", "I was billed twice", "refund the charge now", "what are these costs"]
BOTH = [document(i, text, "card") for i, text in enumerate(A)] + [
    document(10 + i, text, "fee") for i, text in enumerate(B)
]


@pytest.mark.parametrize(
    ("cell", "separator", "labels"),
    [
        ("fraud", None, ["fraud"]),
        ("  fraud\n", None, ["fraud"]),
        ("a|b", None, ["a|b"]),
        ("b|a| a", "|", ["a", "b"]),
        ('["b", "a"]', "|", ["a", "b"]),
        (["b", "a"], "|", ["a", "b"]),
        ("[]", "|", []),
        ([], "|", []),
        ("[urgent]", "|", ["[urgent]"]),
        (1, None, ["1"]),
        (1.0, None, ["1"]),
        (0, None, ["0"]),
        (True, None, ["True"]),
        (float("nan"), None, None),
        (None, None, None),
        ("", "|", None),
        (" | ", "|", None),
        ("nan", None, None),
        ("null", "|", None),
        ("欺诈、盗刷", "、", ["欺诈", "盗刷"]),
    ],
)
def test_read_labels(cell: Any, separator: str | None, labels: list[str] | None) -> None:
    assert read_labels(cell, separator) == labels


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "2.5", "-3e-2", " 4 ", ".5", "+6."], [1, 2.5, -0.03, 4, 0.5, 6]),
        ([1, 2.5, -0.0], [1, 2.5, 0]),
        (["3,5", "2", "0,125"], [3.5, 2, 0.125]),
        (["1,234", "1,234,567"], [1234, 1234567]),
        (["1,234.5", "2.5"], [1234.5, 2.5]),
        (["３．５", "−2"], [3.5, -2]),
    ],
)
def test_read_values(cells: list[Any], values: list[float]) -> None:
    assert read_values(cells) == values


def test_values_that_are_none() -> None:
    cells = ["x", "", None, float("nan"), "inf", "1e999", "1_000", "0x10", True, "12%", "nan", float("inf")]
    values = read_values(cells)
    assert all(isinstance(value, str) for value in values)
    assert [value == "" for value in values] == [cell in ("", None, "nan") or cell != cell for cell in cells]


def test_a_comma_that_may_mean_two_things_is_not_guessed() -> None:
    assert all("decimal comma" in str(value) for value in read_values(["1,234", "5,678"]))
    mixed = read_values(["3,5", "3.5"])
    assert isinstance(mixed[0], str) and mixed[1] == 3.5


def test_score_rejects_bad_values_and_keeps_the_rest(stage: Any) -> None:
    cells = ["0,5", "0,25", "high", "", "1", None, "0,75", "2", "3", "4"]
    done = stage([document(i, text, value=cell) for i, (text, cell) in enumerate(zip(A + B, cells, strict=True))],
                 task={"name": "score"})  # fmt: skip
    assert done.reasons() == {"no value": 2, "not a number": 1}
    assert sorted(row["value"] for row in done.examples) == [0.25, 0.5, 0.75, 1, 2, 3, 4]
    assert done.summary["labels"] == {} and done.summary["classes"] == []
    assert done.summary["splits"]["test"] >= 1


def test_score_with_one_value_is_an_error(stage: Any) -> None:
    with pytest.raises(UserError, match="same value"):
        stage([document(i, text, value=1) for i, text in enumerate(A)], task={"name": "score"})


def test_rows_without_label_are_listed(stage: Any) -> None:
    done = stage([*BOTH, document(50, "no label here"), document(51, "empty one", " ")])
    assert done.reasons() == {"no label": 2}
    assert {row["id"] for row in done.rejected}.isdisjoint(row["id"] for row in done.examples)


def test_no_label_at_all_says_what_to_type(stage: Any) -> None:
    with pytest.raises(UserError, match="no document has a label") as error:
        stage([document(i, text) for i, text in enumerate(A)])
    assert "columns.label" in error.value.fix and "5 × no label" in error.value.where


def test_unknown_task(stage: Any) -> None:
    with pytest.raises(UserError, match="there is no task called 'dance'"):
        stage(BOTH, task={"name": "dance"})


def test_one_class_only(stage: Any) -> None:
    with pytest.raises(UserError, match="only one label left: 'card'"):
        stage([document(i, text, "card") for i, text in enumerate(A)])


def test_rare_labels_leave_with_their_reason(stage: Any) -> None:
    done = stage([*BOTH, document(30, "buy a boat with me", "spam")])
    assert done.reasons() == {"rare label": 1}
    assert done.summary["classes"] == ["card", "fee"]
    assert any("'spam'" in warning for warning in done.summary["warnings"])


def test_labels_that_look_alike_are_told(stage: Any) -> None:
    more = [document(40 + i, text, "Card ") for i, text in enumerate(["one more lost", "a wallet is gone"])]
    done = stage(BOTH + more)
    assert any("'Card' (2), 'card' (5)" in warning for warning in done.summary["warnings"])
    assert done.summary["classes"] == ["Card", "card", "fee"]


def test_several_labels(stage: Any) -> None:
    rows = [document(i, text, label) for i, (text, label) in enumerate(zip(
        A + B, ["x|y", "x", "y", "[]", "x|y", "y|x", '["x"]', "x|rare", "rare2", "y"], strict=True))]  # fmt: skip
    done = stage(rows, task={"multi_label": True})
    assert done.summary["classes"] == ["x", "y"]
    assert done.reasons() == {"rare label": 1}  # only the text that has nothing but a rare label
    assert {tuple(row["labels"]) for row in done.examples} == {("x", "y"), ("x",), ("y",), ()}
    assert all(row["label"] == "" and row["value"] is None for row in done.examples)
    assert done.summary["labels"]["x"]["train"] >= 1


def test_a_list_in_a_single_label_task(stage: Any) -> None:
    done = stage([*BOTH, document(60, "two at once", ["card", "fee"])])
    assert done.reasons() == {"several labels": 1}


@pytest.mark.parametrize(("number", "warned"), [(3, True), (0, False)])
def test_a_missing_word_in_many_cells_is_told(stage: Any, number: int, warned: bool) -> None:
    found = stage([*BOTH, *(document(50 + i, f"neither of the two kinds, letter {i}", "None") for i in range(number))])
    assert any("'None' stands in 3 of 13 label cells (23%)" in text for text in found.summary["warnings"]) == warned
    assert found.reasons().get("no label", 0) == number


def test_a_relation_needs_both_marks(stage: Any) -> None:
    texts = [f"<< drug {i} >> {word} [[ protein {i} ]]" for i in range(12) for word in ("blocks", "raises")]
    documents = [document(i, text, text.split()[4]) for i, text in enumerate(texts)]
    documents += [document(90, "drug blocks [[ protein ]]", "blocks"), document(91, "no mark at all", "raises")]
    done = stage(documents, task=TaskConfig(name="relate"))
    assert len(done.examples) == 24 and done.reasons() == {"no marked spans": 2}
    assert "<< first >>" in done.rejected[0]["detail"]
    other = TaskConfig(name="relate", markers=("<a>", "</a>", "<b>", "</b>"))
    named = [document(i, text.replace("<<", "<a>").replace(">>", "</a>").replace("[[", "<b>").replace("]]", "</b>"),
                      text.split()[4]) for i, text in enumerate(texts)]  # fmt: skip
    assert len(stage(named, task=other).examples) == 24
