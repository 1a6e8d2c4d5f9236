"""`metier tune`: search good settings on the validation split, with Optuna.

Purpose: every trial is an ordinary training of the store, so that the best one is reused by the run that follows, and a
search that was killed goes on: its trials lie in runs/<name>.tune/trials.db (SQLite), and the one that was running is
taken up where its last checkpoint stands. What a trial draws depends on the seed, its number and the trials before it
alone.
Only the validation split is looked at; the test split stays unseen until `metier run`.
Trade-off: trials run one after another. A pruned trial leaves its figures, not its weights.
Not covered: searching bases, data or tasks; those are recipes of their own.
"""

from __future__ import annotations

import csv
import io
import math
import shutil
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.artifact import fingerprint
from metier.console import seconds
from metier.errors import UserError, need
from metier.recipe import Recipe, dump, override, parse
from metier.run import Context, identity, run, run_stage, settled
from metier.runs import moved
from metier.tables import write_json
from metier.train.search import Range, default_space

STATES = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "stopped", "WAITING": "waiting"}


@dataclass(frozen=True)
class Search:
    """What stays the same during one search."""

    recipe: Recipe
    context: Context
    study: Any  # an Optuna study
    space: dict[str, Range | tuple[Any, ...]]
    as_it_is: float  # the figure of the recipe itself, over the same seeds as a trial's


def tune(recipe: Recipe, context: Context) -> Path:
    """Search, and write trials.csv, tune.json and best.yaml; returns the folder that holds them."""
    optuna = need("optuna", "tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", module=r"optuna\b.*")
    start = time.monotonic()
    run(recipe, context, until="prepare")
    recipe = settled(recipe, context)
    if not context.done["prepare"].summary["splits"].get("validation"):
        raise UserError("a search needs a validation split", "prepare.split.validation", "set it to 0.1 or so")
    folder = context.runs / f"{recipe.name}.tune"
    folder.mkdir(parents=True, exist_ok=True)
    for key, choices in recipe.tune.space.items():  # a value that the recipe would refuse is told before any training
        for value in (choices.low, choices.high) if isinstance(choices, Range) else choices:
            _with(recipe, {key: value})
    config, console = recipe.tune, context.console
    each = f" of {config.seeds} trainings" if config.seeds > 1 else ""
    ends = f", none that starts after {config.minutes:g} minutes" if config.minutes else ""
    console.say(f"search: at most {config.trials} trials{each}{ends}, after the recipe as it is; figures are those of "
                "the validation split")  # fmt: skip
    first = [_train(recipe.model_copy(update={"seed": recipe.seed + offset}), context)
             for offset in range(config.seeds)]  # fmt: skip
    own, as_it_is = first[0], sum(map(_best, first)) / len(first)
    space = recipe.tune.space or default_space(recipe.train.method, own["learning_rate"], own["planned_epochs"])
    search = Search(recipe, context, _study(optuna, folder, recipe, context, space), space, as_it_is)
    _take_up(search.study)
    console.say(f"the recipe as it is: validation {own['monitor']} {as_it_is:.4f} in {seconds(own['seconds'])}")
    left = config.trials - len(_ended(search.study))
    most = left * config.seeds * own["seconds"] * _longest(space, own)
    console.say(f"{left} of {config.trials} trials are left: {seconds(most)} at most if each goes to its end, by that; "
                + ("hopeless ones are pruned" if config.prune else "none is pruned"))  # fmt: skip
    for key, choices in space.items():
        console.say(f"  {key}: {_told(choices)}")
    _go_on(optuna, search, start)
    return _write(search, own, folder)


def _longest(space: dict[str, Range | tuple[Any, ...]], own: dict[str, Any]) -> float:
    """How many times longer than the recipe as it was trained a trial may take, by its epochs."""
    choices = space.get("train.epochs", ())
    numbers = [choices.high] if isinstance(choices, Range) else [one for one in choices if isinstance(one, int | float)]
    return float(max([own["planned_epochs"], *numbers])) / max(0.01, float(own["epochs"]))


