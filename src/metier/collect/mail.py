"""Mail: EML and MBOX with attachments, through the standard library. Mails are read, never rendered.

Purpose: one message, one document: the subject, the body (plain text before HTML), then each attachment's text under a
marker, read by the same readers (a mail inside a mail too, three levels deep). What cannot be read is refused as
"file!attachment". Wrong charsets are survived by detection. MBOX is split where a From_ line stands after a blank line
and headers follow, so a sentence that begins with "From " stays in its message (the standard library splits there).
Not covered: signatures and quoted replies (they stay), S/MIME and PGP, Outlook's .msg.
"""

from __future__ import annotations

import email
import email.utils
import re
from email.header import decode_header
from email.message import Message
from typing import Any

from metier.collect.accounts import Account, describes
from metier.collect.encoding import decode, known
from metier.collect.reading import Options, Piece, Reading, Refusal, Unreadable
from metier.errors import UserError
from metier.registry import register

TEXTS = ("text/plain", "text/html", "text/enriched", "text/watch-html", "text/x-amp-html")
MAX_DEPTH = 3  # mails in mails
HEADER = re.compile(rb"^[!-9;-~]+:(\s|$)")
FROM_LINE = re.compile(rb"^From \S.*\d{4}\s*(?:[+-]\d{4})?\s*$")


