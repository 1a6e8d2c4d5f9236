"""The dossier: filled from evidence alone, open where a person must speak, both languages, safe, the same each time."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from metier.errors import UserError
from metier.report.config import ReportConfig
from metier.report.dossier import check_provided, dossier, field_names
from metier.report.dossier.blocks import BLOCKS
from metier.report.dossier.pages import sheets
from metier.report.lineage import COLUMNS, SPLITS, as_csv, trace

from .facts import bank
from .variants import bank_zh, empty, many, multi, reject, score

KINDS = {
    "bank": bank,
    "bank_zh": bank_zh,
    "many": many,
    "reject": reject,
    "score": score,
    "multi": multi,
    "empty": empty,
}
PAGES = ("annex-iv.html", "data-card.html", "gbt-45654.html", "lineage.html")


def facts() -> dict:
    rejected = [{"source": "a.zip!/b.txt", "reason": "empty"}, {"source": "gone.pdf", "reason": "damaged"}]
    rows = trace(
        [(0, "a.zip", "f" * 64), (0, "gone.pdf", "0" * 64)], ["a.zip!/c.txt"], [("a.zip!/c.txt", "train")], rejected
    )
    return {**bank(), "lineage": rows, "model_files": {"model.safetensors": "e" * 64}}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_fills_every_sheet(kind: str) -> None:
    found = dossier(ReportConfig(), KINDS[kind]())
    assert set(found) == {*PAGES, "data-card.md", "lineage.csv"}
    for name in PAGES:
        page = html.fromstring(found[name])
        for code in ("en", "zh"):
            heads = page.xpath(f"//article[contains(@class, 'in-{code}')]//h2/text()")
            assert len(heads) == len(set(heads)) >= 3
        assert not page.xpath("//script") and not page.xpath("//img") and not page.xpath("//link")


def test_equal_facts_give_equal_bytes_and_the_languages_change_places() -> None:
    assert dossier(ReportConfig(), facts()) == dossier(ReportConfig(), facts())
    chinese = dossier(ReportConfig(language="zh"), facts())["annex-iv.html"]
    assert re.search(r'id="pick-zh"[^>]* checked>', chinese) and "<title>技术文档" in chinese


def test_what_only_a_person_can_say_is_open_until_it_is_said() -> None:
    before = dossier(ReportConfig(), facts())["annex-iv.html"]
    said = "Harbour <b>&</b> Vale"
    after = dossier(ReportConfig(provided={"provider": said}), facts())["annex-iv.html"]
    opened = [len(re.findall('class="open"', page)) for page in (before, after)]
    assert opened[0] - opened[1] == 2  # one field in each language
    assert "Harbour &lt;b&gt;&amp;&lt;/b&gt; Vale" in after and "Said by a person; not checked." in after
    assert "Not provided" in before and "未提供" in before
    with pytest.raises(UserError, match="no sheet has a field 'provder'") as error:
        check_provided({"provder": "x"})
    assert "provider" in str(error.value)


def test_sheets_name_blocks_that_exist_and_use_all_of_them() -> None:
    named = {block for sheet in sheets().values() for section in sheet["sections"] for block in section["evidence"]}
    assert named == set(BLOCKS)
    texts = [text for sheet in sheets().values() for text in (sheet["title"], sheet["about"],
             *(section["head"] for section in sheet["sections"]),
             *(field for section in sheet["sections"] for field in section["fields"].values()))]  # fmt: skip
    assert all(set(text) == {"en", "zh"} and text["en"] and text["zh"] for text in texts)
    meanings: dict[str, set[str]] = {}
    for sheet in sheets().values():
        for section in sheet["sections"]:
            for name, title in section["fields"].items():
                meanings.setdefault(name, set()).add(title["zh"].removeprefix("(a) "))
    assert all(len(said) == 1 for said in meanings.values()), "one code, one meaning"
    assert len(field_names()) == len(meanings)


def test_figures_stand_in_the_technical_documentation() -> None:
    page = html.fromstring(dossier(ReportConfig(), facts())["annex-iv.html"]).text_content()
    value = facts()["results"]["models"]["tuned"]["accuracy"]["value"]
    assert f"{100 * value:.1f}%" in page
    assert "model.safetensors" in page and "e" * 64 in page


def test_parts_of_the_test_set_stand_in_the_technical_documentation() -> None:
    built = facts()
    figure = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 40}
    row = {"column": "language", "value": "zh", "metric": "accuracy", "n": 40, "comparisons": [],
           "models": {"tuned": figure, "base": figure}}  # fmt: skip
    column = {"column": "language", "parts": 2, "shown": 2, "small_examples": 0, "unknown": 0}
    built["results"] = {**built["results"], "slices": {"minimum": 30, "columns": [column], "rows": [row]}}
    page = html.fromstring(dossier(ReportConfig(), built)["annex-iv.html"]).text_content()
    assert "50.0% (40.0 to 60.0)" in page and "zh" in page


def test_lineage_counts_every_file_and_stands_nothing_first() -> None:
    rows = facts()["lineage"]
    assert [row["file"] for row in rows] == ["gone.pdf", "a.zip"]
    assert rows[1] == {"file": "a.zip", "documents": 1, "train": 1, "validation": 0, "test": 0, "refused": 1,
                       "reasons": "empty (1)", "sha256": "f" * 64}  # fmt: skip
    table = list(csv.DictReader(io.StringIO(dossier(ReportConfig(), facts())["lineage.csv"])))
    assert tuple(table[0]) == COLUMNS and len(table) == 2
    assert as_csv([{**rows[0], "file": "=cmd()"}]).splitlines()[1].startswith("'=cmd()")


NAMES = st.text("ab#!/.", min_size=1, max_size=6)


@given(st.lists(NAMES, unique=True, max_size=6), st.lists(NAMES, max_size=8),
       st.lists(st.tuples(NAMES, st.sampled_from(SPLITS)), max_size=8), st.lists(NAMES, max_size=8))  # fmt: skip
def test_nothing_is_lost_on_the_way(files: list[str], documents: list[str], examples: list, refused: list[str]) -> None:
    rows = trace([(0, name, "0") for name in files], documents, examples,
                 [{"source": name, "reason": "empty"} for name in refused])  # fmt: skip
    assert {row["file"] for row in rows} >= set(files) and len({row["file"] for row in rows}) == len(rows)
    assert sum(row["documents"] for row in rows) == len(documents)
    assert sum(row[split] for row in rows for split in SPLITS) == len(examples)
    assert sum(row["refused"] for row in rows) == len(refused)
