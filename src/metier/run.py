"""The stages in order: what is reused, what is made again and why.

Purpose: the one place that knows which stage needs which, builds each stage's identity, asks the store, and calls the
stage's plain function when there is nothing to reuse. `why` prints the difference between what is wanted and the
nearest finished artifact, field by field. Inner modules know nothing of this file.
Trade-off: `evaluate` is two artifacts, the models' answers (`predictions`) and the judgement over them, so that a
changed criterion costs a second and no model.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from metier.artifact import Artifact, Store, fingerprint
from metier.checking import check, check_labels
from metier.config import Section
from metier.console import Console, seconds
from metier.differences import nearest_difference
from metier.prepare.files import digests
from metier.recipe import Recipe

VERSIONS = {"collect": 3, "prepare": 3, "train": 2, "predictions": 4, "checks": 1, "evaluate": 4, "report": 5}
PARENTS: dict[str, tuple[str, ...]] = {
    "collect": (),
    "prepare": ("collect",),
    "train": ("prepare",),
    "predictions": ("prepare", "train"),
    "checks": ("collect", "prepare", "train", "predictions"),
    "evaluate": ("prepare", "predictions", "checks"),
    "report": ("collect", "prepare", "train", "evaluate"),
}
ORDER = tuple(PARENTS)
OPTIONAL = ("checks",)  # stages that exist only where the recipe asks for them
# Fields of the task that a stage does not read: changing them costs nothing there.
# How a task that writes asks, and learns.
_WRITING = ("instruction", "system", "max_new_tokens", "preference", "objective", "masked")
UNREAD_TASK_FIELDS = {
    "prepare": ("label_names", "class_weights", "sub_tokens", "embed", *_WRITING), "train": ("label_names",),
}  # fmt: skip
TITLES = {
    "predictions": "evaluate: ask every model",
    "checks": "evaluate: check the model",
    "evaluate": "evaluate: compare and judge",
}


@dataclass
class Context:
    """Where a run happens; nothing in here is part of any identity."""

    base: Path  # relative paths of the recipe start here
    store: Store
    runs: Path
    console: Console
    command: str = ""
    done: dict[str, Artifact] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)  # stages that ran now rather than being reused
    inputs: tuple[Any, Any] | None = None  # collect section and its files, found and hashed already in this run
    bases: dict[tuple[str, str], Any] = field(default_factory=dict)  # base models whose bytes were hashed already
    chosen: Any = None  # why `method: auto` became what it is (train/choose.py)
    watch: Callable[[dict[str, float]], None] | None = None  # is told every epoch of a training; may raise to end it


def default_context(base: Path, console: Console, command: str = "") -> Context:
    """Store and runs in the working folder, or where METIER_STORE and METIER_RUNS say."""
    store = Store(Path(os.environ.get("METIER_STORE") or ".metier/store"))
    return Context(base, store, Path(os.environ.get("METIER_RUNS") or "runs"), console, command)


def run(recipe: Recipe, context: Context, until: str = "report") -> dict[str, Artifact]:
    """Run every stage up to `until`, reusing what is finished; write the human view when the report is reached."""
    from metier.prepare.deidentify.audit.run import demand

    check(recipe)
    start = time.monotonic()
    context.inputs = None
    stages = [stage for stage in _needed(until) if stage in _order(recipe)]
    if "train" in stages:
        _base(recipe, context)  # a base that is not there is told now, not after an hour of reading
    if until == "report":
        from metier.runs import check_view, write_view

        check_view(recipe, context)
    for stage in stages:
        run_stage(stage, recipe, context)
        if stage == "prepare" and "train" in stages:
            recipe = settled(recipe, context)
            demand(recipe.prepare.deidentify, context.done["prepare"].fingerprint, context.base)
        if stage == "prepare" and "evaluate" in stages:
            check_labels(recipe, context.done)
    if until == "report":
        write_view(recipe, context)
    reused = len(context.done) - len(context.fresh)
    context.console.say(
        f"done in {seconds(time.monotonic() - start)}"
        + (f"; {reused} of {len(context.done)} stages reused" if reused else "")
    )
    return context.done


def look_at(recipe: Recipe, context: Context, split: str = "train", most: int = 3) -> Any:
    """Examples as the model will read them (a `Sight` of train/view.py): collects and prepares, trains nothing."""
    from metier.train.view import look

    check(recipe)
    context.inputs = None
    _base(recipe, context)
    for stage in _needed("prepare"):
        run_stage(stage, recipe, context)
    return look(
        recipe.train, recipe.task, context.done["prepare"], context.console, split=split, most=most, near=context.base,
        seed=recipe.seed,
    )  # fmt: skip


def settled(recipe: Recipe, context: Context) -> Recipe:
    """The recipe with `method: auto` replaced by what fits data and machine; prepare must be in context.done."""
    if recipe.train.method != "auto":
        return recipe
    from metier.train.choose import for_examples

    chosen = for_examples(recipe.task, context.done["prepare"], _base(recipe, context), recipe.train.device)
    context.chosen = chosen
    context.console.say(f"method: {chosen.method}, since {chosen.told()}")
    found = recipe.model_copy(update={"train": recipe.train.model_copy(update={"method": chosen.method})})
    check(found)
    return found


def identity(stage: str, recipe: Recipe, context: Context) -> dict[str, Any]:
    """Everything that decides what comes out of a stage; parents must be in context.done."""
    content: dict[str, Any] = {"stage": stage, "version": VERSIONS[stage]}
    content["parents"] = {name: context.done[name].fingerprint for name in _parents(stage, recipe)}
    if "collect" in PARENTS[stage] and (unread := context.done["collect"].summary.get("passing_files")):
        content["unread"] = unread  # files that another reading of the same bytes may yield
    if stage == "collect":
        from metier.collect.stage import identity as collect_identity

        content["config"] = collect_identity(recipe.collect, _inputs(recipe, context))
    elif stage == "report":
        content["config"] = {"recipe": recipe.identity()}  # all of it, since the report prints it
        content["earlier_criteria"] = earlier_criteria(context)
        if context.chosen is not None:
            content["chosen"] = context.chosen.rule
    else:
        sections = {
            "prepare": ("prepare", "task", "seed"),
            "train": ("train", "task", "seed"),
            "predictions": ("evaluate", "task", "seed"),
            "checks": ("evaluate", "task", "seed"),
            "evaluate": ("evaluate", "task", "seed"),
        }[stage]
        content["config"] = {name: _identity_of(getattr(recipe, name)) for name in sections}
        for name in UNREAD_TASK_FIELDS.get(stage, ()):
            content["config"]["task"].pop(name)
        if stage == "prepare" and (files := digests(recipe.prepare, context.base)):
            content["files"] = files  # their content; the paths are not part of the section's identity
        if stage == "prepare" and recipe.prepare.dedup.semantic.by_base:
            content["base"] = _base(recipe, context).sha256
        if stage == "train":
            from metier.train import teacher

            base = _base(recipe, context)
            for name in ("base_model", "revision"):  # how it was found does not matter, its bytes do
                content["config"]["train"].pop(name)
            content["config"]["base"] = {"model": base.model, "sha256": base.sha256}
            content["config"] |= teacher.identity(content["config"]["train"].pop("distill"), context.base)
            if any(recipe.evaluate.planted):
                content["config"]["canaries"] = list(recipe.evaluate.planted)
        if stage == "predictions":  # only what changes an answer, so that a new criterion asks no model again
            keep: tuple[str, ...] = ("floors", "base", "corpus", "validation_items")
            content["config"]["evaluate"] = {k: v for k, v in content["config"]["evaluate"].items() if k in keep}
        if stage == "checks":
            keep = ("checks", *recipe.evaluate.checks)
            content["config"]["evaluate"] = {k: v for k, v in content["config"]["evaluate"].items() if k in keep}
            own = {name: getattr(recipe.evaluate, name, None) for name in recipe.evaluate.checks}
            named = {name: digests(section, context.base, f"evaluate.{name}")
                     for name, section in own.items() if isinstance(section, Section)}  # fmt: skip
            content |= {"files": named} if any(named.values()) else {}
    if stage == "evaluate" and (promised := context.done["predictions"].summary.get("criteria")):
        content["frozen"] = promised  # what was promised before those answers were given is told with the verdict
    versions = _plugins(stage, recipe, context)
    return content | {"plugins": versions} if versions else content


def _plugins(stage: str, recipe: Recipe, context: Context) -> list[str]:
    """Distribution and version of every object of another package that a stage uses."""
    from metier.evaluate.floors import floor_names
    from metier.registry import names, plugin

    used = {
        "collect": [("reader", source.reader) for source in recipe.collect.sources],
        "prepare": [("operation", name) for name in recipe.prepare.operations] + [("task", recipe.task.name)],
        "train": [("task", recipe.task.name), ("method", recipe.train.method)],
        "predictions": [("floor", name) for name in floor_names(recipe.evaluate, recipe.task)],
        "checks": [("check", name) for name in recipe.evaluate.checks],
        "evaluate": [("metric", name) for name in names("metric")],  # every one that fits is computed
    }.get(stage, [])
    if stage == "collect":  # a reader serves the extension that it is named after
        files = {file.name.lower().removesuffix(".gz") for file in _inputs(recipe, context).files}
        used = used + [("reader", name.rpartition(".")[2]) for name in sorted(files)]
    return sorted({found for kind, name in used if (found := plugin(kind, name))})


def _inputs(recipe: Recipe, context: Context) -> Any:
    """The input files, found and hashed once in a run, so that what is read is what the fingerprint says."""
    if context.inputs is None or context.inputs[0] != recipe.collect:
        from metier.collect.stage import find_inputs

        context.inputs = recipe.collect, find_inputs(recipe.collect, context.base, context.console)
    return context.inputs[1]


def _base(recipe: Recipe, context: Context) -> Any:
    """The recipe's base model, found and hashed once in a run."""
    from metier.train.bases import resolve

    key = (recipe.train.base_model, recipe.train.revision)
    if key not in context.bases:
        context.bases[key] = resolve(*key, context.base)
    return context.bases[key]


