"""What can be known to be wrong before the work begins: before anything is read, and again once the examples are there.

Purpose: a mistake in a recipe is told in a second and not after an hour of training.
Not covered: what only the work shows (files that cannot be read, a loss that diverges).
"""

from __future__ import annotations

from collections.abc import Mapping

from metier.artifact import Artifact
from metier.errors import UserError, nearest
from metier.recipe import Recipe


def check(recipe: Recipe) -> None:
    """What can be known to be wrong before anything is read: names behind doors, criteria, contradictions."""
    from metier.evaluate.criteria import check_config
    from metier.registry import names
    from metier.report.dossier import check_provided
    from metier.train.pairs import check as check_pair

    if not recipe.collect.sources:
        raise UserError("the recipe names no documents", "collect.sources", "add at least one file, folder or glob")
    for kind, key, value in (
        ("task", "task.name", recipe.task.name),
        ("engine", "engine.name", recipe.engine.name),
        ("method", "train.method", recipe.train.method),
        *(("floor", "evaluate.floors", name) for name in recipe.evaluate.floors if recipe.evaluate.floors != "auto"),
        *(("check", "evaluate.checks", name) for name in recipe.evaluate.checks),
        *(("operation", "prepare.operations", name) for name in recipe.prepare.operations),
    ):
        if value not in names(kind) and (kind, value) != ("method", "auto"):
            raise UserError(f"there is no {kind} called '{value}'", key, nearest(value, names(kind)))
    if recipe.task.multi_label and recipe.task.name != "classify":
        raise UserError("only classify can be multi-label", "task.multi_label", "remove it")
    if recipe.evaluate.privacy.canaries and "privacy" not in recipe.evaluate.checks:
        raise UserError("canaries are planted for the check `privacy`, and the recipe does not ask for it",
                        "evaluate.privacy.canaries", "add privacy to evaluate.checks, or set it to 0")  # fmt: skip
    check_pair(recipe.task.name, recipe.train)
    check_config(recipe.evaluate, recipe.task)
    check_provided(recipe.report.provided)


def check_labels(recipe: Recipe, done: Mapping[str, Artifact]) -> None:
    """Criteria may name labels and parts, which are known once the examples are: before training, not after it."""
    from metier.evaluate import load, slices
    from metier.evaluate.criteria import check as check_criteria
    from metier.evaluate.criteria import switched_on
    from metier.evaluate.floors import model_names

    labels = done["prepare"].summary["labels"]
    classes = [label for label, counts in labels.items() if counts["train"]]
    models = model_names(recipe.evaluate, recipe.task)
    given = (recipe.evaluate.accept, recipe.task, models, classes or None, switched_on(recipe.evaluate))
    criteria = check_criteria(*given)
    if any(one.part for one in criteria):
        test = load.split_rows(done["prepare"].path / "examples.parquet")
        slices.check(criteria, test, done["collect"].path / "documents.parquet")
