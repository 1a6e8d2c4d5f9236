"""Numbers and codes of Europe: IBAN, VAT and national numbers, each with its check digit where there is one.

Sources: ISO 13616 (IBAN), EU VIES (VAT), national registers. A national number that is only digits counts where its
label stands beside it; one with letters in it (Spain, Italy, Finland) speaks for itself.
"""

from __future__ import annotations

from collections.abc import Callable

from metier.prepare.deidentify.recognise import checks
from metier.prepare.deidentify.recognise import checks_europe as europe
from metier.prepare.deidentify.recognise.rule import CHECKED, LABELLED, SHAPE, rule

# Country prefix -> what follows it, and its check; None: only the shape is defined.
VAT: dict[str, tuple[str, Callable[[str], bool] | None]] = {
    "AT": (r"U\d{8}", europe.austria), "BE": (r"[01]\d{9}", europe.belgium), "BG": (r"\d{9,10}", None),
    "CY": (r"\d{8}[A-Z]", None), "CZ": (r"\d{8,10}", None), "DE": (r"[1-9]\d{8}", europe.mod_11_10),
    "DK": (r"\d{8}", europe.denmark), "EE": (r"10\d{7}", europe.estonia), "EL": (r"\d{9}", europe.greece),
    "ES": (r"[A-Z0-9]\d{7}[A-Z0-9]", None), "FI": (r"\d{8}", europe.finland),
    "FR": (r"[0-9A-HJ-NP-Z"
           r"]{2}\d{9}", europe.france), "GB": (r"\d{9}", europe.britain), "HR": (r"\d{11}", europe.mod_11_10),
    "HU": (r"\d{8}", europe.hungary), "IE": (r"\d[0-9A-Z+*]\d{5}[A-W][A-I]?", None), "IT": (r"\d{11}", europe.italy),
    "LT": (r"(?:\d{9}|\d{12})", None), "LU": (r"\d{8}", europe.luxembourg), "LV": (r"\d{11}", None),
    "MT": (r"\d{8}", None), "NL": (r"\d{9}B\d{2}", europe.netherlands), "PL": (r"\d{10}", europe.poland),
    "PT": (r"\d{9}", europe.portugal), "RO": (r"[1-9]\d{1,9}", None), "SE": (r"\d{12}", europe.sweden),
    "SI": (r"\d{8}", europe.slovenia), "SK": (r"\d{10}", europe.slovakia),
}  # fmt: skip
_END = r"(?! [0-9A-Za-z] )"


def _spaced(shape: str) -> str:
    """The shape with single spaces, dots or hyphens allowed before a digit."""
    return shape.replace(r"\d{", r"(?:[ .-]?\d){")


def vat(number: str) -> bool:
    """A VAT number with its country prefix (EL or GR for Greece)."""
    country = "EL" if number[:2] == "GR" else number[:2]
    check = VAT[country][1]
    return check is None or check(number[2:])


_SHAPES = "|".join(f"{'(?:EL|GR)' if country == 'EL' else country} [ ]? {_spaced(shape)}"
                   for country, (shape, check) in VAT.items() if check)  # fmt: skip
_LOOSE = "|".join(f"{country} [ ]? {_spaced(shape)}" for country, (shape, check) in VAT.items() if not check)

RULES = (
    rule("iban", "IBAN",
        rf"""(?<![0-9A-Za-z]) [A-Za-z]{{2}}\d{{2}} (?: [ -]? [0-9A-Za-z]{{4}} ){{2,7}} (?: [ -]?
             [0-9A-Za-z]{{1,3}} )? {_END}""",
        at="token", runs=(2, 34), lead=True, check=checks.iban, weight=CHECKED + 8),
    rule("tax_id", "VAT number",
        rf"(?<![0-9A-Za-z]) (?: {_SHAPES} ) {_END}",
        at="pair", runs=(1, 12), lead=True, check=vat, weight=CHECKED - 8),
    rule("tax_id", "VAT number by label",
        rf"(?<![0-9A-Za-z]) (?: {_LOOSE} ) {_END}",
        at="pair", runs=(1, 12), lead=True, context=True, weight=LABELLED + 3),
    rule("tax_id", "NIP",
        rf"(?<![0-9A-Za-z]) \d{{3}} [- ]? \d{{3}} [- ]? \d{{2}} [- ]? \d{{2}} {_END}",
        runs=(3, 10), check=europe.poland, context=True, weight=LABELLED + 3),
    rule("tax_id", "tax number by label",
        rf"(?<![0-9A-Za-z]) \d{{2,5}} (?: [ /-]? \d{{2,5}} ){{1,4}} {_END}",
        runs=(2, 13), context=True, weight=LABELLED - 1),
    rule("national_id", "PESEL",
        rf"(?<![0-9A-Za-z.-]) \d{{11}} {_END}",
        runs=(11, 11), check=europe.pesel, guarded=True, weight=SHAPE + 7),
    rule("national_id", "DNI or NIE",
        rf"(?<![0-9A-Za-z]) (?: [XYZ] [- ]? \d{{7}} | \d{{8}} ) [- ]? [A-Z] {_END}",
        at="pair", runs=(7, 8), check=europe.spanish_id, weight=SHAPE + 5),
    rule("national_id", "codice fiscale",
        rf"""(?<![0-9A-Za-z]) [A-Za-z]{{6}} [ ]? \d{{2}}[A-EHLMPRSTa-ehlmprst]\d{{2}} [ ]?
             [A-Za-z]\d{{3}}[A-Za-z] {_END}""",
        at="token", runs=(2, 2), lead=True, check=europe.codice_fiscale, weight=CHECKED),
    rule("national_id", "NIR",
        rf"""(?<![0-9A-Za-z.-]) [12] [ ]? \d{{2}} [ ]? (?:0[1-9]|1[0-2]|[2-9]\d) [ ]? (?:\d{{2}}|2[AB]) [ ]?
             \d{{3}} [ ]? \d{{3}} [ ]? \d{{2}} {_END}""",
        runs=(1, 15), check=europe.french_nir, weight=CHECKED - 4),
    rule("national_id", "Belgian number",
        rf"(?<![0-9A-Za-z.-]) \d{{2}}\.\d{{2}}\.\d{{2}} [- ] \d{{3}} [.] \d{{2}} {_END}",
        runs=(2, 2), then=".", check=europe.belgian_nrn, weight=CHECKED - 4),
    rule("national_id", "BSN",
        rf"\d{{9}} {_END}",
        runs=(9, 9), check=europe.dutch_bsn, context=True, weight=LABELLED),
    rule("national_id", "personnummer",
        rf"(?<![0-9A-Za-z.-]) (?:19|20)?\d{{6}} [-+] \d{{4}} {_END}",
        runs=(6, 8), then="-+", check=europe.swedish_person, weight=SHAPE + 6),
    rule("national_id", "henkilötunnus",
        rf"(?<![0-9A-Za-z.-]) \d{{6}} [-+A] \d{{3}}[0-9A-Y] {_END}",
        runs=(6, 6), then="-+A", check=europe.finnish_person, weight=SHAPE + 6),
    rule("national_id", "AHV number",
        rf"(?<![0-9A-Za-z.-]) 756 [. ]? \d{{4}} [. ]? \d{{4}} [. ]? \d{{2}} {_END}",
        runs=(3, 13), check=europe.swiss_ahv, weight=CHECKED - 4),
    rule("national_id", "CPR number",
        rf"(?<![0-9A-Za-z.-]) (?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d{{2}} - \d{{4}} {_END}",
        runs=(6, 6), then="-", guarded=True, weight=SHAPE),
)  # fmt: skip
