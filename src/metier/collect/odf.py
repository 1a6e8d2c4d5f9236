"""OpenDocument: texts (.odt), workbooks (.ods) and presentations (.odp).

Purpose: paragraphs, lists and tables in order, tracked insertions as text and deletions marked, notes and comments
under a marker, hidden text, sheets and slides marked; in a workbook each cell's text is the one that was shown.
Trade-off: one walk for the three, since they share their elements; repeated cells are written at most as often as the
content needs. Not covered: pictures, embedded objects other than charts, formulas' sources.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from metier.collect.accounts import Account, describes
from metier.collect.docx_lists import write_number
from metier.collect.package import Package, child, get, inside, local, opened
from metier.collect.reading import Options, Piece, Reading, Unreadable
from metier.registry import register

MAX_REPEAT = 1000  # a cell or row that is repeated more often is filling, not content
MAX_TEXT = 200_000_000  # characters, as in a workbook of the other kind
FORMATS = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman",
           "一, 二, 三, ...": "chineseCounting", "①, ②, ③, ...": "decimalEnclosedCircle"}  # fmt: skip
MEDIA = "application/vnd.oasis.opendocument."


@dataclass
class _Walk:
    package: Package
    lists: dict[str, dict[int, tuple[str, str, str]]] = field(default_factory=dict)
    """List style -> level -> (prefix, format, suffix); the format of a bullet is ""."""
    hidden: frozenset[str] = frozenset()
    """Styles of hidden sheets and slides."""
    deleted: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    extras: list[str] = field(default_factory=list)
    characters: int = 0


@register("reader", "odf")
@describes(
    "odf",
    Account(
        title="OpenDocument texts, workbooks and presentations",
        takes=("odt", "ods", "odp", "ott", "ots", "otp"),
        kept=(
            "paragraphs, headings, numbered lists and tables in order; text boxes",
            "each sheet under `# its name`, cells as they were shown",
            "each slide in order",
        ),
        marked={
            "tracked deletions": "`[deleted: ...]`",
            "tracked insertions": "as text, counted",
            "hidden text": "`[hidden: ...]`",
            "hidden sheets and slides": "`# name [hidden sheet]`, `[hidden slide]`",
            "speaker notes": "after the slide, under `[notes]`",
            "headers, footers, notes, comments": "at the end, under `[header]`, `[footer]`, `[footnote]`, "
            "`[endnote]`, `[comment]`",
        },
        counted={
            "insertions, deletions, hidden_runs, tables, sheets, slides": "how many",
            "hidden_sheets, hidden_slides, headers, footers, footnotes, endnotes, comments, notes": "how many",
            "hidden_rows": "rows that are hidden; their content is in the text",
            "repeats_cut": "cells or rows repeated more than 1,000 times, written once",
            "pictures, objects": "seen, not read",
            "created": "date of the file",
        },
        refused={
            "empty": "no text in it",
            "encrypted": "it needs a password",
            "damaged": "not a package, or its XML is broken",
            "too large": "a part or the text would be larger than the limits (a zip bomb)",
        },
        lost=("pictures", "formulas of cells, whose results are read"),
        libraries=("lxml",),
        extra="documents",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document. Unreadable: empty, damaged, encrypted, too large."""
    with opened(data, "OpenDocument file", options) as package:
        return _document(package)


def _document(package: Package) -> Reading:
    if "content.xml" not in package:
        raise Unreadable("damaged", "the package has no content.xml")
    if "META-INF/manifest.xml" in package and b"encryption-data" in package.read("META-INF/manifest.xml"):
        raise Unreadable("encrypted", "the file needs a password; save a copy without one")
    root = package.xml("content.xml")
    styles = package.xml("styles.xml") if "styles.xml" in package else None
    walk = _Walk(package)
    for part in (styles, root):
        if part is not None:
            _styles(part, walk)
    body = next(inside(root, "body"), None)
    content = next((item for item in body if isinstance(item.tag, str)), None) if body is not None else None
    kind = local(content) if content is not None else ""
    if content is None or kind not in ("text", "spreadsheet", "presentation", "drawing"):
        raise Unreadable("damaged", f"content.xml holds no text, workbook or presentation ({kind or 'nothing'})")
    for change in inside(content, "changed-region"):
        gone = child(change, "deletion")
        if gone is not None:
            walk.deleted[get(change, "id")] = "\n".join(_blocks(gone, walk))
        walk.counts["insertions"] += child(change, "insertion") is not None
    text = "\n\n".join(_blocks(content, walk))
    if styles is not None:
        _headers(styles, walk)
    text = "\n\n".join(part for part in (text, *walk.extras) if part.strip())
    if not text:
        raise Unreadable("empty", "the document has no text (only pictures?)")
    meta = {local(item): (item.text or "").strip() for item in package.xml("meta.xml").iter()
            } if "meta.xml" in package else {}  # fmt: skip
    metadata: dict[str, Any] = {key: count for key, count in sorted(walk.counts.items()) if count}
    if created := meta.get("creation-date"):
        metadata["created"] = created
    unread = {"pictures": r"Pictures/[^/]+", "objects": r"Object [^/]+/content\.xml"}
    metadata |= {key: count for key, pattern in unread.items() if (count := len(package.matching(pattern)))}
    heading = next((line for line in text.split("\n") if line.strip()), "") if kind == "presentation" else ""
    title = meta.get("title", "") or next((_inline(item, _Walk(package)) for item in inside(content, "h")), heading)
    return Reading([Piece(text, title=title.strip(), media_type=MEDIA + kind, metadata=metadata)])


