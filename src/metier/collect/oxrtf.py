"""The RTF body of an Outlook message: unpacked (MS-OXRTFCP) and, where it wraps a web page, unwrapped (MS-OXRTFEX).

Purpose: old and internal messages store their body only so. The packing is LZ77 over a dictionary of 4,096 bytes that
begins with the words that every RTF begins with. A body that began its life as HTML carries that page inside, tag by
tag, and the page is what is read; any other RTF goes to the reader of RTF.
Not covered: pictures and objects inside the RTF.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from metier.collect.encoding import known
from metier.collect.reading import Options, Unreadable

PACKED, PLAIN = b"LZFu", b"MELA"
DICTIONARY = 4096
# The beginning of the dictionary, as MS-OXRTFCP 3.1.1.2 gives it.
START = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor "
    rb"MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
TOKEN = re.compile(
    rb"\\'([0-9a-fA-F]{2})|\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\([^a-zA-Z])|([{}])|[\r\n]+|([^\\{}\r\n]+)"
)
SPECIAL = {"par": "\n", "line": "\n", "tab": "\t", "lquote": "\u2018", "rquote": "\u2019", "ldblquote": "\u201c",
           "rdblquote": "\u201d", "bullet": "\u2022", "endash": "\u2013", "emdash": "\u2014"}  # fmt: skip
LITERAL = {b"\\": b"\\", b"{": b"{", b"}": b"}", b"~": b" ", b"_": b"-"}
SKIPPED = ("fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "listtable", "listoverridetable", "generator")


def body(data: bytes, options: Options) -> tuple[str, str]:
    """("html", the page inside) or ("plain", text). Unreadable: damaged, or no reader of RTF is there."""
    rtf = unpack(data, options.max_bytes)
    if rb"\fromhtml1" in rtf[:4096]:
        return "html", page(rtf)
    from metier.collect import readers

    found = readers.read(rtf, "body.rtf", options.inside(columns={}, delimiter="", encoding=""))
    return "plain", "\n\n".join(piece.text for piece in found.pieces)


def unpack(data: bytes, limit: int) -> bytes:
    """The RTF of a compressed body; what is cut off is read as far as it goes. Unreadable: damaged, too large."""
    if len(data) < 16 or data[8:12] not in (PACKED, PLAIN):
        raise Unreadable("damaged", "the RTF body is not packed as Outlook packs it")
    size = int.from_bytes(data[4:8], "little")
    if data[8:12] == PLAIN:
        return data[16 : 16 + size]
    if size > limit:
        raise Unreadable("too large", f"the RTF body unpacks to {size:,} bytes")
    window = bytearray(DICTIONARY)
    window[: len(START)] = START
    at, position, out = 16, len(START), bytearray()
    while at < len(data) and len(out) < size:
        flags = data[at]
        at += 1
        for bit in range(8):
            if at >= len(data) or len(out) >= size:
                break
            if not flags >> bit & 1:
                copied = bytearray(data[at : at + 1])
                at += 1
            else:
                reference = int.from_bytes(data[at : at + 2], "big")
                at += 2
                offset, length = reference >> 4, (reference & 15) + 2
                if offset == position:  # says that this is the end
                    return bytes(out)
                copied = bytearray()
                for step in range(length):  # may run into what it writes itself
                    byte = window[(offset + step) % DICTIONARY]
                    copied.append(byte)
                    window[(position + step) % DICTIONARY] = byte
            for byte in copied:
                window[position] = byte
                position = (position + 1) % DICTIONARY
            out += copied
    return bytes(out[:size])


def page(rtf: bytes) -> str:
    """The web page that an RTF with \\fromhtml1 wraps."""
    declared = re.search(rb"\\ansicpg(\d{1,5})", rtf)
    unwrapped = _Unwrapped(known(f"cp{declared.group(1).decode()}" if declared else "") or "cp1252")
    for token in TOKEN.finditer(rtf):
        hexed, word, number, symbol, brace, text = token.groups()
        if brace:
            unwrapped.group(brace)
        elif word:
            unwrapped.word(word.decode(), int(number) if number else None)
        elif symbol == b"*":
            unwrapped.starred = True
        elif hexed:
            unwrapped.text(bytes([int(hexed, 16)]))
        elif symbol in LITERAL:
            unwrapped.text(LITERAL[symbol])
        elif text:
            unwrapped.text(text)
    return unwrapped.whole()


@dataclass(frozen=True)
class _State:
    """What holds until the end of a group."""

    hidden: bool = False  # \htmlrtf: repeats the page for programs that know RTF only
    tag: bool = False  # \htmltag: a piece of the page itself
    skipped: bool = False
    fallback: int = 1  # characters that follow \u for programs without Unicode


class _Unwrapped:
    """The page as it comes out of the RTF, token by token."""

    def __init__(self, codec: str) -> None:
        self.codec = codec
        self.out: list[str] = []
        self.raw = bytearray()  # not decoded yet: a Chinese character takes two bytes, and so two tokens
        self.state, self.stack = _State(), list[_State]()
        self.starred, self.pending = False, 0

    def group(self, brace: bytes) -> None:
        self.starred = False
        if brace == b"{":
            self.stack.append(self.state)
        elif self.stack:
            self.state = self.stack.pop()

    def word(self, name: str, value: int | None) -> None:
        starred, self.starred = self.starred, False
        if name == "htmlrtf":
            self.state = replace(self.state, hidden=value != 0)
        elif name == "htmltag":
            self.state = replace(self.state, tag=True, skipped=False)
        elif name in SKIPPED or starred:
            self.state = replace(self.state, skipped=True)
        elif name == "uc":
            self.state = replace(self.state, fallback=max(0, min(value or 0, 8)))
        elif self._shown() and name == "u" and value is not None:
            self._add(_character(value))
            self.pending = self.state.fallback
        elif self._shown() and name in SPECIAL:
            self._add(SPECIAL[name])

    def text(self, data: bytes) -> None:
        if self._shown():
            skipped = min(self.pending, len(data))
            self.pending -= skipped
            self.raw += data[skipped:]

    def whole(self) -> str:
        self._add("")
        # Characters beyond the first 65,536 stand as two halves; a half alone is shown as its number.
        return "".join(self.out).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "backslashreplace")

    def _shown(self) -> bool:
        return not self.state.skipped and (self.state.tag or not self.state.hidden)

    def _add(self, text: str) -> None:
        try:
            decoded = self.raw.decode(self.codec)
        except UnicodeDecodeError:  # a bullet or another sign in a font of its own
            decoded = self.raw.decode("cp1252", "backslashreplace")
        self.out += [decoded, text]
        self.raw.clear()


def _character(value: int) -> str:
    number = value & 0xFFFF if value < 0 else value
    return chr(number) if number <= 0x10FFFF else ""
