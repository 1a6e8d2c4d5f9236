"""Outlook's MSG: properties in an OLE file (MS-OXMSG), read over olefile and nothing else.

Purpose: a message saved from Outlook is the same document as its EML: subject, body, attachments under markers, quoted
parts marked, its thread named. The plain body is taken before the HTML one, and the compressed RTF (MS-OXRTFCP) only
where nothing else is stored. Texts of old messages are in a code page that the message names, not always truly.
Trade-off: an own reader of about a dozen properties, because the packages that read all of them are under the GPL.
Not covered: named properties, appointments' and contacts' own fields, signed and encrypted messages.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from metier.collect import headers, letter
from metier.collect.accounts import Account, describes
from metier.collect.encoding import decode
from metier.collect.oxrtf import body as rtf_body
from metier.collect.reading import Options, Reading, Refusal, Unreadable
from metier.errors import need
from metier.registry import register

MAX_DEPTH = 3  # mails in mails, as in EML
UNICODE, EIGHT_BIT, BINARY, OBJECT = "001F", "001E", "0102", "000D"
SUBJECT, BODY, HTML, RTF = "0037", "1000", "1013", "1009"
MESSAGE_ID, PARENT, REFERENCES, CONVERSATION, HEADERS = "1035", "1042", "1039", "0071", "007D"
SENDER_NAME, SENDER_ADDRESS, SENDER_SMTP, TO, CC = "0C1A", "0C1F", "5D01", "0E04", "0E03"
SENT, DELIVERED = 0x0039, 0x0E06  # FILETIME, in the stream of fixed properties
MESSAGE_PAGE, INTERNET_PAGE, METHOD, HIDDEN = 0x3FFD, 0x3FDE, 0x3705, 0x7FFE
DATA, LONG_NAME, SHORT_NAME, SHOWN_NAME, MIME = "3701", "3707", "3704", "3001", "370E"
EMBEDDED, OLE_OBJECT = 5, 6  # methods of an attachment
ROOT_HEADER, MESSAGE_HEADER, OTHER_HEADER = 32, 24, 8  # bytes before the fixed properties
BROKEN = (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, struct.error)
PAGES = {65001: "utf-8", 1200: "utf-16-le", 20127: "ascii", 28591: "iso-8859-1", 936: "gb18030", 54936: "gb18030",
         50220: "iso2022_jp", 51932: "euc_jp", 51949: "euc_kr", 20866: "koi8-r"}  # fmt: skip


@register("reader", "msg")
@describes(
    "msg",
    Account(
        title="Outlook messages",
        kind="container",
        takes=("msg",),
        kept=("subject and body (plain text before HTML before RTF)", "messages attached to it, three levels deep"),
        marked={
            "attachments": "after the body, under `[attachment: name]`, read by the other readers",
            "quotations, forwarded mails, signatures, disclaimers": "their places in the text, in `marked`",
        },
        counted={
            "message_id, in_reply_to, from, to, cc, date": "from the message's properties",
            "thread": "Message-ID that began the thread, or `index:` and Outlook's own number of it",
            "encoding, attachments, inline_images": "how the body was read, and how many of each there are",
            "marked": "kind, start and end of each quotation, forwarded mail, signature and disclaimer",
            "characters_removed": "characters of quotations and signatures that were taken out",
            "body": "`rtf` where only that was stored",
        },
        refused={
            "empty": "neither subject nor body nor attachment has text",
            "damaged": "not an OLE file, or its tables are broken",
            "nested too deep": "more than three mails inside each other",
            "attachments are off": "`collect.attachments: false`",
            "unsupported format": "an attachment that is a live object of another program",
        },
        lost=("fields of appointments, contacts and tasks", "pictures that a message would fetch"),
        libraries=("olefile",),
        extra="documents",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document. Unreadable: empty, damaged, nested too deep."""
    olefile = need("olefile", "documents")
    if not data:
        raise Unreadable("empty", "the file has 0 bytes")
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as ole:
            return _message(_Storage(ole, "", ROOT_HEADER, len(data)), "", options)
    except BROKEN as error:
        raise Unreadable("damaged", f"not readable as an Outlook message: {str(error)[:200]}") from None


