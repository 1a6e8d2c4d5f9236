"""The only training loop.

Purpose: read top to bottom what happens to a model: epochs of token-budget batches, loss of each example weighted
alike, clipped AdamW steps under a linear schedule, validation after every epoch, the best weights kept, a state from
which a killed run goes on exactly. Device placement, mixed precision and distribution are Accelerate's.
Trade-off: no callbacks and no hooks; whoever needs another loop writes a task or a method, or changes this file.
Not covered: what is learned (tasks/), which weights move (methods/), how texts become windows (encoding.py).
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from metier.console import Console, seconds
from metier.errors import UserError
from metier.train import checkpoint, joint
from metier.train.batching import batches_per_epoch, inference_batches, micro_batches, plan_epoch
from metier.train.config import TrainConfig


@dataclass(frozen=True)
class Split:
    """Model inputs (items, features or families), tokens of each, rows of logits of each, a target tensor of each,
    examples in each, and what each counts in the loss of a batch."""

    inputs: Sequence[Any]
    lengths: Sequence[int]
    counts: Sequence[int]
    targets: Sequence[torch.Tensor]
    sizes: Sequence[int]
    weights: Sequence[float]

    def __len__(self) -> int:
        return len(self.inputs)

    def inputs_for(self, examples: int) -> float:
        """How many inputs hold so many examples, on average."""
        return max(1.0, examples * len(self.inputs) / max(1, sum(self.sizes)))


@dataclass(frozen=True)
class Rates:
    """What the recipe left to the method, resolved: peak learning rates of backbone and head, epochs, batch size."""

    learning_rate: float
    head_learning_rate: float
    epochs: float
    batch_size: int


@dataclass(frozen=True)
class Job:
    """What stays the same during one training run."""

    module: nn.Module  # inputs (B) -> logits (R, outputs) float32, counts[b] rows for input b (see language.py)
    task: Any
    train: Split
    validation: Split | None
    config: TrainConfig
    rates: Rates
    seed: int
    watch: Callable[[dict[str, float]], None] | None = None  # is told every epoch; what it raises ends the training

    @property
    def joint(self) -> bool:
        """The loss is that of whole batches, which are then drawn at random whatever the lengths (joint.py)."""
        return bool(getattr(self.task, "joint", False))

    @property
    def per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        return batches_per_epoch(self.train.lengths, self.train.inputs_for(self.rates.batch_size))

    @property
    def total(self) -> int:
        """Optimizer steps in all, unless training stops early."""
        return max(1, math.ceil(self.per_epoch * self.rates.epochs))


@dataclass
class Progress:
    """Where training stands; all of it is in the checkpoint."""

    epoch: int = 0
    position: int = 0  # batches done in this epoch
    step: int = 0  # optimizer steps done
    tokens: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0  # over this epoch's examples so far
    best: float = -math.inf
    best_loss: float = math.inf
    best_epoch: float = 0.0
    waiting: int = 0  # evaluations since the best one
    stopped: str = ""
    history: list[dict[str, float]] = field(default_factory=list)


def fit(job: Job, folder: Path, console: Console) -> dict[str, Any]:
    """Train `job.module` in place; resumes from `folder` if a state lies there. Returns the figures of the run.

    After the call the module holds the best weights on validation (the last ones if there is no validation split).
    """
    module, train, config = job.module, job.train, job.config
    accelerator = make_accelerator(config)
    checkpoint.seed_all(job.seed)
    optimizer = make_optimizer(module, config, job.rates)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _linear(job.total, config.warmup))
    model, optimizer = accelerator.prepare(module, optimizer)
    progress, best = _resume(folder, module, optimizer, schedule, console)
    clock = saved = time.monotonic()
    with console.progress("training", job.total, "steps") as meter:
        meter.advance(progress.step)
        while (progress.step < job.total or progress.position) and not progress.stopped:
            model.train()
            per_batch = train.inputs_for(job.rates.batch_size)
            plan = plan_epoch(train.lengths, per_batch, job.seed, progress.epoch, job.joint)
            mean_weight = sum(train.weights) / len(plan.batches)
            for batch in plan.batches[progress.position :]:
                if progress.step >= job.total:
                    break
                progress.loss_sum += gradient(job, model, accelerator, batch, mean_weight)
                if not math.isfinite(progress.loss_sum):
                    raise UserError(
                        f"training has diverged: the loss is {progress.loss_sum} at step {progress.step + 1}",
                        f"learning rate {job.rates.learning_rate:g}", "set a smaller train.learning_rate",
                    )  # fmt: skip
                accelerator.clip_grad_norm_(model.parameters(), config.gradient_clip)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                progress.position, progress.step = progress.position + 1, progress.step + 1
                progress.tokens += sum(train.lengths[i] for i in batch)
                meter.advance(1, _note(progress))
                if time.monotonic() - saved >= config.checkpoint_seconds and accelerator.is_main_process:
                    clock = _tick(progress, clock)
                    _save(folder, module, optimizer, schedule, progress, best)
                    saved = time.monotonic()
            best = _end_of_epoch(job, model, progress, best, float(schedule.get_last_lr()[0]))
    _tick(progress, clock)
    if best is not None:
        module.load_state_dict(best, strict=False)
    return _figures(progress, accelerator)


@torch.no_grad()
def predict(
    model: nn.Module, inputs: Sequence[Any], lengths: Sequence[int], counts: Sequence[int], limit: int,
    meter: Any = None,
) -> torch.Tensor:  # fmt: skip
    """Logits (R, outputs) float32 on the CPU, in the order of `inputs`; batches of at most `limit` tokens."""
    was_training = model.training
    model.eval()
    rows: list[torch.Tensor] = [torch.zeros(0)] * len(inputs)
    for batch in inference_batches(lengths, limit):
        logits = model([inputs[i] for i in batch]).float().cpu()
        for index, piece in zip(batch, logits.split([counts[i] for i in batch]), strict=True):
            rows[index] = piece
        if meter is not None:
            meter.advance(len(batch))
    model.train(was_training)
    return torch.cat(rows) if rows else torch.zeros(0, 0)


def make_accelerator(config: TrainConfig) -> Any:
    """Accelerate with the recipe's device and precision; its process-wide state is made anew each time."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    pick_device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    AcceleratorState._reset_state(reset_partial_state=config.device == "cpu")
    reuse_memory()
    return Accelerator(cpu=config.device == "cpu", mixed_precision="bf16" if use_bf16(config) else "no")


