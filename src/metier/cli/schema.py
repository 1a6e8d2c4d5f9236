"""`metier schema`: the JSON Schema of a recipe, for editors."""

from __future__ import annotations

import typer


def add(app: typer.Typer) -> None:
    @app.command()
    def schema() -> None:
        """Print the JSON Schema of a recipe."""
        import json

        from metier.recipe import schema as recipe_schema

        print(json.dumps(recipe_schema(), indent=2, ensure_ascii=False))
