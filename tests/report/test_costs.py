"""What training took and what a request will: the same rows in page, card and documentation, and never a guess."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from lxml import html

from metier.config import Section
from metier.errors import UserError
from metier.recipe import parse
from metier.report import costs
from metier.report.card import card
from metier.report.config import ReportConfig
from metier.report.dossier import dossier
from metier.report.stage import page, record
from metier.report.words import LANGUAGES, Words, strings
from metier.train.energy import Meter

from .facts import bank

NOWHERE = Path("/nowhere")
RAPL = {"part": "processor", "source": "rapl", "joules": 7200.0, "of": ["dram", "package-0"], "estimate": False,
        "problem": "", "detail": ""}  # fmt: skip
NVML = {**RAPL, "part": "graphics", "source": "nvml", "joules": 3600.0, "of": ["NVIDIA H100"]}


def facts(parts: list[dict[str, Any]], price: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The bank's run: 1,540 requests in 3.08 seconds, 30,800 tokens."""
    built = bank()
    joules = [one["joules"] for one in parts]
    energy = {"joules": None if None in joules else sum(joules), "seconds": 3.0, "estimate": False, "parts": parts}
    built["train"] = {**built["train"], "energy": energy}
    built["predictions"] = {"cost": {"requests": 1540, "seconds": 3.08, "read": 30800, "written": None, "device": "cpu",
                                     "peak_memory_mb": 812.3, "energy": energy, **more}}  # fmt: skip
    built["recipe"] = {**built["recipe"], "report": {**built["recipe"].get("report", {}), **(price or {})}}
    return built


def test_a_thousand_requests_follow_from_what_was_measured() -> None:
    found = costs.requests(facts([RAPL], {"machine_price_per_hour": 1.8, "currency": "EUR"}))
    assert found["seconds"] == pytest.approx(0.002) and found["per_hour"] == pytest.approx(1_800_000)
    assert found["read"] == 20 and found["written"] is None
    assert found["price_of_1000"] == pytest.approx(2 * 1.8 / 3600)  # two seconds of the machine
    assert found["joules_of_1000"] == pytest.approx(7200 / 1.54)


def test_no_price_is_made_up() -> None:
    found = facts([RAPL])
    assert costs.requests(found)["price_of_1000"] is None
    assert dict(costs.use(found, Words("en")))["Price of 1,000 requests"].startswith("not provided")
    assert dict(costs.use(found, Words("zh")))["1,000 次请求的价格"].startswith("未提供")
    with pytest.raises(UserError, match="needs a currency"):
        parse({"collect": {"sources": "x.csv"}, "task": "classify", "report": {"machine_price_per_hour": 2}}, "r.yaml")
    assert issubclass(ReportConfig, Section) and ReportConfig().machine_price_per_hour is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_rows_stand_in_page_card_and_documentation(language: str) -> None:
    built = facts([RAPL, NVML], {"machine_price_per_hour": 1.8, "currency": "EUR"})
    words = Words(language)
    rows = [*costs.training(built, words), *costs.use(built, words)]
    config = ReportConfig(language=language)
    shown = {
        name: " ".join(html.fromstring(text).text_content().split())
        for name, text in (("page", page(config, built)), ("sheet", dossier(config, built)["annex-iv.html"]))
    }
    for name, value in rows:
        assert all(name in text and value in text for text in shown.values()), (name, value)
        assert f"- {name}: {value}" in card(config, built)
    assert any("0.001 EUR" in value and "1.8 EUR" in value for _, value in rows)
    assert record(built)["cost"]["request"]["read"] == 20
    assert record(built)["cost"]["energy"]["joules"] == 10800.0


def test_energy_in_words() -> None:
    words = Words("en")
    assert costs.energy(facts([RAPL])["train"]["energy"], words) == (
        "2.000 Wh by the processor's own counters (dram, package-0)")  # fmt: skip
    both = costs.energy(facts([RAPL, NVML])["train"]["energy"], words)
    assert (
        both.startswith("3.000 Wh in all; ")
        and "1.000 Wh by the graphics processor's own counter (NVIDIA H100)" in both
    )
    guessed = {**RAPL, "source": "codecarbon", "of": ["AMD EPYC"], "estimate": True}
    assert "an estimate by codecarbon" in costs.energy(facts([guessed])["train"]["energy"], words)
    hole = facts([RAPL, {**NVML, "joules": None, "problem": "no_package", "detail": "nvidia-ml-py"}])
    told = costs.energy(hole["train"]["energy"], words)
    assert "in all" not in told and "not measured: the package nvidia-ml-py is not installed" in told
    assert costs.requests(hole)["joules_of_1000"] is None
    assert costs.energy({}, words) == "not measured: an earlier version of Metier did this work"
    assert [costs.joules(value, words) for value in (812, 36_000, 7.2e6)] == ["812.0 J", "10.00 Wh", "2.000 kWh"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_has_words(language: str) -> None:
    source = (Path(costs.__file__).parents[1] / "train" / "energy.py").read_text(encoding="utf-8")
    codes = set(re.findall(r'Unread\("(\w+)"', source))
    assert codes == {"no_counter", "no_package", "permission", "failed", "gap", "interrupted"}
    assert {f"energy.{code}" for code in codes} <= set(strings())
    told = costs.energy(Meter(root=NOWHERE).stop(), Words(language))
    assert told.startswith({"en": "processor not measured: ", "zh": "处理器未测量："}[language])


@pytest.mark.parametrize("missing", ["unasked", "earlier"])
def test_where_nothing_was_asked_one_row_says_why(missing: str) -> None:
    built = {**bank(), "predictions": {"cost": {"missing": missing}}}
    ((_, value),) = costs.use(built, Words("en"))
    assert value.startswith("not measured: ") and costs.requests(built) == {"missing": missing}


def test_a_real_run_measures_itself(finished: Path) -> None:
    found = json.loads((finished / "runs" / "small" / "results.json").read_text(encoding="utf-8"))
    request, test = found["cost"]["request"], found["data"]["test"]
    assert request["requests"] == test and request["seconds"] > 0 and request["per_hour"] > 0
    assert 3 <= request["read"] <= 64  # start, end, and a word at least
    assert found["cost"]["energy"]["seconds"] > 0
    for energy in (found["cost"]["energy"], request["energy"]):  # whatever this machine can tell
        (part, *_) = energy["parts"]
        assert (part["joules"] is None) == bool(part["problem"])
    if request["peak_memory_mb"] is not None:
        assert 50 < request["peak_memory_mb"] < 50_000
