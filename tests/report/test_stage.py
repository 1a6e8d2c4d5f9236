"""The three files: complete, self-contained, safe, the same for the same facts."""

import functools
import io
import itertools
import json
import re
from html import unescape

import pytest
import yaml
from lxml import html

from metier.console import Console
from metier.report.config import ReportConfig
from metier.report.data import funnel
from metier.report.stage import DOCUMENTS, page, record, report
from metier.report.words import LANGUAGES, Words

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
SECRET = "<script>alert('x')</script> \u05e9\u05dc\u05d5\u05dd 秘密文本 zebra-unicorn"


@pytest.fixture(scope="module")
def pages():
    return {name: page(ReportConfig(), build()) for name, build in KINDS.items()}


def text_of(source: str) -> str:
    """What a reader sees, white space folded; hints for line breaks vanish."""
    tree = html.document_fromstring(source)
    return " ".join(tree.body.text_content().split())


@functools.cache
def articles(source: str) -> dict[str, str]:
    tree = html.document_fromstring(source)
    return {node.get("lang"): " ".join(node.text_content().split()) for node in tree.iter("article")}


@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_loaded_and_nothing_runs(pages, name):
    tree = html.document_fromstring(pages[name])
    assert not list(tree.iter("script", "link", "img", "iframe", "object", "embed", "base", "form"))
    for node in tree.iter():
        if isinstance(node.tag, str):
            assert not [key for key in node.attrib if key.startswith("on")]
            for key in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
                beside = node.tag == "a" and node.get(key) in dict(DOCUMENTS).values()
                assert beside or node.get(key, "#").startswith("#"), (node.tag, key)
    style = tree.findtext(".//style")
    assert "url(" not in style and "@import" not in style and "@font-face" not in style
    assert "http://" not in pages[name] and "https://" not in pages[name]
    assert "default-src 'none'" in pages[name]


@pytest.mark.parametrize("name", KINDS)
def test_structure(pages, name):
    source = pages[name]
    assert source.lstrip().startswith("<!doctype html>")
    tree = html.document_fromstring(source)
    ids = [node.get("id") for node in tree.iter() if isinstance(node.tag, str) and node.get("id")]
    assert len(ids) == len(set(ids))
    targets = [node.get("href")[1:] for node in tree.iter("a") if node.get("href")[0] == "#"]
    targets += [node.get("for") for node in tree.iter("label")]
    targets += [node.get("aria-labelledby") for node in tree.iter("section") if node.get("aria-labelledby")]
    assert set(targets) <= set(ids)
    assert all(table.find("caption") is not None for table in tree.iter("table"))
    assert all(cell.get("scope") for cell in tree.iter("th"))
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in tree.iter("svg"))
    assert [node.get("lang") for node in tree.iter("article")] == ["en", "zh-Hans"]
    for node in tree.iter("article"):
        assert len(list(node.iter("h1"))) == 1
        levels = [int(h.tag[1]) for h in node.iter("h1", "h2", "h3", "h4")]
        assert all(b - a <= 2 for a, b in itertools.pairwise(levels))
    opened = re.findall(r"<(section|div|table|tbody|thead|tr|ul|ol|dl|details|figure|svg|article|main|nav)\b", source)
    closed = re.findall(r"</(section|div|table|tbody|thead|tr|ul|ol|dl|details|figure|svg|article|main|nav)>", source)
    assert sorted(opened) == sorted(closed)


def test_language_is_one_click_away_without_script(pages):
    assert 'id="pick-en" autocomplete="off" aria-label="Language: English" checked' in pages["bank"]
    other = page(ReportConfig(language="zh"), bank())
    assert '<html lang="zh">' in other and re.search(r'id="pick-zh"[^>]* checked', other)
    assert not re.search(r'id="pick-en"[^>]* checked', other)
    assert "#pick-zh:checked ~ * .in-en" in other and '<label for="pick-zh" lang="zh-Hans">' in other
    both = articles(pages["bank"])
    assert "SIGN OFF" in both["en"] and "可以签署" in both["zh-Hans"]
    assert not re.search(r"[\u4e00-\u9fff]", both["en"])