def earlier_criteria(context: Context) -> list[list[str]]:
    """Criteria under which the same answers were judged before, oldest first.

    Criteria that were changed after the answers were known are no promise any more; the report says so.
    """
    now = context.done["evaluate"]
    accept = _accept(now)
    earlier = [
        _accept(artifact)
        for artifact in context.store.all("evaluate")
        if artifact.parents == now.parents and artifact.created < now.created and _accept(artifact) != accept
    ]
    return [criteria for index, criteria in enumerate(earlier) if criteria not in earlier[:index]]


def _accept(judgement: Artifact) -> list[str]:
    return [str(criterion) for criterion in judgement.identity["config"]["evaluate"]["accept"]]


def why(recipe: Recipe, context: Context) -> list[dict[str, Any]]:
    """For each stage: reuse or run, and what differs from the nearest finished artifact. Nothing is run.

    Stops at the first stage that must run, since later identities depend on its output.
    """
    check(recipe)
    lines: list[dict[str, Any]] = []
    order = _order(recipe)
    for stage in order:
        wanted = identity(stage, recipe, context)
        found = context.store.find(stage, fingerprint(wanted))
        if found is not None and found.summary.get("passing"):
            note = f"{found.summary['passing']} files failed for a reason that may have passed; they are read again"
            differences = [{"field": "", "was": None, "is": None, "note": note}]
        elif found is not None:
            context.done[stage] = found
            lines.append({"stage": stage, "state": "reuse", "fingerprint": found.fingerprint, "differences": []})
            recipe = settled(recipe, context) if stage == "prepare" else recipe
            continue
        else:
            differences = nearest_difference(wanted, context.store.all(stage))
        lines.append({"stage": stage, "state": "run", "fingerprint": fingerprint(wanted), "differences": differences})
        later = order[order.index(stage) + 1 :]
        lines += [{"stage": name, "state": "run after it", "fingerprint": "", "differences": []} for name in later]
        break
    return lines


