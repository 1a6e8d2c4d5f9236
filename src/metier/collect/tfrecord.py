"""TFRecord files of `tf.train.Example` and `SequenceExample`, read without TensorFlow.

Purpose: a record is length, checksum of the length, bytes, checksum of the bytes; both checksums are checked, so a
damaged record is refused with its offset and the next one is read. An example is a protocol buffer of six small message
types, decoded here field by field. Packed files (GZIP as a whole, ZLIB) are opened. Each example becomes one row for
the table reader. Own code because the readers on offer need TensorFlow or leave the checksums aside.
Sources: tensorflow/core/lib/io/record_writer.h (framing and mask), tensorflow/core/example/*.proto (messages),
RFC 3720 appendix B.4 (CRC-32C).
Not covered: other messages inside records; pictures and sound, whose bytes stay base64 text.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from metier.collect.accounts import Account, describes
from metier.collect.reading import Options, Reading, Unreadable
from metier.registry import register

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers
HEAD = 12  # bytes before a record: length (8), checksum of the length (4)


@dataclass(frozen=True)
class Record:
    """One record. offset: of its head in the (unpacked) file. data is b"" when there is a problem."""

    offset: int
    data: bytes
    problem: str = ""


@register("reader", "tfrecord")
@describes(
    "tfrecord",
    Account(
        title="TFRecord files",
        takes=("tfrecord", "tfrecords"),
        kept=("one text an example, whatever the file is called (`train.tfrecord-00000-of-00008`)",
              "SequenceExample too, and files packed as GZIP or ZLIB"),
        counted={"the other features": "under their own names; bytes that are no text as base64"},
        refused={
            "damaged record": "its checksum is wrong, or it holds no `tf.train.Example`; the offset is told",
            "damaged": "a packed file that cannot be unpacked",
            "too large": "a packed file that unpacks to more than `collect.max_file_bytes`",
            "empty": "no examples",
            "empty text": "the text feature is missing or empty",
            "no text column": "no feature looks like the text",
            "undecodable row": "text that is not UTF-8",
        },
        lost=("records behind one whose length cannot be trusted, but for their bytes, which are counted",),
        kind="container",
    ),
)  # fmt: skip
def read(data: bytes, name: str, options: Options) -> Reading:
    """One piece an example. Unreadable: no TFRecord, no examples, no text column."""
    from metier.collect import table

    rows: list[table.Row] = []
    names: dict[str, None] = {}
    for number, record in enumerate(records(unpacked(data, options.max_bytes)), 1):
        problem, cells = record.problem, {}
        if not problem:
            try:
                cells = {key: simple(value) for key, value in example(record.data).items()}
            except ValueError as error:
                problem = f"no tf.train.Example: {error}"
        if problem:
            rows.append(table.Row(number, {}, 0, "damaged record", f"at byte {record.offset:,}: {problem}"))
        else:
            rows.append(table.Row(number, cells))
            names.update(dict.fromkeys(cells))
    return table.documents(table.Frame("tfrecord", list(names), rows), name, options)


def looks(data: bytes) -> bool:
    """Whether bytes begin with a record whose length has the right checksum; packed ones too."""
    if data[:1] == b"\x78":
        try:
            data = zlib.decompressobj().decompress(data[:4096], HEAD)
        except zlib.error:
            return False
    return len(data) >= HEAD and masked(_plain_crc32c(data[:8])) == int.from_bytes(data[8:HEAD], "little")


def unpacked(data: bytes, limit: int) -> bytes:
    """The file without ZLIB or GZIP around it, no more than `limit` bytes."""
    if data[:1] not in (b"\x78", b"\x1f") or looks_plain(data):
        return data
    stream = zlib.decompressobj(wbits=47)  # ZLIB or GZIP by its head
    try:
        text = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise Unreadable("damaged", f"not readable as a packed TFRecord: {error}") from None
    if len(text) > limit:
        raise Unreadable("too large", f"unpacks to more than {limit:,} bytes")
    return text


def looks_plain(data: bytes) -> bool:
    """As `looks`, for a file that is not packed."""
    return len(data) >= HEAD and masked(_plain_crc32c(data[:8])) == int.from_bytes(data[8:HEAD], "little")


def records(data: bytes) -> Iterator[Record]:
    """All records; after a length that cannot be trusted nothing more can be found, and that is the last one."""
    offset, end = 0, len(data)
    crc32c = _crc32c()
    while offset < end:
        head = data[offset : offset + HEAD]
        if len(head) < HEAD:
            yield Record(offset, b"", f"the file ends within a record's head ({end - offset:,} bytes left)")
            return
        if masked(crc32c(head[:8])) != int.from_bytes(head[8:], "little"):
            yield Record(
                offset, b"", f"the checksum of the length is wrong; the last {end - offset:,} bytes are not read"
            )
            return
        start, length = offset + HEAD, int.from_bytes(head[:8], "little")
        if start + length + 4 > end:
            yield Record(offset, b"", f"the file ends within a record of {length:,} bytes")
            return
        body, check = data[start : start + length], data[start + length : start + length + 4]
        if masked(crc32c(body)) != int.from_bytes(check, "little"):
            yield Record(offset, b"", f"the checksum of a record of {length:,} bytes is wrong")
        else:
            yield Record(offset, body)
        offset = start + length + 4


def example(data: bytes) -> dict[str, list[Any]]:
    """Feature -> values of an Example; of a SequenceExample the context, and for each feature list a list of lists.

    ValueError when the bytes are neither.
    """
    row: dict[str, list[Any]] = {}
    for number, kind, value in _fields(data):
        if number not in (1, 2) or kind != BYTES:
            raise ValueError(f"field {number} is unknown")
        for inner, inner_kind, entry in _fields(value):
            if inner != 1 or inner_kind != BYTES:
                raise ValueError(f"field {number}.{inner} is unknown")
            key, message = _entry(entry)
            row[key] = _feature(message) if number == 1 else [_feature(part) for _, _, part in _fields(message)]
    return row


def simple(values: list[Any]) -> Any:
    """What a cell shows: one value as itself, none as None, bytes as text or base64."""
    from metier.collect.places.snapshot import plain

    cells = plain(values)
    return None if not cells else cells[0] if len(cells) == 1 else cells


def masked(crc: int) -> int:
    """TensorFlow rotates a checksum and adds a constant, since a checksum of bytes that hold checksums is weak."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _entry(data: bytes) -> tuple[str, bytes]:
    """Key and value of a map's entry."""
    key, value = "", b""
    for number, kind, part in _fields(data):
        if number == 1 and kind == BYTES:
            key = part.decode("utf-8")
        elif number == 2 and kind == BYTES:
            value = part
    return key, value


