"""Two logs side by side: the same tests and verdicts as for a run, and every item that is not compared has a reason."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from metier.console import Console
from metier.errors import UserError
from metier.evaluate.compare import mcnemar
from metier.evaluate.config import EvaluateConfig
from metier.harness.judge import compare_logs
from metier.tables import read

from .made import REAL, sample, scored, write_log, write_samples

QUIET = Console(quiet=True)
SMALL = EvaluateConfig(bootstrap=400)


def pair(folder: Path, n: int = 120, better: float = 0.3, seed: int = 0, **settings: Any) -> tuple[Path, Path]:
    """Samples of two models: the base right in half, the tuned one also in the share `better` of what that missed."""
    random = np.random.default_rng(seed)
    before = random.random(n) < 0.5
    after = before | (random.random(n) < better)
    told = {"model_name": "m", "higher_is_better": {"desk": {"acc": True}}}
    return tuple(
        write_samples(folder / name, [sample(place, bool(right)) for place, right in enumerate(rights)], **told,
                      **settings)
        for name, rights in (("base", before), ("tuned", after))
    )  # type: ignore[return-value]  # fmt: skip


def rejected(folder: Path) -> Counter[str]:
    return Counter(read(folder / "rejected.parquet").column("reason").to_pylist())


def test_a_better_model_is_found_with_the_paired_test(tmp_path: Path) -> None:
    base, tuned = pair(tmp_path)
    found = compare_logs(base, tuned, tmp_path / "out", SMALL, QUIET)
    row = found["comparisons"][0]
    rights = [[json.loads(line)["acc"] for line in path.read_text().splitlines()] for path in (base, tuned)]
    won = sum(b > a for a, b in zip(*rights, strict=True))
    assert row["test"] == "mid-p McNemar" and row["p"] == pytest.approx(mcnemar(won, 0))
    assert found["models"]["tuned"]["acc"]["value"] == accuracy_score([1] * 120, rights[1])
    assert found["verdict"]["decision"] == "SIGN OFF" and row["outcome"] == "better"
    assert found["cases"] == {"broken": 0, "mended": won, "both_right": int(sum(rights[0])), "against": "base",
                              "both_wrong": 120 - won - int(sum(rights[0]))}  # fmt: skip
    cases = read(tmp_path / "out" / "cases.parquet").to_pylist()
    assert len(cases) == won and all(case["tuned"] == case["gold"] != case["base"] for case in cases)
    assert found["data"]["left_out"] == 0 and found["slices"]["rows"]


def test_order_limits_and_strangers_do_not_matter(tmp_path: Path) -> None:
    """The items are found by what stands in them; those of one log only are counted, so is another right answer."""
    base, _ = pair(tmp_path)
    rows = [json.loads(line) for line in base.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["acc"] = 1.0
    rows[3]["target"] = "0" if rows[3]["target"] == "1" else "1"
    del rows[4]["acc"]
    rows[4]["metrics"] = []
    shuffled = [*rows[:90][::-1], sample(500, True)]
    tuned = write_samples(tmp_path / "short", [*shuffled[:-1], {**shuffled[-1], "doc_id": 1000}])
    found = compare_logs(base, tuned, tmp_path / "out", SMALL, QUIET)
    assert found["data"]["test"] == 88
    assert rejected(tmp_path / "out") == {"only_in_base": 30, "only_in_tuned": 1, "different_target": 1, "no_value": 1}
    said = found["warnings"]
    assert any("33 answers or items are left out" in one["text"] and "33 条" in one["text_zh"] for one in said)


def test_criteria_parts_and_groups(tmp_path: Path) -> None:
    base, tuned = pair(tmp_path, n=240)
    accept = ("acc > base + 0.01", "acc >= 0.2", "acc[branch=north] >= base - 0.05", "acc >= base * 1.01")
    config = EvaluateConfig(bootstrap=400, accept=accept, slices=("branch",))
    found = compare_logs(base, tuned, tmp_path / "out", config, QUIET, group="client")
    assert [row["met"] for row in found["verdict"]["reasons"]] == ["yes"] * 4
    assert {row["value"] for row in found["slices"]["rows"]} == {"north", "south"}
    assert found["data"]["groups"] == 60 and found["comparisons"][0]["test"] == "cluster sign-flip"
    assert any("when both models had already answered" in one["text"] for one in found["warnings"])
    with pytest.raises(UserError, match="no metric 'mcc'"):
        compare_logs(base, tuned, tmp_path / "b", EvaluateConfig(accept=("mcc > base",)), QUIET)
    with pytest.raises(UserError, match="better when it is higher"):
        compare_logs(base, tuned, tmp_path / "b", EvaluateConfig(accept=("acc < base",)), QUIET)
    with pytest.raises(UserError, match="branch=west"):
        compare_logs(base, tuned, tmp_path / "b", EvaluateConfig(accept=("acc[branch=west] > 0.1",)), QUIET)
    with pytest.raises(UserError, match="grouped by"):
        compare_logs(base, tuned, tmp_path / "b", SMALL, QUIET, group="patient")


@pytest.mark.parametrize("task", ["desk_choice", "desk_write", "desk_text"])
def test_real_samples_keep_the_harness_own_figures(tmp_path: Path, task: str) -> None:
    folders = [REAL / "lmeval" / name for name in ("base", "tuned")]
    found = compare_logs(*folders, tmp_path / "out", SMALL, QUIET, task)
    for name, folder in zip(("base", "tuned"), folders, strict=True):
        told = json.loads(next(folder.glob("results_*")).read_text(encoding="utf-8"))["results"][task]
        for metric, figure in found["models"][name].items():
            if isinstance(figure, dict):
                plain, _, filter_name = metric.partition("-")
                assert figure["value"] == pytest.approx(told[f"{plain},{filter_name or 'none'}"], rel=1e-9)
    assert found["verdict"]["decision"] in ("CONDITIONAL", "REJECT")  # six items prove nothing


def test_real_inspect_logs(tmp_path: Path) -> None:
    base, tuned = (next((REAL / "inspect").glob(f"*.{end}")) for end in ("json", "eval"))
    config = EvaluateConfig(bootstrap=400, accept=("form-length < base",))
    found = compare_logs(base, tuned, tmp_path / "out", config, QUIET)
    assert found["primary"] == "match" and found["models"]["tuned"]["match"]["value"] == 0.75
    better = {row["metric"]: row["better"] for row in found["comparisons"]}
    assert better == {"match": "higher", "includes": "higher", "form-length": "lower", "form-polite": "higher"}
    assert found["comparisons"][0]["test"] == "paired sign-flip"  # halves: no longer right or wrong
    chosen = compare_logs(base, tuned, tmp_path / "b", SMALL, QUIET, metric="form-length")
    assert chosen["primary"] == "form-length"
    assert any("more of form-length is better is assumed" in one["text"] for one in chosen["warnings"])


def test_inspect_items_with_errors_are_no_items(tmp_path: Path) -> None:
    first = [scored(place, "C" if place % 2 else "I") for place in range(40)]
    second = [scored(place, "C") for place in range(38)] + [scored(38, "C", scores={}, error={"message": "gone"})]
    second[5]["input"] = "Another question?"
    base, tuned = (write_log(tmp_path / f"{i}.eval", samples) for i, samples in enumerate((first, second)))
    found = compare_logs(base, tuned, tmp_path / "out", SMALL, QUIET)
    assert found["data"]["test"] == 37
    assert rejected(tmp_path / "out") == {"error": 1, "only_in_base": 2, "different_input": 1}
    names = read(tmp_path / "out" / "rejected.parquet").column("source").to_pylist()
    assert any(name.startswith("tuned/1.eval!samples/q38_epoch_1.json") for name in names)


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    base, tuned = pair(tmp_path)

    def refused(first: Path, second: Path, match: str, **more: Any) -> None:
        with pytest.raises(UserError, match=match):
            compare_logs(first, second, tmp_path / "out", SMALL, QUIET, **more)
        assert not (tmp_path / "out").exists()

    refused(base, base, "compared with itself")
    refused(base, write_samples(tmp_path / "c", [sample(0, True)], "other"), "two different tasks")
    refused(base, write_log(tmp_path / "a.eval", [scored(0, "C")]), "one log is of")
    refused(base, write_samples(tmp_path / "d", [sample(900, True)]), "no item can be compared")
    refused(base, write_samples(tmp_path / "e", [sample(0, True, metrics=["f2"], f2=1.0)]), "no metric in common")
    refused(base, tuned, "no metric 'ac' in both logs", metric="ac")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x", encoding="utf-8")
    with pytest.raises(UserError, match="left alone"):
        compare_logs(base, tuned, tmp_path / "full", SMALL, QUIET)


def test_differing_prompts_and_settings_are_told(tmp_path: Path) -> None:
    base, _ = pair(tmp_path, n=40, **{"n-shot": {"desk": 0}})
    rows = [sample(place, True) for place in range(40)]
    for row in rows:
        for call in row["arguments"].values():
            call["arg_0"] = f"<user>{call['arg_0']}"
    tuned = write_samples(tmp_path / "t", rows, **{"n-shot": {"desk": 5}, "chat_template_sha": "ab"})
    said = [one["text"] for one in compare_logs(base, tuned, tmp_path / "out", SMALL, QUIET)["warnings"]]
    assert any("40 of 40 prompts differ" in text for text in said)
    assert any("num_fewshot differs: 0 for the base, 5" in text for text in said)
    assert any("chat_template_sha differs" in text for text in said)


def test_the_command_and_its_replay(tmp_path: Path, metier: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    base, tuned = pair(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = metier("compare", base, tuned, "--accept", "acc > base", "--slice", "branch", "-o", "out")
    assert done.code == 0 and "SIGN OFF" in done.out and "mid-p" not in done.err
    row = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["comparisons"][0]
    assert f"{row['difference']:+.4f}" in done.out and row["difference"] > 0.1
    for path in (base, tuned):
        path.unlink()  # the stored answers are enough
    again = metier("replay", "out")
    assert again.code == 0 and "the same, byte for byte: results.json" in again.out
    assert metier("verdict", "out").out.startswith("SIGN OFF") and metier("verdict", "out", "-q").code == 0
    assert "acc" in metier("power", "out").out
    results = tmp_path / "out" / "results.json"
    results.write_text(results.read_text(encoding="utf-8").replace('"SIGN OFF"', '"REJECT"'), encoding="utf-8")
    assert metier("replay", "out").code == 5 and metier("verdict", "out").code == 3
    (tmp_path / "out" / "comparison.json").write_text("{", encoding="utf-8")
    assert "compare the logs again" in metier("replay", "out").err
    assert metier("compare", "a", "b", "--alpha", "5").code == 2
