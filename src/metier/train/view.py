"""Training examples as the model will read them, with what is learned of each: the loss mask, before it counts.

Purpose: many a tuning fails because it learns the wrong tokens: the prompt, no stop token, half an answer. All that is
shown here comes from the task's own `encode` and `targets`, the very ones that training uses, and is decoded from token
ids: it is what the model sees, unknown words and lower case included. Of the base only its configuration and tokenizer
are loaded.
Trade-off: all examples are encoded, so that the counts are those of training; that takes as long as training's own
preparation. Not covered: drawing (`cli/drawing.py`); hard negatives that the base itself must look for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from metier.artifact import Artifact
from metier.console import Console
from metier.errors import UserError
from metier.train import chat
from metier.train.config import TaskConfig, TrainConfig
from metier.train.encoding import Encoded, Encoder, Item, frame_of
from metier.train.grouping import Grouped
from metier.train.sharing import ROOT, Example, plant
from metier.train.tasks.base import EXAMPLES, strings

WHOLE = 10**9  # tokens; as the limit of an encoder: nothing is cut


@dataclass(frozen=True)
class Piece:
    """Neighbouring tokens that are treated alike. learned: None, only read; "", each is predicted from those before it;
    else what is learned at this place (a tag, the start of an answer, the token under a mask)."""

    text: str
    tokens: int
    learned: str | None = None


@dataclass(frozen=True)
class Passage:
    """A window, or a node of a tree of examples that begin alike. depth: how many passages stand before it."""

    name: str
    pieces: tuple[Piece, ...]
    depth: int = 0

    @property
    def tokens(self) -> int:
        return sum(piece.tokens for piece in self.pieces)

    @property
    def learned(self) -> int:
        """Tokens that bear loss."""
        return sum(piece.tokens for piece in self.pieces if piece.learned is not None)


@dataclass(frozen=True)
class View:
    """One input of the network: an example, or a family of examples that share their beginning."""

    ids: tuple[str, ...]
    passages: tuple[Passage, ...]
    target: str = ""  # what is learned of the example as a whole
    cut: tuple[Piece, ...] = ()  # stretches that are not read
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sight:
    """What is shown of a recipe: facts by name, examples, counts of losses, and why training would stop."""

    facts: list[tuple[str, str]]
    views: list[View]
    losses: list[str]
    problems: list[UserError] = field(default_factory=list)


def look(
    config: TrainConfig, task_config: TaskConfig, examples: Artifact, console: Console, *, split: str = "train",
    most: int = 3, near: Path | None = None, seed: int = 0,
) -> Sight:  # fmt: skip
    """The first `most` inputs of a split, one more that is cut if none of them is, and what training would count."""
    from metier.train.checks import losses, problems
    from metier.train.stage import parts_of, prepared

    parts = parts_of(examples)
    ready = prepared(config, task_config, parts["train"], near)
    task, encoder = ready.task, ready.encoder
    table, missing = _mined(task, parts[split], console)
    if not table.num_rows:
        raise UserError(f"there are no examples in the split '{split}'", "--split", "see the funnel of `prepare`")
    encoded = task.encode(encoder, table, console)
    if hasattr(task, "anew") and split == "train":  # under the masks of the first epoch
        first = [family[0] for family in task.anew([(one,) for one in encoded.examples], 0, seed)]
        encoded = replace(encoded, examples=tuple(first))
    targets = task.targets(table, encoded)
    chosen = _choose(task, encoder, table, encoded, most)
    halved = bool(getattr(ready.config, "is_encoder_decoder", False))
    views = [_view(task, encoder, table, encoded, targets, members, halved) for members in chosen]
    told = losses(encoded) + missing
    facts = [*_facts(ready, task_config), *_counts(parts, encoded, split)]
    return Sight(facts, views, told, problems(encoded, config, encoder) if split == "train" else [])


def _mined(task: Any, table: pa.Table, console: Console) -> tuple[pa.Table, list[str]]:
    """The table with the hard negatives that can be found without the base, and what is not shown."""
    wanted = getattr(getattr(task.config, "embed", None), "hard_negatives", "none")
    if not hasattr(task, "mine") or wanted == "none":
        return table, []
    if wanted == "base":
        return table, ["hard negatives are looked for by the base when training starts, and are not shown here"]
    return task.mine(table, None, console)[0], []


def _facts(ready: Any, task_config: TaskConfig) -> list[tuple[str, str]]:
    encoder, tokenizer = ready.encoder, ready.encoder.tokenizer
    facts = [
        ("task", task_config.name),
        ("base", ready.base.model),
        ("reads at once", f"{encoder.max_length:,} tokens"),
    ]
    if getattr(ready.task, "templated", False):
        plain = chat.prepare_tokenizer(tokenizer) or tokenizer.chat_template == chat.PLAIN_TEMPLATE
        size = len(tokenizer.chat_template)
        own = f"the base's own chat template ({size:,} characters)"
        facts.append(("template", "Metier's plain one, since the base has none" if plain else own))
        facts.append(("end of answer", f"{tokenizer.eos_token} ({tokenizer.eos_token_id})"))
    elif ready.task.rows != EXAMPLES:
        pair = ready.task.profile(task_config).pair
        frame = frame_of(tokenizer, pair)
        around = [tokenizer.decode(part) for part in (frame.before, frame.between, frame.after)]
        shown = [around[0], *(["short text", around[1]] if pair else []), "text", around[2]]
        facts.append(("template", " ".join(part for part in shown if part)))
    return facts


def _counts(parts: dict[str, pa.Table], encoded: Any, split: str) -> list[tuple[str, str]]:
    facts = [("examples", ", ".join(f"{name} {part.num_rows:,}" for name, part in parts.items() if part.num_rows))]
    if isinstance(encoded, Grouped):
        learned = sum(one.labelled for one in encoded.examples)
        share = learned / max(1, encoded.groups.alone)
        facts.append(("learned", f"{learned:,} of {encoded.groups.alone:,} tokens of {split} ({share:.0%})"))
        if encoded.groups.saving > 1.01:
            facts.append(("shared", f"{encoded.groups.saving:.1f} times fewer tokens, where the base allows sharing"))
    else:
        facts.append(("read", f"{encoded.tokens:,} tokens of {split}, special ones included"))
    if encoded.windowed:
        facts.append(("windows", f"{encoded.windowed:,} texts are longer than is read at once and are read in windows"))
    return facts


def _choose(task: Any, encoder: Encoder, table: pa.Table, encoded: Any, most: int) -> list[tuple[int, ...]]:
    """Inputs to show as the indices of their examples; one that is cut is added where none of the first ones is."""
    members = encoded.groups.members if isinstance(encoded, Grouped) else [(row,) for row in range(len(encoded))]
    chosen = list(members[:most])
    owner = encoded.owner if isinstance(encoded, Grouped) else range(len(encoded))
    shown = {owner[index] for group in chosen for index in group}
    if most and encoded.cut and not task.encode(encoder, table.take(sorted(shown))).cut:
        row = _first_cut(task, encoder, table)
        chosen.append(next(group for group in members if row in {owner[index] for index in group}))
    return chosen


def _first_cut(task: Any, encoder: Encoder, table: pa.Table) -> int:
    """The first row of which something is cut, found by halving: as much work as encoding all once more."""
    first, last = 0, table.num_rows
    while last - first > 1:
        middle = (first + last) // 2
        if task.encode(encoder, table.slice(first, middle - first)).cut:
            last = middle
        else:
            first = middle
    return first


def _view(
    task: Any, encoder: Encoder, table: pa.Table, encoded: Any, targets: Any, members: Sequence[int], halved: bool
) -> View:
    """One input, with what was cut from its rows. halved: the base is an encoder-decoder."""
    if isinstance(encoded, Grouped):
        rows = sorted({encoded.owner[index] for index in members})
        how = _halves if halved else _hidden if getattr(task, "masked", False) else _tree
        passages = tuple(how([encoded.examples[i] for i in members], encoder.tokenizer))
    else:
        rows = [members[0]]
        passages = tuple(_windows(task, encoder.tokenizer, encoded, targets, members[0]))
    ids = strings(table["id"].take(rows)) if "id" in table.column_names else [str(row + 1) for row in rows]
    cut, notes = [], []
    for row in rows:
        one = table.slice(row, 1)
        alone = task.encode(encoder, one)
        if alone.cut:
            cut += _lost(task, encoder, one, alone)
            notes.append(f"{alone.cut_tokens:,} tokens of {ids[rows.index(row)]} are not read")
    return View(tuple(ids), passages, _target(task, table, rows), tuple(cut), tuple(notes))


def _target(task: Any, table: pa.Table, rows: Sequence[int]) -> str:
    """What is learned of the example as a whole, where that is a column of the table."""
    column = {"label": "label", "labels": "labels", "value": "value"}.get(task.profile(task.config).answer)
    if column is None or column not in table.column_names:
        return ""
    return ", ".join(str(cell) for cell in table[column].take(rows).to_pylist())


def _windows(task: Any, tokenizer: Any, encoded: Encoded, targets: Any, row: int) -> Iterator[Passage]:
    """Each window of an example; stretches of it that the task learns something at are marked."""
    item: Item = encoded.items[row]
    marks = task.marks(encoded, targets[row], row) if hasattr(task, "marks") else [{}] * len(item.windows)
    names = task.window_names(len(item.windows)) if hasattr(task, "window_names") else None
    for index, (window, marked) in enumerate(zip(item.windows, marks, strict=True)):
        labels: list[str | None] = [None] * len(window)
        for (start, end), label in marked.items():
            labels[start:end] = [label] * (end - start)
        starts = {start for start, _ in marked}
        name = names[index] if names else f"window {index + 1} of {len(item.windows)}" if len(item.windows) > 1 else ""
        yield Passage(name, pieces(tokenizer, np.array(window), labels, starts))


def _tree(examples: Sequence[Example], tokenizer: Any) -> Iterator[Passage]:
    """The nodes of a family: what is shared once, then each branch."""
    row = plant(examples)
    children: dict[int, list[int]] = {}
    for index, node in enumerate(row.nodes):
        children.setdefault(node.parent, []).append(index)
    learned = np.zeros(len(row), bool)
    for one in examples:
        parent, depth = ROOT, 0
        while depth < len(one):
            parent = next(index for index in children[parent] if _goes_on(row, index, one, depth))
            node = row.nodes[parent]
            learned[node.start : node.stop] |= one.weights[depth : depth + node.stop - node.start] > 0
            depth += node.stop - node.start
    depths: list[int] = []
    for index, node in enumerate(row.nodes):
        depths.append(0 if node.parent == ROOT else depths[node.parent] + 1)
        part = slice(node.start, node.stop)
        labels = [("" if one else None) for one in learned[part].tolist()]
        name = "shared beginning" if index in children else f"branch {len(depths)}" if depths[-1] else ""
        yield Passage(name, pieces(tokenizer, row.ids[part], labels), depths[-1])


def _hidden(examples: Sequence[Any], tokenizer: Any) -> Iterator[Passage]:
    """What an encoder reads of each example, and what was there where it has to guess."""
    for one in examples:
        labels: list[str | None] = [None] * len(one)
        for place in np.flatnonzero(one.weights).tolist():
            labels[place] = tokenizer.decode([int(one.original[place])])
        yield Passage("", pieces(tokenizer, one.ids, labels, set(np.flatnonzero(one.weights).tolist())))


def _halves(examples: Sequence[Example], tokenizer: Any) -> Iterator[Passage]:
    """What the encoder of an encoder-decoder reads of each example, and what its decoder learns."""
    from metier.train.seq2seq import parted

    for one in examples:
        prompt, answer = parted(one)
        yield Passage("the encoder reads", pieces(tokenizer, prompt, [None] * len(prompt)))
        yield Passage("the decoder learns", pieces(tokenizer, answer, [""] * len(answer)), 1)


def _goes_on(row: Any, index: int, one: Example, depth: int) -> bool:
    node = row.nodes[index]
    return np.array_equal(row.ids[node.start : node.stop], one.ids[depth : depth + node.stop - node.start])


def pieces(
    tokenizer: Any, ids: np.ndarray, labels: Sequence[str | None], starts: frozenset[int] | set[int] = frozenset()
) -> tuple[Piece, ...]:
    """ids (n,), labels (n,) -> runs of one label, decoded. starts: places where a run begins whatever stands before."""
    made: list[Piece] = []
    first = 0
    for place in range(1, len(ids) + 1):
        if place == len(ids) or labels[place] != labels[first] or place in starts:
            text = tokenizer.decode(ids[first:place].tolist(), clean_up_tokenization_spaces=False)
            made.append(Piece(text, place - first, labels[first]))
            first = place
    return tuple(made)


def _lost(task: Any, encoder: Encoder, one: pa.Table, read: Any) -> list[Piece]:
    """The stretches of a row that are not read: those of the uncut row that stand in nothing that is read."""
    whole = task.encode(replace(encoder, max_length=WHOLE), one)
    if isinstance(read, Grouped):
        full, kept = whole.examples, read.examples
        blocks = [(before.ids, after.ids) for before, after in zip(full, kept, strict=True)]
        return [piece for before, after in blocks for piece in _missing(encoder.tokenizer, before, after)]
    return [piece for piece in _unread(encoder.tokenizer, whole.items[0].windows, read.items[0].windows)]


def _missing(tokenizer: Any, before: np.ndarray, after: np.ndarray) -> list[Piece]:
    matcher = SequenceMatcher(None, before.tolist(), after.tolist(), autojunk=False)
    gone = [(first, last) for kind, first, last, _, _ in matcher.get_opcodes() if kind in ("delete", "replace")]
    return [Piece(tokenizer.decode(before[first:last].tolist()), last - first) for first, last in gone]


def _unread(tokenizer: Any, full: Sequence[Sequence[int]], read: Sequence[Sequence[int]]) -> list[Piece]:
    """Of windows: tokens of the uncut row that no window holds."""
    found: list[Piece] = []
    for index, whole in enumerate(full):
        windows = read if len(full) == 1 else [read[index]]
        ids, seen = np.array(whole), np.zeros(len(whole), bool)
        for window in windows:
            matcher = SequenceMatcher(None, ids.tolist(), list(window), autojunk=False)
            for block in matcher.get_matching_blocks():
                if block.size > 1 or len(window) == len(whole):
                    seen[block.a : block.a + block.size] = True
        seen[-1:] = True  # the special token at the end stands in every window
        edges = np.flatnonzero(np.diff(np.concatenate([[False], ~seen, [False]]).astype(np.int8)))
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            found.append(Piece(tokenizer.decode(ids[first:last].tolist()), last - first))
    return found
