"""Printing: real pages through a real browser where there is one, and clear words where there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metier.console import Console
from metier.errors import UserError
from metier.printing import chosen, find_printer, join, print_run

PAGE = """<!doctype html><html><head><style>
#pick-en:checked ~ .in-zh, #pick-zh:checked ~ .in-en {{ display: none }}</style></head><body>
<input class="pick" type="radio" name="language" id="pick-en" aria-label="English" checked>
<input class="pick" type="radio" name="language" id="pick-zh" aria-label="Chinese">
<p class="in-en">{en}</p><p class="in-zh">{zh}</p></body></html>"""


def printer() -> str:
    try:
        return find_printer()
    except UserError:
        return ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run" / "dossier").mkdir(parents=True)
    (tmp_path / "run" / "report.html").write_text(PAGE.format(en="Signed", zh="zwei"), encoding="utf-8")
    (tmp_path / "run" / "dossier" / "annex-iv.html").write_text(PAGE.format(en="Annex", zh="vier"), encoding="utf-8")
    return tmp_path / "run"


@pytest.mark.skipif(not printer(), reason="no Chromium and no WeasyPrint here")
@pytest.mark.parametrize(("language", "words"), [("", ["Signed", "Annex"]), ("zh", ["zwei", "vier"])])
def test_a_run_is_printed_in_the_language_asked_for(folder: Path, language: str, words: list[str]) -> None:
    import pypdfium2

    files = print_run(folder, language, folder / "pdf", Console(quiet=True))
    assert [file.name for file in files] == ["report.pdf", "annex-iv.pdf", "dossier.pdf"]
    with pypdfium2.PdfDocument(files[-1]) as whole:
        texts = [whole[page].get_textpage().get_text_range() for page in range(len(whole))]
    assert [text.split() for text in texts] == [[word] for word in words]


def test_a_browser_that_fails_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "browser"
    broken.write_text("#!/bin/sh\necho 'no display' >&2\nexit 7\n")
    broken.chmod(0o755)
    monkeypatch.setenv("METIER_CHROMIUM", str(broken))
    with pytest.raises(UserError, match="the browser did not print: no display"):
        print_run(folder, "", folder / "pdf", Console(quiet=True))
    monkeypatch.setenv("METIER_CHROMIUM", str(tmp_path / "none"))
    with pytest.raises(UserError, match="no such program"):
        find_printer()


def test_without_a_printer_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METIER_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="install Chromium"):
        find_printer()


def test_a_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="this run has no report"):
        print_run(tmp_path, "", tmp_path / "pdf", Console(quiet=True))


def test_the_language_switch_moves_and_nothing_else_changes() -> None:
    page = PAGE.format(en="a", zh="b")
    assert chosen(page, "en") == page
    moved = chosen(page, "zh")
    assert moved != page and chosen(moved, "en") == page and moved.count(" checked>") == 1


def test_parts_are_joined_in_order(tmp_path: Path) -> None:
    import pypdfium2

    for size, name in ((100, "a"), (200, "b")):
        document = pypdfium2.PdfDocument.new()
        document.new_page(size, size)
        document.save(tmp_path / name)
    join([tmp_path / "b", tmp_path / "a"], tmp_path / "whole.pdf")
    with pypdfium2.PdfDocument(tmp_path / "whole.pdf") as whole:
        assert [page.get_width() for page in whole] == [200, 100]
