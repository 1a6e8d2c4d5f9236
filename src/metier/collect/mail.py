"""Mail: EML and MBOX with attachments, through the standard library. Mails are read, never rendered.

Purpose: one message, one document: the subject, the body (plain text before HTML), then each attachment's text under a
marker, read by the same readers (a mail inside a mail too, three levels deep). What cannot be read is refused as
"file!attachment". Wrong charsets are survived by detection. MBOX is split where a From_ line stands after a blank line
and headers follow, so a sentence that begins with "From " stays in its message (the standard library splits there).
Nothing is fetched and no link is followed. Not covered: S/MIME and PGP, Outlook's winmail.dat.
"""

from __future__ import annotations

import email
import re
from dataclasses import replace
from email.message import Message
from typing import Any

from metier.collect import headers, letter
from metier.collect.accounts import Account, describes
from metier.collect.encoding import decode
from metier.collect.reading import Options, Reading, Refusal, Unreadable
from metier.errors import UserError
from metier.registry import register

TEXTS = ("text/plain", "text/html", "text/enriched", "text/watch-html", "text/x-amp-html")
MAX_DEPTH = 3  # mails in mails
HEADER = re.compile(rb"^[!-9;-~]+:(\s|$)")
FROM_LINE = re.compile(rb"^From \S.*\d{4}\s*(?:[+-]\d{4})?\s*$")
ODD = (
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    UnicodeError,
)  # what the standard library says of broken parts


