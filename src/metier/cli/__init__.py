"""The command line: one file a command, each a thin wrapper over a function that can be imported.

Heavy modules are imported inside the commands, so that `metier --help` answers at once. A UserError is printed without
a traceback and exits 2; a REJECT verdict exits 3 (other verdicts: verdict.py); interruption exits 130.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

from metier.cli import (
    answers,
    bases,
    chat,
    compare,
    deidentify,
    explain,
    inspect,
    merge,
    new,
    pdf,
    plan,
    power,
    predict,
    replay,
    run,
    runs,
    schema,
    show,
    stages,
    tune,
    verdict,
    why,
)
from metier.console import quiet_libraries

INTERRUPTED = 130  # what Typer exits with after Ctrl-C
app = typer.Typer(
    name="metier",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turn a general language model into an industry's own, and prove whether that helped.",
)
ADDERS = (
    run.add, new.add, inspect.add, plan.add, tune.add, show.add, why.add, schema.add, stages.add, deidentify.add,
    predict.add, explain.add, chat.add, merge.add, runs.add, bases.add, pdf.add, verdict.add, answers.add,
    replay.add, power.add, compare.add,
)  # fmt: skip
for add in ADDERS:
    add(app)


def main() -> None:
    """Entry point of the `metier` command."""
    from metier.errors import UserError, of_system

    launched = int(os.environ.get("WORLD_SIZE") or 1) > 1  # torchrun has started several of us

    for stream in (sys.stdout, sys.stderr):  # a screen that cannot show Chinese shows "?", and does not end the run
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    quiet_libraries()
    try:
        if not (launched and _follow()):
            app()
    except UserError as error:
        _fail(error)
    except OSError as error:
        told = of_system(error)
        if told is None:
            raise
        _fail(told)
    except SystemExit as error:
        if error.code == INTERRUPTED:
            print("stopped; finished stages are kept, run the same command to go on", file=sys.stderr)
        raise
    finally:
        if launched:
            _release()


def _follow() -> bool:
    """Whether this process only helps: of several the first runs the command, the others train with it."""
    from metier.engines import launch

    return launch.follow()


def _release() -> None:
    from metier.engines import launch

    launch.release()


def _fail(error: Exception) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
