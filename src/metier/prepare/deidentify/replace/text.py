"""Put the replacements into a text, and write down where, what kind, and what stands there now.

Purpose: whatever was found leaves, by the policy of its kind; the rest of the text stays character for character.
Replacing is done from the offsets, so the original comes back from the replaced text and the list of replacements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metier.prepare.deidentify.kinds import KINDS
from metier.prepare.deidentify.recognise.rule import Span
from metier.prepare.deidentify.replace.surrogate import Surrogates

_HAN = re.compile("[\u3400-\u9fff]")


@dataclass(frozen=True)
class Replacement:
    """start, end: in the text as it was. policy: what was done; a surrogate that could not be made is a placeholder."""

    start: int
    end: int
    kind: str
    rule: str
    policy: str
    before: str
    after: str


def placeholder(kind: str, chinese: bool) -> str:
    """[PHONE], or 【电话】 in Chinese text."""
    return f"【{KINDS[kind].chinese}】" if chinese else f"[{KINDS[kind].english}]"


def is_chinese(text: str, language: str) -> bool:
    """By the document's language, and by its characters where that is mixed or not known."""
    return language == "zh" or (language != "en" and bool(_HAN.search(text)))


def replace(
    text: str,
    spans: Sequence[Span],
    policy_of: Callable[[str], str],
    chinese: bool,
    surrogates: Surrogates | None = None,
) -> tuple[str, list[Replacement]]:
    """The new text, and one entry for every finding (those that are kept too, with `after` equal to `before`).

    spans: in order, none over another. UserError never; AssertionError if the spans do overlap.
    """
    out: list[str] = []
    done: list[Replacement] = []
    at = 0
    for span in spans:
        assert span.start >= at, "findings overlap"
        before, policy = text[span.start : span.end], policy_of(span.kind)
        after = before
        if policy == "surrogate":
            made = surrogates.of(before, span) if surrogates else None
            policy, after = ("surrogate", made) if made else ("placeholder", placeholder(span.kind, chinese))
        elif policy == "placeholder":
            after = placeholder(span.kind, chinese)
        elif policy == "mask":
            after = "***"
        out += [text[at : span.start], after]
        at = span.end
        done.append(Replacement(span.start, span.end, span.kind, span.rule, policy, before, after))
    return "".join([*out, text[at:]]), done
