"""Filings at the US Securities and Exchange Commission: full-submission text files, and their web pages.

Purpose: a submission holds a header and many documents: the filing, its exhibits, pictures as text, data in XBRL. Each
document that is text becomes one document of ours, with the company, form and period in its metadata and the company
as its group; the rest is refused by its kind. In a page with inline XBRL the hidden facts are dropped and counted,
everything else is text; old filings are laid out with spaces, whose tables keep their columns. The items of a report
(1A Risk Factors, 7 Management's Discussion ...) are told with their places in the text.
Not covered: figures of XBRL as data; filings of other authorities.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from metier.collect import html
from metier.collect.accounts import Account, describes
from metier.collect.reading import Options, Piece, Reading, Refusal, Unreadable
from metier.errors import need
from metier.registry import register

HEAD = 65_536  # bytes in which a filing shows what it is
SUBMISSION = re.compile(
    rb"\s*(?:-----BEGIN PRIVACY-ENHANCED MESSAGE-----|<SEC-DOCUMENT>|<SUBMISSION>|<DOCUMENT>\s*<TYPE>)"
)
FORM = re.compile(rb"\bFORM\s+(?:10-[KQ]|20-F|40-F|8-K|6-K|S-[1-4]|F-[1-4]|DEF\s?14A)\b", re.I)
COMMISSION = re.compile(rb"SECURITIES\s+(?:(?:AND|&amp;|&)\s+EXCHANGE\s+COMMISSION|EXCHANGE\s+ACT\s+OF\s+1934)", re.I)
INLINE = re.compile(rb"xmlns:ix\s*=|http://www\.xbrl\.org/\d{4}/inlineXBRL")
FIELDS = {"COMPANY CONFORMED NAME": "company", "CENTRAL INDEX KEY": "cik", "CONFORMED SUBMISSION TYPE": "form",
          "FILED AS OF DATE": "filed", "CONFORMED PERIOD OF REPORT": "period", "ACCESSION NUMBER": "accession",
          "STANDARD INDUSTRIAL CLASSIFICATION": "industry"}  # fmt: skip
_PART = r"(?:part[ \t]+[ivx]{1,4}[.,: \t-]*)?"
ITEM = re.compile(rf"^[ \t]*{_PART}item[ \t\u00a0]+(\d{{1,2}}[A-C]?)[ \t]*[.:\u2014-]?[ \t]*(.{{0,150}})$", re.I | re.M)
LAID_OUT = re.compile(r"\S {3,}\S")  # columns made of spaces
CODED = re.compile(r"^begin \d{3} \S+", re.M)  # a picture or archive as text (uuencode)


@register("reader", "sec")
@describes(
    "sec",
    Account(
        title="Filings of the SEC (EDGAR)",
        kind="container",
        takes=("nc",),
        kept=(
            "each document of a submission that is text or a web page",
            "tables, a line a row, tabs between cells; also tables made of spaces",
        ),
        counted={
            "company, cik, form, filed, period, accession, industry": "from the header; the company is the group",
            "document, description": "kind and title of the document within the submission",
            "items": "number, title, start and end of each item of a report",
            "xbrl_hidden": "hidden facts of inline XBRL that were dropped",
            "encoding": "which encoding was found or named",
        },
        refused={
            "empty": "no text in a document",
            "damaged": "a submission without a document",
            "undecodable": "no encoding gives plausible text",
            "unsupported format": "pictures, archives, spreadsheets and XBRL data inside a submission",
        },
        lost=("figures of XBRL as data",),
        libraries=("lxml",),
        extra="documents",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """The documents of a submission, or one filing. Unreadable: empty, undecodable, damaged."""
    need("lxml", "documents")
    text, encoding, damaged = html.decode_html(data, options.encoding, options.declared)
    if not text.strip():
        raise Unreadable("empty", "the file holds no text" if data else "the file has 0 bytes")
    reading = Reading()
    if damaged:
        reading.warnings.append(f"{name}: {damaged} bytes are not valid {encoding} and were left out")
    if not SUBMISSION.match(data):
        reading.pieces.append(_piece(text, {"encoding": encoding}, ""))
        return reading
    header = _header(text[: text.find("<DOCUMENT>")] if "<DOCUMENT>" in text else "")
    documents = list(_documents(text))
    if not documents:
        raise Unreadable("damaged", "no document begins in this submission")
    for number, (told, body) in enumerate(documents, 1):
        part = f"!{told.get('FILENAME') or number}" if len(documents) > 1 else ""
        metadata = {"encoding": encoding, **header, "document": told.get("TYPE", ""),
                    "description": told.get("DESCRIPTION", "")}  # fmt: skip
        try:
            reading.pieces.append(_piece(_text_of(body, told), metadata, part))
        except Unreadable as error:
            reading.refused.append(Refusal(part, error.reason, error.detail))
    return reading


def is_filing(data: bytes) -> bool:
    """Whether a file is a submission, a page with inline XBRL, or a page that calls itself a form of the Commission."""
    head = data[:HEAD]
    form = b"<html" in head[:4096].lower() and FORM.search(head) and COMMISSION.search(head)
    return bool(SUBMISSION.match(head) or INLINE.search(head) or form)


def items(text: str) -> list[dict[str, Any]]:
    """The items of a report: of each number the one with the most text, since the table of contents names them too."""
    found = list(ITEM.finditer(text))
    best: dict[str, dict[str, Any]] = {}
    for number, match in enumerate(found):
        end = found[number + 1].start() if number + 1 < len(found) else len(text)
        item = match.group(1).upper()
        title = " ".join(match.group(2).split()).strip(" .-\u2014")
        section = {"item": item, "title": title, "start": match.start(), "end": end}
        known = best.get(item)
        if known is None or end - match.start() > known["end"] - known["start"]:
            best[item] = section
    return sorted(best.values(), key=lambda section: section["start"])


def _documents(text: str) -> Iterator[tuple[dict[str, str], str]]:
    """(fields, content) of each document of a submission; one that is cut off reaches to the end."""
    for block in re.split(r"<DOCUMENT>[ \t]*\r?\n?", text)[1:]:
        block = block.split("</DOCUMENT>")[0]
        head, opened, body = block.partition("<TEXT>")
        told = {key: value.strip() for key, value in re.findall(r"<(\w+)>([^\r\n<]*)", head)}
        yield told, (body if opened else head).split("</TEXT>")[0]


def _header(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        name = FIELDS.get(key.strip().upper())
        if colon and name and value.strip():
            found.setdefault(name, " ".join(value.split()))
    return found


def _text_of(body: str, told: dict[str, str]) -> str:
    """A document's content, if it is text. Unreadable: unsupported format, empty."""
    start = body.lstrip()[:200]
    kind = told.get("TYPE", "").upper()
    if CODED.search(body[:2000]) or start.startswith("<PDF>"):
        detail = f"{told.get('FILENAME', 'a file')} ({kind}): a picture, PDF or archive written as text"
        raise Unreadable("unsupported format", detail)
    if start.startswith(("<XBRL>", "<XML>", "<JSON>")) or kind.startswith(("EX-101", "XML", "JSON")):
        raise Unreadable("unsupported format", f"{told.get('FILENAME', 'data')} ({kind}): data of XBRL")
    if not start:
        raise Unreadable("empty", f"{told.get('FILENAME', 'the document')} ({kind}) holds no text")
    return body


