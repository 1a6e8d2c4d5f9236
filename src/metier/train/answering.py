"""What a model that writes is asked: how likely it finds an answer, and what it answers itself.

Purpose: `nats` measures given answers (bits per byte, preferences), `write` lets the model answer, greedily, so that
the same model gives the same answer. Writing is Transformers' own `generate`.
Trade-off: prompts of similar length are written together, padded on the left; a shared document is read again for
each of its questions. Not covered: sampling, servers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from metier.console import Console
from metier.train.batching import micro_batches
from metier.train.grouping import Grouped


def nats(model: Any, encoded: Grouped, console: Console) -> np.ndarray:
    """(E,) float64: the negative log-likelihood of the learned tokens of each example. model: a TunedModel."""
    with console.progress("measuring answers", len(encoded.groups.members), "texts") as meter:
        return encoded.in_order(model.logits(encoded, meter))


def write(
    model: Any, prompts: Sequence[Sequence[int]], stops: Sequence[int], most: int, console: Console
) -> tuple[list[str], list[bool]]:
    """(texts, finished) for token ids of prompts. stops: tokens that end an answer. most: tokens of an answer.

    finished: whether a stop token ended the answer, rather than the limit.
    """
    import torch

    tokenizer, network = model.encoder.tokenizer, model.module
    device = next(network.parameters()).device
    room = int(getattr(network.config, "max_position_embeddings", 0) or 10**9)
    texts, finished, spoken = [""] * len(prompts), [False] * len(prompts), [0] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    with (
        console.progress("writing answers", len(prompts), "answers") as meter, torch.no_grad(),
        torch.autocast(device.type, torch.bfloat16, enabled=model.bf16), network.writing() as writer,
    ):  # fmt: skip
        for batch in micro_batches(order, [len(prompt) + most for prompt in prompts], model.limit):
            longest = max(len(prompts[index]) for index in batch)
            ids = torch.full((len(batch), longest), network.pad)
            for place, index in enumerate(batch):
                ids[place, longest - len(prompts[index]) :] = torch.tensor(prompts[index])
            mask = torch.zeros_like(ids)
            for place, index in enumerate(batch):
                mask[place, longest - len(prompts[index]) :] = 1
            # A decoder gives the prompt back before its answer, an encoder-decoder one token that starts the answer.
            reads, skipped = (0, 1) if network.config.is_encoder_decoder else (longest, 0)
            out = writer.generate(
                input_ids=ids.to(device), attention_mask=mask.to(device),
                max_new_tokens=max(1, min(most, room - reads)), do_sample=False, num_beams=1,
                eos_token_id=list(stops), pad_token_id=network.pad, use_cache=True,
            )  # fmt: skip
            for place, index in enumerate(batch):
                answer = out[place, reads + skipped :].tolist()
                end = next((at for at, token in enumerate(answer) if token in stops), None)
                finished[index] = end is not None
                spoken[index] = len(answer) if end is None else end + 1
                texts[index] = tokenizer.decode(answer[:end], skip_special_tokens=True).strip()
            meter.advance(len(batch))
    if model.spending is not None:
        model.spending.read, model.spending.written = sum(map(len, prompts)), sum(spoken)
        model.spending.end()
    return texts, finished
