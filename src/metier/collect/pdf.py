"""PDF: the text layer page by page, through pypdfium2.

Purpose: pages joined with blank lines, words that were hyphenated at a line end joined again, running headers, footers
and page numbers removed and counted. A page without text is counted; a file without any is refused as a scan.
Trade-off: pdfium's order is the order of the content stream, which is reading order in nearly all produced files;
tables come out as lines. Not covered: optical character recognition, forms' field values, embedded files.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from metier.collect.accounts import Account, describes
from metier.collect.reading import Options, Piece, Reading, Unreadable
from metier.errors import need
from metier.registry import register

EDGE = 3  # lines at the top and bottom of a page that may be a running header or footer
MOST = 0.6  # share of the pages on which a line must stand to be one
_LEFT_HALVES = """non self co pre post anti sub long short third well high low half full part ex cross in on off up out
two three"""
COMPOUND = frozenset(_LEFT_HALVES.split())  # they usually keep their hyphen
MIN_PAGES = 4  # fewer pages give no evidence of repetition


@register("reader", "pdf")
@describes(
    "pdf",
    Account(
        title="PDF",
        takes=("pdf",),
        kept=("the text layer, page by page, with words joined that were hyphenated at a line end", "the title"),
        counted={
            "pages": "how many pages",
            "pages_without_text": "pages without a text layer; also a warning",
            "pages_damaged": "pages that could not be read; also a warning",
            "running_lines_removed": "running headers, footers and page numbers taken out of the text",
            "unreadable_characters": "characters without a Unicode value in the fonts; also a warning",
            "created": "date of the file",
        },
        refused={
            "empty": "0 bytes",
            "encrypted": "it needs a password",
            "damaged": "no page can be read",
            "no text layer": "pictures of pages only",
        },
        lost=("values of form fields", "embedded files"),
        libraries=("pypdfium2",),
        extra="documents",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document. Unreadable: empty, encrypted, damaged, no text layer."""
    if not data:
        raise Unreadable("empty", "the file has 0 bytes")
    pages, information, failed = _pages(data)
    without = sum(not page.strip() for page in pages)
    if without == len(pages):
        raise Unreadable("no text layer", f"none of the {len(pages)} pages has text (a scan?); run OCR on it first")
    pages, removed = strip_running([tidy(page) for page in pages])
    text = "\n\n".join(page.strip() for page in pages if page.strip())
    if not text:
        raise Unreadable("no text layer", "only running headers and page numbers have text; run OCR on it first")
    metadata: dict[str, Any] = {"pages": len(pages), "pages_without_text": without, "running_lines_removed": removed}
    reading = Reading([Piece(text=text, title=information.get("Title", "").strip(),
                             media_type="application/pdf", metadata=metadata)])  # fmt: skip
    if created := _created(information):
        metadata["created"] = created  # of the file, which need not be the date of what it says
    if unknown := text.count("\ufffd"):
        metadata["unreadable_characters"] = unknown
        reading.warnings.append(f"{name}: {unknown} characters have no Unicode value in the file's fonts")
    if failed:
        metadata["pages_damaged"] = failed
        reading.warnings.append(f"{name}: {failed} of {len(pages)} pages are damaged and gave no text")
    if without:
        reading.warnings.append(f"{name}: {without} of {len(pages)} pages have no text (images?)")
    return reading


def _pages(data: bytes) -> tuple[list[str], dict[str, str], int]:
    pdfium = need("pypdfium2", "documents")
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise Unreadable("encrypted", "the file needs a password; save a copy without one") from None
        raise Unreadable("damaged", f"not readable as PDF: {error}") from None
    texts, failed = [], 0
    try:
        for index in range(len(document)):
            try:
                page = document[index]
                textpage = page.get_textpage()
                texts.append(textpage.get_text_bounded() or "")
                textpage.close()
                page.close()
            except pdfium.PdfiumError:
                texts.append("")
                failed += 1
        information = document.get_metadata_dict()
    finally:
        document.close()
    if not texts:
        raise Unreadable("damaged", "the file has no pages")
    if failed == len(texts):
        raise Unreadable("damaged", "no page can be read")
    return texts, information, failed


def tidy(page: str) -> str:
    """Line ends, soft hyphens and hyphenated line ends of one page repaired."""
    page = page.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    # pdfium marks the hyphen at a line end as U+FFFE (older builds U+0002): the word goes on.
    page = re.sub("[\ufffe\x02]\n?", "", page)
    page = re.sub(r"(?<=[^\W\d_])(?:\u00ad|-)\n(?=[a-zà-ÿ])", _join, page)
    page = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]", "", page)
    return "\n".join(line.rstrip() for line in page.split("\n"))


def _join(match: re.Match[str]) -> str:
    """ "agree-\\nment" is one word; "long-\\nterm" keeps its hyphen when the left part stands alone elsewhere."""
    before = re.search(r"[^\W\d_]+$", match.string[: match.start()])
    word = before.group() if before else ""
    compound = word.lower() in COMPOUND
    return "-" if compound and "\u00ad" not in match.group() else ""


def strip_running(pages: list[str]) -> tuple[list[str], int]:
    """Pages without the lines that stand at the edge of most pages (digits may differ); how many lines went."""
    lines = [page.split("\n") for page in pages]
    filled = [index for index, page in enumerate(lines) if any(line.strip() for line in page)]
    if len(filled) < MIN_PAGES:
        return pages, 0
    counts: Counter[tuple[bool, str]] = Counter()
    for index in filled:
        counts.update({(top, _shape(lines[index][at])) for top, at in _edges(lines[index])})
    running = {key for key, count in counts.items() if count >= MOST * len(filled) and key[1]}
    removed = 0
    for index in filled:
        page = lines[index]
        gone = {at for top, at in _edges(page) if (top, _shape(page[at])) in running}
        if len(gone) < len([line for line in page if line.strip()]) or all(_shape(page[at]) == "#" for at in gone):
            removed += len(gone)
            lines[index] = [line for at, line in enumerate(page) if at not in gone]
    return ["\n".join(page) for page in lines], removed


def _edges(page: list[str]) -> list[tuple[bool, int]]:
    """(is at the top, index) of the first and last few filled lines; each line once."""
    filled = [index for index, line in enumerate(page) if line.strip()]
    top = filled[:EDGE]
    return [(True, at) for at in top] + [(False, at) for at in filled[-EDGE:] if at not in top]


def _shape(line: str) -> str:
    """The line without case and spaces, each number as "#"; roman page numbers too."""
    text = re.sub(r"\d+", "#", re.sub(r"\s+", " ", line.strip().lower()))
    return "#" if re.fullmatch(r"[-–—\s]*(?:#|[ivxl]{1,6})[-–—\s]*", text) else text


def _created(information: dict[str, str]) -> str:
    found = re.match(r"D:(\d{4})(\d{2})(\d{2})", information.get("CreationDate", ""))
    return "-".join(found.groups()) if found else ""
