"""The register: labels and groups for files and mails that carry none themselves.

Purpose: offices keep a table "which file, which customer, which decision". Its key is matched to a document's path
within its source (or the end of a longer path), to a file name that is unique, to a mail's Message-ID, or to the id of
a row. It may put all that it names into one split: official test sets often come as a list of ids. Nothing is lost on
either side: rows that name nothing are rejected, documents without a row are counted.
Not covered: fuzzy matching of names; a register that names one item twice with different values is not guessed at.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metier.collect import roles, table
from metier.collect.config import IndexConfig
from metier.collect.inputs import Input
from metier.collect.reading import Options, Unreadable
from metier.errors import UserError, nearest
from metier.tables import rejection

PLAIN = ("title", "language", "group", "time", "license")  # roles that are columns of the documents table


@dataclass
class Joined:
    """Roles and values by the number of their document, and what could not be placed as rejected rows and warnings."""

    values: dict[int, dict[str, Any]] = field(default_factory=dict)
    rejected: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def join(
    config: IndexConfig,
    index: Input,
    documents: Sequence[dict[str, Any]],
    names: Sequence[str],
    unread: Mapping[str, str],
) -> Joined:
    """Find label, value, group, split, ... of `documents` (source, media_type, metadata) in the register; see `apply`.

    names: for each document the name of its file within its source. unread: name -> reason of each file that gave no
    document. UserError: unreadable register, missing column.
    """
    frame, key, columns = _load(config, index)
    joined = Joined()
    places = _Places(documents, names)
    matched: dict[int, tuple[table.Row, dict[str, Any]]] = {}
    for row in frame.rows:
        source = f"{index.name}#{row.number}"
        if row.reason:
            joined.rejected.append(rejection(source, "collect", row.reason, f"register, {row.detail}"))
            continue
        wanted = table._string(row.cells.get(key)).strip()
        values = {role: table._json_value(table._value(row.cells, column)) for role, column in columns.items()}
        values = {role: value for role, value in values.items() if not table._missing(value)}
        values |= {"split": config.split} if config.split else {}
        items = places.find(wanted) if wanted else []
        if not items:
            joined.rejected.append(_not_found(source, wanted, places, unread))
        for item in items:
            if item in matched and matched[item][1] != values:
                detail = f"'{wanted}' stands in row {matched[item][0].number} with other values"
                joined.rejected.append(rejection(source, "collect", "register contradicts itself", detail))
                continue
            matched[item] = (row, values)
    joined.values = {item: values for item, (_, values) in matched.items()}
    _warn(joined, documents, matched, frame.rows)
    return joined


def _not_found(source: str, wanted: str, places: _Places, unread: Mapping[str, str]) -> dict[str, str]:
    path = _same(wanted.replace("\\", "/"))
    for name, reason in unread.items():
        if path == _same(name) or path.endswith(f"/{_same(name)}") or _same(name).endswith(f"/{path}"):
            return rejection(source, "collect", "in register but not read", f"'{wanted}' is there, but: {reason}")
    detail = f"no file or message is called '{wanted}'" if wanted else "the key is empty"
    if wanted and places.ambiguous(wanted):
        detail = f"several files are called '{wanted}'; write the path"
    return rejection(source, "collect", "in register but not found", detail)


class _Places:
    """Documents by path, by file name, by Message-ID and by the id of their row; names in composed Unicode, since file
    systems differ there."""

    def __init__(self, documents: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
        self.paths: dict[str, list[int]] = defaultdict(list)
        self.files: dict[str, set[str]] = defaultdict(set)
        self.messages: dict[str, list[int]] = defaultdict(list)
        self.ids: dict[str, list[int]] = defaultdict(list)
        for number, (document, name) in enumerate(zip(documents, names, strict=True)):
            name = _same(name)
            part = document["source"].partition("#")[2] if "#" in document["source"] else ""
            self.paths[name].append(number)
            if part:
                self.paths[f"{name}#{part}"].append(number)
            self.files[name.rsplit("/", 1)[-1]].add(name)
            if row := str(document["metadata"].get("id", "")):
                self.ids[row].append(number)
            if message := _message_id(str(document["metadata"].get("message_id", ""))):
                self.messages[message].append(number)

    def find(self, key: str) -> list[int]:
        """Documents that `key` names: all parts of a file, one message, or the rows of an id; [] for none, or for an
        ambiguous name."""
        path = _same(key.replace("\\", "/").removeprefix("./").strip("/"))
        while path:
            if path in self.paths:
                return self.paths[path]
            if "/" not in path:
                break
            path = path.split("/", 1)[1]  # the register may count from a folder further up
        if len(self.files.get(path, ())) == 1:
            return self.paths[next(iter(self.files[path]))]
        return self.messages.get(_message_id(key)) or self.ids.get(key, [])

    def ambiguous(self, key: str) -> bool:
        return len(self.files.get(_same(key), ())) > 1


def _load(config: IndexConfig, index: Input) -> tuple[table.Frame, str, dict[str, str]]:
    options = Options(columns={**config.columns, "key": config.key}, encoding=config.encoding)
    try:
        data = index.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != index.sha256:
            raise UserError("the register changed while it was read", str(index.path), "run again")
        frame = _plain_values(data) or table.load(data, index.name, options)
    except (OSError, Unreadable) as error:
        detail = error.detail if isinstance(error, Unreadable) else str(error)
        raise UserError(
            f"the register cannot be read: {detail}", str(index.path), "mend it, or name its encoding"
        ) from None
    unknown = [role for role in config.columns if role not in roles.USUAL or role == "text"]
    if unknown:
        raise UserError(f"a register cannot set '{unknown[0]}'", "collect.index.columns",
                        nearest(unknown[0], [role for role in roles.USUAL if role != "text"]))  # fmt: skip
    chosen = roles.mapped({**config.columns, "key": config.key}, frame.columns, str(index.path))
    return frame, chosen.pop("key"), chosen


def _plain_values(data: bytes) -> table.Frame | None:
    """The rows of a JSON object such as {"12": "yes", "15": "no"}; None for any other file."""
    if not data.lstrip().startswith(b"{"):
        return None
    try:
        whole = json.loads(data)
    except ValueError:
        return None
    if not whole or any(isinstance(value, (dict, list)) for value in whole.values()):
        return None
    rows = [table.Row(number, {"key": key, "value": value}) for number, (key, value) in enumerate(whole.items(), 1)]
    return table.Frame("json", ["key", "value"], rows)


def apply(document: dict[str, Any], values: dict[str, Any]) -> None:
    """Set what the register says of a document, a row with `metadata` as a dict."""
    for role, value in values.items():
        text = table._name(value).strip()
        if role in PLAIN:
            document[role] = text
        elif role == "value":
            document["metadata"]["value"] = value
        elif role == "split":
            document["metadata"]["split"] = roles.split_name(text) or text
        else:
            document["metadata"][role] = text


def _warn(
    joined: Joined, documents: Sequence[dict[str, Any]], matched: dict[int, Any], rows: Sequence[table.Row]
) -> None:
    for reason, told in (("found", "no file or message"), ("read", "a file that could not be read")):
        if lost := sum(row["reason"] == f"in register but not {reason}" for row in joined.rejected):
            joined.warnings.append(f"{lost} of {len(rows)} register rows name {told}")
    # Rows of a table carry their own labels; only documents that could have been in the register are counted.
    bare = [
        document for number, document in enumerate(documents)
        if number not in matched and document["media_type"] not in table.MEDIA.values()
        and not ({"label", "value"} & document["metadata"].keys())
    ]  # fmt: skip
    if bare:
        shown = ", ".join(document["source"] for document in bare[:3])
        joined.warnings.append(f"{len(bare)} documents are not in the register and have no label (such as {shown})")
    both = sum(row["reason"] == "register contradicts itself" for row in joined.rejected)
    if both:
        joined.warnings.append(f"{both} register rows contradict an earlier row; the earlier one was kept")


def _same(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _message_id(text: str) -> str:
    return text.strip().strip("<>").strip().lower()
