"""Parts of a source: drawn by the document alone, counted, and part of what a stage is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metier import tables
from metier.collect.config import CollectConfig
from metier.collect.stage import collect, find_inputs, identity
from metier.console import Console
from metier.errors import UserError


def gathered(tmp_path: Path, **source: Any) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Summary, documents and rejected rows of a table of 400 texts."""
    rows = "".join(f"第{i}条 clause number {i}\n" for i in range(400))
    (tmp_path / "rows.csv").write_text("text\n" + rows, encoding="utf-8")
    config = CollectConfig.model_validate({"sources": [{"path": "rows.csv", **source}], "workers": 1})
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    summary = collect(config, find_inputs(config, tmp_path), out, Console(quiet=True))
    return (summary, *(tables.read(out / f"{name}.parquet").to_pylist() for name in ("documents", "rejected")))


def test_a_share_is_drawn_and_the_rest_is_counted(tmp_path: Path) -> None:
    summary, small, rejected = gathered(tmp_path, share=0.1)
    assert 20 <= len(small) <= 62  # four standard deviations about 40
    assert summary["rejected"] == {"not in the share": 400 - len(small)} and len(rejected) == 400 - len(small)
    large = gathered(tmp_path, share=0.3)[1]
    assert {row["id"] for row in small} < {row["id"] for row in large}


def test_listed_documents_are_taken_and_no_others(tmp_path: Path) -> None:
    whole = gathered(tmp_path)[1]
    wanted = {row["id"] for row in whole[::7]}
    (tmp_path / "list.txt").write_text("# three remarks\n" + "\n".join(sorted(wanted)) + "\n", encoding="utf-8")
    summary, taken, rejected = gathered(tmp_path, only="list.txt")
    assert {row["id"] for row in taken} == wanted and summary["rejected"] == {"not listed": 400 - len(wanted)}
    assert {row["id"] for row in rejected} == {row["id"] for row in whole} - wanted


def test_the_list_bears_meaning_and_its_path_does_not(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text\na\nb\n")
    for name, ids in (("one.txt", "a\n"), ("same.txt", "a\n"), ("other.txt", "b\n")):
        (tmp_path / name).write_text(ids)

    def what(only: str) -> Any:
        config = CollectConfig.model_validate({"sources": [{"path": "rows.csv", "only": only}]})
        return identity(config, find_inputs(config, tmp_path))

    assert what("one.txt") == what("same.txt") != what("other.txt") and what("one.txt") != what("")


def test_a_list_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text\na\n")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    for only, message in (("nowhere.txt", "no such list"), ("empty.txt", "is empty")):
        config = CollectConfig.model_validate({"sources": [{"path": "rows.csv", "only": only}]})
        with pytest.raises(UserError, match=message):
            find_inputs(config, tmp_path)


def test_a_list_that_fits_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("0123456789abcdef\n")
    with pytest.raises(UserError, match="not listed: 400"):
        gathered(tmp_path, only="list.txt")
