"""`metier tune`: search good settings of training."""

from __future__ import annotations

import typer

from metier.cli.common import Overrides, Quiet, RecipeArgument, TaskOption, prepare


def add(app: typer.Typer) -> None:
    @app.command()
    def tune(
        recipe: RecipeArgument, overrides: Overrides = None, task: TaskOption = None, quiet: Quiet = False
    ) -> None:
        """Search settings on the validation split; writes runs/NAME.tune/best.yaml. Goes on after a kill."""
        from metier.tuning import tune as search

        found, context = prepare(recipe, overrides, task, quiet)
        print(search(found, context) / "best.yaml")
