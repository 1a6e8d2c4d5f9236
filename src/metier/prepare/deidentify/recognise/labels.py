"""Words that say what the number beside them is: 住院号, policy number, Fax; and words that say it is none.

Purpose: many identifiers have no shape of their own, and only their label tells them; others (eleven digits) have the
shape of a telephone number and are an order's. The words before a number are read backwards from it, over at most
48 characters and one line end, so that no text is searched for labels but where a number stands.
Trade-off: a label that this list does not know is not read. The list is data; a longer one costs little.
Not covered: labels in a table's head, a column away from their number; `names.columns` of the recipe is for those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from metier.prepare.deidentify.recognise.words import lists

WINDOW = 48  # characters before a number that are read for its label
_SIGNS = " :=#-.\"'([|+>\n"  # between a label and its number
AFTER = 24  # characters after it, for `655 437 108 office`

ENGLISH: dict[str, str] = {kind: "|".join(words) for kind, words in lists("labels")["english"].items()}
CHINESE: dict[str, str] = {kind: "|".join(words) for kind, words in lists("labels")["chinese"].items()}
# What is no identifier of a person although it has the shape of one; in these the guarded rules stay silent.
NOT_ENGLISH = "|".join(lists("labels")["not_english"])
NOT_CHINESE = "|".join(lists("labels")["not_chinese"])

_GLUE_ENGLISH = (r"(?:\s*(?:\bno\b\.?|number|\bnum\b|\bid\b|\bcode\b|card|#|\(\w{1,12}\.?\)|№|ending|\bin\b))*\s*"
                 r"(?:\bis\b|\bwas\b|\bare\b|\bas\b|\bto\b|=|:|-|\#|>|\bat\b|\bon\b|\bof\b"
                 r"|\|)*\s*[\"'(\[]?\s*\+?")  # fmt: skip
_GLUE_CHINESE = (r"(?:\s*(?:号码|号牌|编号|代码|号|账号|帐号|码|卡|证|信息|[(][^()\n]{0,8}[)]))*\s*"
                 r"(?:分别为|变更为|[:=|为是至到]|\s)*\s*[\"'(\[“]?\s*\+?")  # fmt: skip


def _either(table: dict[str, str]) -> str:
    return "|".join(f"(?P<{kind}>{words})" for kind, words in table.items())


def _borders(pattern: str) -> str:
    """`\\b` as the tables write it, but between Latin letters only: a word may stand right beside Han and digits."""
    return re.sub(r"\\b(?=\(?[a-z])", "(?<![a-z])", pattern).replace(r"\b", "(?![a-z])")


_EN = re.compile(_borders(f"(?<![a-z])(?:{_either(ENGLISH)}){_GLUE_ENGLISH}$"))


def _first(*texts: str) -> str:
    """A quick look: one of the characters that stand in the words, before all of them are tried."""
    return f"(?=[{''.join(sorted({char for text in texts for char in text if char.isalpha() or ord(char) > 0x2000}))}])"


_ZH = re.compile(f"{_first(*CHINESE.values())}(?:{_either(CHINESE)}){_GLUE_CHINESE}$")
_NOT_EN = re.compile(_borders(f"(?<![a-z])(?:{NOT_ENGLISH})s?{_GLUE_ENGLISH}$"))
_NOT_ZH = re.compile(f"{_first(NOT_CHINESE)}(?:{NOT_CHINESE}){_GLUE_CHINESE}$")
_NEAR_EN = re.compile(
    r"(?<![a-z])(?:phone|telephone|tel(?![a-z])|mobile|cell|fax|call|dial|reach|messag|answering|text(?:ed"
    r"|ing)? (?:me|us|him|her)|sms|"
    r"whatsapp)[^\n.;!?]*$"
)
_AFTER_EN = re.compile(r"[ \\,(/-]{0,3}(?:office|fax|mobile|cell|home|work|desk|phone|ext\b|direct)")
_AFTER_ZH = re.compile(r"[ (/-]{0,2}(?:微信同号|手机|电话|同微信|办公|宅|传真)")
# A question for a number, and the turn that answers it: "your account number? [10:19] Customer: Yes, it's 987654321".
_ASKED = re.compile(_borders(f"(?<![a-z])(?:{_either(ENGLISH)})(?:[ ](?:number|id|no\\.?))?[^\n?]{{0,40}}\\?"))
_ANSWER = re.compile(
    r"(?:^|[ :,.])(?:yes|sure|ok(?:ay)?|of course)?[ ,.!]{0,3}(?:it'?s|it is|that'?s|here it is)[ :]{0,3}$"
)
_HAN = re.compile("[\u4e00-\u9fff]")


@dataclass(eq=False)
class Surrounding:
    """What the words beside one number say; computed when first asked for.

    view: the folded text. start: where the number begins.
    """

    view: str
    start: int

    @cached_property
    def window(self) -> str:
        """What stands before the number on its line, or on the line above if it begins one; "" if nothing there can be
        a label, as between the numbers of a table."""
        window = self.view[max(0, self.start - WINDOW) : self.start]
        lines = window.split("\n")
        window = "\n".join(lines[-2:]) if len(lines) > 1 and not lines[-1].strip() else lines[-1]
        words = window.rstrip(_SIGNS)
        return window if words and not words[-1].isdigit() else ""

    @cached_property
    def kind(self) -> str:
        """The kind that the label names, "" without one."""
        window = self.window
        found = _ZH.search(window) if _HAN.search(window) else None
        lower = window.lower() if window else ""
        found = found or (_EN.search(lower) if lower else None)
        if found is None and lower and _ANSWER.search(lower):
            before = self.view[max(0, self.start - 160) : self.start].rpartition("\n")[0].lower()
            asked = list(_ASKED.finditer(before))
            found = asked[-1] if asked else None
        kind = found.lastgroup or "" if found else ""
        return "" if kind in ("phone", "licence") and self.other else kind  # an order number, the number of a part

    @cached_property
    def other(self) -> bool:
        """Whether the label says that it is an order, a part, an amount or the like."""
        return bool(self.window and (_NOT_ZH.search(self.window) or _NOT_EN.search(self.window.lower())))

    def phone(self, end: int) -> bool:
        """Whether the sentence speaks of calling, or the word after the number does. end: of the number."""
        if self.kind:
            return self.kind == "phone"
        tail = self.view[end : end + AFTER]
        if _AFTER_EN.match(tail.lower()) or _AFTER_ZH.match(tail):
            return True
        digits = sum(char.isdigit() for char in self.view[self.start : end])
        return digits >= 7 and bool(_NEAR_EN.search(self.window.lower())) and not self.other
