"""Rows of a SQL database: one SELECT in a read-only transaction, streamed into a snapshot.

Purpose: the database goes on changing, a training set must not. The rows are read once, in an order that the recipe or
the primary key fixes, and kept in the cache; the stage reads the snapshot until `refresh` asks the database again.
Values stay exact: decimals with all digits, times with their zone (PostgreSQL's session is set to UTC), JSON as it is,
bytes as text or base64. Passwords come from the environment and stand in no file and no message.
Trade-off: rows with equal `order_by` values may change places between two snapshots; they are counted and told.
Not covered: following changes; writing; joining several databases.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sqlite3
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metier import tables
from metier.artifact import canonical, hash_file
from metier.collect.accounts import Account, describes
from metier.collect.places import cache, snapshot
from metier.collect.places.config import SqlConfig
from metier.collect.places.credentials import expand, scrub, without_credentials
from metier.collect.places.found import Found
from metier.console import Console
from metier.errors import UserError, need

# Dialect -> (driver that SQLAlchemy is given when the recipe names none, what installs it).
DRIVERS = {
    "postgresql": ("psycopg", 'pip install "metier[postgres]"'),
    "mysql": ("pymysql", "pip install pymysql"),
    "mariadb": ("pymysql", "pip install pymysql"),
    "oracle": ("oracledb", "pip install oracledb"),
    "mssql": ("pyodbc", "pip install pyodbc"),
}
# PostgreSQL's types whose values may lie outside Python's range ('infinity', 44 BC); they come as text.
AS_TEXT = ("date", "timestamp", "timestamptz", "time", "timetz", "interval")


@describes(
    "sql",
    Account(
        title="SQL databases",
        takes=("postgresql://", "sqlite:///", "mysql://", "oracle://", "mssql://"),
        kept=("one text a row of a table or a SELECT, in a fixed order, from a read-only transaction",),
        counted={"the other columns": "under their own names: decimals with all digits, times as ISO 8601, JSON as it "
                 "is, bytes that are no text as base64"},
        refused={
            "unreadable row": "a value that has no plain form",
            "undecodable row": "text in another encoding than `sql.encoding` says",
            "empty text": "the text column is NULL or empty",
        },
        lost=("what changes in the database after the snapshot, until `refresh`",),
        libraries=("SQLAlchemy", "psycopg"),
        extra="sql",
        kind="place",
    ),
)  # fmt: skip
def fetch(config: SqlConfig, refresh: bool, base: Path, console: Console) -> Found:
    """The rows as the files of a snapshot: the one in the cache, or a new one.

    base: where relative paths begin. UserError: no such database or table, no order, no rows, a wrong login.
    """
    name = re.sub(r"[^\w-]+", "_", config.table).strip("_") or "query"
    shown = without_credentials(config.url)
    file = _sqlite_file(config, base)
    asked = {"url": shown, "bytes": _bytes(file)} | config.model_dump(
        mode="json", exclude={"url", "fetch_rows", "timeout_seconds"}
    )  # fmt: skip
    folder = cache.folder("snapshots") / tables.digest("sql", canonical(asked))
    with cache.alone(folder):
        if not refresh and (found := snapshot.load(folder)):
            return found
        if file is None:
            cache.need_network("this database", shown)
        with snapshot.Writer(
            folder, name, f"{shown}, {config.table or 'a query'}", config.rows_per_file, config.encoding
        ) as out:
            _copy(config, file, out, console)
            out.finish()
    found = snapshot.load(folder)
    assert found is not None
    if not found.items:
        raise UserError("the query gives no rows", shown, "mend `collect.sources: sql`")
    return found


def _copy(config: SqlConfig, file: Path | None, out: snapshot.Writer, console: Console) -> None:
    shown = without_credentials(config.url)
    sqlalchemy = need("sqlalchemy", "sql")
    engine = _engine(config, file)
    try:
        with engine.connect() as connection, contextlib.closing(connection.begin()) as transaction:
            _read_only(connection)
            statement, order = _statement(config, connection, shown)
            streamed = connection.execution_options(stream_results=True, yield_per=config.fetch_rows, max_row_buffer=1)
            result = streamed.execute(sqlalchemy.text(statement))
            with console.progress(f"reading {out.name} of {shown}", total=None, unit="rows") as meter:
                _rows(result, order, out, meter)
            transaction.rollback()  # nothing was meant to change
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, OSError, UnicodeError) as error:
        raise UserError(f"the database says: {_reason(error)}", shown,
                        "check the address, the login and the query") from None  # fmt: skip
    finally:
        engine.dispose()


def _rows(result: Any, order: Sequence[str], out: snapshot.Writer, meter: Any) -> None:
    """Every row into the snapshot; a row with a value that has no plain form is refused."""
    names = _unique(list(map(str, result.keys())))
    keys = [names.index(column) for column in order if column in names]
    number = ties = 0
    last: list[Any] | None = None
    for batch in result.partitions():
        for row in batch:
            number += 1
            try:
                out.add(dict(zip(names, row, strict=True)))
            except (TypeError, ValueError) as error:
                out.refuse(f"#{number}", "unreadable row", scrub(error)[:300])
            place = [row[index] for index in keys]
            ties += bool(keys) and len(keys) == len(order) and place == last
            last = place
        meter.advance(len(batch))
    if ties:
        out.warnings.append(f"{out.name}: {ties:,} rows have the same {', '.join(order)} as the row before; their "
                            "order may differ the next time; order by a unique key")  # fmt: skip


def _engine(config: SqlConfig, file: Path | None) -> Any:
    """An engine without a pool whose connections can only read, as far as the database lets us say so."""
    sqlalchemy = need("sqlalchemy", "sql")
    if file is not None:
        return sqlalchemy.create_engine(
            "sqlite://", creator=lambda: _sqlite(file, config), poolclass=sqlalchemy.pool.NullPool
        )
    where = "collect.sources: sql.url"
    try:
        url = sqlalchemy.engine.make_url(config.url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise UserError("this is no database address", without_credentials(config.url),
                        "write it as in postgresql://user:${PGPASSWORD}@host/database") from None  # fmt: skip
    parts = {name: expand(value, where) for name in ("username", "password", "host", "database")
             if isinstance(value := getattr(url, name), str)}  # fmt: skip
    url = url.set(**parts, query={name: expand(value, where) if isinstance(value, str) else value
                                  for name, value in url.query.items()})  # fmt: skip
    dialect, _, driver = url.drivername.partition("+")
    dialect = "postgresql" if dialect == "postgres" else dialect
    if dialect in DRIVERS and not driver:
        driver, fix = DRIVERS[dialect]
        if importlib.util.find_spec(driver) is None:
            raise UserError(f"the package '{driver}' is not installed", f"needed to read {dialect}", fix)
    url = url.set(drivername=f"{dialect}+{driver}" if driver else dialect)
    patience = {"psycopg": {"connect_timeout": max(2, round(config.timeout_seconds))},
                "pymysql": {"connect_timeout": max(1, round(config.timeout_seconds))}}.get(driver, {})  # fmt: skip
    try:
        return sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool, connect_args=patience)
    except sqlalchemy.exc.NoSuchModuleError as error:
        raise UserError(f"SQLAlchemy knows no such database: {error}", without_credentials(config.url),
                        "write postgresql://, mysql://, sqlite:///, ...") from None  # fmt: skip
    except ModuleNotFoundError as error:
        raise UserError(f"the package '{error.name}' is not installed", f"needed to read {dialect}",
                        f"pip install {error.name}") from None  # fmt: skip


def _read_only(connection: Any) -> None:
    """The first words of the transaction: one state of the data, nothing may be written, times in UTC."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
        connection.exec_driver_sql("SET LOCAL DateStyle TO 'ISO'")
        connection.exec_driver_sql("SET LOCAL IntervalStyle TO 'iso_8601'")
        driver = connection.connection.driver_connection
        if type(driver).__module__.partition(".")[0] == "psycopg":
            from psycopg.types.string import TextLoader

            class Times(TextLoader):
                """Times as text; a year or an 'infinity' that Python has no date for would end the whole query."""

                def load(self, data: Any) -> str | bytes:
                    return _iso(super().load(data))

            for kind in AS_TEXT:
                driver.adapters.register_loader(kind, Times)


