"""Data sets of the Hugging Face Hub, by name, through the library `datasets`.

Purpose: the library finds, fetches and decodes a set; its rows go into a snapshot in the cache, and from then on
neither the library nor the net is needed. No code of a data set is run: the library does not do so any more, and
nothing here asks for it. Labels come as their names. Splits are told apart by a column `split`.
Trade-off: the set is on the disk twice, in the library's cache and in ours.
Not covered: streaming of sets that are larger than the disk; pictures and sound.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

from metier import tables
from metier.artifact import canonical
from metier.collect.accounts import Account, describes
from metier.collect.places import cache, features, snapshot
from metier.collect.places.config import DatasetConfig
from metier.collect.places.credentials import scrub
from metier.collect.places.found import Found
from metier.collect.places.saved import add
from metier.console import Console
from metier.errors import UserError, need

BATCH = 1_000  # rows that are in memory at a time


@describes(
    "dataset",
    Account(
        title="Data sets of the Hugging Face Hub",
        takes=("dataset:",),
        kept=("one text a row, with label names for numbers and a column `split`",),
        counted={"warnings": "columns with pictures or sound, which are left out"},
        refused={"unreadable row": "a value that has no plain form"},
        libraries=("datasets",),
        extra="datasets",
        kind="place",
    ),
)
def fetch(config: DatasetConfig, refresh: bool, console: Console) -> Found:
    """The rows as the files of a snapshot: the one in the cache, or a new one. UserError: no such set, no network."""
    target = cache.folder("snapshots") / tables.digest("dataset", canonical(config.model_dump(mode="json")))
    with cache.alone(target):
        if not refresh and (found := snapshot.load(target)):
            return found
        if not Path(config.name).exists():
            cache.need_network("this data set", config.name)
        name = re.sub(r"[^\w-]+", "_", config.name).strip("_") or "rows"
        sets = _load(config)
        with snapshot.Writer(target, name, config.name, config.rows_per_file) as out:
            total = sum(len(rows) for rows in sets.values())
            with console.progress(f"reading {config.name}", total=total, unit="rows") as meter:
                for split, rows in sets.items():
                    _copy(split, rows, out, meter)
            out.finish()
    found = snapshot.load(target)
    assert found is not None
    return found


def _copy(split: str, rows: Any, out: snapshot.Writer, meter: Any) -> None:
    known = dict(rows.features.to_dict())
    if left_out := features.media(known):
        out.warnings.append(f"columns with pictures or sound were left out: {', '.join(left_out)}")
        rows = rows.remove_columns(left_out)
    number = 0
    for batch in rows.with_format("arrow").iter(batch_size=BATCH):
        for row in batch.to_pylist():
            number += 1
            add(out, row, known, split, f"/{split}#{number}" if split else f"#{number}")
        meter.advance(batch.num_rows)


def _load(config: DatasetConfig) -> dict[str, Any]:
    """Split -> rows; "" for a set without splits, or when one was asked for."""
    datasets = need("datasets", "datasets")
    datasets.disable_progress_bars()
    for library in ("datasets", "huggingface_hub"):  # what matters of it is told in our own words
        logging.getLogger(library).setLevel(logging.ERROR)
    where = config.name + (f", {config.config}" if config.config else "")
    try:
        found = datasets.load_dataset(
            config.name, config.config or None, split=config.split or None, revision=config.revision or None
        )
    except Exception as error:  # the library raises a dozen kinds
        raise _told(error, config, where) from None
    return dict(found) if isinstance(found, datasets.DatasetDict) else {"": found}


def _told(error: Exception, config: DatasetConfig, where: str) -> UserError:
    lines = [line.strip() for line in scrub(error).splitlines() if line.strip()]
    text = " ".join(lines)[:400]
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    kind = type(error).__name__
    cut_off = isinstance(error, (ConnectionError, TimeoutError)) or "LocalEntryNotFoundError" in text
    if offline or cut_off or kind in ("OfflineModeIsEnabled", "ConnectError"):
        why = "HF_HUB_OFFLINE forbids the network" if offline else "the Hub does not answer"
        return UserError(
            f"the data set cannot be fetched: {why}", where,
            "connect to the net and run once; or fetch it elsewhere, save it with `save_to_disk(folder)`, and write "
            "`path: folder`",
        )  # fmt: skip
    if kind in ("DatasetNotFoundError", "RepositoryNotFoundError", "RevisionNotFoundError"):
        return UserError(f"the Hub has no such data set, or it wants a login: {text}", where,
                         "check name and revision; for a private one set HF_TOKEN")  # fmt: skip
    return UserError(f"the data set cannot be loaded: {text or kind}", where, "check `name`, `config` and `split`")
