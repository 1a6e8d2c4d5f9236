"""Made-up facts as the other stages would hand them over: a bank's 14 intents, everything went well (SIGN OFF).

No random draw: equal calls, equal facts. Other kinds of runs are in variants.py.
"""

from __future__ import annotations

import math
from typing import Any

BANK = [
    "card_arrival",
    "card_lost_or_stolen",
    "exchange_rate",
    "transfer_failed",
    "refund_missing",
    "pin_blocked",
    "cash_withdrawal_fee",
    "top_up_declined",
    "verify_identity",
    "change_address",
    "direct_debit_unknown",
    "balance_wrong",
    "cancel_transfer",
    "close_account",
]
BANK_ZH = [
    "银行卡未到",
    "卡片丢失或被盗",
    "汇率咨询",
    "转账失败",
    "退款未到账",
    "密码锁定",
    "取现手续费",
    "充值被拒",
    "身份验证",
    "修改地址",
    "不明扣款",
    "余额不符",
    "撤销转账",
    "注销账户",
]
TEXTS = [
    "I transferred money to a friend three days ago and it still says pending, can you take it back before it arrives?",
    "Why was I charged twice when I took out cash abroad <b>and</b> the app shows only one withdrawal?",
    "My card was swallowed by a machine in Lyon & I don't know whether that counts as lost.",
    "There's a payment of 14.99 every month that I never agreed to, please explain what it is.",
]
TEXTS_ZH = [
    "我三天前给朋友转了一笔钱，现在还显示处理中，能不能在到账之前把它撤回来？",
    "为什么我在国外取现被扣了两次手续费，而 App 里只显示一次取款记录？",
    "我的卡被取款机吞了，这算不算丢失？需要先挂失还是先等银行联系？",
    "每个月都有一笔 14.99 元的扣款，我从来没有同意过，请说明这是什么。",
]


def figure(value: float | None, n: int, wide: float = 0.02) -> dict[str, Any]:
    if value is None:
        return {"value": None, "low": None, "high": None, "n": 0}
    return {
        "value": value,
        "low": round(max(value - wide, -1.0), 6),
        "high": round(min(value + wide * 0.9, 1.0), 6),
        "n": n,
    }


def comparison(against: str, difference: float, wide: float, outcome: str, **more: Any) -> dict[str, Any]:
    return {
        "metric": "accuracy",
        "model": "tuned",
        "against": against,
        "difference": difference,
        "low": round(difference - wide, 6),
        "high": round(difference + wide, 6),
        "p": 0.0004 if outcome != "same" else 0.31,
        "p_holm": 0.0012 if outcome != "same" else 0.31,
        "mde": 0.019,
        "n": 1540,
        "discordant": 96,
        "test": "mid-p McNemar",
        "better": "higher",
        "outcome": outcome,
        **more,
    }


