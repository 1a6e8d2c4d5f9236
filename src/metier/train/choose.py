"""`method: auto`: full, lora, frozen or qlora, by how much data there is, what the task is, and what fits here.

Purpose: a default that a careful person would have chosen, with its reason told. What enters the identity of the model
is the method that was chosen, never the machine (decision "the chosen method is the identity").
Trade-off: four rules in a fixed order, not a search; `metier tune` searches.
Not covered: rates and epochs, which each method brings itself.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow.compute as pc

from metier.artifact import Artifact
from metier.errors import UserError
from metier.registry import names
from metier.train import memory
from metier.train.bases import Base
from metier.train.config import TaskConfig
from metier.train.memory import gigabytes

# SetFit (Tunstall et al. 2022, arXiv 2209.11055): up to 8 examples a class, a head on sentence embeddings is as good as
# full fine-tuning on thousands; here only where the base was trained to give such embeddings.
FEW = 8
# From a billion weights on adapters lose little to full fine-tuning (LoRA, arXiv 2106.09685) and leave small files.
LARGE = 1_000_000_000
SHARE = 0.5  # of the free memory that weights, gradients and optimizer may take; the rest is for the texts
EMBEDDED = ("classify", "multi_label", "score")  # kinds of answers that a head on one embedding can give


@dataclass(frozen=True)
class Choice:
    """A method, and the rule that chose it with its figures (the report says it in the reader's language)."""

    method: str
    rule: str
    figures: dict[str, str]

    def told(self) -> str:
        """The reason in one English sentence."""
        return REASONS[self.rule].format(**self.figures)


REASONS = {
    "few": "there are {each} training examples for a label or fewer, and this base gives sentence embeddings",
    "fits": "{parameters} parameters with gradients and optimizer need {need}, and {free} are free",
    "large": "the base has {parameters} parameters, and adapters are enough for one so large",
    "tight": "training all {parameters} parameters needs {need}, and only {free} are free",
    "tightest": "even the untouched weights need {need}, and only {free} are free; in 4 bits they fit",
}


def choose(kind: str, labels: Mapping[str, int], examples: int, base: Base, device: str) -> Choice:
    """The method for a task whose answers are of a `kind` (Profile.kind); UserError when none fits into memory.

    labels: training examples of each label (empty where the answer is no label).
    """
    each = min(labels.values()) if labels else examples
    embeds = (base.path / "1_Pooling" / "config.json").is_file()
    if embeds and kind in EMBEDDED and each <= FEW:
        return Choice("frozen", "few", {"each": f"{each:,}"})
    parameters = memory.parameters_on_disk(base.path)
    free = memory.available(device)
    need = sum(memory.fixed("full", parameters, parameters).values())
    figures = {"parameters": f"{parameters:,}", "need": gigabytes(need), "free": gigabytes(free or 0)}
    if free is None:
        figures["free"] = "an unknown amount"
    if parameters >= LARGE and _fits("lora", parameters, free):
        return Choice("lora", "large", figures)
    if free is None or need <= SHARE * free:
        return Choice("full", "fits", figures)
    if _fits("lora", parameters, free):
        return Choice("lora", "tight", figures)
    four_bit = "qlora" in names("method") and importlib.util.find_spec("bitsandbytes") is not None
    if four_bit and _fits("qlora", parameters, free):
        whole = sum(memory.fixed("lora", parameters, 0).values())
        return Choice("qlora", "tightest", figures | {"need": gigabytes(whole)})
    tightest = "qlora" if "qlora" in names("method") else "lora"
    less = sum(memory.fixed(tightest, parameters, 0).values())
    raise UserError(
        f"no method fits: {parameters:,} parameters need {gigabytes(less)} untouched under {tightest}, which is more "
        f"than half of what is free ({figures['free']})", "train.base_model",
        "choose a smaller base" + ("" if four_bit or tightest == "lora" else ', or pip install "metier[qlora]"'),
    )  # fmt: skip


def for_examples(task: TaskConfig, examples: Artifact, base: Base, device: str) -> Choice:
    """The choice for prepared examples."""
    from metier.tables import read
    from metier.train.loop import pick_device
    from metier.train.tasks import profile

    kind = profile(task).kind
    table = read(examples.path / "examples.parquet")
    rows = table.filter(pc.equal(table["split"], "train"))
    column = {"classify": "label", "multi_label": "labels"}.get(kind)
    values = rows[column].to_pylist() if column else []
    flat = [label for value in values for label in (value if isinstance(value, list) else [value])]
    return choose(kind, Counter(flat), rows.num_rows, base, pick_device(device))


def _fits(method: str, parameters: int, free: int | None) -> bool:
    return free is None or sum(memory.fixed(method, parameters, 0).values()) <= SHARE * free
