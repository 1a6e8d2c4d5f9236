"""Low-rank adapters on a base that is held in four bits (QLoRA; Dettmers et al. 2023, arXiv 2305.14314).

Purpose: tune a base that would not fit otherwise: its matrices take an eighth of their memory in float32. What learns,
adapters and new head, is as in `lora`, and so are its settings. Quantisation is in `quantization.py`.
Trade-off: every product widens its matrix first, so a step is slower than with `lora`; take that while the base fits.
Merging: the adapter learned to mend the base as its four bits stand for it, so it is merged into exactly those weights,
widened; into the original ones it would answer otherwise.
Not covered: paged optimizers (adapters and their moments are small).
"""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from metier.registry import register
from metier.tables import write_json
from metier.train.bases import Base
from metier.train.config import TrainConfig
from metier.train.methods.full import load_head
from metier.train.methods.lora import Lora
from metier.train.network import Network, Shape, load
from metier.train.quantization import Quantization, widen

FILE = "quantization.json"


@register("method", "qlora")
class Qlora(Lora):
    """`lora`, with a base that is loaded in four bits."""

    @staticmethod
    def loading(config: TrainConfig) -> dict[str, Any]:
        """What `network.load` is told: how the base is held."""
        from metier.train.loop import use_bf16

        kind = "bfloat16" if use_bf16(config) else "float32"
        return {"quantization": Quantization(config.qlora.quant_type, config.qlora.double_quant, kind)}

    @staticmethod
    def save(module: Network, folder: Path) -> None:
        Lora.save(module, folder)
        assert module.quantization is not None
        version = importlib.metadata.version("bitsandbytes")
        write_json(asdict(module.quantization) | {"bitsandbytes": version}, folder / FILE)

    @staticmethod
    def load(folder: Path, base: Base | None, shape: Shape) -> Any:
        from peft import PeftModel

        assert base is not None
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        told.pop("bitsandbytes")
        network = load(base, shape, 0, quantization=Quantization(**told))
        network.model = PeftModel.from_pretrained(network.model, str(folder))  # type: ignore[arg-type]
        return load_head(network, folder)

    @staticmethod
    def merging(module: Network) -> dict[str, Any]:
        """What the lineage of a merged model says besides base and adapter."""
        assert module.quantization is not None
        return {"into": "the base as its four bits stand for it", "quantization": asdict(module.quantization),
                "computed_in": module.quantization.compute_dtype}  # fmt: skip

    @staticmethod
    def merge(module: Network) -> None:
        """Widen the base, put the adapters on it once more, and add them into its weights."""
        from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

        model: Any = module.model
        (settings,) = model.peft_config.values()
        learned = get_peft_model_state_dict(model, save_embedding_layers=False)
        again: Any = get_peft_model(widen(model.unload()), settings)
        set_peft_model_state_dict(again, learned)
        module.model, module.quantization = again.merge_and_unload(), None
