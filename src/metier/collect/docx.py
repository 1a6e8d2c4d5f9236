"""Word documents (.docx), walked by ourselves, because what libraries drop without a word matters here.

Purpose: python-docx loses tracked changes, and common converters drop deletions, notes, headers and comments. This walk
keeps paragraphs and tables in order with the numbers that Word draws before them, insertions as text, deletions marked
`[deleted: ...]`, hidden text marked `[hidden: ...]`, equations as LaTeX, charts as tables, and puts headers, footers,
notes and comments at the end under a marker; the counts are in metadata. Bounds are those of `package`.
Not covered: text inside pictures, embedded objects, the old .doc format (`office97`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from metier.collect import docx_lists, drawing
from metier.collect.accounts import Account, describes
from metier.collect.docx_lists import Lists
from metier.collect.equations import latex
from metier.collect.package import Cell, Package, child, get, inside, local, opened, spread, words
from metier.collect.reading import Options, Piece, Reading, Refusal, Unreadable
from metier.registry import register

MAX_DEPTH = 3  # documents inside documents
MEDIA = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
TITLES, HEADINGS = ("title", "标题"), ("heading1", "1", "标题1")
# What the ticks, boxes and arrows of forms are called in the font Wingdings.
SYMBOLS = {0x6F: "□", 0x70: "□", 0x71: "❑", 0x72: "❒", 0x78: "☒", 0xA7: "▪", 0xA8: "☐", 0xD8: "➢", 0xE0: "→",
           0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑"}  # fmt: skip
_BREAKS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_SILENT = frozenset(["pPr", "rPr", "Fallback", "sdtPr", "instrText", "delInstrText", "posOffset", "align", "pctWidth",
                     "pctHeight", "sizeRelH", "sizeRelV", "fldData", "ffData"])  # fmt: skip
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
        kept=(
            "paragraphs, lists and tables in order, with the numbers that Word draws before clauses",
            "text boxes, content controls, equations as LaTeX, charts as tables, labels of diagrams",
            "documents embedded as text (HTML, RTF), read by their own readers",
            "the title",
        ),
        marked={
            "tracked deletions": "`[deleted: ...]`, moved text `[moved away: ...]`",
            "tracked insertions": "as text, counted",
            "hidden text": "`[hidden: ...]`",
            "watermarks": "`[watermark: ...]`",
            "headers, footers, notes, comments": "at the end, under `[header]`, `[footer]`, `[footnote]`, "
            "`[endnote]`, `[comment]`",
        },
        counted={
            "insertions, deletions, hidden_runs, tables, equations, charts, watermarks": "how many",
            "embedded_documents": "documents inside this one that were read",
            "unknown_symbols": "characters of symbol fonts that have no Unicode character, left out",
            "headers, footers, footnotes, endnotes, comments": "parts that hold some",
            "pictures, objects": "seen, not read",
            "created": "date of the file",
        },
        refused={
            "empty": "no text in it",
            "encrypted": "it needs a password",
            "damaged": "not a package, or its XML is broken",
            "too large": "a part would unpack beyond the limits (a zip bomb)",
        },
        lost=("text in pictures", "embedded objects, which are counted", "macros"),
        libraries=("lxml",),
        extra="documents",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document. Unreadable: empty, damaged, encrypted, too large (zip bomb)."""
    with opened(data, "DOCX", options) as package:
        return _document(package, options)


@dataclass
class _Walk:
    """What is known while one document is walked."""

    package: Package
    options: Options
    lists: Lists
    hidden: frozenset[str]
    """Styles whose text is hidden."""
    counts: Counter[str] = field(default_factory=Counter)
    relations: dict[str, tuple[str, str]] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)


def _document(package: Package, options: Options) -> Reading:
    main = next(iter(package.matching(r"word/document\d*\.xml")), "")
    if not main:
        raise Unreadable("damaged", "the package has no word/document.xml")
    walk = _Walk(package, options, docx_lists.load(package), _hidden_styles(package))
    root = package.xml(main)
    title = _first_title(root)
    parts = [_part(walk, main, root)]
    for prefix, marker in EXTRAS:
        seen = set()
        for name in package.matching(rf"word/{prefix}\d*\.xml"):
            text = _part(walk, name, package.xml(name))
            if text and text not in seen:
                seen.add(text)
                walk.counts[f"{marker}s"] += 1
                parts.append(f"[{marker}]\n{text}")
    text = "\n\n".join(part for part in parts if part)
    pictures = len(package.matching(r"word/media/[^/]+"))
    if not text:
        raise Unreadable("empty", "the document has no text" + (" (only pictures?)" if pictures else ""))
    core = package.core()
    metadata: dict[str, Any] = dict(sorted((key, value) for key, value in walk.counts.items() if value))
    if core.get("created"):
        metadata["created"] = core["created"]
    unread = {"pictures": pictures, "objects": len(package.matching(r"word/embeddings/[^/]+"))}
    metadata |= {what: count for what, count in unread.items() if count}  # seen, but their text was not read
    piece = Piece(text=text, title=core.get("title", "") or title, media_type=MEDIA, metadata=metadata)
    return Reading([piece], walk.refused)


