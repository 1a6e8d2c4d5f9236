"""Any bytes end as a Reading or as Unreadable, never as another exception, and within bounded time.

Files that readers know are made here, small, and then mutated: bytes changed, cut out, repeated, parts of other files
put in. The quick run is some dozen files for each reader; `-m slow` runs many more.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import random
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metier.collect import delimited, encoding, oxrtf, quotes, readers
from metier.collect.reading import Budget, Options, Reading, Unreadable

from . import outlook
from .samples import docx, message, paragraph, pdf
from .test_archive import tarred, zipped
from .test_mail_parts import ICS
from .test_msg import RTF_PAGE, lzfu
from .test_shapes import CONLL, ROWS, lines
from .test_xml import JATS, PUBMED, RECORDS, SUBMISSION

SECONDS = 5.0  # for one small file; they take milliseconds


def _parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": ["one", "二"], "label": ["x", "y"]}), stream)
    return stream.getvalue()


def _arrow() -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"text": ["one", "二"], "label": ["x", "y"]})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


ATTACHED = (("a.csv", b"text,label\na,b\n"), ("x.zip", zipped(("a", b"b"))))
MAIL = bytes(message("主题", "body\n\n> quoted\n-- \nname", *ATTACHED))
ZIPPED = zipped(("a/b.txt", b"text"), ("c.csv", b"text,label\na,b\n"), ("d.zip", zipped(("e", b"f"))))
ENVELOPE = b"From a@b Fri Jan  2 21:46:00 2026\n"
QA = {"question": "q", "answers": [{"text": "b", "answer_start": 2}]}
SQUAD = {"title": "t", "paragraphs": [{"context": "a b", "qas": [QA]}]}
INNER = outlook.message({"1000": "inner"}, header=24)
OUTER = outlook.message(
    {"0037": "subject", "1000": "body"}, outlook.attached("a.txt", b"x"), outlook.embedded("m", INNER)
)
SEEDS: dict[str, bytes] = {
    "a.csv": '文本,标签\n"quoted, text",x\n一,y\n'.encode(),
    "b.csv": "客户,要求\n退款,是\n".encode("gb18030"),
    "a.tsv": b"text\tlabel\none\tx\n",
    "a.jsonl": lines(*(row for row, _, _ in ROWS.values())),
    "a.json": json.dumps([ROWS["spans"][0], ROWS["messages"][0]]).encode(),
    "squad.json": json.dumps({"data": [SQUAD]}).encode(),
    "a.conll": CONLL.encode(),
    "a.xml": RECORDS.encode(),
    "pubmed.xml": PUBMED.encode(),
    "a.nxml": JATS.encode(),
    "sec.txt": SUBMISSION.encode(),
    "a.eml": MAIL,
    "a.mbox": ENVELOPE + MAIL + b"\n" + ENVELOPE + MAIL,
    "a.ics": ICS.encode(),
    "a.zip": ZIPPED,
    "a.tar": tarred(("a/b.txt", b"text"), ("c.csv", b"text,label\na,b\n")),
    "a.tar.gz": gzip.compress(tarred(("a", b"b"))),
    "a.txt.bz2": bz2.compress(b"text " * 100),
    "a.docx": docx(paragraph("text"), comments=paragraph("note")),
    "a.html": b"<html><body><table><tr><td>a</td></tr></table><p>text</p></body></html>",
    "a.txt": "纯文本 plain é 😀".encode(),
    "u.txt": "宽字符文本".encode("utf-16"),
    "a.parquet": _parquet(),
    "a.arrow": _arrow(),
    "a.msg": outlook.cfb(OUTER),
    "a.pdf": pdf([["text"]]),
}
OWN = [name for name in SEEDS if not name.endswith(".pdf")]  # that parser is native code, and has a process of its own


def check(data: bytes, name: str) -> None:
    """The promise of every reader."""
    start = time.monotonic()
    options = Options(budget=Budget(bytes=50_000_000, members=2_000), max_bytes=20_000_000)
    try:
        reading = readers.read(data, name, options)
    except Unreadable as error:
        assert error.reason and len(error.reason) < 40
    else:
        assert isinstance(reading, Reading) and (reading.pieces or reading.refused)
        for piece in reading.pieces:
            assert (piece.text.strip() and "\ufffd" not in piece.text) or b"\xef\xbf\xbd" in data or _may_hold(data)
            json.dumps(piece.metadata, allow_nan=False)
        assert all(refusal.reason for refusal in reading.refused)
    assert time.monotonic() - start < SECONDS, name


def _may_hold(data: bytes) -> bool:
    """U+FFFD may stand in a file by its own right: written in UTF-16, as an entity, or inside something packed."""
    return b"\xfd\xff" in data or b"\xff\xfd" in data or b"FFFD" in data.upper() or b"65533" in data or (
        data[:2] in (b"PK", b"\x1f\x8b", b"BZ") or b"base64" in data or len(data) > 1500)  # fmt: skip


def mutated(seed: int, name: str) -> bytes:
    """A file with some damage; the same for the same seed."""
    chance = random.Random(f"{name} {seed}")
    data = bytearray(SEEDS[name])
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at, size = chance.randrange(len(data) + 1), chance.choice((1, 1, 2, 4, 16, 200))
        kind = chance.randrange(7)
        if kind == 0 and data:
            data[at % len(data)] = chance.randrange(256)
        elif kind == 1:
            del data[at : at + size]
        elif kind == 2:
            data[at:at] = data[at : at + size] * chance.choice((1, 2, 50))
        elif kind == 3:
            data[at:at] = chance.choice(
                (b"\x00", b"\xff\xff\xff\xff", b'"', b"\n\n", b"<", b"&x;", b"{[", b"\xb5\xe3", b"-1")
            )
        elif kind == 4:
            data = data[:at]
        elif kind == 5:
            other = SEEDS[chance.choice(OWN)]
            data[at:at] = other[chance.randrange(len(other)) :][: chance.choice((8, 100, 2000))]
        else:
            data[at : at + 4] = (1 << chance.randrange(32)).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize("name", OWN)
def test_mutated_files(name: str) -> None:
    for seed in range(40):
        check(mutated(seed, name), name)


@pytest.mark.parametrize(
    ("name", "seed"),
    [("a.msg", 1562), ("a.zip", 2216), ("a.zip", 1462), ("a.eml", 347), ("a.eml", 526), ("a.arrow", 48)],
)
def test_files_that_once_broke_a_reader(name: str, seed: int) -> None:
    check(mutated(seed, name), name)


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_many_mutated_files(name: str) -> None:
    for seed in range(40, 4_000):
        check(mutated(seed, name), name)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=400), st.sampled_from([name.split(".", 1)[1] for name in OWN]))
def test_any_bytes_under_any_name(data: bytes, suffix: str) -> None:
    if data.strip():
        check(data, f"a.{suffix}")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text(max_size=300),
    st.sampled_from(["csv", "json", "jsonl", "xml", "eml", "mbox", "ics", "conll", "html", "txt"]),
)
def test_any_text_under_any_name(text: str, suffix: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    if data.strip():
        check(data, f"a.{suffix}")


KEYS = """text label messages role content tokens tags spans start end context question answers chosen rejected qas
paragraphs instruction output conversations from value"""
COLUMNS = sorted({key for row, _, _ in ROWS.values() for key in row})
LEAVES = st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats(allow_nan=False) | st.text(max_size=8)
CELLS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(st.sampled_from(COLUMNS), CELLS, min_size=1), min_size=1, max_size=4))
def test_any_objects_as_rows(rows: list[dict]) -> None:
    check(json.dumps(rows).encode(), "a.json")
    check(lines(*rows), "a.jsonl")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_parts_that_take_bytes(data: bytes) -> None:
    for lenient in (False, True):
        try:
            decoded = encoding.decode(data, lenient=lenient)
        except Unreadable:
            continue
        assert "\ufffd" not in decoded.text or b"\xef\xbf\xbd" in data or _may_hold(data)
    with contextlib.suppress(Unreadable):
        oxrtf.page(oxrtf.unpack(lzfu(RTF_PAGE)[:16] + data, 10_000))
    oxrtf.page(data)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet='",\t;|\n\r\x00a1文', max_size=120))
def test_delimited_text_loses_no_line(text: str) -> None:
    grid = delimited.parse(text)
    widths = {len(line.fields) for line in grid.lines if not line.problem} | (
        {len(grid.names)} if grid.names else set()
    )
    assert len(widths) <= 1
    kept = sum(len("".join(line.fields)) for line in grid.lines) + len("".join(grid.names))
    assert kept or not text.strip('",\t;|\n\r\x00')
    quotes.marks(text)