def _styles(root: Any, walk: _Walk) -> None:
    hidden = set(walk.hidden)
    for style in inside(root, "list-style"):
        levels = {}
        for level in style:
            depth = get(level, "level")
            if depth.isdigit():
                form = get(level, "num-format") if local(level) == "list-level-style-number" else ""
                levels[int(depth)] = get(level, "num-prefix"), form, get(level, "num-suffix")
        walk.lists[get(style, "name")] = levels
    for style in inside(root, "style"):
        for properties in style:
            if (
                (local(properties) == "table-properties" and get(properties, "display") == "false")
                or (local(properties) == "drawing-page-properties" and get(properties, "visibility") == "hidden")
                or (local(properties) == "text-properties" and get(properties, "display") == "none")
            ):
                hidden.add(get(style, "name"))
    walk.hidden = frozenset(hidden)


def _blocks(parent: Any, walk: _Walk) -> list[str]:
    """Paragraphs, lists, tables, sheets and slides below `parent`, in order."""
    blocks: list[str] = []
    for item in parent:
        tag = local(item)
        if tag in ("p", "h"):
            blocks.append(_inline(item, walk))
        elif tag in _BLOCKS:
            blocks.append(_BLOCKS[tag](item, walk))
        elif tag == "change":
            blocks.append(_gone(item, walk))
        elif tag not in _SILENT:
            blocks.extend(_blocks(item, walk))
    return [block for block in blocks if block.strip()]


def _inline(parent: Any, walk: _Walk) -> str:
    """Text of a paragraph; white space as the format means it, boxes after it."""
    parts: list[str] = []
    boxes: list[str] = []
    _runs(parent, parts, boxes, walk)
    return "\n\n".join(part for part in ("".join(parts).strip(" \n"), *boxes) if part.strip())


def _runs(parent: Any, parts: list[str], boxes: list[str], walk: _Walk) -> None:
    parts.append(re.sub(r"[ \t\r\n]+", " ", parent.text or ""))
    for item in parent:
        tag = local(item)
        if tag == "s":
            count = get(item, "c")
            parts.append(" " * min(int(count) if count.isdigit() else 1, 100))
        elif tag == "tab":
            parts.append("\t")
        elif tag == "line-break":
            parts.append("\n")
        elif tag in ("note", "annotation"):
            _note(item, tag, walk)
        elif tag == "change":
            parts.append(_gone(item, walk))
        elif tag in ("frame", "custom-shape", "g", "rect"):
            boxes.extend(_blocks(item, walk))
        elif tag in ("hidden-text", "hidden-paragraph") or (tag == "span" and get(item, "style-name") in walk.hidden):
            text = get(item, "string-value") or _inline(item, walk)
            walk.counts["hidden_runs"] += bool(text)
            parts.append(f"[hidden: {text}]" if text else "")
        elif tag == "ruby":
            above = child(item, "ruby-text")
            base = child(item, "ruby-base")
            parts.append(_inline(base, walk) if base is not None else "")
            parts.append(f"({_inline(above, walk)})" if above is not None else "")
        elif tag and tag not in _SILENT:
            _runs(item, parts, boxes, walk)
        parts.append(re.sub(r"[ \t\r\n]+", " ", item.tail or ""))


def _gone(mark: Any, walk: _Walk) -> str:
    text = walk.deleted.get(get(mark, "change-id"), "")
    walk.counts["deletions"] += bool(text)
    return f"[deleted: {text}]" if text else ""


def _note(item: Any, tag: str, walk: _Walk) -> None:
    if tag == "annotation":
        who = next((words.text or "" for words in item if local(words) == "creator"), "")
        text = "\n".join(_blocks(item, walk))
        marker, text = "comment", f"{who}: {text}" if who else text
    else:
        body = child(item, "note-body")
        marker = "endnote" if get(item, "note-class") == "endnote" else "footnote"
        text = "\n".join(_blocks(body, walk)) if body is not None else ""
    if text.strip():
        walk.counts[f"{marker}s"] += 1
        walk.extras.append(f"[{marker}]\n{text}")


