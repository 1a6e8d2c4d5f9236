"""Several processes that train one model: what each of them computes, and what they must agree on.

Purpose: N processes take the steps of one. Each gets its share of every batch, about equal in tokens; gradients are
summed over all of them (DDP averages, so a share's loss is multiplied by their number) and divided by the mean number
of learned tokens in a whole batch; losses are summed over all before anyone looks at them, so that all stop, save and
go on at the same step. Validation and other questions to the model are shared out too, in the batches of one process.
Trade-off: all processes take the same number of parts, since a sharded model is gathered in each; one that has fewer
computes the shortest input again with weight 0, which is counted.
Not covered: starting them (engines/launch.py); losses that compare the examples of a batch (joint.py).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from metier.console import Console
from metier.errors import UserError
from metier.train import checkpoint
from metier.train.batching import micro_batches

Part = tuple[list[int], float]  # indices of inputs, and the factor of their loss


def shares(batch: Sequence[int], lengths: Sequence[int], world: int) -> list[list[int]]:
    """The batch cut into `world` lists of about equal tokens: longest first, always to the one with the least.

    Within a share the batch's order is kept. A batch of fewer inputs than processes leaves some shares empty.
    """
    if world == 1:
        return [list(batch)]
    cut: list[list[int]] = [[] for _ in range(world)]
    tokens = [0] * world
    for place in sorted(range(len(batch)), key=lambda place: -lengths[batch[place]]):
        least = tokens.index(min(tokens))
        cut[least].append(place)
        tokens[least] += lengths[batch[place]]
    return [[batch[place] for place in sorted(share)] for share in cut]


def parts(batch: Sequence[int], lengths: Sequence[int], limit: int, accelerator: Any) -> list[Part]:
    """This process's share of a batch in parts of at most `limit` tokens, as many as every other process has."""
    world = accelerator.num_processes
    each = [micro_batches(share, lengths, limit) for share in shares(batch, lengths, world)]
    own: list[Part] = [(part, float(world)) for part in each[accelerator.process_index]]
    shortest = min(batch, key=lambda index: lengths[index])
    return own + [([shortest], 0.0)] * (max(map(len, each)) - len(own))


def empty(batch: Sequence[int], lengths: Sequence[int], limit: int, world: int) -> int:
    """How many parts of all processes bear no weight and only keep the others company."""
    if world == 1:
        return 0
    each = [len(micro_batches(share, lengths, limit)) for share in shares(batch, lengths, world)]
    return max(each) * world - sum(each)


def summed(accelerator: Any, *values: float) -> list[float]:
    """Each value summed over all processes; every process gets the same numbers."""
    if accelerator.num_processes == 1:
        return list(values)
    kind = torch.float32 if accelerator.device.type == "mps" else torch.float64
    return accelerator.reduce(torch.tensor(values, dtype=kind, device=accelerator.device)).tolist()  # type: ignore[no-any-return]


