from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.collect.encoding import decode
from metier.collect.reading import Unreadable
from metier.errors import UserError

CHINESE = "您好，我的银行卡昨天在自动取款机上被吞了，请问需要带什么证件去网点办理？谢谢。"
TRADITIONAL = "您好，我的信用卡昨天在提款機被吃掉了，請問要帶什麼證件到分行辦理？謝謝。"
WESTERN = "Überweisung über 200 € an Müller & Söhne – “dringend”, s’il vous plaît."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030"])
def test_chinese_in_each_encoding(encoding: str) -> None:
    assert decode(CHINESE.encode(encoding)).text == CHINESE


def test_the_guess_is_named() -> None:
    assert decode(CHINESE.encode("gb18030")).encoding == "gb18030"
    assert decode(TRADITIONAL.encode("big5")).encoding == "big5"
    assert decode(WESTERN.encode("cp1252")).encoding == "cp1252"
    assert decode(b"plain").encoding == "utf-8"


@pytest.mark.parametrize("text", [WESTERN, "José", "señor", "naïve café", "50 °C ± 2", "São Paulo, informação", "£5"])
def test_western_is_not_taken_for_chinese(text: str) -> None:
    assert decode(text.encode("cp1252")).text == text


@pytest.mark.parametrize("text", ["姓名,年龄\n张三,30\n", "客户留言", "投诉", "标签\n转账未到账\n"])
def test_short_chinese_is_not_taken_for_western(text: str) -> None:
    assert decode(text.encode("gb18030")).text == text


def test_utf16_english_without_mark() -> None:
    text = "text,label\r\nWhere is my card?,card\r\n"
    assert decode(text.encode("utf-16-le")).text == text
    assert decode(text.encode("utf-16-be")).text == text


def test_forced_encoding() -> None:
    assert decode("é".encode("cp1252"), "latin-1").text == "é"
    with pytest.raises(Unreadable, match="undecodable"):
        decode(b"\xff\xfea", "utf-8")
    with pytest.raises(UserError, match="no encoding called 'klingon'"):
        decode(b"a", "klingon")


def test_a_wrong_claim_is_not_believed() -> None:
    assert decode(CHINESE.encode("gb18030"), declared="iso-8859-1").text == CHINESE
    assert decode(CHINESE.encode(), declared="gb2312").text == CHINESE


def test_damaged_utf8_is_refused_or_counted() -> None:
    data = (CHINESE * 5).encode() + b"\xe6\x88 " + CHINESE.encode()
    with pytest.raises(Unreadable, match="damaged"):
        decode(data)
    kept = decode(data, lenient=True)
    assert (kept.encoding, kept.damaged) == ("utf-8", 2)


def test_noise_is_refused() -> None:
    with pytest.raises(Unreadable):
        decode(bytes(range(128, 256)) * 20)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_text_or_a_refusal(data: bytes) -> None:
    try:
        decoded = decode(data)
    except Unreadable as error:
        assert error.reason == "undecodable" and error.detail
    else:
        assert "\ufffd" not in decoded.text or b"\xef\xbf\xbd" in data or decoded.encoding != "utf-8"
        decoded.text.encode("utf-8", "surrogatepass")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_utf8_always_comes_back(text: str) -> None:
    data = text.encode("utf-8", "replace")
    if b"\x00" not in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\x1b$" not in data:
        assert decode(data).text == data.decode().removeprefix("\ufeff")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("shift_jis", "カードが使えません。契約者は三十日以内に代金を支払うものとする。"),
        ("euc_jp", "カードが使えません。契約者は三十日以内に代金を支払うものとする。"),
        ("euc_kr", "계약자는 30일 이내에 대금을 지급하여야 한다."),
        ("cp1251", "Клиент обязан оплатить счёт в течение тридцати дней."),
        ("koi8_r", "Клиент обязан оплатить счёт в течение тридцати дней."),
        ("utf-32", "客户投诉"), ("utf-32-be", "\ufeff客户投诉"),
    ],
)  # fmt: skip
def test_other_scripts_are_told_from_chinese(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding)).text == text.removeprefix("\ufeff")


@pytest.mark.parametrize("encoding", ["gb18030", "big5"])
@pytest.mark.parametrize(
    "text", ["退款", "您好", "理赔金额", "銀行", "被告应给付原告五万元", "他说「カード」不能用", "彭小姐"]
)
def test_short_chinese_texts_stay_chinese(encoding: str, text: str) -> None:
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        pytest.skip("not in this code page")
    assert decode(data).text == text


@pytest.mark.realdata
def test_real_chinese_texts_in_their_old_encodings() -> None:
    import json

    from .samples import mirror

    path = mirror() / "health" / "huatuo-zh" / "data" / "llama_data.json"
    texts = [json.loads(line)["output"] for line in path.read_text(encoding="utf-8").splitlines()]
    wrong = 0
    for text in texts:
        try:
            wrong += decode(text.encode("gb18030")).text != text
        except Unreadable:
            wrong += 1
    assert len(texts) > 8_000 and wrong <= 0.001 * len(texts)
