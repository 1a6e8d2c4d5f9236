"""Rich Text Format (.rtf), read token by token.

Purpose: court filings, letters and reports still come as RTF, Chinese ones as bytes of code page 936 between control
words. Each font's character set is followed, double bytes are joined before they are decoded, `\\u` escapes are read
with the fallback they skip, deletions and hidden text are marked, notes, comments and headers go to the end.
Trade-off: tables are rows with tabs, as they stand. Not covered: pictures, embedded objects (their shown result is
kept), equations drawn by fields.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from metier.collect.accounts import Account, describes
from metier.collect.reading import Options, Piece, Reading, Unreadable
from metier.registry import register

TOKEN = re.compile(rb"\\([A-Za-z]{1,32})(-?\d{1,10})?[ ]?|\\'([0-9a-fA-F]{2})|\\(.)|([{}])|([^\\{}]+)", re.S)
MAX_DEPTH = 10_000  # groups in groups; a word processor writes a few dozen
# \fcharset number -> codec (the specification's table of character sets)
CHARSETS = {0: "cp1252", 2: "cp1252", 77: "mac_roman", 78: "shift_jis", 79: "euc_kr", 80: "gb18030", 81: "big5",
            128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030", 136: "cp950", 161: "cp1253", 162: "cp1254",
            163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
            255: "cp437"}  # fmt: skip
SIGNS = {"par": "\n\n", "sect": "\n\n", "page": "\n\n", "line": "\n", "tab": "\t", "cell": "\t", "row": "\n",
         "nestcell": " ", "nestrow": " ", "emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘", "rquote": "’",
         "ldblquote": "“", "rdblquote": "”", "emspace": " ", "enspace": " ", "qmspace": " ",
         "column": "\n"}  # fmt: skip
SKIPPED = frozenset([
    "fonttbl", "colortbl", "stylesheet", "pict", "object", "themedata", "colorschememapping", "datastore", "listtable",
    "listoverridetable", "rsidtbl", "generator", "xmlnstbl", "fldinst", "sp", "latentstyles", "revtbl", "filetbl",
    "ftnsep", "ftnsepc", "aftnsep", "aftnsepc", "nonshppict", "bkmkstart", "bkmkend", "template", "operator", "author",
    "company", "keywords", "comment", "doccomm", "subject", "category", "manager", "creatim", "revtim", "printim",
    "buptim", "pgptbl", "tc", "xe", "private", "mmathPr", "factoidname", "formfield", "ffdeftext", "falt", "panose",
])  # fmt: skip
# Destination -> marker under which its text goes to the end; title has a place of its own.
ASIDE = {"header": "header", "headerl": "header", "headerr": "header", "headerf": "header", "footer": "footer",
         "footerl": "footer", "footerr": "footer", "footerf": "footer", "footnote": "footnote",
         "annotation": "comment", "title": "title"}  # fmt: skip
KNOWN = frozenset([*ASIDE, "shpinst", "shptxt", "result", "ud", "fldrslt", "pntext", "listtext", "shppict"])


@dataclass(frozen=True)
class _State:
    """What a group inherits and leaves behind at its end."""

    into: str = "body"
    """Where text goes: body, a marker of ASIDE, fonttbl, or "" for nowhere."""
    font: int = -1
    skip: int = 1
    """Fallback characters after a \\u escape."""
    hidden: bool = False
    deleted: bool = False
    revised: bool = False
    table: bool = False
    outer: str = "body"


@dataclass
class _Text:
    """What was read so far."""

    codec: str = "cp1252"
    fonts: dict[int, str] = field(default_factory=dict)
    runs: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {"body": []})
    """Destination -> (mark, text)."""
    extras: list[tuple[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    defined: int = -1
    """The font that the table is just defining."""
    bytes: bytearray = field(default_factory=bytearray)
    left: int = 0
    """Fallback characters still to be skipped."""
    high: int = 0
    """First half of a character beyond the basic plane."""


@register("reader", "rtf")
@describes(
    "rtf",
    Account(
        title="Rich Text Format",
        takes=("rtf",),
        kept=("paragraphs, list labels and tables in order, a line a row", "text boxes", "the title"),
        marked={
            "tracked deletions": "`[deleted: ...]`",
            "tracked insertions": "as text, counted",
            "hidden text": "`[hidden: ...]`",
            "headers, footers, notes, comments": "at the end, under `[header]`, `[footer]`, `[footnote]`, `[comment]`",
        },
        counted={
            "insertions, deletions, hidden_runs": "how many",
            "headers, footers, footnotes, comments": "how many",
            "pictures, objects": "seen, not read",
            "undecodable_bytes": "characters that are not in the code page, written as U+FFFD; also a warning",
        },
        refused={"empty": "no text in it", "damaged": "not RTF, or groups nested beyond reason"},
        lost=("text in pictures",),
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document. Unreadable: empty, damaged."""
    if not data.strip():
        raise Unreadable("empty", "the file has 0 bytes")
    if not data.lstrip().startswith(b"{\\rtf"):
        raise Unreadable("damaged", "the file does not begin as RTF")
    text = _Text()
    complete = _tokens(data, text)
    body = _joined(text.runs["body"], text.counts)
    title = next((part for marker, part in text.extras if marker == "title"), "")
    parts = [body]
    for marker, part in dict.fromkeys(text.extras):
        if marker != "title":
            text.counts[f"{marker}s"] += 1
            parts.append(f"[{marker}]\n{part}")
    whole = "\n\n".join(part for part in parts if part)
    if not whole:
        raise Unreadable("empty", "the document has no text" + (" (only pictures?)" if text.counts["pictures"] else ""))
    metadata: dict[str, Any] = {key: count for key, count in sorted(text.counts.items()) if count}
    reading = Reading([Piece(whole, title=title, media_type="application/rtf", metadata=metadata)])
    if bad := text.counts["undecodable_bytes"]:
        reading.warnings.append(f"{name}: {bad} characters are not in the file's code page")
    if not complete:
        reading.warnings.append(f"{name}: the file ends within its text (cut off?)")
    return reading


