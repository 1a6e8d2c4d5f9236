"""Every example's answer stands in the span it names; both languages are read; made rows go where their text goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.console import Console
from metier.prepare.comprehend import FINDERS, comprehend
from metier.prepare.config import PrepareConfig
from metier.prepare.config_texts import ComprehendConfig
from metier.prepare.derived import derived_from_test, of_test
from metier.prepare.flow import Flow, Row
from metier.prepare.texts import Texts
from metier.tables import REJECTED, Spool
from metier.train.config import TaskConfig

from .texts import documents, operate, same, settings

ON = settings(comprehend={"enabled": True, "per_pattern": 9})
EN = """Rules on the loan
"Default" means any failure of the borrower to pay when due. The borrower shall repay the loan within ten days after the
notice of the lender. Where a default lasts, the lender may end the agreement. Therefore, the borrower should tell the
lender about any default in time. The fee is $1,500 for each notice. The lender keeps a register of every notice and of
every agreement with the borrower."""
ZH = """贷款管理规定
本规定所称违约，是指借款人未按期支付本金或者利息的行为。借款人应当在收到贷款人的通知后十日内归还贷款。借款人经催告仍不归还的，
贷款人可以解除借款合同。因此，借款人发生违约时应当及时通知贷款人并说明原因。每次催告收取手续费500元。贷款人登记全部“催告通知”的
时间，并保存“催告通知”的回执。"""


def asked(text: str, **columns: str) -> dict[str, list[tuple[str, str]]]:
    result = operate(comprehend, documents([text], **columns), ON)
    found: dict[str, list[tuple[str, str]]] = {}
    for row in result.batch.to_pylist()[1:]:
        data = json.loads(row["metadata"])
        found.setdefault(data["derived"]["pattern"], []).append((data["question"], data["answer"]))
    return found


def holds(found: dict[str, list[tuple[str, str]]], pattern: str, question: str, answer: str) -> bool:
    return any(question in q and answer == a for q, a in found[pattern])


def test_patterns_in_english() -> None:
    found = asked(EN, language="en")
    assert set(found) == set(FINDERS)
    assert holds(found, "definition", '"Default"', "any failure of the borrower to pay when due.")
    assert holds(found, "who", "Who may end the agreement", "the lender") or holds(
        found, "who", "Who shall repay the loan", "The borrower"
    )
    assert holds(found, "when", "repay the loan ____ after", "within ten days")
    assert holds(found, "how_much", "The fee is ____ for", "$1,500")
    assert holds(
        found, "conclusion", "Where a default lasts", "the borrower should tell the\nlender about any default in time."
    )
    assert holds(found, "title", "repay the loan", "Rules on the loan")
    assert holds(found, "cloze", '"____" means', "Default")


def test_patterns_in_chinese() -> None:
    found = asked(ZH, language="zh")
    assert set(found) >= set(FINDERS) - {"words_to_text"}
    assert holds(found, "definition", "“违约”", "借款人未按期支付本金或者利息的行为。")
    assert holds(found, "who", "谁应当在收到贷款人的通知后十日内归还贷款？", "借款人")
    assert holds(found, "when", "通知后____归还", "十日内")
    assert holds(found, "how_much", "手续费____。", "500元")
    assert holds(found, "conclusion", "经催告仍不归还", "借款人发生违约时应当及时通知贷款人并说明原因。")
    assert holds(found, "title", "归还贷款", "贷款管理规定")


@pytest.mark.parametrize(("text", "language"), [(EN, "en"), (ZH, "zh"), (EN + "\n" + ZH, "mixed")])
def test_rows_cite_their_span_and_stay_with_their_document(text: str, language: str) -> None:
    table = documents([text, "Nothing to ask."], language=language, group="")
    result = operate(comprehend, table, ON)
    rows = result.batch.to_pylist()
    assert (
        rows[0]["text"] == text and rows[0]["group"] == rows[0]["id"] and len({row["id"] for row in rows}) == len(rows)
    )
    for number, row in enumerate(rows[1:-1], 1):
        data = json.loads(row["metadata"])
        assert row["source"] == f"notes/0.txt#comprehend{number}" and row["group"] == rows[0]["id"]
        assert data["messages"][1] == {"role": "assistant", "content": data["answer"]}
        assert data["derived"]["parent"] == rows[0]["id"] and row["text"] == f"{data['question']}\n{data['answer']}"
        if data["derived"]["pattern"] not in ("title", "title_to_text"):
            assert data["answer"] in text[data["derived"]["start"] : data["derived"]["end"]]
    assert rows[-1]["text"] == "Nothing to ask." and rows[-1]["group"] == ""
    assert sum(result.counts.get(name, 0) for name in FINDERS) == len(rows) - 2 and result.counts["documents"] == 1
    assert same(result, operate(comprehend, table, ON, size=1))


def test_choice_of_patterns_limit_and_form() -> None:
    few = settings(comprehend={"enabled": True, "patterns": ["when", "who"], "per_pattern": 1})
    assert operate(comprehend, documents([ZH], language="zh"), few).counts == {"when": 1, "who": 1, "documents": 1}
    below = settings(comprehend={"enabled": True, "form": "text"})
    rows = operate(comprehend, documents([ZH], language="zh"), below).batch.to_pylist()
    assert len(rows) == 1 and rows[0]["text"].startswith(ZH + "\n\n")
    assert "500元" in rows[0]["text"][len(ZH) :]


def test_the_title_column_is_asked_for_unless_it_is_a_file_name() -> None:
    text = "The lender keeps a register of all loans it gives to its clients. It shows every payment."
    assert asked(text, title="Register of loans")["title"][0][1] == "Register of loans"
    assert "title" not in asked(text, title="register.pdf") and "title" not in asked(text, title="44-1201")


def test_test_documents_and_ready_examples_are_left() -> None:
    for metadata in ('{"split": "test"}', '{"split": "dev"}', '{"shape": "messages", "messages": []}'):
        result = operate(comprehend, documents([EN], metadata=metadata), ON)
        assert len(result.batch) == 1 and result.counts == {"left alone": 1}
    assert not of_test({"metadata": '{"split": "Train"}'}) and not of_test({"metadata": ""})


@given(st.text('A因此，。是指 means\n"“”1元', max_size=80))
def test_any_text(text: str) -> None:
    result = operate(comprehend, documents([text]), settings(comprehend={"enabled": True}))
    assert result.batch["text"][0].as_py() == text


def test_made_rows_leave_validation_and_test(tmp_path: Path) -> None:
    """The step `derived` behind the split, on rows as the stage has them."""
    mark: dict[str, Any] = {"derived": {"by": "comprehend", "parent": "p"}}
    rows = [Row("p", "s", "t", split="test"), Row("q", "s#1", "t", split="test", metadata=mark),
            Row("r", "s#2", "t", split="train", metadata=mark)]  # fmt: skip
    flow = Flow(PrepareConfig(), TaskConfig(), 0, Console(quiet=True), rows, Texts(tmp_path),
                Spool(tmp_path / "rejected.arrow", REJECTED))  # fmt: skip
    said = derived_from_test(flow)
    assert [row.id for row in flow.rows] == ["p", "r"] and dict(flow.reasons) == {"made from a test document": 1}
    assert said == "1 made example for training, 1 from test documents"


def test_config_names_the_patterns() -> None:
    assert ComprehendConfig(patterns=tuple(FINDERS)).patterns == tuple(FINDERS)
