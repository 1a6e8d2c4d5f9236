"""`metier explain`: what a tuned model's answer rests on."""

from __future__ import annotations

from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    @app.command()
    def explain(
        model: Annotated[str, typer.Argument(help="Name of a run, or a model folder.")],
        texts: Annotated[list[str], typer.Argument(help="Texts.")],
        question: Annotated[
            str, typer.Option("--question", "-q", help="What is asked about every text, where the model reads two.")
        ] = "",
        layer: Annotated[
            int, typer.Option("--layer", help="Whose attention is shown; from 0, or from the end if negative.")
        ] = -1,
        head: Annotated[int | None, typer.Option("--head", help="Of that layer; without it the mean of all.")] = None,
        json: Annotated[bool, typer.Option("--json", help="Everything, for programs.")] = False,
        language: Annotated[str, typer.Option("--language", "-l", help="Of the sentences: en or zh.")] = "en",
    ) -> None:
        """Show which words and which training examples an answer rests on, and how faithful that is."""
        from metier.explaining import explain_to

        explain_to(model, texts, question, layer, head, json, language)