def figures(results):
    """(metric, figure) of every model and class."""
    for model in results["models"].values():
        for metric, value in model.items():
            if isinstance(value, dict) and "value" in value:
                yield metric, value
        for row in model.get("per_class") or ():
            for metric in ("precision", "recall", "f1"):
                yield metric, row[metric]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_figure_is_on_the_page(pages, name, language):
    results, words = KINDS[name]()["results"], Words(language)
    seen = articles(pages[name])["en" if language == "en" else "zh-Hans"]
    for metric, value in figures(results):
        assert words.value(metric, value["value"]) in seen
        assert words.interval(metric, value) in seen
        assert words.count(value["n"]) in seen
    for row in results["comparisons"]:
        assert words.difference(row) in seen and words.p(row["p_holm"]) in seen
        if row["mde"] is not None:
            assert words("mde", mde=words.points(row["metric"], row["mde"], sign=False)) in seen
    for row in results["verdict"]["reasons"]:
        assert words.either(row, "text") in seen and row["criterion"] in seen
    assert words.either(results["verdict"], "headline") in seen
    for row in results["warnings"]:
        assert words.either(row, "text") in seen
    for count in results["cases"].values():
        if isinstance(count, int):
            assert words.count(count) in seen


def test_what_matters_stands_first(pages):
    seen = articles(pages["reject"])["en"]
    floor, small = (
        seen.index("not proven better than the word-counting model"),
        seen.index("The test set is small (137"),
    )
    assert floor < seen.index("REJECT") < seen.index("Criterion by criterion") < seen.index("Better, same or worse")
    assert small < seen.index("REJECT") and seen.index("What it breaks") < seen.index("All models, all metrics")
    assert "Worse than the word-counting model (TF-IDF): \u22126.2 points" in seen
    assert "No proven difference from the untouched base model: +0.4 points" in seen
    assert "could have seen 9.3 points or more" in seen
    assert "Read this first" not in articles(pages["bank"])["en"]


def test_a_warning_of_the_evaluation_is_not_said_twice():
    facts = reject()
    facts["results"]["warnings"] = [
        {
            "text": "The tuned model is worse than the word-counting model (tfidf). Of 100 texts 6 fewer.",
            "text_zh": "微调模型不如词频模型。",
        },
        {"text": "The test split has only 137 examples; be careful.", "text_zh": "只有 137 条。"},
    ]
    seen = articles(page(ReportConfig(), facts))["en"]
    assert "may be enough for this job" not in seen and "The test set is small" not in seen


def test_texts_are_escaped_and_may_be_hidden():
    facts = bank()
    for row in facts["cases"]:
        row["text"] = SECRET + " " + row["text"]
    for row in facts["conflicts"]:
        row["text"] = SECRET
    for row in facts["rejected"]:
        row["detail"] = f"the label is {SECRET!r}"
    shown = page(ReportConfig(), facts)
    assert "<script" not in shown and "&lt;script&gt;alert" in shown and "\u05e9\u05dc\u05d5\u05dd" in shown
    assert 'class="quote"' in shown
    hidden = page(ReportConfig(show_texts=False), facts)
    for word in ("zebra-unicorn", "秘密文本", "\u05e9\u05dc\u05d5\u05dd", "alert", "transferred money", "case number"):
        assert word not in unescape(hidden), word
    assert "text hidden" in hidden and "文本已隐藏" in hidden


def test_no_text_enters_the_other_files(tmp_path):
    facts = bank()
    for row in facts["cases"]:
        row["text"] = SECRET
    report(ReportConfig(), facts, tmp_path, Console(io.StringIO(), quiet=True))
    for name in ("results.json", "README.md"):
        assert "zebra-unicorn" not in (tmp_path / name).read_text(encoding="utf-8")


def test_hostile_names_do_no_harm():
    facts = bank(labels=['a"><svg onload=x>', "b</style>", "c|d`e", *[f"x{i}" for i in range(11)]])
    facts["recipe"]["description"] = "</title><script>1</script>"
    source = page(ReportConfig(title="<b>T</b>"), facts)
    tree = html.document_fromstring(source)
    assert not list(tree.iter("script")) and "<b>T</b>" not in source
    assert not any(node.get("onload") for node in tree.iter() if isinstance(node.tag, str))


