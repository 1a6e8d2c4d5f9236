"""A model of vectors as a folder of the kind that sentence-transformers reads, and such folders as bases.

Purpose: whoever has the model folder needs nothing of Metier: modules.json says that token states are pooled, mapped
if there is a map, and scaled to length 1. With `full` the model folder itself is of that kind; with `lora` and `frozen`
its subfolder `whole` is, with the adapter merged into the base or the map beside it.
Trade-off: `whole` costs the size of the base on disk.
Not covered: sentence-transformers' training settings.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metier.registry import lookup
from metier.train.bases import Base

WHOLE = "whole"
MODES = {"vector-mean": "mean_tokens", "vector-first": "cls_token", "vector-last": "lasttoken"}
OTHER_MODES = ("max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens")
NEW_NAMES = {"mean": "mean_tokens", "cls": "cls_token", "lasttoken": "lasttoken"}  # since version 6
MODULES = "sentence_transformers.models"


def vector_pooling(base: Base, wanted: str) -> str:
    """The network's pooling for vectors: the recipe's wish, what the base says it was trained with, or by its kind."""
    if wanted != "auto":
        return f"vector-{wanted}"
    return stated_pooling(base.path) or ("vector-last" if _is_decoder(base) else "vector-mean")


def stated_pooling(folder: Path) -> str:
    """What 1_Pooling/config.json says, "" where there is none or it says another thing than these three."""
    file = folder / "1_Pooling" / "config.json"
    if not file.is_file():
        return ""
    said = json.loads(file.read_text(encoding="utf-8"))
    modes = {name.removeprefix("pooling_mode_") for name, value in said.items() if value is True}
    modes = (modes & {*MODES.values(), *OTHER_MODES}) | {NEW_NAMES.get(said.get("pooling_mode"), "")} - {""}
    found = [pooling for pooling, mode in MODES.items() if modes == {mode}]
    return found[0] if found else ""


def _is_decoder(base: Base) -> bool:
    """A model for writing on: Transformers has a causal class of its kind and no masked one."""
    from transformers.models.auto import modeling_auto as auto

    kind = json.loads((base.path / "config.json").read_text(encoding="utf-8")).get("model_type", "")
    return kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES


def mined(task: Any, train: Any, network: Any, encoder: Any, config: Any, console: Any) -> tuple[Any, dict[str, int]]:
    """The training examples as a task that looks for hard negatives wants them, and its counts."""
    if not hasattr(task, "mine"):
        return train, {}
    import torch

    from metier.train.loop import pick_device, use_bf16
    from metier.train.methods.frozen import embed_windows

    def embed(texts: Sequence[str], prefix: str) -> np.ndarray:
        device = pick_device(config.device)
        network.to(device)
        with (
            console.progress("embedding with the base", len(texts), "texts") as meter,
            torch.autocast(device, torch.bfloat16, enabled=use_bf16(config)),
        ):
            rows = embed_windows(network, task.encode_texts(encoder, texts, prefix), config.max_batch_tokens, meter)
        return np.asarray(torch.cat(rows).float().numpy())

    table, counts = task.mine(train, embed, console)
    if counts.get("mined_negatives"):
        console.say(f"  {counts['mined_negatives']:,} hard negatives by {task.config.embed.hard_negatives}; left out: "
                    f"{counts.get('negatives_of_family', 0):,} of the query's own family or group, "
                    f"{counts.get('negatives_near', 0):,} near duplicates, "
                    f"{counts.get('negatives_as_good', 0):,} as good as its own passage")  # fmt: skip
    return table, counts


def save(folder: Path, module: Any, tokenizer: Any, facts: dict[str, Any]) -> None:
    """Make `folder` (full) or its subfolder `whole` one that sentence-transformers reads."""
    import torch

    network = getattr(module, "base", [module])[0]
    weight = getattr(module, "weight", None) if network is not module else None
    target = folder
    if facts["method"] != "full":
        target = folder / WHOLE
        method = lookup("method", facts["method"])
        if hasattr(method, "merge"):
            method.merge(merged := copy.deepcopy(network))
            merged.model.save_pretrained(target)
        else:
            network.model.save_pretrained(target)
        tokenizer.save_pretrained(target)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    _write(target / "1_Pooling" / "config.json", _pooling(network))
    if weight is not None:
        modules[2:] = [("2_Dense", "Dense"), ("3_Normalize", "Normalize")]
        width = network.width
        _write(target / "2_Dense" / "config.json", {
            "in_features": width, "out_features": width, "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity",
        })  # fmt: skip
        from safetensors.torch import save_file

        save_file({"linear.weight": weight.detach().to(torch.float32).cpu().contiguous()},
                  target / "2_Dense" / "model.safetensors")  # fmt: skip
    _write(target / "modules.json", [{"idx": i, "name": str(i), "path": path, "type": f"{MODULES}.{kind}"}
                                     for i, (path, kind) in enumerate(modules)])  # fmt: skip
    (target / modules[-1][0]).mkdir(exist_ok=True)
    _write(target / "sentence_bert_config.json",
           {"max_seq_length": facts["encoding"]["max_length"], "do_lower_case": False})  # fmt: skip
    said = facts["task"]["embed"]
    _write(target / "config_sentence_transformers.json", {
        "prompts": {"query": said["query_prefix"], "document": said["passage_prefix"]}, "default_prompt_name": None,
        "similarity_fn_name": "cosine",
    })  # fmt: skip


def dense_weight(folder: Path) -> Any:
    """The map (C, C) of such a folder, None where it has none."""
    from safetensors.torch import load_file

    file = folder / "2_Dense" / "model.safetensors"
    return load_file(file)["linear.weight"] if file.is_file() else None


def _pooling(network: Any) -> dict[str, Any]:
    mode = MODES[network.pooling]
    return {"word_embedding_dimension": network.width,
            **{f"pooling_mode_{name}": name == mode for name in (*MODES.values(), *OTHER_MODES)}}  # fmt: skip


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
