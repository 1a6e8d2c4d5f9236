"""The audit: the bound against known values and chance, the sheet there and back, the demand of a recipe."""

from __future__ import annotations

import csv
import json
import random
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier import tables
from metier.artifact import Store, fingerprint
from metier.errors import UserError
from metier.prepare.deidentify.audit import bound, sheet
from metier.prepare.deidentify.audit.run import demand, draw_sheet, judge, summary
from metier.prepare.deidentify.audit.sample import Item, allocate, draw
from metier.prepare.deidentify.config import DeidentifyConfig


def test_clopper_pearson_of_the_books() -> None:
    """Upper limits as tables of the exact method give them; the rule of three for none."""
    assert bound.clopper_pearson(0, 300, 0.95) == pytest.approx(0.009936, abs=1e-5)
    assert bound.rule_of_three(300, 0.95) == pytest.approx(bound.clopper_pearson(0, 300, 0.95), abs=1e-9)
    assert bound.clopper_pearson(1, 100, 0.95) == pytest.approx(0.04656, abs=1e-4)
    assert bound.clopper_pearson(5, 10, 0.975) == pytest.approx(0.8129, abs=1e-4)
    assert bound.clopper_pearson(10, 10, 0.95) == 1.0 and bound.clopper_pearson(0, 0, 0.95) == 1.0
    assert bound.needed(0.01, 0.95) == 299 and bound.rule_of_three(299, 0.95) <= 0.01 < bound.rule_of_three(298, 0.95)


def test_strata_in_proportion_are_pooled_and_rounding_is_paid_for() -> None:
    even = {"a": (1000, 100, 1), "b": (500, 50, 0)}
    assert bound.stratified(even, 0.95) == pytest.approx(bound.clopper_pearson(1, 150, 0.95))
    uneven = {"a": (1000, 90, 1), "b": (500, 60, 0)}
    assert bound.stratified(uneven, 0.95) > bound.stratified(even, 0.95)
    assert bound.stratified({"a": (1000, 100, 0), "b": (5, 0, 0)}, 0.95) == 1.0  # nobody looked at b
    assert bound.stratified({"a": (40, 40, 1)}, 0.95) == 1 / 40  # everything was read


@pytest.mark.parametrize("rates", [(0.02, 0.02), (0.0, 0.08), (0.1, 0.01)])
def test_the_bound_covers_the_truth_as_often_as_it_says(rates: tuple[float, float]) -> None:
    chance, sizes = random.Random(7), (600, 300)
    population = [
        [index < round(size * rate) for index in range(size)] for size, rate in zip(sizes, rates, strict=True)
    ]
    truth = sum(map(sum, population)) / sum(sizes)
    covered = 0
    for _ in range(400):
        drawn = [chance.sample(members, count) for members, count in zip(population, (60, 30), strict=True)]
        strata = {
            str(place): (size, len(part), sum(part))
            for place, (size, part) in enumerate(zip(sizes, drawn, strict=True))
        }
        covered += bound.stratified(strata, 0.95) >= truth
    assert covered >= 0.94 * 400


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(1, 500), min_size=1, max_size=8), st.integers(1, 400))
def test_allocation_gives_each_stratum_a_part(sizes: dict[str, int], wanted: int) -> None:
    given_ = allocate(sizes, wanted)
    assert set(given_) == set(sizes) and all(1 <= given_[name] <= sizes[name] for name in sizes)
    assert sum(given_.values()) <= max(wanted, len(sizes)) or wanted >= sum(sizes.values())


def items(count: int) -> list[Item]:
    return [
        Item(
            f"id{number}",
            "x" * 200,
            f"f{number}.{'pdf' if number % 5 else 'eml'}",
            "zh" if number % 3 else "en",
            number % 4,
        )
        for number in range(count)
    ]


def test_the_draw_is_stratified_and_can_be_repeated() -> None:
    drawn, sizes = draw(items(900), 90, seed=1)
    assert sum(sizes.values()) == 900 and 85 <= sum(map(len, drawn.values())) <= 95
    assert len(sizes) >= 6 and all(drawn[name] for name in sizes)
    for name, members in drawn.items():
        assert len(members) / 90 == pytest.approx(sizes[name] / 900, abs=0.02)
    again, _ = draw(items(900)[::-1], 90, seed=1)
    other, _ = draw(items(900), 90, seed=2)
    assert again == drawn != other
    everything, _ = draw(items(10), 50, seed=0)
    assert sum(map(len, everything.values())) == 10


CONFIG = DeidentifyConfig(policy="placeholder")


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A prepare artifact of 60 examples, as the store keeps it."""
    rows: list[dict[str, Any]] = [
        {
            "id": f"e{number}",
            "document_ids": [f"d{number}"],
            "source": f"{number}.txt",
            "language": "zh" if number % 2 else "en",
            "text": f"{number}：患者【姓名】，电话【电话】" if number % 3 else f"text {number} about Zorbo",
        }
        for number in range(60)
    ]
    changes = [{"id": f"d{number}", "step": "deidentify", "after": "【姓名】"} for number in range(60) if number % 3]

    def work(out: Path) -> dict[str, Any]:
        tables.write(tables.table(rows, tables.EXAMPLES), out / "examples.parquet")
        from metier.prepare.operation import CHANGES

        tables.write(tables.table(changes, CHANGES), out / "changes.parquet")
        return {}

    identity = {"stage": "prepare", "config": {"prepare": {"deidentify": CONFIG.identity()}}}
    return Store(tmp_path / "store").build("prepare", identity, {}, work).path


def fill(path: Path, missed: dict[str, str]) -> None:
    """What a person would write into the sheet."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows({**row, "missed": missed.get(row["id"], "无")} for row in rows)


