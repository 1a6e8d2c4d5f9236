"""Passwords and keys: named in a recipe as `${VARIABLE}`, known while a place is asked, written down nowhere.

Purpose: a recipe is copied into every run's folder, printed by `metier show` and mailed to colleagues, so a literal
password in it is refused before anything runs. What a variable held is remembered here for as long as the program
lives, and `scrub` takes it out of every message of a library that is passed on.
Not covered: keeping secrets from the person who runs the program; they own the environment.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from metier.errors import UserError

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
SECRET_KEY = re.compile(
    r"(secret|token|passw|pwd|credential|account_?key|access_?key|api_?key|private_?key|connection_?string|sas|^key$"
    r"|^auth|authorization|cookie|signature)",
    re.I,
)
SHORT = 4  # characters; a shorter value ("ab") would blank out half of every message

_known: set[str] = set()


def expand(text: str, where: str) -> str:
    """`text` with every `${NAME}` replaced by the environment's value; UserError when there is no such variable."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        found = os.environ.get(name)
        if found is None:
            raise UserError(
                f"the environment variable {name} is not set", where, f"set it before the run: export {name}=..."
            )
        if len(found) >= SHORT:
            _known.update({found, urllib.parse.quote(found, safe="")})
        return found

    return VARIABLE.sub(value, text)


def expand_all(options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`expand` for every text in a mapping, however deep."""
    return {key: _expanded(value, f"{where}.{key}") for key, value in options.items()}


def scrub(text: object) -> str:
    """A message without the values of variables that were expanded and without passwords inside addresses."""
    shown = str(text)
    for secret in sorted(_known, key=len, reverse=True):
        shown = shown.replace(secret, "***")
    return re.sub(r"(\b[a-z][a-z0-9+.-]*://)[^/@\s]*@", r"\1", shown, flags=re.I)


def without_credentials(address: str) -> str:
    """An address as it may be shown: no user, no password, and no signature in its query."""
    parts = urllib.parse.urlsplit(address)
    pairs = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
    query = parts.query
    if any(SECRET_KEY.search(name) for name, _ in pairs):
        query = urllib.parse.urlencode([(name, value) for name, value in pairs if not SECRET_KEY.search(name)])
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" + (f"?{query}" if query else "")


def literal_in_address(address: str) -> bool:
    """Whether an address carries a password that is written out."""
    user = urllib.parse.urlsplit(VARIABLE.sub("VARIABLE", address)).netloc.rpartition("@")[0]
    written = urllib.parse.urlsplit(address).netloc.rpartition("@")[0].partition(":")[2]
    if ":" in user and VARIABLE.sub("", written):
        return True
    query = urllib.parse.urlsplit(address).query
    return any(SECRET_KEY.search(name) and not VARIABLE.fullmatch(value)
               for name, value in urllib.parse.parse_qsl(query))  # fmt: skip


def literal_secrets(options: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Keys of `options` that hold a password or key which is written out."""
    for key, value in options.items():
        place = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from literal_secrets(value, f"{place}.")
        elif isinstance(value, str) and SECRET_KEY.search(str(key)) and value and not VARIABLE.search(value):
            yield place


def _expanded(value: Any, where: str) -> Any:
    if isinstance(value, str):
        return expand(value, where)
    if isinstance(value, Mapping):
        return expand_all(value, where)
    if isinstance(value, (list, tuple)):
        return [_expanded(item, where) for item in value]
    return value
