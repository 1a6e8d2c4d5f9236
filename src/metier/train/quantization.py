"""A base whose large matrices are held in four bits each, through bitsandbytes.

Purpose: a frozen base of which only adapters learn need not lie in memory in 32 bits: NF4 (Dettmers et al. 2023, arXiv
2305.14314) keeps 4 bits a weight and a scale for every 64 of them, itself in 8 bits where `double_quant` is on (4.13
bits a weight instead of 4.5). Each product widens its matrix again while it is computed. On a CPU too.
What is quantised: the linear layers of the base. What stays in float32: embeddings, norms and biases; the output layer
of a model that writes, for it is often the embeddings again; heads, and whatever else the base has no weights for,
since it is trained whole; and what Transformers says must stay (some layers of T5).
Trade-off: matrices lose about a tenth of their norm to rounding, and every product pays for widening.
Quantised is on the CPU, whatever the device, so that the same base has the same bits everywhere.
Not covered: saving a model in four bits; 8 bits (its backward pass costs more memory than it spares here).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from metier.errors import need

# Heads by the names that Transformers' classes give them: a base seldom has weights for them.
HEADS = ("classifier", "pre_classifier", "score", "classification_head", "qa_outputs")


@dataclass(frozen=True)
class Quantization:
    """How a base is held: bitsandbytes' own names, and the type in which products are computed."""

    quant_type: str = "nf4"
    double_quant: bool = True
    compute_dtype: str = "float32"


def load_quantized(read: Callable[..., Any], loader: Any, config: Any, how: Quantization) -> tuple[Any, Any]:
    """(model, loading report) of `read(**settings)`, which is `from_pretrained` of `loader` with its loading report.

    Transformers also makes four-bit layers of those that the base has no weights for, which then can neither answer nor
    learn; where that happens to one that is not known by its name, the base is read again without it.
    """
    need("bitsandbytes", "qlora")
    kept = [*HEADS, *_outputs(loader, config)]
    model, report = read(**_settings(how, kept))
    drawn = {key.rpartition(".")[0] for key in report["missing_keys"]}
    if late := sorted(drawn & {*quantized(model)}):
        model, report = read(**_settings(how, [*kept, *late]))
    return model, report


def quantized(model: nn.Module) -> list[str]:
    """Names of the layers that are held in four bits."""
    return [name for name, module in model.named_modules() if _is_quantized(module)]


def widen(model: Any) -> Any:
    """The model of Transformers with every four-bit layer in float32 again: what its bits stand for.

    Transformers' own `dequantize` leaves GPT-2's matrices transposed, and cannot be read again.
    """
    from bitsandbytes.functional import dequantize_4bit

    for name in quantized(model):
        layer = model.get_submodule(name)
        plain: Any = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        plain.weight = nn.Parameter(dequantize_4bit(layer.weight.data, layer.weight.quant_state).float())
        plain.bias = layer.bias
        if getattr(layer, "source_cls", nn.Linear) is not nn.Linear:  # GPT-2's own layer holds its matrix transposed
            plain = _transposed(plain, layer.source_cls)
        model.set_submodule(name, plain)
    for name in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(model.config, name):
            delattr(model.config, name)
    for name in ("hf_quantizer", "quantization_method", "is_loaded_in_4bit", "is_quantized"):
        if name in vars(model):
            delattr(model, name)
    return model


def size(parameter: torch.Tensor) -> int:
    """Numbers that a parameter holds; bitsandbytes packs two into a byte."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else int(torch.Size(state.shape).numel())


def _is_quantized(module: nn.Module) -> bool:
    kind = type(module)  # bitsandbytes' own; PEFT has a class of the same name around it
    return kind.__name__ == "Linear4bit" and kind.__module__.startswith("bitsandbytes")


def _transposed(plain: nn.Linear, kind: Any) -> nn.Module:
    layer = kind(plain.out_features, plain.in_features)
    layer.weight = nn.Parameter(plain.weight.T.contiguous())
    layer.bias = plain.bias
    return layer  # type: ignore[no-any-return]


def _settings(how: Quantization, kept: Sequence[str]) -> dict[str, Any]:
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=how.quant_type, bnb_4bit_use_double_quant=how.double_quant,
        bnb_4bit_compute_dtype=getattr(torch, how.compute_dtype), llm_int8_skip_modules=list(kept),
    )  # fmt: skip
    return {"quantization_config": config, "device_map": {"": "cpu"}}


def _outputs(loader: Any, config: Any) -> list[str]:
    """The name of the layer that makes logits of a vocabulary, in a list; empty where a model has none."""
    try:
        with torch.device("meta"):
            model = loader.from_config(config)
    except ValueError:  # no such class for this base: reading it tells so
        return []
    layer = model.get_output_embeddings()
    return [name for name, module in model.named_modules() if layer is not None and module is layer]