def _told(choices: Range | tuple[Any, ...]) -> str:
    if isinstance(choices, Range):
        return f"{choices.low:g} to {choices.high:g}" + (", logarithmic" if choices.log else "")
    return ", ".join(map(str, choices))


def _go_on(optuna: Any, search: Search, start: float) -> None:
    """Trials until there are enough, or the time is over."""
    config, study, console = search.recipe.tune, search.study, search.context.console
    while len(_ended(study)) < config.trials:
        if config.minutes and time.monotonic() - start >= 60 * config.minutes:
            console.say(f"{config.minutes:g} minutes are over; the same command goes on with the search")
            break
        number = len(_ended(study))
        # A sampler of its own for each trial: a search that is killed and taken up draws what it would have drawn.
        study.sampler = optuna.samplers.TPESampler(
            seed=search.recipe.seed * 100_003 + number, n_startup_trials=config.startup
        )
        trial = study.ask()
        console.heading(f"trial {number + 1} of {config.trials}")
        try:
            value = _figure(optuna, search, trial)
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            console.say("  pruned: below the median of the trials before it")
        except UserError as error:  # such as a rate at which training diverges
            trial.set_user_attr("error", error.what)
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            console.warn(f"trial {number + 1} failed: {error.what}")
        else:
            study.tell(trial, value)
            console.say(f"  validation {value:.4f}")


def _figure(optuna: Any, search: Search, trial: Any) -> float:
    """The mean over the seeds of a trial's best validation figure; raises TrialPruned for a hopeless one."""
    settings = {key: _draw(trial, key, choices) for key, choices in search.space.items()}
    made = _with(search.recipe, settings)
    trial.set_user_attr("settings", settings)
    figures = []
    for offset in range(search.recipe.tune.seeds):
        one = made.model_copy(update={"seed": made.seed + offset})

        def watch(line: dict[str, float], first: bool = offset == 0) -> None:
            if first and "validation_metric" in line:
                trial.report(line["validation_metric"], math.ceil(line["epoch"]))
                if search.recipe.tune.prune and trial.should_prune():
                    raise optuna.TrialPruned

        figures.append(_best(_train(one, search.context, watch)))
    return sum(figures) / len(figures)


def _train(recipe: Recipe, context: Context, watch: Any = None) -> dict[str, Any]:
    """The summary of the training of a recipe, reused or made; a pruned one leaves nothing behind."""
    wanted = fingerprint(identity("train", recipe, context))
    context.watch = watch
    try:
        run_stage("train", recipe, context)
    except need("optuna", "tune").TrialPruned:
        shutil.rmtree(context.store.path("train", wanted + ".partial"), ignore_errors=True)
        raise
    finally:
        context.watch = None
    return context.done["train"].summary


def _draw(trial: Any, key: str, choices: Range | tuple[Any, ...]) -> Any:
    if not isinstance(choices, Range):
        return trial.suggest_categorical(key, list(choices))
    if choices.whole:
        return trial.suggest_int(key, int(choices.low), int(choices.high), log=choices.log)
    return float(f"{trial.suggest_float(key, choices.low, choices.high, log=choices.log):.4g}")


def _with(recipe: Recipe, settings: dict[str, Any]) -> Recipe:
    """The recipe with settings such as {"train.lora.r": 8}."""
    data = override(recipe.model_dump(mode="json"), ())
    for key, value in settings.items():
        place: Any = data
        *path, last = key.split(".")
        for name in path:
            if not isinstance(place.get(name), dict):
                raise UserError(f"'{key}' is no setting", "tune.space", "`metier show RECIPE` prints every key")
            place = place[name]
        place[last] = value
    return parse(data, "tune.space")


