"""What lm-evaluation-harness and Inspect wrote is read as they meant it; what is not understood is named."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from metier.errors import UserError
from metier.harness import inspect_log, lmeval
from metier.harness.find import load

from .made import REAL, sample, scored, write_log, write_samples


def results(model: str) -> dict:
    return json.loads(next((REAL / "lmeval" / model).glob("results_*.json")).read_text(encoding="utf-8"))["results"]


@pytest.mark.parametrize("model", ["base", "tuned"])
def test_real_choices_have_the_harness_own_figures(model: str) -> None:
    log = load(REAL / "lmeval" / model, "desk_choice")
    told = results(model)["desk_choice"]
    assert (log.task, log.model, len(log.items)) == ("desk_choice", model, 6)
    assert log.metrics == ["acc", "acc_norm"] and log.better == {"acc": "higher", "acc_norm": "higher"}
    for name in log.metrics:
        assert sum(item.values[name].number for item in log.items) / 6 == pytest.approx(told[f"{name},none"])
    for item in log.items:  # what is said to be answered is what was scored
        assert (item.answer == item.target) == bool(item.values["acc"].number)
        assert item.about["language"] in ("en", "zh")
    assert log.items[2].target == "客户" and "贷款逾期要先通知谁？" in log.items[2].text


def test_real_written_answers_have_a_metric_for_each_filter() -> None:
    log = load(REAL / "lmeval" / "tuned", "desk_write")
    assert log.metrics == ["exact_match-strict", "exact_match-first_word"]
    assert set(log.better.values()) == {"higher"}
    assert log.items[0].target == "form A" and log.items[0].answer and log.items[0].runs == 1


@pytest.mark.parametrize("model", ["base", "tuned"])
def test_real_likelihoods_add_up_to_the_harness_own_figures(model: str) -> None:
    log = load(REAL / "lmeval" / model, "desk_text")
    told = results(model)["desk_text"]
    assert set(log.better.values()) == {"lower"}
    for name, base in (("word_perplexity", math.e), ("byte_perplexity", math.e), ("bits_per_byte", 0)):
        spent = sum(item.values[name].number for item in log.items)
        paid = sum(item.values[name].size or 0 for item in log.items)
        figure = base ** (-spent / paid) if base else -spent / paid / math.log(2)
        assert figure == pytest.approx(told[f"{name},none"], rel=1e-9)


def test_real_inspect_logs_in_both_forms() -> None:
    base, tuned = (inspect_log.read(next((REAL / "inspect").glob(f"*.{end}"))) for end in ("json", "eval"))
    assert base.task == tuned.task == "desk" and [len(log.items) for log in (base, tuned)] == [4, 4]
    assert tuned.metrics == ["match", "includes", "form-length", "form-polite"]
    assert all(item.runs == 2 for item in tuned.items) and "2 epochs" in tuned.notes[0][0]
    # the figures of the log's own header: match 0.75, length 8.125, polite 0.125
    mean = {name: sum(item.values[name].number for item in tuned.items) / 4 for name in tuned.metrics}
    assert mean == {"match": 0.75, "includes": 0.75, "form-length": 8.125, "form-polite": 0.125}
    assert "match" in tuned.better and "form-length" not in tuned.better  # a number says nothing of its direction
    assert tuned.items[2].target == "客户" and tuned.items[2].about == {"language": "zh"}


def test_older_layouts_are_read(tmp_path: Path) -> None:
    """An array instead of lines, arguments as lists, no hashes, no filter, no list of metrics."""
    rows = []
    for place in range(3):
        row = sample(place, place != 1)
        for name in ("doc_hash", "prompt_hash", "target_hash", "metrics", "filter"):
            del row[name]
        row["arguments"] = [list(call.values()) for call in row["arguments"].values()]
        rows.append(row)
    path = tmp_path / "old_desk.jsonl"
    path.write_text(json.dumps(rows, indent=2), encoding="utf-8")
    log = load(path)
    assert [item.values["acc"].number for item in log.items] == [1, 0, 1] and log.metrics == ["acc"]
    assert [item.answer for item in log.items] == ["desk 1", "desk 1", "desk 1"]
    assert log.task == "" and "No results_" in log.notes[0][0]


def test_broken_lines_and_strangers_are_counted(tmp_path: Path) -> None:
    path = write_samples(tmp_path, [sample(0, True), sample(1, False)])
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole + '{"other": 1}\n[]\n' + whole[:200], encoding="utf-8")
    log = load(path)
    assert [row["reason"] for row in log.left_out] == ["no_sample", "no_sample", "unreadable_line"]
    assert len(log.items) == 2 and log.left_out[2]["source"].endswith("#5")


def test_metrics_of_pairs_are_named_and_left_out(tmp_path: Path) -> None:
    rows = [sample(place, True, metrics=["acc", "bleu"], bleu=["a", "b"]) for place in range(2)]
    log = load(write_samples(tmp_path, rows))
    assert log.metrics == ["acc"] and any("bleu has no value" in note[0] for note in log.notes)


def test_repeats_and_twins(tmp_path: Path) -> None:
    """One document answered twice is one item; two documents with the same content are two."""
    twin = sample(7, False) | {"doc": sample(0, True)["doc"]}
    log = load(write_samples(tmp_path, [sample(0, True), sample(0, False), twin]))
    assert [(item.runs, item.values["acc"].number) for item in log.items] == [(2, 0.5), (1, 0.0)]
    assert log.items[0].keys["document"] + "#2" == log.items[1].keys["document"]


@pytest.mark.parametrize(
    ("value", "found"),
    [("C", 1), ("I", 0), ("P", 0.5), ("N", 0), (True, 1), ("yes", 1), ("no", 0), (0.25, 0.25), ("7", 7)],
)
def test_what_inspect_calls_a_score(tmp_path: Path, value: object, found: float) -> None:
    log = inspect_log.read(write_log(tmp_path / "a.json", [scored(0, value)]))
    assert log.items[0].values["match"].number == found


@pytest.mark.parametrize("end", ["json", "eval"])
def test_errors_and_unknown_scores_are_counted(tmp_path: Path, end: str) -> None:
    samples = [
        scored(0, "C"), scored(1, "fine"), scored(2, math.nan), scored(3, None),
        scored(4, "C", scores={}, error={"message": "the server went away"}), scored(5, "C", scores=None),
        scored(6, {"a": 1, "b": "C"}), scored(7, [0, "I"]), scored(8, "I", limit={"type": "token"}),
    ]  # fmt: skip
    log = inspect_log.read(write_log(tmp_path / f"a.{end}", samples, status="error"))
    reasons = [row["reason"] for row in log.left_out]
    assert sorted(reasons) == ["error", "unknown_value", "unknown_value", "unknown_value", "unscored"]
    assert any("the server went away" in row["detail"] for row in log.left_out)
    assert any('match = "fine"' in row["detail"] for row in log.left_out)
    assert log.metrics == ["match", "match-a", "match-b", "match-0", "match-1"]
    said = " ".join(note[0] for note in log.notes)
    assert "status 'error'" in said and "1 samples ended at a limit" in said


def test_errors_of_some_epochs_leave_the_others(tmp_path: Path) -> None:
    lost = scored(0, "C", 2, scores={}, error={"message": "x"})
    log = inspect_log.read(write_log(tmp_path / "a.eval", [scored(0, "C"), lost, scored(0, "I", 3)]))
    assert [(item.runs, item.values["match"].number) for item in log.items] == [(2, 0.5)]
    assert "epoch 2" in log.left_out[0]["source"]


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    def refused(name: str, content: bytes, match: str) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=match):
            load(tmp_path / name)

    refused("empty.jsonl", b" \n", "empty")
    refused("a.csv", b"a,b\n1,2\n", "neither")
    refused("a.jsonl", b'{"text": "x"}\n', "no line of this file is a sample")
    refused("a.eval", b"PK\x03\x04 not a zip", "not complete JSON")
    refused("b.json", b'{"version": 2, "eval": {"model": "m"}}', "does not name its task")
    refused("c.json", b'{"version": 2, "eval": {"task": "t"}, "samp', "not complete JSON")
    refused("d.json", b'{"version": 2, "eval": {"task": "t"}, "samples": []}', "it holds no samples")
    refused("old.jsonl", b'[{"doc_id": 1, "resps": []}, {"doc', "not complete JSON")
    refused("results_x.json", b'{"results": {}, "configs": {}}', "figures of whole tasks")
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "missing.eval")
    whole = next((REAL / "inspect").glob("*.eval")).read_bytes()
    refused("cut.eval", whole[:-400], "not complete JSON|cannot be read")
    broken = bytearray(whole)
    broken[1200:1500] = b"\0" * 300
    refused("damaged.eval", bytes(broken), "cannot be read")


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="logs of several tasks") as raised:
        load(REAL / "lmeval" / "base")
    assert "desk_choice, desk_text, desk_write" in raised.value.fix
    with pytest.raises(UserError, match="no log of the task 'other'"):
        load(REAL / "lmeval" / "base", "other")
    with pytest.raises(UserError, match="holds no log"):
        load(tmp_path)
    one, two = (f"2026-01-0{day}T03-04-05-00-00_my-desk_abc{day}.eval" for day in (1, 2))
    write_log(tmp_path / one, [scored(0, "I")], task="my_desk")
    write_log(tmp_path / two, [scored(0, "C")], task="my_desk")
    assert load(tmp_path, "my_desk").items[0].values["match"].number == 1  # the last one
    with pytest.raises(UserError, match="of the task 'my_desk'"):
        load(tmp_path / one, "desk")


def test_keys_are_the_surest_first() -> None:
    assert list(lmeval._keys(sample(0, True))) == ["document", "hash", "number"]
