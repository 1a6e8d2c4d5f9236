"""Low-rank adapters through PEFT: small matrices beside the base's layers move, and the new head.

The head is always saved with the adapter (a head that is lost on reload turns a good classifier into a random one).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from metier.errors import UserError
from metier.registry import register
from metier.train.bases import Base
from metier.train.config import TrainConfig
from metier.train.methods.full import SMALL, Full, load_head, save_head
from metier.train.network import Network, Shape, load


@register("method", "lora")
class Lora:
    """Inputs are token windows, as in `full`."""

    epochs = 10.0
    batch_size = 32
    needs_base = True
    inputs = staticmethod(Full.inputs)
    counts = staticmethod(Full.counts)

    @staticmethod
    def learning_rate(parameters: int, batch_size: int) -> float:
        """Adapters need about ten times the rate of full fine-tuning (LoRA's paper: 2e-4 to 4e-4, large bases)."""
        return 1e-3 if parameters < SMALL else 2e-4

    @staticmethod
    def wrap(network: Network, config: TrainConfig, outputs: int) -> Any:
        from peft import LoraConfig, TaskType, get_peft_model

        lora = config.lora
        targets = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
        kind = TaskType.FEATURE_EXTRACTION
        if network.pooling == "language":
            kind = TaskType.SEQ_2_SEQ_LM if network.config.is_encoder_decoder else TaskType.CAUSAL_LM
        settings: Any = LoraConfig(
            task_type=kind, r=lora.r, lora_alpha=lora.alpha,  # type: ignore[arg-type]
            lora_dropout=lora.dropout,
            target_modules=targets, use_rslora=lora.rslora, use_dora=lora.dora,
            # What the base has no weights for is trained whole and saved, and gets no adapter.
            modules_to_save=list(network.drawn) or None, exclude_modules=list(network.drawn) or None,
        )  # fmt: skip
        try:
            network.model = get_peft_model(network.model, settings)  # type: ignore[arg-type]
        except (ValueError, TypeError) as error:
            raise UserError(
                f"PEFT cannot put adapters on this base: {str(error).splitlines()[0]}", "train.lora",
                "see train.lora.target_modules; all-linear fits every common base",
            ) from error  # fmt: skip
        return network

    @staticmethod
    def save(module: Network, folder: Path) -> None:
        model: Any = module.model
        for adapter in model.peft_config.values():  # the base is named in metier.json; no path of this machine here
            adapter.base_model_name_or_path = ""
        # PEFT would otherwise ask the Hub whether the vocabulary has grown; it never does here.
        model.save_pretrained(folder, save_embedding_layers=False)
        if module.pooling == "language" and (settings := getattr(model.get_base_model(), "generation_config", None)):
            settings.save_pretrained(folder)  # where an answer stops
        save_head(module, folder)

    @staticmethod
    def load(folder: Path, base: Base | None, shape: Shape) -> Any:
        from peft import PeftModel

        assert base is not None
        network = load(base, shape, 0)
        network.model = PeftModel.from_pretrained(network.model, str(folder))  # type: ignore[arg-type]
        return load_head(network, folder)

    @staticmethod
    def merge(module: Network) -> None:
        """Add the adapters into the weights of the base; what is left is a model of Transformers under its head."""
        model: Any = module.model
        module.model = model.merge_and_unload()