def _part(walk: _Walk, name: str, root: Any) -> str:
    walk.relations = walk.package.relations(name)
    blocks = _blocks(root, walk)
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(block for block in blocks if block.strip())).strip("\n \t")


def _blocks(parent: Any, walk: _Walk) -> list[str]:
    """Paragraphs and tables below `parent`, in order; wrappers (content controls, notes) are walked through."""
    blocks: list[str] = []
    for item in parent:
        tag = local(item)
        if tag == "p":
            blocks.extend(_paragraph(item, walk))
        elif tag == "tbl":
            blocks.append(_table(item, walk))
            walk.counts["tables"] += 1
        elif tag in ("oMathPara", "oMath"):
            blocks.append(_equation(item, walk))
        elif tag in ("footnote", "endnote") and get(item, "type") in ("separator", "continuationSeparator"):
            continue
        elif tag == "comment":
            who = get(item, "author")
            blocks.append((f"{who}: " if who else "") + "\n".join(_blocks(item, walk)))
        elif tag == "altChunk":
            blocks.append(_chunk(item, walk))
        elif tag not in ("sectPr", "sdtPr", "sdtEndPr", "tblPr", "tcPr", "pPr", "Fallback"):
            blocks.extend(_blocks(item, walk))
    return blocks


def _chunk(element: Any, walk: _Walk) -> str:
    """Another document that stands inside this one as it came (HTML, RTF, text, Word)."""
    from metier.collect import readers

    target = walk.relations.get(get(element, "id"), ("", ""))[1]
    if target not in walk.package or walk.options.depth >= MAX_DEPTH:
        walk.refused.append(Refusal(f"!{target}", "damaged", f"the embedded document {target or '?'} is not there"))
        return ""
    try:
        inner = replace(walk.options, depth=walk.options.depth + 1, columns={}, reader="")
        found = readers.read(walk.package.read(target), target, inner)
    except Unreadable as error:
        walk.refused.append(Refusal(f"!{target}", error.reason, error.detail))
        return ""
    walk.counts["embedded_documents"] += 1
    walk.refused += [Refusal(f"!{target}{item.part}", item.reason, item.detail) for item in found.refused]
    return "\n\n".join(piece.text for piece in found.pieces)


def _table(table: Any, walk: _Walk) -> str:
    grid, marks = [], []
    for row in _own(table, "tr", "tbl"):
        properties = [item for props in row if local(props) == "trPr" for item in props]
        skipped = next((get(item, "val") for item in properties if local(item) == "gridBefore"), "")
        cells = [Cell("", int(skipped))] if skipped.isdigit() else []
        grid.append(cells + [_cell(cell, walk) for cell in _own(row, "tc", "tr")])
        marks.append({local(item) for item in properties})
    lines = []
    for texts, mark in zip(spread(grid), marks, strict=True):
        line = "\t".join(texts).rstrip()
        if "del" in mark:
            walk.counts["deletions"] += 1
            line = f"[deleted: {line}]"
        elif "ins" in mark:
            walk.counts["insertions"] += 1
        lines.append(line)
    return "\n".join(line for line in lines if line.strip())


def _cell(cell: Any, walk: _Walk) -> Cell:
    text = " ".join(block for block in _blocks(cell, walk) if block.strip())
    text = re.sub(r"\s+", " ", text).strip()
    said = {local(item): item for props in cell if local(props) == "tcPr" for item in props}
    if "cellDel" in said and text:
        walk.counts["deletions"] += 1
        text = f"[deleted: {text}]"
    columns = get(said["gridSpan"], "val") if "gridSpan" in said else "1"
    below = "vMerge" in said and get(said["vMerge"], "val") != "restart" and not text
    return Cell(text, int(columns) if columns.isdigit() else 1, below)


def _own(parent: Any, name: str, owner: str) -> Iterator[Any]:
    """Rows of a table or cells of a row, through wrappers, but not those of a table inside."""
    for item in parent:
        tag = local(item)
        if tag == name:
            yield item
        elif tag not in ("tbl", "p", f"{owner}Pr", "tblGrid"):
            yield from _own(item, name, owner)


