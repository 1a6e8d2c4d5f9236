"""What a user can do wrong: each is told in a sentence with its place and the way out, exit 2, and no traceback."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from small import Answer, process, rows, write_csv, write_recipe

Metier = Callable[..., Answer]


def refused(answer: Answer, *words: str) -> Answer:
    """A message in three parts that holds every word, exit code 2."""
    assert "Traceback" not in answer.text, answer.text
    assert answer.code == 2, answer.text
    message = answer.err[answer.err.index("error: ") :]
    assert "\n  where: " in message and "\n  do:    " in message, message
    for word in words:
        assert word in message, (word, message)
    return answer


def recipe(folder: Path, data: list[dict[str, Any]] | None, base: object = "minilm", more: str = "") -> str:
    if data is not None:
        write_csv(folder / "data.csv", data)
    return str(write_recipe(folder, Path(str(base)), more))


# -- the recipe --------------------------------------------------------------------------------------------------------


def test_recipe_that_is_not_there(work: Path, metier: Metier) -> None:
    refused(metier("run", "nothing.yaml"), "there is no such recipe", "nothing.yaml", "metier new")
    refused(metier("run", "quickstart/bank-mesages"), "no recipe and no data", "'quickstart/bank-messages'")
    refused(metier("show", ""), "no recipe and no data were named")


def test_recipe_that_is_not_yaml(work: Path, metier: Metier) -> None:
    (work / "r.yaml").write_text("train: [1, 2\nseed: 3\n")
    refused(metier("run", "r.yaml"), "this is not YAML", "r.yaml:2:")
    (work / "r.yaml").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    refused(metier("show", "r.yaml"), "r.yaml")
    (work / "folder.yaml").mkdir()
    refused(metier("run", "folder.yaml"), "folder.yaml")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("evaluate.accept=[accuracy > mean]", ("no model 'mean'", "majority")),
        ("evaluate.accept=[mae <= 0.2]", ("no metric 'mae'", "accuracy")),
        ("evaluate.accept=[accuracy <= 0.9]", ("asks for the opposite", "accuracy >= 0.9")),
        ("evaluate.accept=[accuracy >= 90]", ("between 0 and 1", "90%")),
        ("evaluate.floors=[tfdif]", ("no floor called 'tfdif'", "'tfidf'")),
        ("evaluate={base: false, floors: []}", ("nothing to judge the tuned model by", "evaluate.accept")),
    ],
)
def test_what_cannot_be_judged_is_told_before_anything_is_read(
    work: Path, metier: Metier, setting: str, words: tuple[str, ...]
) -> None:
    path = recipe(work, rows(9))
    refused(metier("run", path, "evaluate.floors=[mean]", setting), *words)
    assert not (work / ".metier").exists()


def test_unknown_key_and_wrong_value(work: Path, metier: Metier) -> None:
    path = recipe(work, rows(9), more="train_more: 1\n")
    refused(metier("run", path, "train.epoch=5"), "2 mistakes", "train.epoch: there is no such key", "'epochs'",
            "train_more", "recipe.yaml", "metier show")  # fmt: skip
    refused(metier("show", path, "train_more=1", "seed=one"), "seed: Input should be a valid integer")
    refused(metier("run", path, "notakeyvalue"), "is not an override", "key=value")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("task=clasify", ("there is no task called 'clasify'", "task.name", "'classify'")),
        ("train.method=fulll", ("there is no method called 'fulll'", "train.method", "'full'")),
        ("evaluate.floors=[tfidff]", ("there is no floor called 'tfidff'", "evaluate.floors", "'tfidf'")),
        ("evaluate.accept=[accuracy >> 0.9]", ("the criterion cannot be read", "evaluate.accept", "accuracy >= 0.9")),
        ("evaluate.accept=[accuracy >= 90]", ("lies between 0 and 1", "accuracy >= 90", "0.9")),
        ("evaluate.accept=[accuracy > gpt]", ("there is no model 'gpt'", "known: base")),
        ("prepare.operations=[normalise]", ("no operation called 'normalise'", "prepare.operations", "'normalize'")),
    ],
)
def test_unknown_names_and_bad_criteria(work: Path, metier: Metier, setting: str, words: tuple[str, ...]) -> None:
    refused(metier("run", recipe(work, rows(9)), setting), *words)
    assert not (work / ".metier").exists()  # known before anything is read


def test_options_that_do_not_belong_together(work: Path, metier: Metier) -> None:
    refused(metier("run", recipe(work, rows(9)), "--task", "score"), "--task is for a bare data file", "task=score")
    refused(metier("run", "data.csv", "--task", "clasify"), "no task called 'clasify'", "'classify'")
    answer = metier("run", "data.csv", "--epochs", "3")
    assert answer.code == 2 and "Traceback" not in answer.text and "epochs" in answer.err


# -- the data ----------------------------------------------------------------------------------------------------------


def test_missing_column(work: Path, metier: Metier) -> None:
    path = recipe(work, rows(9))
    refused(metier("run", path, "collect.sources.0.columns={text: message, label: label}"),
            "message", "data.csv", "text")  # fmt: skip
    write_csv(work / "plain.csv", [{"a": 1, "b": 2}, {"a": 3, "b": 4}])
    refused(metier("run", "plain.csv"), "no column looks like the text", "columns: a, b", "collect.sources.0.columns")
    write_csv(work / "unlabelled.csv", [{"text": row["text"]} for row in rows(9)])
    refused(metier("run", "unlabelled.csv", "--task", "classify"), "no column looks like the label")


def test_no_label_in_any_row(work: Path, metier: Metier) -> None:
    path = recipe(work, [{"text": row["text"], "label": ""} for row in rows(9)])
    refused(metier("prepare", path), "no document has a label", "9 × no label", "collect.sources.0.columns.label")
    write_csv(work / "data.csv", [{"text": row["text"], "label": "many words"} for row in rows(9)])
    refused(metier("prepare", path, "task=score", "evaluate.accept=[]"), "no document has a value")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"text,label\n", b"\xef\xbb\xbf"])
def test_empty_file(work: Path, metier: Metier, content: bytes) -> None:
    path = recipe(work, None)
    (work / "data.csv").write_bytes(content)
    refused(metier("run", path, "train.base_model=minilm"), "no document came out of 1 files", "data.csv")
    refused(metier("run", "data.csv"), "data.csv")
    refused(metier("new", "data.csv"), "data.csv")


def test_no_files(work: Path, metier: Metier) -> None:
    path = recipe(work, None)
    refused(metier("collect", path), "there is no such file or folder", "collect.sources.0: data.csv")
    (work / "data.csv").mkdir()
    refused(metier("collect", path), "the folder holds no files")
    refused(metier("collect", "*.eml"), "no file matches this pattern")
    refused(metier("collect", "nowhere/deep"), "there is no such file or folder", "nowhere/deep")
    (work / "none.yaml").write_text("name: none\n")
    refused(metier("run", "none.yaml"), "names no documents", "collect.sources")


def test_files_that_give_no_document(work: Path, metier: Metier) -> None:
    (work / "box").mkdir()
    (work / "box" / "a.bin").write_bytes(bytes(range(256)) * 20)
    (work / "box" / "b.txt").write_text("   \n")
    refused(metier("collect", "box", "-o", "out"), "no document came out of 2 files")
    assert not (work / "out").exists()


def test_one_class_only(work: Path, metier: Metier) -> None:
    path = recipe(work, [{"text": row["text"], "label": "same"} for row in rows(12)])
    refused(metier("run", path), "same")


def test_a_label_in_test_that_train_never_saw(work: Path, metier: Metier) -> None:
    data = [{**row, "split": "test" if i % 4 == 0 else "train"} for i, row in enumerate(rows(24))]
    data += [{"text": f"a new kind of text {i}", "label": "unseen", "split": "test"} for i in range(4)]
    path = recipe(work, data)
    answer = metier("prepare", path, "collect.sources.0.columns={text: text, label: label, split: split}")
    assert "Traceback" not in answer.text and "unseen" in answer.err, answer.text
    assert answer.code in (0, 2)  # told and listed, or refused: never silently scored as wrong


def test_text_that_is_nan(work: Path, metier: Metier) -> None:
    data = [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(["nan", "NaN", "", "null", "NULL", "<NA>"])]
    path = recipe(work, data)
    refused(metier("run", path), "no document came out of 1 files")
    write_csv(work / "data.csv", [*data, *rows(12)])
    answer = metier("collect", path, "-o", "out")
    assert answer.code == 0, answer.text
    import pyarrow.parquet as pq

    assert pq.read_table(work / "out/documents.parquet").num_rows == 12
    assert pq.read_table(work / "out/rejected.parquet").num_rows == 6


def test_too_few_examples(work: Path, metier: Metier) -> None:
    refused(metier("run", recipe(work, rows(2))))
    refused(metier("run", recipe(work, rows(3)), "prepare.min_examples_per_label=1"))


# -- the base and the model --------------------------------------------------------------------------------------------


def test_base_that_is_not_there_without_a_net(work: Path, metier: Metier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = recipe(work, rows(9))
    refused(metier("run", path, "train.base_model=somebody/no-such-model"), "'somebody/no-such-model' is not on this",
            "train.base_model", "minilm")  # fmt: skip
    refused(metier("run", path, "train.base_model=minilmm"), "no base model called 'minilmm'", "did you mean 'minilm'?")
    refused(metier("run", path, "train.base_model=./nowhere"), "no base model called './nowhere'")
    (work / "hollow").mkdir()
    refused(metier("run", path, "train.base_model=hollow"), "config.json is missing", "hollow")
    (work / "hollow" / "config.json").write_text("{}")
    refused(metier("run", path, "train.base_model=hollow"), "holds no weights")


def test_a_base_that_cannot_be_loaded(work: Path, metier: Metier, tiny_base: Path) -> None:
    shutil.copytree(tiny_base, work / "broken")
    (work / "broken" / "model.safetensors").write_bytes(b"not weights at all")
    refused(metier("train", recipe(work, rows(30), "broken"), "train.epochs=1"), "broken")
    shutil.copytree(tiny_base, work / "mute")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (work / "mute" / name).unlink()
    refused(metier("train", recipe(work, rows(30), "mute"), "train.epochs=1"), "tokenizer")
    shutil.copytree(tiny_base, work / "odd")
    (work / "odd" / "config.json").write_text("{broken")
    refused(metier("train", recipe(work, rows(30), "odd")), "odd")


def test_predict(copied: Path, metier: Metier) -> None:
    refused(metier("predict", "nobody", "a text"), "there is no model called 'nobody'", "known runs: small")
    (copied / "a.txt").write_text("a text")
    refused(metier("predict", "small", "a text", "--input", "a.txt"), "both given", "metier predict NAME")
    refused(metier("predict", "small"), "nothing to predict")
    refused(metier("predict", "small", "a text", "-o", "out.xlsx"), "'.xlsx' is not a format", ".csv, .jsonl, .parquet")
    refused(metier("predict", "small", "--input", "nothing.csv"), "there is no such file or folder", "nothing.csv")
    (copied / "empty.txt").write_text("")
    refused(metier("predict", "small", "--input", "empty.txt"), "no document came out of 1 files")
    (copied / "a_model").mkdir()
    refused(metier("predict", "a_model", "a text"), "there is no model called 'a_model'")


def test_predict_where_there_are_no_runs(work: Path, metier: Metier) -> None:
    refused(metier("predict", "small", "a text"), "there is no model called 'small'", "known runs: none")


# -- the machine -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def as_nobody(*folders: Path) -> Iterator[None]:
    """Without rights on the folders: for root that takes another user, for others the folders' modes are enough."""
    if os.name == "nt":
        pytest.skip("modes are something else there")
    for folder in folders:
        folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for folder in folders:
            folder.chmod(0o755)


