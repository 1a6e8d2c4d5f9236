"""What every reader says about itself: what it takes, keeps, marks, counts and refuses.

Purpose: the page "What we read and what we keep" is written from these accounts, the table of extensions is made of
them, and a test compares each account with its module, so that no reader can refuse for a reason, or leave something
out, that nobody was told about. An account stands as a decorator directly above the function that it describes.
Trade-off: sentences in code. They stay short, and they cannot go stale unnoticed.
Not covered: options (they are in the recipe's reference) and figures (they are in the benchmarks).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

T = TypeVar("T")
Kind = Literal["format", "container", "place"]


@dataclass(frozen=True)
class Account:
    """One reader or place. Keys of the mappings are short nouns or the reason itself; values are half sentences."""

    title: str
    """Heading, such as "Word documents"."""
    takes: tuple[str, ...]
    """Extensions without the dot (`docx`), or for a place the beginnings of its addresses (`s3://`)."""
    kept: tuple[str, ...]
    """What becomes text, each as a short phrase, in the order in which it matters."""
    marked: Mapping[str, str] = field(default_factory=dict)
    """What becomes text but is not plain content -> how it looks, such as "deletions" -> "`[deleted: ...]`"."""
    counted: Mapping[str, str] = field(default_factory=dict)
    """What is not in the text but told in the metadata or a warning -> key of the metadata, and what it means."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Reason in the rejected table -> when. Every reason that the module can give."""
    lost: tuple[str, ...] = ()
    """What is not read and not counted, because nothing in the file tells of it or because it is not text."""
    libraries: tuple[str, ...] = ()
    """What reads it, as distribution names; empty: our own code and the standard library."""
    extra: str = ""
    """The extra to install; empty: none is needed."""
    kind: Kind = "format"
    name: str = ""
    """Name behind the door, filled in by the decorator."""


ACCOUNTS: dict[str, Account] = {}
ANY: Mapping[str, str] = {
    "unsupported format": "no reader is known for it; the detail says what to do",
    "encrypted": "a password-protected Office file",
    "too large": "larger than `collect.max_file_bytes`, packed or unpacked",
    "empty": "0 bytes, or an attachment of 0 bytes",
    "nested too deep": "more than eight archives, compressed files and mails inside each other",
    "damaged": "a `.gz` file that ends too early, or a structure nested too deeply to be walked",
    "unreadable": "the system does not hand it out (rights, a broken link, a device)",
    "link": "a link to a folder that is read anyway",
    "changed while reading": "not the bytes that were hashed when the run began",
    "timed out": "a parser was still busy after `collect.max_seconds_per_file`",
    "crashed": "a parser took its process down",
    "out of memory": "not enough memory to read it",
    "reader failed": "a bug of the reader; the detail says which",
    "excluded": "left out by `collect.exclude`",
}
"""Reasons that any file can end with, whatever its format."""


def describes(name: str, account: Account) -> Callable[[T], T]:
    """Decorator: `account` is what the function registered as `name` says about itself."""

    def put(thing: T) -> T:
        known = ACCOUNTS.get(name)
        assert known is None or known.title == account.title, f"two accounts of '{name}'"
        ACCOUNTS[name] = replace(account, name=name)
        return thing

    return put


def extensions() -> dict[str, str]:
    """Extension -> reader, of all formats and containers."""
    found: dict[str, str] = {}
    for name, account in ACCOUNTS.items():
        if account.kind != "place":
            for suffix in account.takes:
                assert suffix not in found, f".{suffix} is claimed by {found[suffix]} and {name}"
                found[suffix] = name
    return found


def told(account: Account) -> set[str]:
    """The keys of the metadata that an account explains."""
    return {key for keys in account.counted for key in keys.split(", ")}