def _study(optuna: Any, folder: Path, recipe: Recipe, context: Context, space: dict[str, Any]) -> Any:
    """The study of exactly this search: other data, another base or another space is another study of the file."""
    wanted = {"train": identity("train", recipe, context), "seeds": recipe.tune.seeds,
              "space": {key: choices.identity() if isinstance(choices, Range) else list(choices)
                        for key, choices in space.items()}}  # fmt: skip
    startup = recipe.tune.startup
    return optuna.create_study(
        study_name=fingerprint(wanted), storage=f"sqlite:///{(folder / 'trials.db').absolute()}",
        direction="maximize", load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=1),
    )  # fmt: skip


def _take_up(study: Any) -> None:
    """A trial that a killed search left running is asked again, with the same settings."""
    for trial in study.get_trials(deepcopy=False):
        if trial.state.name == "RUNNING":
            study.tell(trial.number, state=type(trial.state).FAIL)
            if trial.params:
                study.enqueue_trial(trial.params)


def _ended(study: Any) -> list[Any]:
    """Trials that count: done, pruned, or failed by themselves (not those that were killed)."""
    return [trial for trial in study.get_trials(deepcopy=False)
            if trial.state.name in ("COMPLETE", "PRUNED") or "error" in trial.user_attrs]  # fmt: skip


def _best(summary: dict[str, Any]) -> float:
    return max((line["validation_metric"] for line in summary["history"] if "validation_metric" in line),
               default=-math.inf)  # fmt: skip


def _write(search: Search, own: dict[str, Any], folder: Path) -> Path:
    """Table, importance and the best recipe, on the screen and in files."""
    recipe, console = search.recipe, search.context.console
    trials = _ended(search.study)
    done = sorted((one for one in trials if one.state.name == "COMPLETE"), key=lambda one: -one.value)
    rows = [{"trial": number + 1, "state": STATES[one.state.name],
             "validation": one.value if one.value is not None else max(one.intermediate_values.values(), default=None),
             **one.user_attrs.get("settings", {}), "error": one.user_attrs.get("error", "")}
            for number, one in enumerate(trials)]  # fmt: skip
    text = io.StringIO()
    writer = csv.DictWriter(text, ["trial", "state", "validation", *search.space, "error"])
    writer.writeheader()
    writer.writerows(rows)
    (folder / "trials.csv").write_text(text.getvalue(), encoding="utf-8")
    shown = sorted(rows, key=lambda row: -(row["validation"] if row["validation"] is not None else -math.inf))
    console.table(list(rows[0]) if rows else ["trial"], [[_short(row.get(key)) for key in rows[0]] for row in shown])
    weights = _importance(search)
    if weights:
        console.say("importance: " + ", ".join(f"{key} {share:.0%}" for key, share in weights.items()))
    better = bool(done) and done[0].value > search.as_it_is
    settings = done[0].user_attrs["settings"] if better else {}
    best = _with(recipe, settings).model_copy(update={"tune": type(recipe.tune)()})
    (folder / "best.yaml").write_text(dump(moved(best, search.context.base, folder)), encoding="utf-8")
    write_json({"monitor": own["monitor"], "as_it_is": search.as_it_is, "best": done[0].value if done else None,
                "settings": settings, "importance": weights, "trials": rows}, folder / "tune.json")  # fmt: skip
    spent = sum((one.datetime_complete - one.datetime_start).total_seconds() for one in trials)
    states = [STATES[one.state.name] for one in trials]
    console.say(", ".join(f"{states.count(name)} {name}" for name in ("done", "pruned", "failed")))
    told = f"best: validation {done[0].value:.4f} with {settings}" if better else "no trial beat the recipe as it is"
    console.say(f"{told}; {len(trials)} trials in {seconds(spent)}; next: metier run {folder / 'best.yaml'}")
    return folder


def _importance(search: Search) -> dict[str, float]:
    """Share of each setting in the differences between trials; empty with too few of them to say."""
    import optuna

    done = [one for one in _ended(search.study) if one.state.name == "COMPLETE"]
    if len(done) < 2 * len(search.space) or len({one.value for one in done}) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    found = optuna.importance.get_param_importances(search.study, evaluator=evaluator)
    return {key: round(float(value), 4) for key, value in found.items()}


def _short(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
