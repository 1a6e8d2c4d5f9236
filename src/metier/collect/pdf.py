"""PDF: the text layer page by page, through pypdfium2; pages without one are recognised.

Purpose: pages joined with blank lines, tables as rows with tabs, columns in order, words that were hyphenated at a line
end joined again, running headers, footers and page numbers taken out and kept once. Form values, comments and attached
files are read too. A page that gives no text is refused by its number and reason, and a file without any as a whole.
Trade-off: the file's own order is trusted unless the page's geometry speaks against it (`layout`).
Not covered: dynamic XFA forms (refused), signatures, layers that are switched off.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field, replace
from typing import Any

from metier.collect import hyphens, ocr, pdf_page, running
from metier.collect.accounts import Account, describes
from metier.collect.reading import Options, Piece, Reading, Refusal, Unreadable
from metier.errors import need
from metier.registry import register

MAX_DEPTH = 3  # files inside files
XFA = 2  # pdfium's number for a form whose pages only say "please wait"


@dataclass
class _Found:
    """What the pages hold, in order."""

    pages: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    tables: int = 0
    blank: int = 0
    recognised: int = 0
    doubtful: int = 0


@register("reader", "pdf")
@describes(
    "pdf",
    Account(
        title="PDF",
        takes=("pdf",),
        kept=(
            "the text layer, page by page, columns one after the other, rows of tables with tabs",
            "words joined that were hyphenated at a line end",
            "recognised text of pages that are pictures (extra `ocr`)",
            "attached files, read by their own readers",
            "the title",
        ),
        marked={
            "values of form fields": "at the end, `[field] name: value`",
            "comments and notes": "at the end, `[comment] author: ...`",
            "attached files": "at the end, under `[attachment: name]`",
        },
        counted={
            "pages": "how many",
            "pages_without_text": "pages that gave none: blank ones, and those that are refused",
            "blank_pages": "pages with nothing on them",
            "tables, fields, comments, attachments": "how many",
            "running_lines_removed": "running headers, footers and page numbers taken out of the text",
            "running_lines": "each of them once",
            "ocr_pages": "pages with recognised text",
            "ocr_confidence": "mean confidence of the lines taken, 0 to 1",
            "ocr_doubtful_lines": "lines left out, with a confidence below 0.5; also a warning",
            "unreadable_characters": "characters without a Unicode value in the fonts; also a warning",
            "created": "date of the file",
        },
        refused={
            "empty": "0 bytes, or only blank pages",
            "encrypted": "it needs a password",
            "damaged": "no page can be read; or one page (the others are read)",
            "no text layer": "a page that is a picture, and recognition is off or not installed; the file if all are",
            "nothing recognised": "a page that is a picture on which no writing was found",
            "too many scanned pages": "pages after `collect.max_ocr_pages`",
            "unsupported format": "a dynamic XFA form; its pages hold no content",
            "attachments are off": "an attached file, with `collect.attachments: false`",
            "nested too deep": "more than three files inside each other",
        },
        lost=("drawings", "text outside the page's box", "hidden layers"),
        libraries=("pypdfium2", "rapidocr"),
        extra="documents",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document. Unreadable: empty, encrypted, damaged, or no page gave text."""
    if not data:
        raise Unreadable("empty", "the file has 0 bytes")
    found, information, attached = _opened(data, options)
    reading = Reading(refused=found.refused)
    tidied = hyphens.tidy(found.pages)
    pages, removed = (tidied, []) if options.keep_running else running.strip(tidied)
    parts = [page.strip("\n ") for page in pages]
    parts += [f"[field] {line}" for line in found.fields] + [f"[comment] {line}" for line in found.comments]
    files = [
        f"[attachment: {label}]\n{text}" for label, data in attached if (text := _file(label, data, options, reading))
    ]
    text = "\n\n".join(part for part in (*parts, *files) if part)
    if not text:
        raise _nothing(found, bool(removed))
    counted: dict[str, Any] = {
        "pages_without_text": sum(not page.strip() for page in found.pages), "blank_pages": found.blank,
        "tables": found.tables, "fields": len(found.fields),
        "comments": len(found.comments), "attachments": len(attached), "running_lines_removed": len(removed),
        "running_lines": running.examples(removed), "ocr_pages": found.recognised,
        "ocr_confidence": ocr.mean(found.confidences), "ocr_doubtful_lines": found.doubtful,
        "unreadable_characters": text.count("\ufffd"), "created": _created(information),
    }  # fmt: skip
    metadata = {"pages": len(found.pages)} | {key: value for key, value in counted.items() if value}
    if unknown := counted["unreadable_characters"]:
        reading.warnings.append(f"{name}: {unknown} characters have no Unicode value in the file's fonts")
    if found.doubtful:
        reading.warnings.append(f"{name}: {found.doubtful} lines were recognised with too little confidence")
    if found.refused:
        reading.warnings.append(f"{name}: {len(found.refused)} of {len(found.pages)} pages or attachments gave no text")
    reading.pieces.append(Piece(text=text, title=information.get("Title", "").strip(), media_type="application/pdf",
                                metadata=metadata))  # fmt: skip
    return reading


