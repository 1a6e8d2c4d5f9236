"""`metier show`: the resolved recipe with every default."""

from __future__ import annotations

import typer

from metier.cli.common import Overrides, RecipeArgument, TaskOption, prepare


def add(app: typer.Typer) -> None:
    @app.command()
    def show(recipe: RecipeArgument, overrides: Overrides = None, task: TaskOption = None) -> None:
        """Print the whole recipe as it would run, defaults included."""
        from metier.recipe import dump

        found, _ = prepare(recipe, overrides, task, quiet=False)
        print(dump(found), end="")
