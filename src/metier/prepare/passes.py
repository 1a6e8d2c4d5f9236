"""Text operations over all shards: fused into passes, resumable shard by shard, gathered in shard order.

Purpose: operations that need no knowledge of the corpus run one after the other on a shard while it is in memory, so
that a corpus is read and written once for all of them. An operation that observes first ends a pass: its observations
are brought together, and the next pass starts with what it concluded. A finished shard is two files, its rows and
then, as the mark that it is finished, its account (rows of each step, rejected, changes, counts, observation); a
prepare that was killed finds them in its working folder and does only the rest.
Trade-off: each pass writes the corpus once; the rows of a pass are deleted when the next one is complete.
Not covered: comparing texts with each other (flow.py).
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

import metier
from metier import registry, tables
from metier.console import Console
from metier.engines import Engine, WorkerDied
from metier.errors import UserError
from metier.prepare.operation import CHANGES, Result, Settings, TextOperation
from metier.prepare.shards import Ordered, Shard, pack, unpack
from metier.prepare.spans import anchored
from metier.prepare.texts import keyed


@dataclass(frozen=True)
class Plan:
    """What a worker does with a shard; the same for all shards of a pass."""

    settings: Settings
    names: tuple[str, ...]  # the operations, in their order
    knowledge: Any  # of the first of them
    first: bool  # the documents are as they were collected
    observer: str  # the operation of the next pass that looks at the result, "" for none
    last: bool  # rows are made of its result: add the key by which duplicates are found


@dataclass
class Step:
    """What became of all rows in one operation."""

    name: str
    rows: int = 0  # that went on
    removed: int = 0
    made: int = 0  # rows more than those that came in and stayed: parts of documents that were cut
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def note(self) -> str:
        operation: TextOperation = registry.lookup("operation", self.name)
        return operation.note(dict(self.counts))


@dataclass
class Pass:
    """A finished pass: its shards with their rows, and where their accounts lie."""

    names: tuple[str, ...]
    folder: Path
    shards: list[Shard]
    knowledge: Any = None  # of the first operation, if it observed

    def accounts(self) -> Iterator[dict[str, Any]]:
        """The account of each shard, in their order."""
        for number in range(len(self.shards)):
            found = _load(self.folder, number)
            assert found is not None, f"the account of shard {number} is gone"
            yield found


def run(
    names: Sequence[str], settings: Settings, ordered: Ordered, folder: Path, engine: Engine, console: Console
) -> list[Pass]:
    """Run the operations over the shards; the last pass holds the rows, with the column that `keyed` adds.

    What lies in `folder` of the same plan is not done again. UserError: an operation failed, on which document.
    """
    shards = ordered.shards()
    _same_plan(names, settings, ordered, folder)
    done: list[Pass] = []
    groups = _grouped(names)
    current, knowledge = list(shards), None
    for number, group in enumerate(groups):
        last = number + 1 == len(groups)
        observer = "" if last else groups[number + 1][0]
        plan = Plan(settings, tuple(group), knowledge, number == 0, observer, last)
        made = _pass(plan, current, folder / f"pass{number}", engine, console)
        made.knowledge = knowledge
        if made.names or last:
            current = made.shards
        done.append(made)
        if not any(shard.rows for shard in current):
            return done  # nothing is left to learn from; the caller tells why
        for earlier in done[:-1]:  # its rows were read for the last time
            if current is made.shards:
                for path in earlier.folder.glob("*.rows"):
                    path.unlink()
        if observer:
            operation: TextOperation = registry.lookup("operation", observer)
            assert operation.conclude is not None
            observed = [unpack(account["observed"]) for account in made.accounts() if account["observed"]]
            knowledge = operation.conclude(observed, settings)
    return done


def steps(done: Sequence[Pass]) -> list[Step]:
    """What became of all rows, operation by operation."""
    found = []
    for one in done:
        here = [Step(name) for name in one.names]
        for account in one.accounts():
            for step, (rows, removed, made, counts) in zip(here, account["steps"], strict=True):
                step.rows += rows
                step.removed += removed
                step.made += made
                step.counts.update(counts)
        found += here
    return found


def listed(done: Sequence[Pass], kind: str) -> Iterator[tuple[str, pa.Table]]:
    """(operation, rows `rejected` or `changes`): those of the first operation in the order of the documents, and so
    on."""
    for one in done:
        for place, name in enumerate(one.names):
            for account in one.accounts():
                if account[kind][place]:
                    yield name, unpack(account[kind][place])


def work(plan: Plan, shard: Shard) -> bytes:
    """In a worker: all operations of a pass on one shard. The result is for `_store`."""
    batch = anchored(shard.read()) if plan.first else shard.read()
    account: dict[str, Any] = {"steps": [], "rejected": [], "changes": [], "observed": b""}
    knowledge = plan.knowledge
    for name in plan.names:
        operation: TextOperation = registry.lookup("operation", name)
        before = batch.num_rows
        result = _apply(operation, batch, plan.settings, knowledge) if before else Result(batch)
        batch, knowledge = result.batch, None
        removed = len(result.rejected)
        account["steps"].append((batch.num_rows, removed, batch.num_rows + removed - before, result.counts))
        account["rejected"].append(pack(tables.table(result.rejected, tables.REJECTED)) if removed else b"")
        account["changes"].append(pack(tables.table(result.changes, CHANGES)) if result.changes else b"")
    if plan.observer and batch.num_rows:
        observing: TextOperation = registry.lookup("operation", plan.observer)
        assert observing.observe is not None
        try:
            account["observed"] = pack(observing.observe(batch, plan.settings))
        except UserError:
            raise
        except Exception as error:
            raise _named(observing.name, batch, lambda part: observing.observe(part, plan.settings), error) from error  # type: ignore[misc]
    rows = pack(keyed(batch) if plan.last else batch) if plan.names or plan.last else b""
    return pickle.dumps({"rows": rows, "number": batch.num_rows, "size": batch.nbytes, "account": account})


def _apply(operation: TextOperation, batch: pa.Table, settings: Settings, knowledge: Any) -> Result:
    """One operation on one batch; what it must not do is told by its name, and by the document on which it failed."""

    def apply(part: pa.Table) -> Result:
        result = operation.apply(part, settings, knowledge)
        if not result.batch.schema.equals(tables.DOCUMENTS):
            raise TypeError("the batch that came back has other columns than tables.DOCUMENTS")
        if result.batch.num_rows + len(result.rejected) < part.num_rows:
            lost = part.num_rows - result.batch.num_rows - len(result.rejected)
            raise ValueError(f"{lost} documents left without a reason")
        return result

    try:
        return apply(batch)
    except UserError:
        raise
    except Exception as error:
        raise _named(operation.name, batch, apply, error) from error


def _named(name: str, batch: pa.Table, act: Any, error: Exception) -> UserError:
    """The first document on which `act` fails, found by halving."""
    while batch.num_rows > 1:
        half = batch.slice(0, batch.num_rows // 2)
        try:
            act(half)
        except Exception as found:
            batch, error = half, found
            continue
        rest = batch.slice(half.num_rows)
        try:
            act(rest)
        except Exception as found:
            batch, error = rest, found
            continue
        break  # it fails on the rows together only
    first = batch.slice(0, 1).to_pylist()[0]
    more = f" and the {batch.num_rows - 1} after it" if batch.num_rows > 1 else ""
    return UserError(
        f"the operation '{name}' failed: {type(error).__name__}: {error}",
        f"{first['source']} (id {first['id']}){more}",
        "repair the operation or leave that document out (collect.exclude); finished shards are kept",
    )  # fmt: skip


def _grouped(names: Sequence[str]) -> list[list[str]]:
    """The operations of each pass: one that observes begins a new one."""
    groups: list[list[str]] = [[]]
    for name in names:
        if registry.lookup("operation", name).observe is not None:
            groups.append([])
        groups[-1].append(name)
    return groups


def _pass(plan: Plan, shards: Sequence[Shard], folder: Path, engine: Engine, console: Console) -> Pass:
    """Do what is not done yet, and write down each shard as soon as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = [_shard(folder, number) for number in range(len(shards))]
    missing = [number for number, shard in enumerate(kept) if shard is None]
    title = "preparing texts" if plan.names else "looking at texts"
    modules = sorted(
        {registry.lookup("operation", name).apply.__module__ for name in (*plan.names, plan.observer) if name}
    )
    with console.progress(title, sum(shard.rows for shard in shards), "texts") as meter:
        meter.advance(sum(shard.rows for shard, mine in zip(shards, kept, strict=True) if mine is not None))
        results = engine.map(work, plan, [shards[number] for number in missing], modules)
        for number in missing:
            try:
                kept[number] = _store(folder, number, next(results))
            except WorkerDied as error:
                raise _lost(shards[number], error) from error
            meter.advance(shards[number].rows)
    if len(missing) < len(shards) and shards:
        console.say(f"  {len(shards) - len(missing)} of {len(shards)} shards were finished before")
    return Pass(plan.names, folder, [shard for shard in kept if shard is not None])


