"""Other kinds of runs: Chinese, 77 classes, REJECT with a floor not beaten, a score task, several labels, few facts."""

from __future__ import annotations

from typing import Any

from .facts import BANK, BANK_ZH, TEXTS, TEXTS_ZH, bank, case, comparison, figure, reason


def bank_zh() -> dict[str, Any]:
    """The same with Chinese labels and texts."""
    return bank(BANK_ZH, TEXTS_ZH, name="bank-zh")


def many() -> dict[str, Any]:
    """77 classes with long names."""
    return bank([f"{BANK[i % 14]}_variant_{i:02d}" for i in range(77)], each=40, name="banking77")


def reject() -> dict[str, Any]:
    """A small test set, a floor that is not beaten, an opponent that is better, an open criterion."""
    facts = bank(each=12, name="tiny")
    results = facts["results"]
    n = results["data"]["test"]
    results["comparisons"] = [
        comparison("base", 0.004, 0.05, "same", n=n, mde=0.093, discordant=9),
        comparison("zero_shot", 0.21, 0.08, "better", n=n, mde=0.093),
        comparison("tfidf", -0.062, 0.05, "worse", n=n, mde=0.093),
        comparison("majority", 0.55, 0.09, "better", n=n, mde=0.093),
    ]
    results["verdict"] = {
        "decision": "REJECT",
        "criteria_source": "default",
        "headline": "The tuned model is worse than word counting and not proven better than the untouched model.",
        "headline_zh": "调优后的模型不如词频统计法，也未能证明优于未调优的基础模型。",
        "reasons": [
            reason(
                "accuracy > tfidf", "no", "Accuracy is 6.2 points below TF-IDF.", "准确率比 TF-IDF 低 6.2 个百分点。"
            ),
            reason(
                "accuracy > base",
                "unclear",
                "Accuracy is 0.4 points above the base; the interval includes 0.",
                "准确率比基础模型高 0.4 个百分点；区间包含 0。",
            ),
            reason(
                "accuracy > majority",
                "yes",
                "Accuracy is 55.0 points above the commonest class.",
                "准确率比最常见类别高 55.0 个百分点。",
            ),
        ],
    }
    results["cases"] = {"broken": 14, "mended": 15, "both_right": n - 37, "both_wrong": 8, "against": "base"}
    results["warnings"] = [{"text": "Groups are few: 9.", "text_zh": "组数很少：9。"}]
    return facts


def score() -> dict[str, Any]:
    """Regression: a number for each text, lower error is better."""
    facts = bank(name="sentiment-score")
    n = 200

    def scored(title: str, kind: str, mae: float, rank: float | None) -> dict[str, Any]:
        return {
            "title": title,
            "kind": kind,
            "how": "how.",
            "seconds": 1.5,
            "mae": figure(mae, n, 0.012),
            "rmse": figure(mae * 1.31, n, 0.02),
            "spearman": figure(rank, n, 0.06),
        }

    rows = [
        comparison(
            name,
            gap,
            0.011,
            outcome,
            metric="mae",
            better="lower",
            n=n,
            mde=0.018,
            discordant=None,
            test="cluster sign-flip",
        )
        for name, gap, outcome in (("base", -0.031, "better"), ("tfidf", -0.006, "same"), ("mean", -0.12, "better"))
    ]
    facts["results"].update(
        task={"name": "score"},
        primary="mae",
        comparisons=rows,
        models={
            "tuned": scored("Tuned model", "tuned", 0.182, 0.71),
            "base": scored("Base", "base", 0.213, 0.6),
            "tfidf": scored("TF-IDF", "floor", 0.188, 0.64),
            "mean": scored("Mean", "floor", 0.302, None),
        },
        cases={"broken": 9, "mended": 41, "both_right": 110, "both_wrong": 40},
        data={"test": n, "groups": None, "classes": None},
    )
    facts["results"]["verdict"].update(
        decision="CONDITIONAL",
        reasons=[
            reason("mae <= 0.2", "yes", "The mean error is 0.182.", "平均误差为 0.182。"),
            reason(
                "mae < tfidf",
                "unclear",
                "The mean error is 0.006 below TF-IDF; the interval includes 0.",
                "平均误差比 TF-IDF 小 0.006；区间包含 0。",
            ),
        ],
        headline="The tuned model is better than the untouched model; against word counting the case is open.",
        headline_zh="调优后的模型优于未调优的基础模型；与词频统计法相比尚无定论。",
    )
    facts["cases"] = [
        {**case("broken", i, BANK, TEXTS), "gold": 0.4, "base": 0.35, "tuned": -0.21, "severity": 0.61 - i / 50}
        for i in range(4)
    ]
    facts["prepare"]["labels"] = {}
    facts["prepare"]["classes"] = []
    return facts


def multi() -> dict[str, Any]:
    """Several labels a text: no confusion matrix; answers are lists."""
    facts = bank(name="unfair-terms")
    results = facts["results"]
    results["task"]["multi_label"] = True
    results["primary"] = "macro_f1"
    for each in results["models"].values():
        each["micro_f1"] = each.pop("mcc")
        each.pop("confusion", None)
    for row in results["comparisons"]:
        row.update(metric="macro_f1", test="paired bootstrap", discordant=None)
    results["comparisons"] = results["comparisons"][:4]
    for row in facts["cases"]:
        row.update(gold=[row["gold"], "close_account"], base=[row["base"]], tuned=[])
    return facts


def empty() -> dict[str, Any]:
    """Nearly nothing is known: no base, no comparisons, a class without test examples."""
    facts = bank(name="nothing")
    results = facts["results"]
    tuned = results["models"]["tuned"]
    for row in tuned["per_class"][:2]:
        row.update(n=0, precision=figure(None, 0), recall=figure(None, 0), f1=figure(None, 0))
    tuned.update(accuracy=figure(None, 0), ece=figure(None, 0), reliability=[])
    results.update(
        models={"tuned": tuned},
        comparisons=[],
        cases={"broken": None, "mended": None, "both_right": None, "both_wrong": None},
    )
    facts.update(
        collect={},
        prepare={},
        train={},
        cases=[],
        rejected=[],
        conflicts=[],
        environment={},
        seconds={},
        fingerprints={},
    )
    return facts
