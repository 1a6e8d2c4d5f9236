"""How the model was made and how to make it again: learning curve, settings, cost, fingerprints, recipe.

Not covered: tokens, energy and prices (costs.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from metier.report import charts, costs
from metier.report.words import Words

STAGES = ("collect", "prepare", "train", "predictions", "checks", "evaluate", "report")


def making(facts: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """Everything of the sections on training and reproduction, ready to be laid out."""
    train, recipe = facts.get("train") or {}, facts.get("recipe") or {}
    return {
        "curves": curves(train, str(train.get("monitor") or facts["results"]["primary"]), words),
        "history": history(train.get("history") or (), words),
        "summary": [*_summary(train, words), *_chosen(facts.get("chosen"), words)],
        "settings": settings(recipe.get("train") or {}, train, words),
        "cost": cost(facts, words),
        "machine": machine(facts, words),
        "command": str(facts.get("command") or ""),
        "fingerprints": [
            (words.known("stage", name), value) for name, value in _staged(facts.get("fingerprints") or {})
        ],
        "packages": sorted((facts.get("environment", {}).get("packages") or {}).items()),
        "recipe": yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, width=100),
        "seed": str(recipe.get("seed", "")),
    }


def curves(train: Mapping[str, Any], monitor: str, words: Words) -> list[dict[str, Any]]:
    """Loss (training and validation) and the validation metric over epochs, the kept epoch marked.

    monitor: what early stopping watches, as the training names it ("macro-F1"); higher is better.
    """
    name = words.known("metric", monitor.lower().replace("-", "_"), monitor)
    rows = train.get("history") or ()
    best_epoch = train.get("best_epoch")
    best = (float(best_epoch), words("curve.best", epoch=f"{best_epoch:g}")) if best_epoch is not None else None
    losses = [
        (kind, words(f"curve.{name}"), _line(rows, name))
        for kind, name in (("first", "train_loss"), ("second", "validation_loss"))
    ]
    metric = _line(rows, "validation_metric")
    title_loss = words("curve.loss_picture", train=_ends(losses[0][2], words), validation=_ends(losses[1][2], words))
    title_metric = words("curve.metric_picture", metric=name, values=_ends(metric, words))
    shown = []
    if any(line for _, _, line in losses):
        shown.append(
            {
                "head": words("curve.loss"),
                "legend": [(k, n) for k, n, line in losses if line],
                "picture": charts.curve([x for x in losses if x[2]], title_loss, words("curve.epoch"), best),
            }
        )
    if metric:
        head = words("curve.metric", metric=name, direction=words("metric.higher"))
        picture = charts.curve([("third", "", metric)], title_metric, words("curve.epoch"), best)
        shown.append({"head": head, "legend": [], "picture": picture})
    return shown


def history(rows: Sequence[Mapping[str, Any]], words: Words) -> list[list[str]]:
    """The curve's figures; at most 60 rows, evenly picked."""
    step = max(1, -(-len(rows) // 60))
    return [
        [
            words.plain(row.get("epoch")),
            words.count(row.get("step")),
            *(words.plain(row.get(key)) for key in ("train_loss", "validation_loss", "validation_metric")),
            _rate(row.get("learning_rate"), words),
        ]
        for row in rows[::step]
    ]


def cost(facts: Mapping[str, Any], words: Words) -> dict[str, Any]:
    """Seconds for each stage as bars; what training took, what a request will take."""
    seconds = facts.get("seconds") or {}
    total = sum(value for value in seconds.values() if value)
    stages = []
    for name, value in _staged(seconds):
        share = {"value": (value or 0.0) / total if total else 0.0}
        label = words.known("stage", name)
        stages.append(
            {
                "name": label,
                "seconds": words.seconds(value),
                "bar": charts.bar(share, f"{label}: {words.seconds(value)}"),
            }
        )
    return {
        "stages": stages,
        "total": words.seconds(total),
        "training": costs.training(facts, words),
        "use": costs.use(facts, words),
    }


def machine(facts: Mapping[str, Any], words: Words) -> list[tuple[str, str]]:
    """What it ran on."""
    environment, train = facts.get("environment") or {}, facts.get("train") or {}
    rows = [(name, environment.get(name)) for name in ("platform", "machine", "cpus", "python")]
    rows += [(name, train.get(name)) for name in ("device", "dtype")]
    return [(words(f"machine.{name}"), str(value)) for name, value in rows if value not in (None, "")]


def settings(section: Mapping[str, Any], train: Mapping[str, Any], words: Words) -> list[tuple[str, str]]:
    """The recipe's training section; where it left a value to Metier, the value that was taken."""
    rows = []
    for name, value in section.items():
        if isinstance(value, Mapping):
            if name == section.get("method"):
                rows += [(f"{name}.{key}", _written(inner)) for key, inner in value.items()]
        elif name == "energy_country" and not value:
            continue  # nobody asked for an estimate, and none was chosen
        elif value in (None, "", "auto"):
            taken = train.get("planned_epochs") if name == "epochs" else train.get(name)
            rows.append(
                (
                    name,
                    words("setting.auto")
                    if taken in (None, "", "auto")
                    else words("setting.resolved", value=_written(taken)),
                )
            )
        else:
            rows.append((name, _written(value)))
    return rows


def _written(value: Any) -> str:
    """A value as a recipe writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _summary(train: Mapping[str, Any], words: Words) -> list[str]:
    base = train.get("base") or {}
    said = []
    if train.get("parameters") is not None:
        said.append(
            words(
                "train.summary",
                base=base.get("model") or base.get("name") or "?",
                method=words.known("method", str(train.get("method"))),
                parameters=words.count(train["parameters"]),
                trainable=words.count(train.get("trainable")),
            )
        )
    if train.get("canaries"):
        said.append(words("train.canaries", n=words.count(train["canaries"])))
    if train.get("stopped"):
        epochs = train.get("epochs")
        said.append(
            words(
                f"train.stopped_{'early' if train['stopped'] == 'early' else 'end'}",
                epochs=f"{epochs:g}" if epochs is not None else "?",
                best=f"{train['best_epoch']:g}" if train.get("best_epoch") is not None else "?",
            )
        )
    return said


def _chosen(chosen: Mapping[str, Any] | None, words: Words) -> list[str]:
    """Why `method: auto` chose as it did."""
    if not chosen:
        return []
    reason = words(f"chosen.{chosen['rule']}", **chosen["figures"])
    return [words("train.chosen", method=words.known("method", str(chosen["method"])), reason=reason)]


def _line(rows: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    return [
        (float(row["epoch"]), float(row[name]))
        for row in rows
        if row.get(name) is not None and row.get("epoch") is not None
    ]


def _ends(line: Sequence[tuple[float, float]], words: Words) -> str:
    return (
        words("curve.ends", first=words.plain(line[0][1]), last=words.plain(line[-1][1])) if line else words("no_data")
    )


def _rate(value: float | None, words: Words) -> str:
    return words("no_data") if value is None else f"{value:.2e}"


def _staged(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Items in the order of the stages, unknown names last."""
    order = {name: index for index, name in enumerate(STAGES)}
    return sorted(values.items(), key=lambda item: (order.get(item[0], len(order)), item[0]))
