"""Data sets: saved to disk, of the Hub, and handed over by a program."""

from __future__ import annotations

import datetime
import decimal
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.collect.places.conftest import Site

from metier.artifact import fingerprint
from metier.collect import from_python
from metier.collect.config import CollectConfig
from metier.collect.places import snapshot
from metier.collect.stage import find_inputs, identity
from metier.errors import UserError

ROWS = [{"text": "the pump is broken", "label": "repair"}, {"text": "水泵坏了", "label": "repair"},
        {"text": "please pay", "label": "invoice"}]  # fmt: skip


def known(base: Path, **source: Any) -> str:
    config = CollectConfig(sources=[source])
    return fingerprint(identity(config, find_inputs(config, base)))


# -- saved to disk -----------------------------------------------------------------------------------------------------


def saved_set(rows: list[dict[str, Any]]) -> Any:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["repair", "invoice"]),
         "tags": datasets.List(datasets.ClassLabel(names=["x", "y"])), "inner": {"note": datasets.Value("string")}}
    )  # fmt: skip
    return datasets.Dataset.from_list(
        [{**row, "tags": ["y"], "inner": {"note": "n"}} for row in rows], features=features
    )


def test_a_set_saved_to_disk_with_its_label_names(run: Any, inbox: Path) -> None:
    saved_set(ROWS).save_to_disk(inbox / "set")
    _, documents, rejected = run(sources=["set"])
    assert rejected == []
    assert [(d["source"], d["text"], d["metadata"]["label"]) for d in documents] == [
        (f"rows-00001.jsonl#{number}", row["text"], row["label"]) for number, row in enumerate(ROWS, 1)
    ]
    assert documents[0]["metadata"]["tags"] == ["y"] and documents[0]["metadata"]["inner"] == {"note": "n"}


