"""Check digits of European tax and national numbers, country by country.

Purpose and form as in `checks`: compact number without its country prefix in, bool out. Countries whose algorithm is
not public, or whose digit is no check digit, are told by shape in the tables of patterns, and are not in here.
Sources: EU VIES (structure and algorithms of VAT numbers), national registers.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from metier.prepare.deidentify.recognise.checks import luhn


def _weighted(digits: str, weights: Sequence[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def mod_11_10(number: str) -> bool:
    """ISO 7064 MOD 11,10: German VAT and tax numbers, Croatian OIB."""
    rest = 10
    for digit in number[:-1]:
        rest = (int(digit) + rest) % 10 or 10
        rest = rest * 2 % 11
    return (11 - rest) % 10 == int(number[-1])


def austria(number: str) -> bool:
    """U and 8 digits."""
    digits = number[1:]
    total = sum(int(d) if place % 2 == 0 else (int(d) * 2) // 10 + (int(d) * 2) % 10
                for place, d in enumerate(digits[:7]))  # fmt: skip
    return (10 - (total + 4) % 10) % 10 == int(digits[7])


def belgium(number: str) -> bool:
    """10 digits, MOD 97."""
    return 97 - int(number[:8]) % 97 == int(number[8:])


def denmark(number: str) -> bool:
    """8 digits, MOD 11."""
    return _weighted(number, (2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0


def finland(number: str) -> bool:
    """8 digits, MOD 11."""
    rest = _weighted(number[:7], (7, 9, 10, 5, 8, 4, 2)) % 11
    return rest != 1 and (11 - rest) % 11 == int(number[7])


def france(number: str) -> bool:
    """Two check digits and a SIREN (Luhn)."""
    return luhn(number[2:]) and (not number[:2].isdigit() or (12 + 3 * (int(number[2:]) % 97)) % 97 == int(number[:2]))


def britain(number: str) -> bool:
    """9 digits, MOD 97 or MOD 97 + 55."""
    total = _weighted(number[:7], (8, 7, 6, 5, 4, 3, 2)) + int(number[7:9])
    return total % 97 in (0, 42)


def italy(number: str) -> bool:
    """11 digits, Luhn."""
    return luhn(number)


def luxembourg(number: str) -> bool:
    """8 digits, MOD 89."""
    return int(number[:6]) % 89 == int(number[6:])


def netherlands(number: str) -> bool:
    """9 digits, B, 2 digits: MOD 11 (companies) or MOD 97 (persons since 2020)."""
    if _weighted(number[:8], (9, 8, 7, 6, 5, 4, 3, 2)) % 11 == int(number[8]):
        return True
    return int("".join(str(int(char, 36)) for char in f"NL{number}")) % 97 == 1


def poland(number: str) -> bool:
    """NIP: 10 digits, MOD 11."""
    return _weighted(number[:9], (6, 5, 7, 2, 3, 4, 5, 6, 7)) % 11 == int(number[9])


def portugal(number: str) -> bool:
    """NIF: 9 digits, MOD 11."""
    rest = 11 - _weighted(number[:8], (9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if rest >= 10 else rest) == int(number[8])


def sweden(number: str) -> bool:
    """10 digits with Luhn, and 01."""
    return luhn(number[:10]) and number[10:] == "01"


def slovenia(number: str) -> bool:
    """8 digits, MOD 11."""
    rest = 11 - _weighted(number[:7], (8, 7, 6, 5, 4, 3, 2)) % 11
    return rest != 11 and rest % 10 == int(number[7])


def estonia(number: str) -> bool:
    """9 digits, MOD 10."""
    return (10 - _weighted(number[:8], (3, 7, 1, 3, 7, 1, 3, 7)) % 10) % 10 == int(number[8])


def hungary(number: str) -> bool:
    """8 digits, MOD 10."""
    return (10 - _weighted(number[:7], (9, 7, 3, 1, 9, 7, 3)) % 10) % 10 == int(number[7])


def greece(number: str) -> bool:
    """9 digits, MOD 11."""
    return sum(int(digit) << (8 - place) for place, digit in enumerate(number[:8])) % 11 % 10 == int(number[8])


def slovakia(number: str) -> bool:
    """10 digits, a multiple of 11."""
    return int(number) % 11 == 0


def pesel(number: str) -> bool:
    """Polish national number: date of birth and check digit."""
    month, year = int(number[2:4]), int(number[:2])
    century = {0: 1900, 1: 2000, 2: 2100, 3: 2200, 4: 1800}[month // 20]
    if not _is_day(century + year, month % 20, int(number[4:6])):
        return False
    return -_weighted(number[:10], (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10 == int(number[10])


def spanish_id(number: str) -> bool:
    """DNI (8 digits, letter) or NIE (X, Y or Z, 7 digits, letter)."""
    digits = number[:-1].translate(str.maketrans("XYZ", "012"))
    return digits.isdigit() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23] == number[-1]


def codice_fiscale(number: str) -> bool:
    """Italian fiscal code: 16 characters, the last one a check letter."""
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    total = 0
    for place, char in enumerate(number[:15]):
        value = int(char) if char.isdigit() else ord(char) - 65
        total += odd[value] if place % 2 == 0 else value
    return chr(65 + total % 26) == number[15]


def french_nir(number: str) -> bool:
    """French social security number: 13 characters and MOD 97 key."""
    body = number[:13].replace("2A", "19").replace("2B", "18")
    return body.isdigit() and 97 - int(body) % 97 == int(number[13:])


def belgian_nrn(number: str) -> bool:
    """Belgian national number: date of birth, serial, MOD 97."""
    if not (int(number[2:4]) <= 12 and int(number[4:6]) <= 31):
        return False
    return int(number[9:]) in (97 - int(number[:9]) % 97, 97 - int("2" + number[:9]) % 97)


def dutch_bsn(number: str) -> bool:
    """Dutch citizen number: 9 digits, the eleven test."""
    return _weighted(number, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and number != "000000000"


def swedish_person(number: str) -> bool:
    """Swedish personal number: YYMMDD and four digits, Luhn."""
    month, day = int(number[-8:-6]), int(number[-6:-4])
    return 1 <= month <= 12 and (1 <= day <= 31 or 61 <= day <= 91) and luhn(number[-10:])


def finnish_person(number: str) -> bool:
    """Finnish personal code: DDMMYY, century sign, serial, check character."""
    digits = number[:6] + number[-4:-1]
    good = digits.isdigit() and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(digits) % 31] == number[-1]
    return good and 1 <= int(number[:2]) <= 31 and 1 <= int(number[2:4]) <= 12


def swiss_ahv(number: str) -> bool:
    """Swiss social security number: 756, EAN-13."""
    return -_weighted(number[:12], (1, 3) * 6) % 10 == int(number[12])


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return True
