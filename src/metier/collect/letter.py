"""What every mail format ends in: one document from a subject, bodies, attachments and headers.

Purpose: EML, MBOX and MSG differ in how a message is stored and agree on what it is. Here its text is put together,
its quotations and signatures are marked (or taken out, if the recipe says so), its attachments are read by their own
readers, and its thread is named by the message that began it.
Not covered: how a message is stored (`mail.py`, `msg.py`); what is quotation and what is signature (`quotes.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metier.collect import quotes
from metier.collect.reading import Options, Piece, Reading, Refusal, Unreadable

QUOTED, SIGNATURES = ("quoted",), ("signature", "disclaimer")  # forwarded text is what a mail is about, and stays
QUOTING = "//blockquote[@type='cite'] | //*[contains(concat(' ', @class, ' '), ' gmail_quote ')]"
SIGNING = "//*[contains(concat(' ', @class, ' '), ' gmail_signature ')]"
QUOTE, SIGNATURE, END = "\ue0f0", "\ue0f1", "\ue0f2"  # private characters that stand around elements for a moment


@dataclass
class Body:
    """One body as text, with the parts that its HTML already told apart."""

    text: str
    marks: list[quotes.Mark] = field(default_factory=list)


@dataclass
class Threads:
    """Threads of one mailbox: a message whose program named only its parent belongs to its parent's thread."""

    known: dict[str, str] = field(default_factory=dict)

    def of(self, message_id: str, parent: str, references: Sequence[str], index: str = "") -> str:
        """The Message-ID that began the thread, "index:..." where Outlook counted instead, "" for a lonely message."""
        root = references[0] if references else self.known.get(parent, parent)
        root = root or self.known.get(message_id, "") or message_id or (f"index:{index}" if index else "")
        if message_id:
            self.known[message_id] = root
        return root


def message_ids(header: str) -> list[str]:
    """The identifiers of a References or In-Reply-To header."""
    return re.findall(r"<([^<>\s]+)>", header) or [word for word in header.split() if "@" in word]


def piece(subject: str, bodies: Sequence[Body], attached: Sequence[str], metadata: Mapping[str, Any], part: str,
          options: Options) -> Piece | None:  # fmt: skip
    """The message as one document; None when neither subject, body nor attachment has text."""
    texts, marked, removed = [], [], 0
    position = len(subject) + 2 if subject.strip() else 0
    kinds = (QUOTED if options.quoted == "remove" else ()) + (SIGNATURES if options.signatures == "remove" else ())
    for body in bodies:
        found = _together(body)
        text = quotes.without(body.text, found, kinds) if kinds else body.text
        if text != body.text:
            removed += len(body.text) - len(text)
            found = quotes.marks(text)
        if not text.strip():
            continue
        marked += [{"kind": mark.kind, "start": position + mark.start, "end": position + mark.end} for mark in found]
        texts.append(text)
        position += len(text) + 2
    whole = "\n\n".join(text for text in (subject, *texts, *attached) if text.strip())
    if not whole:
        return None
    told = {key: value for key, value in metadata.items() if value not in ("", 0, [])}
    told |= {"marked": marked} if marked else {}
    told |= {"characters_removed": removed} if removed else {}
    return Piece(
        text=whole, part=part, title=subject, media_type="message/rfc822",
        group=str(told.get("thread", "")) if options.thread_groups else "", metadata=told,
    )  # fmt: skip


def attachment(data: bytes, label: str, media_type: str, place: str, options: Options, reading: Reading) -> str:
    """An attachment's text, read by its own reader; what it cannot give goes to reading.refused below `place`."""
    from metier.collect import readers

    inner = options.inside(columns={}, delimiter="", declared=options.declared)
    try:
        options.budget.spend(len(data))
        found = readers.read_attachment(data, label, media_type, inner)
    except Unreadable as error:
        reading.refused.append(Refusal(place, error.reason, error.detail))
        return ""
    return taken(found, place, reading)


def taken(found: Reading, place: str, reading: Reading) -> str:
    """The texts of an attachment as one; its refusals and warnings go to the message's reading."""
    from metier.collect import archive

    reading.extend(Reading([], found.refused, found.warnings), place)
    return archive.texts(found.pieces)


def page(html_text: str) -> Body:
    """All visible text of a mail in HTML (nothing in it is navigation), with the quotations that its marks tell."""
    from metier.collect import html
    from metier.errors import need

    need("lxml", "documents")
    tree = html.parse(html_text)
    if tree is None:
        return Body("")
    text = html.visible(tree)
    elements = _outermost(tree.xpath(f"{QUOTING} | {SIGNING}"))
    if not elements:
        return Body(text)
    for element in elements:
        sign = QUOTE if "quote" in f"{element.tag} {element.get('class')}" else SIGNATURE
        element.text = f"{sign}{element.text or ''}"
        if len(element):
            element[-1].tail = f"{element[-1].tail or ''}{END}"
        else:
            element.text += END
    return Body(text, _places(html.visible(tree), text))


def _outermost(elements: Sequence[Any]) -> list[Any]:
    """Elements in document order, without those inside another of them."""
    kept: list[Any] = []
    inside: set[Any] = set()
    for element in elements:
        if inside.isdisjoint(element.iterancestors()):
            kept.append(element)
            inside.add(element)
    return kept


def _places(signed: str, text: str) -> list[quotes.Mark]:
    """Where the signs of `signed` stand in `text`, which is the same but for white space: the n-th character each."""
    places = [place for place, character in enumerate(text) if not character.isspace()]
    marks, kind, begin, count = [], "", 0, 0
    for character in signed:
        if character in (QUOTE, SIGNATURE):
            kind, begin = "quoted" if character == QUOTE else "signature", count
        elif character == END:
            if kind and begin < count <= len(places):
                marks.append(quotes.Mark(kind, places[begin], places[count - 1] + 1))
            kind = ""
        else:
            count += not character.isspace()
    return marks if count == len(places) else []  # the mail itself holds such signs


def _together(body: Body) -> list[quotes.Mark]:
    """What the HTML told, and what the lines tell beside it."""
    lines = [mark for mark in quotes.marks(body.text)
             if not any(mark.start < known.end and known.start < mark.end for known in body.marks)]  # fmt: skip
    return sorted([*body.marks, *lines], key=lambda mark: mark.start)