def test_page_stays_small_whatever_comes():
    facts = many()
    long = "长文本 & <tag> " * 4000
    facts["cases"] = [
        {**facts["cases"][0], "id": f"{kind}{i}", "kind": kind, "text": long}
        for kind in ("broken", "mended")
        for i in range(1000)
    ]
    facts["results"]["cases"].update(broken=1000, mended=1000)
    facts["rejected"] = [
        {"source": f"f{i}.pdf" * 50, "stage": "collect", "reason": f"odd {i % 40}", "detail": long}
        for i in range(20000)
    ]
    facts["conflicts"] = [
        {"cluster": str(i), "id": str(i), "source": "s" * 900, "label": "l", "text": long} for i in range(3000)
    ]
    facts["train"]["history"] = [{**facts["train"]["history"][0], "epoch": i / 100, "step": i} for i in range(1, 20000)]
    source = page(ReportConfig(), facts)
    assert len(source.encode()) < 2_000_000
    seen = text_of(source)
    assert "200 of 1,000 listed" in seen and "60 of 3,000 rows listed" in seen
    assert "20,000" in seen and "497 more in rejected.parquet" in seen


def test_cases_listed_never_exceed_their_total(pages):
    assert "12 of 24 listed" in articles(pages["bank"])["en"] and "20 of 72 listed" in articles(pages["bank"])["en"]


def test_the_funnel_adds_up_or_says_so():
    facts = bank()
    steps = funnel(facts["collect"], facts["prepare"])
    assert (
        steps[0]["rows"] - sum(step["removed"] for step in steps)
        == steps[-1]["rows"]
        == sum(facts["prepare"]["splits"].values())
    )
    assert not any(step["gap"] for step in steps)
    seen = articles(page(ReportConfig(), facts))["en"]
    assert (
        f"{steps[0]['rows']:,} found = {steps[-1]['rows']:,} used + 172 removed." in seen
        and "do not add up" not in seen
    )
    facts["prepare"]["funnel"][1]["removed"] += 1
    assert "do not add up" in page(ReportConfig(), facts)


def test_rejected_rows_are_counted_by_reason(pages):
    tree = html.document_fromstring(pages["bank"])
    table = next(t for t in tree.iter("table") if "What was rejected" in t.findtext("caption"))
    counts = [int(row.findall("td")[1].text) for row in table.findall("tbody/tr")]
    assert sum(counts) == 172 == int(table.findall("tfoot/tr/td")[0].text)


def test_print_phone_and_themes_are_thought_of(pages):
    style = html.document_fromstring(pages["bank"]).findtext(".//style")
    for part in (
        "@media print",
        "@page",
        "size: A4",
        "::details-content",
        "break-inside: avoid",
        "prefers-color-scheme: dark",
        "max-width: 760px",
        "PingFang SC",
        "Noto Sans CJK SC",
        "Microsoft YaHei",
        "tabular-nums",
    ):
        assert part in style, part
    seen = articles(pages["bank"])["en"]
    for part in ("Name", "Role", "Date", "Signature", "approved with conditions:"):
        assert part in seen


def test_variants(pages):
    many_seen = articles(pages["many"])["en"]
    assert "Show the other 53 classes" in many_seen and "The 10 commonest of" in many_seen
    score_seen = articles(pages["score"])["en"]
    assert "What is taken for what" not in score_seen and "Mean error" in score_seen and "CONDITIONAL" in score_seen
    assert "Measured against the untouched base model, tuning clearly lowers the error of 41 cases" in score_seen
    assert "Better than the untouched base model: 0.031 lower (0.020 to 0.042)" in score_seen
    assert "0.006 lower (\u22120.005 to 0.017)" in score_seen
    multi_seen = articles(pages["multi"])["en"]
    assert (
        "What is taken for what" not in multi_seen
        and "card_arrival, close_account" in multi_seen
        and "(none)" in multi_seen
    )
    empty_seen = articles(pages["empty"])["en"]
    assert (
        "no data" in empty_seen
        and "No comparison was made" in empty_seen
        and "None" not in re.sub(r"None\.", "", empty_seen)
    )


def test_no_test_split_at_all():
    facts = empty()
    facts["results"].update(
        models={}, cases={"broken": 0, "mended": 0, "both_right": 0, "both_wrong": 0, "against": None}, data={"test": 0}
    )
    assert "there is no other model to compare" in page(ReportConfig(), facts)


