"""Rows that a program hands over: a PyTorch data set or loader, a generator, a list of dictionaries.

Purpose: what already exists in Python becomes a folder of JSON Lines that a recipe names like any other
(`path: rows/`), so that a model can be traced to bytes rather than to a program that may do something else tomorrow.
An item that cannot be read is counted, by its position, and ends in the rejected table of the run that reads it.
Not covered: going back from the folder to the data set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.collect.accounts import Account, describes
from metier.collect.config import ROLES
from metier.collect.places import cache, snapshot
from metier.console import Console
from metier.errors import UserError, nearest

MOST_ERRORS = 1_000  # in a row; a data set that fails for ever is a broken program
_END = object()


@dataclass(frozen=True)
class Written:
    """What `from_python` wrote: the folder, how many rows, and how many items could not be read."""

    folder: Path
    rows: int
    refused: int


@describes(
    "from_python",
    Account(
        title="Rows of Python programs",
        takes=("metier.collect.from_python(...)",),
        kept=("one text an item of a PyTorch data set or loader, or of any iterable",),
        counted={"the other keys": "under their own names; tensors and numpy values as numbers and lists"},
        refused={"unreadable item": "reading it raised an error, or it has no plain form; its position is told"},
        kind="place",
    ),
)
def from_python(
    data: Any, out: str | Path, columns: Mapping[str, str] | None = None, fields: Sequence[str] = (),
    name: str = "rows", console: Console | None = None,
) -> Written:  # fmt: skip
    """Write the rows of `data` into the folder `out`, which a recipe then reads with `path: out`.

    data: a `torch.utils.data` Dataset, IterableDataset or DataLoader (its batches are taken apart), or any iterable.
    Items are mappings, named tuples, texts, or tuples whose parts `fields` names; tensors and numpy values become
    numbers and lists. columns: role -> key, such as `{"text": "narrative", "label": "intent"}`; the value is
    written under the role's name. UserError: `out` holds something else, the iterator broke off, items of no usable
    kind.
    """
    roles = dict(columns or {})
    for role in roles:
        if role not in ROLES:
            raise UserError(f"there is no role '{role}'", "from_python: columns", nearest(role, ROLES))
    if not re.fullmatch(r"[\w-]+", name):
        raise UserError("the name of the files is one word", "from_python: name", "letters, digits, - and _")
    folder = Path(out)
    if folder.exists() and not snapshot.is_snapshot(folder) and (folder.is_file() or any(folder.iterdir())):
        raise UserError("this folder holds something else", str(folder), "name a new folder")
    quiet = console or Console(quiet=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with cache.alone(folder), snapshot.Writer(folder, name, "rows of a Python program") as writer:
        with quiet.progress("writing rows", total=_length(data), unit="items") as meter:
            for number, (item, error) in enumerate(_items(data, tuple(fields)), 1):
                meter.advance(1)
                problem = error
                if not problem:
                    try:
                        writer.add(_renamed(_row(item, fields), roles))
                    except (TypeError, ValueError, KeyError) as mistake:
                        problem = f"{type(mistake).__name__}: {str(mistake)[:300]}"
                if problem:
                    writer.refuse(f"#{number}", "unreadable item", problem)
        if not writer.rows:
            first = writer.refused[0]["detail"] if writer.refused else "it gives no items"
            raise UserError(
                f"no row came out of the data: {first}", "from_python", "items are mappings, or name `fields`"
            )
        writer.finish()
    return Written(folder, writer.rows, len(writer.refused))


def _items(data: Any, fields: tuple[str, ...]) -> Iterator[tuple[Any, str]]:
    """(item, "") or (None, what went wrong) for each item; batches of a loader are taken apart."""
    if _is_loader(data) and getattr(data, "batch_size", None) is not None:
        for batch, error in _iterated(data):
            if error:
                yield None, f"a whole batch: {error}"
            else:
                yield from ((item, "") for item in _unbatched(batch, fields))
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (Mapping, str, bytes)):
        for index in range(len(data)):
            try:
                yield data[index], ""
            except Exception as error:  # of a program that is not ours: the item is counted, the others go on
                yield None, f"{type(error).__name__}: {str(error)[:300]}"
    elif isinstance(data, Iterable) and not isinstance(data, (Mapping, str, bytes)):
        yield from _iterated(data)
    else:
        raise UserError(f"a {type(data).__name__} gives no items", "from_python", "hand over a data set or an iterable")


def _iterated(data: Iterable[Any]) -> Iterator[tuple[Any, str]]:
    """As `_items`. A generator that raised is at its end, and nobody knows what would have followed: UserError."""
    iterator, errors, last = iter(data), 0, ""
    while True:
        try:
            item = next(iterator, _END)
        except Exception as error:
            errors, last = errors + 1, f"{type(error).__name__}: {str(error)[:300]}"
            if errors > MOST_ERRORS:
                raise UserError(
                    f"the data failed {errors:,} times in a row: {last}", "from_python", "mend it"
                ) from error
            yield None, last
            continue
        if item is _END:
            if errors:
                raise UserError(
                    f"the data broke off: {last}", "from_python",
                    "an iterator is at its end after an error; catch it inside, or hand over a data set with "
                    "__getitem__ and __len__, of which single items may fail",
                )  # fmt: skip
            return
        errors = 0
        yield item, ""


def _unbatched(batch: Any, fields: tuple[str, ...]) -> Iterator[Any]:
    """The items of a collated batch: a mapping or tuple of columns, or a list of texts."""
    if isinstance(batch, Mapping):
        columns = {key: _column(value) for key, value in batch.items()}
        sizes = {len(column) for column in columns.values()}
        if len(sizes) != 1:
            raise UserError(f"the columns of a batch differ in length: {sorted(sizes)}", "from_python",
                            "hand over the data set itself, or a loader with `batch_size=None`")  # fmt: skip
        yield from (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    elif hasattr(batch, "_asdict"):
        yield from _unbatched(batch._asdict(), fields)
    elif isinstance(batch, (list, tuple)) and fields and len(batch) == len(fields):
        yield from _unbatched(dict(zip(fields, batch, strict=True)), fields)
    elif isinstance(batch, (list, tuple)):
        yield from batch
    else:
        raise UserError(f"a batch of kind {type(batch).__name__} cannot be taken apart", "from_python",
                        "hand over the data set itself, or a loader with `batch_size=None`")  # fmt: skip


def _column(value: Any) -> list[Any]:
    """A column of a batch as its rows."""
    return list(value.tolist()) if hasattr(value, "tolist") else list(value)


def _row(item: Any, fields: Sequence[str]) -> Mapping[str, Any]:
    if hasattr(item, "_asdict"):
        item = item._asdict()
    if isinstance(item, Mapping):
        return item
    if isinstance(item, str):
        return {fields[0] if fields else "text": item}
    if isinstance(item, (list, tuple)) and fields:
        return dict(zip(fields, item, strict=True))
    hint = "name their parts with `fields`" if isinstance(item, (list, tuple)) else "a mapping is needed"
    raise TypeError(f"an item is a {type(item).__name__}: {hint}")


def _renamed(row: Mapping[str, Any], roles: Mapping[str, str]) -> dict[str, Any]:
    """Roles first under their own names; another column of such a name steps aside."""
    missing = [key for key in roles.values() if key not in row]
    if missing:
        raise KeyError(f"the item has no '{missing[0]}'; it has {', '.join(map(str, list(row)[:10]))}")
    taken = set(roles.values())
    rest = {f"column:{key}" if key in roles else str(key): value for key, value in row.items() if key not in taken}
    return {**{role: row[key] for role, key in roles.items()}, **rest}


def _is_loader(data: Any) -> bool:
    """Whether it is a DataLoader, without importing torch for those who have none."""
    return any(kind.__module__.startswith("torch.utils.data") and kind.__name__ == "DataLoader"
               for kind in type(data).__mro__)  # fmt: skip


def _length(data: Any) -> int | None:
    if _is_loader(data):
        return None
    try:
        return len(data)
    except TypeError:
        return None
