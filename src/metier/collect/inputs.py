"""Which files a recipe means, and the hash of each.

Purpose: files, folders (recursive) and globs become a sorted list with SHA-256 sums, so that the stage's identity
follows from names and bytes and not from where the folder lies. A file that cannot be read is kept with its problem and
ends in the rejected table. Links are followed to files and to folders outside the source; a link back into it is not.
Trade-off: every byte is read twice (hash, then reading), which costs about a second a gigabyte.
Not covered: watching folders; archives.
"""

from __future__ import annotations

import difflib
import fnmatch
import os
import re
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metier.artifact import hash_file
from metier.collect import download
from metier.collect.config import CollectConfig, SourceConfig
from metier.collect.part import Part, parts_of
from metier.collect.places import fetch as places
from metier.collect.places.found import Item
from metier.console import Console
from metier.errors import UserError

EXACT, GLOB, FOLDER = 2, 1, 0  # how precisely a source names a file


@dataclass(frozen=True)
class Input:
    """One file. name: POSIX path within its source; problem: "" or a reason code, with a sentence in detail.

    read_as: name by which the reader is chosen, if `name` does not tell. declared: charset that a server claims.
    """

    path: Path
    name: str
    source: int
    sha256: str
    problem: str = ""
    detail: str = ""
    size: int = 0
    read_as: str = ""
    declared: str = ""

    @property
    def file_name(self) -> str:
        """The name by which the reader is chosen."""
        return self.read_as or self.name


@dataclass(frozen=True)
class Inputs:
    """files: sorted by source and name. index: the register. excluded: (source, name) left out by `collect.exclude`.
    parts: what is taken of each source; empty: all of all."""

    files: tuple[Input, ...]
    index: Input | None = None
    excluded: tuple[tuple[int, str], ...] = ()
    warnings: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


@dataclass
class _Found:
    """What a walk through one source saw; names are as shown, paths as the system knows them."""

    files: list[tuple[str, Path]] = field(default_factory=list)
    problems: list[tuple[str, Path, str, str]] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)


def find_inputs(config: CollectConfig, base: Path, console: Console | None = None) -> Inputs:
    """All files that the sources name, hashed. Paths are relative to `base`; a source without a match: UserError."""
    if not config.sources:
        raise UserError("the recipe names no data", "collect.sources", "add `sources: [data.csv]` under `collect:`")
    index = _index(config, base)
    index_path = os.path.realpath(index.path) if index else ""
    claimed: dict[str, tuple[int, int]] = {}  # real path -> (how precise, source)
    walks: list[tuple[int, _Found]] = []
    files: list[Input] = []
    excluded: list[tuple[int, str]] = []
    warnings: list[str] = []
    for number, source in enumerate(config.sources):
        if places.is_place(source, path := _local(source, base)):
            fetched, exact = places.fetch(source, path, config, base, _matcher, console or Console(quiet=True))
            files += [_of_place(item, number) for item in fetched.items]
            excluded += [(number, name) for name in fetched.excluded]
            warnings += fetched.warnings
            if exact and source.sha256 and files[-1].sha256:
                download.check(files[-1].path, source.sha256, files[-1].sha256)
            walks.append((FOLDER, _Found()))
            continue
        precise, found = _walk_source(config, source, number, base, console)
        walks.append((precise, found))
        for _, path in found.files:
            real = os.path.realpath(path)
            if real not in claimed or precise > claimed[real][0]:
                claimed[real] = (precise, number)
    twice: Counter[int] = Counter()
    for number, (precise, found) in enumerate(walks):
        for name, path in found.files:
            real = os.path.realpath(path)
            if real == index_path:
                continue
            if precise != EXACT and claimed[real][1] != number:
                twice[claimed[real][1]] += 1
                continue
            files.append(_input(path, name, number, config.max_file_bytes))
        files += [Input(path, name, number, "", reason, detail) for name, path, reason, detail in found.problems]
        wanted = config.sources[number].sha256
        if wanted and precise == EXACT and files and files[-1].sha256:
            download.check(files[-1].path, wanted, files[-1].sha256)
    warnings += [f"{count} files of another source are read as part of collect.sources.{number} only"
                 for number, count in sorted(twice.items())]  # fmt: skip
    excluded += [(number, name) for number, (_, found) in enumerate(walks) for name in found.excluded]
    return Inputs(
        tuple(sorted(files, key=lambda item: (item.source, item.name))), index, tuple(sorted(excluded)),
        tuple(warnings), parts_of(config, base),
    )  # fmt: skip


