"""Policies and surrogates: the same one again, valid, of the same shape, and nothing of the original left."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.errors import UserError
from metier.prepare.deidentify.config import DeidentifyConfig
from metier.prepare.deidentify.recognise import checks, dates
from metier.prepare.deidentify.recognise.find import find
from metier.prepare.deidentify.recognise.folding import compact, fold
from metier.prepare.deidentify.replace import key as keys
from metier.prepare.deidentify.replace.days import Shift, shift_of
from metier.prepare.deidentify.replace.people import alias, full_names
from metier.prepare.deidentify.replace.surrogate import Surrogates
from metier.prepare.deidentify.replace.text import is_chinese, replace

KEY = b"a key for the tests, 32 bytes long"


def made(text: str, key: bytes = KEY, subject: str = "p1", language: str = "") -> tuple[str, list[Any]]:
    """The text with surrogates, and the replacements."""
    spans = find(text)
    known = full_names([text[span.start : span.end] for span in spans if span.kind == "person"])
    surrogates = Surrogates(key, Shift(shift_of(key, subject)), 90, known)
    return replace(text, spans, lambda kind: "surrogate", is_chinese(text, language), surrogates)


def one(text: str) -> Any:
    """The only replacement in a text."""
    (item,) = made(text)[1]
    return item


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("mask", "手机***，邮箱***"),
        ("placeholder", "手机【电话】，邮箱【邮箱】"),
        ("keep", "手机13800138000，邮箱zhang@x.com"),
    ],
)
def test_policies(policy: str, expected: str) -> None:
    text = "手机13800138000，邮箱zhang@x.com"
    assert replace(text, find(text), lambda kind: policy, True)[0] == expected


def test_placeholders_follow_the_language() -> None:
    text = "call 212-555-1234"
    assert replace(text, find(text), lambda kind: "placeholder", is_chinese(text, ""))[0] == "call [PHONE]"


def test_kinds_may_have_policies_of_their_own() -> None:
    config = DeidentifyConfig(policy="placeholder", policies={"date": "keep", "phone": "mask"})
    text = "On March 5, 2024 call 212-555-1234, a@b.com"
    assert replace(text, find(text), config.policy_of, False)[0] == "On March 5, 2024 call ***, [EMAIL]"


VALID: dict[str, tuple[str, Any]] = {
    "resident ID": ("身份证号11010519491231002X，", checks.resident_id),
    "old resident ID": ("身份证号110105491231002，", checks.old_resident_id),
    "credit code": ("税号91350100M000100Y43，", checks.credit_code),
    "card": ("card 4111 1111 1111 1111", checks.payment_card),
    "UnionPay": ("卡号6222021234567890128", checks.payment_card),
    "IBAN": ("IBAN GB82 WEST 1234 5698 7654 32", checks.iban),
    "SSN": ("SSN 536-22-1234", checks.social_security),
    "NHS": ("NHS 943 476 5919", checks.nhs),
    "routing": ("routing number 021000021", checks.routing),
    "Hong Kong": ("香港身份证A123456(3)", checks.hong_kong_id),
    "Taiwan": ("台湾身份证A123456789", checks.taiwan_id),
    "mobile": ("手机13800138000", re.compile(r"1[3-9]\d{9}").fullmatch),
    "American": ("call 212-555-1234", re.compile(r"[2-9]\d{2}[2-9]\d{6}").fullmatch),
}


@pytest.mark.parametrize("name", VALID)
def test_surrogates_are_valid_and_of_the_same_shape(name: str) -> None:
    text, check = VALID[name]
    item = one(text)
    assert item.policy == "surrogate" and item.after != item.before
    assert check(compact(fold(item.after))), item
    assert re.sub("[0-9A-Za-z]", "0", item.after) == re.sub("[0-9A-Za-z]", "0", item.before)
    again = find(text[: item.start] + item.after + text[item.end :])
    assert [span.kind for span in again] == [item.kind]  # a reader takes it for what the original was


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**8 - 1), st.binary(min_size=16, max_size=32), st.sampled_from(["130", "158", "186", "199"]))
def test_any_mobile_with_any_key(number: int, key: bytes, prefix: str) -> None:
    original = f"{prefix}{number:08d}"
    text, items = made(f"手机{original}，", key)
    assert re.fullmatch(r"手机1[3-9]\d{9}，", text) and original not in text and len(items) == 1
    assert made(f"电话：+86 {original}", key)[1][0].after.endswith(items[0].after)  # however it is written


@settings(max_examples=40, deadline=None)
@given(st.dates(datetime.date(1930, 1, 1), datetime.date(2015, 12, 31)),
       st.integers(1, 998), st.binary(min_size=16, max_size=16))  # fmt: skip
def test_any_resident_id_keeps_its_sex(born: Any, serial: int, key: bytes) -> None:
    body = f"310115{born:%Y%m%d}{serial:03d}"
    original = body + checks.resident_id_digit(body)
    item = made(f"身份证号{original}。", key)[1][0]
    assert checks.resident_id(item.after) and item.after != original
    assert (int(item.after[16]) - int(original[16])) % 2 == 0


def test_the_same_original_is_the_same_surrogate_in_every_document() -> None:
    one_text, _ = made("John Smith, 212-555-1234, card 4111111111111111", subject="a")
    other, _ = made("Fax 212-555-1234; 4111-1111-1111-1111; Smith, John", subject="b")
    phone = one_text.split(", ")[1]
    assert phone in other
    assert one_text.split("card ")[1] == re.sub("-", "", other.split("; ")[1])
    first, last = one_text.split(",")[0].split(" ")
    assert other.endswith(f"{last}, {first}")
    assert made("John Smith", key=b"another key of 16 bytes")[0] != f"{first} {last}"


def test_variants_of_one_name_become_variants_of_one_name() -> None:
    text, _ = made("Patient: John Smith. J. Smith slept. Mr. Smith left. JOHN SMITH signed.")
    first, last = text[len("Patient: ") :].split(".")[0].split(" ")
    assert (
        text
        == f"Patient: {first} {last}. {first[0]}. {last} slept. Mr. {last} left. {first.upper()} {last.upper()} signed."
    )


def test_chinese_names_keep_length_and_family() -> None:
    text, _ = made("患者张小明，张先生自述，家属张某某。")
    name = text[2:5]
    assert re.fullmatch(f"患者{name}，{name[0]}先生自述，家属{name[0]}某某。", text) and name[0] != "张"
    assert alias(KEY, "欧阳娜娜", {}) and len(alias(KEY, "欧阳娜娜", {}) or "") == 4
    assert alias(KEY, "Иван", {}) is None  # a placeholder stands instead


@pytest.mark.parametrize(
    ("before", "days", "after"),
    [
        ("2024-02-28", 7, "2024-03-06"), ("2024年5月1日", -7, "2024年4月24日"),
        ("２０２４年５月１日", 7, "２０２４年５月８日"),
        ("March 28th, 2024", 7, "April 4th, 2024"), ("1 Jan 2024", -7, "25 Dec 2023"), ("12/25/2023", 7, "1/1/2024"),
        ("01/02/2024", 7, "01/09/2024"), ("31.12.2023", 7, "7.1.2024"), ("19491231", 7, "19500107"),
        ("2018-02-24 12:45:18", 7, "2018-03-03 12:45:18"), ("MAY 2, 2024", -7, "APRIL 25, 2024"),
        ("2024年5月", 28, "2024年6月"),
        ("5月30日", 7, "6月6日"), ("二〇二四年五月一日", 7, None),
    ],
)  # fmt: skip
def test_dates_move_and_keep_their_form(before: str, days: int, after: str | None) -> None:
    assert Shift(days).move(before) == after


def test_day_first_reads_3_4_as_april() -> None:
    assert Shift(30, day_first=True).move("03/04/2024") == "03/05/2024"
    assert Shift(30, day_first=False).move("03/04/2024") == "04/03/2024"


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.text(max_size=20))
def test_a_subject_has_one_shift_of_whole_weeks(key: bytes, subject: str) -> None:
    days = shift_of(key, subject)
    assert days % 7 == 0 and days != 0 and -364 <= days <= 364 and days == shift_of(key, subject)


def test_intervals_stay_within_a_subject() -> None:
    _, items = made("born 1950-01-01, admitted 2024-03-05, discharged 2024-03-12")
    found = [dates.parse(item.after) for item in items]
    days = [datetime.date(*(int(match[1][part]) for part in "ymd")) for match in found if match]
    assert (days[2] - days[1]).days == 7 and (days[1] - days[0]).days == 27092


ANY = (
    "患者张三，身份证号11010519491231002X，手机13800138000，邮箱zhang@firm.cn，车牌京A12345，"
    "住北京市朝阳区建国路88号3号楼1201室，护照E12345678，（2024）京01民初123号，卡号6222021234567890128，"
    "微信号zhang_san88，IP 10.1.2.3，网址https://a.example/p，MAC 00:1A:2B:3C:4D:5E，VAT DE136695976，"
    "IBAN DE89370400440532013000，享年95岁，2024年5月1日。"
)


@pytest.mark.parametrize("key", [KEY, b"0123456789abcdef", b"\x00" * 16])
def test_no_original_remains(key: bytes) -> None:
    text, items = made(ANY, key)
    assert len(items) >= 16
    for item in items:
        assert item.before not in text or item.kind == "age", item
        assert item.policy == "surrogate", item
    assert text == made(ANY, key)[0]


def test_hosts_are_reserved_ones() -> None:
    text, _ = made("a@firm.co.uk b@gmail.com https://intra.firm.cn/x 10.1.2.3 2001:470::1")
    assert ".example" in text and "@gmail.com" in text and "firm" not in text
    assert re.search(r"198\.1[89]\.\d+\.\d+", text) and "2001:db8:" in text


def test_the_key_is_read_and_never_shown(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = DeidentifyConfig(policy="surrogate")
    monkeypatch.delenv("METIER_DEIDENTIFY_KEY", raising=False)
    with pytest.raises(UserError, match="need a secret key"):
        config.identity()
    monkeypatch.setenv("METIER_DEIDENTIFY_KEY", "short")
    with pytest.raises(UserError, match="can be guessed"):
        config.identity()
    secret = "a long and secret text of the hospital"
    monkeypatch.setenv("METIER_DEIDENTIFY_KEY", secret)
    identity = config.identity()
    assert secret not in str(identity) and re.fullmatch("[0-9a-f]{16}", identity["key"])
    monkeypatch.setenv("METIER_DEIDENTIFY_KEY", secret + "!")
    assert config.identity()["key"] != identity["key"]
    path = tmp_path / "key"
    path.write_bytes(secret.encode() + b"\n")
    assert keys.load(DeidentifyConfig(policy="surrogate", key_file=str(path))) == secret.encode()
    with pytest.raises(UserError, match="not there"):
        keys.load(DeidentifyConfig(policy="surrogate", key_file=str(tmp_path / "none")))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 10**9))
def test_streams_stay_below_their_bound(bound: int) -> None:
    stream = keys.Stream(KEY, "test", str(bound))
    values = [stream.below(bound) for _ in range(20)]
    assert all(0 <= value < bound for value in values)
    assert values == [number.below(bound) for number in [keys.Stream(KEY, "test", str(bound))] for _ in range(20)]
