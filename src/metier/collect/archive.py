"""Archives: ZIP and TAR of anything readable, inside each other too; nothing is ever written to disk.

Purpose: each member is read by the reader that fits it, and its documents are called "archive.zip!path/in/archive".
What an archive can do to whoever opens it is met here: names that climb out of a folder are cleaned and counted, links
and devices are refused, a bomb is refused before it is unpacked (by what it claims) or while it is (by what it gives),
members that share bytes make the whole archive untrusted, and all that comes out of one file is paid from one budget.
Names that are not Unicode are decoded together: packers of Chinese Windows write GBK and do not say so.
Trade-off: a member is in memory while it is read. Not covered: RAR, 7z, split archives, files hidden before a ZIP.
"""

from __future__ import annotations

import fnmatch
import io
import re
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from metier.collect.accounts import Account, describes
from metier.collect.encoding import decode
from metier.collect.reading import MAX_DEPTH, Options, Piece, Reading, Refusal, Unreadable
from metier.errors import UserError
from metier.registry import register

BOMB_RATIO = 500  # unpacked to packed size: real tables and logs stay far below, the densest bombs reach 1,032 ...
BOMB_SIZE = 32 * 1024 * 1024  # ... and bytes below which a ratio does no harm
UNICODE_NAME = 0x800  # flag of a ZIP entry whose name is UTF-8
ENCRYPTED = 0x1
PATH_FIELD = b"up"  # header 0x7075 of the extra field: the name again, in UTF-8
HEADER = 30  # bytes of a local header before the name


@dataclass(frozen=True)
class Member:
    """One entry. problem: a reason not to read it, with a sentence in detail. load: its bytes, at most `limit` + 1."""

    name: bytes
    size: int
    load: Callable[[int], bytes]
    problem: str = ""
    detail: str = ""
    unicode: bool = False


@register("reader", "archive")
@describes(
    "archive",
    Account(
        title="Archives",
        kind="container",
        takes=("zip", "tar", "tgz", "tbz", "tbz2", "txz", "tzst"),
        kept=(
            "every member that any reader reads, called `archive.zip!path/in/archive`",
            "members of archives inside archives",
            "names in GBK or another old encoding, as Unicode",
        ),
        counted={"member": "path inside the archive", "names that climb out of a folder": "cleaned; a warning"},
        refused={
            "empty": "no member, or a member of 0 bytes",
            "encrypted": "a member needs a password",
            "damaged": "the archive or a member is broken or cut off, or members share bytes (a bomb)",
            "too large": "a member unpacks beyond `collect.max_file_bytes` or like a bomb, or all of them beyond "
            "`collect.max_archive_bytes`",
            "link": "a link in a TAR or ZIP; what it leads to is not looked for",
            "unreadable": "a device or pipe in a TAR",
            "excluded": "left out by `collect.exclude`",
            "unsupported format": "a member that no reader reads, or a way of packing that is not known",
            "nested too deep": "more than eight containers inside each other",
            "reader failed": "a bug of the member's reader; the others are read",
            "out of memory": "reading a member takes more than `collect.max_memory_per_file`",
        },
        lost=("empty folders", "comments of the archive"),
    ),
)
def read(data: bytes, name: str, options: Options) -> Reading:
    """The pieces of all members. Unreadable: empty, damaged, nested too deep; else each member tells for itself."""
    if options.depth > MAX_DEPTH:
        raise Unreadable("nested too deep", f"more than {MAX_DEPTH} containers inside each other")
    members = list(_tar(data) if is_tar(data) or not data.startswith(b"PK") else _zip(data))
    if not members:
        raise Unreadable("empty", "the archive holds no file")
    names, cleaned = _names(members)
    reading = Reading()
    if cleaned:
        reading.warnings.append(f"{name}: {cleaned} member names were not safe (absolute, climbing out of a folder, or "
                                "with control characters) and are told cleaned")  # fmt: skip
    progress = options.progress
    for number, (member, path) in enumerate(zip(members, names, strict=True)):
        if progress and number < progress.skip:
            continue
        if progress:
            progress.hand_over(reading)
            reading = Reading()
            progress.begin(number, f"!{path}")
        if options.budget.bytes < 0 or options.budget.members < 0:
            detail = f"the budget of the file is spent; {len(members) - number:,} members from here on were not read"
            reading.refused.append(Refusal(f"!{path}", "too large", detail))
            break
        reading.extend(_member(member, path, options), f"!{path}")
    return reading


