"""Object stores and file servers behind fsspec addresses: `s3://`, `gs://`, `az://`, `https://`, `ftp://`, ...

Purpose: list, choose by the same globs and exclusions as a local folder, and bring each object to this disk once. What
an object was called where (address, ETag, size, time) leads to its SHA-256 in the cache; the bytes decide the identity.
A download is taken up where it broke, is tried a bounded number of times, and is thrown away when the object changed
meanwhile. Names are those below the source, so that a folder and its copy in a store are the same documents.
Trade-off: every run lists the store again, since only the store knows what is new.
Not covered: writing; listing of plain web servers (that is `web`); archives as folders.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier import tables
from metier.artifact import hash_file
from metier.collect.accounts import Account, describes
from metier.collect.places import cache
from metier.collect.places.credentials import expand, expand_all, scrub, without_credentials
from metier.collect.places.found import Found, Item
from metier.console import Console
from metier.errors import UserError, need

BLOCK = 8 * 1024 * 1024  # bytes asked for at a time; what a broken connection costs at most
TRIES = 4  # without progress
PAUSE = 0.5  # seconds before the second try, doubled each time
SECONDS = 60.0  # without a byte
AT_ONCE = 8  # objects on their way, where the file system can do that
GIVE_UP = 20  # objects in a row that could not be fetched: the store is away, and asking on helps nobody
VERSION = ("ETag", "etag", "md5Hash", "content_md5", "Content-MD5", "checksum", "generation", "VersionId",
           "Last-Modified", "LastModified", "last_modified", "updated", "mtime", "modify", "created")  # fmt: skip
# Protocol -> package that fsspec needs for it, where Metier's extra `remote` does not bring it.
PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs", "adl": "adlfs",
            "sftp": "paramiko", "ssh": "paramiko", "smb": "smbprotocol", "hdfs": "pyarrow", "oss": "ossfs",
            "hf": "huggingface_hub"}  # fmt: skip
DATABASES = ("postgresql", "postgres", "mysql", "mariadb", "sqlite", "oracle", "mssql")
LOGIN = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE); for a public bucket write "
    "`storage_options: {anon: true}`; for another endpoint `storage_options: {endpoint_url: ...}`",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS; for a public bucket write `storage_options: {token: anon}`",
    "az": "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


@dataclass(frozen=True)
class _Object:
    """key: as the file system knows it; name: below the source."""

    key: str
    name: str
    info: Mapping[str, Any]

    @property
    def size(self) -> int | None:
        size = self.info.get("size")
        return int(size) if size is not None else None

    @property
    def version(self) -> str:
        """What changes when the object does; "" when the store says nothing but a size."""
        told = {name: str(self.info[name]) for name in VERSION if self.info.get(name)}
        return json.dumps({**told, "size": self.size}, sort_keys=True) if told else ""


def is_remote(path: str) -> bool:
    """Whether a source's `path` is an address rather than a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path) is not None


@describes(
    "remote",
    Account(
        title="Object stores and file servers",
        takes=("s3://", "gs://", "az://", "https://", "http://", "ftp://", "sftp://", "hf://", "memory://"),
        kept=("one file an object, a folder or a glob, as below a local folder; the reader is chosen as for any file",),
        refused={
            "unreachable": "it could not be fetched after several tries; the next run goes on where this one broke",
            "no permission": "the store does not hand it out",
            "too large": "larger than `collect.max_file_bytes`; it is not fetched",
            "changed while reading": "the object changed while it was fetched",
        },
        lost=("older versions of an object",),
        libraries=("fsspec", "s3fs", "aiohttp"),
        extra="remote",
        kind="place",
    ),
)  # fmt: skip
def fetch(
    path: str, options: Mapping[str, Any], exclude: tuple[str, ...], limit: int, matches: Callable[[str], Any],
    console: Console,
) -> tuple[Found, bool]:  # fmt: skip
    """The objects that an address names, on this disk; and whether it named exactly one.

    limit: bytes of one object. matches: makes a test for names out of a glob. UserError: no such thing, no permission.
    """
    where = without_credentials(path)
    system, root, pattern = _connect(path, options, where)
    found = Found()
    with _told(where, path):
        objects, exact = _list(system, root, pattern, where, matches)
    chosen = []
    for thing in objects:
        if not exact and any(fnmatch.fnmatch(part, glob) for part in thing.name.split("/") for glob in exclude):
            found.excluded.append(thing.name)
        else:
            chosen.append(thing)
    if not chosen:
        left_out = f" ({len(found.excluded)} left out by collect.exclude)" if found.excluded else ""
        raise UserError(f"no object is called like that{left_out}", where, "mend the path; case matters")
    found.items = list(_fetch_all(system, chosen, where, limit, console))
    return found, exact


