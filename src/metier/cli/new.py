"""`metier new`: write a commented recipe for a data file, after looking at it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metier.cli.common import TaskOption


def add(app: typer.Typer) -> None:
    @app.command()
    def new(
        data: Annotated[str, typer.Argument(help="Data file, folder or address (s3://...) to look at.")],
        task: TaskOption = None,
        output: Annotated[Path | None, typer.Option("--output", "-o", help="Recipe to write.")] = None,
        text: Annotated[str | None, typer.Option("--text", help="Column with the text, if not guessed.")] = None,
        label: Annotated[str | None, typer.Option("--label", help="Column with the label, value or answer.")] = None,
        group: Annotated[str | None, typer.Option("--group", help="Column with patient, client or matter.")] = None,
        force: Annotated[bool, typer.Option("--force", help="Overwrite an existing recipe.")] = False,
    ) -> None:
        """Write a commented recipe for a data file, after looking at it."""
        from metier.drafting import write_recipe

        said = {
            "text": text,
            {"score": "value", "generate": "answer", "chat": "answer", "embed": "pair"}.get(task or "", "label"): label,
            "group": group,
        }
        path = write_recipe(data, task, output, force, {role: name for role, name in said.items() if name})
        print(f"wrote {path}; look at it, then: metier run {path}")