@pytest.fixture
def open_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder that others may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        monkeypatch.chdir(folder)
        yield folder


def test_no_permission_to_write(open_folder: Path, metier: Metier) -> None:
    path = recipe(open_folder, rows(9))
    with as_nobody(open_folder):
        refused(metier("collect", "data.csv"), "no permission", ".metier", "METIER_STORE")
        refused(metier("new", "data.csv", "-o", "mine.yaml"), "no permission", "mine.yaml")
        refused(metier("new", "data.csv", "-o", "deep/mine.yaml"), "no permission", "deep")
    assert metier("collect", path, "-o", "out").code == 0
    with as_nobody(open_folder):
        refused(metier("collect", path, "-o", "other"), "no permission", "other")


def test_no_permission_to_read(open_folder: Path, metier: Metier) -> None:
    path = Path(recipe(open_folder, rows(9)))
    path.chmod(0)
    with as_nobody():
        refused(metier("show", path), "no permission", "recipe.yaml")
    path.chmod(0o644)
    (open_folder / "data.csv").chmod(0)
    (open_folder / ".metier").mkdir(mode=0o777)
    (open_folder / ".metier").chmod(0o777)
    with as_nobody():
        refused(metier("collect", path), "no document came out of 1 files", "data.csv", "Permission denied")
        refused(metier("new", "data.csv", "-o", "/dev/null/x.yaml"))


