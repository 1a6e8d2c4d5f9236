"""Check digits against numbers computed by hand or published as examples by the registers themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.prepare.deidentify.recognise import checks
from metier.prepare.deidentify.recognise import checks_europe as europe

VALID: list[tuple[Callable[[str], bool], str]] = [
    (checks.resident_id, "11010519491231002X"),  # the example of GB 11643
    (checks.credit_code, "91350100M000100Y43"),  # the example of GB 32100
    (checks.luhn, "4111111111111111"), (checks.luhn, "378282246310005"), (checks.luhn, "6011111111111117"),
    (checks.payment_card, "5555555555554444"), (checks.payment_card, "6222021234567890128"),
    (checks.iban, "GB82WEST12345698765432"), (checks.iban, "DE89370400440532013000"),
    (checks.iban, "FR1420041010050500013M02606"), (checks.iban, "NO9386011117947"),
    (checks.nhs, "9434765919"), (checks.routing, "021000021"), (checks.routing, "011401533"),
    (checks.hong_kong_id, "A1234563"), (checks.taiwan_id, "A123456789"),
    (europe.mod_11_10, "136695976"), (europe.belgium, "0776091951"), (europe.denmark, "13585628"),
    (europe.finland, "09853608"), (europe.france, "40303265045"), (europe.britain, "980780684"),
    (europe.italy, "00743110157"), (europe.luxembourg, "15027442"), (europe.netherlands, "004495445B01"),
    (europe.poland, "8567346215"), (europe.portugal, "501964843"), (europe.sweden, "123456789701"),
    (europe.slovenia, "50223054"), (europe.estonia, "100594102"), (europe.hungary, "12892312"),
    (europe.greece, "094259216"), (europe.slovakia, "2022749619"), (europe.austria, "U13585627"),
    (europe.pesel, "44051401359"), (europe.spanish_id, "12345678Z"), (europe.spanish_id, "X1234567L"),
    (europe.codice_fiscale, "RSSMRA85T10A562S"), (europe.french_nir, "255081416802538"),
    (europe.belgian_nrn, "85073003328"), (europe.dutch_bsn, "111222333"), (europe.swedish_person, "8112189876"),
    (europe.finnish_person, "131052308T"), (europe.swiss_ahv, "7569217076985"),
]  # fmt: skip
NAMES = [f"{check.__name__} {number}" for check, number in VALID]


@pytest.mark.parametrize(("check", "number"), VALID, ids=NAMES)
def test_published_examples_pass(check: Callable[[str], bool], number: str) -> None:
    assert check(number)


@pytest.mark.parametrize(("check", "number"), VALID, ids=NAMES)
def test_one_changed_digit_is_noticed(check: Callable[[str], bool], number: str) -> None:
    """In the middle of the number; all schemes but a few values of MOD 10 notice every single error."""
    place = next(index for index in range(len(number) // 2 - 1, 0, -1) if number[index].isdigit())
    wrong = [number[:place] + digit + number[place + 1 :] for digit in "0123456789" if digit != number[place]]
    noticed = sum(not check(other) for other in wrong)
    assert noticed >= (4 if check is checks.taiwan_id else 8)  # its weight 5 does not see a difference of 2


@given(st.text("0123456789", min_size=11, max_size=18))
def test_luhn_has_exactly_one_digit_for_each_body(body: str) -> None:
    valid = [digit for digit in "0123456789" if checks.luhn(body + digit)]
    assert valid == [checks.luhn_digit(body)] or len(set(body)) == 1


@given(st.text("0123456789", min_size=17, max_size=17))
def test_the_last_character_of_a_resident_id_is_one_of_eleven(body: str) -> None:
    assert checks.resident_id_digit(body) in "0123456789X"


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=18, max_size=18))
def test_iban_digits_make_an_iban(account: str) -> None:
    number = f"GB{checks.iban_digits('GB', account)}{account}"
    assert checks.iban(number) and checks.mod97(number) == 1


@pytest.mark.parametrize(
    "number", ["990105194912310021", "11010519491331002X", "110105194912310021", "00000000000000000X"]
)
def test_a_resident_id_needs_a_province_a_date_and_its_digit(number: str) -> None:
    assert not checks.resident_id(number)


@pytest.mark.parametrize("number", ["000123456", "666123456", "123001234", "123450000", "900123456"])
def test_numbers_that_were_never_issued_are_no_ssn(number: str) -> None:
    assert not checks.social_security(number)


def test_a_card_needs_the_beginning_of_a_network() -> None:
    assert checks.luhn("1234567812345670") and not checks.payment_card("1234567812345670")
    assert not checks.payment_card("0" * 16)