def _list(item: Any, walk: _Walk, depth: int = 1, style: str = "") -> str:
    style = get(item, "style-name") or style
    prefix, form, suffix = walk.lists.get(style, {}).get(depth, ("", "", ""))
    lines: list[str] = []
    start = get(next(iter(item), item), "start-value")
    number = int(start) - 1 if start.isdigit() else 0
    for entry in item:
        if local(entry) not in ("list-item", "list-header"):
            continue
        texts = []
        for part in entry:
            if local(part) == "list":
                texts.append(_list(part, walk, depth + 1, style))
            else:
                texts += ["\n".join(_blocks([part], walk))]
        number += local(entry) == "list-item"
        label = f"{prefix}{write_number(number, FORMATS.get(form, 'decimal'))}{suffix}" if form else "-"
        first = next((local(part) for part in entry), "")
        body = "\n".join(text for text in texts if text.strip())
        headed = local(entry) == "list-item" and first != "list" and body
        lines.append(f"{'  ' * (depth - 1)}{label} {body}" if headed else body)
    return "\n".join(line for line in lines if line.strip())


def _table(table: Any, walk: _Walk) -> str:
    """A table or sheet: a line a row, tabs between cells."""
    cells: list[list[str]] = []
    for row in _within(table, "table-row", ("table",)):
        line: list[str] = []
        for cell in (item for item in row if local(item) in ("table-cell", "covered-table-cell")):
            text = re.sub(r"\s+", " ", " ".join(_blocks(cell, walk))).strip()
            line += [text] * _times(cell, "number-columns-repeated", bool(text), walk)
        while line and not line[-1]:
            line.pop()
        walk.counts["hidden_rows"] += bool(line) and get(row, "visibility") in ("collapse", "filter")
        repeated = _times(row, "number-rows-repeated", bool(line), walk)
        walk.characters += repeated * sum(map(len, line))
        if walk.characters > MAX_TEXT:
            raise Unreadable("too large", f"the cells hold more than {MAX_TEXT:,} characters")
        cells += [line] * repeated
    used = sorted({at for line in cells for at, text in enumerate(line) if text})
    lines = ["\t".join(line[at] if at < len(line) else "" for at in used).rstrip("\t") for line in cells]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
    if local(table.getparent()) != "spreadsheet":
        walk.counts["tables"] += bool(text)
        return text
    walk.counts["sheets"] += 1
    boxes = [block for shapes in table if local(shapes) == "shapes" for block in _blocks(shapes, walk)]
    text = "\n\n".join(part for part in (text, *boxes) if part)
    if not text:
        return ""
    hidden = get(table, "style-name") in walk.hidden
    walk.counts["hidden_sheets"] += hidden
    return f"# {get(table, 'name')}{' [hidden sheet]' if hidden else ''}\n\n{text}"


def _times(element: Any, name: str, filled: bool, walk: _Walk) -> int:
    """How often a cell or row stands there; filling to the edge of the sheet is written once."""
    count = get(element, name)
    times = int(count) if count.isdigit() else 1
    if times > MAX_REPEAT:
        walk.counts["repeats_cut"] += filled
        return 1
    return times


def _within(parent: Any, name: str, closed: tuple[str, ...]) -> list[Any]:
    """Descendants of that name, not looking into elements of the names in `closed`."""
    found: list[Any] = []
    for item in parent:
        if local(item) == name:
            found.append(item)
        elif local(item) not in closed:
            found += _within(item, name, closed)
    return found


def _page(page: Any, walk: _Walk) -> str:
    """One slide: its title, its boxes, its notes."""
    walk.counts["slides"] += 1
    shapes = [item for item in page if local(item) not in ("notes", "forms", "animations", "par")]
    shapes.sort(key=lambda shape: get(shape, "class") != "title")
    parts = [block for shape in shapes for block in _blocks([shape], walk)]
    for notes in (item for item in page if local(item) == "notes"):
        text = "\n".join(_blocks(notes, walk))
        if text:
            walk.counts["notes"] += 1
            parts.append(f"[notes]\n{text}")
    if parts and get(page, "style-name") in walk.hidden:
        walk.counts["hidden_slides"] += 1
        parts.insert(0, "[hidden slide]")
    return "\n\n".join(parts)


def _headers(styles: Any, walk: _Walk) -> None:
    seen = set()
    for item in styles.iter():
        tag = local(item)
        if tag in ("header", "footer", "header-left", "footer-left", "header-first", "footer-first"):
            marker, text = tag[:6], "\n".join(_blocks(item, walk))
            if text and (marker, text) not in seen:
                seen.add((marker, text))
                walk.counts[f"{marker}s"] += 1
                walk.extras.append(f"[{marker}]\n{text}")


_BLOCKS: dict[str, Callable[[Any, _Walk], str]] = {"list": _list, "table": _table, "page": _page}
_SILENT = frozenset(["tracked-changes", "forms", "sequence-decls", "variable-decls", "user-field-decls", "shapes",
                     "creator", "date", "date-string", "tracked", "table-of-content-source", "title", "desc",
                     "notes", "calculation-settings", "named-expressions", "database-ranges", "page-number-decl",
                     "change-info", "binary-data", "event-listeners"])  # fmt: skip
