"""Repair what encodings and copying have broken in a text, and change no meaning.

Purpose: mojibake, control characters, line ends, zero-width characters, composed accents (NFC) and trailing spaces.
Chinese and English are equal: full-width digits, Chinese punctuation and curly quotes stay as they are, because they
are text and not errors (ftfy's defaults would rewrite 患者，男，５６岁。). NFC and not NFKC: NFKC turns 10³ into 103.
UTF-8 that was read as GBK (浣犲ソ for 你好) is repaired only if the bytes come back whole and read better.
Trade-off: repair is conservative; what is ambiguous or has lost bytes (鍚? for 吗) stays as it is.
Not covered: spelling, OCR errors, traditional and simplified characters, boilerplate.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cache
from typing import Any

import pyarrow as pa

from metier.prepare import fields
from metier.prepare.flow import count
from metier.prepare.operation import Result, Settings, text_operation, with_texts
from metier.tables import rejection

# What a missing cell looks like after a table library has turned it into text; compared whole and with this case.
MISSING = frozenset({"", "nan", "NaN", "NAN", "NaT", "null", "NULL", "None", "<NA>", "#N/A"})

_BREAKS = re.compile("\r\n|[\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f]")
# Invisible in English and Chinese: soft hyphen, zero-width space, word joiner, direction marks, byte order mark.
_INVISIBLE = re.compile("[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")
# A joiner is kept between letters of scripts that need it and inside emoji, and removed beside Latin and Chinese.
_BESIDE = "\\s\u0021-\u024f\u3000-\u30ff\u3400-\u9fff\uff00-\uffef"
_JOINERS = re.compile(f"(?:(?<=[{_BESIDE}])|^)[\u200c\u200d]+|[\u200c\u200d]+(?=[{_BESIDE}]|$)")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufff9-\ufffb]")
_TRAILING = re.compile("[ \t\u3000]+(?=\n|$)")
_PLAIN = re.compile("[\n\t\x20-\x7e]*")
_HAN = re.compile("[\u3400-\u9fff\U00020000-\U000323af]")
_TAG = re.compile(
    r"<!--.*?-->|<(script|style)\b[^<>]*>.*?</\1\s*>|</?(?:a|abbr|b|big|blockquote|body|br|center|code|dd|div|dl|dt|em|font|"
    r"form|h[1-6]|head|hr|html|i|img|input|label|li|link|meta|ol|option|p|pre|s|select|small|span|strike|strong|sub|sup|"
    r"table|tbody|td|tfoot|th|thead|title|tr|tt|u|ul)\b[^<>]*>",
    re.IGNORECASE | re.DOTALL,
)
_BLOCK = re.compile(r"</?(?:blockquote|br|dd|div|dl|dt|h[1-6]|hr|li|ol|p|pre|table|td|th|tr|title|ul)\b", re.IGNORECASE)


def _note(counts: dict[str, int]) -> str:
    changed, removed = counts.get("changed", 0), counts.get("removed", 0)
    return f"{count(changed, 'text')} repaired" + (f", {removed:,} empty or too short" if removed else "")


@text_operation("normalize", _note)
def normalize(batch: pa.Table, settings: Settings, knowledge: None) -> Result:
    """Repair every text; reject the ones that hold nothing (reasons "empty", "too short")."""
    wanted = settings.config.normalize
    before, told = batch["text"].to_pylist(), batch["metadata"].to_pylist()

    def repaired(text: str) -> str:
        return clean(text, wanted.repair, wanted.strip_markup)

    both = [fields.mapped(text, metadata, repaired) if fields.has_fields(metadata) else (repaired(text), metadata)
            for text, metadata in zip(before, told, strict=True)]  # fmt: skip
    texts = [text for text, _ in both]
    reasons = [_reason(text, settings.config.min_characters) for text in texts]
    rejected = [
        rejection(source, "prepare", why[0], why[1], id)
        for id, source, why in zip(batch["id"].to_pylist(), batch["source"].to_pylist(), reasons, strict=True) if why
    ]  # fmt: skip
    counts = {"changed": sum(text != old.strip() for text, old in zip(texts, before, strict=True)),
              "removed": len(rejected)}  # fmt: skip
    new = with_texts(batch, texts)
    if any(metadata is not old for (_, metadata), old in zip(both, told, strict=True)):
        metadata = pa.array([metadata for _, metadata in both], pa.string())
        new = new.set_column(new.schema.get_field_index("metadata"), "metadata", metadata)
    return Result(new.filter(pa.array([why is None for why in reasons])), rejected, counts=counts)


def _reason(text: str, least: int) -> tuple[str, str] | None:
    if text in MISSING:
        return "empty", f"the cell holds {text!r}, which is no text" if text else "there is no text"
    if len(text) < least:
        return "too short", f"{count(len(text), 'character')}, fewer than {least}"
    return None


def clean(text: str, repair: bool = True, strip_markup: bool = False) -> str:
    """The repaired text; `clean(clean(x)) == clean(x)`.

    Each repair may uncover the next (an accent that was split by a zero-width space), so it is repeated until nothing
    changes; 8 rounds are far more than any text met so far has needed.
    """
    for _ in range(8):
        before = text
        if strip_markup:
            text = _strip_markup(text)
        text = _repair(text) if repair else text.strip()
        if text == before:
            break
    return text


def _repair(text: str) -> str:
    if not _PLAIN.fullmatch(text):
        text = _BREAKS.sub("\n", text)
        text = _fix(text)
        text = "\n".join(repair_gbk(line) for line in text.split("\n"))
        text = _CONTROL.sub("", _INVISIBLE.sub("", _SPACES.sub(" ", _BREAKS.sub("\n", text))))
        text = unicodedata.normalize("NFC", _JOINERS.sub("", text))
    return _TRAILING.sub("", text).strip()


def _fix(text: str) -> str:
    import ftfy

    return ftfy.fix_text(text, _ftfy_settings())


@cache
def _ftfy_settings() -> Any:
    import ftfy

    return ftfy.TextFixerConfig(
        unescape_html=False,  # "&lt;" may be what the person wrote; `strip_markup` undoes it
        fix_character_width=False,  # ５６ and ， are Chinese typography
        uncurl_quotes=False,  # “ ” are the Chinese quotation marks
        normalization="NFC",
        explain=False,
    )


def repair_gbk(line: str) -> str:
    """Undo "UTF-8 bytes read as GBK" in one line, if it is unambiguous; otherwise the line as it is.

    Three conditions: the GBK bytes decode as UTF-8 without an error; all that becomes of them is Chinese writing, with
    two Han characters or more; and common characters (level 1 of GB 2312, the 3,755 most used) are at least 70 % of the
    result and clearly more than before. The famous counter-example 联通, valid as both, fails them and stays.
    """
    if not _HAN.search(line):
        return line
    readings = [[line], line.split("€")] if "€" in line else [[line]]  # Windows reads the byte 80 as the euro sign
    for parts in readings:
        try:
            fixed = b"\x80".join(part.encode("gb18030") for part in parts).decode("utf-8")
        except UnicodeError:
            continue
        written = [char for char in fixed if ord(char) > 0x7F]
        if sum(1 for char in written if _HAN.match(char)) >= 2 and all(_chinese(char) for char in written):
            share = _common(fixed)
            if share >= 0.7 and share >= _common(line) + 0.2:
                return fixed
    return line


def _chinese(char: str) -> bool:
    """Han, CJK punctuation, full-width forms, general punctuation, or a sign that Chinese text uses."""
    code = ord(char)
    return (0x3000 <= code <= 0x303F or 0x3400 <= code <= 0x9FFF or 0xFF00 <= code <= 0xFFEF
            or 0x2010 <= code <= 0x2027 or 0x20000 <= code <= 0x323AF or char in "·×÷°€£¥℃①②③④⑤⑥⑦⑧⑨⑩")  # fmt: skip


def _common(text: str) -> float:
    """Share of the non-ASCII letters that are level-1 characters of GB 2312 (lead bytes B0 to D7)."""
    letters = [char for char in text if ord(char) > 0x7F and char.isalpha()]
    if not letters:
        return 0.0
    common = 0
    for char in letters:
        try:
            common += 0xB0 <= char.encode("gb2312")[0] <= 0xD7
        except UnicodeEncodeError:
            continue
    return common / len(letters)


def _strip_markup(text: str) -> str:
    """Known HTML tags out (block tags become line ends), entities to characters; `<#>` and `<name>` stay."""
    text = _TAG.sub(lambda found: "\n" if _BLOCK.match(found[0]) else "", text)
    return html.unescape(text) if "&" in text else text