def is_tar(data: bytes) -> bool:
    """Whether a TAR begins here, POSIX or older (whose checksum tells)."""
    if len(data) < 512:
        return False
    if data[257:262] == b"ustar":
        return True
    try:
        tarfile.TarInfo.frombuf(data[:512], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _member(member: Member, path: str, options: Options) -> Reading:
    """What one member gives; whatever goes wrong in it is a refusal."""
    from metier.collect import readers

    parts = path.split("/")
    if any(fnmatch.fnmatch(part, pattern) for part in parts for pattern in options.exclude):
        return Reading(refused=[Refusal("", "excluded", "left out by collect.exclude")])
    if member.problem:
        return Reading(refused=[Refusal("", member.problem, member.detail)])
    try:
        if member.size > options.max_bytes:
            detail = f"unpacks to {member.size:,} bytes; collect.max_file_bytes is {options.max_bytes:,}"
            raise Unreadable("too large", detail)
        data = member.load(options.max_bytes)
        options.budget.spend(len(data))
        if len(data) > options.max_bytes:
            raise Unreadable("too large", f"unpacks to more than {options.max_bytes:,} bytes")
        if not data:
            raise Unreadable("empty", "the member has 0 bytes")
        found = readers.read(data, parts[-1], options.inside(reader=options.reader))
    except Unreadable as error:
        return Reading(refused=[Refusal("", error.reason, error.detail)])
    except UserError:
        raise
    except MemoryError:
        return Reading(refused=[Refusal("", "out of memory", "not enough memory to read this member")])
    except RecursionError:
        return Reading(refused=[Refusal("", "damaged", "nested too deeply to be read")])
    except Exception as error:  # one odd member must not cost the archive
        return Reading(refused=[Refusal("", "reader failed", f"{type(error).__name__}: {str(error)[:300]}")])
    for piece in found.pieces:
        piece.metadata["member"] = f"{path}!{piece.metadata['member']}" if "member" in piece.metadata else path
    return found


# -- ZIP ---------------------------------------------------------------------------------------------------------------


def _zip(data: bytes) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, UnicodeDecodeError, IndexError) as error:
        raise Unreadable("damaged", f"not readable as ZIP (cut off?): {error}") from None
    if _overlapping(entries):
        raise Unreadable("damaged", "members of this ZIP share bytes, as in a zip bomb; nothing of it was unpacked")
    for entry in entries:
        if not entry.filename.endswith("/"):
            problem, detail = _zip_problem(entry)
            raw, is_unicode = _zip_name(entry)
            yield Member(raw, entry.file_size, _zip_loader(archive, entry), problem, detail, is_unicode)


def _overlapping(entries: Sequence[zipfile.ZipInfo]) -> bool:
    """Whether two members claim the same bytes (D. Fifield, A better zip bomb, WOOT 2019)."""
    spans = sorted((entry.header_offset, entry.header_offset + HEADER + entry.compress_size) for entry in entries)
    return any(end > following for (_, end), (following, _) in pairwise(spans))


def _zip_problem(entry: zipfile.ZipInfo) -> tuple[str, str]:
    if entry.flag_bits & ENCRYPTED:
        return "encrypted", "the member needs a password"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "link", "a link in an archive is not followed"
    if entry.file_size > BOMB_SIZE and entry.file_size > BOMB_RATIO * max(1, entry.compress_size):
        return "too large", (f"{entry.compress_size:,} bytes would unpack to {entry.file_size:,}, as in a zip bomb")
    return "", ""


def _zip_name(entry: zipfile.ZipInfo) -> tuple[bytes, bool]:
    """The name's bytes as they stand in the file, and whether they are surely UTF-8."""
    name = entry.orig_filename
    extra = entry.extra
    while len(extra) >= 4:
        size = int.from_bytes(extra[2:4], "little")
        if extra[:2] == PATH_FIELD and size > 5:
            return extra[9 : 4 + size], True
        extra = extra[4 + size :]
    if entry.flag_bits & UNICODE_NAME:
        return name.encode("utf-8", "surrogatepass"), True
    return name.encode("cp437", "replace"), False


