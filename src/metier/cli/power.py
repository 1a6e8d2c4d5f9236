"""`metier power`: how many test examples are needed, and what so many can show."""

from __future__ import annotations

from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    @app.command()
    def power(
        run: Annotated[str, typer.Argument(metavar="[RUN]", help="A finished run whose figures are the start.")] = "",
        effect: Annotated[float | None, typer.Option(help="Difference to be found: 0.02 is 2 points.")] = None,
        discordance: Annotated[
            float | None, typer.Option(help="Share of texts that one model alone has right.")
        ] = None,
        spread: Annotated[float | None, typer.Option(help="Standard deviation of paired differences.")] = None,
        items: Annotated[
            int | None, typer.Option("--items", "-n", help="Size of a test set: what can it show?")
        ] = None,
        share: Annotated[float | None, typer.Option(help="Expected share of right answers, such as 0.9.")] = None,
        width: Annotated[float | None, typer.Option(help="Wanted width of its interval: 0.04 is +-2 points.")] = None,
        alpha: Annotated[float, typer.Option(help="Significance level.")] = 0.05,
        wanted: Annotated[float, typer.Option("--power", help="Probability of finding the difference.")] = 0.8,
    ) -> None:
        """Say how many test examples show a difference or narrow an interval, or what so many examples can show."""
        import sys

        from metier.console import Console
        from metier.evaluate import power as planned
        from metier.replay import find_run, results_of

        if run:
            columns = ["against", "metric", "n", "difference", "detectable", "effect", "needed"]
            rows = planned.from_run(results_of(find_run(run)), effect)
            table = [[_short(row[name]) for name in columns] for row in rows]
            Console(sys.stdout).table([*columns[:-2], "effect", "examples for it"], table)
            return
        print(planned.say(effect, discordance, spread, items, share, width, (alpha, wanted)))


def _short(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else f"{value}"
