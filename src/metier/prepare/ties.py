"""What ties rows together besides their texts: patient, client, matter, household.

Purpose: a row has any number of group keys, the role `group` and the columns named in `prepare.split.groups`; rows that
share one value of one key hang together, and so on from row to row. So the notes of a household are one union although
each of its members is a patient of their own.
Trade-off: one key with a careless value ("unknown") ties everything; such a union is told by `split`. Cells that mean
"missing" tie nothing.
Not covered: who is the same person under two spellings.
"""

from __future__ import annotations

from collections.abc import Sequence

from metier.errors import UserError, nearest
from metier.prepare.flow import Flow, Row
from metier.prepare.normalize import MISSING

Tie = tuple[str, str]  # (name of the key, value)


def ties_of(flow: Flow) -> list[list[Tie]]:
    """The keys of every row, in the order of `flow.rows`. A row without the role `group` gets its first key as such.

    UserError: a column that no row has.
    """
    columns = flow.config.split.groups
    if not columns:
        return [[("group", row.group)] if row.group else [] for row in flow.rows]
    seen: set[str] = set()
    found = []
    for row in flow.rows:
        metadata = row.metadata
        seen.update(metadata)
        cells = [(name, _cell(metadata.get(name))) for name in columns]
        ties = [("group", row.group)] if row.group else []
        ties += [(name, value) for name, value in cells if value]
        if ties and not row.group:
            row.group = f"{ties[0][0]}={ties[0][1]}"
        found.append(ties)
    for name in columns:
        if name not in seen:
            hint = nearest(name, sorted(seen)) if seen else "leave it out; the data has no further columns"
            raise UserError(f"no document has the column '{name}'", "prepare.split.groups", hint)
    return found


def shared(rows: Sequence[Row], ties: Sequence[Sequence[Tie]]) -> dict[Tie, set[str]]:
    """The splits in which each key stands."""
    sides: dict[Tie, set[str]] = {}
    for row, mine in zip(rows, ties, strict=True):
        for tie in mine:
            sides.setdefault(tie, set()).add(row.split)
    return sides


def _cell(value: object) -> str:
    text = str(int(value) if isinstance(value, float) and value.is_integer() else "" if value is None else value)
    return "" if text.strip() in MISSING else text.strip()
