"""Which place a source names, and its files on this machine.

Purpose: the one list of places. A source is a path here, an address of a store, a database, a web site or a data set;
whatever it is, what comes back are files and reasons, and the rest of the stage does not ask where they came from.
Nothing here opens a connection unless the recipe names an address, a database or a data set of the Hub.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from metier.collect.config import CollectConfig, SourceConfig
from metier.collect.places import remote, saved, snapshot, tfds
from metier.collect.places.found import Found
from metier.console import Console


def is_place(source: SourceConfig, path: Path | None) -> bool:
    """Whether a source is more than files of this machine. path: where it leads if it is a path."""
    if source.sql or source.web or source.dataset or remote.is_remote(source.path):
        return True
    return path is not None and path.is_dir() and _kind_of_folder(path) != ""


def fetch(
    source: SourceConfig, path: Path | None, config: CollectConfig, base: Path, matches: Callable[[str], Any],
    console: Console,
) -> tuple[Found, bool]:  # fmt: skip
    """(what the place gave, whether the source named exactly one file). UserError: see each place."""
    limit = config.max_file_bytes
    if source.sql:
        from metier.collect.places import sql

        return sql.fetch(source.sql, source.refresh, base, console), False
    if source.web:
        from metier.collect.places import web

        return web.fetch(source.web, source.refresh, limit, console), False
    if source.dataset:
        from metier.collect.places import hub

        return hub.fetch(source.dataset, source.refresh, console), False
    if remote.is_remote(source.path):
        return remote.fetch(source.path, source.storage_options, config.exclude, limit, matches, console)
    assert path is not None
    kind = _kind_of_folder(path)
    if kind == "snapshot":
        return snapshot.load_user(path), False
    if kind == "saved":
        return saved.fetch(path, console), False
    return tfds.fetch(tfds.recognised(path) or path, limit, console), False


def _kind_of_folder(path: Path) -> str:
    """snapshot, saved or tfds; "" for a folder of files."""
    if snapshot.is_snapshot(path):
        return "snapshot"
    try:
        return "tfds" if tfds.recognised(path) else "saved" if saved.recognised(path) else ""
    except OSError:
        return ""