@dataclass
class _Storage:
    """One folder of the OLE file: a message, a recipient or an attachment."""

    ole: Any
    prefix: str
    header: int
    limit: int  # bytes of the whole file, and so of any stream in it

    @cached_property
    def fixed(self) -> dict[int, bytes]:
        """Property id -> its 8 bytes, of the properties of fixed size."""
        data = self.stream("__properties_version1.0")
        return {int.from_bytes(data[at + 2 : at + 4], "little"): data[at + 8 : at + 16]
                for at in range(self.header, len(data) - 15, 16)}  # fmt: skip

    def stream(self, name: str) -> bytes:
        path = f"{self.prefix}{name}"
        if not self.ole.exists(path):
            return b""
        if self.ole.get_size(path) > self.limit:  # olefile would walk along for days
            raise ValueError(f"{name} claims {self.ole.get_size(path):,} bytes, and the file has {self.limit:,}")
        return bytes(self.ole.openstream(path).read())

    def number(self, key: int) -> int:
        return int.from_bytes(self.fixed.get(key, b"")[:4], "little")

    def binary(self, key: str) -> bytes:
        return self.stream(f"__substg1.0_{key}{BINARY}")

    @cached_property
    def page(self) -> str:
        """The code page that the message names, as a codec."""
        number = self.number(MESSAGE_PAGE) or self.number(INTERNET_PAGE)
        return PAGES.get(number, f"cp{number}" if number else "")

    def text(self, key: str, page: str = "") -> str:
        """A text property; NUL ends it. What no encoding explains is shown with \\x.. ."""
        if wide := self.stream(f"__substg1.0_{key}{UNICODE}"):
            return wide.decode("utf-16-le", "backslashreplace").split("\0")[0]
        narrow = self.stream(f"__substg1.0_{key}{EIGHT_BIT}").split(b"\0")[0]
        if not narrow:
            return ""
        try:
            return decode(narrow, declared=page or self.page).text
        except Unreadable:
            return narrow.decode("ascii", "backslashreplace")

    def time(self) -> str:
        """When it was sent, else delivered; ISO 8601 in UTC."""
        ticks = next((int.from_bytes(self.fixed[key], "little") for key in (SENT, DELIVERED) if key in self.fixed), 0)
        try:
            return (datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)).isoformat() if ticks else ""
        except OverflowError:
            return ""

    def children(self, kind: str) -> Iterator[str]:
        """Prefixes of the recipients or attachments, in their order."""
        node = self.ole.root  # its own list of all entries follows a broken tree in circles
        for name in self.prefix.rstrip("/").split("/") if self.prefix else []:
            node = node.kids_dict[name.lower()]
        found = sorted({entry.name for entry in node.kids if entry.name.lower().startswith(kind)})
        return (f"{self.prefix}{name}/" for name in found)


def _message(storage: _Storage, part: str, options: Options) -> Reading:
    if options.mails > MAX_DEPTH:
        raise Unreadable("nested too deep", f"more than {MAX_DEPTH} mails inside each other")
    reading = Reading()
    subject = " ".join(storage.text(SUBJECT).split())
    body, kind, encoding = _body(storage, options)
    attached, count, images = [], 0, 0
    for number, prefix in enumerate(storage.children("__attach_version1.0"), 1):
        item = _Storage(storage.ole, prefix, OTHER_HEADER, storage.limit)
        label = item.text(LONG_NAME, storage.page) or item.text(SHORT_NAME, storage.page) or item.text(
            SHOWN_NAME, storage.page)  # fmt: skip
        label = re.sub(r"[\x00-\x1f/\\!#]+", "_", label).strip() or f"attachment {number}"
        if item.number(HIDDEN) & 0xFF and re.search(r"\.(?:png|jpe?g|gif|bmp)$", label, re.I):
            images += 1
            continue
        count += 1
        place = f"{part}!{label}"
        if not options.attachments:
            reading.refused.append(Refusal(place, "attachments are off", "collect.attachments is false"))
        elif text := _attachment(item, label, place, options, reading):
            attached.append(f"[attachment: {label}]\n{text}")
    metadata = {**_told(storage), "encoding": encoding, "attachments": count, "inline_images": images}
    metadata["body"] = "rtf" if kind == "rtf" else ""
    piece = letter.piece(subject, [body], attached, metadata, part, options)
    if piece is None:
        if not reading.refused:
            raise Unreadable("empty", "neither subject nor body has text")
        reading.refused.append(Refusal(part, "empty", "neither subject, body nor a readable attachment has text"))
        return reading
    piece.media_type, piece.time = "application/vnd.ms-outlook", str(metadata["date"])
    reading.pieces.append(piece)
    return reading


