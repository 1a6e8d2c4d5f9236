"""What must agree before a near duplicate may be removed: numbers, dates and negations.

Purpose: "pay 100 today" and "pay 900 today", 有效 and 无效, are near duplicates by any measure of shape and opposite in
meaning. `facts` lists, in order, what a text says of this kind; two texts with different lists are never folded.
Trade-off: strict on purpose. 一 in 一下 counts as a number, "disappointed" as a negation: at worst a duplicate stays.
Not covered: names, and comparisons such as more/less.
"""

from __future__ import annotations

import re
import unicodedata

_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million "
    "billion dozen half quarter once twice thrice double triple first second third fourth fifth sixth seventh "
    "eighth ninth tenth last january february march april may june july august september october november "
    "december jan feb mar apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday "
    "sunday mon tue wed thu fri sat sun today tomorrow yesterday am pm not no never none nothing nobody nowhere "
    "neither nor without cannot cant dont doesnt didnt wont wouldnt isnt arent wasnt werent hasnt havent hadnt "
    "shouldnt couldnt unless except refuse refused deny denied"
)
_FACT = re.compile(
    r"[-+]?\d+(?:[.,:/-]\d+)*%?|[a-z]+n't\b|\b(?:un|non|dis)-?[a-z]{3,}|\b(?:" + "|".join(_WORDS.split()) + r")\b"
    "|[〇零一二两兩三四五六七八九十百千万萬亿億壹贰叁肆伍陆柒捌玖拾佰仟半]+|[不没沒無无未非否别勿莫禁拒休]"
    "|今天|今日|明天|明日|昨天|昨日|前天|后天|上午|下午|上周|下周|上月|下月|去年|今年|明年",
    re.ASCII,
)


def facts(text: str) -> tuple[str, ...]:
    """Numbers, dates and negations of a text in their order; width, case and kind of apostrophe do not matter."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    return tuple(_FACT.findall(folded))
