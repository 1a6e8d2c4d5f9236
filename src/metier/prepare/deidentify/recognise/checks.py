"""Check digits: whether a number is one of its kind, and the digit that makes it one.

Purpose: a check digit tells an identifier from an amount, a dose or an order number of the same length. Every function
takes the number compact (ASCII digits and capital letters, no separators) and answers with bool, or with the missing
character where its name ends in `_digit`; surrogates are made with the same functions.
Sources: GB 11643-1999 (resident ID), GB 32100-2015 and GB 11714-1997 (credit code), ISO/IEC 7812-1 (Luhn), ISO 13616
(IBAN), NHS Data Dictionary (NHS number), ABA routing numbers, SSA (numbers that are never issued).
Not covered: numbers without a check digit, which only their label can tell; European ones (`checks_europe`).
"""

from __future__ import annotations

import datetime

ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
ID_DIGITS = "10X98765432"
# First two digits of GB/T 2260: the provinces; 71, 81, 82 and 83 are residents of Taiwan, Hong Kong and Macau.
PROVINCES = frozenset(
    ("11", "12", "13", "14", "15", "21", "22", "23", "31", "32", "33", "34", "35", "36", "37", "41",
     "42", "43", "44", "45", "46", "50", "51", "52", "53", "54", "61", "62", "63", "64", "65", "71",
     "81", "82", "83")
)  # fmt: skip
CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
CREDIT_WEIGHTS = tuple(pow(3, place, 31) for place in range(17))
ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)

# Country -> length of its IBAN (SWIFT IBAN registry, release 99).
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip


def luhn(number: str) -> bool:
    """Digits whose last one is the check digit of ISO/IEC 7812-1; a row of equal digits is no number."""
    return len(set(number)) > 1 and luhn_digit(number[:-1]) == number[-1]


def luhn_digit(body: str) -> str:
    """The digit that makes `body` plus it valid."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def real_date(digits: str) -> bool:
    """YYYYMMDD between 1850 and the end of this century."""
    try:
        day = datetime.date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return False
    return 1850 <= day.year < 2100


def resident_id(number: str) -> bool:
    """18 characters: known province, real date of birth, MOD 11-2."""
    return (
        len(number) == 18
        and number[:2] in PROVINCES
        and real_date(number[6:14])
        and resident_id_digit(number[:17]) == number[17]
    )


def resident_id_digit(body: str) -> str:
    """The last character of a resident ID from its first 17."""
    return ID_DIGITS[sum(int(digit) * weight for digit, weight in zip(body, ID_WEIGHTS, strict=True)) % 11]


def old_resident_id(number: str) -> bool:
    """15 digits, issued until 1999: known province and a date of birth in the twentieth century; no check digit."""
    return len(number) == 15 and number[:2] in PROVINCES - {"83"} and real_date("19" + number[6:12])


def credit_code(number: str) -> bool:
    """Unified social credit code: 18 characters of an alphabet without I, O, S, V, Z, the last one MOD 31."""
    return (
        len(number) == 18
        and number[0] in "159Y"
        and number[2:4] in PROVINCES | {"10"}
        and all(char in CREDIT_ALPHABET for char in number)
        and credit_code_digit(number[:17]) == number[17]
    )


def credit_code_digit(body: str) -> str:
    """The last character of a credit code from its first 17."""
    total = sum(CREDIT_ALPHABET.index(char) * weight for char, weight in zip(body, CREDIT_WEIGHTS, strict=True))
    return CREDIT_ALPHABET[-total % 31]


def organisation_digit(body: str) -> str:
    """The ninth character of the organisation code within a credit code (GB 11714) from its first 8."""
    rest = 11 - sum(int(char, 36) * weight for char, weight in zip(body, ORGANISATION_WEIGHTS, strict=True)) % 11
    return "0X"[rest == 10] if rest >= 10 else str(rest)


def payment_card(number: str) -> bool:
    """12 to 19 digits with Luhn's digit that begin as the cards of a network do (ISO/IEC 7812 issuer ranges)."""
    return card_prefix(number) and luhn(number)