def test_disk_full(work: Path, metier: Metier, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "documents.parquet")

    path = recipe(work, rows(9))
    with monkeypatch.context() as patch:
        patch.setattr("metier.tables.Writer.write", full)
        refused(metier("collect", path), "the disk is full", "documents.parquet", "METIER_STORE")
    assert metier("collect", path, "-o", "out").code == 0  # and the rest of the first try does no harm
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copytree", full)
        refused(metier("collect", path, "-o", "elsewhere"), "the disk is full")


def test_disk_really_full(tmp_path: Path) -> None:
    """On a file system of 256 kB in a name space of its own."""
    probe = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=256k none "$0"', str(tmp_path)]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no user name spaces here")
    small = tmp_path / "small"
    small.mkdir()
    data = [{"text": os.urandom(400).hex(), "label": "ab"[i % 2]} for i in range(800)]
    write_csv(tmp_path / "data.csv", data)
    code = (f"import subprocess\nsubprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=256k', 'none', {str(small)!r}], "
            "check=True)")  # fmt: skip
    answer = process("collect", "data.csv", cwd=tmp_path, code=code, METIER_STORE=str(small), before="unshare -rm")
    refused(answer, "the disk is full (0 MB free)", str(small))


def test_a_file_where_a_folder_is_wanted(work: Path, metier: Metier, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe(work, rows(9))
    (work / "out").write_text("I am a file")
    refused(metier("collect", path, "-o", "out"), "a file stands where a folder is wanted", "out")
    monkeypatch.setenv("METIER_STORE", str(work / "out"))
    refused(metier("collect", path), "a file stands where a folder is wanted")


def test_as_a_real_process(work: Path) -> None:
    recipe(work, rows(9), more="trian: {}\n")
    answer = refused(process("run", "recipe.yaml", cwd=work), "trian: there is no such key; did you mean 'train'?")
    assert answer.out == ""
    refused(process("run", "no.yaml", cwd=work, PYTHONIOENCODING="ascii", LC_ALL="C"), "there is no such recipe")


def test_a_screen_that_knows_no_chinese(work: Path) -> None:
    write_csv(work / "数据.csv", [{"text": "文本", "label": ""}])
    answer = process("prepare", "数据.csv", cwd=work, PYTHONIOENCODING="ascii")
    assert answer.code == 2 and "Traceback" not in answer.text, answer.text
    assert "??.csv" in answer.err
