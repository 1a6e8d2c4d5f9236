"""What several commands share: the recipe argument, overrides, and the context they run in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from metier.recipe import Recipe
    from metier.run import Context

RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="Recipe file, shipped recipe (finance/customer-service) or data file.")
]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Overrides: train.epochs=5")]
TaskOption = Annotated[
    str | None,
    typer.Option("--task", help="For a bare data file: what is to be learned, such as classify, tag or chat."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors.")]


def prepare(recipe: str, overrides: list[str] | None, task: str | None, quiet: bool) -> tuple[Recipe, Context]:
    """The resolved recipe and where it runs."""
    from metier.console import Console
    from metier.finding import find_recipe
    from metier.run import command_line, default_context

    console = Console(quiet=quiet)
    found, base = find_recipe(recipe, task, overrides or [], console)
    return found, default_context(Path(base), console, command_line())
