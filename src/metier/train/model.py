"""A tuned model on disk: what `train` writes, and what `predict`, evaluation and serving load.

The folder holds the weights as the method saves them, the tokenizer, and `metier.json` with everything that is needed
to answer as in training: task and classes, base identity, how texts become windows. It can be moved anywhere; a model
that needs its base (lora, frozen) finds it by the name it was trained with and checks the hash.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from metier.console import Console
from metier.errors import UserError
from metier.registry import lookup
from metier.tables import write_json
from metier.train import bases
from metier.train.config import TaskConfig
from metier.train.encoding import Encoded, Encoder
from metier.train.spending import Spending
from metier.train.tasks.base import EXAMPLES, Decoded
from metier.train.threads import choose_waiting

FILE = "metier.json"


@dataclass(frozen=True)
class TunedModel:
    """A loaded model: texts, or rows of examples, in; predictions out."""

    module: Any
    task: Any
    method: Any
    encoder: Encoder
    limit: int
    bf16: bool
    spending: Spending | None = None  # counts what answering costs, where somebody wants to know

    def predict(self, asked: Sequence[str] | pa.Table, console: Console | None = None) -> tuple[Decoded, Encoded]:
        """Predictions for texts, and how they were cut into windows (what was left out is counted there).

        asked: texts, or a table with the columns of the input (`text`, and `pair` where the task has one).
        """
        console = console or Console(quiet=True)
        table = asked if isinstance(asked, pa.Table) else pa.table({"text": pa.array(asked, pa.string())})
        if self.spending is not None:
            self.spending.begin()
        if self.task.rows == EXAMPLES:
            return self.task.answer(self, table, console)  # type: ignore[no-any-return]
        encoded = self.task.encode(self.encoder, table, console)
        with console.progress("predicting", table.num_rows, "texts") as meter:
            decoded = self.task.decode(self.logits(encoded, meter), encoded)
        if self.spending is not None:
            self.spending.read = encoded.tokens
            self.spending.end()
        return decoded, encoded

    def vectors(
        self, texts: Sequence[str], prefix: str = "", console: Console | None = None
    ) -> tuple[Any, dict[str, int]]:
        """(n, C) float32 of length 1 as a NumPy array, for a task whose rows are vectors, and what was not read."""
        console = console or Console(quiet=True)
        encoded = self.task.encode_texts(self.encoder, texts, prefix, console)
        if self.spending is not None:
            self.spending.read = encoded.tokens
        with console.progress("embedding", len(texts), "texts") as meter:
            return self.logits(encoded, meter), encoded.loss_report()

    def logits(self, encoded: Encoded, meter: Any = None) -> Any:
        """(R, outputs) float32 as a NumPy array, the rows of one text after those of the other."""
        import torch

        from metier.train.loop import predict

        device = next(self.module.parameters()).device.type
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=self.bf16):
            inputs, lengths = self.method.inputs(self.module, encoded, self.limit, None)
            counts = self.method.counts(encoded, self.task)
            return predict(self.module, inputs, lengths, counts, self.limit, meter).numpy()


def untouched(tuned: TunedModel, base: bases.Base) -> TunedModel:
    """A model as it was before training: the same task, windows and way of asking on the base's own weights."""
    from metier.train.network import Shape, load_tokenizer
    from metier.train.network import load as load_network

    network = getattr(tuned.module, "base", [tuned.module])[0]
    module = load_network(
        base, Shape(tuned.task.outputs, tuned.task.problem_type, network.pooling, rows=network.rows), 0
    )
    module.to(next(tuned.module.parameters()).device).eval()
    encoder = replace(tuned.encoder, tokenizer=load_tokenizer(base))
    return replace(tuned, module=module, method=lookup("method", "full"), encoder=encoder)


def of_base(base: bases.Base, task: TaskConfig, device: str = "auto", overlap: int = 32) -> TunedModel:
    """An untuned base as a model of a task that writes; UserError when it does not write."""
    choose_waiting()
    from metier.train import chat, language
    from metier.train.encoding import limit
    from metier.train.loop import pick_device
    from metier.train.network import load_tokenizer

    made = lookup("task", task.name)(task, {})
    network = language.load(base, None, 0)
    tokenizer = load_tokenizer(base)
    chat.prepare_tokenizer(tokenizer)
    network.to(pick_device(device)).eval()
    encoder = Encoder(tokenizer, limit(network.config, tokenizer, None, made.longest), overlap=overlap)
    return TunedModel(network, made, lookup("method", "full"), encoder, encoder.batch_tokens, False)


def save(folder: Path, module: Any, method: Any, tokenizer: Any, facts: dict[str, Any]) -> None:
    """Write weights, tokenizer and metier.json. facts: as `load` reads them."""
    from metier.train import sentence
    from metier.train.network import VECTORS

    folder.mkdir(parents=True, exist_ok=True)
    method.save(module, folder)
    tokenizer.save_pretrained(folder)
    stated = facts.pop("pooling_file", None)
    if stated:  # how the base makes one vector of its states stays true of it
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(stated, encoding="utf-8")
    if facts["shape"]["pooling"] in VECTORS:
        sentence.save(folder, module, tokenizer, facts)
    write_json(facts, folder / FILE)


def load(folder: Path, device: str = "auto", base_at: str = "") -> TunedModel:
    """Load what `save` wrote; UserError when the folder is no model or its base is missing or another one.

    base_at: name or folder of the base, where it is no longer where training found it.
    """
    choose_waiting()
    from metier.train.loop import pick_device
    from metier.train.network import Shape, load_tokenizer

    path = folder / FILE
    if not path.is_file():
        raise UserError("this folder holds no model of Metier", str(folder), "name runs/<name>/model or its folder")
    facts = json.loads(path.read_text(encoding="utf-8"))
    task = lookup("task", facts["task"]["name"])(TaskConfig.model_validate(facts["task"]), facts["task_state"])
    method = lookup("method", facts["method"])
    base = None
    if facts["needs_base"]:
        name = facts["base"]["name"]
        if base_at:
            name = base_at
        elif facts["base_path"] and Path(facts["base_path"]).is_dir():
            name = facts["base_path"]
        base = bases.resolve(name, facts["base"]["revision"])
        if base.sha256 != facts["base"]["sha256"]:
            raise UserError(
                f"the base '{base.name}' is not the one this model was trained on", str(base.path),
                f"bring the weights with sha256 {facts['base']['sha256'][:16]}...",
            )  # fmt: skip
    module = method.load(folder, base, Shape(**facts["shape"]))
    module.to(pick_device(device)).eval()
    for network in getattr(module, "base", ()):  # a frozen base stands beside the head, not inside it
        network.to(pick_device(device))
    tokenizer = load_tokenizer(bases.Base("tuned", folder, "", "", "", ""))
    return TunedModel(module, task, method, Encoder(tokenizer, **facts["encoding"]), facts["limit"], facts["bf16"])
