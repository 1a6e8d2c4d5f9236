"""`metier predict`: ask a tuned model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    @app.command()
    def predict(
        model: Annotated[str, typer.Argument(help="Name of a run, or a model folder.")],
        texts: Annotated[list[str] | None, typer.Argument(help="Texts; or use --input.")] = None,
        input: Annotated[
            Path | None, typer.Option("--input", "-i", help="Any file or folder that can be collected.")
        ] = None,
        text: Annotated[str | None, typer.Option("--text", help="Tables: the text column, if not guessed.")] = None,
        question: Annotated[
            str | None,
            typer.Option("--question", "-q", help="What is asked about every text, where the model reads two."),
        ] = None,
        output: Annotated[Path | None, typer.Option("--output", "-o", help="CSV, JSONL or Parquet file.")] = None,
    ) -> None:
        """Predict labels or scores for texts, a file or a folder."""
        from metier.prediction import predict_to

        predict_to(model, texts or [], input, output, text, question)
