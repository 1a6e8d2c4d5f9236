"""`metier replay`: judge the stored answers of a run again, and say whether every byte is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metier.cli.verdict import RunArgument

DIFFERENT_EXIT = 5


def add(app: typer.Typer) -> None:
    @app.command()
    def replay(
        run: RunArgument,
        output: Annotated[
            Path | None, typer.Option("--output", "-o", help="Keep the new files in this folder.")
        ] = None,
    ) -> None:
        """Make results.json and report.html of a run again, without a model. Exit code: 0 the same bytes, 5 not."""
        from metier.console import Console
        from metier.replay import find_run
        from metier.replay import replay as again

        found = again(find_run(run), Console(quiet=True), output)
        for line in found.versions:
            print(f"another version: {line}")
        for line in found.differences:
            print(f"differs: {line}")
        if not found.same:
            raise typer.Exit(DIFFERENT_EXIT)
        print("the same, byte for byte: " + ", ".join(f"{name} ({size:,})" for name, (size, _) in found.files.items()))