def run_stage(stage: str, recipe: Recipe, context: Context) -> None:
    """Reuse or make one stage; its parents must be in context.done."""
    console = context.console
    wanted = identity(stage, recipe, context)
    found = context.store.find(stage, fingerprint(wanted))
    passing = found.summary.get("passing", 0) if found is not None else 0
    if found is not None and not passing:
        console.say(f"{TITLES.get(stage, stage)}: reused ({found.fingerprint[:8]})")
        context.done[stage] = found
        return
    console.heading(TITLES.get(stage, stage))
    if passing:
        console.say(f"  reading again: {passing} files failed the last time for a reason that may have passed")
    parents = {name: context.done[name].fingerprint for name in _parents(stage, recipe)}
    work = _work(stage, recipe, context)
    context.done[stage] = context.store.build(stage, wanted, parents, work, again=bool(passing))
    context.fresh.add(stage)


def _work(stage: str, recipe: Recipe, context: Context) -> Callable[[Path], dict[str, Any]]:
    """The stage's plain function with its arguments bound."""
    done, console = context.done, context.console
    if stage == "collect":
        from metier.collect.stage import collect

        inputs = _inputs(recipe, context)
        return lambda out: collect(recipe.collect, inputs, out, console, recipe.engine)
    if stage == "prepare":
        from metier.prepare.files import resolved
        from metier.prepare.stage import prepare
        from metier.train.embedding import embedder

        given = (resolved(recipe.prepare, context.base), recipe.task, recipe.seed, done["collect"])
        embed = embedder(_base(recipe, context)) if recipe.prepare.dedup.semantic.by_base else None
        return lambda out: prepare(*given, out, console, recipe.engine, embed)
    if stage == "train":
        from metier.engines.launch import train

        return lambda out: train(
            recipe.train, recipe.task, recipe.seed, done["prepare"], out, console, near=context.base,
            planted=recipe.evaluate.planted, chosen=context.chosen.told() if context.chosen else "",
            watch=context.watch,
        )  # fmt: skip
    if stage == "predictions":
        from metier.evaluate.predict import predict_all

        return lambda out: predict_all(
            recipe.evaluate, recipe.task, recipe.seed, done["prepare"], done["train"], recipe.train, out, console,
            near=context.base,
        )  # fmt: skip
    if stage == "checks":
        from metier.evaluate.checks.base import Asked
        from metier.evaluate.checks.run import ask_all

        asked = Asked(recipe.evaluate, recipe.task, recipe.train, recipe.seed, done["prepare"], done["train"], console,
                      context.base, done["predictions"], documents=done["collect"])  # fmt: skip
        return lambda out: ask_all(replace(asked, folder=out), out)
    if stage == "evaluate":
        from metier.evaluate.stage import evaluate

        return lambda out: evaluate(
            recipe.evaluate, recipe.task, recipe.seed, done["prepare"], done["predictions"], out, console,
            done.get("checks"), done["collect"].path / "documents.parquet",
        )  # fmt: skip
    from metier.report.stage import report
    from metier.runs import facts

    return lambda out: report(recipe.report, facts(recipe, context), out, console)


def _needed(until: str) -> list[str]:
    """The stages that `until` depends on, itself included, in order."""
    wanted = {until}
    for stage in reversed(ORDER):
        if stage in wanted:
            wanted.update(PARENTS[stage])
    return [stage for stage in ORDER if stage in wanted]


def _order(recipe: Recipe) -> tuple[str, ...]:
    """The stages that this recipe has, in order."""
    return tuple(stage for stage in ORDER if stage not in OPTIONAL or recipe.evaluate.checks)


def _parents(stage: str, recipe: Recipe) -> list[str]:
    """The stages of this recipe that a stage reads."""
    return [name for name in PARENTS[stage] if name in _order(recipe)]


def _identity_of(value: Any) -> Any:
    return value.identity() if hasattr(value, "identity") else value


def command_line() -> str:
    """What was typed, for the report."""
    import shlex

    return " ".join(["metier", *(shlex.quote(part) for part in sys.argv[1:])]) if len(sys.argv) > 1 else "metier"
