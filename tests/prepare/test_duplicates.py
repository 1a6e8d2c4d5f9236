"""Exact and near duplicates, conflicts, folding: what stays, what goes and what is listed."""

from typing import Any

import pytest

from metier.errors import UserError
from metier.prepare.dedup import fold

from .conftest import document
from .test_tasks import BOTH

LONG = "I would like to know when the replacement for my stolen bank card will be delivered to my new address"


def test_fold() -> None:
    assert fold("Where  IS\nit?") == fold("where is it?")
    assert fold("你 好，世界 ") == fold("你好，世界")
    assert fold("10³") != fold("103")
    assert fold("is it") != fold("isit")


def test_equal_texts_become_one_example_with_all_ids(stage: Any) -> None:
    same = [document(40, LONG, "card", group="anna"), document(41, LONG.upper(), "card", group="bob"),
            document(42, f"  {LONG} ", "card")]  # fmt: skip
    done = stage(same + BOTH, {"split": {"by": "stratified"}})
    (row,) = [row for row in done.examples if "replacement" in row["text"]]
    assert row["document_ids"] == [document["id"] for document in same]
    assert (row["id"], row["group"]) == (same[0]["id"], "anna")
    assert [(d["kind"], d["kept_id"], d["similarity"]) for d in done.duplicates] == [("exact", same[0]["id"], 1.0)] * 2
    assert done.summary["duplicates"] == {"exact": 2, "near": 0}
    assert done.rejected == []


def test_thanks_from_everybody_does_not_tie_everybody_together(stage: Any) -> None:
    rows = []
    for customer in range(30):
        rows.append(document(10 * customer, "Thanks!", "fee", group=f"c{customer}"))
        rows.append(document(10 * customer + 1, f"{customer} zebra {chr(97 + customer % 26) * 9} question",
                             ("card", "fee")[customer % 2], group=f"c{customer}"))  # fmt: skip
    done = stage(rows)
    assert done.summary["split_by"] == "group"
    assert done.texts().count("Thanks!") == 1
    assert all(len(splits) == 1 for splits in done.sides("group").values())
    assert 3 <= done.summary["splits"]["test"] <= 10


def test_near_duplicates_stay_and_never_straddle(stage: Any) -> None:
    near = [document(100 + i, LONG.replace("new", f"{word} new"), "card") for i, word in
            enumerate(["very", "own", "quite", "brand", "old", "nice"])]  # fmt: skip
    for seed in range(5):
        done = stage(near + BOTH, seed=seed)
        clusters = {row["cluster"] for row in done.examples if "replacement" in row["text"]}
        assert len(clusters) == 1
        assert len(done.sides("cluster")[clusters.pop()]) == 1
        assert done.summary["duplicates"]["near"] == 5 and len(done.examples) == 16


def test_near_duplicates_in_chinese(stage: Any) -> None:
    near = [
        "您好，我的银行卡昨天在超市丢失了，请问应该怎么办理挂失手续",
        "您好，我的银行卡昨天在超市丢失了，请问应该怎样办理挂失手续",
        "您好，我的银行卡昨天在超市遗失了，请问应该怎么办理挂失手续",
    ]
    other = [
        "信用卡账单什么时候出",
        "怎么提高转账限额",
        "手机银行登录不了",
        "为什么扣了我的年费",
        "我要投诉客服",
        "利息怎么计算",
        "请帮我注销账户",
    ]
    rows = [document(i, text, ("卡", "费")[i % 2]) for i, text in enumerate(near + other)]
    done = stage(rows)
    assert done.summary["languages"] == {"zh": 10}
    assert len({row["cluster"] for row in done.examples}) == 8
    assert sum(entry["kind"] == "near" for entry in done.duplicates) == 2
    assert {row["kind"] for row in done.conflicts} == {"near"}
    assert [row["id"] for row in done.conflicts] == [rows[0]["id"], rows[1]["id"]]  # 1 and 2 are not near each other


def test_removal_of_near_duplicates_keeps_what_differs_in_meaning(stage: Any) -> None:
    texts = [LONG, LONG + "!", LONG.replace("would like", "would really like"), LONG.replace("will be", "will not be"),
             LONG + " 10117", LONG + " 10119"]  # fmt: skip
    near = [document(100 + i, text, "card") for i, text in enumerate(texts)]
    near.append(document(200, LONG + " please", "fee"))  # another label
    done = stage(near + BOTH, {"dedup": {"remove_near": True}})
    left = [text for text in done.texts() if "replacement" in text]
    assert left == [texts[0], texts[3], texts[4], texts[5], LONG + " please"]
    assert done.reasons() == {"near duplicate": 2}
    assert {row["id"] for row in done.rejected} == {near[1]["id"], near[2]["id"]}


CLASH = [document(70, "is this a fee or a card?", "card"), document(71, "Is this a fee or a card?", "fee"),
         document(72, "IS THIS A FEE OR A CARD?", "fee")]  # fmt: skip


@pytest.mark.parametrize(("policy", "left"), [("drop", []), ("keep", ["card", "fee"]), ("majority", ["fee"])])
def test_conflicts(stage: Any, policy: str, left: list[str]) -> None:
    done = stage(BOTH + CLASH, {"dedup": {"conflicts": policy}})
    assert [row["label"] for row in done.examples if "fee or a card" in row["text"]] == left
    listed = [(row["id"], row["label"], row["kind"]) for row in done.conflicts]
    assert listed == [(row["id"], label, "exact") for row, label in zip(CLASH, ["card", "fee", "fee"], strict=True)]
    assert done.summary["conflicts"] == 3
    assert done.reasons() == ({} if policy == "keep" else {"conflicting label": 3 if policy == "drop" else 1})
    assert all(len(splits) == 1 for splits in done.sides("cluster").values())


def test_a_tie_has_no_majority(stage: Any) -> None:
    done = stage(BOTH + CLASH[:2], {"dedup": {"conflicts": "majority"}})
    assert done.reasons() == {"conflicting label": 2}


def test_without_folding_equal_texts_stay_on_one_side(stage: Any) -> None:
    same = [document(40 + i, LONG, "card", group=f"g{i}") for i in range(5)]
    done = stage(same + BOTH, {"dedup": {"exact": False}})
    assert done.texts().count(LONG) == 5
    assert len({row["split"] for row in done.examples if row["text"] == LONG}) == 1


def test_all_duplicates_of_one_text(stage: Any) -> None:
    with pytest.raises(UserError) as error:
        stage([document(i, LONG, "card") for i in range(20)])
    assert "step labels" in error.value.where


def test_all_duplicates_of_two_texts(stage: Any) -> None:
    rows = [document(i, (LONG, "other text")[i % 2], ("card", "fee")[i % 2]) for i in range(20)]
    with pytest.raises(UserError, match="no example is left"):
        stage(rows)


def test_the_same_document_twice(stage: Any) -> None:
    done = stage([*BOTH, BOTH[0]])
    assert done.reasons() == {"same document": 1}
    assert len(done.examples) == len(BOTH)