def _paragraph(paragraph: Any, walk: _Walk) -> list[str]:
    """The paragraph's text, then the text boxes and charts that are anchored in it."""
    runs: list[str] = []
    boxes: list[str] = []
    label = walk.lists.label(paragraph) if child(paragraph, "pPr") is not None or walk.lists.styles else ""
    _inline(paragraph, runs, boxes, walk)
    text = "".join(runs).strip(" \n")
    properties = child(paragraph, "pPr")
    if text and properties is not None and _hides(properties, walk, "pStyle") and not text.startswith("[hidden: "):
        walk.counts["hidden_runs"] += 1
        text = f"[hidden: {text}]"
    return [label + text, *boxes] if text else boxes


def _inline(parent: Any, runs: list[str], boxes: list[str], walk: _Walk) -> None:
    for item in parent:
        tag = local(item)
        if tag in ("t", "delText"):
            runs.append(item.text or "")
        elif tag == "r" and _hidden(item, walk):
            _marked(item, "hidden", "hidden_runs", runs, boxes, walk)
        elif tag in _BREAKS:
            runs.append(_BREAKS[tag])
        elif tag in ("del", "moveFrom"):
            _marked(item, "deleted" if tag == "del" else "moved away", "deletions", runs, boxes, walk)
        elif tag in ("ins", "moveTo"):
            walk.counts["insertions"] += bool(len(item))
            _inline(item, runs, boxes, walk)
        elif tag in ("oMath", "oMathPara"):
            runs.append(_equation(item, walk))
        elif tag == "sym":
            runs.append(_symbol(item, walk))
        elif tag == "ruby":
            runs.append(_ruby(item))
        elif tag == "txbxContent":
            boxes.extend(_blocks(item, walk))
        elif tag in ("chart", "relIds"):
            found = drawing.related(walk.package, walk.relations, item)
            walk.counts["charts"] += len(found)
            boxes.extend(found)
        elif tag == "textpath" and (text := get(item, "string")):
            walk.counts["watermarks"] += 1
            boxes.append(f"[watermark: {text}]")
        elif tag not in _SILENT:
            _inline(item, runs, boxes, walk)


def _marked(element: Any, word: str, counter: str, runs: list[str], boxes: list[str], walk: _Walk) -> None:
    inner: list[str] = []
    counts, walk.counts = walk.counts, Counter()  # what stands inside is counted as deleted or hidden only
    _inline(element, inner, boxes, walk)
    walk.counts = counts
    text = "".join(inner)
    if text.strip():
        counts[counter] += 1
        runs.append(f"[{word}: {text}]")
    else:
        runs.append(text)


def _equation(element: Any, walk: _Walk) -> str:
    text = latex(element).strip()
    walk.counts["equations"] += bool(text)
    return f"${text}$" if text else ""


def _symbol(element: Any, walk: _Walk) -> str:
    """A character of a symbol font: a tick or a box as Unicode; others are counted."""
    try:
        code = int(get(element, "char"), 16)
    except ValueError:
        code = 0
    if 0xF000 <= code <= 0xF0FF:
        if code & 0xFF in SYMBOLS and "wingdings" in get(element, "font").lower():
            return SYMBOLS[code & 0xFF]
        walk.counts["unknown_symbols"] += 1
        return ""
    return chr(code) if code >= 32 else ""


def _ruby(element: Any) -> str:
    """The word, then how it is read, in brackets."""
    base, above = child(element, "rubyBase"), child(element, "rt")
    text = words(base) if base is not None else ""
    return text + (f"({words(above)})" if above is not None and words(above) else "")


def _hidden(run: Any, walk: _Walk) -> bool:
    properties = child(run, "rPr")
    return properties is not None and _hides(properties, walk, "rStyle")


def _hides(properties: Any, walk: _Walk, style: str) -> bool:
    """Whether properties say that text is hidden, themselves or by their style."""
    own = child(properties, "vanish") if style == "rStyle" else None
    if own is not None:
        return get(own, "val") not in ("0", "false", "off")
    named = child(properties, style) if walk.hidden else None
    return named is not None and get(named, "val") in walk.hidden


def _hidden_styles(package: Package) -> frozenset[str]:
    if "word/styles.xml" not in package:
        return frozenset()
    found = set()
    for style in package.xml("word/styles.xml"):
        properties = child(style, "rPr") if local(style) == "style" else None
        mark = child(properties, "vanish") if properties is not None else None
        if mark is not None and get(mark, "val") not in ("0", "false", "off"):
            found.add(get(style, "styleId"))
    return frozenset(found)


def _first_title(root: Any) -> str:
    """The first paragraph in the style Title, else in the first heading style."""
    best = ""
    for style in inside(root, "pStyle"):
        name = get(style, "val").lower()
        if name in TITLES or (name in HEADINGS and not best):
            paragraph = style.getparent().getparent()
            text = "".join(item.text or "" for item in inside(paragraph, "t")).strip()
            if text and name in TITLES:
                return text
            best = best or text
    return best
