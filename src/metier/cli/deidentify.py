"""`metier deidentify`: look what is found in a text or file, audit a run, turn surrogates back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    @app.command()
    def deidentify(
        what: Annotated[str, typer.Argument(metavar="TEXT|FILE|audit|reverse", help="A text, a file or folder, - "
            "for standard input; or audit, or reverse.")],
        of: Annotated[str, typer.Argument(metavar="[RUN|TEXT|FILE]", help="audit: a run or a prepare artifact. "
            "reverse: a text or file.")] = "",
        policy: Annotated[str, typer.Option("--policy", help="mask, placeholder, surrogate or keep.")] = "placeholder",
        key_file: Annotated[str, typer.Option("--key-file", help="Key for surrogates; else "
            "METIER_DEIDENTIFY_KEY.")] = "",
        output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write: the text; for an audit "
            "the sheet (.csv or .html) or audit.json.")] = None,
        sample: Annotated[int, typer.Option("--sample", "-n", help="audit: documents to read.")] = 300,
        seed: Annotated[int, typer.Option("--seed", help="audit: of the draw.")] = 0,
        answers: Annotated[Path | None, typer.Option("--answers", help="audit: the filled-in sheet (CSV).")] = None,
        confidence: Annotated[float, typer.Option("--confidence", help="audit: of the "
            "bound.", min=0.5, max=0.9999)] = 0.95,
        vault: Annotated[Path | None, typer.Option("--vault", help="reverse: the vault's folder.")] = None,
    ) -> None:  # fmt: skip
        """Show what de-identification finds, audit what it left in a run, or turn surrogates back."""
        from metier import deidentification as work
        from metier.errors import UserError

        if what == "audit" and answers is not None:
            work.judgement(answers, output, confidence)
        elif what == "audit":
            if not of:
                raise UserError(
                    "an audit of what?", "command line", "metier deidentify audit RUN --sample 300 --output sheet.csv"
                )
            work.sheet(of, sample, output or Path("sheet.csv"), seed)
        elif what == "reverse":
            if not of or vault is None:
                raise UserError(
                    "reverse needs a text and a vault", "command line", "metier deidentify reverse FILE --vault FOLDER"
                )
            print(work.reverse(of, vault, output), end="")
        else:
            print(work.look(what, policy, key_file, output), end="")
