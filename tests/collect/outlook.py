"""Outlook's .msg made on the spot: an OLE file (MS-CFB) around the properties of a message (MS-OXMSG)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

SECTOR, MINI, FREE, END, FAT = 512, 64, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
Tree = Mapping[str, Any]  # name -> bytes (a stream) or a mapping (a storage)


def cfb(tree: Tree) -> bytes:
    """An OLE file with these storages and streams."""
    entries: list[list[Any]] = [["Root Entry", 5, FREE, b""]]  # name, type, child, data
    siblings: dict[int, int] = {}

    def add(children: Tree) -> int:
        first = before = FREE
        for name in sorted(children, key=lambda name: (len(name), name.upper())):
            number = len(entries)
            content = children[name]
            stream = isinstance(content, bytes)
            entries.append([name, 2 if stream else 1, FREE, content if stream else b""])
            if not stream:
                entries[number][2] = add(content)
            if before == FREE:
                first = number
            else:
                siblings[before] = number  # a list is a tree too: each entry is the right child of the one before
            before = number
        return first

    entries[0][2] = add(tree)
    mini, mini_fat, starts = bytearray(), [], {}
    sectors: list[bytes] = []
    fat: list[int] = []

    def chain(data: bytes) -> int:
        if not data:
            return END
        first = len(sectors)
        count = -(-len(data) // SECTOR)
        for number in range(count):
            sectors.append(data[number * SECTOR : (number + 1) * SECTOR].ljust(SECTOR, b"\0"))
            fat.append(first + number + 1 if number + 1 < count else END)
        return first

    for number, (_, kind, _, data) in enumerate(entries):
        if kind != 2:
            continue
        if 0 < len(data) < 4096:
            starts[number] = len(mini_fat)
            count = -(-len(data) // MINI)
            mini_fat += [len(mini_fat) + step + 1 for step in range(count - 1)] + [END]
            mini += data.ljust(count * MINI, b"\0")
        else:
            starts[number] = chain(data)
    starts[0] = chain(bytes(mini))
    mini_start = chain(b"".join(struct.pack("<I", item) for item in mini_fat))
    mini_count = -(-len(mini_fat) * 4 // SECTOR)
    directory = b""
    for number, (name, kind, child, data) in enumerate(entries):
        raw = name.encode("utf-16-le")
        size = len(mini) if number == 0 else len(data)
        directory += raw.ljust(64, b"\0") + struct.pack(
            "<HBBIII16sIQQIQ", len(raw) + 2, kind, 1, FREE, siblings.get(number, FREE), child, b"", 0, 0, 0,
            starts.get(number, 0), size)  # fmt: skip
    directory_start = chain(directory)
    fat_count = 1
    while fat_count * (SECTOR // 4) < len(sectors) + fat_count:
        fat_count += 1
    places = list(range(len(sectors), len(sectors) + fat_count))
    table = fat + [FAT] * fat_count
    table += [FREE] * (fat_count * SECTOR // 4 - len(table))
    packed = b"".join(struct.pack("<I", item) for item in table)
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 16 + struct.pack(
        "<HHHHH6sIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, b"", 0, fat_count, directory_start, 0, 4096,
        mini_start if mini_fat else END, mini_count, END, 0)  # fmt: skip
    header += b"".join(struct.pack("<I", places[step] if step < fat_count else FREE) for step in range(109))
    return header + b"".join(sectors) + packed


def properties(header: int, **fixed: int) -> bytes:
    """The stream of fixed properties; names such as p3FFD."""
    out = b"\0" * header
    for name, value in fixed.items():
        out += struct.pack("<HHIQ", 3, int(name[1:], 16), 6, value)
    return out


def texts(values: Mapping[str, str], page: str = "") -> dict[str, bytes]:
    """Text properties, in Unicode or in a code page."""
    if page:
        return {f"__substg1.0_{key}001E": value.encode(page) for key, value in values.items()}
    return {f"__substg1.0_{key}001F": value.encode("utf-16-le") for key, value in values.items()}


def message(
    values: Mapping[str, str], *attachments: Tree, page: str = "", header: int = 32, **fixed: int
) -> dict[str, Any]:
    """The storage of a message."""
    tree: dict[str, Any] = {"__properties_version1.0": properties(header, **fixed), **texts(values, page)}
    for number, item in enumerate(attachments):
        tree[f"__attach_version1.0_#{number:08X}"] = item
    return tree


def attached(name: str, data: bytes) -> dict[str, Any]:
    """An attachment by value."""
    return {"__properties_version1.0": properties(8, p3705=1), **texts({"3707": name}), "__substg1.0_37010102": data}


def embedded(name: str, inner: Tree) -> dict[str, Any]:
    """A message attached to a message."""
    return {"__properties_version1.0": properties(8, p3705=5), **texts({"3707": name}), "__substg1.0_3701000D": inner}
