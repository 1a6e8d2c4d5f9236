"""Real places on this machine: an S3 server, an HTTP server, a PostgreSQL; and a cache of each test's own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; no proxy and no "offline" of the person who runs the tests."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("METIER_CACHE", str(folder))
    for name in ("METIER_OFFLINE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return folder


@dataclass
class Page:
    """What the server says to one path. status 0: it closes the connection; times: how often before it says `then`."""

    body: bytes = b""
    kind: str = "text/html; charset=utf-8"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    slow: float = 0.0
    times: int = 0
    then: Page | None = None
    cut: int = 0  # bytes after which the connection breaks, once for each request


@dataclass
class Site:
    """A web server whose pages a test sets; it writes down what it was asked for."""

    address: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    ranges: bool = True

    def add(self, path: str, body: str | bytes = b"", kind: str = "text/html; charset=utf-8", **more: object) -> None:
        self.pages[path] = Page(body.encode() if isinstance(body, str) else body, kind, **more)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        self._answer(True)

    def do_HEAD(self) -> None:
        self._answer(False)

    def _answer(self, with_body: bool) -> None:
        if with_body:
            self.site.asked.append(self.path)
            self.site.headers.append(dict(self.headers.items()))
        page = self.site.pages.get(self.path, Page(b"not here", status=404))
        if page.then is not None and with_body:
            page.times -= 1
            if page.times < 0:
                page = page.then
        if page.slow:
            threading.Event().wait(page.slow)
        if page.status == 0:
            self.close_connection = True
            self.connection.close()
            return
        body, status = page.body, page.status
        tag = page.headers.get("ETag")
        if tag and self.headers.get("If-None-Match") == tag:
            status, body = 304, b""
        asked = self.headers.get("Range", "")
        extra = {}
        if asked.startswith("bytes=") and self.site.ranges and status == 200:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            end = min(int(last), len(body) - 1) if last else len(body) - 1
            extra["Content-Range"] = f"bytes {first}-{end}/{len(body)}"
            body, status = body[int(first) : end + 1], 206
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in {"Content-Type": page.kind, **page.headers, **extra}.items():
                if value:
                    self.send_header(name, value)
            if "Transfer-Encoding" not in page.headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body and page.cut and len(body) > page.cut:
                self.wfile.write(body[: page.cut])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            elif with_body and "Transfer-Encoding" in page.headers:
                self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            elif with_body:
                self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[Site]:
    """A server on a free port of this machine."""
    site = Site("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfTest", (Handler,), {"site": site}))
    server.daemon_threads = True
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture
def other_site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of moto's S3, a server in this process that speaks the protocol."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """s3(name=bytes, ...) puts objects into a fresh bucket and gives its name; the login is in the environment."""
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "who")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wie-geheim")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    client = boto3.client("s3")
    made = []

    def put(objects: dict[str, bytes], bucket: str = "letters") -> str:
        if bucket not in made:
            client.create_bucket(Bucket=bucket)
            made.append(bucket)
        for name, body in objects.items():
            client.put_object(Bucket=bucket, Key=name, Body=body)
        return bucket

    yield put
    for bucket in made:
        for item in client.list_objects_v2(Bucket=bucket).get("Contents", []):
            client.delete_object(Bucket=bucket, Key=item["Key"])
        client.delete_bucket(Bucket=bucket)


@dataclass(frozen=True)
class Postgres:
    port: int
    password: str

    @property
    def url(self) -> str:
        """As a recipe writes it."""
        return f"postgresql://postgres:${{CLINIC_PASSWORD}}@127.0.0.1:{self.port}/postgres"

    def run(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=self.password,
            dbname="postgres",
            autocommit=True,
        ) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]


def postgres_programs() -> Path | None:
    """Where initdb and postgres are: in the package pgserver, or of the system."""
    if (package := importlib.util.find_spec("pgserver")) and package.origin:
        folder = Path(package.origin).parent / "pginstall" / "bin"
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    candidates = [Path(found).resolve().parent] if found else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in candidates if (folder / "postgres").exists()), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of its own for the session, as an unprivileged user, on a free port of this machine."""
    psycopg = pytest.importorskip("psycopg")
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL: pip install pgserver, or apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="metier-postgres-"))  # pytest closes its own folder to other users
    who: dict[str, Any] = {}
    if os.name != "nt" and os.geteuid() == 0:  # the server refuses to be root
        who = _nobody()
        os.chown(folder, who["user"], who["group"])
        if not all(parent.stat().st_mode & 0o001 for parent in programs.parents):  # a checkout in a closed folder
            packages = programs.parents[2]  # its libraries lie beside the package, and are found from there
            for name in ("pgserver/pginstall", "pgserver.libs"):
                shutil.copytree(packages / name, folder / name, symlinks=True)
            programs = folder / "pgserver" / "pginstall" / "bin"
    server = Postgres(_free_port(), "p@ss/w:rd geheim")
    (folder / "password").write_text(server.password)
    (folder / "password").chmod(0o644)
    try:
        made = subprocess.run(
            [
                str(programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "scram-sha-256",
                "-E", "UTF8", "--locale=C", "--no-sync", f"--pwfile={folder / 'password'}",
            ],
            capture_output=True, text=True, cwd=folder, **who,
        )  # fmt: skip
        if made.returncode:
            pytest.skip(f"PostgreSQL cannot be set up here: {made.stderr.strip()[-300:]}")
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(server.port), "-F",
                    "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
                ],
                stdout=log, stderr=log, cwd=folder, **who,
            )  # fmt: skip
        try:
            for _ in range(600):
                try:
                    server.run("select 1")
                    break
                except psycopg.OperationalError:
                    if process.poll() is not None:
                        pytest.skip(f"PostgreSQL does not start here: {(folder / 'log').read_text()[-300:]}")
                    time.sleep(0.1)
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # ends all sessions, then itself
            process.wait(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _nobody() -> dict[str, Any]:
    import pwd

    found = pwd.getpwnam("nobody")
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
