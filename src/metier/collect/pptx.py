"""PowerPoint presentations (.pptx), slide by slide, with the speaker's notes.

Purpose: what a deck says is spread over text boxes, tables, charts, diagrams and the notes that no audience sees; all
of it is kept, slides in the order in which they are shown, notes and comments under a marker, hidden slides marked.
Trade-off: boxes come in the order in which they lie on the slide, which is nearly always the order of reading; the
title comes first. Not covered: pictures, sounds, what only an animation would show, masters (they repeat).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from metier.collect import drawing
from metier.collect.accounts import Account, describes
from metier.collect.docx_lists import write_number
from metier.collect.equations import latex
from metier.collect.package import Cell, Package, child, get, inside, local, opened, rows, spread, words
from metier.collect.reading import Options, Piece, Reading, Unreadable
from metier.registry import register

MEDIA = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
RUNNING = ("sldNum", "dt", "ftr", "hdr")  # placeholders that repeat on every slide
# The first word of an automatic number's type -> how numbers are written.
NUMBERS = {"arabic": "decimal", "alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman",
           "romanUc": "upperRoman", "circleNum": "decimalEnclosedCircle", "ea1": "chineseCounting"}  # fmt: skip


@dataclass
class _Deck:
    package: Package
    relations: dict[str, tuple[str, str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    authors: dict[str, str] = field(default_factory=dict)


@register("reader", "pptx")
@describes(
    "pptx",
    Account(
        title="PowerPoint presentations",
        takes=("pptx", "pptm", "ppsx", "potx"),
        kept=(
            "each slide's title, text boxes, lists and tables, in the order in which slides are shown",
            "charts as tables, labels of diagrams, equations as LaTeX",
        ),
        marked={
            "speaker notes": "after the slide, under `[notes]`",
            "comments": "after the slide, `[comment] author: ...`",
            "hidden slides": "`[hidden slide]` before them",
        },
        counted={
            "slides, hidden_slides, notes, comments, tables, charts, equations": "how many",
            "running_lines_removed": "slide numbers, dates and footers that repeat on slides",
            "pictures, objects": "seen, not read",
            "created": "date of the file",
        },
        refused={
            "empty": "no slide has text",
            "encrypted": "it needs a password",
            "damaged": "not a package, or its XML is broken",
            "too large": "a part would unpack beyond the limits (a zip bomb)",
        },
        lost=("text of masters and layouts, which is not content",),
        libraries=("lxml",),
        extra="documents",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document with all slides. Unreadable: empty, damaged, encrypted, too large."""
    with opened(data, "PowerPoint presentation", options) as package:
        return _presentation(package)


def _presentation(package: Package) -> Reading:
    main = next(iter(package.matching(r"ppt/presentation\d*\.xml")), "")
    if not main:
        raise Unreadable("damaged", "the package has no ppt/presentation.xml")
    deck = _Deck(package)
    for part in package.matching(r"ppt/(commentAuthors|authors)\.xml"):
        deck.authors |= {get(item, "id"): get(item, "name") for item in package.xml(part)}
    targets = package.relations(main)
    parts, title = [], ""
    for item in inside(package.xml(main), "sldId"):
        target = next((targets[value][1] for key, value in item.attrib.items()
                       if key.endswith("}id") and value in targets), "")  # fmt: skip
        if target in package:
            deck.counts["slides"] += 1
            text, heading = _slide(deck, target)
            title = title or heading
            parts.append(text)
    text = "\n\n".join(part for part in parts if part)
    if not text:
        raise Unreadable("empty", f"none of the {len(parts)} slides has text (only pictures?)")
    core = package.core()
    metadata: dict[str, Any] = {key: count for key, count in sorted(deck.counts.items()) if count}
    if core.get("created"):
        metadata["created"] = core["created"]
    unread = {"pictures": r"ppt/media/[^/]+", "objects": r"ppt/embeddings/[^/]+"}
    metadata |= {key: count for key, pattern in unread.items() if (count := len(package.matching(pattern)))}
    named = core.get("title", "")
    return Reading([Piece(text, title=named if named != "PowerPoint Presentation" and named else title,
                          media_type=MEDIA, metadata=metadata)])  # fmt: skip


def _slide(deck: _Deck, name: str) -> tuple[str, str]:
    """(text of one slide with what hangs on it, its title)."""
    root = deck.package.xml(name)
    relations = deck.relations = deck.package.relations(name)
    shapes: list[tuple[bool, str]] = []
    tree = next(inside(root, "spTree"), None)
    if tree is not None:
        _shapes(tree, deck, shapes)
    shapes.sort(key=lambda shape: not shape[0])  # stable: the title first
    parts = [text for _, text in shapes if text]
    title = next((text for is_title, text in shapes if is_title and text), "")
    for kind, target in relations.values():
        if target not in deck.package:
            continue
        if kind == "notesSlide" and (text := _notes(deck, target)):
            deck.counts["notes"] += 1
            parts.append(f"[notes]\n{text}")
        elif kind == "comments":
            parts += _comments(deck, target)
    if get(root, "show") in ("0", "false") and parts:
        deck.counts["hidden_slides"] += 1
        parts.insert(0, "[hidden slide]")
    return "\n\n".join(parts), " ".join(title.split())


