"""What the recipe may say about a place that is not a folder of this machine: database, web site, data set.

The rows or pages that come out of a place decide the result, and they enter the identity as bytes; the settings here
only lead to them. So each of these sections as a whole is `execution` where `SourceConfig` names it.
"""

from __future__ import annotations

import codecs
import re
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from metier.collect.places.credentials import literal_in_address
from metier.config import Section

READABLE = (
    "text/", "application/xhtml+xml", "application/pdf", "application/json", "application/xml", "application/rtf",
    "application/msword", "application/vnd.", "application/epub+zip", "application/octet-stream", "message/rfc822",
)  # fmt: skip


class SqlConfig(Section):
    """Rows of a SQL database, read once in a read-only transaction and kept as a snapshot."""

    url: str
    """SQLAlchemy address such as `postgresql://reader:${PGPASSWORD}@host/clinic` or `sqlite:///cases.db` (relative to
    the recipe file). Passwords are named as environment variables, never written out."""
    query: str = ""
    """One SELECT; it needs an ORDER BY, or `order_by` here. Either `query` or `table`."""
    table: str = ""
    """Table or view, `schema.table` where needed."""
    columns: tuple[str, ...] = ()
    """With `table`: which columns; empty: all."""
    order_by: tuple[str, ...] = ()
    """Columns that give every row its place, best a unique key; empty: the ORDER BY of the query, or the table's
    primary key."""
    encoding: str = ""
    """Encoding of text that is not UTF-8, such as `gb18030` (SQLite and SQL_ASCII databases hold any bytes)."""
    rows_per_file: int = Field(50_000, gt=0)
    """Rows in one file of the snapshot; a row is called `cases-00001.jsonl#17`."""
    fetch_rows: int = Field(2_000, gt=0)
    """Rows that the server hands over at a time; bounds memory."""
    timeout_seconds: float = Field(30.0, gt=0)
    """Seconds until a server that does not answer is given up."""

    @field_validator("columns", "order_by", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            return codecs.lookup(value).name if value else ""
        except LookupError:
            raise ValueError("there is no encoding of that name") from None

    @model_validator(mode="after")
    def _consistent(self) -> SqlConfig:
        if literal_in_address(self.url):
            raise ValueError("a password is written out in `url`; name an environment variable: ${PGPASSWORD}")
        if bool(self.query.strip()) == bool(self.table.strip()):
            raise ValueError("name either `query` or `table`")
        if self.columns and not self.table:
            raise ValueError("`columns` goes with `table`; a query names its own columns")
        return self


class WebConfig(Section):
    """Pages of web sites, fetched politely and kept: robots.txt decides, one request at a time for each host."""

    start: tuple[str, ...] = ()
    """Addresses to begin with."""
    sitemap: tuple[str, ...] = ()
    """Addresses of sitemap files (also an index of them, also .gz); `robots`: those that robots.txt names."""
    allow: tuple[str, ...] = ()
    """Globs of what is fetched, over the path (`/news/*`) or, with `://`, over the whole address; empty: all."""
    deny: tuple[str, ...] = ()
    """Globs of what is not fetched; stronger than `allow`."""
    hosts: tuple[str, ...] = ()
    """Further hosts whose links are followed; links to any other host are counted and not followed."""
    depth: int = Field(3, ge=0)
    """Links away from a start page; 0: only the pages named."""
    max_pages: int = Field(1_000, gt=0)
    """Pages that are asked for at most."""
    delay_seconds: float = Field(1.0, ge=0)
    """Seconds between two requests to one host; a longer Crawl-delay in robots.txt wins."""
    timeout_seconds: float = Field(30.0, gt=0)
    """Seconds without an answer; a page that drips is given up after ten times that."""
    retries: int = Field(3, ge=0, le=10)
    """Tries after the first for what may pass: no connection, 429, 500, 502, 503, 504."""
    backoff_seconds: float = Field(1.0, ge=0)
    """Seconds before the first further try, doubled each time; `Retry-After` wins, up to a minute."""
    contact: str = ""
    """Mail address or page of yours, put into the user agent so that a site's owner can reach you."""
    types: tuple[str, ...] = READABLE
    """Beginnings of the media types that are fetched; others are refused by their header, before the body."""

    @field_validator("start", "sitemap", "allow", "deny", "hosts", "types", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("contact")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isprintable() or not value.isascii():
            raise ValueError("a header holds printable ASCII only")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> WebConfig:
        if not self.start and not self.sitemap:
            raise ValueError("name `start` or `sitemap`")
        if "robots" in self.sitemap and not self.start:
            raise ValueError("`sitemap: robots` needs a `start` that says whose robots.txt")
        for address in (*self.start, *self.sitemap):
            if address != "robots" and not re.match(r"https?://[^/\s]", address, re.I):
                raise ValueError("addresses begin with https:// or http://")
            if "@" in urlsplit(address).netloc:
                raise ValueError("an address carries a user or password; sites with a login are not read")
        return self


class DatasetConfig(Section):
    """A data set of the Hugging Face Hub, fetched once and kept as a snapshot."""

    name: str
    """Name on the Hub, such as `owner/name`, or a local folder that `datasets` can load."""
    config: str = ""
    """Configuration (subset) of the data set."""
    split: str = ""
    """Such as `train` or `train[:1000]`; empty: all, told apart by a column `split`."""
    revision: str = ""
    """Commit, tag or branch; name a commit, since a branch moves."""
    rows_per_file: int = Field(50_000, gt=0)
    """Rows in one file of the snapshot."""