def test_from_sheet_to_bound(prepared: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    plan = draw_sheet(prepared, path, 20)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 or path.drive
    ids = [id for stratum in plan["strata"].values() for id in stratum["drawn"]]
    assert 18 <= len(ids) <= 22 and plan["documents"] == 60 and plan["fingerprint"] == prepared.name
    assert "⟦【姓名】⟧" in path.read_text(encoding="utf-8-sig")
    with pytest.raises(UserError, match="have no answer"):
        judge(path, 0.95)
    fill(path, {ids[0]: "Zorbo; Kalle"})
    audit = judge(path, 0.95)
    assert audit["with_leftover"] == 1 and audit["missed"] == 2 and audit["read"] == len(ids)
    assert audit["share"] < audit["upper_bound"] < 0.4
    assert "Zorbo" not in json.dumps(audit)  # the audit counts, and holds nobody's name
    assert "1 of" in summary(audit)


def test_the_page_holds_the_texts_and_no_script_of_theirs(prepared: Path, tmp_path: Path) -> None:
    sheet.write(
        tmp_path / "s.html",
        [{"id": "1", "stratum": "a", "source": "b", "text": "<script>x</script> [PHONE]", "inserted": []}],
        "Audit",
    )
    page = (tmp_path / "s.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;x" in page and "<mark>[PHONE]</mark>" in page and "http" not in page.replace("http-equiv", "")
    draw_sheet(prepared, tmp_path / "all.html", 5)
    assert (tmp_path / "all.html").exists() and (tmp_path / "all.plan.json").exists()


def test_answers_are_read_as_people_write_them(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("id,missed\n1,无\n2,张三；13800138000\n3,\n4,None\n'=5,x\n".encode("gb18030"))
    assert sheet.read(path) == {"1": [], "2": ["张三", "13800138000"], "3": None, "4": [], "=5": ["x"]}
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(UserError, match="no filled-in sheet"):
        sheet.read(path)


def test_cells_are_no_formulas(tmp_path: Path) -> None:
    sheet.write(tmp_path / "s.csv", [{"id": "1", "stratum": "a", "source": "=cmd()", "text": "+1", "inserted": []}], "")
    assert "'=cmd()" in (tmp_path / "s.csv").read_text(encoding="utf-8-sig")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.lists(st.text(min_size=1, max_size=6), max_size=4))
def test_marks_lose_no_character(text: str, inserted: list[str]) -> None:
    assert "".join(piece for piece, _ in sheet.marks(text, inserted)) == text


def config(**require: Any) -> DeidentifyConfig:
    return DeidentifyConfig.model_validate({"policy": "placeholder", "require": require})


def write_audit(folder: Path, **changed: Any) -> str:
    audit = {"fingerprint": "f" * 64, "upper_bound": 0.008, "confidence": 0.95, **changed}
    (folder / "audit.json").write_text(
        json.dumps({key: value for key, value in audit.items() if value is not None}), encoding="utf-8"
    )
    return "audit.json"


def test_a_demand_that_is_met_says_nothing(tmp_path: Path) -> None:
    demand(config(), "f" * 64, tmp_path)
    demand(config(max_residual=0.01, audit=write_audit(tmp_path)), "f" * 64, tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fingerprint": "a" * 64}, "of another output"),
        ({"upper_bound": 0.02}, "may still hold an identifier"),
        ({"confidence": 0.9}, "with confidence 0.9"),
        ({"upper_bound": None}, "this is no audit"),
        ({"upper_bound": float("nan")}, "may still hold"),
        ({"upper_bound": "0"}, "with confidence|no audit"),
    ],
)
def test_a_demand_fails_closed(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        demand(config(max_residual=0.01, audit=write_audit(tmp_path, **changed)), "f" * 64, tmp_path)


def test_no_audit_is_a_failed_audit(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no audit is named"):
        demand(config(max_residual=0.01), "f", tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        demand(config(max_residual=0.01, audit="none.json"), "f", tmp_path)
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="this is no audit"):
        demand(config(max_residual=0.01, audit="broken.json"), "f", tmp_path)
    with pytest.raises(UserError, match="de-identification is off"):
        demand(DeidentifyConfig.model_validate({"require": {"max_residual": 0.01, "audit": "x"}}), "f", tmp_path)


def test_a_set_without_deidentification_has_no_audit(tmp_path: Path) -> None:
    identity = {"stage": "prepare", "config": {"prepare": {"deidentify": DeidentifyConfig().identity()}}}
    folder = Store(tmp_path).build("prepare", identity, {}, lambda out: {}).path
    with pytest.raises(UserError, match="without de-identification"):
        draw_sheet(folder, tmp_path / "s.csv", 5)
    assert fingerprint(identity) == folder.name
