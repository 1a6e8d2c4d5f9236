"""TFRecord files that TensorFlow wrote, and what happens to them when bytes are damaged."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.collect import readers, tfrecord
from metier.collect.reading import Options, Unreadable

FILES = Path(__file__).parent / "places" / "tensorflow"
TEXTS = ["the pump was replaced in ward three", "三号病房的水泵已经更换。", "please send the invoice again"]


def framed(body: bytes) -> bytes:
    """A record as TensorFlow writes it, by its own description."""
    head = struct.pack("<Q", len(body))
    sums = [struct.pack("<I", tfrecord.masked(tfrecord._plain_crc32c(part))) for part in (head, body)]
    return head + sums[0] + body + sums[1]


@pytest.mark.parametrize("packing", ["plain", "gzip", "zlib"])
def test_examples_of_tensorflow(packing: str) -> None:
    data = (FILES / f"examples-{packing}.tfrecord").read_bytes()
    reading = readers.read(data, "part-00000-of-00001", Options(columns={"text": "text", "label": "label"}))
    assert [piece.text for piece in reading.pieces] == TEXTS
    assert [piece.metadata["label"] for piece in reading.pieces] == ["repair", "repair", "invoice"]
    first = reading.pieces[0].metadata
    assert first["counts"] == [1, -2, 300_000_000_000] and first["score"] == 0.5
    assert first["raw"] == "base64://4A" and "empty" not in first
    assert reading.pieces[1].metadata["counts"] == 0
    assert not reading.refused


def test_a_sequence_example() -> None:
    record = next(tfrecord.records((FILES / "sequence.tfrecord").read_bytes()))
    assert tfrecord.example(record.data) == {
        "text": [b"a visit in two steps"], "step": [[b"arrival"], [b"talk", b"tea"]], "minutes": [[5], [30, 4]],
    }  # fmt: skip


def test_a_damaged_record_is_counted_and_the_next_is_read() -> None:
    data = bytearray((FILES / "examples-plain.tfrecord").read_bytes())
    first = 12 + int.from_bytes(data[:8], "little") + 4
    data[20] ^= 1
    reading = readers.read(bytes(data), "x.tfrecord", Options(columns={"text": "text"}))
    assert [piece.text for piece in reading.pieces] == TEXTS[1:]
    assert [(r.part, r.reason) for r in reading.refused] == [("#1", "damaged record")]
    assert "at byte 0: the checksum of a record" in reading.refused[0].detail
    data[20] ^= 1
    data[first + 3] ^= 1  # a length that cannot be trusted: what follows cannot be found
    reading = readers.read(bytes(data), "x.tfrecord", Options(columns={"text": "text"}))
    assert [piece.text for piece in reading.pieces] == TEXTS[:1]
    assert f"at byte {first:,}: the checksum of the length is wrong; the last {len(data) - first:,} bytes" in (
        reading.refused[0].detail
    )
    cut = readers.read(bytes((FILES / "examples-plain.tfrecord").read_bytes()[:-5]), "x.tfrecord", Options())
    assert len(cut.pieces) == 2 and "ends within a record" in cut.refused[0].detail


def test_records_of_other_messages_are_refused_with_their_place() -> None:
    reading = readers.read(framed(b"\x08\x01") + (FILES / "examples-plain.tfrecord").read_bytes(), "x", Options())
    assert len(reading.pieces) == 3
    assert "at byte 0: no tf.train.Example" in reading.refused[0].detail


def test_a_packed_file_that_is_too_large_or_cut() -> None:
    data = (FILES / "examples-zlib.tfrecord").read_bytes()
    with pytest.raises(Unreadable, match="too large"):
        readers.read(data, "x.tfrecord", Options(max_bytes=100))
    assert not tfrecord.looks(b"x\x9c not packed at all")
    assert len(readers.read(data[:-40], "x.tfrecord", Options()).refused) == 1


def test_the_checksum_is_the_standards() -> None:
    assert tfrecord._plain_crc32c(b"123456789") == 0xE3069283  # RFC 3720's check value
    assert tfrecord._plain_crc32c(b"\x00" * 32) == 0x8A9136AA


@given(st.binary(max_size=300))
def test_both_checksums_agree(data: bytes) -> None:
    quick = pytest.importorskip("google_crc32c")
    assert tfrecord._plain_crc32c(data) == quick.value(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_example_or_a_reason(data: bytes) -> None:
    try:
        row = tfrecord.example(data)
    except ValueError:
        return
    assert all(isinstance(values, list) for values in row.values())


@given(st.binary(max_size=120), st.integers(0, 400), st.integers(1, 255))
def test_any_change_of_a_byte_is_noticed(body: bytes, place: int, change: int) -> None:
    data = bytearray(framed(body) + framed(b"second"))
    data[place % len(data)] ^= change
    assert [record.data for record in tfrecord.records(bytes(data)) if not record.problem] != [body, b"second"]
    assert any(record.problem for record in tfrecord.records(bytes(data)))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5))
def test_whole_numbers_keep_all_their_bits(numbers: list[int]) -> None:
    def varint(value: int) -> bytes:
        value &= (1 << 64) - 1
        parts = []
        while value > 0x7F:
            parts.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes([*parts, value])

    def field(number: int, body: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(body)) + body

    packed = field(1, b"".join(map(varint, numbers)))
    entry = field(1, b"n") + field(2, field(3, packed))
    assert tfrecord.example(field(1, field(1, entry))) == {"n": numbers}


# -- folders of TensorFlow Datasets ------------------------------------------------------------------------------------


@pytest.fixture
def visits(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("METIER_CACHE", str(inbox.parent / "cache"))
    return Path(shutil.copytree(FILES / "visits", inbox / "visits")) / "1.0.0"


def test_a_folder_of_tensorflow_datasets(run: Any, visits: Path) -> None:
    for path in ("visits", "visits/1.0.0"):
        summary, documents, rejected = run(sources=[{"path": path}])
        assert rejected == [] and len(documents) == 4
        by_text = {document["text"]: document["metadata"] for document in documents}
        assert by_text[TEXTS[1]] == {
            "encoding": "utf-8", "label": "repair", "split": "train", "urgent": True, "minutes": [0],
            "vector": [1.0, 0.5], "inner": {"note": "note 1"}, "steps": {"kind": ["a"], "what": ["call"]},
        }  # fmt: skip
        assert by_text[TEXTS[2]]["label"] == "invoice" and by_text["who pays for the lamp"]["split"] == "test"
        assert any("left out: grid, picture" in text for text in summary["warnings"])


def test_a_lost_and_a_short_file_are_counted(run: Any, visits: Path) -> None:
    train = visits / "visits-train.tfrecord-00000-of-00001"
    whole = train.read_bytes()
    train.write_bytes(whole[: 12 + int.from_bytes(whole[:8], "little") + 4])
    (visits / "visits-test.tfrecord-00000-of-00001").unlink()
    _, documents, rejected = run(sources=[{"path": "visits"}])
    assert len(documents) == 1
    assert {row["reason"]: row["detail"] for row in rejected} == {
        "missing file": "dataset_info.json promises 1 examples in it",
        "missing rows": "1 examples are there, dataset_info.json promises 3",
    }


def test_compressed_bytes_that_lie_are_refused() -> None:
    bomb = zlib.compress(framed(b"\x00" * 5_000_000))
    with pytest.raises(Unreadable, match="too large"):
        readers.read(bomb, "x.tfrecord", Options(max_bytes=1_000_000))
