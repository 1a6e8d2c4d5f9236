"""Excel workbooks (.xlsx), sheet by sheet, as a person sees them.

Purpose: a line a row and tabs between cells under the sheet's name, with dates, percentages and amounts as they are
shown; hidden sheets, comments and headers are marked, charts become tables, formulas without a stored result are
written out. Sheets are streamed, so memory follows the cells that hold something and not the sheet's declared size.
Trade-off: columns and rows without any content are left out, so positions are relative.
Not covered: pictures, pivot caches, macros, workbooks in the binary form .xlsb (`office97`).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from metier.collect import drawing, numberformat
from metier.collect.accounts import Account, describes
from metier.collect.delimited import unique
from metier.collect.package import Package, child, get, inside, local, opened, rows, words
from metier.collect.reading import Options, Piece, Reading, Unreadable
from metier.errors import need
from metier.registry import register

MEDIA = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_TEXT = 200_000_000  # characters; a cell may name one long text a million times
THREADED = re.compile(r"\[Threaded comment\].*?(?:Comment:|注释:|批注:)\s*", re.S)


@dataclass
class _Book:
    """What the sheets share."""

    package: Package
    strings: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    """Number format of each cell style."""
    date1904: bool = False
    people: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    characters: int = 0


@register("reader", "xlsx")
@describes(
    "xlsx",
    Account(
        title="Excel workbooks",
        takes=("xlsx", "xlsm", "xltx"),
        kept=(
            "each sheet under `# its name`, a line a row, tabs between cells",
            "dates, percentages and amounts as their formats show them",
            "charts as tables, text boxes",
        ),
        marked={
            "hidden sheets": "`# name [hidden sheet]`",
            "comments": "after the sheet, `[comment] cell, author: ...`",
            "headers and footers for printing": "after the sheet, under `[header]` and `[footer]`",
            "formulas without a stored result": "`=...` in their cell",
        },
        counted={
            "sheets, hidden_sheets, comments, charts, text_boxes": "how many",
            "hidden_rows, hidden_columns": "rows and columns that are hidden; their content is in the text",
            "rounded_numbers": "numbers of which the format shows fewer decimals than are stored",
            "formulas_without_value": "formulas whose result the file does not hold",
            "pictures": "seen, not read",
            "created": "date of the file",
        },
        refused={
            "empty": "no cell has content",
            "encrypted": "it needs a password",
            "damaged": "not a package, or its XML is broken",
            "too large": "a part or the text would be larger than the limits (a zip bomb)",
        },
        lost=("empty rows and columns", "formulas whose result is stored", "phonetic guides", "macros"),
        libraries=("lxml",),
        extra="documents",
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """One document with all sheets. Unreadable: empty, damaged, encrypted, too large."""
    with opened(data, "Excel workbook", options) as package:
        return _workbook(package)


def records(data: bytes, options: Options) -> tuple[list[str], list[tuple[int, dict[str, str]]], list[str]]:
    """The first sheet that is shown and has content as a table: the names in its first row; for each row below its
    number in the sheet and its cells by these names; and what of the other sheets is not read, in words. A column
    without a name is called by its number, one of a name that stands there already as in a text table (delimited.py).

    Unreadable: as for `read`.
    """
    found: list[tuple[int, dict[int, str]]] = []
    left: list[str] = []
    with opened(data, "Excel workbook", options) as package:
        book, sheets = _opened(package)
        for title, target, hidden in sheets:
            table = _table(book, target)[0] if target in package else []
            if table and not hidden and not found:
                found = table
            elif table:
                left.append(f"the {'hidden ' if hidden else ''}sheet '{title}' with {len(table):,} rows is not read: "
                            "the first one is the table")  # fmt: skip
    if not found:
        raise Unreadable("empty", "no cell of a sheet that is shown has content")
    places = sorted({at for _, cells in found for at in cells})
    names = dict(zip(places, unique([found[0][1].get(at, "") or str(at + 1) for at in places]), strict=True))
    rows = [(number, {names[at]: text for at, text in cells.items()}) for number, cells in found[1:]]
    return list(names.values()), rows, left


def _opened(package: Package) -> tuple[_Book, list[tuple[str, str, bool]]]:
    """What the sheets share, and of each sheet its name, its part and whether it is hidden."""
    main = next(iter(package.matching(r"xl/workbook\d*\.xml")), "")
    if not main:
        raise Unreadable("damaged", "the package has no xl/workbook.xml")
    root, relations = package.xml(main), package.relations(main)
    book = _Book(package)
    properties = next(inside(root, "workbookPr"), None)
    book.date1904 = properties is not None and get(properties, "date1904") in ("1", "true")
    _shared(book, relations)
    return book, [(get(sheet, "name"), relations.get(get(sheet, "id"), ("", ""))[1],
                   get(sheet, "state") in ("hidden", "veryHidden")) for sheet in inside(root, "sheet")]  # fmt: skip


def _workbook(package: Package) -> Reading:
    book, sheets = _opened(package)
    parts = []
    for title, target, hidden in sheets:
        text = _sheet(book, target) if target in package else ""
        book.counts["sheets"] += 1
        if text:
            book.counts["hidden_sheets"] += hidden
            parts.append(f"# {title}{' [hidden sheet]' if hidden else ''}\n\n{text}")
    if not parts:
        raise Unreadable("empty", "no cell of the workbook has content")
    core = package.core()
    metadata: dict[str, Any] = {key: count for key, count in sorted(book.counts.items()) if count}
    if core.get("created"):
        metadata["created"] = core["created"]
    if pictures := len(package.matching(r"xl/media/[^/]+")):
        metadata["pictures"] = pictures
    return Reading([Piece("\n\n".join(parts), title=core.get("title", ""), media_type=MEDIA, metadata=metadata)])


def _shared(book: _Book, relations: dict[str, tuple[str, str]]) -> None:
    """Texts, number formats and people that the sheets refer to."""
    package = book.package
    by_kind = {kind: target for kind, target in relations.values() if target in package}
    if "sharedStrings" in by_kind:
        book.strings = [_rich(item) for item in package.xml(by_kind["sharedStrings"]) if local(item) == "si"]
    if "styles" in by_kind:
        root = package.xml(by_kind["styles"])
        codes = {get(item, "numFmtId"): get(item, "formatCode") for item in inside(root, "numFmt")}
        styles = child(root, "cellXfs")
        for style in styles if styles is not None else ():
            number = get(style, "numFmtId")
            code = codes.get(number) or numberformat.BUILTIN.get(int(number) if number.isdigit() else 0, "General")
            book.codes.append(code)
    for part in package.matching(r"xl/persons/[^/]+\.xml"):
        book.people |= {get(item, "id"): get(item, "displayName") for item in inside(package.xml(part), "person")}


def _rich(element: Any) -> str:
    """A text of one or several runs, without its phonetic guide."""
    return "".join(
        part.text or "" if local(part) == "t" else words(part) for part in element if local(part) in ("t", "r")
    )


def _sheet(book: _Book, name: str) -> str:
    relations = book.package.relations(name)
    lines, extras = _cells(book, name)
    texts = [lines] if lines else []
    for kind, target in relations.values():
        if kind == "drawing" and target in book.package:
            texts += _drawings(book, target)
    texts += _comments(book, relations)
    return "\n\n".join([*texts, *extras])


def _table(book: _Book, name: str) -> tuple[list[tuple[int, dict[int, str]]], list[str]]:
    """(number and cells by column of each row with content, headers and footers), the sheet being read as a stream."""
    etree = need("lxml.etree", "documents")
    table: list[tuple[int, dict[int, str]]] = []
    extras: list[str] = []
    number = 0
    with book.package.stream(name) as stream:
        try:
            for _, item in etree.iterparse(stream, events=("end",), resolve_entities=False, no_network=True,
                                           load_dtd=False, huge_tree=True):  # fmt: skip
                tag = local(item)
                if tag == "row":
                    given = item.get("r") or ""
                    number = int(given) if given.isdigit() else number + 1
                    cells = _row(book, item)
                    book.counts["hidden_rows"] += bool(cells) and item.get("hidden") in ("1", "true")
                    if cells:
                        table.append((number, cells))
                    item.clear()
                    while item.getprevious() is not None:
                        del item.getparent()[0]
                elif tag == "col" and item.get("hidden") in ("1", "true"):
                    first, last = int(item.get("min") or 0), int(item.get("max") or 0)
                    book.counts["hidden_columns"] += min(last, 16_384) - first + 1 if last < 16_384 else 1
                elif re.fullmatch(r"(odd|even|first)(Header|Footer)", tag) and (text := _printed(item.text or "")):
                    extras.append(f"[{tag[-6:].lower()}]\n{text}")
        except etree.XMLSyntaxError as error:
            raise Unreadable("damaged", f"{name} is not valid XML: {error}") from None
    return table, list(dict.fromkeys(extras))


def _cells(book: _Book, name: str) -> tuple[str, list[str]]:
    """(rows as text, headers and footers)."""
    table, extras = _table(book, name)
    used = {column for _, cells in table for column in cells}
    columns = {column: at for at, column in enumerate(sorted(used))}
    lines: list[str] = []
    before = 0
    for number, cells in table:
        if lines and number > before + 1:
            lines.append("")
        row = [""] * (1 + max(columns[column] for column in cells))
        for column, text in cells.items():
            row[columns[column]] = text
        lines.append("\t".join(row))
        before = number
    return "\n".join(lines), extras


def _row(book: _Book, row: Any) -> dict[int, str]:
    cells, column = {}, -1
    for cell in row:
        column = _column(cell.get("r") or "", column + 1)
        text = re.sub(r"\s+", " ", _value(book, cell)).strip()
        if text:
            cells[column] = text
            book.characters += len(text)
    if book.characters > MAX_TEXT:
        raise Unreadable("too large", f"the cells hold more than {MAX_TEXT:,} characters")
    return cells


def _column(reference: str, default: int) -> int:
    """Column of a reference such as AB12, from 0."""
    column = 0
    for letter in reference:
        if not "A" <= letter <= "Z":
            break
        column = column * 26 + ord(letter) - 64
    return column - 1 if column else default


def _value(book: _Book, cell: Any) -> str:
    kind = cell.get("t") or "n"
    if kind == "inlineStr":
        found = child(cell, "is")
        return _rich(found) if found is not None else ""
    stored = child(cell, "v")
    text = (stored.text or "") if stored is not None else ""
    if not text:
        formula = child(cell, "f")
        if formula is None or not formula.text:
            return ""
        book.counts["formulas_without_value"] += 1
        return f"={formula.text}"
    if kind == "s":
        return book.strings[int(text)] if text.isdigit() and int(text) < len(book.strings) else ""
    if kind == "b":
        return "TRUE" if text == "1" else "FALSE"
    if kind != "n":
        return text
    style = cell.get("s") or "0"
    code = book.codes[int(style)] if style.isdigit() and int(style) < len(book.codes) else "General"
    try:
        value = float(text)
        if code == "General":
            return numberformat.general(value)
        written, cut = numberformat.shown(value, code, book.date1904)
    except (ValueError, ArithmeticError):
        return text
    book.counts["rounded_numbers"] += cut
    return written


def _printed(text: str) -> str:
    """A header or footer for printing without its codes (&L, &P, &"font", &12); sections apart."""
    text = re.sub(r'&"[^"]*"|&\d+|&[BIUESXYHO]|&K[0-9A-Fa-f]{6}', "", text)
    text = re.sub(r"&[LCR]", "\n", text)
    text = re.sub(r"&[PNDTFZAG]", "", text).replace("&&", "&")
    return "\n".join(line.strip() for line in text.split("\n") if line.strip())


def _drawings(book: _Book, name: str) -> list[str]:
    """Charts and text boxes that lie on a sheet."""
    relations, texts = book.package.relations(name), []
    root = book.package.xml(name)
    for shape in inside(root, "txBody"):
        text = "\n".join(line for paragraph in inside(shape, "p") if (line := words(paragraph).strip()))
        book.counts["text_boxes"] += bool(text)
        texts.append(text)
    for frame in inside(root, "graphicFrame"):
        found = drawing.related(book.package, relations, frame)
        book.counts["charts"] += len(found)
        texts += found
    return [text for text in texts if text]


def _comments(book: _Book, relations: dict[str, tuple[str, str]]) -> list[str]:
    """Comments of a sheet; a thread stands in its own part, and its copy in the old part is left out."""
    found: list[str] = []
    threads: set[str] = set()
    for kind, target in relations.values():
        if kind == "threadedComment" and target in book.package:
            for item in inside(book.package.xml(target), "threadedComment"):
                threads.add(get(item, "ref"))
                who = book.people.get(get(item, "personId"), "")
                found.append(_comment(get(item, "ref"), who, words(item, "text")))
    old: list[str] = []
    for kind, target in relations.values():
        if kind == "comments" and target in book.package:
            root = book.package.xml(target)
            authors = [item.text or "" for item in inside(root, "author")]
            for item in inside(root, "comment"):
                text, at = words(item), get(item, "authorId")
                if get(item, "ref") in threads and "[Threaded comment]" in text:
                    continue
                who = authors[int(at)] if at.isdigit() and int(at) < len(authors) else ""
                old.append(_comment(get(item, "ref"), who, THREADED.sub("", text)))
    book.counts["comments"] += len(old) + len(found)
    return [rows([[line] for line in (*old, *found)])] if old or found else []


def _comment(reference: str, author: str, text: str) -> str:
    who = "" if author.startswith("tc=") else author
    return f"[comment] {reference}{', ' + who if who else ''}: {text.strip()}"
