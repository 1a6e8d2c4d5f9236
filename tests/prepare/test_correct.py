"""Rare forms are corrected where the corpus knows better; figures, names and codes never are; all can be undone."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.prepare.changes import undo
from metier.prepare.confusions import confusable, han_alike, look_alikes, mistyped
from metier.prepare.correct import correct

from .texts import documents, operate, same, settings

ON = settings(correct={"enabled": True})
# fmt: off
RIGHT = ["The patient takes metoprolol twice a day against hypertension since the last visit to the clinic.",
         "The government shall publish the regulations of the ministry before the tenth day of the month.",
         "The borrower repays the outstanding loan under this agreement without further notice to the bank."]
# fmt: on
ZH = ["贷款人应当自己承担未按期归还贷款的违约责任。", "人民法院受理案件后应当及时通知当事人参加诉讼。"]


def corrected(wrong: str, right: list[str] | None = None, **more: object) -> str:
    """The last of the texts after correction, behind 30 of each right one."""
    texts = [text for text in right or RIGHT + ZH for _ in range(30)]
    given_ = settings(correct={"enabled": True, **more})
    return str(operate(correct, documents([*texts, wrong]), given_).batch["text"][-1].as_py())


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("The patient takes metoproloi twice a day.", "metoprolol"),
        ("He is treated against hypertenslon since the last visit.", "hypertension"),
        ("The govemment shall publish the list.", "government"),
        ("They publish the regulatoins of the ministry.", "regulations"),
        ("He has the outstandng loan under this plan.", "outstanding"),
        ("Borower repays the outstanding sum.", "Borrower"),
        ("He saw the pateint there.", "pateint"),  # no neighbour that says something
        ("由贷款人应当自已承担未按期归还贷款的责任。", "自己承担"),
        ("由贷款人应当自己承担末按期归还货款的责任。", "承担未按期归还贷款"),
        ("本案人民法院受埋案件后应当及时通知。", "受理"),
        ("人民法院受理案件后应当及时逋知。", "逋知"),  # not in the table: left
    ],
)
def test_errors_are_corrected(wrong: str, right: str) -> None:
    assert right in corrected(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "Take 5 metoproloi twice a day.",  # beside a figure: a unit, for all we know
        "He takes metopr0lol and metoprolol2 twice a day.",  # bears a figure
        "The firm Governmemt shall publish the list.",  # a name
        "The GOVEMMENT shall publish the list.",
        "See the govemment/list and govemment.org and govemment-led plans.",
        "The governments shall publish the list.",  # another right form
        "The borrowers repay the outstanding loans under these agreements.",
        "第末按期归还贷款的1末3",
        "应当自己承担未按",
        "由2货款人",
    ],
)
def test_what_is_never_touched(text: str) -> None:
    assert corrected(text) == text


def test_two_words_that_fit_are_left_to_a_person() -> None:
    right = ["The lender signs the contract here.", "The lender signs the contrast here."]
    assert corrected("The lender signs the contrat here.", right) == "The lender signs the contrat here."


def test_a_lexicon_says_what_is_right(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("# our own\nhypertenslon\n自已承担\n", encoding="utf-8")
    text = "He is treated against hypertenslon since the last visit."
    assert corrected(text, lexicon=str(words)) == text
    zh = "贷款人应当自已承担未按期归还贷款的责任。"
    assert corrected(zh, lexicon=str(words)) == zh != corrected(zh)


def test_changes_are_listed_and_undone_whatever_the_batches() -> None:
    texts = [text for text in RIGHT + ZH for _ in range(30)]
    texts += ["The govemment shall publish the regulatoins of it.", "贷款人应当自已承担末按期归还贷款的违约责任。"]
    table = documents(texts)
    result = operate(correct, table, ON)
    assert result.counts["corrections"] == len(result.changes) == 4 and result.counts["changed"] == 2
    assert [entry["before"] for entry in result.changes] == ["govemment", "regulatoins", "已", "末"]
    for row, before in zip(result.batch.to_pylist(), texts, strict=True):
        assert undo(row["text"], [entry for entry in result.changes if entry["id"] == row["id"]]) == before
    assert same(result, operate(correct, table, ON, size=7)) and "4 corrections in 2 texts" in correct.note(
        result.counts
    )


def test_examples_with_offsets_are_left_alone() -> None:
    texts = [text for text in RIGHT for _ in range(30)]
    table = documents([*texts, "The govemment shall publish it."], metadata='{"shape": "spans", "spans": []}')
    result = operate(correct, table, ON)
    assert result.changes == [] and result.counts["structured"] == 91


def test_slips_of_the_fingers() -> None:
    assert mistyped("regulatoin", "regulation") and mistyped("paymment", "payment") and mistyped("pauments", "payments")
    assert not mistyped("appeals", "appeal") and not mistyped("organise", "organize")
    assert not mistyped("travelling", "traveling") and not mistyped("judgment", "judgement")
    assert not mistyped("centre", "center") and not mistyped("colour", "color") and not mistyped("payqents", "payments")
    assert "government" in set(look_alikes("govemment")) and "clear" in set(look_alikes("dear"))


def test_tables_hold_no_figures_and_are_symmetric() -> None:
    assert len(confusable()) > 500
    for char in confusable():
        assert not re.search(r"[一二三四五六七八九十百千万亿两\d]", char + han_alike(char))
        assert all(char in han_alike(other) for other in han_alike(char))


PARTS = ["govemment", "government", "5", "mg", "shall", "A1", "自已", "自己", "承担", "。", "Smith", "12.5%", " "]


@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=9), min_size=1, max_size=9))
def test_figures_and_names_stay_and_all_comes_back(drawn: list[list[str]]) -> None:
    table = documents([" ".join(words) for words in drawn])
    result = correct.apply(table, ON, _knowledge())
    for row, before in zip(result.batch.to_pylist(), table["text"].to_pylist(), strict=True):
        assert undo(row["text"], [entry for entry in result.changes if entry["id"] == row["id"]]) == before
        assert re.findall(r"\S*\d\S*|Smith", row["text"]) == re.findall(r"\S*\d\S*|Smith", before)


@cache
def _knowledge() -> Any:
    assert correct.observe is not None and correct.conclude is not None
    return correct.conclude([correct.observe(documents([text for text in RIGHT + ZH for _ in range(30)]), ON)], ON)
