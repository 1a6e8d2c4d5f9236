"""Bytes to text, with the encoding that was found; never U+FFFD in silence.

Purpose: Chinese offices still export GB18030 and Big5, Windows exports UTF-16 and windows-1252. The order is: forced or
byte order mark, UTF-16 by its NUL pattern, valid UTF-8, then the candidates whose decoded text is plausible (common
Chinese characters; accented letters inside Latin words; kana, Hangul or Cyrillic all over), then charset-normalizer.
When nothing is plausible the bytes are refused. Trade-off: a few non-ASCII bytes in a long ASCII file carry little
evidence; windows-1252 wins a tie there.
Not covered: mixtures of encodings in one file, except that `lenient` keeps damaged bytes apart (tables reject those).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import lru_cache

from metier.collect.reading import Unreadable
from metier.errors import UserError

SAMPLE = 20_000  # non-ASCII characters that are judged; more never changed a verdict on the test files
PLAUSIBLE = 0.35  # share of the best possible score; right decodings score above 0.6, wrong ones below 0.2
EVIDENCE = 8  # bytes above 127 from which a text may be called Japanese, Korean or Russian
KANA = 0.2  # share of full-width kana; Japanese prose has about half, Chinese has none
UTF8_DAMAGE = 0.05  # invalid bytes per non-ASCII byte up to which a file is called "UTF-8, damaged"

MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip

# The characters that make up about half of running Chinese text, simplified and traditional.
COMMON = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方"
    "多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情"
    "明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给"
    "世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太"
    "量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象"
    "這個們來為國說時會對後過發經現當沒動還進樣從實與長機無學關點業將兩間問應戰頭體見話產員門東聲題變電數報場計華灣區號請單買賣"
    "请您号单款支付银行卡账户客服退订查询密码元年月日合同甲乙双条款患者病诊断治疗药"
)  # fmt: skip


@dataclass(frozen=True)
class Decoded:
    """text: line ends as found, no BOM. damaged: bytes that did not decode; they stand as lone surrogates in `text`."""

    text: str
    encoding: str
    damaged: int = 0


def decode(data: bytes, encoding: str = "", declared: str = "", lenient: bool = False) -> Decoded:
    """Text of `data`; Unreadable("undecodable") when no encoding gives plausible text.

    encoding: forced by the user, an unknown name is a UserError. declared: what a header or <meta> claims; believed
    when the bytes decode in it and UTF-8 is not certain. lenient: accept UTF-8 or GB18030 with a few damaged bytes,
    which stay as lone surrogates (U+DC80..U+DCFF) and are counted, so that the caller can reject the rows with them.
    """
    if encoding:
        return _forced(data, encoding, lenient)
    for mark, name in MARKS:
        if data.startswith(mark):
            return _forced(data[len(mark):], name, lenient)  # fmt: skip
    wide = _wide(data)
    if wide:
        return wide
    if b"\x1b$" in data and (text := _try(data, "iso2022_jp")) is not None:
        return Decoded(text, "iso2022_jp")
    if (text := _try(data, "utf-8")) is not None:
        if data.isascii() and declared.lower().replace("_", "-") in ("hz", "hz-gb-2312", "utf-7"):
            return Decoded(_try(data, declared) or text, declared)
        return Decoded(text, "utf-8")
    claimed = known(declared)
    if claimed and claimed != "utf-8" and (text := _try(data, claimed)) is not None and score(text) >= PLAUSIBLE:
        return Decoded(text, claimed)
    return _guess(data, lenient)


def known(name: str) -> str:
    """The codec for a charset label as the web and mail use it ("" if there is none); GB labels mean GB18030."""
    label = name.strip().strip("\"'").lower()
    if label in ("gb2312", "gbk", "gb_2312-80", "x-gbk", "cp936", "csgb2312", "euc-cn"):
        return "gb18030"
    if label in ("iso-8859-1", "latin1", "latin-1", "us-ascii", "ascii", "iso8859-1"):
        return "cp1252"  # what browsers do: real files with these labels hold curly quotes
    try:
        return codecs.lookup(label).name if label and codecs.lookup(label)._is_text_encoding else ""  # type: ignore[attr-defined]
    except (LookupError, ValueError):
        return ""


def score(text: str) -> float:
    """How plausible the non-ASCII part of a decoded text is, about 0 (nonsense) to 1; 1.0 for plain ASCII."""
    runs = _runs(text)
    characters = "".join(runs)
    if not characters:
        return 1.0
    chinese = sum(_is_hanzi(char) for char in characters) * 2 >= len(characters)
    total = sum(_hanzi(char) for char in characters) if chinese else _letters(text)
    return total / len(characters)


def _forced(data: bytes, encoding: str, lenient: bool) -> Decoded:
    try:
        codec = codecs.lookup(encoding)
        if not codec._is_text_encoding:  # type: ignore[attr-defined]
            raise LookupError
    except LookupError:
        raise UserError(
            f"there is no encoding called '{encoding}'", "encoding", "usual names: utf-8, gb18030, big5, utf-16, cp1252"
        ) from None
    try:
        return Decoded(data.decode(codec.name).removeprefix("\ufeff"), codec.name)
    except UnicodeDecodeError as error:
        if lenient and codec.name in ("utf-8", "gb18030"):
            return _damaged(data, codec.name)
        raise Unreadable("undecodable", f"not valid {codec.name}: {error.reason} at byte {error.start}") from None


def _wide(data: bytes) -> Decoded | None:
    """UTF-16 without a byte order mark, recognised by where the NUL bytes stand, or by plausible Chinese."""
    if len(data) < 4 or len(data) % 2:
        return None
    head = data[:65536]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    for name, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if zeros > 0 and zeros >= 10 * others:
            text = _try(data, name)
            if text is None or re.search("[\x00-\x08\x0e-\x1f\ufffe\uffff]", text[:SAMPLE]):
                continue
            # Latin text: most high bytes are NUL. Chinese text: only its ASCII characters, so judge what was decoded.
            if (
                zeros > 0.4 * half
                or (_try(data, "utf-8") is None and score(text) >= PLAUSIBLE)
                or (zeros > 0 and score(text) >= 0.6 and sum(map(_is_hanzi, text[:SAMPLE])) > 0.3 * len(text[:SAMPLE]))
            ):
                return Decoded(text, name)
    return None


def _guess(data: bytes, lenient: bool) -> Decoded:
    damaged = _damaged(data, "utf-8")
    nonascii = sum(byte > 127 for byte in data[:1_000_000]) or 1
    if damaged.damaged <= max(2, UTF8_DAMAGE * nonascii) and _multibyte(damaged.text) >= 3 * damaged.damaged:
        if lenient:
            return damaged
        raise Unreadable("undecodable", f"UTF-8, but {damaged.damaged} bytes are damaged (first at byte "
                         f"{_first_bad(data)}); mend the file or force another encoding")  # fmt: skip
    if nonascii >= EVIDENCE and (script := _by_script(data)):
        return script
    best, best_score = None, 0.0
    for name in ("cp1252", "gb18030", "big5", "utf-16-le", "utf-16-be"):  # a tie goes to the first
        text = _try(data, name)
        if text is None or (name.startswith("utf-16") and len(data) < 8) or "\x00" in text:
            continue
        if len(re.findall("[\x01-\x08\x0e-\x1f]", text[:SAMPLE].rstrip("\x1a"))) > 0.01 * len(text[:SAMPLE]):
            continue  # control characters stand where another encoding has letters
        points = score(text) - (0.05 if name == "big5" else 0.0)
        if points > best_score:
            best, best_score = Decoded(text, name), points
    if best and best_score >= PLAUSIBLE:
        return best
    if lenient:
        chinese = _damaged(data, "gb18030")
        if chinese.damaged <= UTF8_DAMAGE * nonascii and score(_without(chinese.text)) >= 0.6:
            return chinese
    helped = _normalizer(data)
    if helped:
        return helped
    raise Unreadable("undecodable", "no encoding gives plausible text; name it with `encoding:` if you know it")


def _by_script(data: bytes) -> Decoded | None:
    """Japanese, Korean and Russian by their scripts, which Chinese code pages would show as rare characters.

    Kana stand at the same bytes in EUC-JP and GB 2312, but a Chinese text with a Japanese quotation has not that many.
    Hangul would be Chinese characters of the first level, so hardly one of them may be a common one.
    """
    for name in ("cp932", "euc_jp"):
        text = _try(data, name)
        if text and (characters := "".join(_runs(text))):
            kana = len(re.findall("[\u3041-\u3096\u30a1-\u30fc]", characters))
            odd = len(re.findall("[\uff61-\uff9f\ue000-\uf8ff\x80-\x9f]", characters))
            if kana >= max(2, KANA * len(characters)) and odd <= 0.05 * len(characters):
                return Decoded(text, name)
    text, chinese = _try(data, "cp949"), _try(data, "gb18030")
    if text and (characters := "".join(_runs(text))):
        hangul = len(re.findall("[\uac00-\ud7a3]", characters))
        usual = sum(char in COMMON for char in "".join(_runs(chinese or "")))
        if hangul >= max(10, 0.9 * len(characters)) and usual < 0.25 * len(characters):
            return Decoded(text, "cp949")
    for name in ("cp1251", "koi8_r"):
        text = _try(data, name)
        words = re.findall("[^\\x00-\\x7f]+", text or "")
        clean = [word for word in words if re.fullmatch("[\u0410-\u042f\u0401]?[\u0430-\u044f\u0451]+", word)]
        if words and sum(map(len, clean)) >= 0.9 * sum(map(len, words)) and sum(map(len, clean)) >= EVIDENCE:
            return Decoded(text or "", name)
    return None


def _normalizer(data: bytes) -> Decoded | None:
    """charset-normalizer for the encodings that we have no rule for (Cyrillic, Japanese, Korean, ...)."""
    import charset_normalizer

    if sum(byte > 127 for byte in data[:1000]) < 8:
        return None  # too little evidence; a wrong guess is worse than a refusal
    match = charset_normalizer.from_bytes(data[:200_000], threshold=0.1).best()
    if match is None or match.encoding.startswith(
        ("utf", "cp1252", "latin", "gb", "big5", "hp_roman", "cp037", "cp500")
    ):
        return None
    text = _try(data, match.encoding)
    words = re.findall(r"[^\W\d_]{2,}", text or "")
    if text is None or re.search("[\x00-\x08\x0e-\x1f\x7f-\x9f]", text) or not words:
        return None
    # Letters of one script per word is what real text looks like; nonsense mixes scripts and cases.
    clean = sum(word.islower() or word.isupper() or word.istitle() or (not word.isascii() and word == word.lower())
                for word in words)  # fmt: skip
    return (
        Decoded(text, match.encoding) if clean >= 0.9 * len(words) and len("".join(words)) > 0.5 * len(text) else None
    )


def _damaged(data: bytes, name: str) -> Decoded:
    text = data.decode(name, "surrogateescape").removeprefix("\ufeff")
    return Decoded(text, name, len(re.findall("[\udc80-\udcff]", text)))


def _without(text: str) -> str:
    return re.sub("[\udc80-\udcff]", "", text)


def _multibyte(text: str) -> int:
    return len(re.findall("[^\x00-\x7f\udc80-\udcff]", text))


def _first_bad(data: bytes) -> int:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _try(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except (UnicodeDecodeError, LookupError):
        return None


def _runs(text: str) -> list[str]:
    found, size = [], 0
    for match in re.finditer("[^\x00-\x7f]+", text):
        found.append(match.group())
        size += len(match.group())
        if size > SAMPLE:
            break
    return found


def _is_hanzi(char: str) -> bool:
    return "\u3000" <= char <= "\u303f" or "\u3400" <= char <= "\u9fff" or "\uff00" <= char <= "\uffef" or (
        char > "\uffff"
    )  # fmt: skip


@lru_cache(maxsize=30_000)
def _hanzi(char: str) -> float:
    """1.0 very common, 0.6 in the first level of GB 2312 or of Big5, 0.5 punctuation, 0 rare, -1 private or odd."""
    if char in COMMON:
        return 1.0
    if "\u4e00" <= char <= "\u9fff":
        simple = char.encode("gb2312", "ignore")
        if simple and 0xB0 <= simple[0] <= 0xD7:
            return 0.6
        traditional = char.encode("big5", "ignore")
        if traditional and 0xA4 <= traditional[0] <= 0xC6:
            return 0.5
        return 0.0
    if "\u3000" <= char <= "\u303f" or "\uff00" <= char <= "\uffef" or char in "“”‘’…—·《》、。×÷±℃→①②③④⑤":
        return 0.5
    if "\ue000" <= char <= "\uf8ff" or "\u0080" <= char <= "\u009f":
        return -1.0
    return -0.3


def _letters(text: str) -> float:
    """Points of Latin (and other alphabetic) text: accented letters inside words, typographic signs standing alone."""
    total, seen = 0.0, 0
    for match in re.finditer("[^\x00-\x7f]+", text):
        run = match.group()
        seen += len(run)
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        total += sum(_latin(char, before, after, len(run)) for char in run)
        if seen > SAMPLE:
            break
    return total


def _latin(char: str, before: str, after: str, run: int) -> float:
    if char in "“”‘’–—…•€£¥§©®™°«»\u00a0´¿¡·±×÷ªº¶¬\u00ad½¼¾²³µ":
        return 0.8 if run <= 3 else -0.5
    if "\u00c0" <= char <= "\u024f" and char not in "×÷ÐÞþð":
        near = before.isalpha() or after.isalpha()
        # "Ê¡" or "Ïðèâåò": capitals and long runs of accented letters are another script seen through windows-1252.
        if run <= 2 and (near or not (before or after).strip()):
            # Two in a row are rare in Latin words (but for Portuguese), and are what one Chinese character looks like.
            points = 1.0 if char.islower() or not before.islower() else 0.2
            return points if run == 1 or char in "çãõ" else 0.55 * points
        return 0.3 if run <= 2 else -0.5
    if char in "ŒœŠšŽžŸƒ":
        return 0.8 if run <= 2 else -0.5
    return -0.7