def _connect(path: str, options: Mapping[str, Any], where: str) -> tuple[Any, str, str]:
    """(file system, its name for the fixed part of the address, glob below that or "")."""
    protocol = path.partition("://")[0].lower()
    if protocol in DATABASES or protocol.split("+")[0] in DATABASES:
        raise UserError("a database is no path", where, "write `sql: {url: ..., table: ...}` instead of `path`")
    if "::" in path:
        raise UserError("chained addresses are not read", where, "name the file itself")
    if protocol not in ("memory", "file"):
        cache.need_network("this place", where)
    fsspec = need("fsspec", "remote")
    address = expand(path, "collect.sources: path")
    fixed, pattern = _split(address, protocol)
    given = {**_patience(protocol, options), **expand_all(options, "collect.sources: storage_options")}
    try:
        system, root = fsspec.core.url_to_fs(
            fixed, skip_instance_cache=True, use_listings_cache=False, **given
        )  # fmt: skip
    except ImportError as error:
        package = PACKAGES.get(protocol)
        fix = f"pip install {package}" if package else 'pip install "metier[remote]"'
        raise UserError(f"a package for {protocol}:// is not installed ({error})", where, fix) from None
    except (ValueError, TypeError) as error:
        known = "s3, gs, az, http, https, ftp, sftp, hf, memory"
        raise UserError(f"this address cannot be opened: {scrub(error)}", where, f"usual beginnings: {known}") from None
    return system, root, pattern


