"""Repair of texts: what is broken is mended, what is Chinese or deliberate stays."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metier.prepare.normalize import clean, repair_gbk

CHINESE = st.text(
    alphabet="患者男女岁住院诊断为高血压糖尿病，。！？、；：「」『』《》（）【】“”‘’…—５６７ＡＢ％·　", max_size=60
)


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("donâ€™t", "don’t"),
        ("FranÃ§ois", "François"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("bell\x07 and \x00null", "bell and null"),
        ("zero\u200bwidth\ufeff \u00adsoft", "zerowidth soft"),
        ("cafe\u0301", "café"),
        ("line  \nend\t \n", "line\nend"),
        ("no\u00a0break", "no break"),
        ("ﬁnance", "finance"),
        ("浣犲ソ", "你好"),
        ("\u200c你好\u200d", "你好"),
    ],
)
def test_repairs(broken: str, mended: str) -> None:
    assert clean(broken) == mended


@pytest.mark.parametrize(
    "text",
    [
        "患者，男，５６岁。",
        "他说：「好！」《红楼梦》（第一回）？",
        "“引号”和‘引号’",
        "10³ ≠ 103, ½ cup, ™",
        "a < b and c > d, <#> and <name>",
        "&lt;tag&gt; stays",
        "联通",
        "浣熊",  # raccoon: the first character of the classic mojibake, in an ordinary word
        "👨\u200d👩\u200d👧 family",
        "कृपया\u200dअ",
        "",
    ],
)
def test_leaves_alone(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    "text", ["您好，我的银行卡丢了怎么办？", "退款什么时候到账", "患者服用阿司匹林100mg", "信用卡账单（六月）"]
)
def test_gbk_mojibake_comes_back_when_no_byte_was_lost(text: str) -> None:
    raw = text.encode("utf-8")
    try:
        broken = raw.decode("gb18030")
    except UnicodeDecodeError:
        broken = raw.decode("gb18030", "replace")
        assert repair_gbk(broken) == broken, "lost bytes must not be guessed"
        return
    assert broken != text
    assert clean(broken) == text


def test_gbk_with_the_euro_sign_of_windows() -> None:
    broken = "".join("€" if byte == "\x80" else byte for byte in ["閫", "€", "€"])
    assert "退".encode() == b"\xe9\x80\x80"
    assert repair_gbk(broken + broken).count("退") in (0, 2)  # repaired whole or not at all


def test_markup_is_stripped_only_on_request() -> None:
    html = "<p>Dear&nbsp;Sir,<br>pay <b>5 &lt; 6</b></p><script>x()</script><name>"
    assert clean("<b>x</b>") == "<b>x</b>"
    assert clean(html, strip_markup=True) == "Dear Sir,\npay 5 < 6\n<name>"


def test_without_repair_only_the_ends_are_trimmed() -> None:
    assert clean("  donâ€™t\r\n ", repair=False) == "donâ€™t"


@settings(max_examples=300, deadline=None)
@given(CHINESE)
def test_chinese_is_unchanged_but_for_trailing_spaces(text: str) -> None:
    assert clean(text) == text.strip()


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=40) | st.text(alphabet="Ã©â€™ \u200b\u00a0\r\n\x85<>&;abltg浣犲ソ你好", max_size=30), st.booleans()
)
@example("\u200b\u0301a", False)
def test_idempotent(text: str, strip_markup: bool) -> None:
    once = clean(text, strip_markup=strip_markup)
    assert clean(once, strip_markup=strip_markup) == once
