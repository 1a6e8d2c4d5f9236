"""Which languages stay, and a detector that knows other languages in Latin script."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from metier.prepare import languages
from metier.prepare.config_texts import LanguageConfig
from metier.prepare.language import language
from metier.prepare.languages import detect_with_lingua, label, unwanted

from .texts import documents, operate, settings


def test_what_is_kept() -> None:
    keep = ("zh", "en", "mixed")
    assert unwanted("zh", keep) is None and unwanted("mixed", keep) is None and unwanted("", ()) is None
    reason, detail = unwanted("", keep) or ("", "")
    assert reason == "language not wanted" and "neither Chinese nor English" in detail and "zh, en, mixed" in detail
    assert unwanted("de", ("zh", "other")) is None and "'de'" in (unwanted("de", ("zh",)) or ("", ""))[1]


def test_texts_in_other_languages_leave_with_a_reason() -> None:
    table = documents(["患者今日复诊。", "I lost my card", "Я потерял карту"])
    result = operate(language, table, settings(language={"keep": ["zh", "mixed"]}))
    assert result.batch["language"].to_pylist() == ["zh"] and result.counts == {"zh": 1}
    assert [row["reason"] for row in result.rejected] == ["language not wanted"] * 2
    assert operate(language, table, settings()).batch["language"].to_pylist() == ["zh", "en", ""]


def test_a_column_wins_and_the_rule_is_the_default() -> None:
    assert label("患者复诊", "English", LanguageConfig()) == "en"
    assert label("患者复诊", "", LanguageConfig()) == "zh"


def test_lingua_is_asked_about_long_enough_text_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def values(text: str) -> list[Any]:
        asked.append(text)
        ranked = (("DE", 0.9), ("EN", 0.05)) if "Konto" in text else (("EN", 0.4), ("DE", 0.3))
        return [SimpleNamespace(language=SimpleNamespace(iso_code_639_1=SimpleNamespace(name=name)), value=value)
                for name, value in ranked]  # fmt: skip

    monkeypatch.setattr(languages, "_lingua", lambda: SimpleNamespace(compute_language_confidence_values=values))
    config = LanguageConfig(detector="lingua")
    assert label("Bitte schliessen Sie mein Konto", "", config) == ""
    assert label("Please close my account at once", "", config) == "en"
    assert len(asked) == 2
    assert label("mein Konto", "", config) == "en" and label("我的 Konto ist leer", "", config) == "mixed"
    assert len(asked) == 2


@pytest.mark.slow  # a gigabyte of statistics
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Please close my account as soon as possible", "en"), ("患者今日复诊，诉无胸痛。", "zh"),
        ("Pt c/o SOB x3d, BP 120/80, afebrile", "en"), ("Metoprolol tartrate 25 mg PO BID", "en"),
        ("Bitte schliessen Sie mein Konto so bald wie moglich", ""),
        ("患者服用 metformin 与 aspirin each morning", "mixed"),
        ("Le patient a ete vu aujourd hui et ne se plaint de rien", ""),
        ("El prestatario debe devolver el prestamo en treinta dias", ""),
    ],
)  # fmt: skip
def test_lingua_itself(text: str, expected: str) -> None:
    pytest.importorskip("lingua")
    assert detect_with_lingua(text) == expected
