"""Short notes stay, broken texts leave, and every rejection names rule, value and limit, in both languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from metier.prepare.config_texts import RULES, QualityConfig
from metier.prepare.quality import broken, quality
from metier.prepare.quality_rules import BUILT_IN

from .texts import documents, operate, same, settings

ON = settings(quality={"enabled": True})
GOOD = [
    "ok thanks", "BP 120/80, HR 76, afebrile. Pt c/o SOB x 3 d.", "Na 140, K 4.2, Cl 101", "Please close account 4471.",
    "Sec. 5.1 Term. This Agreement begins on the Effective Date and ends after two years.",
    "- aspirin 100 mg\n- metformin 500 mg\n- no known allergies", "谢谢", "血压120/80，心率76，体温正常。",
    "患者，男，56岁，胸痛3天。既往高血压病史10年。", "第三条　甲方应当于收到发票之日起十个工作日内付款。",
    "1. 阿司匹林 100mg\n2. 二甲双胍 0.5g\n3. 无药物过敏史",
    "请尽快处理，卡号尾号4471。", "客戶表示帳單金額有誤，請協助查詢。",
]  # fmt: skip
EN = (
    "The borrower repays the loan in monthly parts and the bank may ask for it at once when two parts are late. "
    "A notice is given in writing and the borrower has ten days to answer it before the bank acts on it. "
)
ZH = (
    "借款人应当按月归还借款，逾期两期的，贷款人可以要求其一次还清。"
    "贷款人应当提前十日书面通知借款人，借款人可以在期限内提出异议。"
)
BAD = [
    ("letters", "---- 12 ---- 44 ---- 9 ----"), ("letters", "＊＊＊＊ 12 ＝＝＝＝＝＝ 44 ＊＊＊"),
    ("garbage", "The patient\ufffd\ufffd was seen\ufffd today"), ("garbage", "锟斤拷锟斤拷患者烫烫烫今日"),
    ("garbage", EN.replace("e", "\u00c3\u00a9")), ("symbols", "§§ ¤¤ ►◄ the ◊◊ bank ▓▓▓ says ░░ ▒▒▒"),
    ("symbols", "银行▓▓▓通知▒▒◊◊客户¤¤§§"), ("links", "see https://example.org/a/very/long/address/of/a/page?x=1"),
    ("links", "见https://example.org/a/very/long/address/of/a/page?x=1"), ("markup", "<div><p>The bank</p></div><br/>"),
    ("markup", "<div><p>银行通知</p></div><br/>"), ("placeholder", "Lorem ipsum dolor sit amet, consectetur."),
    ("placeholder", "此处输入文字，标题在上方。"), ("truncated", "The court held that the lease... Read more"),
    ("truncated", "法院认为，该租赁合同……查看全文"), ("function_words", " ".join(["invoice loan market paper"] * 12)),
    ("function_words", "银行借款通知客户逾期金额" * 15), ("odd_words", "xkcdq wrtzp bnmkl qqqqz the sdfgh zxcvb " * 3),
    ("rare_han", "浣犲ソ鎮ㄥソ鎴戜滑"), ("punctuation", "银行在每月的工作日向客户发出通知并说明应还的金额和日期" * 8),
    ("punctuation", "the bank sends a note to every client in a month and says what is due " * 10),
    ("bullets", "\n".join(f"- the item called {word} is here" for word in EN.split())),
    ("bullets", "\n".join(f"- {part}一项列在这里的内容不多不少" for part in "甲乙丙丁戊己庚辛壬癸" * 6)),
    ("ellipses", "\n".join(f"the story of {word} goes on..." for word in EN.split()[:9])),
    ("ellipses", "\n".join(f"关于{word}的故事还没有讲完……" for word in "银行客户通知金额日期")),
    ("top_line", "Click here to see the offers of the day\n" * 3 + "The bank is open."),
    ("top_line", "点击这里查看今日优惠活动\n" * 4 + "银行营业中。"),
    ("repeated_lines", (EN[:107] + "\n" + EN[107:] + "\n") * 3),
    ("top_ngram", "buy now and buy now or buy now so buy now but buy now yet buy now then buy now at " * 2),
    ("top_ngram", "马上购买的马上购买了马上购买是马上购买在马上购买和马上购买有马上购买不马上购买或马上购买与马上购买"),
    ("repeated_ngrams", EN * 4), ("repeated_ngrams", ZH * 5),
]  # fmt: skip


@pytest.mark.parametrize("text", [*GOOD, EN, ZH])
def test_short_notes_and_clauses_stay(text: str) -> None:
    assert broken(text, QualityConfig()) == []


@pytest.mark.parametrize(("rule", "text"), BAD)
def test_what_is_broken_leaves_by_its_rule(rule: str, text: str) -> None:
    assert rule in [found.name for found, _, _ in broken(text, QualityConfig())]


def test_every_rule_is_tried_above() -> None:
    assert {rule.name for rule in BUILT_IN} == set(RULES) == {name for name, _ in BAD}


def test_rejections_name_rule_value_and_limit() -> None:
    table = documents(["fine text", "见https://example.org/a/very/long/address/of/a/page?x=1", "锟斤拷锟斤拷"])
    result = operate(quality, table, ON)
    assert result.batch["text"].to_pylist() == ["fine text"]
    assert [row["reason"] for row in result.rejected] == ["quality: links", "quality: garbage"]
    assert result.rejected[0]["detail"].startswith("links 0.981, more than 0.6")
    assert result.counts == {"links": 1, "garbage": 1} and "garbage 1, links 1" in quality.note(result.counts)
    assert same(result, operate(quality, table, ON, size=1))


def test_limits_can_be_changed_by_language_and_switched_off() -> None:
    en, zh = "The bank ▓▓▓ says", "银行▓通知客户"
    strict = QualityConfig(rules={"symbols": {"zh": 0.1}})
    assert not broken(en, strict) and [rule.name for rule, _, _ in broken(zh, strict)] == ["symbols"]
    assert not broken("Lorem ipsum", QualityConfig(rules={"placeholder": False}))
    with pytest.raises(ValidationError, match="did you mean 'symbols'"):
        QualityConfig(rules={"symbol": 0.1})


@given(st.text(max_size=200))
def test_any_text_is_judged(text: str) -> None:
    for _, value, limit in broken(text, QualityConfig()):
        assert value != limit and value >= 0