def _piece(source: str, metadata: dict[str, Any], part: str) -> Piece:
    hidden = 0
    if re.search(r"<(?:html|body|div|p|td|font)\b", source[:HEAD], re.I):
        text, title, hidden = _page(source)
    else:
        text, title = _plain(source), ""
    if not text:
        raise Unreadable("empty", "the document has no text")
    told = {**metadata, "items": items(text), "xbrl_hidden": hidden}
    time = metadata.get("filed", "")
    return Piece(
        text, part, title or metadata.get("description", ""), "text/html",
        group=f"cik {metadata['cik'].lstrip('0')}" if metadata.get("cik") else "",
        time=f"{time[:4]}-{time[4:6]}-{time[6:8]}" if re.fullmatch(r"\d{8}", time) else "",
        metadata={key: value for key, value in told.items() if value not in ("", [], 0)},
    )  # fmt: skip


def _page(source: str) -> tuple[str, str, int]:
    """(text, title, hidden facts) of a page."""
    tree = html.parse(source)
    if tree is None:
        return "", "", 0
    hidden = 0
    for element in [item for item in tree.iter() if isinstance(item.tag, str) and item.tag.lower() == "ix:header"]:
        hidden += sum(1 for item in element.iter() if isinstance(item.tag, str)
                      and item.tag.lower() in ("ix:nonfraction", "ix:nonnumeric"))  # fmt: skip
        element.drop_tree()
    for element in tree.iter():
        if isinstance(element.tag, str) and element.text and _is_laid_out(element.text):
            element.tag, element.text = "pre", _columns(element.text)
    title = " ".join(str(tree.findtext(".//title") or "").split())
    return html.visible(tree), title, hidden


def _plain(source: str) -> str:
    """A filing in plain text: the marks of tables and pages go, their lines stay."""
    text = re.sub(r"</?(?:PAGE|TABLE|CAPTION|S|C|FN|F\d+|R|TEXT)>", "", source, flags=re.I)
    lines = [_columns(line).rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _is_laid_out(text: str) -> bool:
    """Whether a text is a page of typewriting: many lines, and some of them with columns made of spaces."""
    lines = text.count("\n")
    return lines > 20 and len(LAID_OUT.findall(text)) > 0.05 * lines


def _columns(text: str) -> str:
    """Columns made of spaces as tabs; what only indents a line stays."""
    return re.sub(r"(?<=\S) {3,}(?=\S)", "\t", text)
