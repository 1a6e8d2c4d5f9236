"""One text as the model reads it: a function of its embeddings, and where each embedding stands in the words.

Purpose: the network runs as always (flat rows, windows, adapters, trees); only the output of its embedding layer is
replaced. So what is explained is the model that answers, not a copy of it.
A word is taken away by putting a neutral embedding in its place: that of the mask token, or the mean of all tokens
where the tokenizer has none; special tokens stay.
Trade-off: a text of several windows, or one that is written, goes through the model once for each point.
Shapes: N places (tokens of all windows), C width, S points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from metier.console import Console
from metier.errors import UserError
from metier.evaluate.explain.goals import Goal, goal
from metier.train.encoding import frame_of
from metier.train.tasks.base import EXAMPLES, PARTS, strings
from metier.train.tasks.bio import units

TOKENS_AT_ONCE = 4096  # of the points that go through the model together


@dataclass(frozen=True)
class Word:
    """A word of one of the texts that are read. field: `text`, `pair`, or `prompt` of a model that writes."""

    field: str
    start: int
    end: int


@dataclass
class Reading:
    """What the model read. texts: by field. word_of: (N,) the word that each place belongs to, -1 for none."""

    model: Any
    item: Any  # an Item, or an Example of a model that writes
    goal: Goal
    texts: dict[str, str]
    words: list[Word]
    word_of: np.ndarray
    order: list[int]  # windows in the order in which their tokens go through the embedding layer

    @property
    def network(self) -> Any:
        return getattr(self.model.module, "base", [self.model.module])[0]

    @property
    def layer(self) -> Any:
        """The embedding layer."""
        plain = self.network.plain() if self.model.task.rows == EXAMPLES else self.network._plain()
        return plain.get_input_embeddings()

    def embeddings(self) -> tuple[Any, Any]:
        """(N, C) as the model has them, and with every word taken away."""
        tokenizer = self.model.encoder.tokenizer
        with torch.no_grad():
            own = self.layer(torch.tensor(self.ids, device=self.layer.weight.device)).float()
            if tokenizer.mask_token_id is not None:
                neutral = self.layer(torch.tensor([tokenizer.mask_token_id], device=own.device))[0].float()
            else:
                neutral = self.layer(torch.arange(len(self.layer.weight), device=own.device)).float().mean(0)
        empty = own.clone()
        empty[torch.from_numpy(self.word_of >= 0)] = neutral
        return own, empty

    @property
    def ids(self) -> list[int]:
        """(N,) tokens in the order of the places."""
        if self.model.task.rows == EXAMPLES:
            return [int(token) for token in self.item.ids]
        return [token for window in self.order for token in self.item.windows[window]]

    def __call__(self, points: Any) -> Any:
        """points (S, N, C) -> (S,) the goal at each."""
        at_once = 1
        if self.model.task.rows != EXAMPLES and len(self.item.windows) == 1:
            at_once = max(1, TOKENS_AT_ONCE // points.shape[1])
        return torch.cat([self._goals(part) for part in points.split(at_once)])

    def _goals(self, points: Any) -> Any:
        written = self.model.task.rows == EXAMPLES
        lengths = [len(self.ids)] if written else [len(self.item.windows[window]) for window in self.order]
        with _embedded(self.layer, points, lengths):
            if written:
                return -self.network([(self.item,)])[:, 0]
            logits = rows_of(self.model, [self.item] * len(points))
        weights = torch.as_tensor(self.goal.weights, device=logits.device)
        return (logits.reshape(len(points), *weights.shape) * weights).sum((1, 2))


@contextmanager
def _embedded(layer: Any, points: Any, lengths: Sequence[int]) -> Iterator[None]:
    """The layer gives these embeddings, whatever tokens come in. lengths: of the windows, which may be padded."""

    def put(module: Any, given: Any, output: Any) -> Any:
        if output.numel() == points.numel():
            return points.reshape(output.shape).to(output.dtype)
        inside = torch.arange(output.shape[1])[None] < torch.tensor(lengths)[:, None]
        values = output.clone()
        values[inside] = points.reshape(-1, points.shape[-1]).to(output.dtype)
        return values

    handle = layer.register_forward_hook(put)
    try:
        yield
    finally:
        handle.remove()


def rows_of(model: Any, items: Sequence[Any]) -> Any:
    """(R, K) logits of items with their gradients, for every method."""
    module = model.module
    network = getattr(module, "base", [None])[0]
    if network is None:
        return module(items)
    return module([frozen_features(network, items)])


def frozen_features(network: Any, items: Sequence[Any]) -> Any:
    """What the method `frozen` gives its head (R, C), with gradients; as `frozen.embed` and `embed_parts`."""
    if network.rows == PARTS or network.pooling == "spans":
        states = torch.nn.functional.normalize(network.part_states(items), dim=1)
        return states.reshape(len(items), -1) if network.pooling == "spans" else states
    windows = [window for item in items for window in item.windows]
    types = [kinds for item in items for kinds in item.types]
    states, _ = network.hidden(windows, types)
    sizes = [sum(map(len, item.windows)) for item in items]
    means = torch.stack([part.float().mean(0) for part in states.split(sizes)])
    return torch.nn.functional.normalize(means, dim=1)


def read(model: Any, row: pa.Table) -> Reading | None:
    """How the model reads the one row; None where it has no answer to explain. UserError for an encoder-decoder."""
    if model.task.rows == EXAMPLES:
        return _read_written(model, row)
    task, encoder = model.task, model.encoder
    encoded = task.encode(encoder, row)
    item = encoded.items[0]
    with torch.no_grad():
        logits = rows_of(model, [item]).float().cpu().numpy()
    found = goal(task, encoded, logits)
    if found is None:
        return None
    plain = hasattr(model.module, "base") and not (task.rows == PARTS or model.module.base[0].pooling == "spans")
    windows = range(len(item.windows))
    order = [*windows] if plain else sorted(windows, key=lambda window: len(item.windows[window]))
    texts = {"text": strings(row["text"])[0]}
    if task.profile(task.config).pair:
        texts["pair"] = strings(row["pair"])[0]
    words, word_of = _places(encoder, item, order, texts)
    return Reading(model, item, found, texts, words, word_of, order)


def _places(encoder: Any, item: Any, order: Sequence[int], texts: dict[str, str]) -> tuple[list[Word], np.ndarray]:
    """The words of the texts, and which one each place of the windows belongs to."""
    frame = frame_of(encoder.tokenizer, "pair" in texts)
    tokens = {name: next(iter(encoder.tokenize([text], offsets=True))) for name, text in texts.items()}
    words = [Word(name, *place) for name, text in texts.items() for place in units(text)]
    owners = {name: _owners(tokens[name].offsets, [(i, w) for i, w in enumerate(words) if w.field == name])
              for name in texts}  # fmt: skip
    word_of: list[int] = []
    for number in order:
        window = item.windows[number]
        here = [-1] * len(window)
        last = len(window) - len(frame.after)
        head, first = _tail(list(window[:last]), list(tokens["text"].ids), len(frame.before))
        here[head:last] = owners["text"][first : first + last - head]
        if "pair" in texts:
            shown = head - len(frame.between) - len(frame.before)
            here[len(frame.before) : len(frame.before) + shown] = owners["pair"][:shown]
        word_of += here
    return words, np.array(word_of, dtype=np.int64)


def _tail(window: list[int], ids: list[int], least: int) -> tuple[int, int]:
    """Where in a window the run of the text's tokens begins that reaches its end, and with which token; the longest."""
    for head in range(least, len(window) + 1):
        run = window[head:]
        for first in range(len(ids) - len(run) + 1):
            if ids[first : first + len(run)] == run:
                return head, first
    return len(window), 0


