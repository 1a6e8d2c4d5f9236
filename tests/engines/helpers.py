"""Work that processes of an engine import, and a prepare stage to be killed; run as a module by the tests."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from metier import tables
from metier.artifact import Artifact
from metier.collect import stage as collecting
from metier.collect.config import CollectConfig
from metier.collect.inputs import find_inputs
from metier.console import Console
from metier.engines.config import EngineConfig
from metier.errors import UserError
from metier.prepare import stage
from metier.prepare.config import PrepareConfig
from metier.train.config import TaskConfig


@dataclass(frozen=True)
class Piece:
    """A payload that says whether its data travelled with it."""

    number: int
    size: int = 10_000_000  # large enough for processes
    here: bool = True

    def carried(self) -> Piece:
        return Piece(self.number, self.size, False)


def tell(setup: str, piece: Piece) -> bytes:
    """What a worker knows; fails as the setup says."""
    if setup == "mistake" and piece.number == 3:
        raise UserError("wrong", "piece 3", "mend it")
    if setup == "die" and piece.number == 3:
        os._exit(5)
    if setup == "slow":
        time.sleep(0.2)
    return f"{piece.number} {piece.here} {os.getpid()} {os.environ.get('RAY_NODE', '')}".encode()


SENTENCES = (
    "The card machine kept my card on {day} and nobody called back about case {n}",
    "Please move {n} euros from savings to the account of my landlord before {day}",
    "我的银行卡在{day}丢了，请帮我挂失，编号{n}",
    "请问第{n}号贷款的利率从{day}起是多少？",
    "A fee of {n} was taken twice on {day}, I want one of them back",
)
LABELS = ("card", "transfer", "card", "loan", "fee")


def write_documents(path: Path, count: int, words: int = 1, rows: int = 100, turn: int = 0) -> None:
    """Invented messages with repeats, near duplicates and empty ones; `turn` changes nothing but their order."""
    found = []
    for n in range(count):
        kind = n * 7 % 5
        text = " ".join(SENTENCES[kind].format(n=n * 7919 % (count * 2) // 3, day=f"2026-0{1 + n % 9}-1{k % 10}")
                        for k in range(words))  # fmt: skip
        text = "" if n % 97 == 5 else text.replace("é", "Ã©")
        source = f"inbox/{n // 10}.csv#{n % 10 + 1}"
        found.append({"id": tables.digest(source, text), "text": text, "source": source, "group": f"c{n % 400}",
                      "metadata": f'{{"label": "{LABELS[kind]}"}}'})  # fmt: skip
    found = found[turn:] + found[:turn]
    with tables.Writer(path / "documents.parquet", tables.DOCUMENTS, rows) as writer:
        writer.write(tables.table(found, tables.DOCUMENTS))


def prepare(folder: Path, engine: str, address: str = "", out: str = "out") -> None:
    """The whole stage on the documents in a folder."""
    documents = Artifact(folder, "collect", "0" * 32, {}, {}, {})
    (folder / out).mkdir(exist_ok=True)
    stage.prepare(PrepareConfig(), TaskConfig(), 0, documents, folder / out, Console(sys.stderr),
                  EngineConfig(name=engine, address=address, workers=2))  # fmt: skip


def collect(folder: Path, engine: str, address: str = "", out: str = "out") -> None:
    """The whole stage on the files in a folder."""
    config = CollectConfig(sources=("in",), workers=2)
    chosen = EngineConfig(name=engine, address=address)
    collecting.collect(config, find_inputs(config, folder), folder / out, Console(sys.stderr), chosen)


if __name__ == "__main__":
    stages = {"prepare": prepare, "collect": collect}
    stages[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
