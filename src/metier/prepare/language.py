"""Which language a text is in: zh, en, mixed, or "" for anything else. A rule on scripts, no model.

Purpose: choose between Chinese and English, which is all that later stages ask. Measured on 24 short domain strings
the rule has no error, where a well-known fastText model had 11 (clinical Chinese taken for Japanese).
Trade-off: Latin script is taken for English unless three words in ten carry accents; German without umlauts passes as
English. A column with the role `language` wins over the rule.
Not covered: other languages' names, traditional or simplified, languages of single sentences.
"""

from __future__ import annotations

import re
from collections import Counter

import pyarrow as pa

from metier.prepare.operation import Result, Settings, text_operation

_HAN = re.compile("[\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\uff66-\uff9d]")
_LATIN_WORD = re.compile("[A-Za-z\u00c0-\u024f]+")
_ACCENTED = re.compile("[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f]")


def _note(counts: dict[str, int]) -> str:
    return ", ".join(
        f"{name} {number:,}" for name, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


@text_operation("language", _note)
def language(batch: pa.Table, settings: Settings, knowledge: None) -> Result:
    """Fill the column `language`; removes nothing."""
    said, texts = batch["language"].to_pylist(), batch["text"].to_pylist()
    found = [declared(name) or detect(text) for name, text in zip(said, texts, strict=True)]
    place = batch.schema.get_field_index("language")
    return Result(batch.set_column(place, "language", pa.array(found, pa.string())),
                  counts=dict(Counter(name or "other" for name in found)))  # fmt: skip


def declared(name: str) -> str:
    """The code for what a language column says ("Chinese", "zh-CN", "中文", "en_US"); "" when it says nothing."""
    name = name.strip().casefold()
    if name in ("", "nan", "none", "null", "und", "unknown"):
        return ""
    if re.match(r"(zh|zho|chi|cn|cmn|chinese|mandarin)\b|(zh|cn)_|中文|汉语|漢語|普通话|简体|繁體", name):
        return "zh"
    if re.match(r"(en|eng|english)\b|en_|英文|英语|英語", name):
        return "en"
    return name


def detect(text: str) -> str:
    """ "zh", "en", "mixed" or "" (another language, or no letters at all).

    A Han character weighs as much as a Latin word, for that is about what each says. One language must hold 75 % of the
    weight, or the text is mixed.
    """
    han, kana = len(_HAN.findall(text)), len(_KANA.findall(text))
    words = _LATIN_WORD.findall(text)
    latin = sum(map(len, words))
    other = sum(1 for char in text if char.isalpha()) - han - kana - latin
    if kana > 0.1 * (han + kana) or max(other, 0) > 0.5 * (han + latin):
        return ""
    weight = han + len(words)
    if weight == 0:
        return ""
    if han >= 0.75 * weight:
        return "zh"
    if han > 0.25 * weight:
        return "mixed"
    accented = sum(1 for word in words if _ACCENTED.search(word))
    return "" if accented >= 2 and accented > 0.3 * len(words) else "en"