def pick_device(wanted: str) -> str:
    """The device to compute on; UserError when the recipe names one that is not here."""
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if here[name])
    if not here.get(wanted):
        raise UserError(f"there is no {wanted} device on this machine", "train.device", "set it to auto or cpu")
    return wanted


def use_bf16(config: TrainConfig) -> bool:
    """Whether to compute in bfloat16: as the recipe says, or where the processor does so natively."""
    if config.bf16 != "auto":
        return bool(config.bf16)
    if config.device != "cpu" and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    if config.device != "cpu" and torch.backends.mps.is_available():
        return True
    asks = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return any(ask() for ask in asks if ask is not None)


def make_optimizer(module: nn.Module, config: TrainConfig, rates: Rates) -> torch.optim.Optimizer:
    """AdamW (fused): the head has its own rate; weight decay on matrices only."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((is_head(name), parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": rates.head_learning_rate if head else rates.learning_rate,
                "weight_decay": config.weight_decay if matrix else 0.0,
            }
            for (head, matrix), parameters in sorted(groups.items())
        ],
        fused=True,
    )


def is_head(name: str) -> bool:
    """Whether a parameter belongs to the classification head (freshly drawn, not from the base)."""
    return any(part in ("classifier", "score", "classification_head", "qa_outputs") for part in name.split("."))


def reuse_memory() -> None:
    """Ask glibc to keep freed memory: large tensors then do not fault in fresh pages at every step."""
    if sys.platform == "linux":
        import contextlib
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: below 1 GiB from the heap
            libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD: do not give it back


def gradient(job: Job, model: nn.Module, accelerator: Any, batch: Sequence[int], mean_weight: float) -> float:
    """Add the gradient of the batch's loss, divided by `mean_weight`, to the parameters; returns this process's part
    of the loss, not divided."""
    if job.joint:
        return joint.backward(job, model, accelerator, batch, mean_weight)
    train, config, total = job.train, job.config, 0.0
    for part, weight in _parts(batch, train.lengths, config.max_batch_tokens, accelerator):
        logits = model([train.inputs[i] for i in part])
        counts, targets = [train.counts[i] for i in part], [train.targets[i] for i in part]
        losses = job.task.loss(logits, counts, targets, config.label_smoothing)
        accelerator.backward(losses.sum() * (weight / mean_weight))
        total += losses.sum().item()
    return total


def _parts(batch: Sequence[int], lengths: Sequence[int], limit: int, accelerator: Any) -> list[tuple[list[int], float]]:
    """This process's share of a batch as micro-batches, each with the factor that DDP's averaging needs."""
    world, rank = accelerator.num_processes, accelerator.process_index
    mine = list(batch[rank::world])
    if not mine:  # every process must take part in the exchange of gradients
        return [([batch[0]], 0.0)]
    return [(part, float(world)) for part in micro_batches(mine, lengths, limit)]


def _end_of_epoch(
    job: Job, model: nn.Module, progress: Progress, best: dict[str, Any] | None, learning_rate: float
) -> dict[str, Any] | None:
    """Validate, write a line of history, keep the best weights, decide whether to stop."""
    done, share = progress.step / job.per_epoch, progress.position / job.per_epoch
    line = {"epoch": round(done, 3), "step": progress.step, "learning_rate": learning_rate,
            "train_loss": progress.loss_sum / max(1.0, sum(job.train.weights) * share)}  # fmt: skip
    validation = job.validation
    if validation is not None and len(validation):
        counts, targets = validation.counts, validation.targets
        logits = predict(model, validation.inputs, validation.lengths, counts, job.config.max_batch_tokens)
        loss = job.task.loss(logits, counts, targets, 0.0).sum().item() / max(1.0, sum(validation.weights))
        metric = job.task.monitor(logits, counts, targets)
        line |= {"validation_loss": loss, "validation_metric": metric}
        if (metric, -loss) > (progress.best, -progress.best_loss):
            progress.best, progress.best_loss, progress.best_epoch, progress.waiting = metric, loss, done, 0
            weights = job.module.named_parameters()
            best = {name: p.detach().to("cpu", copy=True) for name, p in weights if p.requires_grad}
        else:
            progress.waiting += 1
            if (
                job.config.early_stopping
                and progress.waiting >= job.config.early_stopping
                and progress.step < job.total
            ):
                progress.stopped = "early"
    progress.history.append(line)
    if job.watch is not None:
        job.watch(line)
    progress.epoch, progress.position, progress.loss_sum = progress.epoch + 1, 0, 0.0
    return best


def _linear(total: int, warmup: float) -> Any:
    rise = max(1, int(total * warmup))
    return lambda step: min((step + 1) / rise, max(0.0, (total - step) / max(1, total - rise)))


def _note(progress: Progress) -> str:
    last = progress.history[-1] if progress.history else {}
    text = f"epoch {progress.epoch + 1}"
    if "validation_metric" in last:
        text += f", validation {last['validation_metric']:.3f}"
    return text


def _tick(progress: Progress, clock: float) -> float:
    now = time.monotonic()
    progress.seconds += now - clock
    return now


def _save(folder: Path, module: nn.Module, optimizer: Any, schedule: Any, progress: Progress, best: Any) -> None:
    weights = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    checkpoint.save(folder, {"weights": weights, "optimizer": optimizer.state_dict(), "best": best,
                             "schedule": {"last_epoch": schedule.last_epoch, "rates": schedule.get_last_lr()},
                             "progress": asdict(progress)})  # fmt: skip


def _resume(
    folder: Path, module: nn.Module, optimizer: Any, schedule: Any, console: Console
) -> tuple[Progress, dict[str, Any] | None]:
    state = checkpoint.load(folder)
    if state is None:
        return Progress(), None
    module.load_state_dict(state["weights"], strict=False)
    optimizer.load_state_dict(state["optimizer"])
    schedule.last_epoch, schedule._last_lr = state["schedule"]["last_epoch"], state["schedule"]["rates"]
    progress = Progress(**state["progress"])
    console.say(f"  goes on at step {progress.step:,}, where the last run stopped ({seconds(progress.seconds)} saved)")
    return progress, state["best"]


def _figures(progress: Progress, accelerator: Any) -> dict[str, Any]:
    return {
        "seconds": round(progress.seconds, 3), "tokens": progress.tokens, "steps": progress.step,
        "best_epoch": round(progress.best_epoch, 3), "stopped": progress.stopped or "end",
        "epochs": progress.history[-1]["epoch"] if progress.history else 0.0, "history": progress.history,
        "device": str(accelerator.device), "processes": accelerator.num_processes,
        "dtype": "bfloat16" if accelerator.mixed_precision == "bf16" else "float32",
    }  # fmt: skip
