"""Lines that repeat over documents go, whatever says a figure stays, and every removal can be undone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.prepare.boilerplate import boilerplate, origin
from metier.prepare.changes import undo

from .texts import documents, operate, same, settings

ON = settings(boilerplate={"enabled": True})
LETTER = """Northgate Clinic
Department of Cardiology
Tel. 020 7946 0000

{}

This message is confidential and meant for the addressee only.
If you received it in error, please delete it."""
ZH = """北山医院
心内科

{}

本邮件及附件仅供收件人使用，请勿转发。
如误收请立即删除。"""
BODIES = ["The patient was seen today and reports no pain.", "Please arrange the follow-up for the knee.",
          "We changed the tablets because of a cough.", "The scan shows nothing new.",
          "Her sleep is better since the last visit.", "He stopped smoking and walks every day."]  # fmt: skip
ZH_BODIES = ["患者今日复诊，诉无胸痛。", "请安排膝关节的随访。", "因咳嗽更换了药物。", "影像未见新发病灶。",
             "睡眠较前好转，继续观察。", "已戒烟，坚持每日步行。"]  # fmt: skip


@pytest.mark.parametrize(("form", "bodies"), [(LETTER, BODIES), (ZH, ZH_BODIES)])
def test_letterheads_and_disclaimers_go(form: str, bodies: list[str]) -> None:
    table = documents([form.format(body) for body in bodies])
    result = operate(boilerplate, table, ON)
    for body, before, after in zip(bodies, table["text"].to_pylist(), result.batch["text"].to_pylist(), strict=True):
        assert body in after and "confidential" not in after and "仅供收件人" not in after
        assert ("020 7946 0000" in after) == ("020 7946 0000" in before)  # a line with figures never goes
    assert result.counts["changed"] == len(bodies) and not result.rejected
    assert {entry["reason"] for entry in result.changes} == {"stands in 6 of 6 documents of its origin"}
    assert same(result, operate(boilerplate, table, ON, size=1))


def test_every_removal_can_be_undone() -> None:
    table = documents([LETTER.format(body) + "\nPage 1 of 2" for body in BODIES])
    result = operate(boilerplate, table, ON)
    for row, before in zip(result.batch.to_pylist(), table["text"].to_pylist(), strict=True):
        mine = [entry for entry in result.changes if entry["id"] == row["id"]]
        assert len(mine) >= 5 and undo(row["text"], mine) == before


def test_what_was_removed_lives_on_nowhere_when_texts_are_deidentified() -> None:
    table = documents([LETTER.format(body) for body in BODIES])
    masked = settings(boilerplate={"enabled": True}, deidentify={"policy": "mask"})
    result = operate(boilerplate, table, masked)
    assert result.batch.equals(operate(boilerplate, table, ON).batch)
    assert len(result.changes) == 24 and {entry["before"] for entry in result.changes} == {""}


def test_other_origins_and_few_documents_are_left() -> None:
    few = documents([LETTER.format(body) for body in BODIES[:4]])
    assert operate(boilerplate, few, ON).counts["changed"] == 0
    apart = documents([LETTER.format(body) for body in BODIES], source="{}/letter.txt")
    assert operate(boilerplate, apart, ON).changes == []


def test_a_template_is_left_alone_and_counted() -> None:
    clauses = "\n".join(["The tenant keeps the rooms clean.", "The landlord repairs the roof.", "No pets are allowed."])
    table = documents([f"Lease\n{clauses}\nTenant: {name}" for name in ("Ash", "Birch", "Cedar", "Elm", "Fir")])
    result = operate(boilerplate, table, ON)
    assert result.batch.equals(table) and result.counts["left alone"] == 5
    assert "5 texts left alone" in boilerplate.note(result.counts)


def test_the_shared_clauses_of_contracts_stay() -> None:
    clauses = [f"The party of kind {letter} keeps all that it learns to itself and tells nobody of it at any time."
               for letter in "abcdefghijklmnopqrstuvwxyz"]  # fmt: skip
    own = ["\n".join(f"Own clause {letter * 3} about {name} and what belongs to it." for letter in "stuvwxyz" * 3)
           for name in ("ash", "birch", "cedar", "elm", "fir")]  # fmt: skip
    table = documents(["\n".join([*clauses, text]) for text in own])
    assert operate(boilerplate, table, ON).changes == []


def test_shared_lines_in_the_middle_stay_unless_asked_for() -> None:
    texts = [f"Report about {body}\n{body}\nSee also\n{body} End of {body}" for body in BODIES]
    table = documents(texts)
    assert operate(boilerplate, table, ON).changes == []
    everywhere = settings(boilerplate={"enabled": True, "where": "anywhere"})
    assert {entry["before"] for entry in operate(boilerplate, table, everywhere).changes} == {"See also\n"}


@pytest.mark.parametrize("number", ["Page {} of 9", "- {} -", "第{}页 共9页", "第 {} 页", "{}/9页", "p. {}"])
def test_page_numbers_go(number: str) -> None:
    text = "\n".join(f"Part {word} of the story goes on here.\n{number.format(n)}"
                     for n, word in enumerate(["one", "two", "three", "four"], 1))  # fmt: skip
    result = operate(boilerplate, documents([text]), ON)
    assert not re.search(r"^\W*(?:page|p\.|第)?\s*\d.*$", result.batch["text"][0].as_py(), re.M | re.I)
    assert len(result.changes) == 4 and {entry["reason"] for entry in result.changes} == {"a page number"}


def test_a_column_of_figures_is_no_pagination() -> None:
    text = "Doses\n1\n2\n3\n4\nTotal\n10\nof tablets\n12\nagain\n7"
    assert operate(boilerplate, documents([text]), ON).changes == []


def test_origin() -> None:
    assert origin("mail/a/1.eml") == "mail/a" and origin("box.mbox#3") == "box.mbox" and origin("a.txt") == ""
    assert origin("https://example.org/a/b") == "https://example.org" and origin("x/a.eml!2") == "x/a.eml"


@given(st.lists(st.lists(st.sampled_from(["Yours", "12 mg daily", "第三条 定义", "a b", "", "# Title", "Page 2"]),
                         max_size=8), min_size=5, max_size=9))  # fmt: skip
def test_figures_never_go_and_all_comes_back(drawn: list[list[str]]) -> None:
    table = documents(["\n".join(part) for part in drawn])
    result = operate(boilerplate, table, settings(boilerplate={"enabled": True, "where": "anywhere", "most": 1.0}))
    for row, before in zip(result.batch.to_pylist(), table["text"].to_pylist(), strict=True):
        for kept in ("12 mg daily", "第三条 定义", "# Title"):
            assert row["text"].count(kept) == before.count(kept)
        assert undo(row["text"], [entry for entry in result.changes if entry["id"] == row["id"]]) == before
