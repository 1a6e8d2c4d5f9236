"""What a crawl knows: every address with its state, in one SQLite file that survives a kill.

Purpose: an address is written down before it is asked for and after it was answered, each time in a transaction that is
on the disk before the next request goes out; a run that is stopped goes on with the next address. The finished file is
the record of the crawl: address, time, status, media type, SHA-256 and size of each page, and why each other was left.
Not covered: the pages' bytes, which are objects in the cache.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SCHEMA = """
create table if not exists pages (
    position integer primary key, address text unique not null, kind text not null, depth integer not null,
    state text not null, reason text not null default '', detail text not null default '',
    sha256 text not null default '', size integer not null default 0, status integer not null default 0,
    media_type text not null default '', charset text not null default '', etag text not null default '',
    modified text not null default '', time text not null default '');
create index if not exists waiting on pages (state, kind, position);
create table if not exists robots (host text primary key, answered integer not null, text text not null);
create table if not exists facts (name text primary key, value text not null);
"""


@dataclass(frozen=True)
class Page:
    """One address. state: waiting, done, refused (with reason and detail), moved (detail: where to), skipped."""

    address: str
    kind: str  # page or sitemap
    depth: int
    state: str
    reason: str = ""
    detail: str = ""
    sha256: str = ""
    size: int = 0
    status: int = 0
    media_type: str = ""
    charset: str = ""
    etag: str = ""
    modified: str = ""
    time: str = ""


FIELDS = ", ".join(Page.__dataclass_fields__)


class Frontier:
    """The state of one crawl."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.base = sqlite3.connect(path, isolation_level=None)
        self.base.execute("pragma synchronous = full")
        self.base.executescript(SCHEMA)

    def close(self) -> None:
        self.base.close()

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """All of it, or none of it, is on the disk afterwards."""
        self.base.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.base.execute("rollback")
            raise
        self.base.execute("commit")

    def add(self, address: str, kind: str, depth: int) -> None:
        """An address to ask for, unless it is known; one that was skipped before is asked for now."""
        self.base.execute(
            "insert into pages (address, kind, depth, state) values (?, ?, ?, 'waiting') on conflict (address) "
            "do update set state = 'waiting', depth = excluded.depth, reason = '' where state = 'skipped'",
            (address, kind, depth),
        )

    def skip(self, address: str, depth: int, reason: str) -> None:
        """An address that is not asked for, so that it can be counted."""
        self.base.execute(
            "insert into pages (address, kind, depth, state, reason) values (?, 'page', ?, 'skipped', ?) "
            "on conflict (address) do nothing", (address, depth, reason),
        )  # fmt: skip

    def settle(self, page: Page, state: str, **facts: Any) -> None:
        """The outcome of an address."""
        facts = {"state": state, "time": datetime.now(UTC).isoformat(timespec="seconds"), **facts}
        assert set(facts) <= set(Page.__dataclass_fields__)
        names = ", ".join(f"{name} = ?" for name in facts)
        self.base.execute(f"update pages set {names} where address = ?", (*facts.values(), page.address))

    def next(self) -> Page | None:
        """The address that waits longest; sitemaps first."""
        found = self.pages("state = 'waiting' order by kind desc, position limit 1")
        return found[0] if found else None

    def find(self, address: str) -> Page | None:
        found = self.pages("address = ?", address)
        return found[0] if found else None

    def pages(self, condition: str = "true", *values: Any) -> list[Page]:
        """Addresses under a condition in SQL."""
        return [Page(*row) for row in self.base.execute(f"select {FIELDS} from pages where {condition}", values)]

    def count(self, condition: str) -> int:
        return int(self.base.execute(f"select count(*) from pages where {condition}").fetchone()[0])

    def robots(self, host: str) -> tuple[bool, str] | None:
        """(whether the host answered, its robots.txt); None when it was not asked yet."""
        row = self.base.execute("select answered, text from robots where host = ?", (host,)).fetchone()
        return (bool(row[0]), row[1]) if row else None

    def keep_robots(self, host: str, answered: bool, text: str) -> None:
        self.base.execute("insert or replace into robots values (?, ?, ?)", (host, int(answered), text))

    @property
    def finished(self) -> bool:
        return self.base.execute("select 1 from facts where name = 'finished'").fetchone() is not None

    def finish(self) -> None:
        self.base.execute("insert or replace into facts values ('finished', ?)", (datetime.now(UTC).isoformat(),))

    def write_record(self, path: Path) -> None:
        """Every address that was asked for, as JSON Lines for people."""
        with path.open("w", encoding="utf-8") as stream:
            for page in self.pages("state in ('done', 'refused', 'moved') order by address"):
                told = {name: value for name, value in vars(page).items() if value != ""}
                stream.write(json.dumps(told, ensure_ascii=False) + "\n")
