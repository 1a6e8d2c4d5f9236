"""axe finds nothing serious in pages of every kind of run, and does find what is planted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from metier.console import Console
from metier.report.config import ReportConfig
from metier.report.stage import report

from .facts import bank
from .variants import empty, multi, reject, score

TOOL = Path(__file__).parents[2] / "tools" / "report_axe.py"
KINDS = {"bank": bank, "reject": reject, "score": score, "multi": multi, "empty": empty}
PLANTED = (
    '<!doctype html><html lang="en"><head><title>x</title></head><body><main><h1>x</h1><input type="text">'
    '<input type="radio" id="pick-en" aria-label="e"><input type="radio" id="pick-zh" aria-label="z">'
    '<p style="color: #ccc; background: #fff">pale</p><p style="width: 900px">wide</p></main></body></html>'
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("METIER_AXE"), reason="METIER_AXE names no axe.min.js"),
]


def look(*pages: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, str(TOOL), *map(str, pages)], capture_output=True, text=True, timeout=900)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_serious_is_found(kind: str, tmp_path: Path) -> None:
    report(ReportConfig(), {**KINDS[kind](), "lineage": [], "model_files": {}}, tmp_path, Console(quiet=True))
    code, said = look(tmp_path / "report.html", *sorted((tmp_path / "dossier").glob("*.html")))
    assert code == 0 and "5 pages, 40 views" in said, said


def test_what_is_planted_is_found(tmp_path: Path) -> None:
    (tmp_path / "planted.html").write_text(PLANTED, encoding="utf-8")
    code, said = look(tmp_path / "planted.html")
    assert code == 1, said
    assert "critical: label" in said and "serious: color-contrast" in said and "serious: width" in said
