"""The command line: one file a command, each a thin wrapper over a function that can be imported.

Heavy modules are imported inside the commands, so that `metier --help` answers at once. A UserError is printed without
a traceback and exits 2; a REJECT verdict exits 3; interruption exits 130.
"""

from __future__ import annotations

import os
import sys

import typer

from metier.cli import bases, new, predict, run, runs, schema, show, stages, why
from metier.console import quiet_libraries

app = typer.Typer(
    name="metier",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turn a general language model into an industry's own, and prove whether that helped.",
)
ADDERS = (run.add, new.add, show.add, why.add, schema.add, stages.add, predict.add, runs.add, bases.add)
for add in ADDERS:
    add(app)


def main() -> None:
    """Entry point of the `metier` command."""
    from metier.errors import UserError

    quiet_libraries()
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; finished stages are kept, run the same command to go on", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os._exit(0)
