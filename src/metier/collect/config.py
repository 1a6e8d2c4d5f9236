"""What the recipe's `collect` section may say."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from metier.collect.places.config import DatasetConfig, SqlConfig, WebConfig
from metier.collect.places.credentials import literal_in_address, literal_secrets
from metier.config import Section, execution
from metier.errors import nearest

PLACES = ("path", "sql", "web", "dataset")
ROLES = ("text", "pair", "answer", "label", "value", "group", "time", "title", "language", "license", "split", "id")


class SourceConfig(Section):
    """One place to read from: `path`, `sql`, `web` or `dataset`, exactly one of them."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [name]} for name in PLACES]})

    path: str = execution("")
    """File, folder or glob such as `mail/**/*.eml`, relative to the recipe file; or an address of a store or server,
    such as `s3://bucket/letters/**/*.pdf`. `mirror:name` is looked up below METIER_DATA_MIRROR."""
    url: str = execution("")
    """Where the file can be downloaded from when `path` does not exist; needs `sha256`."""
    sha256: str = ""
    """Expected SHA-256 of the file (hex); a different file is refused."""
    reader: str = ""
    """Force a reader by name; empty: chosen by content and extension."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Tables: role -> column name, such as `{text: message, label: intent, group: customer_no}`. Roles: text, pair
    (a short text that is read with it, or a question about it), answer (what is to be written), label, value, group,
    time, title, language, license, split, id. Empty: guessed from usual names, and the guess is told."""
    encoding: str = ""
    """Text and tables: encoding such as `gb18030`; empty: detected."""
    delimiter: str = ""
    """Delimited tables: the separator; empty: detected."""
    label_from: Literal["", "folder"] = ""
    """`folder`: the name of the file's folder is its label."""
    split: Literal["", "train", "validation", "test"] = ""
    """Put everything of this source into one split (an official test set)."""
    license: str = ""
    """Licence of the texts, kept with every document."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the source's documents that is taken, drawn by a hash of each; the others are counted as left out."""
    only: str = execution("")
    """A file with the ids of the documents that are taken, one a line (`#` begins a remark); its content bears meaning,
    its path does not. The ids are those of documents.parquet. Empty: all."""
    storage_options: dict[str, object] = execution({})
    """With an address in `path`: what its fsspec file system is told, such as `{endpoint_url: "http://store:9000"}`.
    Keys and passwords are named as environment variables: `{secret: "${STORE_SECRET}"}`."""
    sql: SqlConfig | None = execution(None)
    """Rows of a SQL database."""
    web: WebConfig | None = execution(None)
    """Pages of web sites; `web: https://example.org/` is short for its `start`."""
    dataset: DatasetConfig | None = execution(None)
    """A data set of the Hugging Face Hub; `dataset: owner/name` is short for its `name`."""
    refresh: bool = execution(False)
    """`sql`, `web`, `dataset`: ask the place again although its rows or pages are in the cache."""

    @field_validator("columns")
    @classmethod
    def _known_roles(cls, value: dict[str, str]) -> dict[str, str]:
        return _checked(value, ROLES)

    @field_validator("web", mode="before")
    @classmethod
    def _web_by_address(cls, value: object) -> object:
        return {"start": value} if isinstance(value, (str, list)) else value

    @field_validator("dataset", mode="before")
    @classmethod
    def _dataset_by_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_place(self) -> SourceConfig:
        """Errors of this kind show no value, which matters where the value is a password."""
        named = [name for name in PLACES if getattr(self, name)]
        if len(named) != 1:
            told = f"this one names {' and '.join(named)}" if named else "this one names none"
            raise ValueError(f"a source is one of path, sql, web, dataset; {told}")
        if "://" in self.path and literal_in_address(self.path):
            raise ValueError("a password is written out in `path`; name an environment variable: ${PASSWORD}")
        if written := list(literal_secrets(self.storage_options)):
            raise ValueError(
                f"storage_options.{written[0]} is written out; a recipe is copied into every run, so name an "
                "environment variable: ${NAME}"
            )
        if self.storage_options and "://" not in self.path:
            raise ValueError("`storage_options` goes with an address in `path`, such as s3://bucket/folder")
        return self