def _owners(offsets: Sequence[tuple[int, int]], words: Sequence[tuple[int, Word]]) -> list[int]:
    """The word in which each token's last character stands: some tokenizers count the space before a word in."""
    at = {character: index for index, word in words for character in range(word.start, word.end)}
    return [at.get(end - 1, -1) if end > start else -1 for start, end in offsets]


def _read_written(model: Any, row: pa.Table) -> Reading | None:
    """A prompt with what the model wrote after it, or a text that is read on."""
    from dataclasses import replace

    from metier.train.fitting import answered, fit

    task, encoder = model.task, model.encoder
    if model.module.config.is_encoder_decoder:
        raise UserError("the answers of an encoder-decoder cannot be explained yet", "task that writes",
                        "use a causal model (Llama, Qwen, GPT-2, ...)")  # fmt: skip
    if task.config.name == "pretrain":
        example, answer = task.encode(encoder, row).examples[0], ""
    else:
        written, _ = task.answer(model, row, Console(quiet=True))
        answer = written.texts[0]
        turn = replace(task.turns(row, every=False)[0], answer=None)
        asked = fit(encoder, [turn], reserve=task.config.max_new_tokens)[0]
        example = answered(encoder, asked, answer).example
    if example is None or not example.labelled:
        return None
    special = set(encoder.tokenizer.all_special_ids)
    given = [task.config.name == "pretrain" or not weight for weight in example.weights]
    text, offsets = _pieces(encoder.tokenizer, [int(token) for token in example.ids], special, given)
    words = [Word("prompt", *place) for place in units(text)]
    owners = np.array(_owners(offsets, [*enumerate(words)]), dtype=np.int64)
    return Reading(model, example, Goal(answer, None), {"prompt": text}, words, owners, [0])


def _pieces(
    tokenizer: Any, ids: Sequence[int], special: set[int], given: Sequence[bool]
) -> tuple[str, list[tuple[int, int]]]:
    """The text of the given tokens, and the characters of each; a character of several tokens belongs to its last."""
    text, waiting = "", list[int]()
    offsets: list[tuple[int, int]] = []
    for token, read_only in zip(ids, given, strict=True):
        if token in special or not read_only:
            offsets.append((len(text), len(text)))
            continue
        waiting.append(token)
        piece = tokenizer.decode(waiting)
        if piece.endswith("\ufffd") and len(waiting) < 4:  # the first bytes of a character
            offsets.append((len(text), len(text)))
            continue
        offsets.append((len(text), len(text) + len(piece)))
        text, waiting = text + piece, []
    return text, offsets