@register("reader", "mail")
@describes(
    "mail",
    Account(
        title="Mail",
        takes=("eml", "mbox", "mbx"),
        kept=("subject and body of each message (plain text before HTML)",),
        marked={
            "attachments": "after the body, under `[attachment: name]`, read by the other readers",
            "quotations, forwarded mails, signatures, disclaimers": "their places in the text, in `marked`; "
            "`collect.mail` can take them out",
        },
        counted={
            "message_id, in_reply_to, from, to, cc, date": "from the headers",
            "thread": "Message-ID that began the thread; `collect.mail.thread_groups` makes it the group",
            "encoding, attachments, inline_images": "how the body was read, and how many of each there are",
            "marked": "kind, start and end of each quotation, forwarded mail, signature and disclaimer",
            "characters_removed": "characters of quotations and signatures that were taken out",
            "defects": "what is wrong with the message's form",
        },
        refused={
            "empty": "neither subject nor body nor attachment has text",
            "damaged": "no mail headers where a message should begin",
            "nested too deep": "more than three mails inside each other",
            "attachments are off": "`collect.attachments: false`",
            "reader failed": "an odd message of a mailbox; the others are read",
            "out of memory": "a message takes more than `collect.max_memory_per_file`",
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
    if options.mails > MAX_DEPTH:
        raise Unreadable("nested too deep", f"more than {MAX_DEPTH} mails inside each other")
    if not data.startswith(b"From "):
        try:
            return _message(data, "", options)
        except ODD as error:
            raise Unreadable("damaged", f"the message is broken: {error}") from None
    before, messages = split_mbox(data)
    if not messages:
        raise Unreadable("damaged", "no message begins in this mailbox")
    reading = Reading()
    progress = options.progress
    if before and not (progress and progress.skip):
        reading.refused.append(
            Refusal("#0", "damaged", f"{before} lines before the first message have no mail headers")
        )
    single = len(messages) == 1 and not name.lower().endswith((".mbox", ".mbx"))
    threads = letter.Threads()
    for number, message in enumerate(messages):
        part = "" if single else f"#{number + 1}"
        if progress and number < progress.skip:
            continue
        if progress:
            progress.hand_over(reading)
            reading = Reading()
            progress.begin(number, part)
        reading.extend(_one(message, part, options, threads))
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
    if not starts:
        return sum(1 for line in lines if line.strip()), []
    messages = []
    for begin, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        body = [line[1:] if re.match(rb">+From ", line) else line for line in lines[begin + 1 : end]]
        messages.append(b"\n".join(body))
    return sum(1 for line in lines[: starts[0]] if line.strip()), messages


def _one(message: bytes, part: str, options: Options, threads: letter.Threads) -> Reading:
    """One message of a mailbox; whatever is wrong with it costs itself only."""
    try:
        one = _message(message, part, replace(options, progress=None))
    except Unreadable as error:
        return Reading(refused=[Refusal(part, error.reason, error.detail)])
    except UserError:
        raise
    except MemoryError:
        return Reading(refused=[Refusal(part, "out of memory", "not enough memory to read this message")])
    except Exception as error:  # one odd message must not cost the whole mailbox
        return Reading(refused=[Refusal(part, "reader failed", f"{type(error).__name__}: {str(error)[:300]}")])
    for piece in one.pieces:
        told = piece.metadata
        if "thread" in told:
            own, parent, thread = (str(told.get(name, "")) for name in ("message_id", "in_reply_to", "thread"))
            told["thread"] = threads.of(own, parent, [] if thread in (own, parent) else [thread])
            piece.group = str(told["thread"]) if options.thread_groups else piece.group
    return one


def _message(data: bytes, part: str, options: Options) -> Reading:
    message = email.message_from_bytes(data.lstrip(b"\r\n"))
    if not message.keys():
        raise Unreadable("damaged", "no mail headers at the beginning")
    reading = Reading()
    subject = headers.header(message, "Subject")
    bodies, attachments, images = _parts(message)
    read_bodies, encoding = _bodies(bodies, reading, part, options)
    attached = []
    for number, (label, item) in enumerate(attachments, 1):
        label = label or f"attachment {number}"
        if not options.attachments:
            reading.refused.append(Refusal(f"{part}!{label}", "attachments are off", "collect.attachments is false"))
            continue
        text = _attachment(item, label, f"{part}!{label}", options, reading)
        if text:
            attached.append(f"[attachment: {label}]\n{text}")
    metadata = {**_told(message), "encoding": encoding, "attachments": len(attachments), "inline_images": images}
    metadata["defects"] = sorted({type(defect).__name__ for defect in message.defects})
    piece = letter.piece(subject, read_bodies, attached, metadata, part, options)
    if piece is None:
        if not reading.refused:
            raise Unreadable("empty", "neither subject nor body has text")
        reading.refused.append(Refusal(part, "empty", "neither subject, body nor a readable attachment has text"))
        return reading
    piece.time = headers.time(str(metadata["date"]))
    reading.pieces.append(piece)
    return reading


def _told(message: Message) -> dict[str, Any]:
    """What the headers say, as metadata; the thread is the message that began it."""
    told = {name.lower().replace("-", "_"): headers.header(message, name) for name in ("From", "To", "Cc", "Date")}
    message_id = headers.header(message, "Message-ID").strip("<> \t")
    parents = letter.message_ids(headers.header(message, "In-Reply-To"))[:1]
    references = letter.message_ids(headers.header(message, "References"))
    parent = parents[0] if parents else references[-1] if references else ""
    thread = letter.Threads().of(message_id, parent, references)
    return {"message_id": message_id, **told, "in_reply_to": parent, "thread": thread}


def _parts(message: Message) -> tuple[list[Message], list[tuple[str, Message]], int]:
    """(body parts, [(name, attachment)], number of inline images); of an alternative, its plain part if it has text."""
    bodies: list[Message] = []
    attachments: list[tuple[str, Message]] = []
    images = 0
    stack: list[Message] = [message]
    while stack:
        part = stack.pop()
        kind = part.get_content_type()
        name = headers.filename(part)
        disposition = part.get_content_disposition() or ""
        if kind == "message/rfc822":
            attachments.append((name or "message.eml", part))
        elif kind == "multipart/alternative" and isinstance(part.get_payload(), list):
            stack.extend(reversed(_alternative(part)))
        elif part.is_multipart():
            stack.extend(reversed([item for item in part.get_payload() if isinstance(item, Message)]))
        elif kind == "text/calendar":
            attachments.append((name or "invitation.ics", part))
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
    plain = [item for item in items if item.get_content_type() == "text/plain" and headers.payload(item).strip()]
    others = [item for item in items if item.get_content_type() not in TEXTS]
    if plain:
        # A multipart version beside the plain text holds the HTML again, and the files that belong to it.
        kept = [leaf for item in others for leaf in item.walk() if not leaf.is_multipart()
                and leaf.get_content_type() not in ("text/plain", "text/html")]  # fmt: skip
        return [plain[0], *kept]
    html = [item for item in items if item.get_content_type() == "text/html"]
    return [*html[:1], *others] if html else others or items[:1]


def _bodies(bodies: list[Message], reading: Reading, part: str, options: Options) -> tuple[list[letter.Body], str]:
    from metier.collect import html

    found, encodings = [], []
    for item in bodies:
        data = headers.payload(item)
        declared = headers.charset(item)
        try:
            if item.get_content_type() == "text/html":
                page, encoding, damaged = html.decode_html(data, options.encoding, declared)
                body = letter.page(page)
            else:
                decoded = decode(data, options.encoding, declared, lenient=True)
                encoding, damaged = decoded.encoding, decoded.damaged
                body = letter.Body(re.sub("[\udc80-\udcff]", "", decoded.text))
        except Unreadable as error:
            reading.refused.append(Refusal(f"{part}!body", error.reason, error.detail))
            continue
        if damaged:
            reading.warnings.append(f"a mail body ({part or 'one message'}): {damaged} damaged bytes were left out")
        if not body.marks:  # those of a page stand in a text that is clean already
            body.text = body.text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").strip()
        found.append(body)
        encodings.append(encoding)
    return found, next((name for name in encodings if name != "utf-8"), "utf-8" if encodings else "")


def _attachment(item: Message, label: str, place: str, options: Options, reading: Reading) -> str:
    """The attachment's text; what it cannot give goes to reading.refused below `place`."""
    kind = item.get_content_type()
    inner = replace(options, declared=headers.charset(item))
    try:
        if kind != "message/rfc822":
            return letter.attachment(headers.payload(item), label, kind, place, inner, reading)
        whole = item.get_payload()
        inside = whole[0] if isinstance(whole, list) and whole else None
        data = inside.as_bytes() if isinstance(inside, Message) else b""
        found = read(data, label, inner.inside(columns={}, delimiter="", mails=options.mails + 1))
    except Unreadable as error:
        reading.refused.append(Refusal(place, error.reason, error.detail))
        return ""
    except ODD as error:  # email's generator on broken parts
        reading.refused.append(Refusal(place, "damaged", f"the attached message is broken: {error}"))
        return ""
    return letter.taken(found, place, reading)
