"""`metier merge`: an adapter and its base as one whole model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    @app.command()
    def merge(
        model: Annotated[str, typer.Argument(help="Name of a run, or the folder of an artifact or a model.")],
        output: Annotated[
            Path | None, typer.Option("--output", "-o", help="A new folder; by default NAME-merged beside the run.")
        ] = None,
        base: Annotated[
            str, typer.Option("--base", help="The base, where it is no longer where training found it.")
        ] = "",
        device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    ) -> None:
        """Write a whole model from an adapter and its base, and check that it answers as before."""
        from metier.merging import merge_to

        merge_to(model, output, base, device)
