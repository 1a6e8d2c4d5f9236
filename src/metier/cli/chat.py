"""`metier chat`: talk with a model in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    @app.command()
    def chat(
        model: Annotated[
            str,
            typer.Option(
                "--model", "-m", help="A run, a base, a folder or a Hub id; none: the small base that comes along."
            ),
        ] = "",
        messages: Annotated[
            list[str] | None, typer.Argument(help="What to say; without any, the terminal or a pipe is read.")
        ] = None,
        system: Annotated[str, typer.Option("--system", "-s", help="A system message for the conversation.")] = "",
        tokens: Annotated[int, typer.Option("--tokens", min=1, help="Tokens of an answer at most.")] = 128,
        device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    ) -> None:
        """Talk with a model that writes: one line a message, an empty line ends."""
        import sys

        from metier.conversation import COMMANDS, Conversation, at_hand, open_model, talk

        model = model or at_hand()
        conversation = Conversation(open_model(model, device), system, tokens)
        person = sys.stdin.isatty() and not messages
        if person:
            print(f"{model}: {COMMANDS}", file=sys.stderr)
        talk(
            conversation,
            messages or _lines(person),
            lambda text: print(text, flush=True),
            lambda text: print(f"({text})", file=sys.stderr, flush=True),
        )


def _lines(person: bool) -> Iterator[str]:
    """Lines of the standard input; in a terminal with a mark before each, until its end."""
    while True:
        try:
            yield input("> " if person else "")
        except EOFError:
            return