def mine(batches: Sequence[Sequence[int]], accelerator: Any) -> tuple[list[Sequence[int]], int]:
    """This process's batches of a question to the model, as many as every other's, and how many of them count."""
    if accelerator is None or accelerator.num_processes == 1 or not batches:
        return list(batches), len(batches)
    chosen = list(batches[accelerator.process_index :: accelerator.num_processes])
    rounds = -(-len(batches) // accelerator.num_processes)
    return chosen + [batches[0]] * (rounds - len(chosen)), len(chosen)


def exchanged(rows: list[torch.Tensor | None], accelerator: Any) -> list[torch.Tensor]:
    """(r, outputs) of every input: those that other processes computed are put where this one has None."""
    found = {index: row for index, row in enumerate(rows) if row is not None}
    if accelerator is not None:
        for others in every(found, accelerator):
            found |= others
    return [found[index] for index in range(len(rows))]


def every(value: Any, accelerator: Any) -> list[Any]:
    """The value of each process, in their order. value: anything that can be pickled."""
    if accelerator.num_processes == 1:
        return [value]
    from accelerate.utils import gather_object

    return gather_object([value])  # type: ignore[no-any-return]


def ddp_settings() -> Any:
    """For Accelerate. Parameters without a gradient (BERT's pooler under a head of ours, experts that no token chose)
    are found in each step; buffers are constants here, and need not be sent."""
    from accelerate import DistributedDataParallelKwargs

    return DistributedDataParallelKwargs(
        broadcast_buffers=False, find_unused_parameters=True, gradient_as_bucket_view=True
    )


def check(accelerator: Any) -> None:
    """UserError where Accelerate does something else than the launcher was told."""
    wanted, kind = int(os.environ.get("WORLD_SIZE") or 1), accelerator.distributed_type.value
    if accelerator.num_processes != wanted:
        raise UserError(
            f"{wanted} processes were started, but each would train alone on {accelerator.device.type}",
            "train.device", "start one process here, or set train.device to cpu or cuda",
        )  # fmt: skip
    if (os.environ.get("ACCELERATE_USE_FSDP") or "").lower() == "true" and not accelerator.is_fsdp2:
        raise UserError(
            f"shards (FSDP) were asked for, and Accelerate would not make any here ({kind}, {accelerator.device.type})",
            "the configuration of `accelerate launch`",
            "use fsdp_version 2 and accelerators; on CPUs leave FSDP out, each process then holds the whole model",
        )  # fmt: skip
    if kind not in ("NO", "MULTI_CPU", "MULTI_GPU", "FSDP"):
        raise UserError(f"training through Accelerate's {kind} was never tried", "the configuration of "
                        "`accelerate launch`", "use MULTI_CPU, MULTI_GPU or FSDP version 2")  # fmt: skip


def to_train(module: nn.Module, accelerator: Any) -> nn.Module:
    """The module itself; a copy where Accelerate will shard it in place (FSDP2): a whole one is left to save."""
    if not accelerator.is_fsdp2:
        return module
    shards = copy.deepcopy(module)
    module.to("cpu")
    return shards


def put(weights: dict[str, torch.Tensor], module: nn.Module) -> None:
    """Load what `weights_of` gave of this module, or of the copy that was sharded."""
    _sharded(module)
    module.load_state_dict(weights, strict=False)


def _sharded(module: nn.Module) -> bool:
    """Whether Accelerate has sharded the module. What was gathered for its last forward pass is let go, so that its
    parameters are the shards."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return False
    from torch.distributed.fsdp import FSDPModule

    found = [part for part in module.modules() if isinstance(part, FSDPModule)]
    for part in found:
        part.reshard()
    return bool(found)


def weights_of(module: nn.Module, whole: bool = True) -> dict[str, torch.Tensor]:
    """Copies of all weights that move, on the CPU; every process must ask.

    whole: False leaves those of a sharded model where they are, each process with its shards.
    """
    sharded = _sharded(module)
    moving = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    if not sharded:
        return {name: p.to("cpu", copy=True) for name, p in moving.items()}
    if not whole:
        return {name: p.clone() for name, p in moving.items()}
    return {name: p.full_tensor().to("cpu", copy=True) for name, p in moving.items()}  # type: ignore[attr-defined, operator]


def state_of(module: nn.Module, optimizer: Any, best: Any, accelerator: Any) -> dict[str, Any]:
    """What a checkpoint holds of model, optimizer and random generators; every process must ask."""
    random = every(checkpoint.random_state(), accelerator)
    if not _sharded(module):
        weights = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
        return {"weights": weights, "optimizer": optimizer.state_dict(), "best": best, "random": random}
    from torch.distributed.checkpoint import state_dict

    whole = state_dict.StateDictOptions(full_state_dict=True, cpu_offload=True)
    found = state_dict.get_optimizer_state_dict(module, optimizer.optimizer, options=whole)
    best = best and {name: p.full_tensor().cpu() for name, p in best.items()}
    return {"weights": weights_of(module), "optimizer": found, "best": best, "random": random}


def put_back(
    state: dict[str, Any], module: nn.Module, optimizer: Any, accelerator: Any, console: Console
) -> dict[str, Any] | None:
    """Load what `state_of` gave, also by another number of processes; returns the best weights as the loop keeps them.

    Then draws of dropout go on from the number of the step and process, not where they stopped, and that is told.
    """
    random, world = state["random"], accelerator.num_processes
    if len(random) == world:
        checkpoint.restore_random(random[accelerator.process_index])
    else:
        console.warn(f"{len(random)} processes saved this state and {world} go on: sums are rounded in another order, "
                     "and dropout draws other numbers than without the stop")  # fmt: skip
        checkpoint.seed_all(state["progress"]["step"] * world + accelerator.process_index)
    if not _sharded(module):
        put(state["weights"], module)
        optimizer.load_state_dict(state["optimizer"])
        return state["best"]  # type: ignore[no-any-return]
    from torch.distributed.checkpoint import state_dict

    def load(weights: dict[str, torch.Tensor]) -> None:
        options = state_dict.StateDictOptions(full_state_dict=True, strict=False)
        state_dict.set_model_state_dict(module, dict(weights), options=options)

    best = state["best"]
    if best is not None:
        load(best)
        best = weights_of(module, whole=False)
    load(state["weights"])
    whole = state_dict.StateDictOptions(full_state_dict=True)
    state_dict.set_optimizer_state_dict(module, optimizer.optimizer, state["optimizer"], options=whole)
    return best
