"""Word documents (.docx), walked by ourselves, because what libraries drop without a word matters here.

Purpose: python-docx loses tracked changes, and common converters drop deletions, notes, headers and comments. This walk
keeps paragraphs and tables in order, insertions as text, deletions marked `[deleted: ...]`, hidden text marked
`[hidden: ...]`, and puts headers, footers, notes and comments at the end under a marker; the counts are in metadata.
Safe by limits: no entities, no network, unpacked size bounded (a zip bomb is refused).
Not covered: text inside pictures, embedded objects, numbering of lists (items begin with "- "), the old .doc format.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections import Counter
from typing import Any

from metier.collect.accounts import Account, describes
from metier.collect.reading import Options, Piece, Reading, Unreadable
from metier.errors import need
from metier.registry import register

MAX_PART = 200_000_000  # unpacked bytes of one XML part; a 1,000-page contract has about 10 MB
MAX_RATIO = 200  # unpacked / packed; real parts stay below about 60, a bomb has 1,000
MEDIA = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
# part name -> marker under which its text goes to the end
EXTRAS = (
    ("header", "header"),
    ("footer", "footer"),
    ("footnotes", "footnote"),
    ("endnotes", "endnote"),
    ("comments", "comment"),
)


@register("reader", "docx")
@describes(
    "docx",
    Account(
        title="Word documents",
        takes=("docx", "docm"),
        kept=("paragraphs, lists and tables in order", "text boxes", "the title"),
        marked={
            "tracked deletions": "`[deleted: ...]`, moved text `[moved away: ...]`",
            "tracked insertions": "as text, counted",
            "hidden text": "`[hidden: ...]`",
            "headers, footers, notes, comments": "at the end, under `[header]`, `[footer]`, `[footnote]`, "
            "`[endnote]`, `[comment]`",
        },
        counted={
            "insertions, deletions, hidden_runs, tables": "how many",
            "headers, footers, footnotes, endnotes, comments": "parts that hold some",
            "pictures, charts, diagrams, objects": "seen, not read",
            "created": "date of the file",
        },
        refused={
            "empty": "no text in it",
            "encrypted": "it needs a password",
            "damaged": "not a package, or its XML is broken",
            "too large": "a part would unpack beyond the limits (a zip bomb)",
        },
        lost=("numbers of list items",),
        libraries=("lxml",),
        extra="documents",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document. Unreadable: empty, damaged, encrypted, too large (zip bomb)."""
    if not data:
        raise Unreadable("empty", "the file has 0 bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _document(archive, min(options.max_bytes, MAX_PART))
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError) as error:
        raise Unreadable("damaged", f"not readable as DOCX: {error}") from None
    except RuntimeError as error:  # zipfile's word for a password
        raise Unreadable("encrypted", f"the file needs a password: {error}") from None


def _document(archive: zipfile.ZipFile, limit: int) -> Reading:
    names = archive.namelist()
    main = next((name for name in names if re.fullmatch(r"word/document\d*\.xml", name)), "")
    if not main:
        raise Unreadable("damaged", "the package has no word/document.xml")
    counts: Counter[str] = Counter()
    body = _text(_xml(archive, main, limit), counts)
    extras = []
    for prefix, marker in EXTRAS:
        seen = set()
        for name in sorted(name for name in names if re.fullmatch(rf"word/{prefix}\d*\.xml", name)):
            text = _text(_xml(archive, name, limit), counts)
            if text and text not in seen:
                seen.add(text)
                counts[f"{marker}s"] += 1
                extras.append(f"[{marker}]\n{text}")
    text = "\n\n".join(part for part in (body, *extras) if part)
    if not text:
        raise Unreadable("empty", "the document has no text" + (" (only pictures?)" if _inside(names, "media") else ""))
    core = _core(archive, limit) if "docProps/core.xml" in names else {}
    metadata: dict[str, Any] = dict(sorted(counts.items()))
    if core.get("created"):
        metadata["created"] = core["created"]
    for folder, what in (
        ("media", "pictures"),
        ("charts", "charts"),
        ("diagrams", "diagrams"),
        ("embeddings", "objects"),
    ):
        if count := _inside(names, folder):
            metadata[what] = count  # seen, but their text was not read
    title = core.get("title", "") or _first_title(archive, main, limit)
    reading = Reading([Piece(text=text, title=title, media_type=MEDIA, metadata=metadata)])
    return reading


def _inside(names: list[str], folder: str) -> int:
    kept = {"charts": r"chart\d*\.xml", "diagrams": r"data\d*\.xml"}.get(folder, r"[^/]+")
    return sum(bool(re.fullmatch(rf"word/{folder}/{kept}", name)) for name in names)


def _xml(archive: zipfile.ZipFile, name: str, limit: int) -> Any:
    """The root of one part; its size is checked before and while it is unpacked."""
    etree = need("lxml.etree", "documents")
    entry = archive.getinfo(name)
    if entry.file_size > limit or (
        entry.file_size > 1_000_000 and entry.file_size > MAX_RATIO * max(entry.compress_size, 1)
    ):
        raise Unreadable("too large", f"{name} would unpack to {entry.file_size:,} bytes (a zip bomb?)")
    with archive.open(entry) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise Unreadable("too large", f"{name} unpacks to more than {limit:,} bytes (a zip bomb?)")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, recover=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise Unreadable("damaged", f"{name} is not valid XML: {error}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise Unreadable("damaged", f"{name} declares a DTD, which no Word document does")
    return root


def _local(element: Any) -> str:
    return element.tag.rsplit("}", 1)[-1] if isinstance(element.tag, str) else ""


def _get(element: Any, name: str) -> str:
    """An attribute whatever its namespace (transitional and strict OOXML differ there)."""
    return next((value for key, value in element.attrib.items() if key.rsplit("}", 1)[-1] == name), "")


def _text(root: Any, counts: Counter[str]) -> str:
    blocks = _blocks(root, counts)
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(block for block in blocks if block.strip())).strip()


