"""Single compressed files: .gz, .bz2, .xz, .lzma and .zst, unpacked in memory and never beyond a limit.

Purpose: exports are often packed one by one. Which packer it was is told by the first bytes, all streams of a file are
read one after another, and a file that unpacks to more than it may is refused while it unpacks.
Trade-off: the inside is in memory. Not covered: .Z, .lz4, .br (which has no first bytes to know it by).
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from typing import Any

from metier.collect.reading import Unreadable

SUFFIXES = {
    b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\xfd7zXZ\x00": ".xz", b"\x5d\x00\x00": ".lzma", b"\x28\xb5\x2f\xfd": ".zst",
}  # fmt: skip
SHORT = {".tgz": ".tar", ".tbz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".tzst": ".tar", ".svgz": ".svg"}
MEMORY = 512 * 1024 * 1024  # bytes that .xz may ask for its dictionary; `xz -9` asks for 65 MB
BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # how a block of .bz2 begins, and how an empty file ends
STEP = 16 * 1024 * 1024  # bytes unpacked at a time
CHUNK = 256 * 1024  # bytes packed that are handed over at a time: what is left of them is copied for every stream


def suffix(data: bytes) -> str:
    """`.gz` and so on by the first bytes; "" for what is not a compressed file."""
    for magic, name in SUFFIXES.items():
        if data.startswith(magic) and (name != ".lzma" or _alone(data)) and (name != ".bz2" or data[4:10] in BLOCKS):
            return name
    return ""


def unpacked_name(name: str, kind: str) -> str:
    """What the inside is called: `a.csv.gz` -> `a.csv`, `a.tgz` -> `a.tar`."""
    for short, whole in SHORT.items():
        if name.lower().endswith(short):
            return name[: -len(short)] + whole
    return re.sub(rf"{re.escape(kind)}t?$" if kind == ".zst" else rf"{re.escape(kind)}$", "", name, flags=re.I)


def unpack(data: bytes, limit: int) -> tuple[bytes, int]:
    """(the inside of all streams of the file, bytes after its end). Unreadable: damaged, too large (over `limit`)."""
    kind = suffix(data)
    assert kind, "not a compressed file"
    try:
        return (_zstandard(data, limit), 0) if kind == ".zst" else _streams(data, kind, limit)
    except (zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
        raise Unreadable("damaged", f"not readable as {kind}: {error}") from None


def _streams(data: bytes, kind: str, limit: int) -> tuple[bytes, int]:
    parts: list[bytes] = []
    at = size = 0
    while at < len(data):
        stream: Any = _opened(kind)
        while not stream.eof:
            part = b""
            if kind == ".gz" and stream.unconsumed_tail:
                part = stream.decompress(stream.unconsumed_tail, min(STEP, limit - size + 1))
            elif kind != ".gz" and not stream.needs_input:
                part = stream.decompress(b"", min(STEP, limit - size + 1))
            elif at < len(data):
                part = stream.decompress(data[at : at + CHUNK], min(STEP, limit - size + 1))
                at += len(data[at : at + CHUNK])
            else:
                raise Unreadable("damaged", f"the {kind} file ends too early")
            parts.append(part)
            size += len(part)
            if size > limit:
                raise Unreadable("too large", f"unpacks to more than {limit:,} bytes")
        at -= len(stream.unused_data)
        while data[at : at + 1] == b"\x00":  # tapes pad with zeros
            at += 1
        if not data.startswith(_magic(kind), at):
            break  # bytes after the end, which every unpacker passes over
    return b"".join(parts), len(data) - at


def _opened(kind: str) -> Any:
    if kind == ".gz":
        return zlib.decompressobj(wbits=31)
    return bz2.BZ2Decompressor() if kind == ".bz2" else lzma.LZMADecompressor(memlimit=MEMORY)


def _zstandard(data: bytes, limit: int) -> bytes:
    import pyarrow as pa

    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        parts, size = [], 0
        while part := stream.read(min(STEP, limit - size + 1)):
            parts.append(part)
            size += len(part)
            if size > limit:
                raise Unreadable("too large", f"unpacks to more than {limit:,} bytes")
    return b"".join(parts)


def _magic(kind: str) -> bytes:
    return next(magic for magic, name in SUFFIXES.items() if name == kind)


def _alone(data: bytes) -> bool:
    """Whether this is the headerless .lzma of old; its 13 bytes are a dictionary size and a length, nothing telling."""
    if len(data) < 14:
        return False
    try:
        lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MEMORY).decompress(data[:4096], 16)
    except (lzma.LZMAError, EOFError):
        return False
    return True