def identity(config: CollectConfig, inputs: Inputs) -> dict[str, Any]:
    """What decides the documents: the recipe's section, each file's name and bytes; never a path.

    Excluded files are listed when the stage runs, but decide no document: a new .DS_Store must not train again.
    """
    files = [[item.source, item.name, item.sha256 or f"problem: {item.problem}"] for item in inputs.files]
    lists = {str(number): part.sha256 for number, part in enumerate(inputs.parts) if part.sha256}
    return {"config": config.identity(), "files": files, "index": inputs.index.sha256 if inputs.index else ""} | (
        {"only": lists} if lists else {}
    )


def shown(name: str) -> str:
    """A file name as Unicode: names in GB18030 are decoded, other undecodable bytes are written as \\xNN."""
    try:
        name.encode("utf-8")
        return name
    except UnicodeEncodeError:
        raw = os.fsencode(name)
    try:
        text = raw.decode("gb18030")
        if any("\u4e00" <= char <= "\u9fff" for char in text) and text.isprintable():
            return text
    except UnicodeDecodeError:
        pass
    return raw.decode("utf-8", "backslashreplace")


def _index(config: CollectConfig, base: Path) -> Input | None:
    if config.index is None:
        return None
    named = SourceConfig(path=config.index.path, url=config.index.url, sha256=config.index.sha256)
    path = _absolute(named.path, base)
    if named.path.startswith(download.SCHEME) or (named.url and not path.exists()):
        path = download.locate(named, config.max_file_bytes) or path
    if not path.is_file():
        raise UserError("there is no such register", str(path), _nearby(path) or "mend collect.index.path")
    found = _input(path, path.name, -1, config.max_file_bytes)
    if found.problem:
        raise UserError(f"the register cannot be read: {found.detail}", str(path), "mend it, or remove collect.index")
    return found


def _local(source: SourceConfig, base: Path) -> Path | None:
    """Where a source's path leads on this machine; None for an address, a mirror and what is no path."""
    if not source.path or "://" in source.path or source.path.startswith(download.SCHEME):
        return None
    return _absolute(source.path, base)


def _of_place(item: Item, number: int) -> Input:
    """What a place fetched, hashed unless it was just now."""
    if item.problem:
        return Input(item.path, item.name, number, "", item.problem, item.detail)
    try:
        sha256, size = item.sha256 or hash_file(item.path), item.path.stat().st_size
    except OSError as error:
        return Input(item.path, item.name, number, "", "unreadable", f"{error.strerror or error}")
    return Input(item.path, item.name, number, sha256, size=size, read_as=item.read_as, declared=item.declared)


def _matcher(pattern: str) -> Any:
    """A test of names against a glob, for places that list names themselves."""
    return _Pattern(pattern).regex.fullmatch


def _walk_source(
    config: CollectConfig, source: SourceConfig, number: int, base: Path, console: Console | None
) -> tuple[int, _Found]:
    where = f"collect.sources.{number}: {source.path}"
    path = _absolute(source.path, base)
    if source.path.startswith(download.SCHEME) or (source.url and not path.exists()):
        path = download.locate(source, config.max_file_bytes, console) or path
    found = _Found()
    if path.is_dir():
        _walk(path, "", config.exclude, found, _Roots(path), None)
        if not found.files and not found.problems:
            left_out = f" ({len(found.excluded)} left out by collect.exclude)" if found.excluded else ""
            raise UserError(f"the folder holds no files{left_out}", where, "put files into it, or mend the path")
        return FOLDER, _sorted(found)
    if path.exists() or path.is_symlink():
        _file(path, path.name, found)
        return EXACT, found
    if not re.search(r"[*?\[]", str(path)):
        raise UserError("there is no such file or folder", where, _nearby(path) or "mend the path")
    root, pattern = _split_glob(path)
    if not root.is_dir():
        raise UserError("there is no such folder", f"{where} (looked for {root})", _nearby(root) or "mend the path")
    _walk(root, "", config.exclude, found, _Roots(root), _Pattern(pattern))
    if not found.files and not found.problems:
        raise UserError("no file matches this pattern", where, _seen(root, pattern, config.exclude))
    return GLOB, _sorted(found)


class _Roots:
    """Folders that links may not lead back into."""

    def __init__(self, root: Path) -> None:
        self.real = {os.path.realpath(root)}

    def new(self, path: str) -> bool:
        """Whether a linked folder holds nothing that was or will be read; it is remembered if so."""
        real = os.path.realpath(path)
        if any(_within(real, known) or _within(known, real) for known in self.real):
            return False
        self.real.add(real)
        return True


