"""The sheet that a person fills in, as CSV or as one HTML page, and how it is read back.

Purpose: each document as it would be trained on, replacements marked, and one field: what was missed. An empty field is
"not read yet", `none` (无) is "read, nothing missed"; several misses are divided by semicolons. Sheets can hold
personal data, so their files are readable by the owner only, and no sheet goes into the store.
Trade-off: the page works without any server or network; answers are saved by the browser as a CSV file.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from metier.errors import UserError
from metier.prepare.deidentify.recognise.find import PLACEHOLDER

COLUMNS = ("number", "id", "stratum", "source", "text", "missed")
NOTHING = frozenset({"none", "no", "nothing", "0", "-", "无", "没有", "零", "ok"})
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute (OWASP: CSV injection)


def write(path: Path, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Write .csv or .html by the path's ending. rows: id, stratum, source, text, inserted (replacements to mark)."""
    text = _page(rows, title) if path.suffix.lower() in (".html", ".htm") else _table(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(
        handle, "w", encoding="utf-8-sig" if path.suffix.lower() == ".csv" else "utf-8", newline=""
    ) as stream:
        stream.write(text)


def read(path: Path) -> dict[str, list[str] | None]:
    """id -> what was missed: [] for nothing, None where the person has not answered. UserError: no such sheet."""
    try:
        rows = list(csv.DictReader(io.StringIO(_decoded(path.read_bytes()))))
    except OSError as error:
        raise UserError(
            f"the sheet cannot be read: {error.strerror}", str(path), "name the filled-in CSV file"
        ) from error
    if not rows or not {"id", "missed"} <= set(rows[0]):
        raise UserError("this is no filled-in sheet: it has no columns `id` and `missed`", str(path),
                        "save the sheet as CSV; from the HTML page with its button")  # fmt: skip
    return {row["id"].lstrip("'"): _answer(row["missed"] or "") for row in rows}


def marks(text: str, inserted: Sequence[str]) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it was put in: placeholders by their form, surrogates by what was put
    in."""
    ways = [re.escape(item) for item in sorted(set(inserted), key=lambda item: (-len(item), item)) if item]
    pattern = re.compile("|".join([PLACEHOLDER.pattern, *ways]))
    pieces, at = [], 0
    for found in pattern.finditer(text):
        pieces += [(text[at : found.start()], False), (found.group(), True)]
        at = found.end()
    return [piece for piece in (*pieces, (text[at:], False)) if piece[0]]


def _answer(field: str) -> list[str] | None:
    parts = [part.strip().lstrip("'") for part in re.split("[;；\n]", field) if part.strip()]
    if not parts:
        return None
    return (
        []
        if all(part.lower() in NOTHING for part in parts)
        else [part for part in parts if part.lower() not in NOTHING]
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    for number, row in enumerate(rows, 1):
        marked = "".join(f"⟦{piece}⟧" if put else piece for piece, put in marks(row["text"], row["inserted"]))
        cells = {
            "number": str(number),
            "id": row["id"],
            "stratum": row["stratum"],
            "source": row["source"],
            "text": marked,
            "missed": "",
        }
        writer.writerow({name: f"'{cell}" if cell.startswith(_FORMULA) else cell for name, cell in cells.items()})
    return out.getvalue()


def _page(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    import jinja2

    source = (files(__package__) / "sheet.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    shown = [{**row, "pieces": marks(row["text"], row["inserted"])} for row in rows]
    return environment.from_string(source).render(rows=shown, title=title)


def _decoded(data: bytes) -> str:
    """A spreadsheet in China saves GB18030 where it was given UTF-8."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UserError("the sheet is neither UTF-8 nor GB18030", "audit", "save it as CSV UTF-8")
