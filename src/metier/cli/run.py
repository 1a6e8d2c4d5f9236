"""`metier run`: every stage, from raw files to the verdict."""

from __future__ import annotations

import typer

from metier.cli.common import Overrides, Quiet, RecipeArgument, TaskOption, prepare

REJECT_EXIT = 3


def add(app: typer.Typer) -> None:
    @app.command()
    def run(recipe: RecipeArgument, overrides: Overrides = None, task: TaskOption = None, quiet: Quiet = False) -> None:
        """Run a recipe, a shipped recipe or a bare data file; exits 3 when the verdict is REJECT."""
        import json

        from metier.run import run as run_recipe

        found, context = prepare(recipe, overrides, task, quiet)
        done = run_recipe(found, context)
        results = json.loads((done["report"].path / "results.json").read_text(encoding="utf-8"))
        verdict = results["verdict"]
        print(f"{verdict['decision']}: {verdict['headline']}")
        if verdict["decision"] == "REJECT":
            raise typer.Exit(REJECT_EXIT)
