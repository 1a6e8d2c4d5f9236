"""Files that the recipe's `prepare` section names beside the documents: a target sample, a word list, a test set.

Purpose: the bytes of such a file decide what comes out of the stage and its path does not. A field that names files is
declared with `names_file(...)`: the path is execution, and `digests` puts the content of the file into the identity.
A field that names a place to write to or to look into afterwards is declared with `names_place(...)`.
`resolved` gives the stage absolute paths, since it knows nothing of the recipe's folder; `with_paths` any others.
Not covered: folders and patterns; each file is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def names_place(default: Any, **kwargs: Any) -> Any:
    """Declare a field (a path; "" is none) that need not be there yet and decides nothing; relative paths start at the
    recipe's folder, as those of files do."""
    return Field(default=default, json_schema_extra={"execution": True, "place": True}, **kwargs)


def referenced(config: Section) -> dict[str, str]:
    """Dotted key -> path as the recipe writes it, of every file that the section and those within it name."""
    return {key: path for key, path in _walk(config, "") if path}


def digests(config: Section, base: Path, section: str = "prepare") -> dict[str, str]:
    """Dotted key -> SHA-256 of the file; UserError for a path that is no file. base: where relative paths start.
    section: what the config is called in the recipe, for that error."""
    return {key: hash_file(_file(path, base, f"{section}, {key}")) for key, path in referenced(config).items()}


def resolved(config: S, base: Path) -> S:
    """The section with every path absolute; UserError for the path of a file that is none."""

    def absolute(path: str, name: str, is_file: bool) -> str:
        return str(_file(path, base, f"prepare, {name}") if is_file else (base / Path(path).expanduser()).absolute())

    return with_paths(config, absolute)


def with_paths(config: S, change: Callable[[str, str, bool], str]) -> S:
    """The section with every path as `change(path, name of the field, whether it must be a file)` gives it."""
    updates: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        is_file = _marked(field.json_schema_extra, "file")
        if isinstance(value, Section):
            updates[name] = with_paths(value, change)
        elif is_file or _marked(field.json_schema_extra, "place"):
            several = isinstance(value, list | tuple)
            paths = [change(path, name, is_file) if path else path for path in (value if several else [value])]
            updates[name] = type(value)(paths) if several else paths[0]
    return config.model_copy(update=updates)


def _walk(config: Section, prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Section):
            yield from _walk(value, f"{prefix}{name}.")
        elif _marked(field.json_schema_extra, "file"):
            if isinstance(value, list | tuple):
                yield from ((f"{prefix}{name}.{number}", path) for number, path in enumerate(value))
            else:
                yield f"{prefix}{name}", value or ""


def _marked(extra: Any, mark: str) -> bool:
    return isinstance(extra, dict) and bool(extra.get(mark))


def _file(path: str, base: Path, key: str) -> Path:
    found = (base / Path(path).expanduser()).absolute()
    if not found.is_file():
        raise UserError("the recipe names a file that is not there", f"{key}: {found}",
                        "check the path; relative ones start at the recipe's folder")  # fmt: skip
    return found