def _patience(protocol: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Time limits for libraries that have none, or long ones, unless the recipe sets its own."""
    if protocol in ("s3", "s3a") and "config_kwargs" not in options:
        return {"config_kwargs": {"connect_timeout": SECONDS / 2, "read_timeout": SECONDS,
                                  "retries": {"max_attempts": 1}}}  # fmt: skip
    if protocol in ("http", "https") and "client_kwargs" not in options:
        aiohttp = need("aiohttp", "remote")
        return {"client_kwargs": {"timeout": aiohttp.ClientTimeout(sock_connect=SECONDS / 2, sock_read=SECONDS)}}
    return {}


def _split(address: str, protocol: str) -> tuple[str, str]:
    """The address up to the last folder without a wildcard, and the glob below it."""
    if protocol in ("http", "https"):
        if "*" in urllib.parse.urlsplit(address).path:
            raise UserError(
                "a web server does not list its files", without_credentials(address),
                "name each file, or follow the links of a page with `web: {start: ...}`",
            )  # fmt: skip
        return address, ""
    scheme, _, rest = address.partition("://")
    parts = rest.split("/")
    first = next((index for index, part in enumerate(parts) if re.search(r"[*?\[]", part)), None)
    if first is None:
        return address, ""
    if first == 0 and protocol not in ("memory", "file"):
        raise UserError(
            "the bucket or host has to be named", without_credentials(address), "write it without wildcards"
        )
    return f"{scheme}://{'/'.join(parts[:first])}", "/".join(parts[first:])


def _list(
    system: Any, root: str, pattern: str, where: str, matches: Callable[[str], Any]
) -> tuple[list[_Object], bool]:
    if not pattern:
        try:
            info = _patiently(lambda: system.info(root))
        except FileNotFoundError:
            raise UserError("there is no such file or folder in this place", where, _nearby(system, root)) from None
        if info.get("type") != "directory":
            name = urllib.parse.unquote(urllib.parse.urlsplit(where).path.rstrip("/").rpartition("/")[2])
            return [_Object(root, name or "page", info)], True
    test = matches(pattern) if pattern else None
    try:
        listing: dict[str, Any] = _patiently(lambda: system.find(root, detail=True))
    except FileNotFoundError:
        raise UserError("there is no such folder in this place", where, _nearby(system, root)) from None
    base = root.rstrip("/") + "/"
    objects = []
    for key, info in sorted(listing.items()):
        name = key.removeprefix(base).lstrip("/")
        marker = not name or name.endswith("/") or key.rstrip("/") == root.rstrip("/")  # stands for an empty folder
        if not marker and (test is None or test(name)):
            objects.append(_Object(key, name, info))
    return objects, False


def _nearby(system: Any, root: str) -> str:
    parent = root.rstrip("/").rpartition("/")[0]
    try:
        names = sorted(str(name).rstrip("/").rpartition("/")[2] for name in system.ls(parent, detail=False))
    except Exception:  # only a hint
        return "mend the path"
    listed = ", ".join(names[:10]) + (f", ... ({len(names)} in all)" if len(names) > 10 else "")
    return f"beside it there are: {listed}" if names else "mend the path"


def _fetch_all(system: Any, objects: list[_Object], where: str, limit: int, console: Console) -> Iterator[Item]:
    """One item an object, in order."""
    failed = 0
    threads = AT_ONCE if getattr(system, "async_impl", False) else 1
    with (
        ThreadPoolExecutor(threads, thread_name_prefix="fetch") as pool,
        console.progress(f"fetching {where}", total=len(objects), unit="files") as meter,
    ):
        try:
            for item in pool.map(lambda thing: _fetch(system, thing, where, limit), objects):
                meter.advance(1)
                failed = failed + 1 if item.problem == "unreachable" else 0
                if failed >= GIVE_UP:
                    raise UserError(
                        f"{failed} objects in a row could not be fetched: {item.detail}", where,
                        "run again when the place answers; what was fetched is kept",
                    )  # fmt: skip
                yield item
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _fetch(system: Any, thing: _Object, where: str, limit: int) -> Item:
    if thing.size is not None and thing.size > limit:
        return Item(
            thing.name, problem="too large", detail=f"{thing.size:,} bytes; collect.max_file_bytes is {limit:,}"
        )
    key = tables.digest(str(getattr(system, "protocol", "")), where, thing.key, thing.version)
    known = cache.folder("remote") / f"{key}.json"
    if thing.version and known.is_file():
        with contextlib.suppress(ValueError, KeyError, OSError):
            sha256 = json.loads(known.read_text(encoding="utf-8"))["sha256"]
            if path := cache.whole(sha256):
                return Item(thing.name, path, sha256)
    partial = cache.folder("remote", "partial") / f"{key}.part"
    if not thing.version:
        partial.unlink(missing_ok=True)
    try:
        with cache.disk_errors(partial):
            _download(system, thing, partial, limit)
            if not _same(thing.info, _patiently(lambda: system.info(thing.key))):
                partial.unlink()
                return Item(thing.name, problem="changed while reading", detail="the object changed; run again")
            sha256 = hash_file(partial)
            path = cache.object_path(sha256)
            cache.into_place(partial, path)
            if thing.version:
                tables.write_json({"sha256": sha256}, known)
        return Item(thing.name, path, sha256)
    except _TooLarge:
        partial.unlink(missing_ok=True)
        return Item(thing.name, problem="too large", detail=f"more than {limit:,} bytes (collect.max_file_bytes)")
    except FileNotFoundError:
        return Item(thing.name, problem="unreachable", detail="it was listed and is gone")
    except PermissionError as error:
        return Item(thing.name, problem="no permission", detail=scrub(error)[:300])
    except UserError:
        raise
    except Exception as error:  # libraries of many makers raise what they like; the part stays for the next run
        return Item(thing.name, problem="unreachable", detail=f"after {TRIES} tries: {_short(error)}")


def _same(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether an object is what it was, by everything that both answers tell."""
    return all(str(before[name]) == str(after[name]) for name in (*VERSION, "size") if name in before and name in after)


class _TooLarge(Exception):
    pass


def _download(system: Any, thing: _Object, partial: Path, limit: int) -> None:
    """Bring the object into `partial`, going on behind the bytes that are there."""
    if thing.size is None:
        _patiently(lambda: _stream(system, thing.key, partial, limit))
        return
    with partial.open("ab") as stream:
        if stream.tell() > thing.size:
            stream.truncate(0)
        while (offset := stream.seek(0, 2)) < thing.size:
            end = min(offset + BLOCK, thing.size)
            block = _patiently(lambda start=offset, end=end: _range(system, thing, start, end))  # type: ignore[misc]
            if len(block) != end - offset:  # a server that knows no ranges sent everything
                stream.truncate(0)
            stream.write(block)
            stream.flush()


def _range(system: Any, thing: _Object, start: int, end: int) -> bytes:
    block: bytes = system.cat_file(thing.key, start=start, end=end)
    if len(block) not in (end - start, thing.size):
        raise OSError(f"{len(block):,} bytes came where {end - start:,} were asked for")
    return block


def _stream(system: Any, key: str, partial: Path, limit: int) -> None:
    """An object of unknown size, from its beginning."""
    size = 0
    with system.open(key, "rb", block_size=0) as source, partial.open("wb") as stream:
        while block := source.read(1 << 18):
            size += len(block)
            if size > limit:
                raise _TooLarge
            stream.write(block)


def _patiently(work: Callable[[], Any]) -> Any:
    """The result of `work`, which is tried again after what may pass."""
    for attempt in range(TRIES):
        try:
            return work()
        except (FileNotFoundError, PermissionError, IsADirectoryError, _TooLarge, UserError):
            raise
        except Exception as error:
            if attempt == TRIES - 1 or "Credential" in type(error).__name__:
                raise
            time.sleep(PAUSE * 2**attempt)
    raise AssertionError("unreachable")


@contextlib.contextmanager
def _told(where: str, path: str) -> Iterator[None]:
    """Errors of a listing as UserErrors: nothing was read yet, so nothing can be counted."""
    protocol = path.partition("://")[0].lower()
    login = LOGIN.get(
        {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az"}.get(protocol, protocol), "check the login"
    )
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, PermissionError) or "Credential" in type(error).__name__ or "credential" in str(error):
            raise UserError(f"this place wants credentials, or other ones: {_short(error)}", where, login) from None
        raise UserError(
            f"this place does not answer: {_short(error)}", where, "check the address and the net"
        ) from None


def _short(error: BaseException) -> str:
    lines = scrub(error).strip().splitlines()
    return (lines[0][:300] if lines else "") or type(error).__name__
