"""Nothing is lost, nothing stale is kept: mail, registers, excluded files, passing failures, usual columns."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metier.artifact import Artifact, Store, fingerprint
from metier.collect import mail, readers, roles, workers
from metier.collect.config import CollectConfig
from metier.collect.reading import Options, Unreadable
from metier.collect.stage import find_inputs, identity
from metier.console import Console
from metier.errors import UserError
from metier.recipe import Recipe, parse
from metier.run import Context, run, run_stage, why

FROM = b"From a@b Fri Jan  2 21:46:00 2026\n"


def test_one_odd_message_costs_itself_only(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mail._message

    def odd(data: bytes, part: str, options: Options) -> Any:
        if b"odd" in data:
            raise AttributeError("a bug of the parser")
        if b"setup" in data:
            raise UserError("a package is not installed")
        return whole(data, part, options)

    monkeypatch.setattr(mail, "_message", odd)
    box = b"".join(FROM + b"Subject: " + name + b"\n\nhi\n\n" for name in (b"one", b"odd", b"two"))
    reading = readers.read(box, "a.mbox", Options())
    assert [piece.title for piece in reading.pieces] == ["one", "two"]
    assert [(r.part, r.reason) for r in reading.refused] == [("#2", "reader failed")]
    assert "AttributeError: a bug of the parser" in reading.refused[0].detail
    with pytest.raises(UserError):  # which the user can put right
        readers.read(FROM + b"Subject: setup\n\nhi\n", "a.mbox", Options())


def test_a_register_that_changed_after_hashing_is_refused(inbox: Path) -> None:
    from metier.collect import index

    (inbox / "a.txt").write_text("x")
    (inbox / "r.csv").write_text("item,label\na.txt,x\n")
    config = CollectConfig(sources=["a.txt"], index={"path": "r.csv", "key": "item", "columns": {"label": "label"}})
    register = find_inputs(config, inbox).index
    (inbox / "r.csv").write_text("item,label\na.txt,y\n")
    assert config.index is not None and register is not None
    with pytest.raises(UserError, match="changed while"):
        index._load(config.index, register)


def test_a_new_excluded_file_decides_no_document(inbox: Path) -> None:
    (inbox / "a.txt").write_text("x")
    config = CollectConfig(sources=["."])
    before = fingerprint(identity(config, find_inputs(config, inbox)))
    (inbox / "~$a.docx").write_text("lock")
    found = find_inputs(config, inbox)
    assert fingerprint(identity(config, found)) == before and len(found.excluded) == 1


# -- runs --------------------------------------------------------------------------------------------------------------


def _context(base: Path, stream: io.StringIO | None = None) -> Context:
    return Context(base, Store(base / "store"), base / "runs", Console(stream or io.StringIO()))


def _recipe() -> Recipe:
    return parse({"collect": {"sources": ["in"], "workers": 1}, "prepare": {"split": {"test": 0.3}}})


def _texts(inbox: Path) -> None:
    rows = [f"text number {number} about {'cards' if number % 2 else 'loans'},{number % 2}\n" for number in range(40)]
    (inbox / "a.csv").write_text("text,label\n" + "".join(rows))
    (inbox / "b.csv").write_text("text,label\nanother text about cards,1\n")


def test_files_are_hashed_once_in_a_run(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metier.collect import inputs

    _texts(inbox)
    seen: list[str] = []
    hashed = inputs.hash_file
    monkeypatch.setattr(inputs, "hash_file", lambda path: seen.append(path.name) or hashed(path))  # type: ignore[func-returns-value]
    context = _context(inbox.parent)
    run_stage("collect", _recipe(), context)
    assert sorted(seen) == ["a.csv", "b.csv"]
    (inbox / "b.csv").write_text("text,label\na changed text about cards,1\n")
    done = run(_recipe(), context, until="collect")  # a new run looks again
    files = {name: sha for _, name, sha in done["collect"].identity["config"]["files"]}
    assert files["b.csv"] == hashlib.sha256((inbox / "b.csv").read_bytes()).hexdigest()


def test_a_passing_failure_is_read_again_and_what_follows_too(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _texts(inbox)
    good = workers.read_one

    def failing(task: workers.Task) -> workers.Outcome:
        return Unreadable("timed out", "the machine was busy") if task.name == "b.csv" else good(task)

    def go() -> tuple[set[str], dict[str, Artifact], str]:
        stream = io.StringIO()
        context = _context(inbox.parent, stream)
        return context.fresh, run(_recipe(), context, until="prepare"), stream.getvalue()

    with monkeypatch.context() as patch:
        patch.setattr(workers, "read_one", failing)
        _, first, _ = go()
        assert (first["collect"].summary["passing"], first["collect"].summary["documents"]) == (1, 40)
        fresh, _, told = go()
        assert fresh == {"collect"} and "reading again: 1 files failed" in told  # the same again: nothing else to do
    line = why(_recipe(), _context(inbox.parent))[0]
    assert line["state"] == "run" and "read again" in line["differences"][0]["note"]
    fresh, second, _ = go()
    assert fresh == {"collect", "prepare"} and "passing" not in second["collect"].summary
    assert second["collect"].summary["documents"] == 41
    assert second["collect"].fingerprint == first["collect"].fingerprint
    assert second["prepare"].fingerprint != first["prepare"].fingerprint
    assert go()[0] == set()


# -- tables ------------------------------------------------------------------------------------------------------------


def test_whole_floats_lose_their_point_in_labels_and_groups() -> None:
    stream = io.BytesIO()
    columns = {"text": ["a b", "c d", "e f"], "label": [1.0, 0.0, 0.5], "group": [7.0, None, 8.0]}
    pq.write_table(pa.table(columns), stream)
    reading = readers.read(stream.getvalue(), "a.parquet", Options())
    assert [piece.metadata["label"] for piece in reading.pieces] == ["1", "0", "0.5"]
    assert [piece.group for piece in reading.pieces] == ["7", "", "8"]
    lines = "".join(json.dumps({"text": "a b", "label": label}) + "\n" for label in ("1.0", 1.0))
    written = readers.read(lines.encode(), "a.jsonl", Options())
    assert [piece.metadata["label"] for piece in written.pieces] == ["1.0", "1"]  # what is text stays as written


LONG = "a long complaint about a fee that nobody explained to me, number "


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"narrative": LONG, "product": "card loan", "customer_id": "c1 c2"},
         {"text": "narrative", "label": "product", "group": "customer_id"}),
        ({"投诉内容": LONG, "产品": "卡 贷款"}, {"text": "投诉内容", "label": "产品"}),
        ({"描述": LONG, "部门": "a b"}, {"text": "描述", "label": "部门"}),
        ({"complaint": LONG, "team": "a b", "topic": "x y"}, {"text": "complaint", "label": "topic"}),
        ({"review": LONG, "product": "kettle pan", "rating": "1 5"}, {"text": "review", "value": "rating"}),
        ({"foo": LONG, "bar": "red blue"}, {"text": "foo", "label": "bar"}),
        ({"foo": LONG, "bar": ""}, {"text": "foo"}),
    ],
)  # fmt: skip
def test_usual_columns(columns: dict[str, str], expected: dict[str, str]) -> None:
    def cell(kind: str, number: int) -> str:
        return f"{kind}{number}" if kind in (LONG, "") else kind.split()[number % 2]

    rows = [{name: cell(kind, number) for name, kind in columns.items()} for number in range(10)]
    assert roles.guess(list(columns), rows, False) == expected


def test_what_is_said_is_not_guessed() -> None:
    rows = [{"text": f"short {number}", "body": f"{LONG}{number}", "kind": "ab"[number % 2]} for number in range(10)]
    assert roles.guess(["text", "body", "kind"], rows, False, {"text": "body"}) == {"text": "body"}
    assert roles.guess(["body", "kind"], rows, False, {"text": "body"}) == {"text": "body", "label": "kind"}