def test_equal_facts_equal_bytes(tmp_path):
    made = []
    for name in ("a", "b"):
        summary = report(ReportConfig(), bank(), tmp_path / name, Console(io.StringIO(), quiet=True))
        made.append({file: (tmp_path / name / file).read_bytes() for file in summary["files"]})
        assert summary["decision"] == "SIGN OFF" and set(summary["files"]) == {
            "report.html",
            "results.json",
            "README.md",
            *(f"dossier/{name}" for name in ("annex-iv.html", "data-card.html", "data-card.md", "gbt-45654.html",
                                             "lineage.html", "lineage.csv")),
        }  # fmt: skip
    assert made[0] == made[1]


def test_results_json_has_everything(tmp_path):
    facts = bank()
    report(ReportConfig(), facts, tmp_path, Console(io.StringIO(), quiet=True))
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert found == json.loads(json.dumps(record(facts)))
    for key, value in facts["results"].items():
        if key != "data":
            assert found[key] == value
    assert (
        found["data"]["test"] == facts["results"]["data"]["test"]
        and found["data"]["splits"] == facts["prepare"]["splits"]
    )
    assert (
        found["name"] == "bank-intents"
        and found["recipe"] == facts["recipe"]
        and found["fingerprints"] == facts["fingerprints"]
    )
    assert found["training"] == facts["train"]
    assert set(found["cost"]) == {"seconds", "tokens", "peak_memory_mb", "energy", "request", "machine"}
    assert found["data"]["rejected"]["prepare"]["near duplicate"] == 143


@pytest.mark.parametrize("name", KINDS)
def test_report_runs_for_every_kind(tmp_path, name):
    summary = report(ReportConfig(), KINDS[name](), tmp_path, Console(io.StringIO(), quiet=True))
    assert 0 < summary["files"]["report.html"] < 2_000_000
    front = yaml.safe_load((tmp_path / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert front["library_name"] == "transformers"


def test_identifiers_and_what_splits_share_are_told_where_there_are_any(tmp_path):
    facts = bank()
    plain = articles(page(ReportConfig(), facts))
    assert "De-identification" not in plain["en"] and "What the splits share" not in plain["en"]
    nothing = {"groups": 0, "clusters": 0, "near pairs": 0, "passages": 0}
    facts["prepare"]["deidentified"] = {"documents": 0, "kinds": {}}
    facts["prepare"]["leaks"] = {"pairs": {"train/test": nothing}, "against": {}, "forms": 0}
    assert articles(page(ReportConfig(), facts)) == plain

    facts["prepare"]["deidentified"] = {
        "documents": 4321,
        "kinds": {
            "phone": {"texts": 1234, "elsewhere": 17, "kept": 0},
            "medical_record": {"texts": 2, "elsewhere": 1, "kept": 55},
        },
    }
    facts["prepare"]["leaks"] = {
        "pairs": {
            "train/test": {**nothing, "passages": 31, "groups by household": 7},
            "train/validation": {**nothing, "passages": 2, "groups by household": 0},
            "validation/test": {**nothing, "groups by household": 0},
        },
        "against": {
            "bench.jsonl": {"texts": 900, "passages": 12, "near": 3, "rejected": 15},
            "clean.txt": {"texts": 10, "passages": 0, "near": 0, "rejected": 0},
        },
        "forms": 0,
    }
    seen = articles(page(ReportConfig(), facts))
    assert "1,254 identifiers were replaced; 4,321 texts held some." in seen["en"]
    assert "共替换 1,254 处标识信息，涉及 4,321 条文本。" in seen["zh-Hans"]
    assert re.search(r"telephone numbers\s?phone\s?1,234\s?17\s?0", seen["en"]) and "病历号" in seen["zh-Hans"]
    assert seen["en"].index("telephone numbers") < seen["en"].index("medical record numbers")
    assert re.search(r"Total\s?1,236\s?18\s?55", seen["en"])
    assert re.search(r"texts with a shared passage\s?31\s?2\s?0", seen["en"])
    assert re.search(r"groups by household\s?7\s?0\s?0", seen["en"]) and "按 household 划分的组" in seen["zh-Hans"]
    assert "clusters of duplicates" not in seen["en"]
    assert (
        "Compared with bench.jsonl (900 texts): 12 training texts share a passage, 3 are nearly equal, 15 were"
        in (seen["en"])
    )
    assert "clean.txt" not in seen["en"]
    told = record(facts)["data"]
    assert told["deidentified"] == facts["prepare"]["deidentified"] and told["leaks"] == facts["prepare"]["leaks"]