def _blocks(parent: Any, counts: Counter[str]) -> list[str]:
    """Paragraphs and tables below `parent`, in order; wrappers (content controls, notes) are walked through."""
    blocks: list[str] = []
    for child in parent:
        tag = _local(child)
        if tag == "p":
            blocks.extend(_paragraph(child, counts))
        elif tag == "tbl":
            blocks.append(_table(child, counts))
            counts["tables"] += 1
        elif tag in ("footnote", "endnote") and _get(child, "type") in ("separator", "continuationSeparator"):
            continue
        elif tag == "comment":
            who = _get(child, "author")
            blocks.append((f"{who}: " if who else "") + "\n".join(_blocks(child, counts)))
        elif tag not in ("sectPr", "sdtPr", "sdtEndPr", "tblPr", "tcPr", "pPr", "Fallback"):
            blocks.extend(_blocks(child, counts))
    return blocks


def _table(table: Any, counts: Counter[str]) -> str:
    rows = []
    for row in table.iter():
        if _local(row) != "tr" or next(a for a in row.iterancestors() if _local(a) == "tbl") is not table:
            continue
        cells = []
        for cell in row.iter():
            if _local(cell) == "tc" and next(a for a in cell.iterancestors() if _local(a) == "tr") is row:
                inner = " ".join(block for block in _blocks(cell, counts) if block.strip())
                cells.append(re.sub(r"\s+", " ", inner).strip())
        line = "\t".join(cells).rstrip()
        marks = [e for props in row if _local(props) == "trPr" for e in props if _local(e) in ("ins", "del")]
        if any(_local(mark) == "del" for mark in marks):
            counts["deletions"] += 1
            line = f"[deleted: {line}]"
        elif marks:
            counts["insertions"] += 1
        rows.append(line)
    return "\n".join(row for row in rows if row)


def _paragraph(paragraph: Any, counts: Counter[str]) -> list[str]:
    """The paragraph's text, then the text boxes that are anchored in it."""
    runs: list[str] = []
    boxes: list[str] = []
    _inline(paragraph, runs, boxes, counts)
    text = "".join(runs).strip(" \n")
    properties = next((child for child in paragraph if _local(child) == "pPr"), None)
    if text and properties is not None and any(_local(child) == "numPr" for child in properties):
        text = f"- {text}"
    return [text, *boxes] if text else boxes


def _inline(parent: Any, runs: list[str], boxes: list[str], counts: Counter[str]) -> None:
    for child in parent:
        tag = _local(child)
        if tag in ("t", "instrText") and tag == "t":
            runs.append(child.text or "")
        elif tag in ("tab", "ptab"):
            runs.append("\t")
        elif tag in ("br", "cr"):
            runs.append("\n")
        elif tag == "noBreakHyphen":
            runs.append("-")
        elif tag in ("del", "moveFrom"):
            _marked(child, "deleted" if tag == "del" else "moved away", "deletions", runs, boxes, counts)
        elif tag in ("ins", "moveTo"):
            counts["insertions"] += bool(len(child))
            _inline(child, runs, boxes, counts)
        elif tag == "delText":
            runs.append(child.text or "")
        elif tag == "r" and _hidden(child):
            _marked(child, "hidden", "hidden_runs", runs, boxes, counts)
        elif tag == "txbxContent":
            boxes.extend(_blocks(child, counts))
        elif tag in ("pPr", "rPr", "Fallback", "sdtPr", "instrText", "posOffset", "align", "pctWidth", "pctHeight"):
            continue
        else:
            _inline(child, runs, boxes, counts)


def _marked(element: Any, word: str, counter: str, runs: list[str], boxes: list[str], counts: Counter[str]) -> None:
    inner: list[str] = []
    _inline(element, inner, boxes, Counter())
    text = "".join(inner)
    if text.strip():
        counts[counter] += 1
        runs.append(f"[{word}: {text}]")
    else:
        runs.append(text)


def _hidden(run: Any) -> bool:
    for properties in run:
        if _local(properties) == "rPr":
            return any(
                _local(child) == "vanish" and _get(child, "val") not in ("0", "false", "off") for child in properties
            )
    return False


def _core(archive: zipfile.ZipFile, limit: int) -> dict[str, str]:
    return {_local(child): (child.text or "").strip() for child in _xml(archive, "docProps/core.xml", limit)}


def _first_title(archive: zipfile.ZipFile, main: str, limit: int) -> str:
    """The first paragraph in the style Title, else in the first heading style."""
    best = ""
    for paragraph in _xml(archive, main, limit).iter():
        if _local(paragraph) != "p":
            continue
        style = next((_get(e, "val") for e in paragraph.iter() if _local(e) == "pStyle"), "").lower()
        if style in ("title", "heading1", "1", "标题", "标题1"):
            text = "".join(_paragraph(paragraph, Counter())).strip()
            if text and style in ("title", "标题"):
                return text
            best = best or text
    return best