def _statement(config: SqlConfig, connection: Any, shown: str) -> tuple[str, list[str]]:
    """The SELECT, and the columns that order it as far as we know them."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    order = ", ".join(map(quote, config.order_by))
    if config.query:
        query = config.query.strip().rstrip(";")
        bare = _bare(query)
        if not re.match(r"\s*(select|with|values|table)\b", bare, re.I) or ";" in bare:
            raise UserError("only one SELECT is run", "collect.sources: sql.query", "write `SELECT ... ORDER BY ...`")
        if order:
            return f"SELECT * FROM ({query}) AS metier_rows ORDER BY {order}".replace(":", r"\:"), list(config.order_by)
        if not re.search(r"\border\s+by\b", bare, re.I):
            raise UserError(
                "the query has no ORDER BY, so its rows would come in an order of the moment",
                "collect.sources: sql.query", "add `ORDER BY` a unique key, or name it in `order_by`",
            )  # fmt: skip
        return query.replace(":", r"\:"), []
    keys = list(config.order_by) or _primary_key(connection, config.table)
    if not keys:
        raise UserError(f"the table {config.table} has no primary key that would order its rows", shown,
                        "name a unique column in `order_by`")  # fmt: skip
    columns = ", ".join(map(quote, config.columns)) or "*"
    table = ".".join(map(quote, config.table.split(".")))
    return f"SELECT {columns} FROM {table} ORDER BY {', '.join(map(quote, keys))}".replace(":", r"\:"), keys


def _primary_key(connection: Any, table: str) -> list[str]:
    sqlalchemy = need("sqlalchemy", "sql")
    schema, _, name = table.rpartition(".")
    try:
        found = sqlalchemy.inspect(connection).get_pk_constraint(name, schema=schema or None)
    except sqlalchemy.exc.NoSuchTableError:
        names = sqlalchemy.inspect(connection).get_table_names(schema=schema or None)
        listed = ", ".join(sorted(names)[:20]) or "no tables"
        raise UserError(
            f"there is no table called {table}", "collect.sources: sql.table", f"it has: {listed}"
        ) from None
    return list(found.get("constrained_columns") or ())


def _bare(query: str) -> str:
    """The outermost level of a statement: without strings, comments and what stands in parentheses."""
    text = re.sub(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", " ", query, flags=re.S)
    while (shorter := re.sub(r"\([^()]*\)", " ", text)) != text:
        text = shorter
    return text


def _sqlite_file(config: SqlConfig, base: Path) -> Path | None:
    """The file of an SQLite address; None for a server."""
    if not re.match(r"sqlite(\+\w+)?://", config.url, re.I):
        return None
    name = expand(urllib.parse.unquote(config.url.partition("://")[2].partition("?")[0].removeprefix("/")), "sql.url")
    path = (base / Path(name).expanduser()).absolute()
    if not name or not path.is_file():
        raise UserError(
            "there is no such SQLite file", str(path), "write sqlite:///folder/file.db, relative to the recipe"
        )
    return path


def _bytes(file: Path | None) -> list[str]:
    """The hashes of an SQLite file and its journal: a local file is read again when it changed, as any other."""
    journal = [file.with_name(file.name + "-wal")] if file else []
    return [hash_file(path) for path in ([file] if file else []) + journal if path.is_file()]


def _sqlite(file: Path, config: SqlConfig) -> sqlite3.Connection:
    """A connection that cannot write. Text that is not UTF-8 is decoded, or stays visible as damaged."""
    connection = sqlite3.connect(
        f"{file.as_uri()}?mode=ro", uri=True, timeout=config.timeout_seconds, check_same_thread=False
    )
    codec = config.encoding or "utf-8"
    connection.text_factory = lambda data: data.decode(codec, "surrogateescape")
    return connection


def _iso(value: Any) -> Any:
    """PostgreSQL's '2024-03-01 09:30:00+00' as ISO 8601; 'infinity' and the like as they are."""
    if isinstance(value, str) and (
        found := re.fullmatch(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)(\+00)?", value)
    ):
        return f"{found[1]}T{found[2]}{'+00:00' if found[3] else ''}"
    return value


def _unique(names: list[str]) -> list[str]:
    from metier.collect.delimited import unique

    return unique(names)


def _reason(error: BaseException) -> str:
    """The database's own sentence: no statement, no parameters, no password."""
    inner = getattr(error, "orig", None) or error
    lines = [line.strip() for line in scrub(inner).splitlines() if line.strip()]
    return " ".join(lines)[:400] or type(inner).__name__