def _lost(shard: Shard, error: Exception) -> UserError:
    sources = shard.read()["source"].to_pylist()
    return UserError(
        f"a process of the engine ended without an answer: {error}",
        f"at or after the {len(sources):,} documents from {sources[0]} to {sources[-1]}",
        "free some memory or set engine.workers=1, then run again; finished shards are kept",
    )  # fmt: skip


def _store(folder: Path, number: int, result: bytes) -> Shard:
    """Write the rows, then the account that says so, each under another name first."""
    made = pickle.loads(result)
    rows = folder / f"{number:06d}.rows"
    _write(rows, made["rows"])
    account = pickle.dumps(
        {**made["account"], "number": made["number"], "size": made["size"], "bytes": len(made["rows"])}
    )
    _write(folder / f"{number:06d}.done", zlib.crc32(account).to_bytes(4, "big") + account)
    return Shard(str(rows), -1, made["number"], made["size"])


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(path.suffix + ".new")
    fresh.write_bytes(data)
    os.replace(fresh, path)


def _load(folder: Path, number: int) -> dict[str, Any] | None:
    """The account of a finished shard; None when there is none or a power failure damaged it."""
    try:
        data = (folder / f"{number:06d}.done").read_bytes()
    except FileNotFoundError:
        return None
    if zlib.crc32(data[4:]).to_bytes(4, "big") != data[:4]:
        return None
    account: dict[str, Any] = pickle.loads(data[4:])
    return account


def _shard(folder: Path, number: int) -> Shard | None:
    """A shard that was finished before, if its rows are there or the next pass is finished with them."""
    account = _load(folder, number)
    if account is None:
        return None
    rows = folder / f"{number:06d}.rows"
    whole = rows.is_file() and rows.stat().st_size == account["bytes"]
    following = folder.parent / f"pass{int(folder.name.removeprefix('pass')) + 1}"
    if not whole and _shard(following, number) is None:
        return None
    return Shard(str(rows), -1, account["number"], account["size"])


def _same_plan(names: Sequence[str], settings: Settings, ordered: Ordered, folder: Path) -> None:
    """Results of another plan, of other documents or of another version of the code are not used."""
    plugins = [registry.plugin("operation", name) for name in names]
    stat = os.stat(ordered.origin)
    plan = json.dumps(
        [metier.__version__, list(names), plugins, settings.config.identity(), settings.task.identity(), settings.seed,
         stat.st_size, stat.st_mtime_ns, [(shard.rows, shard.size) for shard in ordered.shards()]],
        sort_keys=True,
    )  # fmt: skip
    path = folder / "plan.json"
    if path.is_file() and path.read_text(encoding="utf-8") == plan:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _write(path, plan.encode("utf-8"))
