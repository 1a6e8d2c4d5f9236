"""What is visibly wrong with a written answer, sign by sign; no model is asked.

Purpose: rules that are right in English and Chinese, so that a broken answer is counted whatever its content.
Trade-off: rules of form; an answer that repeats itself in other words passes.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from metier.evaluate.metrics.texts import units
from metier.train.tasks.bio import WIDE

REPEATED = 0.3  # share of stretches of four words that stood before: half of it occurs in careful prose and in lists
MIXED = 0.15  # share of letters in a script that the right answer does not use
_WIDE_SIGN = re.compile(f"[{WIDE}]")
# Signs of a chat template that no answer should hold: <|im_end|>, </s>, [INST], <bos>, <start_of_turn>, ...
_TEMPLATE = re.compile(
    r"<\|[a-z_0-9 ]{2,40}\|>|</?s>|\[/?INST\]|<<?/?SYS>>?|</?(?:bos|eos|pad|unk)>|<(?:start|end)_of_turn>", re.I
)
# UTF-8 read as Latin-1 or Windows-1252 (é -> Ã©, “ -> â€œ), GBK read as UTF-8 and back (锟斤拷), and the sign for it.
_MOJIBAKE = re.compile("\ufffd|Ã[\u0080-\u00bf]|â€[\u0080-\u00bf\u201a-\u2122]|锟斤拷|烫烫烫")
_END = re.compile(r"[.!?。！？…;；:：)）\]】\"”’'`*|>0-9]\s*$")


def repetition(text: str) -> float:
    """Share of the stretches of four words (Chinese: characters) that stood in the text before, in [0, 1]."""
    found = units(text)
    stretches = [found[at : at + 4] for at in range(len(found) - 3)]
    return 1 - len(Counter(stretches)) / len(stretches) if stretches else 0.0


def unfinished(text: str) -> bool:
    """Whether a text that is longer than a few words ends in the middle of a sentence."""
    return len(units(text)) > 8 and not _END.search(text)


def mixed(text: str, gold: str) -> float:
    """Share of the letters that belong to a script which the right answer does not use: Chinese answers that slip into
    English, English ones into Chinese, either into Cyrillic. Less than four such letters are names and units."""
    wanted = {script for script, n in _scripts(gold).items() if n}
    found = _scripts(text)
    strange = sum(n for script, n in found.items() if script not in wanted)
    return strange / found.total() if strange >= 4 else 0.0


def mojibake(text: str) -> bool:
    """Whether the text holds signs of a wrong encoding."""
    return bool(_MOJIBAKE.search(text))


def leaked(text: str) -> bool:
    """Whether the text holds a sign of the chat template."""
    return bool(_TEMPLATE.search(text))


def _scripts(text: str) -> Counter[str]:
    """Letters by script; of the names that Unicode gives, the first word."""
    found: Counter[str] = Counter()
    for sign in text:
        if _WIDE_SIGN.match(sign):
            found["CJK"] += 1
        elif sign.isalpha():
            found["LATIN" if sign.isascii() else unicodedata.name(sign, "?").partition(" ")[0]] += 1
    return found