def _zip_loader(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[int], bytes]:
    def load(limit: int) -> bytes:
        try:
            with archive.open(entry) as stream:
                return stream.read(limit + 1)
        except NotImplementedError as error:
            raise Unreadable("unsupported format", f"packed in a way that is not known: {error}") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, AssertionError) as error:
            raise Unreadable("damaged", f"the member cannot be unpacked: {error}") from None

    return load


# -- TAR ---------------------------------------------------------------------------------------------------------------


def _tar(data: bytes) -> Iterator[Member]:
    try:
        archive = tarfile.TarFile(fileobj=io.BytesIO(data), errors="surrogateescape")
    except (tarfile.TarError, ValueError, EOFError, OSError) as error:
        raise Unreadable("damaged", f"not readable as TAR: {error}") from None
    count = 0
    while True:
        try:
            entry = archive.next()
        except (tarfile.TarError, ValueError, EOFError, OSError, IndexError, OverflowError) as error:
            detail = f"the archive is broken or cut off here; what comes after was not read: {error}"
            yield Member(f"(after {count} members)".encode(), 0, _nothing, "damaged", detail, True)
            return
        if entry is None:
            return
        archive.members = []  # type: ignore[attr-defined]  # or every header stays in memory
        count += 1
        if entry.isdir():
            continue
        problem, detail = "", ""
        if entry.issym() or entry.islnk():
            problem, detail = "link", f"a link to '{entry.linkname}' in an archive is not followed"
        elif not entry.isreg():
            problem, detail = "unreadable", "not a regular file (a pipe or a device)"
        raw = entry.name.encode("utf-8", "surrogateescape")
        yield Member(raw, entry.size, _tar_loader(archive, entry), problem, detail)


def _tar_loader(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> Callable[[int], bytes]:
    def load(limit: int) -> bytes:
        try:
            stream = archive.extractfile(entry)
            data = stream.read(limit + 1) if stream else b""
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            raise Unreadable("damaged", f"the member cannot be unpacked: {error}") from None
        if len(data) < min(entry.size, limit + 1):
            raise Unreadable("damaged", f"the archive is cut off: {len(data):,} of {entry.size:,} bytes are there")
        return data

    return load


def _nothing(limit: int) -> bytes:
    return b""


# -- names -------------------------------------------------------------------------------------------------------------


def _names(members: Sequence[Member]) -> tuple[list[str], int]:
    """Each member's name as one clean, unique path, and how many had to be cleaned for safety."""
    codec = _codec([member.name for member in members if not member.unicode])
    shown: list[str] = []
    cleaned = 0
    seen: Counter[str] = Counter()
    for member in members:
        text = _text(member.name, "utf-8" if member.unicode else codec)
        path = clean_path(text)
        cleaned += path != re.sub("[!#]", "_", text.replace("\\", "/").removeprefix("./"))
        seen[path] += 1
        shown.append(path if seen[path] == 1 else f"{path} ({seen[path]})")
    return shown, cleaned


def _codec(names: Sequence[bytes]) -> str:
    """How names are encoded whose archive does not say: UTF-8, what all of them together look like, or DOS's page."""
    raw = b"\n".join(name for name in names if not name.isascii())
    try:
        raw.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        pass
    try:
        return decode(raw).encoding
    except Unreadable:
        pass
    if re.fullmatch(r"[\x00-\x7f\u0401\u0410-\u044f\u0451]+", raw.decode("cp866")):
        return "cp866"  # DOS in Russian
    try:
        text = raw.decode("gb18030")
        return "gb18030" if re.search("[\u4e00-\u9fff]{2}", text) and text.replace("\n", "").isprintable() else "cp437"
    except UnicodeDecodeError:
        return "cp437"


def _text(name: bytes, codec: str) -> str:
    try:
        return name.decode(codec)
    except UnicodeDecodeError:
        return name.decode("utf-8", "backslashreplace")


def clean_path(name: str) -> str:
    """A path that stays below its archive: no drive, no leading slash, no `..`, no control characters, no "!" or "#".

    The last two separate the parts of a document's source.
    """
    path = re.sub(r"^(?:[A-Za-z]:)?/*", "", name.replace("\\", "/"))
    path = re.sub(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069!#]", "_", path)
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "unnamed"


def texts(pieces: Sequence[Piece]) -> str:
    """The texts of several members as one, each below its path."""
    return "\n\n".join(f"[{piece.metadata['member']}]\n{piece.text}" if "member" in piece.metadata else piece.text
                       for piece in pieces)  # fmt: skip
