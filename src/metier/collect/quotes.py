"""Which parts of a mail's body its sender did not write for this mail: quotations, forwarded mails, signatures.

Purpose: a thread of ten mails holds the first one ten times, and a signature says nothing of the matter; whoever trains
on mails wants to know, and may want them out. The rules know what English and Chinese mail programs write around a
quotation and how letters end in both languages. Every rule needs evidence on more than a word: a line of its own,
several header lines in a row, a short rest.
Trade-off: rules over lines, without the mail's HTML; a reply written between the lines of an unmarked quotation is
taken for quotation. So marking is the default and removing is a setting (`collect.mail`).
Not covered: other languages than English and Chinese, but for the marks (`>`, `-- `) that all of them use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CLOSING_LINES = 10  # lines of a signature at most; vCard-like ones in our samples had 8
CLOSING_WIDTH = 80  # characters of such a line at most
HEADER_LINES = 8  # lines in which the header lines of a quoted mail stand


@dataclass(frozen=True)
class Mark:
    """Characters [start, end) of a body. kind: quoted, forwarded, signature or disclaimer."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class _Line:
    text: str  # stripped
    start: int
    end: int  # without the line end


def _any(*phrases: str) -> str:
    """An alternative of phrases as a regular expression."""
    return f"(?:{'|'.join(phrases)})"


_RULE = r"[-_=\s>*]*"  # what stands around the words of a separator
_ORIGINAL_WORDS = _any(
    "original message", "original appointment", "reply message",
    "原始邮件", "原邮件", "邮件原件", "回复的?原?邮件", "原始信件",
)  # fmt: skip
_FORWARDED_WORDS = _any(
    "forwarded message", "forwarded by .{1,80}", "begin forwarded message",
    "转发的?邮件(?:信息)?", "转发信息", "开始转发的邮件",
)  # fmt: skip
_ORIGINAL = re.compile(rf"{_RULE}{_ORIGINAL_WORDS}[-_=\s*:：]*", re.I)
_FORWARDED = re.compile(rf"{_RULE}{_FORWARDED_WORDS}[-_=\s*:：]*", re.I)
_RULED = re.compile(r"[-_=]{2,}.*|.*[-_=]{2,}|.*[:：]")  # such words alone on a line are no separator
_WROTE = re.compile(r".{0,300}(?:\bwrote|写道|写到|寫道)\s*[:：]", re.S)
_WROTE_BEGINS = re.compile(
    r">*\s*(?:on\b|在|于|於|\d{4}\s*[-/年.]|\S{1,40}\s*(?:<\S{1,80}@\S{1,80}>|于|在)|\S{0,80}\s?\S{1,80}@\S)", re.I
)
_HEADER_WORDS = _any(
    "from", "sent", "date", "to", "cc", "subject", "发件人", "寄件者", "发送时间", "发送日期", "发件时间", "日期",
    "时间", "收件人", "抄送", "主题", "主旨",
)  # fmt: skip
_HEADER = re.compile(rf">*\s*\*?({_HEADER_WORDS})\*?\s*[:：]", re.I)
_SENDER = ("from", "发件人", "寄件者")
_SENT_WORDS = _any(
    "sent from (?:my|mail for|yahoo|outlook|samsung).{0,60}", "get outlook for .{0,40}",
    "发自我?的?.{1,30}(?:手机|iphone|ipad|邮箱|客户端)", "来自我的.{1,30}", "从我的.{1,30}发送",
    "从 ?windows ?版.{0,20}发送", "发送自.{1,40}",
)  # fmt: skip
_SENT_FROM = re.compile(rf"{_SENT_WORDS}[.。]?(?:\s*<https?://\S+>)?", re.I)
_CLOSING_WORDS = _any(
    r"(?:with |my )?(?:best|kind|kindest|warm|warmest|many)?\s?(?:regards|wishes)",
    "(?:yours |very )?(?:sincerely|faithfully|truly)(?: yours)?",
    "(?:many |best )?thanks(?: (?:and|&) (?:best |kind )?regards)?", "cheers", "respectfully",
    "此致敬礼", "此致", "敬礼", "祝好", "顺祝.{2,8}", "顺颂.{2,8}", "即颂.{2,8}", "谨启", "敬上", "敬启",
)  # fmt: skip
_CLOSING = re.compile(rf"{_CLOSING_WORDS}\s?[,.!，。！]?", re.I)
_DISCLAIMER_WORDS = _any(
    r"this (?:e-?mail|message|communication)\b.{0,120}\b(?:confidential|privileged|intended (?:only|solely))",
    r"(?:confidentiality|disclaimer) ?(?:notice|statement)?\s?:",
    ".{0,12}本(?:电子)?邮件.{0,40}(?:保密|机密|商业秘密)", "保密(?:声明|提示)[:：]",
)  # fmt: skip
_DISCLAIMER = re.compile(_DISCLAIMER_WORDS, re.I | re.S)


