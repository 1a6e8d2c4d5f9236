"""`metier why`: which stages would run again, and because of what."""

from __future__ import annotations

import json

import typer

from metier.cli.common import Overrides, RecipeArgument, TaskOption, prepare


def add(app: typer.Typer) -> None:
    @app.command()
    def why(recipe: RecipeArgument, overrides: Overrides = None, task: TaskOption = None) -> None:
        """Say which stages would be reused or run, with the difference field by field. Runs nothing."""
        from metier.run import why as explain

        found, context = prepare(recipe, overrides, task, quiet=False)
        for line in explain(found, context):
            print(
                f"{line['stage']}: {line['state']}" + (f" ({line['fingerprint'][:8]})" if line["fingerprint"] else "")
            )
            for difference in line["differences"]:
                print(f"  {_say(difference)}")


def _say(difference: dict[str, object]) -> str:
    if "note" in difference:
        return str(difference["note"])
    was, now = (json.dumps(difference[key], ensure_ascii=False) for key in ("was", "is"))
    return f"{difference['field']}: {was} -> {now}"
