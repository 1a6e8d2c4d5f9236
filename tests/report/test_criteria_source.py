"""Criteria that were changed after the answers were known are said to be so, in both languages."""

from __future__ import annotations

import json
from pathlib import Path

from metier.console import Console
from metier.report.config import ReportConfig
from metier.report.stage import report

from .facts import bank


def page(tmp_path: Path, **extra: object) -> str:
    report(ReportConfig(), {**bank(), **extra}, tmp_path, Console(quiet=True))
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["verdict"]
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_criteria_written_before_are_called_so(tmp_path):
    text = page(tmp_path, earlier_criteria=[])
    assert "before the run" in text and "Changed after the answers were known" not in text


def test_changed_criteria_are_named(tmp_path):
    text = page(tmp_path, earlier_criteria=[["accuracy &gt;= 0.99"], []])
    assert "Changed after the answers were known" in text and "得知结果之后改动过标准" in text
    assert "0.99" in text and "the default criteria" in text
    assert "were written into the recipe before the run" not in text
