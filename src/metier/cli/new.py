"""`metier new`: write a commented recipe for a data file, after looking at it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metier.cli.common import TaskOption


def add(app: typer.Typer) -> None:
    @app.command()
    def new(
        data: Annotated[Path, typer.Argument(help="Data file or folder to look at.")],
        task: TaskOption = None,
        output: Annotated[Path | None, typer.Option("--output", "-o", help="Recipe to write.")] = None,
        force: Annotated[bool, typer.Option("--force", help="Overwrite an existing recipe.")] = False,
    ) -> None:
        """Write a commented recipe for a data file, after looking at it."""
        from metier.drafting import write_recipe

        path = write_recipe(data, task, output, force)
        print(f"wrote {path}; look at it, then: metier run {path}")