def _shapes(parent: Any, deck: _Deck, shapes: list[tuple[bool, str]]) -> None:
    """(is a title, text) of each shape, groups opened."""
    for item in parent:
        tag = local(item)
        if tag == "sp":
            holder = next(inside(item, "ph"), None)
            kind = get(holder, "type") if holder is not None else ""
            text = _body(child(item, "txBody"), deck)
            if kind in RUNNING:
                deck.counts["running_lines_removed"] += bool(text)
            else:
                shapes.append((kind in ("title", "ctrTitle"), text))
        elif tag == "graphicFrame":
            for table in inside(item, "tbl"):
                deck.counts["tables"] += 1
                grid = [_row(row, deck) for row in table if local(row) == "tr"]
                shapes.append((False, rows(spread(grid))))
            found = drawing.related(deck.package, deck.relations, item)
            deck.counts["charts"] += len(found)
            shapes += [(False, text) for text in found]
        elif tag not in ("Fallback", "nvGrpSpPr", "grpSpPr", "pic", "extLst"):
            _shapes(item, deck, shapes)


def _row(row: Any, deck: _Deck) -> list[Cell]:
    """Cells of a row; those that a neighbour on the left covers are part of it."""
    cells = []
    for item in row:
        if local(item) == "tc" and get(item, "hMerge") not in ("1", "true"):
            span = get(item, "gridSpan")
            cells.append(Cell(_body(child(item, "txBody"), deck), int(span) if span.isdigit() else 1,
                              get(item, "vMerge") in ("1", "true")))  # fmt: skip
    return cells


def _body(body: Any, deck: _Deck) -> str:
    """Paragraphs of a text box, numbers and bullets as the slide shows them where it says so itself."""
    if body is None:
        return ""
    lines: list[str] = []
    numbers: dict[int, tuple[str, int]] = {}
    for paragraph in body:
        if local(paragraph) != "p":
            continue
        text = _line(paragraph, deck).strip()
        properties = child(paragraph, "pPr")
        depth = int(get(properties, "lvl") or 0) if properties is not None else 0
        automatic = child(properties, "buAutoNum") if properties is not None else None
        numbers = {level: value for level, value in numbers.items() if level <= depth}
        if automatic is None:
            numbers.pop(depth, None)
            bullet = properties is not None and child(properties, "buChar") is not None
            lines.append("  " * depth + "- " + text if text and bullet else text)
        elif text:
            kind, start = get(automatic, "type"), int(get(automatic, "startAt") or 1)
            before, count = numbers.get(depth, (kind, start - 1))
            count = count + 1 if before == kind else start
            numbers[depth] = kind, count
            lines.append(f"{'  ' * depth}{_numbered(count, kind)} {text}")
    return "\n".join(line for line in lines if line)


def _numbered(count: int, kind: str) -> str:
    form = next((form for word, form in NUMBERS.items() if kind.startswith(word)), "decimal")
    text = write_number(count, form)
    if kind.endswith("ParenBoth"):
        return f"({text})"
    return text + (")" if kind.endswith("ParenR") else "" if kind.endswith("Plain") else ".")


def _line(paragraph: Any, deck: _Deck) -> str:
    parts = []
    for item in paragraph:
        tag = local(item)
        if tag in ("r", "fld"):
            parts.append(words(item))
        elif tag == "br":
            parts.append("\n")
        elif tag in ("m", "AlternateContent"):
            for formula in inside(item, "oMath"):
                deck.counts["equations"] += 1
                parts.append(f"${latex(formula).strip()}$")
    return "".join(parts).replace("\v", "\n").replace("_x000D_", "")


def _notes(deck: _Deck, name: str) -> str:
    """What the speaker wrote: the body of the notes page, not its picture of the slide and its page number."""
    texts = []
    for shape in inside(deck.package.xml(name), "sp"):
        holder = next(inside(shape, "ph"), None)
        if holder is None or get(holder, "type") not in (*RUNNING, "sldImg"):
            texts.append(_body(child(shape, "txBody"), deck))
    return "\n".join(text for text in texts if text)


def _comments(deck: _Deck, name: str) -> list[str]:
    """Comments of a slide in the old form (`text`) and the new one (`txBody`), replies too."""
    found = []
    for item in deck.package.xml(name).iter():
        if local(item) not in ("cm", "reply"):
            continue
        body = child(item, "txBody")
        old = child(item, "text")
        text = _body(body, deck) if body is not None else (old.text or "") if old is not None else ""
        if text.strip():
            who = deck.authors.get(get(item, "authorId"), "")
            found.append(f"[comment] {who + ': ' if who else ''}{text.strip()}")
    deck.counts["comments"] += len(found)
    return found