@register("reader", "mail")
@describes(
    "mail",
    Account(
        title="Mail",
        takes=("eml", "mbox", "mbx"),
        kept=("subject and body of each message (plain text before HTML)",),
        marked={"attachments": "after the body, each under a marker with its name, read by the other readers"},
        counted={
            "message_id, from, to, cc, date": "from the headers",
            "encoding, attachments, inline_images": "how the body was read, and how many of each there are",
            "defects": "what is wrong with the message's form",
        },
        refused={
            "empty": "neither subject nor body nor attachment has text",
            "damaged": "no mail headers where a message should begin",
            "nested too deep": "more than three mails inside each other",
            "attachments are off": "`collect.attachments: false`",
            "reader failed": "an odd message of a mailbox; the others are read",
        },
        lost=("pictures that a message would fetch (nothing is fetched)",),
        libraries=("lxml",),
        extra="documents",
        kind="container",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One piece a message. Unreadable: empty, damaged (no headers), nested too deep."""
    if not data.strip():
        raise Unreadable("empty", "the file holds no message" if data else "the file has 0 bytes")
    if options.depth > MAX_DEPTH:
        raise Unreadable("nested too deep", f"more than {MAX_DEPTH} mails inside each other")
    if not data.startswith(b"From "):
        return _message(data, "", options)
    reading = Reading()
    before, messages = split_mbox(data)
    if before:
        reading.refused.append(
            Refusal("#0", "damaged", f"{before} lines before the first message have no mail headers")
        )
    if not messages:
        raise Unreadable("damaged", "no message begins in this mailbox")
    single = len(messages) == 1 and not name.lower().endswith((".mbox", ".mbx"))
    for number, message in enumerate(messages, 1):
        part = "" if single else f"#{number}"
        try:
            one = _message(message, part, options)
        except Unreadable as error:
            reading.refused.append(Refusal(part, error.reason, error.detail))
            continue
        except UserError:
            raise
        except Exception as error:  # one odd message must not cost the whole mailbox
            reading.refused.append(Refusal(part, "reader failed", f"{type(error).__name__}: {str(error)[:300]}"))
            continue
        reading.pieces.extend(one.pieces)
        reading.refused.extend(one.refused)
        reading.warnings.extend(one.warnings)
    return reading


def split_mbox(data: bytes) -> tuple[int, list[bytes]]:
    """(lines before the first message, the messages of a mailbox, `>From ` unquoted as in mboxo and mboxrd).

    A message begins at a "From " line that stands at the start or after a blank line and is followed by a header.
    """
    lines = data.replace(b"\r\n", b"\n").split(b"\n")
    starts = [
        index for index, line in enumerate(lines)
        if line.startswith(b"From ") and (index == 0 or not lines[index - 1].strip())
        and (index == 0 or FROM_LINE.match(line)) and index + 1 < len(lines) and HEADER.match(lines[index + 1])
    ]  # fmt: skip
    messages = []
    for begin, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        body = [line[1:] if re.match(rb">+From ", line) else line for line in lines[begin + 1 : end]]
        messages.append(b"\n".join(body))
    lost = lines[: starts[0]] if starts else []
    return sum(1 for line in lost if line.strip()), messages


def _message(data: bytes, part: str, options: Options) -> Reading:
    message = email.message_from_bytes(data.lstrip(b"\r\n"))
    if not message.keys():
        raise Unreadable("damaged", "no mail headers at the beginning")
    reading = Reading()
    subject = _header(message, "Subject")
    bodies, attachments, images = _parts(message)
    texts, extraction = _body(bodies, reading, part, options)
    attached = []
    metadata: dict[str, Any] = {
        "message_id": _header(message, "Message-ID").strip("<> \t"),
        "from": _header(message, "From"), "to": _header(message, "To"),
        "cc": _header(message, "Cc"), "date": _header(message, "Date"),
        "encoding": extraction, "attachments": len(attachments), "inline_images": images,
    }  # fmt: skip
    for number, (label, item) in enumerate(attachments, 1):
        label = label or f"attachment {number}"
        if not options.attachments:
            reading.refused.append(Refusal(f"{part}!{label}", "attachments are off", "collect.attachments is false"))
            continue
        text = _attachment(item, label, part, options, reading)
        if text:
            attached.append(f"[attachment: {label}]\n{text}")
    text = "\n\n".join(piece for piece in (subject, *texts, *attached) if piece.strip())
    if not text:
        if not reading.refused:
            raise Unreadable("empty", "neither subject nor body has text")
        reading.refused.append(Refusal(part, "empty", "neither subject, body nor a readable attachment has text"))
        return reading
    metadata = {key: value for key, value in metadata.items() if value not in ("", 0)}
    if message.defects:
        metadata["defects"] = sorted({type(defect).__name__ for defect in message.defects})
    reading.pieces.append(Piece(text=text, part=part, title=subject, media_type="message/rfc822",
                                time=_time(str(metadata.get("date", ""))), metadata=metadata))  # fmt: skip
    return reading


def _parts(message: Message) -> tuple[list[Message], list[tuple[str, Message]], int]:
    """(body parts, [(name, attachment)], number of inline images); of an alternative, its plain part if it has text."""
    bodies: list[Message] = []
    attachments: list[tuple[str, Message]] = []
    images = 0
    stack: list[Message] = [message]
    while stack:
        part = stack.pop()
        kind = part.get_content_type()
        name = _filename(part)
        disposition = part.get_content_disposition() or ""
        if kind == "message/rfc822":
            attachments.append((name or "message.eml", part))
        elif kind == "multipart/alternative" and isinstance(part.get_payload(), list):
            stack.extend(reversed(_alternative(part)))
        elif part.is_multipart():
            stack.extend(reversed([item for item in part.get_payload() if isinstance(item, Message)]))
        elif disposition == "attachment" or (name and not kind.startswith("image/")):
            attachments.append((name, part))
        elif kind in ("text/plain", "text/html") or (kind.startswith("text/") and not name):
            bodies.append(part)
        elif kind.startswith("image/"):
            images += 1
        else:
            attachments.append((name, part))
    return bodies, attachments, images


def _alternative(part: Message) -> list[Message]:
    """The plain text of an alternative when it has any, else the richest readable version; attachments in it stay."""
    items = [item for item in part.get_payload() if isinstance(item, Message)]
    plain = [item for item in items if item.get_content_type() == "text/plain" and _payload(item).strip()]
    others = [item for item in items if item.get_content_type() not in TEXTS]
    if plain:
        # A multipart version beside the plain text holds the HTML again, and the files that belong to it.
        kept = [leaf for item in others for leaf in item.walk() if not leaf.is_multipart()
                and leaf.get_content_type() not in ("text/plain", "text/html")]  # fmt: skip
        return [plain[0], *kept]
    html = [item for item in items if item.get_content_type() == "text/html"]
    return [*html[:1], *others] if html else others or items[:1]


def _body(bodies: list[Message], reading: Reading, part: str, options: Options) -> tuple[list[str], str]:
    from metier.collect import html

    texts, encodings = [], []
    for item in bodies:
        data = _payload(item)
        declared = _charset(item)
        try:
            if item.get_content_type() == "text/html":
                page, encoding, damaged = html.decode_html(data, options.encoding, declared)
                text = _page_text(page)
            else:
                decoded = decode(data, options.encoding, declared, lenient=True)
                text, encoding, damaged = re.sub("[\udc80-\udcff]", "", decoded.text), decoded.encoding, decoded.damaged
        except Unreadable as error:
            reading.refused.append(Refusal(f"{part}!body", error.reason, error.detail))
            continue
        if damaged:
            reading.warnings.append(f"a mail body ({part or 'one message'}): {damaged} damaged bytes were left out")
        texts.append(text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").strip())
        encodings.append(encoding)
    return texts, next((name for name in encodings if name != "utf-8"), "utf-8" if encodings else "")


def _page_text(page: str) -> str:
    """All visible text: in a mail nothing is navigation."""
    from metier.collect import html
    from metier.errors import need

    need("lxml", "documents")
    tree = html.parse(page)
    return html.visible(tree) if tree is not None else ""


def _attachment(item: Message, label: str, part: str, options: Options, reading: Reading) -> str:
    """The attachment's text; what it cannot give goes to reading.refused as "part!label"."""
    from dataclasses import replace

    from metier.collect import readers

    place = f"{part}!{label}"
    inner = replace(options, columns={}, reader="", delimiter="", depth=options.depth + 1, declared=_charset(item))
    try:
        if item.get_content_type() == "message/rfc822":
            whole = item.get_payload()
            inside = whole[0] if isinstance(whole, list) and whole else None
            found = read(inside.as_bytes() if isinstance(inside, Message) else b"", label, inner)
        else:
            found = readers.read_attachment(_payload(item), label, item.get_content_type(), inner)
    except Unreadable as error:
        reading.refused.append(Refusal(place, error.reason, error.detail))
        return ""
    except (
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        UnicodeError,
    ) as error:  # email's generator on broken parts
        reading.refused.append(Refusal(place, "damaged", f"the attached message is broken: {error}"))
        return ""
    reading.refused.extend(
        Refusal(f"{place}{refusal.part}", refusal.reason, refusal.detail) for refusal in found.refused
    )
    reading.warnings.extend(found.warnings)
    return "\n\n".join(piece.text for piece in found.pieces)


def _payload(item: Message) -> bytes:
    data = item.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def _charset(item: Message) -> str:
    try:
        return item.get_content_charset() or ""
    except (LookupError, ValueError, TypeError, AttributeError):
        return ""


def _filename(item: Message) -> str:
    """The attachment's name as one safe line; RFC 2231, encoded words and raw 8-bit bytes are all met in the field."""
    for header, parameter in (("Content-Disposition", "filename"), ("Content-Type", "name")):
        single = Message()  # without the raw bytes, which the parser of parameters would replace
        single[header] = " ".join(_eight_bit(_raw(item, header)).split())
        try:
            value = single.get_param(parameter, header=header)
        except (LookupError, ValueError, TypeError, AttributeError, IndexError):
            continue
        if isinstance(value, tuple):
            value = _decoded(value[2].encode("latin-1", "replace"), value[0] or "")
        if value:
            return re.sub(r"[\x00-\x1f/\\!#]+", "_", _words(str(value))).strip()
    return ""


def _header(message: Message, name: str) -> str:
    """A header as one clean line. The raw value is decoded here: the stdlib's own decoding puts U+FFFD in silence."""
    return " ".join(_words(_raw(message, name)).split())


def _raw(message: Message, name: str) -> str:
    return next((str(raw) for key, raw in message.raw_items() if key.lower() == name.lower()), "")


def _words(text: str) -> str:
    """Encoded words and raw 8-bit bytes of a header as text."""
    text = _eight_bit(text)
    if not re.search(r"=\?[\w-]+(?:\*[\w-]+)?\?[bqBQ]\?", text):
        return text
    try:
        chunks = decode_header(text)
    except (ValueError, LookupError):  # broken base64
        return text
    return "".join(chunk if isinstance(chunk, str) else _chunk(chunk, charset) for chunk, charset in chunks)


def _chunk(chunk: bytes, charset: str | None) -> str:
    if charset is None:  # plain text between encoded words, as decode_header hands it over
        return chunk.decode("raw-unicode-escape")
    return _decoded(chunk, charset)


def _eight_bit(text: str) -> str:
    """Bytes above 127 that a header holds unencoded (lone surrogates after parsing), decoded by detection."""
    if not re.search("[\ud800-\udfff]", text):
        return text
    return _decoded(text.encode("utf-8", "surrogateescape"), "")


def _decoded(data: bytes, charset: str) -> str:
    try:
        return decode(data, declared=charset).text
    except Unreadable:
        return data.decode(known(charset) or "ascii", "backslashreplace")


def _time(value: str) -> str:
    try:
        return email.utils.parsedate_to_datetime(value).isoformat() if value else ""
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