def _feature(data: bytes) -> list[Any]:
    """bytes_list = 1, float_list = 2, int64_list = 3; each holds `repeated value = 1`, numbers packed or not."""
    values: list[Any] = []
    for number, kind, message in _fields(data):
        if number not in (1, 2, 3) or kind != BYTES:
            raise ValueError(f"a feature of kind {number} is unknown")
        for inner, inner_kind, value in _fields(message):
            if inner != 1:
                raise ValueError(f"field {inner} of a list is unknown")
            if number == 1 and inner_kind == BYTES:
                values.append(value)
            elif number == 2 and inner_kind in (BYTES, FIXED32) and len(value) % 4 == 0:
                values += struct.unpack(f"<{len(value) // 4}f", value)
            elif number == 3 and inner_kind == VARINT:
                values.append(_signed(value))
            elif number == 3 and inner_kind == BYTES:
                values += _packed(value)
            else:
                raise ValueError(f"wire type {inner_kind} in a list of kind {number}")
    return values


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """(field number, wire type, value) of a message; the value of VARINT is an int, of all others bytes."""
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, position = _varint(data, position)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, position = _varint(data, position)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind}")
        if number == 0 or position + size > end:
            raise ValueError("it ends within a field")
        yield number, kind, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """(value, position behind it)."""
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
    raise ValueError("it ends within a number")


def _packed(data: bytes) -> list[int]:
    values, position = [], 0
    while position < len(data):
        value, position = _varint(data, position)
        values.append(_signed(value))
    return values


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


@cache
def _crc32c() -> Any:
    """The quick one of google-crc32c where it is installed (extra `tfrecord`), else ours: about 5 MB a second."""
    try:
        from google_crc32c import value
    except ImportError:
        return _plain_crc32c
    return value


@cache
def _crc_table() -> tuple[int, ...]:
    made = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # the Castagnoli polynomial, reflected
        made.append(byte)
    return tuple(made)


def _plain_crc32c(data: bytes) -> int:
    steps, crc = _crc_table(), 0xFFFFFFFF
    for byte in data:
        crc = steps[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
