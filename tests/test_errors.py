"""The one exception that a user sees, and what the system's own errors become."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest

from metier.errors import UserError, nearest, need, of_system


def test_three_parts_each_on_its_line() -> None:
    error = UserError("there is no column 'txt'", "data.csv", "did you mean 'text'?")
    assert str(error).splitlines() == ["there is no column 'txt'", "  where: data.csv", "  do:    did you mean 'text'?"]
    assert str(UserError("the disk is full")) == "the disk is full"


def test_survives_the_way_from_a_worker_process() -> None:
    error = pickle.loads(pickle.dumps(UserError("what", "where", "fix")))
    assert (error.what, error.where, error.fix) == ("what", "where", "fix")


def test_nearest_names_one_or_lists_all() -> None:
    assert nearest("epoch", ["epochs", "seed"]) == "did you mean 'epochs'?"
    assert nearest("xyz", ["b", "a", "b"]) == "known: a, b"
    assert nearest("标鉴", ["标签", "文本"]) == "known: 文本, 标签" or "标签" in nearest("标鉴", ["标签", "文本"])
    assert nearest("x", []) == "nothing is known here"


def test_need_names_the_extra_and_keeps_other_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert need("json", "train").__name__ == "json"
    with pytest.raises(UserError) as told:
        need("no_such_package.part", "documents")
    assert told.value.fix == 'pip install "metier[documents]"' and "no_such_package" in told.value.what
    (tmp_path / "broken_inside.py").write_text("import not_there_either")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_either"):  # not the user's: that package is broken
        need("broken_inside", "train")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "disk is full"), (errno.EDQUOT, "disk is full"), (errno.EACCES, "no permission"),
        (errno.EROFS, "no permission"), (errno.EISDIR, "a file stands where"), (errno.ENAMETOOLONG, "refuses"),
    ],
)  # fmt: skip
def test_the_systems_errors_in_a_sentence(code: int, words: str, tmp_path: Path) -> None:
    told = of_system(OSError(code, "strange words", str(tmp_path / "gone" / "file")))
    assert told is not None and words in told.what and str(tmp_path) in told.where and told.fix
    assert of_system(OSError(code, "strange words"), tmp_path).where == str(tmp_path)  # type: ignore[union-attr]


def test_what_may_be_our_bug_stays_an_oserror() -> None:
    assert of_system(FileNotFoundError(errno.ENOENT, "no such file", "examples.parquet")) is None
