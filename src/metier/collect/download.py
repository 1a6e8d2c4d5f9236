"""Public data sets: from a local mirror, from the cache, or from their public address; the checksum decides.

Purpose: a recipe names `path: mirror:finance/banking77/train.csv`, `url:` and `sha256:`. The mirror
($METIER_DATA_MIRROR) is asked first, then the cache ($METIER_CACHE or ~/.cache/metier), then the net, https only.
METIER_OFFLINE=1 forbids the net. Not covered: archives, logins, resuming a broken download.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path, PurePosixPath
from typing import Any

from metier.artifact import hash_file
from metier.collect.config import SourceConfig
from metier.console import Console
from metier.errors import UserError

SCHEME = "mirror:"
SECONDS = 30.0  # without a single byte
BLOCK = 1 << 18


def locate(source: SourceConfig, limit: int, console: Console | None = None) -> Path | None:
    """The local file of a source whose path is `mirror:...`, or does not exist but has a `url`; None if it has neither.

    limit: bytes that are downloaded at most. UserError: wrong checksum, no network, not https.
    """
    mirrored = source.path.startswith(SCHEME)
    inside = source.path.removeprefix(SCHEME).strip("/")
    if mirrored:
        if ".." in PurePosixPath(inside).parts or not inside:
            raise UserError("a mirror path names a file below the mirror", source.path, "write it without '..'")
        root = os.environ.get("METIER_DATA_MIRROR", "")
        if root and (found := Path(root).expanduser() / inside).exists():
            return found
    if not source.url:
        if not mirrored:
            return None
        raise UserError(
            "the local mirror does not hold this file, and the source has no `url`", source.path,
            "set METIER_DATA_MIRROR to the folder that holds it, or add `url` and `sha256`",
        )  # fmt: skip
    return _cached(source, limit, console)


def check(path: Path, expected: str, found: str = "") -> None:
    """UserError when a file is not the one whose SHA-256 the recipe names."""
    found = found or hash_file(path)
    if expected and found != expected.strip().lower():
        raise UserError(
            "the file is not the one that the recipe names (its checksum differs)", str(path),
            f"expected sha256 {expected.strip().lower()}, found {found}; get the right file, or correct the recipe",
        )  # fmt: skip


def cache_folder() -> Path:
    """$METIER_CACHE, else ~/.cache/metier."""
    return Path(os.environ.get("METIER_CACHE") or "~/.cache/metier").expanduser()


def _cached(source: SourceConfig, limit: int, console: Console | None) -> Path:
    wanted = source.sha256.strip().lower()
    if not wanted:
        raise UserError("a source with `url` needs `sha256`", source.url, "add the checksum of the file you expect")
    address = urllib.parse.urlsplit(source.url)
    if address.scheme != "https":
        raise UserError("only https addresses are downloaded", source.url, "write an https:// address")
    name = PurePosixPath(source.path.removeprefix(SCHEME)).name or PurePosixPath(address.path).name or "file"
    target = cache_folder() / wanted / name
    if target.is_file():
        if hash_file(target) == wanted:
            return target
        target.unlink()  # a broken disk or a hand in the cache: fetched again
    if os.environ.get("METIER_OFFLINE", "") not in ("", "0"):
        raise _unreachable(source, "METIER_OFFLINE is set")
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=target.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as stream:
            found = _fetch(source, stream, limit, console)
        if found != wanted:
            raise UserError(
                "the downloaded file is not the one that the recipe names (its checksum differs)", source.url,
                f"expected sha256 {wanted}, found {found}; the address may hold a newer version",
            )  # fmt: skip
        os.replace(partial, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
    return target


def _fetch(source: SourceConfig, stream: Any, limit: int, console: Console | None) -> str:
    """Write the body to `stream`, return its SHA-256."""
    sha, size = hashlib.sha256(), 0
    request = urllib.request.Request(source.url, headers={"User-Agent": "metier"})
    try:
        with urllib.request.build_opener(_HttpsOnly).open(request, timeout=SECONDS) as answer:
            total = int(answer.headers.get("Content-Length") or 0) or None
            quiet = console or Console(quiet=True)
            with quiet.progress(f"downloading {PurePosixPath(source.path).name}", total, "bytes") as meter:
                while block := answer.read(BLOCK):
                    size += len(block)
                    if size > limit:
                        raise UserError(
                            f"the download is larger than {limit:,} bytes", source.url, "raise collect.max_file_bytes"
                        )
                    sha.update(block)
                    stream.write(block)
                    meter.advance(len(block))
    except urllib.error.HTTPError as error:
        raise _unreachable(source, f"the server answered {error.code} {error.reason}") from None
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise _unreachable(source, str(getattr(error, "reason", error))) from None
    return sha.hexdigest()


def _unreachable(source: SourceConfig, why: str) -> UserError:
    inside = source.path.removeprefix(SCHEME)
    return UserError(
        f"the data cannot be downloaded: {why}", source.url,
        f"connect to the net, or fetch it elsewhere, put it at FOLDER/{inside} and set METIER_DATA_MIRROR=FOLDER "
        f"(sha256 {source.sha256})",
    )  # fmt: skip


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follow redirects to https only."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        if not newurl.lower().startswith("https://"):
            raise urllib.error.URLError(f"the address leads to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
