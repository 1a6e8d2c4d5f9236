"""The secret that surrogates and hashes are made with, and the streams of numbers that follow from it.

Purpose: HMAC-SHA256 of the key and the original gives the same surrogate everywhere, and nobody without the key can
compute it, or test a guess. The key itself never leaves the process: artifacts hold a fingerprint of it.
Not covered: keeping the key; losing it means that no later document gets the same surrogates.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from metier.errors import UserError
from metier.prepare.deidentify.config import DeidentifyConfig

T = TypeVar("T")
SHORTEST = 16  # bytes; 128 bits are out of reach of guessing if they are random


def load(config: DeidentifyConfig) -> bytes:
    """The key's bytes. UserError: there is none, or it is too short to be a secret."""
    if config.key_file:
        path = Path(config.key_file).expanduser()
        if not path.is_file():
            raise UserError("the file with the key is not there", f"prepare.deidentify.key_file: {path}",
                            "check the path, or make a key: head -c 32 /dev/urandom > key")  # fmt: skip
        key, place = path.read_bytes().strip(), str(path)
    else:
        key, place = os.environ.get(config.key_variable, "").strip().encode(), config.key_variable
    if not key:
        raise UserError("surrogates and hashes need a secret key, and there is none", f"prepare.deidentify, {place}",
                        f"set {config.key_variable} to a long random text, or name a file: "
                        f"prepare.deidentify.key_file")  # fmt: skip
    if len(key) < SHORTEST:
        raise UserError(
            f"the key has {len(key)} bytes, which can be guessed", place, f"use {SHORTEST} random bytes or more"
        )
    return key


def fingerprint(key: bytes) -> str:
    """16 hex digits that tell keys apart and nothing else about them."""
    return hmac.new(key, b"metier: fingerprint of a key for de-identification", hashlib.sha256).hexdigest()[:16]


def token(key: bytes, purpose: str, original: str, length: int = 12) -> str:
    """Hex digits in the place of a value, the same for the same value."""
    return hmac.new(key, f"{purpose}\0{original}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:length]


class Stream:
    """Numbers that follow from key, purpose and original, as many as are asked for."""

    def __init__(self, key: bytes, purpose: str, original: str) -> None:
        self.key = hmac.new(key, f"{purpose}\0{original}".encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
        self.block, self.left = 0, b""

    def below(self, bound: int) -> int:
        """A number from 0 to bound - 1; the bias of the remainder is below bound / 2**64."""
        if len(self.left) < 8:
            self.left += hmac.new(self.key, self.block.to_bytes(8, "big"), hashlib.sha256).digest()
            self.block += 1
        value, self.left = int.from_bytes(self.left[:8], "big"), self.left[8:]
        return value % bound

    def pick(self, items: Sequence[T]) -> T:
        """One of them."""
        return items[self.below(len(items))]