class IndexConfig(Section):
    """A register that says more about files: a table with one row a file or mail message."""

    path: str = execution(...)
    """The table (any format that the table reader reads), relative to the recipe file; or `mirror:name`. A JSON object
    of plain values is a table too, of the columns `key` and `value`."""
    url: str = execution("")
    """Where the file can be downloaded from when `path` does not exist; needs `sha256`."""
    sha256: str = ""
    """Expected SHA-256 of the file (hex); a different file is refused."""
    key: str
    """Column that names the item: a path relative to its source folder, a file name, a mail's Message-ID, or the `id`
    of a row of a table."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Role -> column name, such as `{label: intent, group: customer_no}`."""
    split: Literal["", "train", "validation", "test"] = ""
    """Put everything that the register names into one split (a list of the items of an official test set)."""
    encoding: str = ""
    """Encoding; empty: detected."""

    @field_validator("columns")
    @classmethod
    def _known_roles(cls, value: dict[str, str]) -> dict[str, str]:
        return _checked(value, tuple(role for role in ROLES if role != "text"))


class MailConfig(Section):
    """What becomes of the parts of a mail that its sender did not write for it."""

    quoted: Literal["keep", "remove"] = "keep"
    """Quoted earlier mails: kept and marked in the metadata, or removed and counted. Forwarded mails always stay."""
    signatures: Literal["keep", "remove"] = "keep"
    """Signatures and disclaimers: kept and marked, or removed and counted."""
    thread_groups: bool = False
    """Whether mails of one thread are one group, so that no split parts them."""


class CollectConfig(Section):
    """Which documents, and how they are read."""

    sources: tuple[SourceConfig, ...] = ()
    """At least one."""
    index: IndexConfig | None = None
    """A register with labels or groups for files that carry none themselves."""
    exclude: tuple[str, ...] = (".*", "~$*", "Thumbs.db", "desktop.ini", "__MACOSX")
    """File or folder names (globs) that are left out; each is counted in the rejected table."""
    attachments: bool = True
    """Read a mail's attachments; their text is added to the message."""
    mail: MailConfig = MailConfig()
    """Quotations, signatures and threads of mails."""
    headers_and_footers: Literal["remove", "keep"] = "remove"
    """PDF: take running headers, footers and page numbers out of the text (each is kept once in the metadata), or leave
    them on their pages."""
    ocr: bool = True
    """Recognise the text of pictures and of PDF pages without a text layer, where the extra `ocr` is installed; such
    pages are rejected with a reason otherwise."""
    max_ocr_pages: int = Field(40, ge=0)
    """Pages of one file that are recognised, at 2 to 8 seconds each on two processors, which stays below
    `max_seconds_per_file`; the other pages are rejected with a reason."""
    max_file_bytes: int = Field(default=512 * 1024 * 1024, gt=0)
    """Bytes; a larger file, or member of an archive, is rejected with its size."""
    max_archive_bytes: int = Field(default=8 * 1024**3, gt=0)
    """Bytes that one file may unpack in all, archives inside archives included; members beyond that are rejected."""
    max_memory_per_file: int = Field(default=4 * 1024**3, ge=0)
    """Bytes that a process may take to read one file before the file is rejected ("out of memory"); 0: no limit."""
    max_seconds_per_file: float = Field(300.0, gt=0)
    """Seconds; a file (or member of an archive) on which a parser hangs is rejected after that time ("timed out"); the
    next run tries it again."""
    workers: int = execution(0, ge=0)
    """Processes that read files; 0: one for each processor."""

    @field_validator("sources", mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        """`sources: folder` and `sources: [a.csv, {path: b}]` are allowed."""
        items = [value] if isinstance(value, (str, dict)) else value
        if isinstance(items, (list, tuple)):
            return tuple({"path": item} if isinstance(item, str) else item for item in items)
        return value


def _checked(columns: dict[str, str], known: tuple[str, ...]) -> dict[str, str]:
    for role in columns:
        if role not in known:
            raise ValueError(f"there is no role '{role}'; {nearest(role, known)}")
    return columns