def card_prefix(number: str) -> bool:
    """Whether length and first digits belong to a card network: UnionPay, Visa, Mastercard, Amex, JCB, Diners, ..."""
    size, two, four = len(number), number[:2], int(number[:4])
    if two == "62":  # UnionPay
        return 16 <= size <= 19
    if number[0] == "4":  # Visa
        return size in (13, 16, 19)
    if 51 <= int(two) <= 55 or 2221 <= four <= 2720:  # Mastercard
        return size == 16
    if two in ("34", "37"):  # American Express
        return size == 15
    if 3528 <= four <= 3589:  # JCB
        return 16 <= size <= 19
    if four in (1800, 2131):
        return size == 15
    if two in ("36", "38", "39") or 300 <= int(number[:3]) <= 305:  # Diners Club
        return size in (14, 16, 17, 18, 19)
    if two in ("50", "56", "57", "58", "60", "63", "65", "67", "68", "64", "66", "69"):  # Maestro, Discover, RuPay
        return 12 <= size <= 19
    return two in ("90", "95", "98", "99", "94") and size in (16, 18, 19)  # older cards of Chinese banks


def iban(number: str) -> bool:
    """Length of its country and ISO 7064 MOD 97-10."""
    return IBAN_LENGTHS.get(number[:2]) == len(number) and number[2:4].isdigit() and mod97(number) == 1


def mod97(number: str) -> int:
    """The remainder that ISO 13616 wants to be 1: first four characters moved to the end, letters as 10 to 35."""
    return int("".join(str(int(char, 36)) for char in number[4:] + number[:4])) % 97


def iban_digits(country: str, account: str) -> str:
    """The two check digits of an IBAN."""
    return f"{98 - mod97(f'{country}00{account}'):02d}"


def nhs(number: str) -> bool:
    """10 digits, MOD 11."""
    return len(number) == 10 and nhs_digit(number[:9]) == number[9] and len(set(number)) > 1


def nhs_digit(body: str) -> str:
    """The tenth digit of an NHS number; "" where none exists."""
    rest = 11 - sum(int(digit) * (10 - place) for place, digit in enumerate(body)) % 11
    return "0" if rest == 11 else "" if rest == 10 else str(rest)


def routing(number: str) -> bool:
    """ABA routing number: 9 digits, weights 3, 7, 1, known Federal Reserve range."""
    head = int(number[:2])
    known = head <= 12 or 21 <= head <= 32 or 61 <= head <= 72 or head == 80
    return len(number) == 9 and known and routing_digit(number[:8]) == number[8] and number[:4] != "0000"


def routing_digit(body: str) -> str:
    """The ninth digit of a routing number."""
    return str(-sum(int(digit) * (3, 7, 1)[place % 3] for place, digit in enumerate(body)) % 10)


def social_security(number: str) -> bool:
    """9 digits that the SSA may have issued, or an ITIN (9xx with groups 50 to 99)."""
    area, group, serial = number[:3], int(number[3:5]), number[5:]
    if area in ("000", "666") or group == 0 or serial == "0000":
        return False
    return group >= 50 if area >= "900" else True


def hong_kong_id(number: str) -> bool:
    """One or two letters, six digits, check character MOD 11."""
    return hong_kong_digit(number[:-1]) == number[-1]


def hong_kong_digit(body: str) -> str:
    """The character in brackets."""
    letters = body[:-6].rjust(2)
    values = [36 if char == " " else int(char, 36) for char in letters] + [int(digit) for digit in body[-6:]]
    rest = -sum(value * weight for value, weight in zip(values, range(9, 1, -1), strict=True)) % 11
    return "A" if rest == 10 else str(rest)


def taiwan_id(number: str) -> bool:
    """A letter, 1, 2, 8 or 9, then eight digits with the check digit last."""
    return len(number) == 10 and taiwan_digit(number[:9]) == number[9]


def taiwan_digit(body: str) -> str:
    """The tenth character of a Taiwan ID."""
    letter = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(body[0]) + 10
    values = [letter // 10, letter % 10, *(int(digit) for digit in body[1:])]
    return str(-sum(value * weight for value, weight in zip(values, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1), strict=True)) % 10)
