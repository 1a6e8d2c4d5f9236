"""Small data, a small recipe, and the command line as a process: what the tests of whole runs share."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORDS = {
    "card": ["my", "card", "is", "lost", "and", "the", "machine", "took", "it"],
    "loan": ["what", "is", "the", "loan", "rate", "for", "a", "new", "house"],
    "transfer": ["please", "send", "money", "by", "transfer", "to", "my", "friend"],
}
QUICK = ("train.epochs=2", "train.threads=1", "collect.workers=1", "evaluate.bootstrap=200")


# As sitecustomize.py of a process and its children: every connection is written down and refused.
NO_NET = """
import os, socket
def refuse(self, address=None, *rest, **more):
    if getattr(self, "family", None) != getattr(socket, "AF_UNIX", None):
        with open(os.environ["ATTEMPTS"], "a") as log:
            log.write(f"{address or self}\\n")
        raise OSError("no network in this test")
    return connect(self, address)
connect = socket.socket.connect
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
"""


@dataclass(frozen=True)
class Answer:
    """What a command line gave back."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


def rows(n: int = 60, seed: int = 0) -> list[dict[str, Any]]:
    """Short messages of three kinds that anything can tell apart."""
    draw = random.Random(seed)
    kinds = list(WORDS)
    return [{"text": f"{' '.join(draw.choices(WORDS[kinds[i % 3]], k=7))} {i}", "label": kinds[i % 3]}
            for i in range(n)]  # fmt: skip


def write_csv(path: Path, data: list[dict[str, Any]], encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(data[0]))
        writer.writeheader()
        writer.writerows(data)
    return path


def write_recipe(folder: Path, base: Path, more: str = "") -> Path:
    path = folder / "recipe.yaml"
    path.write_text(
        f"name: small\ntask: classify\ncollect:\n  sources: data.csv\n  workers: 1\n"
        f"prepare:\n  split: {{test: 0.3, validation: 0.1}}\n"
        f"train:\n  base_model: {base}\n  epochs: 2\n  threads: 1\nevaluate:\n  bootstrap: 200\n"
        "  accept: [accuracy >= 0.1]\n" + more,
        encoding="utf-8",
    )
    return path


def process(*arguments: object, cwd: Path, code: str = "", before: str = "", **variables: str) -> Answer:
    """The command line as a process of its own; `code` runs first in it, `before` is a command that starts it."""
    program = f"{code}\nimport sys\nfrom metier.cli import main\nsys.argv[0] = 'metier'\nmain()"
    done = subprocess.run(
        [*before.split(), sys.executable, "-c", program, *map(str, arguments)], cwd=cwd, capture_output=True, text=True,
        timeout=300, encoding="utf-8", env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
    )  # fmt: skip
    return Answer(done.returncode, done.stdout, done.stderr)
