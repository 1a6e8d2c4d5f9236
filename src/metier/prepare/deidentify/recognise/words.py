"""Lists of names and places that recognisers and surrogates share: data, one file a list, in the folder `words`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any


@cache
def lists(name: str) -> dict[str, Any]:
    """A YAML file of the folder: labels and other words that are parts of patterns."""
    import yaml

    found: dict[str, Any] = yaml.safe_load((files(__package__) / "words" / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


@cache
def words(name: str) -> tuple[str, ...]:
    """All words of a list, in its order, each once; for a list in parts those of all parts."""
    return tuple(dict.fromkeys(word for part in parts(name).values() for word in part))


@cache
def parts(name: str) -> dict[str, tuple[str, ...]]:
    """The parts of a list that is divided (`men: ...`); undivided words stand under ""."""
    text = (files(__package__) / "words" / f"{name}.txt").read_text(encoding="utf-8")
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        part, colon, rest = line.partition(": ")
        key, content = (part, rest) if colon else ("", line)
        found[key] = found.get(key, ()) + tuple(content.split())
    return found