class _Pattern:
    """A glob with `**`, as a regular expression over POSIX paths, and the depth to which folders are looked into."""

    def __init__(self, pattern: str) -> None:
        self.regex = re.compile(_translate(pattern))
        self.depth = 10_000 if "**" in pattern else pattern.count("/")


def _walk(
    folder: Path, prefix: str, exclude: tuple[str, ...], found: _Found, roots: _Roots, pattern: _Pattern | None
) -> None:
    try:
        with os.scandir(folder) as entries:
            items = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        found.problems.append((prefix or ".", folder, "unreadable", f"the folder cannot be opened: {error.strerror}"))
        return
    for entry in items:
        name = shown(entry.name)
        full = f"{prefix}{name}"
        try:
            is_folder = entry.is_dir()
        except OSError:
            is_folder = False
        wanted = pattern is None or is_folder or pattern.regex.fullmatch(full)
        if any(fnmatch.fnmatch(name, glob) for glob in exclude):
            if wanted and not (is_folder and pattern and full.count("/") >= pattern.depth):
                found.excluded.append(full + ("/" if is_folder else ""))
        elif is_folder:
            if pattern and full.count("/") >= pattern.depth:
                continue
            if entry.is_symlink() and not roots.new(entry.path):
                found.problems.append(
                    (full, Path(entry.path), "link", "a link to a folder that is read anyway was not followed")
                )
                continue
            _walk(Path(entry.path), f"{full}/", exclude, found, roots, pattern)
        elif wanted:
            _file(Path(entry.path), full, found)


def _file(path: Path, name: str, found: _Found) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        reason = "a link that leads nowhere" if path.is_symlink() else f"{error.strerror}"
        found.problems.append((name, path, "unreadable", reason))
        return
    if stat.S_ISREG(mode):
        found.files.append((name, path))
    else:
        found.problems.append((name, path, "unreadable", "not a regular file (a pipe, a socket or a device)"))


def _input(path: Path, name: str, number: int, limit: int) -> Input:
    try:
        size = path.stat().st_size
        if size > limit:
            return Input(
                path, name, number, "", "too large", f"{size:,} bytes; collect.max_file_bytes is {limit:,}", size
            )
        return Input(path, name, number, hash_file(path), size=size)
    except OSError as error:
        return Input(path, name, number, "", "unreadable", f"{error.strerror or error}")


def _absolute(path: str, base: Path) -> Path:
    return Path(os.path.abspath(base / Path(path).expanduser()))


def _split_glob(path: Path) -> tuple[Path, str]:
    """(folder without magic, pattern below it)."""
    parts = path.parts
    first = next(index for index, part in enumerate(parts) if re.search(r"[*?\[]", part))
    return Path(*parts[:first]), "/".join(parts[first:])


def _translate(pattern: str) -> str:
    """`**` crosses folders, `*` and `?` do not."""
    pieces = []
    for token in re.findall(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", pattern, re.S):
        if token == "**/":
            pieces.append("(?:.*/)?")
        elif token == "**":
            pieces.append(".*")
        elif token in "*?":
            pieces.append("[^/]*" if token == "*" else "[^/]")
        elif token.startswith("[") and len(token) > 2:
            inner = token[1:-1].replace("\\", "\\\\")
            pieces.append(f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]")
        else:
            pieces.append(re.escape(token))
    return "".join(pieces)


def _nearby(path: Path) -> str:
    """What the nearest existing folder holds, the most similar name first."""
    parent = path.parent
    while not parent.is_dir() and parent != parent.parent:
        parent = parent.parent
    missing = path.relative_to(parent).parts[0] if path != parent else path.name
    try:
        names = sorted(shown(name) for name in os.listdir(parent))
    except OSError as error:
        return f"{parent} cannot be opened: {error.strerror}"
    close = difflib.get_close_matches(shown(missing), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'? (in {parent})"
    listed = ", ".join(names[:10]) + (f", ... ({len(names)} in all)" if len(names) > 10 else "")
    return f"{parent} holds: {listed or 'nothing'}"


def _seen(root: Path, pattern: str, exclude: tuple[str, ...]) -> str:
    """Extensions below a folder in which a glob matched nothing."""
    everything = _Found()
    _walk(root, "", exclude, everything, _Roots(root), None)
    if not everything.files:
        return f"{root} holds no files"
    kinds = Counter(Path(name).suffix or "(no extension)" for name, _ in everything.files)
    text = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(8))
    deeper = "" if "**" in pattern else "; `**/` before the name looks into subfolders"
    return f"below {root} there are: {text}; case matters{deeper}"


def _sorted(found: _Found) -> _Found:
    found.files.sort(key=lambda item: item[0])
    return found


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