def _tokens(data: bytes, text: _Text) -> bool:
    """Walk through the file; whether all groups were closed."""
    stack: list[_State] = []
    state, star, at = _State(), False, 0
    while at < len(data):
        found = TOKEN.match(data, at)
        if found is None:  # a backslash as the last byte
            break
        at = found.end()
        word, number, code, sign, brace, plain = found.groups()
        if code is not None or plain is not None:
            _characters(bytes([int(code, 16)]) if code is not None else plain, code is not None, state, text)
            continue
        _flush(state, text)
        if brace == b"{":
            if len(stack) > MAX_DEPTH:
                raise Unreadable("damaged", "groups are nested too deeply")
            stack.append(state)
            text.left = 0
        elif brace == b"}":
            before, state = state, stack.pop() if stack else _State(into="")
            text.left = 0
            if before.into in ASIDE.values() and before.into != state.into:
                _aside(before.into, text)
        elif word is not None:
            name, value = word.decode("ascii"), int(number) if number else None
            if name == "bin":
                at += max(value or 0, 0)
            elif name == "u" and value is not None:
                _unicode(value, state, text)
            else:
                state = _word(name, value, star, state, text)
            star = False
            continue
        else:
            _symbol(sign, state, text)
        star = sign == b"*"
    _flush(state, text)
    return not stack


