"""`metier plan`: what training will cost, before anything is trained."""

from __future__ import annotations

import typer

from metier.cli.common import Overrides, Quiet, RecipeArgument, TaskOption, prepare


def add(app: typer.Typer) -> None:
    @app.command()
    def plan(
        recipe: RecipeArgument, overrides: Overrides = None, task: TaskOption = None, quiet: Quiet = False
    ) -> None:
        """Predict memory, tokens, steps, time and disk of training, and why. Exit code 2: it cannot fit."""
        import sys

        from metier.console import Console
        from metier.run import run as run_recipe
        from metier.train.plan import demand, show
        from metier.train.plan import plan as predict

        found, context = prepare(recipe, overrides, task, quiet)
        done = run_recipe(found, context, until="prepare")
        store = context.store.root
        made = predict(found.train, found.task, found.seed, done["prepare"], store, context.base)
        show(made, Console(sys.stdout))
        demand(made, found.train)
