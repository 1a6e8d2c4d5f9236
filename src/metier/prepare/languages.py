"""More than the rule on scripts: a detector for other languages in Latin script, and which languages stay.

Purpose: `label` gives the language of one text as the recipe wants it found, `unwanted` says why a text leaves. The
rule (language.py) decides between Chinese, mixed and Latin script, where it has no peer; lingua is asked only whether
what looks English is English, and whether what looks Chinese is Japanese written without kana.
Trade-off: lingua costs about 1 GB of memory a process (998 MB measured) and seconds at the first text; texts
with fewer than `LETTERS` letters are left to the rule, since a name or a code has no language.
Not covered: which other language it is; mixed text is normal and never an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from metier.errors import need
from metier.prepare.config_texts import LanguageConfig
from metier.prepare.language import declared, detect

LETTERS = 20  # below, lingua takes "pls advise" for Danish as often as for English
SURE = 0.5  # English is denied only where another language is this likely...
DOUBT = 0.2  # ...and English is less likely than this
LOOKED_AT = 2000  # characters; more of a text does not change the answer


def label(text: str, said: str, config: LanguageConfig) -> str:
    """ "zh", "en", "mixed" or "" (another language, or no letters). said: what a language column says, which wins."""
    told = declared(said)
    if told or config.detector == "script":
        return told or detect(text)
    return detect_with_lingua(text)


def unwanted(language: str, keep: Sequence[str]) -> tuple[str, str] | None:
    """(reason, detail) for a text that leaves because of its language; None if it stays."""
    name = language if language in ("zh", "en", "mixed") else "other"
    if not keep or name in keep:
        return None
    shown = f"'{language}'" if language else "neither Chinese nor English, or without letters"
    return "language not wanted", f"the text is {shown}; prepare.language.keep is {', '.join(keep)}"


def detect_with_lingua(text: str) -> str:
    """As `language.detect`, with lingua's word on what looks English or Chinese."""
    found = detect(text)
    if found not in ("en", "zh") or sum(map(str.isalpha, text[:LOOKED_AT])) < (LETTERS if found == "en" else 8):
        return found
    ranked = _lingua().compute_language_confidence_values(text[:LOOKED_AT])
    likely = {value.language.iso_code_639_1.name.casefold(): value.value for value in ranked}
    best = ranked[0].language.iso_code_639_1.name.casefold()
    denied = best != found and likely[best] >= SURE and likely.get(found, 0.0) < DOUBT
    return "" if denied else found


@cache
def _lingua() -> Any:
    return need("lingua", "lingua").LanguageDetectorBuilder.from_all_languages().build()