def _word(name: str, value: int | None, star: bool, state: _State, text: _Text) -> _State:
    """The state after a control word; signs are written, destinations opened."""
    if name in ASIDE and state.into:
        text.runs[ASIDE[name]] = []
        return replace(state, into=ASIDE[name], outer=state.into, hidden=False, deleted=False)
    if name == "fonttbl":
        return replace(state, into="fonttbl")
    if name in SKIPPED or (star and name not in KNOWN):
        text.counts["pictures"] += name == "pict" and bool(state.into)
        text.counts["objects"] += name == "object"
        return replace(state, into="", outer=state.into or state.outer)
    if name == "upr":
        return replace(state, into="", outer=state.into or state.outer)
    if name in ("ud", "result"):  # the real text inside a skipped group
        return replace(state, into=state.into or state.outer)
    if name in SIGNS:
        if name == "par" and state.table:
            _write(" ", state, text)
        else:
            _write(SIGNS[name], state, text)
        return state
    on = value != 0
    if name == "ansicpg" and value:
        text.codec = _codec(value)
    elif name in ("mac", "pc", "pca"):
        text.codec = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}[name]
    elif name == "f" and state.into == "fonttbl":
        text.defined = value or 0
    elif name == "fcharset" and state.into == "fonttbl":
        text.fonts[text.defined] = CHARSETS.get(value or 0, "") if value != 1 else ""
    elif name == "cpg" and state.into == "fonttbl" and value:
        text.fonts[text.defined] = _codec(value)
    elif name == "f":
        return replace(state, font=value or 0)
    elif name == "uc":
        return replace(state, skip=max(value or 0, 0))
    elif name == "v":
        return replace(state, hidden=on)
    elif name == "deleted":
        return replace(state, deleted=on)
    elif name == "revised":
        text.counts["insertions"] += on and not state.revised and bool(state.into)
        return replace(state, revised=on)
    elif name == "plain":
        return replace(state, hidden=False, deleted=False, revised=False, font=-1)
    elif name == "pard":
        return replace(state, table=False)
    elif name == "intbl":
        return replace(state, table=True)
    return state


def _codec(page: int) -> str:
    special = {936: "gb18030", 54936: "gb18030", 65001: "utf-8", 10000: "mac_roman", 1361: "johab", 0: "cp1252"}
    name = special.get(page, f"cp{page}")
    try:
        b"".decode(name)
    except LookupError:
        return "cp1252"
    return name


def _characters(data: bytes, escaped: bool, state: _State, text: _Text) -> None:
    """Bytes of text; they wait until it is known that no second half follows."""
    if not escaped:
        data = data.replace(b"\r", b"").replace(b"\n", b"")
    if text.left:
        skipped = data[: text.left]
        text.left -= len(skipped)
        data = data[len(skipped) :]
    if state.into and state.into != "fonttbl":
        text.bytes += data


def _flush(state: _State, text: _Text) -> None:
    if not text.bytes:
        return
    codec = text.fonts.get(state.font) or text.codec
    decoded = bytes(text.bytes).decode(codec, "replace")
    text.bytes.clear()
    text.counts["undecodable_bytes"] += decoded.count("\ufffd")
    _write(decoded, state, text)


def _unicode(value: int, state: _State, text: _Text) -> None:
    code = value & 0xFFFF
    text.left = state.skip
    if 0xD800 <= code < 0xDC00:
        text.high = code
        return
    if 0xDC00 <= code < 0xE000:
        code = 0x10000 + ((text.high - 0xD800) << 10) + (code - 0xDC00) if text.high else 0xFFFD
    text.high = 0
    _write(chr(code), state, text)


def _symbol(sign: bytes, state: _State, text: _Text) -> None:
    written = {b"~": "\u00a0", b"_": "-", b"\\": "\\", b"{": "{", b"}": "}", b"\n": "\n\n", b"\r": "\n\n", b"\t": "\t"}
    if sign in written:
        if text.left and sign in b"\\{}":
            text.left -= 1
        else:
            _write(written[sign], state, text)


def _write(text_: str, state: _State, text: _Text) -> None:
    if not state.into or state.into == "fonttbl":
        return
    mark = "deleted" if state.deleted else "hidden" if state.hidden else ""
    runs = text.runs.setdefault(state.into, [])
    if mark and text_.strip() == "":
        mark = runs[-1][0] if runs and "\n" not in text_ else ""
    runs.append((mark, text_))


def _aside(marker: str, text: _Text) -> None:
    found = _joined(text.runs.pop(marker, []), text.counts)
    if found:
        text.extras.append((marker, found))


def _joined(runs: list[tuple[str, str]], counts: Counter[str]) -> str:
    """Runs with their marks; white space as paragraphs, lines and cells mean it."""
    parts = []
    for mark, group in itertools.groupby(runs, key=lambda run: run[0]):
        run = "".join(part for _, part in group)
        counts["deletions"] += mark == "deleted"
        counts["hidden_runs"] += mark == "hidden"
        parts.append(f"[{mark}: {run}]" if mark else run)
    text = "".join(parts).replace("\u00a0", " ").replace("\x00", "")
    text = re.sub(r"\t*\n", "\n", re.sub(r"[ ]+\n", "\n", text))
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n ")