def _opened(data: bytes, options: Options) -> tuple[_Found, dict[str, str], list[tuple[str, bytes]]]:
    """What stands on the pages, the file's description, and the files attached to it."""
    pdfium = need("pypdfium2", "documents")
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise Unreadable("encrypted", "the file needs a password; save a copy without one") from None
        raise Unreadable("damaged", f"not readable as PDF: {error}") from None
    found = _Found()
    try:
        if document.get_formtype() == XFA:
            found.refused.append(Refusal("#form", "unsupported format", "a dynamic XFA form; print it to a PDF"))
        if document.get_formtype():
            document.init_forms()
        for index in range(len(document)):
            _page(document, index, options, found)
        information = document.get_metadata_dict()
        attached = _attached(document, pdfium)
    finally:
        document.close()
    if not found.pages:
        raise Unreadable("damaged", "the file has no pages")
    return found, information, attached


def _page(document: Any, index: int, options: Options, found: _Found) -> None:
    """Add one page to what was found; its text is "" when it is blank or refused."""
    pdfium = need("pypdfium2", "documents")
    part = f"#page {index + 1}"
    found.pages.append("")
    try:
        page = document[index]
        textpage = page.get_textpage()
    except pdfium.PdfiumError as error:
        found.refused.append(Refusal(part, "damaged", f"this page cannot be read: {error}"))
        return
    text, tables = pdf_page.text(textpage)
    fields, comments = pdf_page.written_on(document, page)
    found.fields += fields
    found.comments += comments
    if pdf_page.is_picture(page, text):
        recognised = _recognise(page, part, options, found)
        text, tables = max((text, tables), recognised, key=lambda item: len("".join(item[0].split("\ufffd")).strip()))
    elif not text.strip():
        found.blank += 1
    found.tables += tables
    found.pages[-1] = text
    textpage.close()
    page.close()


def _recognise(page: Any, part: str, options: Options, found: _Found) -> tuple[str, int]:
    """(recognised text, tables) of a page that is a picture; why there is none is kept."""
    if not options.ocr or not ocr.installed():
        why = ocr.INSTALL if options.ocr else "`collect.ocr: true` recognises its text"
        found.refused.append(Refusal(part, "no text layer", f"the page is a picture; {why}"))
        return "", 0
    if found.recognised >= options.max_ocr_pages:
        limit = f"collect.max_ocr_pages is {options.max_ocr_pages}"
        found.refused.append(Refusal(part, "too many scanned pages", limit))
        return "", 0
    image = pdf_page.draw(page)
    if image is None:
        found.blank += 1
        return "", 0
    result = ocr.recognise(image)
    found.doubtful += result.doubtful
    if not result.text:
        found.refused.append(Refusal(part, "nothing recognised", "no writing was found on this page"))
        return "", 0
    found.recognised += 1
    found.confidences += result.confidences
    return result.text, result.tables


def _nothing(found: _Found, removed: bool) -> Unreadable:
    """Why a file gave no text at all."""
    count = len(found.pages)
    if removed:
        return Unreadable("no text layer", f"only running headers and page numbers have text; {ocr.INSTALL}")
    if not found.refused:
        return Unreadable("empty", f"all {count} pages are blank")
    first = found.refused[0]
    if first.reason == "no text layer":
        return Unreadable(first.reason, f"none of the {count} pages has text (a scan?); "
                          f"{first.detail.removeprefix('the page is a picture; ')}")  # fmt: skip
    return Unreadable(first.reason, f"none of the {count} pages gave text; the first: {first.detail}")


def _attached(document: Any, pdfium: Any) -> list[tuple[str, bytes]]:
    files = []
    for index in range(document.count_attachments()):
        with contextlib.suppress(pdfium.PdfiumError):
            file = document.get_attachment(index)
            files.append((file.get_name() or f"attachment {index + 1}", bytes(file.get_data())))
    return files


def _file(label: str, data: bytes, options: Options, reading: Reading) -> str:
    """The text of a file attached to the document, or a refusal."""
    from metier.collect import readers

    part = f"!{label}"
    if not options.attachments:
        reading.refused.append(Refusal(part, "attachments are off", "collect.attachments is false"))
        return ""
    if options.depth >= MAX_DEPTH:
        reading.refused.append(Refusal(part, "nested too deep", f"more than {MAX_DEPTH} files inside each other"))
        return ""
    try:
        inner = replace(options, depth=options.depth + 1, columns={}, reader="", declared="")
        found = readers.read_attachment(data, label, "", inner)
    except Unreadable as error:
        reading.refused.append(Refusal(part, error.reason, error.detail))
        return ""
    reading.refused += [Refusal(f"{part}{item.part}", item.reason, item.detail) for item in found.refused]
    return "\n\n".join(piece.text for piece in found.pieces)


def _created(information: dict[str, str]) -> str:
    found = re.match(r"D:(\d{4})(\d{2})(\d{2})", information.get("CreationDate", ""))
    return "-".join(found.groups()) if found else ""