def marks(body: str) -> list[Mark]:
    """All marked parts of a body, in their order, none of them overlapping."""
    lines = _lines(body)
    found: list[Mark] = []
    own: list[_Line] = []  # lines since the last quotation
    index = 0
    while index < len(lines):
        kind, stop = _quotation(lines, index)
        if not kind:
            own.append(lines[index])
            index += 1
            continue
        found += _endings(own)
        own = []
        while stop > index + 1 and not lines[stop - 1].text:
            stop -= 1
        found.append(Mark(kind, lines[index].start, lines[stop - 1].end))
        index = stop
    return found + _endings(own)


def without(text: str, found: Sequence[Mark], kinds: Sequence[str]) -> str:
    """The text without the marked parts of these kinds; the gap becomes one blank line."""
    for mark in sorted(found, key=lambda mark: -mark.start):
        if mark.kind in kinds:
            before, after = text[: mark.start].rstrip(), text[mark.end :].lstrip("\n")
            text = f"{before}\n\n{after}" if before and after.strip() else before or after
    return text.strip()


def _lines(body: str) -> list[_Line]:
    result, start = [], 0
    for part in body.split("\n"):
        result.append(_Line(part.strip(), start, start + len(part)))
        start += len(part) + 1
    return result


def _quotation(lines: Sequence[_Line], index: int) -> tuple[str, int]:
    """(kind, first line after it) of the quotation that begins with this line; ("", 0) when none does."""
    text = lines[index].text
    if not text:
        return "", 0
    if text.startswith(">"):
        return "quoted", _quoted_lines(lines, index)
    if len(text) < 200 and _RULED.fullmatch(text):
        if _FORWARDED.fullmatch(text):
            return "forwarded", len(lines)
        if _ORIGINAL.fullmatch(text):
            return "quoted", len(lines)
    if _headers(lines, index):
        return "quoted", len(lines)
    if after := _attribution(lines, index):
        following = after
        while following < len(lines) and not lines[following].text:
            following += 1
        if following < len(lines) and lines[following].text.startswith(">"):
            return "quoted", _quoted_lines(lines, following)
        return "quoted", len(lines)
    return "", 0


def _quoted_lines(lines: Sequence[_Line], index: int) -> int:
    """The first line that is not quoted with ">" any more; blank lines between quoted ones belong to them."""
    last = index
    while index < len(lines) and (lines[index].text.startswith(">") or not lines[index].text):
        last = index if lines[index].text else last
        index += 1
    return last + 1


def _headers(lines: Sequence[_Line], index: int) -> bool:
    """Whether the headers of a quoted mail begin here: its sender, and two more of them within a few lines."""
    first = _HEADER.match(lines[index].text)
    if not first or first.group(1).lower() not in _SENDER:
        return False
    names = {
        found.group(1).lower() for line in lines[index : index + HEADER_LINES] if (found := _HEADER.match(line.text))
    }
    return len(names) >= 3


def _attribution(lines: Sequence[_Line], index: int) -> int:
    """The line after "On ... wrote:", which mail programs break over up to three lines; 0 for anything else."""
    if not _WROTE_BEGINS.match(lines[index].text[:400]):
        return 0
    joined = ""
    for step in range(3):
        if index + step >= len(lines) or not lines[index + step].text:
            return 0
        joined = f"{joined} {lines[index + step].text[:400]}"
        if _WROTE.fullmatch(joined.strip()):
            dated = re.search(r"\d", joined) or "@" in joined
            return index + step + 1 if dated else 0
    return 0


def _endings(own: Sequence[_Line]) -> list[Mark]:
    """Signature and disclaimer at the end of what the sender wrote in one go."""
    while own and not own[-1].text:
        own = own[:-1]
    found: list[Mark] = []
    start = next(_disclaimers(own), None)
    if start is not None:
        found.append(Mark("disclaimer", own[start].start, own[-1].end))
        own = own[:start]
        while own and not own[-1].text:
            own = own[:-1]
    start = _signature(own)
    if start is not None:
        found.insert(0, Mark("signature", own[start].start, own[-1].end))
    return found


def _disclaimers(own: Sequence[_Line]) -> Iterator[int]:
    """Lines that begin a disclaimer: in the last third, or after at least one line of text."""
    for index, line in enumerate(own):
        if index and _DISCLAIMER.match(" ".join(item.text for item in own[index : index + 3])[:400]) and line.text:
            yield index


def _signature(own: Sequence[_Line]) -> int | None:
    for index, line in enumerate(own):
        if line.text == "--" and any(before.text for before in own[:index]):
            return index
    filled = [index for index, line in enumerate(own) if line.text]
    for place in filled[max(0, len(filled) - CLOSING_LINES) :]:
        rest = [line.text for line in own[place:] if line.text]
        if place == filled[0] or any(len(text) > CLOSING_WIDTH for text in rest):
            continue
        if _CLOSING.fullmatch(own[place].text) or _SENT_FROM.fullmatch(own[place].text):
            return place
    return None
