"""Both languages are complete, and one figure is written one way."""

import importlib
import pkgutil
import re
import string
from pathlib import Path

import pytest

import metier.report
from metier.report.words import LANGUAGES, Words, strings

FOLDER = Path(metier.report.__file__).parent


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", sorted(strings()))
def test_every_string_stands_in_both_languages_with_the_same_fields(key):
    entry = strings()[key]
    assert set(entry) == set(LANGUAGES)
    assert all(text for text in entry.values())
    assert fields(entry["en"]) == fields(entry["zh"])


def test_no_chinese_in_english_and_no_english_sentence_in_chinese():
    for key, entry in strings().items():
        if key == "page.language":
            continue
        assert not re.search(r"[\u4e00-\u9fff]", entry["en"]), key
        assert not re.search(r"[a-z]+ [a-z]+ [a-z]+ [a-z]+", entry["zh"]), key


def test_steps_kinds_and_leaks_have_words():
    """What the prepare stage names by a code is called something in both languages."""
    from metier.prepare.conflicts import REASON
    from metier.prepare.deidentify.kinds import KINDS
    from metier.prepare.quality_rules import BUILT_IN
    from metier.prepare.stage import STEPS

    missing = {f"step.{name}" for name in STEPS} | {f"identifier.{name}" for name in KINDS}
    missing |= {f"reason.quality: {rule.name.replace('_', ' ')}" for rule in BUILT_IN} | {f"reason.{REASON}"}
    missing |= {f"leak.{name}" for name in ("groups", "clusters", "near pairs", "passages")}
    assert not missing - set(strings())


def test_every_reason_of_a_reader_has_words():
    """What can end a file, a page of a place or a row stands in the report in both languages, not as a code."""
    import metier.collect.places
    from metier.collect.accounts import ACCOUNTS, ANY
    from metier.collect.part import REASONS
    from metier.registry import names

    names("reader")  # imports them all
    for module in pkgutil.iter_modules(metier.collect.places.__path__):
        importlib.import_module(f"metier.collect.places.{module.name}")
    reasons = {reason for account in ACCOUNTS.values() for reason in account.refused} | {*ANY, *REASONS}
    assert len(reasons) > 20
    assert not {f"reason.{reason}" for reason in reasons} - set(strings())


def test_no_string_is_left_over():
    code = "".join(path.read_text(encoding="utf-8") for path in FOLDER.rglob("*") if path.suffix in (".py", ".j2"))
    stems = set(re.findall(r"[\"'`]([a-z_]+)\.", code)) | {"kind", "kind_score"}
    for key in strings():
        stem = key.partition(".")[0]
        assert f'"{key}"' in code or f"'{key}'" in code or stem in stems or f'known("{stem}"' in code, key


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("accuracy", 0.9312, "93.1%"),
        ("accuracy", None, "no data"),
        ("mae", 0.18249, "0.182"),
        ("mcc", -0.0501, "\u22120.050"),
        ("rmse", 1234.6, "1,235"),
        ("accuracy", float("nan"), "no data"),
        ("accuracy", -0.0001, "0.0%"),
    ],
)
def test_values(metric, value, shown):
    assert Words("en").value(metric, value) == shown


def test_figures_and_differences():
    en, zh = Words("en"), Words("zh")
    row = {"metric": "accuracy", "difference": 0.031, "low": 0.02, "high": 0.042}
    assert en.difference(row) == "+3.1 points (2.0 to 4.2)"
    assert zh.difference(row) == "+3.1 个百分点（2.0 至 4.2）"
    assert en.difference({"metric": "mae", "difference": -0.031, "low": None, "high": None}) == "\u22120.031"
    assert en.figure("f1", {"value": 0.5, "low": 0.4, "high": 0.6}) == "50.0% (40.0 to 60.0)"
    assert (
        en.figure("f1", None) == "no data" and en.figure("f1", {"value": None, "low": None, "high": None}) == "no data"
    )
    assert en.p(0.0002) == "< 0.001" and en.p(0.0312) == "0.031" and en.p(None) == "no data"
    assert [en.seconds(x) for x in (0.25, 90, 7200)] == ["0.2 s", "1.5 min", "2.0 h"]


def test_unknown_codes_are_shown_as_they_are():
    assert Words("zh").known("reason", "odd_thing") == "odd thing"
    assert Words("en").known("model", "mine", "My model") == "My model"
