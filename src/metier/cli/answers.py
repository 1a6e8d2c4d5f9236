"""`metier answers`: held-out questions of a run, answered before and after."""

from __future__ import annotations

from typing import Annotated

import typer

from metier.cli.verdict import RunArgument


def add(app: typer.Typer) -> None:
    @app.command()
    def answers(
        run: RunArgument,
        number: Annotated[int, typer.Option("--number", "-n", min=1, help="Questions of each language.")] = 3,
        language: Annotated[str, typer.Option("--language", "-l", help="Of the verdict: en or zh.")] = "en",
    ) -> None:
        """Show held-out questions with the base's and the tuned model's answers, drawn by chance, below the verdict."""
        from metier.cli.asked import look

        shown = look(run, number, language)
        print(shown.headline)
        print(f"{shown.metric}: " + ", ".join(f"{name} {value:.3f}" for name, value in shown.figures))
        for one in shown.asked:
            print(f"\n[{one.language}] {one.question}\n  right: {one.right}")
            for name, answer in one.answers.items():
                print(f"  {name}: {' '.join(answer.split()) or '(nothing)'}")
        print(f"\n{shown.report}", flush=True)
