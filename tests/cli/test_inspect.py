"""`metier inspect`: what a file is taken for, and which rows are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from metier.cli import app
from metier.collect.inspection import inspect
from metier.errors import UserError

MESSAGES = (
    '{"messages": [{"role": "user", "content": "退款"}, {"role": "assistant", "content": "好的"}]}\n'
    '{"messages": [{"role": "user", "content": "hi"}, {"role": "robot", "content": "x"}]}\n'
    '{"messages": [{"role": "user", "content": "退款"}, {"role": "assistant", "content": "好的"}]}\n{broken\n'
)


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["inspect", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_a_data_set_is_recognised_and_every_wrong_row_is_told(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text(MESSAGES, encoding="utf-8")
    code, text = run(path)
    assert code == 0
    for line in ("shape           messages", "rows            4", "documents       2", "languages       zh 2",
                 "the same twice  1", "encoding        utf-8", "#1       退款 好的",
                 "#2: malformed row: line 2, messages[1].role: is 'robot'; known: assistant, system, tool, user",
                 "#4: malformed row: line 4: not valid JSON"):  # fmt: skip
        assert line in text


def test_tables_tell_delimiter_roles_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("留言内容;标签\n我要退款;退款\n卡丢了;挂失\n再退一次;退款\n".encode("gb18030"))
    seen = inspect([path])[0]
    assert (seen.format, seen.encoding, seen.delimiter, seen.shape) == ("csv", "gb18030", ";", "text-label")
    assert seen.roles == {"text": "留言内容", "label": "标签"} and seen.labels == {"退款": 2, "挂失": 1}
    assert seen.lengths == [3, 4, 4, 4] and seen.duplicates == 0 and not seen.refused


def test_what_cannot_be_used_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "scan.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "fine.txt").write_text("plain words")
    code, text = run(tmp_path)
    assert code == 2
    assert "unusable: empty" in text and "scan.png" in text and "plain words" in text
    assert run(tmp_path / "fine.txt")[0] == 0


def test_recipes_and_missing_files_are_told(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: x\n")
    with pytest.raises(UserError, match="the recipe names no documents"):
        run(recipe)
    with pytest.raises(UserError, match="this is a recipe"):
        inspect([recipe])
    with pytest.raises(UserError, match="no such file"):
        run(tmp_path / "nothing.csv")


def test_options_reach_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    path.write_text("text|label\none|x\n")
    assert run(path)[0] == 2
    code, text = run(path, "--reader", "table", "--examples", 0)
    assert code == 0 and "delimiter       |" in text and "#1" not in text
