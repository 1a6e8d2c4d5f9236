"""Zip packages of XML (Office, OpenDocument, EPUB), opened within bounds.

Purpose: one place that unpacks and parses for all of these formats, so that every limit is kept by all of them: bytes
of one part and of the whole package, the ratio of packing (a bomb), no entities, no network, broken XML, passwords.
Trade-off: a part is in memory while it is read; only the sheets of a workbook are streamed (`Package.stream`).
Not covered: signatures; repairing what a word processor would repair.
"""

from __future__ import annotations

import contextlib
import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import unquote

from metier.collect.reading import Options, Unreadable
from metier.errors import need

MAX_PART = 200_000_000  # unpacked bytes of one XML part; a 1,000-page contract has about 10 MB
MAX_RATIO = 200  # unpacked / packed; real parts stay below about 60, a bomb has 1,000
SMALL = 1_000_000  # bytes up to which a part's ratio does not matter
MAX_REPEATED = 80  # characters of a merged cell that are repeated; longer ones are paragraphs of a form, and stand once
MAX_COLUMNS = 1000  # places that one cell may cover
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError)


class Package:
    """An open zip package. what: the format's name, for messages."""

    def __init__(self, archive: zipfile.ZipFile, what: str, limit: int) -> None:
        self.archive, self.what, self.left = archive, what, limit
        self.part_limit = min(limit, MAX_PART)
        self.names = archive.namelist()
        self.known = set(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self.known

    def matching(self, pattern: str) -> list[str]:
        """Names that match entirely, those with a number in the order of their numbers."""
        found = [name for name in self.names if re.fullmatch(pattern, name)]
        return sorted(found, key=lambda name: ([int(part) for part in re.findall(r"\d+", name)], name))

    def read(self, name: str) -> bytes:
        """One part, unpacked; Unreadable("too large") before memory is spent."""
        limit = min(self.part_limit, self.left)
        try:
            with self.stream(name) as stream:
                data = stream.read(limit + 1)
        except (ValueError, OSError) as error:  # sizes and places that cannot be
            raise Unreadable("damaged", f"{name} cannot be unpacked: {error}") from None
        if len(data) > limit:
            raise Unreadable("too large", f"{name} unpacks to more than {limit:,} bytes (a zip bomb?)")
        self.left -= len(data)
        return data

    def stream(self, name: str) -> IO[bytes]:
        """One part to be read piece by piece; its declared size is checked first."""
        entry = self.archive.getinfo(name)
        size, limit = entry.file_size, min(self.part_limit, self.left)
        if size > limit or (size > SMALL and size > MAX_RATIO * max(entry.compress_size, 1)):
            raise Unreadable("too large", f"{name} would unpack to {size:,} bytes (a zip bomb?)")
        try:
            return self.archive.open(entry)
        except (ValueError, OSError) as error:  # a place in the file that cannot be
            raise Unreadable("damaged", f"{name} cannot be unpacked: {error}") from None

    def xml(self, name: str) -> Any:
        """The root of one XML part."""
        etree = need("lxml.etree", "documents")
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, recover=False)
        try:
            root = etree.fromstring(self.read(name), parser)
        except etree.XMLSyntaxError as error:
            raise Unreadable("damaged", f"{name} is not valid XML: {error}") from None
        if root.getroottree().docinfo.internalDTD is not None:
            raise Unreadable("damaged", f"{name} declares a DTD, which no {self.what} does")
        return root

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """Relationships of a part of an Office package: id -> (last word of the type, name of the target part)."""
        folder, base = posixpath.split(name)
        path = posixpath.join(folder, "_rels", f"{base}.rels")
        if path not in self:
            return {}
        found = {}
        for item in self.xml(path):
            if local(item) == "Relationship" and item.get("TargetMode") != "External":
                target = unquote(item.get("Target") or "")
                full = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"{folder}/{target}")
                found[item.get("Id") or ""] = ((item.get("Type") or "").rsplit("/", 1)[-1], full.lstrip("/"))
        return found

    def core(self) -> dict[str, str]:
        """Title, dates and the like of an Office package; empty when there are none or they are broken."""
        if "docProps/core.xml" not in self:
            return {}
        with contextlib.suppress(Unreadable):
            return {local(child): (child.text or "").strip() for child in self.xml("docProps/core.xml")}
        return {}


@contextlib.contextmanager
def opened(data: bytes, what: str, options: Options) -> Iterator[Package]:
    """The package, with whatever zip finds wrong with it while it is read as Unreadable."""
    if not data:
        raise Unreadable("empty", "the file has 0 bytes")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (*BROKEN, ValueError, OSError) as error:
        raise Unreadable("damaged", f"not readable as {what}: {error}") from None
    try:
        with archive:
            yield Package(archive, what, options.max_bytes)
    except BROKEN as error:
        raise Unreadable("damaged", f"not readable as {what}: {error}") from None
    except RuntimeError as error:  # zipfile's word for a password
        if isinstance(error, RecursionError):
            raise
        raise Unreadable("encrypted", f"the file needs a password: {error}") from None


def local(element: Any) -> str:
    """Tag without its namespace; "" for comments and instructions."""
    return element.tag.rsplit("}", 1)[-1] if isinstance(element.tag, str) else ""


def get(element: Any, name: str) -> str:
    """An attribute whatever its namespace (transitional and strict Office XML differ there)."""
    value = element.get(name)
    if value is not None:
        return str(value)
    return next((value for key, value in element.attrib.items() if key.rsplit("}", 1)[-1] == name), "")


def child(element: Any, name: str) -> Any:
    """The first child with that local name, or None."""
    return next((item for item in element if local(item) == name), None)


def inside(element: Any, name: str) -> Iterator[Any]:
    """All descendants with that local name, in order."""
    return (item for item in element.iter() if local(item) == name)


def words(element: Any, name: str = "t") -> str:
    """The text of all descendants with that local name, joined."""
    return "".join(item.text or "" for item in inside(element, name))


@dataclass(frozen=True)
class Cell:
    """One cell of a table. columns: how many it covers; below: it only goes on with the cell above it."""

    text: str
    columns: int = 1
    below: bool = False


def spread(table: list[list[Cell]]) -> list[list[str]]:
    """The table's grid; short text of a merged cell stands in every place that it covers, so that rows stand alone."""
    grid: list[list[str]] = []
    above: dict[int, str] = {}
    for row in table:
        line: list[str] = []
        for cell in row:
            text = above.get(len(line), "") if cell.below else cell.text
            shown = text if not cell.below or len(text) <= MAX_REPEATED else ""
            for at in range(min(cell.columns, MAX_COLUMNS)):
                above[len(line)] = text
                line.append(shown if at == 0 or len(text) <= MAX_REPEATED else "")
        grid.append(line)
    return grid


def rows(cells: list[list[str]]) -> str:
    """A table as text: a line a row, tabs between cells; empty rows and the empty end of a row go."""
    flat = [[re.sub(r"\s+", " ", cell).strip() for cell in row] for row in cells]
    lines = ["\t".join(row).rstrip("\t") for row in flat]
    return "\n".join(line for line in lines if line.strip())
