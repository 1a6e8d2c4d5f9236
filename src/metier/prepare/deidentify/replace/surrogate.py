"""One made-up value for each original, of its kind and shape, the same one wherever the original stands.

Purpose: models trained on surrogates meet what they will meet in use: numbers that pass their checks, names, dates in
order. A leftover that was not found hides among the surrogates; that is protection from a casual reader, and no
anonymity.
Trade-off: where nothing of the same kind can be made (an address in an unknown form, a name in another script) a typed
placeholder stands instead, and is counted.
Addresses of the network come from ranges reserved for documentation and tests (RFC 2606, 2544, 3849), so that no
surrogate is anybody's. Telephone, card and national numbers have no reserved range that is large enough: one of them
may be somebody's.
Not covered: surrogates that depend on each other (a city that fits the area code).
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field

from metier.prepare.deidentify.recognise import checks
from metier.prepare.deidentify.recognise.folding import compact, fold
from metier.prepare.deidentify.recognise.rule import Span
from metier.prepare.deidentify.recognise.words import words
from metier.prepare.deidentify.replace import people, shape
from metier.prepare.deidentify.replace.days import Shift
from metier.prepare.deidentify.replace.key import Stream

# County codes of GB/T 2260, one for each of many provinces: what the first six digits of an ID are drawn from.
COUNTIES = (
    "110105", "120101", "130102", "140105", "210102", "220102", "230103", "310115", "320106", "330106", "340103",
    "350203", "360102", "370202", "410105", "420111", "430102", "440106", "450103", "460105", "500103", "510107",
    "520102", "530102", "610113", "620102", "640104", "650102",
)  # fmt: skip
PROVIDERS = frozenset({
    "gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "qq.com", "163.com", "126.com",
    "sina.com", "sina.cn", "sohu.com", "foxmail.com", "139.com", "189.cn", "aliyun.com", "live.com", "proton.me",
    "gmx.de", "web.de",
})  # fmt: skip
ROADS = (
    "人民路",
    "解放路",
    "中山路",
    "建设路",
    "和平路",
    "新华路",
    "文化路",
    "胜利路",
    "长江路",
    "黄河路",
    "青年路",
    "滨江大道",
    "学府路",
    "育才街",
    "光明街",
    "花园路",
)
STREETS = (
    "Maple",
    "Oak",
    "Cedar",
    "Elm",
    "Lake",
    "Hill",
    "Park",
    "Church",
    "Mill",
    "River",
    "Spring",
    "Station",
    "Victoria",
    "Orchard",
    "Meadow",
    "Bridge",
)
SORTS = ("Street", "Road", "Avenue", "Lane", "Drive", "Court")
TOWNS = ("Fairview", "Riverside", "Greenfield", "Milton", "Ashford", "Kingsbury", "Oakdale", "Lakewood")
_HAN = re.compile("[\u3400-\u9fff]")
_AMERICAN = re.compile(r"(?<![0-9])[2-9]\d{2}\D{0,2}[2-9]\d{2}\D?\d{4}$")
_EXTENSION = re.compile(r"(?:[ ,]*(?:x|ext|转).*)$", re.IGNORECASE)


@dataclass(frozen=True)
class Surrogates:
    """Surrogates for the findings of one document. known: see people.full_names. ages_from: what high ages become."""

    key: bytes = field(repr=False)
    shift: Shift
    ages_from: int = 90
    known: dict[str, str] = field(default_factory=dict)

    def of(self, written: str, span: Span) -> str | None:
        """The surrogate; None where none can be made."""
        maker = _MAKERS.get(span.kind)
        if maker is not None:
            return maker(self, written, span)
        return shape.draw(written, span.kind, span.rule, self._stream(span.kind, written))

    def _stream(self, purpose: str, written: str) -> Stream:
        return Stream(self.key, purpose, compact(fold(written)) or written)

    def person(self, written: str, span: Span) -> str | None:
        """See people."""
        return people.alias(self.key, written, self.known)

    def date(self, written: str, span: Span) -> str | None:
        """See days."""
        return self.shift.move(written)

    def age(self, written: str, span: Span) -> str:
        """All high ages become the lowest of them, as Safe Harbor does ("90 or older")."""
        return "九十" if _HAN.search(written) and self.ages_from == 90 else str(self.ages_from)

    def national_id(self, written: str, span: Span) -> str | None:
        """A resident ID gets another county, day of birth and serial, and keeps sex and check digit; others are
        drawn."""
        number = compact(fold(written))
        if not (checks.resident_id(number) or (checks.old_resident_id(number) and len(number) == 15)):
            return shape.draw(written, span.kind, span.rule, self._stream("national_id", written))
        stream = self._stream("resident ID", written)
        long = len(number) == 18
        born = datetime.datetime.strptime(number[6:14] if long else f"19{number[6:12]}", "%Y%m%d")
        for _ in range(50):
            day = born + datetime.timedelta(days=stream.below(720) - 360)
            serial = int(number[14:17] if long else number[12:15])
            fresh = 1 + stream.below(499) * 2 + (serial + 1) % 2
            body = stream.pick(COUNTIES) + day.strftime("%Y%m%d" if long else "%y%m%d") + f"{fresh:03d}"
            made = body + checks.resident_id_digit(body) if long else body
            if made != number and day.strftime("%Y")[:2] in ("19", "20") and (long or day.year < 2000):
                return shape.dress(written, made.lower() if written.endswith("x") else made)
        return None

    def company_id(self, written: str, span: Span) -> str | None:
        """A credit code keeps its first two characters; county, body and both check digits are new."""
        number = compact(fold(written))
        if not checks.credit_code(number):
            return shape.draw(written, span.kind, span.rule, self._stream("company_id", written))
        stream = self._stream("credit code", written)
        for _ in range(50):
            middle = "".join(
                str(stream.below(10)) if char.isdigit() else stream.pick("ABCDEFGHJKLMNPQRTUWXY")
                for char in number[8:16]
            )
            body = number[:2] + stream.pick(COUNTIES) + middle + checks.organisation_digit(middle)
            made = body + checks.credit_code_digit(body)
            if made != number:
                return shape.dress(written, made if written.upper() == written else made.lower())
        return None

    def phone(self, written: str, span: Span) -> str | None:
        """The last ten digits are new, what stands before them (+86, 001) and extensions stay; a leading 0 or 1 too."""
        main = _EXTENSION.sub("", written)
        digits = shape.letters_and_digits(main)
        kept = max(0, len(digits) - 10)
        if kept == 0 and digits[:1] in "01":
            kept = 1
        stream = Stream(self.key, "phone", digits[-10:])
        american = bool(_AMERICAN.search(fold(main)))
        for _ in range(40):  # the second draw goes on where the first one ended
            made = shape.draw(main, "phone", shape.telling("phone", main) or span.rule, stream, kept)
            if made is None or not american or _AMERICAN.search(fold(made)):
                break
        return made + written[len(main) :] if made else None

    def card(self, written: str, span: Span) -> str | None:
        """The first two digits, which name the network, stay."""
        kept = 2 if len(shape.letters_and_digits(written)) > 4 else 0
        return shape.draw(written, "card", span.rule, self._stream("card", written), kept)

    def iban(self, written: str, span: Span) -> str | None:
        """The country stays, the rest and its check digits are new."""
        stream = self._stream("iban", written)
        number = shape.letters_and_digits(written)
        for _ in range(50):
            body = "".join(
                str(stream.below(10)) if char.isdigit() else stream.pick("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
                for char in number[4:]
            )
            made = number[:2].upper() + checks.iban_digits(number[:2].upper(), body) + body
            if made != number.upper():
                return shape.dress(
                    written,
                    "".join(new.lower() if old.islower() else new for new, old in zip(made, number, strict=True)),
                )
        return None

    def tax_id(self, written: str, span: Span) -> str | None:
        """Country and letters stay."""
        letters = 2 if span.rule.startswith("VAT") else 0
        return shape.draw(written, "tax_id", span.rule, self._stream("tax_id", written), letters)

    def email(self, written: str, span: Span) -> str:
        """Another local part; the domain of a large provider stays, any other becomes one under .example (RFC 2606)."""
        local, _, domain = fold(written).rpartition("@")
        stream = Stream(self.key, "email", local.lower())
        fresh = "".join(
            str(stream.below(10)) if c.isdigit() else stream.pick("abcdefghijklmnopqrstuvwxyz") if c.isalpha() else c
            for c in local
        )
        if fresh == local:
            fresh += "x"
        return f"{fresh}@{domain if domain.lower() in PROVIDERS else self._host(domain)}"

    def url(self, written: str, span: Span) -> str:
        """Scheme kept, host under .example, the path one word."""
        scheme, mark, rest = fold(written).partition("://")
        rest = rest if mark else scheme
        host, slash, path = rest.partition("/")
        tail = f"/{Stream(self.key, 'path', path).below(16**6):06x}" if path else slash
        return f"{scheme}://{self._host(host)}{tail}" if mark else f"www.{self._host(host)}{tail}"

    def _host(self, host: str) -> str:
        stream = Stream(self.key, "host", host.lower().removeprefix("www."))
        return "".join(stream.pick("bcdfghklmnprstvz") + stream.pick("aeiou") for _ in range(4)) + ".example"

    def ip(self, written: str, span: Span) -> str:
        """198.18.0.0/15 (RFC 2544) and 2001:db8::/32 (RFC 3849)."""
        stream = self._stream("ip", written.lower())
        if ":" in fold(written):
            return f"2001:db8:{stream.below(65536):x}:{stream.below(65536):x}::{stream.below(65535) + 1:x}"
        mask = fold(written).partition("/")
        return f"198.{18 + stream.below(2)}.{stream.below(256)}.{stream.below(254) + 1}{mask[1]}{mask[2]}"

    def mac(self, written: str, span: Span) -> str:
        """A locally administered address."""
        stream, number = self._stream("mac", written), shape.letters_and_digits(written)
        return shape.dress(written, "02" + "".join(stream.pick("0123456789abcdef") for _ in number[2:]))

    def wallet(self, written: str, span: Span) -> str | None:
        """The prefix stays; the check within the address is not made, so no money can go there."""
        kept = 2 if written.startswith("0x") else 4 if written[:4] in ("bc1q", "bc1p") else 1
        return shape.draw(written, "wallet", "", self._stream("wallet", written), kept)

    def plate(self, written: str, span: Span) -> str | None:
        """Another province, letters and digits."""
        stream = self._stream("plate", written)
        sign = written[:1]
        head = (
            stream.pick(
                [one for one in "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼" if one != sign]
            )
            if _HAN.match(sign)
            else ""
        )
        for _ in range(200):
            letters = "".join(
                str(stream.below(10)) if c.isdigit() else c if c in "DFdf" else stream.pick("ABCEGHJKLMNPQRSTUVWXYZ")
                for c in shape.letters_and_digits(written)
            )
            made = head + shape.dress(written[len(head) :], letters)
            if made != written and (not head or shape._accepted(shape.RULES["plate"], made)):
                return made
        return None

    def case_number(self, written: str, span: Span) -> str | None:
        """The year stays, all other digits are new."""
        return shape.draw(
            written, "case_number", span.rule, self._stream("case_number", written), 4 if _HAN.search(written) else 0
        )

    def address(self, written: str, span: Span) -> str:
        """An invented address of the same script and about the same parts."""
        stream = Stream(self.key, "address", re.sub(r"\s+", "", fold(written)).lower())
        if _HAN.search(written):
            house = (
                f"{stream.below(30) + 1}号楼{(stream.below(20) + 1) * 100 + stream.below(6) + 1}室"
                if re.search("[室栋幢楼座单元]", written)
                else ""
            )
            city = stream.pick([word for word in words("places_zh")[34:] if len(word) == 2])
            return f"{city}市{stream.pick(ROADS)}{stream.below(400) + 1}号{house}"
        street = f"{stream.below(900) + 1} {stream.pick(STREETS)} {stream.pick(SORTS)}"
        town = f", {stream.pick(TOWNS)}" if "," in written or "\n" in written else ""
        return street + town + (f" {stream.below(90000) + 10000}" if re.search(r"\d{5}\s*$", written) else "")

    def social(self, written: str, span: Span) -> str | None:
        """Letters and digits of the same length."""
        return shape.draw(written, "social", "", self._stream("social", written.lower()))


_MAKERS = {
    "person": Surrogates.person,
    "date": Surrogates.date,
    "birth_date": Surrogates.date,
    "age": Surrogates.age,
    "national_id": Surrogates.national_id,
    "company_id": Surrogates.company_id,
    "phone": Surrogates.phone,
    "card": Surrogates.card,
    "iban": Surrogates.iban,
    "tax_id": Surrogates.tax_id,
    "email": Surrogates.email,
    "url": Surrogates.url,
    "ip": Surrogates.ip,
    "mac": Surrogates.mac,
    "wallet": Surrogates.wallet,
    "plate": Surrogates.plate,
    "case_number": Surrogates.case_number,
    "address": Surrogates.address,
    "social": Surrogates.social,
    "organisation": lambda self, written, span: None,
}