def per_class(labels: list[str], each: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Metrics and a confusion matrix that agree with one another: each class loses some cases to its neighbour."""
    size = len(labels)
    counts = [[0] * size for _ in labels]
    for i in range(size):
        n = each - (i * 7) % max(each // 2, 1)
        wrong = (i * i * 5 + 3) % max(n // 5, 2)
        counts[i][i] = n - wrong
        counts[i][(i + 1) % size] += wrong - wrong // 3
        counts[i][(i + 5) % size] += wrong // 3
    rows = []
    for i, label in enumerate(labels):
        n, predicted, right = sum(counts[i]), sum(row[i] for row in counts), counts[i][i]
        recall, precision = right / n, right / predicted
        rows.append(
            {
                "label": label,
                "n": n,
                "predicted": predicted,
                "precision": figure(round(precision, 4), predicted, 0.04),
                "recall": figure(round(recall, 4), n, 0.05),
                "f1": figure(round(2 * right / (n + predicted), 4), n, 0.045),
            }
        )
    return rows, {"labels": labels, "counts": counts}


def reliability(n: int) -> list[dict[str, Any]]:
    shares = [0, 0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2, 0.54]
    bins = []
    for i, share in enumerate(shares):
        filled = round(share * n)
        bins.append(
            {
                "low": i / 10,
                "high": (i + 1) / 10,
                "n": filled,
                "confidence": i / 10 + 0.06 if filled else None,
                "accuracy": round(max(i / 10 + 0.02 - (0.03 if i < 6 else 0), 0), 3) if filled else None,
            }
        )
    return bins


def model(title: str, kind: str, accuracy: float | None, n: int, seconds: float) -> dict[str, Any]:
    return {
        "title": title,
        "kind": kind,
        "how": f"how {title} works.",
        "seconds": seconds,
        "accuracy": figure(accuracy, n, 0.013),
        "macro_f1": figure(None if accuracy is None else accuracy - 0.012, n, 0.015),
        "mcc": figure(None if accuracy is None else accuracy - 0.021, n, 0.014),
        "ece": figure(None if kind == "floor" else 0.031, n, 0.008),
    }


def case(kind: str, index: int, labels: list[str], texts: list[str]) -> dict[str, Any]:
    gold, wrong = labels[index % len(labels)], labels[(index * 3 + 1) % len(labels)]
    return {
        "id": f"{kind[0]}{index:03d}",
        "source": f"mail/2024/{index:04d}.eml",
        "group": f"client-{index % 9}",
        "text": texts[index % len(texts)],
        "gold": gold,
        "base": gold if kind == "broken" else wrong,
        "tuned": wrong if kind == "broken" else gold,
        "kind": kind,
        "severity": round(0.99 - index * 0.011, 4),
    }


def history(epochs: int = 8) -> list[dict[str, Any]]:
    return [
        {
            "epoch": e,
            "step": e * 210,
            "train_loss": round(2.4 * math.exp(-0.62 * e) + 0.05, 4),
            "validation_loss": round(2.2 * math.exp(-0.6 * e) + 0.2 + 0.011 * max(e - 5, 0) ** 2, 4),
            "validation_metric": round(0.935 - 0.5 * math.exp(-0.8 * e) - 0.002 * max(e - 6, 0), 4),
            "learning_rate": 2e-4 * (1 - (e - 1) / epochs),
        }
        for e in range(1, epochs + 1)
    ]


def prepared(labels: list[str], each: int, languages: dict[str, int]) -> tuple[dict, dict, list, list]:
    """collect, prepare, rejected and conflicts whose sums agree."""
    table = {
        label: {"train": each * 3 + i * 4, "validation": each // 2, "test": each} for i, label in enumerate(labels)
    }
    splits = {name: sum(row[name] for row in table.values()) for name in ("train", "validation", "test")}
    used = sum(splits.values())
    gone = [("empty", 12), ("fold", 143), ("conflicts", 8), ("labels", 3)]
    funnel, rows = [], used + sum(n for _, n in gone)
    documents = rows
    for step, removed in gone:
        rows -= removed
        note = "equal text after case and white space are folded" if step == "fold" else ""
        funnel.append({"step": step, "rows": rows, "removed": removed, "note": note})
    rejected = [
        {
            "source": f"inbox/scan_{i:03d}.pdf",
            "stage": "collect",
            "reason": "unreadable",
            "detail": "the file ends in the middle of a page",
        }
        for i in range(4)
    ]
    rejected += [
        {"source": f"~$draft{i}.docx", "stage": "collect", "reason": "excluded", "detail": "name matches ~$*"}
        for i in range(2)
    ]
    reasons = {"empty": "empty", "fold": "near duplicate", "conflicts": "conflicting label", "labels": "rare label"}
    for step, n in gone:
        rejected += [
            {
                "source": f"export.csv#{i + 7}",
                "stage": "prepare",
                "reason": reasons[step],
                "detail": f"detail of {step} {i}",
            }
            for i in range(n)
        ]
    conflicts = [
        {
            "cluster": f"c{i // 2}",
            "id": f"x{i}",
            "source": f"export.csv#{i}",
            "label": labels[i % len(labels)],
            "text": f"my card does not work, case number {i // 2}",
        }
        for i in range(8)
    ]
    collect = {
        "files": 38,
        "documents": documents,
        "rejected": {"unreadable": 4, "excluded": 2},
        "media_types": {"text/csv": documents - 120, "message/rfc822": 90, "application/pdf": 30},
        "warnings": ["the column 'message' was taken as the text, because its name is usual"],
    }
    prepare = {
        "funnel": funnel,
        "labels": table,
        "splits": splits,
        "split_by": "group",
        "groups": 412,
        "languages": languages,
        "conflicts": 4,
        "duplicates": {"exact": 143, "near": 61},
        "warnings": [],
        "classes": sorted(labels),
    }
    return collect, prepare, rejected, conflicts


def reason(criterion: str, met: str, text: str, text_zh: str) -> dict[str, str]:
    return {"criterion": criterion, "met": met, "text": text, "text_zh": text_zh}


def recipe(name: str, task: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "description": "Route customers' messages to the right desk.",
        "seed": 7,
        "task": task,
        "collect": {"sources": [{"path": "export.csv"}]},
        "prepare": {"min_characters": 1},
        "train": {
            "base_model": "minilm",
            "revision": "",
            "method": "full",
            "epochs": 8.0,
            "learning_rate": None,
            "warmup": 0.1,
            "batch_tokens": 1024,
            "max_length": None,
            "long_text": "window",
            "bf16": "auto",
            "early_stopping": 3,
        },
        "evaluate": {"accept": ["accuracy > tfidf + 0.01"], "listed_cases": 50},
        "report": {"language": "en"},
    }


def bank(
    labels: list[str] | None = None, texts: list[str] | None = None, each: int = 110, name: str = "bank-intents"
) -> dict[str, Any]:
    """14 intents of bank customers; everything went well."""
    labels, texts = labels or BANK, texts or TEXTS
    collect, prepare, rejected, conflicts = prepared(
        labels, each, {"en": 6100, "mixed": 44} if texts is TEXTS else {"zh": 6144}
    )
    rows, matrix = per_class(labels, each)
    n = sum(map(sum, matrix["counts"]))
    right = sum(matrix["counts"][i][i] for i in range(len(labels)))
    accuracy = round(right / n, 6)
    tuned = {
        **model("Tuned model", "tuned", accuracy, n, 11.2),
        "per_class": rows,
        "confusion": matrix,
        "reliability": reliability(n),
    }
    models = {
        "tuned": tuned,
        "base": model("Base with a linear probe", "base", accuracy - 0.031, n, 6.9),
        "zero_shot": model("Base, zero-shot", "base", accuracy - 0.352, n, 2.1),
        "tfidf": model("TF-IDF + linear model", "floor", accuracy - 0.024, n, 0.8),
        "majority": model("Majority", "floor", 0.081, n, 0.01),
    }
    comparisons = [
        comparison("base", 0.031, 0.011, "better", n=n),
        comparison("zero_shot", 0.352, 0.024, "better", n=n),
        comparison("tfidf", 0.024, 0.012, "better", n=n),
        comparison("majority", round(accuracy - 0.081, 6), 0.02, "better", n=n),
        comparison(
            "base", 0.034, 0.013, "better", n=n, metric="macro_f1", test="cluster bootstrap", discordant=None, mde=None
        ),
    ]
    verdict = {
        "decision": "SIGN OFF",
        "reasons": [
            reason(
                "accuracy > tfidf + 0.01",
                "yes",
                "Accuracy is 2.4 points above TF-IDF, at least 1.2.",
                "准确率比 TF-IDF 高 2.4 个百分点，至少高 1.2。",
            ),
            reason(
                "recall[card_lost_or_stolen] >= 0.8",
                "yes",
                "Recall of lost or stolen cards is 92.2 %, at least 87.2 %.",
                "挂失类召回率 92.2%，至少 87.2%。",
            ),
        ],
        "headline": "The tuned model is better than the untouched model and than every simple method.",
        "headline_zh": "调优后的模型优于未调优的基础模型，也优于每一种简单方法。",
        "criteria_source": "recipe",
    }
    cases = [case("broken", i, labels, texts) for i in range(12)] + [
        case("mended", i, labels, texts) for i in range(20)
    ]
    results = {
        "task": {"name": "classify", "multi_label": False, "label_names": {}},
        "primary": "accuracy",
        "models": models,
        "comparisons": comparisons,
        "verdict": verdict,
        "cases": {"broken": 24, "mended": 72, "both_right": right - 72, "both_wrong": n - right - 24},
        "warnings": [],
        "data": {"test": n, "groups": 83, "classes": len(labels)},
    }
    return {
        "recipe": recipe(name, results["task"]),
        "fingerprints": {
            s: f"{i + 1:x}7c0de" * 5 for i, s in enumerate(("collect", "prepare", "train", "predictions", "evaluate"))
        },
        "collect": collect,
        "prepare": prepare,
        "train": trained(),
        "results": results,
        "cases": cases,
        "environment": {
            "python": "3.12.4",
            "platform": "Linux-6.8-x86_64-with-glibc2.39",
            "machine": "x86_64",
            "cpus": 8,
            "packages": {"metier": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0", "numpy": "2.3.1"},
        },
        "seconds": {"collect": 3.2, "prepare": 8.4, "train": 312.6, "predictions": 20.7, "evaluate": 9.1},
        "rejected": rejected,
        "conflicts": conflicts,
        "command": "metier run recipe.yaml train.epochs=8",
    }


def trained() -> dict[str, Any]:
    return {
        "parameters": 22713728,
        "trainable": 22713728,
        "seconds": 312.6,
        "tokens": 1_204_551,
        "steps": 1680,
        "epochs": 8,
        "best_epoch": 6,
        "peak_memory_mb": 1834.2,
        "device": "cpu",
        "dtype": "bfloat16",
        "method": "full",
        "base": {"name": "minilm", "model": "sentence-transformers/all-MiniLM-L6-v2", "sha256": "53aa", "revision": ""},
        "windowed": 12,
        "windows": 31,
        "cut": 2,
        "cut_tokens": 804,
        "history": history(),
        "stopped": "early",
    }
