"""Files that the recipe's `prepare` section names beside the documents: a target sample, a word list, a test set.

Purpose: the bytes of such a file decide what comes out of the stage and its path does not. A field that names files is
declared with `names_file(...)`: the path is execution, and `digests` puts the content of the file into the identity.
`resolved` gives the stage absolute paths, since it knows nothing of the recipe's folder.
Not covered: folders and patterns; each file is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from metier.artifact import hash_file
from metier.config import Section
from metier.errors import UserError

S = TypeVar("S", bound=Section)


def names_file(default: Any, **kwargs: Any) -> Any:
    """Declare a field (a path, or a tuple of paths; "" is none) whose file's content, and not whose path, bears
    meaning."""
    return Field(default=default, json_schema_extra={"execution": True, "file": True}, **kwargs)


def referenced(config: Section) -> dict[str, str]:
    """Dotted key -> path as the recipe writes it, of every file that the section and those within it name."""
    return {key: path for key, path in _walk(config, "") if path}


def digests(config: Section, base: Path) -> dict[str, str]:
    """Dotted key -> SHA-256 of the file; UserError for a path that is no file. base: where relative paths start."""
    return {key: hash_file(_file(path, base, key)) for key, path in referenced(config).items()}


def resolved(config: S, base: Path) -> S:
    """The section with every path absolute."""
    updates: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Section):
            updates[name] = resolved(value, base)
        elif _is_file(field.json_schema_extra):
            several = isinstance(value, list | tuple)
            paths = [str(_file(path, base, name)) if path else path for path in (value if several else [value])]
            updates[name] = type(value)(paths) if several else paths[0]
    return config.model_copy(update=updates)


def _walk(config: Section, prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Section):
            yield from _walk(value, f"{prefix}{name}.")
        elif _is_file(field.json_schema_extra):
            if isinstance(value, list | tuple):
                yield from ((f"{prefix}{name}.{number}", path) for number, path in enumerate(value))
            else:
                yield f"{prefix}{name}", value or ""


def _is_file(extra: Any) -> bool:
    return isinstance(extra, dict) and bool(extra.get("file"))


def _file(path: str, base: Path, key: str) -> Path:
    found = (base / Path(path).expanduser()).absolute()
    if not found.is_file():
        raise UserError("the recipe names a file that is not there", f"prepare, {key}: {found}",
                        "check the path; relative ones start at the recipe's folder")  # fmt: skip
    return found
