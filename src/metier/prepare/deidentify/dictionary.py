"""People and numbers that the source system knows: a list in a file, or fields of the document itself.

Purpose: a hospital knows its patients; what it knows needs no guessing. Lists are read once, where the run was started.
Trade-off: every name of a file is looked for in every document, a pass of all names at once; tens of thousands are
quick, millions are not. `names.columns` looks for a document's own names only, and has no such limit.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from metier.errors import UserError

NAMES = frozenset({"name", "names", "person", "patient", "full_name", "姓名", "患者姓名", "客户姓名", "名称"})
NUMBERS = frozenset(
    {"id", "number", "mrn", "patient_id", "编号", "病历号", "住院号", "客户号", "身份证号", "手机", "phone"}
)
LARGEST = 200_000  # entries; a pattern of more would take seconds for each megabyte


def load(path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names, numbers) of a file, each once, sorted. UserError: unreadable, no known column, or too long."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the list of names cannot be read: {error}", f"prepare.deidentify.names.dictionary: {path}",
                        "give a UTF-8 text file with one name a line, or a CSV file with a column "
                        "`name`") from error  # fmt: skip
    names, numbers = _table(text, path) if file.suffix.lower() == ".csv" else _lines(text)
    if len(names) + len(numbers) > LARGEST:
        raise UserError(f"{len(names) + len(numbers):,} entries are too many to look for in every text", path,
                        f"keep at most {LARGEST:,}, or name the field of the documents that holds their own: "
                        f"names.columns")  # fmt: skip
    return tuple(sorted(names)), tuple(sorted(numbers))


def _lines(text: str) -> tuple[set[str], set[str]]:
    entries = {line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")}
    numbers = {entry for entry in entries if is_number(entry)}
    return entries - numbers, numbers


def _table(text: str, path: str) -> tuple[set[str], set[str]]:
    rows = csv.DictReader(io.StringIO(text))
    columns = {(column or "").strip().lower(): column for column in rows.fieldnames or []}
    names = [columns[name] for name in columns if name in NAMES]
    numbers = [columns[name] for name in columns if name in NUMBERS]
    if not names and not numbers:
        raise UserError("no column of this list is known", f"{path}: {', '.join(rows.fieldnames or []) or 'empty'}",
                        "call the columns `name` and `id` (姓名, 编号)")  # fmt: skip
    found: tuple[set[str], set[str]] = (set(), set())
    for row in rows:
        for place, wanted in enumerate((names, numbers)):
            found[place].update(value for column in wanted if (value := (row.get(column) or "").strip()))
    return found


def is_number(entry: str) -> bool:
    """An identifier rather than a name: it has a digit in it."""
    return any(char.isdigit() for char in entry)