def _body(storage: _Storage, options: Options) -> tuple[letter.Body, str, str]:
    """(body, "plain", "html" or "rtf", encoding)."""
    plain = storage.text(BODY)
    if plain.strip():
        wide = storage.stream(f"__substg1.0_{BODY}{UNICODE}")
        encoding = "utf-16-le" if wide else storage.page or "detected"
        return letter.Body(_lines(plain)), "plain", encoding
    page = storage.binary(HTML) or storage.stream(f"__substg1.0_{HTML}{EIGHT_BIT}")
    if page.strip():
        from metier.collect import html

        internet = PAGES.get(storage.number(INTERNET_PAGE), "") or storage.page
        text, encoding, _ = html.decode_html(page, options.encoding, internet)
        return letter.page(text), "html", encoding
    if packed := storage.binary(RTF):
        kind, text = rtf_body(packed, options)
        return (letter.page(text) if kind == "html" else letter.Body(_lines(text))), "rtf", ""
    return letter.Body(""), "", ""


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _told(storage: _Storage) -> dict[str, Any]:
    """What the properties say, as metadata, with the headers of the transport where they are kept."""
    carried = headers.parse(storage.text(HEADERS))
    name = " ".join(storage.text(SENDER_NAME).split())
    address = storage.text(SENDER_SMTP) or storage.text(SENDER_ADDRESS)
    address = address if "@" in address else ""  # Exchange's own form of an address tells nothing outside
    sender = f"{name} <{address}>" if name and address and name != address else name or address
    message_id = (storage.text(MESSAGE_ID) or headers.header(carried, "Message-ID")).strip("<> \t\r\n")
    parents = letter.message_ids(storage.text(PARENT) or headers.header(carried, "In-Reply-To"))[:1]
    references = letter.message_ids(storage.text(REFERENCES) or headers.header(carried, "References"))
    parent = parents[0] if parents else references[-1] if references else ""
    index = storage.binary(CONVERSATION)[:22].hex()  # 22 bytes name the conversation, more its branches (MS-OXOMSG)
    reply = len(storage.binary(CONVERSATION)) > 22 and not parent
    thread = letter.Threads().of("" if reply else message_id, parent, references, index)
    date = storage.time() or headers.time(headers.header(carried, "Date"))
    return {
        "message_id": message_id, "from": sender, "to": " ".join(storage.text(TO).split()),
        "cc": " ".join(storage.text(CC).split()), "date": date,
        "in_reply_to": parent, "thread": thread,
    }  # fmt: skip


def _attachment(item: _Storage, label: str, place: str, options: Options, reading: Reading) -> str:
    method = item.number(METHOD)
    inside = f"{item.prefix}__substg1.0_{DATA}{OBJECT}"
    if method == EMBEDDED or (method != OLE_OBJECT and item.ole.exists(f"{inside}/__properties_version1.0")):
        try:
            inner = options.inside(columns={}, delimiter="", mails=options.mails + 1)
            found = _message(_Storage(item.ole, f"{inside}/", MESSAGE_HEADER, item.limit), "", inner)
        except Unreadable as error:
            reading.refused.append(Refusal(place, error.reason, error.detail))
            return ""
        return letter.taken(found, place, reading)
    data = item.binary(DATA)
    if not data and (method == OLE_OBJECT or item.ole.exists(inside)):
        reading.refused.append(Refusal(place, "unsupported format", "a live object of another program"))
        return ""
    return letter.attachment(data, label, item.text(MIME), place, replace(options, declared=""), reading)