def test_a_dictionary_of_splits(run: Any, inbox: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.DatasetDict({"train": saved_set(ROWS[:2]), "test": saved_set(ROWS[2:])}).save_to_disk(inbox / "set")
    _, documents, _ = run(sources=[{"path": "set", "columns": {"text": "text", "label": "label", "split": "split"}}])
    assert [d["metadata"]["split"] for d in documents] == ["train", "train", "test"]
    before = known(inbox, path="set")
    (inbox / "set").rename(inbox / "moved")
    assert known(inbox, path="moved") == before
    next((inbox / "moved" / "test").glob("*.arrow")).unlink()
    with pytest.raises(UserError, match="which is not there"):
        find_inputs(CollectConfig(sources=["moved"]), inbox)


def test_a_folder_of_arrow_files_and_a_damaged_one(run: Any, inbox: Path) -> None:
    table = pa.table({"text": ["one", "two"], "label": ["a", "b"]})
    (inbox / "set").mkdir()
    with pa.OSFile(str(inbox / "set" / "x-train.arrow"), "wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    with pa.OSFile(str(inbox / "set" / "x-test.arrow"), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table.slice(1))
    (inbox / "set" / "y.arrow").write_bytes(b"no arrow at all")
    _, documents, rejected = run(sources=["set"])
    assert sorted((d["text"], d["metadata"]["split"]) for d in documents) == [
        ("one", "train"), ("two", "test"), ("two", "train"),
    ]  # fmt: skip
    assert [(row["source"], row["reason"]) for row in rejected] == [("rows/y.arrow", "damaged")]


def test_arrow_is_read_without_the_library_that_wrote_it(
    run: Any, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved_set(ROWS).save_to_disk(inbox / "set")
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert run(sources=["set"])[0]["documents"] == 3


# -- the Hub -----------------------------------------------------------------------------------------------------------


def test_a_data_set_by_name_is_kept(run: Any, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    asked = []

    def load(name: str, config: Any, split: Any, revision: Any) -> Any:
        asked.append((name, config, split, revision))
        return datasets.DatasetDict({"train": saved_set(ROWS[:2]), "test": saved_set(ROWS[2:])})

    monkeypatch.setattr(datasets, "load_dataset", load)
    source = {"dataset": {"name": "owner/letters", "config": "small", "revision": "abc"}}
    _, documents, _ = run(sources=[source])
    assert [(d["source"], d["metadata"]["label"], d["metadata"]["split"]) for d in documents] == [
        ("owner_letters-00001.jsonl#1", "repair", "train"), ("owner_letters-00001.jsonl#2", "repair", "train"),
        ("owner_letters-00001.jsonl#3", "invoice", "test"),
    ]  # fmt: skip
    run(sources=[source])
    assert asked == [("owner/letters", "small", None, "abc")]
    monkeypatch.setenv("METIER_OFFLINE", "1")
    assert run(sources=[source])[0]["documents"] == 3
    with pytest.raises(UserError, match="METIER_OFFLINE forbids"):
        run(sources=[{"dataset": "owner/other"}])


HUB = """
import sys
from pathlib import Path
from metier.collect.config import CollectConfig
from metier.collect.stage import find_inputs
from metier.errors import UserError

for name in sys.argv[1:]:
    try:
        inputs = find_inputs(CollectConfig(sources=[{"dataset": name}]), Path.cwd())
        print(inputs.files[0].path.read_text(), end="")
    except UserError as error:
        print(error.what)
"""


def test_the_library_and_a_server_that_speaks_as_the_hub_does(site: Site, inbox: Path) -> None:
    """The answers of the Hub's API for a repository of two files, as the library asks for them."""
    pytest.importorskip("datasets")
    commit = "a" * 40
    files = {
        "data/test.jsonl": b'{"text": "three", "label": "x"}\n', "README.md": b"# Letters\n",
        "data/train.jsonl": '{"text": "one", "label": "x"}\n{"text": "二", "label": "y"}\n'.encode(),
    }  # fmt: skip
    api = "/api/datasets/owner/letters"
    about = {"_id": "1", "id": "owner/letters", "sha": commit, "private": False, "gated": False, "tags": [],
             "siblings": [{"rfilename": name} for name in files]}  # fmt: skip
    for revision in ("", "/revision/main", f"/revision/{commit}"):
        site.add(api + revision, json.dumps(about), "application/json")
    entries = [{"type": "file", "oid": name, "size": len(body), "path": name} for name, body in files.items()]
    folder = [{"type": "directory", "oid": "d", "size": 0, "path": "data"}]
    query = "?recursive=false&expand=false"
    site.add(
        f"{api}/tree/{commit}/data{query}",
        json.dumps([e for e in entries if "/" in str(e["path"])]),
        "application/json",
    )
    site.add(f"{api}/tree/{commit}{query}", json.dumps([*folder, entries[1]]), "application/json")
    for name, body in files.items():
        for revision in ("main", commit):
            headers = {"X-Repo-Commit": commit, "ETag": f'"{len(body)}{name[-8:]}"'}
            site.add(f"/datasets/owner/letters/resolve/{revision}/{name}", body, "text/plain", headers=headers)
    for path in ("/datasets/owner/nothing/resolve/main/README.md", "/api/datasets/owner/nothing"):
        site.add(path, status=404, headers={"X-Error-Code": "RepoNotFound"})
    environment = {
        **os.environ, "HF_ENDPOINT": site.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(inbox / "hf"),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }  # fmt: skip

    command = [sys.executable, "-c", HUB, "owner/letters", "owner/letters", "owner/nothing"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *told, nothing = done.stdout.splitlines()
    rows = [{"text": "one", "label": "x", "split": "train"}, {"text": "二", "label": "y", "split": "train"},
            {"text": "three", "label": "x", "split": "test"}]  # fmt: skip
    assert [json.loads(line) for line in told] == [*rows, *rows]
    assert site.asked.count(f"/datasets/owner/letters/resolve/{commit}/data/train.jsonl") == 1  # then the snapshot
    assert "the Hub has no such data set" in nothing


def test_the_library_itself_loads_a_local_folder(run: Any, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    folder = inbox / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", inbox / "hf")
    _, documents, _ = run(sources=[{"dataset": {"name": str(folder), "split": "train[1:]"}}])
    assert [d["text"] for d in documents] == [row["text"] for row in ROWS[1:]]


def test_offline_says_what_to_do(inbox: Path) -> None:
    pytest.importorskip("datasets")  # the tests run with HF_HUB_OFFLINE=1
    with pytest.raises(UserError, match="HF_HUB_OFFLINE forbids") as error:
        find_inputs(CollectConfig(sources=[{"dataset": "owner/no-such-set"}]), inbox)
    assert "save_to_disk" in error.value.fix


# -- programs ----------------------------------------------------------------------------------------------------------


class Letters:
    """A map-style data set, one item of which fails."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index == 1:
            raise OSError("page torn out")
        return {"body": f"letter {index}", "kind": "repair", "points": np.float32(0.5), "ids": np.arange(2)}


def test_a_data_set_with_an_item_that_fails(run: Any, inbox: Path) -> None:
    written = from_python(Letters(), inbox / "rows", columns={"text": "body", "label": "kind"})
    assert (written.rows, written.refused) == (3, 1)
    _, documents, rejected = run(sources=["rows"])
    assert [d["text"] for d in documents] == ["letter 0", "letter 2", "letter 3"]
    assert documents[0]["metadata"] == {"encoding": "utf-8", "label": "repair", "points": 0.5, "ids": [0, 1]}
    assert [(r["source"], r["reason"], r["detail"]) for r in rejected] == [
        ("rows#2", "unreadable item", "OSError: page torn out")
    ]


def test_loaders_of_pytorch(inbox: Path) -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader, Dataset, IterableDataset

    class Map(Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> dict[str, Any]:
            return {
                "text": f"row {index}",
                "value": torch.tensor(index / 4),
                "vector": torch.ones(2, dtype=torch.bfloat16),
            }

    class Stream(IterableDataset):  # type: ignore[type-arg]
        def __iter__(self) -> Iterator[tuple[str, int]]:
            yield from ((f"row {n}", n) for n in range(5))

    def lines(folder: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.open(encoding="utf-8")]

    whole = [{"text": f"row {n}", "value": n / 4, "vector": [1.0, 1.0]} for n in range(5)]
    for name, data in (("map", Map()), ("batches", DataLoader(Map(), batch_size=2)),
                       ("single", DataLoader(Map(), batch_size=None)),
                       ("lists", DataLoader(Map(), batch_size=2, collate_fn=list))):  # fmt: skip
        assert from_python(data, inbox / name).rows == 5
        assert lines(inbox / name) == whole, name
    for name, data in (("stream", Stream()), ("stream-batches", DataLoader(Stream(), batch_size=2))):
        from_python(data, inbox / name, fields=("text", "value"))
        assert lines(inbox / name) == [{"text": f"row {n}", "value": n} for n in range(5)], name


class Pair(NamedTuple):
    text: str
    label: str


def test_other_iterables_and_kinds_of_items(inbox: Path) -> None:
    assert from_python((row for row in ROWS), inbox / "a").rows == 3
    assert from_python(["one", "two"], inbox / "b").rows == 2
    assert from_python([Pair("one", "a")], inbox / "c").rows == 1
    assert from_python([("one", "a"), ("two",), 3], inbox / "d", fields=("text", "label")).refused == 2
    assert from_python(ROWS[:1], inbox / "a").rows == 1  # its own folder is written anew
    assert [path.name for path in sorted((inbox / "a").iterdir())] == ["rows-00001.jsonl", "snapshot.json"]


def test_mistakes_of_a_program(inbox: Path) -> None:
    def breaking() -> Iterator[dict[str, str]]:
        yield ROWS[0]
        raise RuntimeError("the tape broke")

    with pytest.raises(UserError, match="broke off: RuntimeError: the tape broke"):
        from_python(breaking(), inbox / "a")
    assert not (inbox / "a").exists()
    with pytest.raises(UserError, match=r"no row came out.*no 'body'"):
        from_python(ROWS, inbox / "a", columns={"text": "body"})
    with pytest.raises(UserError, match="there is no role 'txt'"):
        from_python(ROWS, inbox / "a", columns={"txt": "text"})
    with pytest.raises(UserError, match="gives no items"):
        from_python(7, inbox / "a")
    (inbox / "mine").mkdir()
    (inbox / "mine" / "file.txt").write_text("x")
    with pytest.raises(UserError, match="holds something else"):
        from_python(ROWS, inbox / "mine")


def test_rows_that_were_changed_by_hand_are_refused(inbox: Path) -> None:
    from_python(ROWS, inbox / "rows")
    path = inbox / "rows" / "rows-00001.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("pump", "lamp"), encoding="utf-8")
    with pytest.raises(UserError, match=r"not what it was when it was written[\s\S]*remove snapshot\.json"):
        find_inputs(CollectConfig(sources=["rows"]), inbox)


# -- rows as lines -----------------------------------------------------------------------------------------------------


def test_values_keep_what_json_has_no_word_for() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=8))
    row = {"a": decimal.Decimal("1E+3"), "b": float("nan"), "c": float("inf"), "d": b"\xff", "e": "字".encode("gbk"),
           "f": datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=zone), "g": {1: (1, 2)}, "h": {"y", "x"},
           "i": np.array([[1, 2]]), "j": decimal.Decimal("NaN"), "k": np.bool_(True), "l": None}  # fmt: skip
    assert json.loads(snapshot.line(row, "gbk")) == {
        "a": "1000", "b": None, "c": "inf", "d": "base64:/w==", "e": "字", "f": "2024-01-02T03:04:05+08:00",
        "g": {"1": [1, 2]}, "h": ["x", "y"], "i": [[1, 2]], "j": None, "k": True, "l": None,
    }  # fmt: skip
    with pytest.raises(TypeError, match="a object has no plain form"):
        snapshot.line({"a": object()})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_plain_rows_come_back_as_they_were(row: dict[str, Any]) -> None:
    line = snapshot.line(row)
    assert line.count(b"\n") == 1 and json.loads(line) == row
