"""The only training loop.

Purpose: read top to bottom what happens to a model: epochs of token-budget batches, loss of each example weighted
alike, clipped steps of AdamW or Muon under a linear schedule, validation after every epoch, the best weights kept, a
state from which a killed run goes on exactly. Device placement, mixed precision and distribution are Accelerate's.
Trade-off: no callbacks and no hooks; whoever needs another loop writes a task or a method, or changes this file.
Not covered: what is learned (tasks/), which weights move (methods/), how texts become windows (encoding.py).
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from metier.console import Console, seconds
from metier.errors import UserError
from metier.train import checkpoint, joint, processes
from metier.train.batching import batches_per_epoch, inference_batches, plan_epoch
from metier.train.config import TrainConfig
from metier.train.energy import Meter, graphics
from metier.train.optimizers import make_optimizer


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
    watch: Callable[[dict[str, float]], None] | None = (
        None  # is told every validation; what it raises ends the training
    )

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
        return self.config.max_steps or max(1, math.ceil(self.per_epoch * self.rates.epochs))


@dataclass
class Progress:
    """Where training stands; all of it is in the checkpoint."""

    epoch: int = 0
    position: int = 0  # batches done in this epoch
    step: int = 0  # optimizer steps done
    tokens: int = 0
    empty_parts: int = 0  # of processes that kept others company
    seconds: float = 0.0
    loss_sum: float = 0.0  # over this epoch's examples so far
    best: float = -math.inf
    best_loss: float = math.inf
    best_epoch: float = 0.0
    waiting: int = 0  # evaluations since the best one
    stopped: str = ""
    energy: dict[str, Any] = field(default_factory=dict)  # as energy.py tells it
    history: list[dict[str, float]] = field(default_factory=list)


def fit(job: Job, folder: Path, console: Console) -> dict[str, Any]:
    """Train `job.module` in place; resumes from `folder` if a state lies there. Returns the figures of the run.

    After the call the module holds the best weights on validation (the last ones if there is no validation split).
    """
    train, config = job.train, job.config
    accelerator = make_accelerator(config)
    checkpoint.seed_all(job.seed + accelerator.process_index)
    module = processes.to_train(job.module, accelerator)
    optimizer = make_optimizer(module, config, job.rates)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rates(job.total, config.warmup, config.decay))
    model, optimizer = accelerator.prepare(module, optimizer)
    progress, best = _resume(folder, module, optimizer, schedule, accelerator, console)
    country = config.energy_country if accelerator.is_main_process else ""
    spent = Meter(graphics(accelerator.device.type), country, progress.energy)
    clock = saved = time.monotonic()
    with spent, console.progress("training", job.total, "steps", progress.step) as meter:
        while (progress.step < job.total or progress.position) and not progress.stopped:
            model.train()
            if hasattr(job.task, "anew"):  # what is learned of each input is drawn again for each epoch
                anew = job.task.anew(train.inputs, progress.epoch, job.seed)
                job = replace(job, train=replace(job.train, inputs=anew))
            per_batch = train.inputs_for(job.rates.batch_size)
            plan = plan_epoch(train.lengths, per_batch, job.seed, progress.epoch, job.joint)
            mean_weight = sum(train.weights) / len(plan.batches)
            for batch in plan.batches[progress.position :]:
                if progress.step >= job.total or progress.stopped:
                    break
                loss = gradient(job, model, accelerator, batch, mean_weight)
                due = accelerator.is_main_process and time.monotonic() - saved >= config.checkpoint_seconds
                loss, due = processes.summed(accelerator, loss, due)  # so that all processes do the same
                progress.loss_sum += loss
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
                if not job.joint:
                    world = accelerator.num_processes
                    progress.empty_parts += processes.empty(batch, train.lengths, config.max_batch_tokens, world)
                meter.advance(1, _note(progress))
                if config.validate_steps and progress.step % config.validate_steps == 0:
                    best = _validate(job, module, accelerator, progress, best, float(schedule.get_last_lr()[0]))
                if due:
                    clock = _tick(progress, clock, spent.facts())
                    _save(folder, module, optimizer, schedule, progress, best, accelerator)
                    saved = time.monotonic()
            best = _end_of_epoch(job, module, accelerator, progress, best, float(schedule.get_last_lr()[0]))
    _tick(progress, clock, spent.stop())
    if best is not None:
        processes.put(best, module)
    if module is not job.module:  # it was sharded
        processes.put(processes.weights_of(module), job.module)
    return _figures(progress, accelerator)


@torch.no_grad()
def predict(
    model: nn.Module, inputs: Sequence[Any], lengths: Sequence[int], counts: Sequence[int], limit: int,
    meter: Any = None, accelerator: Any = None,
) -> torch.Tensor:  # fmt: skip
    """Logits (R, outputs) float32 on the CPU, in the order of `inputs`; batches of at most `limit` tokens.

    accelerator: its processes share the batches out, and each gets all logits; None: this process asks alone.
    """
    was_training = model.training
    model.eval()
    rows: list[torch.Tensor | None] = [None] * len(inputs)
    batches, real = processes.mine(inference_batches(lengths, limit), accelerator)
    for number, batch in enumerate(batches):
        logits = model([inputs[i] for i in batch]).float().cpu()
        if number >= real:
            break
        for index, piece in zip(batch, logits.split([counts[i] for i in batch]), strict=True):
            rows[index] = piece
        if meter is not None:
            meter.advance(len(batch))
    model.train(was_training)
    found = processes.exchanged(rows, accelerator)
    return torch.cat(found) if found else torch.zeros(0, 0)


def make_accelerator(config: TrainConfig) -> Any:
    """Accelerate with the recipe's device and precision; its process-wide state is made anew each time."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    cpu = pick_device(config.device) == "cpu"
    if config.threads:
        torch.set_num_threads(config.threads)
    AcceleratorState._reset_state(reset_partial_state=cpu)
    reuse_memory()
    precision = "bf16" if use_bf16(config) else "no"
    made = Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=[processes.ddp_settings()])
    processes.check(made)
    if config.optimizer == "muon" and made.is_fsdp2:
        raise UserError("muon needs whole matrices, and each process holds shards of them (FSDP)", "train.optimizer",
                        "set it to adamw, or train without shards")  # fmt: skip
    return made


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
    parts = processes.parts(batch, train.lengths, config.max_batch_tokens, accelerator)
    for number, (part, weight) in enumerate(parts):
        last = number + 1 == len(parts)  # gradients are exchanged with the last part alone
        with contextlib.nullcontext() if last else accelerator.no_sync(model):
            logits = model([train.inputs[i] for i in part])
            counts, targets = [train.counts[i] for i in part], [train.targets[i] for i in part]
            losses = job.task.loss(logits, counts, targets, config.label_smoothing).sum()
            accelerator.backward(losses * (weight / mean_weight))
        total += losses.item() if weight else 0.0
    return total


def _end_of_epoch(
    job: Job, module: nn.Module, accelerator: Any, progress: Progress, best: dict[str, Any] | None, rate: float
) -> dict[str, Any] | None:
    """Validate, unless that was just done, and begin the next epoch."""
    if not progress.history or progress.history[-1]["step"] != progress.step:
        best = _validate(job, module, accelerator, progress, best, rate)
    progress.epoch, progress.position, progress.loss_sum = progress.epoch + 1, 0, 0.0
    return best


def _validate(
    job: Job, module: nn.Module, accelerator: Any, progress: Progress, best: dict[str, Any] | None, rate: float
) -> dict[str, Any] | None:
    """Look at the validation split, write a line of history, keep the best weights, decide whether to stop."""
    done, share = progress.step / job.per_epoch, progress.position / job.per_epoch
    line = {"epoch": round(done, 3), "step": progress.step, "learning_rate": rate,
            "train_loss": progress.loss_sum / max(1.0, sum(job.train.weights) * share)}  # fmt: skip
    validation = job.validation
    if validation is not None and len(validation):
        counts, targets = validation.counts, validation.targets
        limit = job.config.max_batch_tokens
        logits = predict(module, validation.inputs, validation.lengths, counts, limit, None, accelerator)
        loss = job.task.loss(logits, counts, targets, 0.0).sum().item() / max(1.0, sum(validation.weights))
        metric = job.task.monitor(logits, counts, targets)
        line |= {"validation_loss": loss, "validation_metric": metric}
        if (metric, -loss) > (progress.best, -progress.best_loss):
            progress.best, progress.best_loss, progress.best_epoch, progress.waiting = metric, loss, done, 0
            best = processes.weights_of(module, whole=False)
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
    return best


def _rates(total: int, warmup: float, decay: float) -> Any:
    """Step -> share of the peak learning rate: a rise, the peak, and a fall to 0, all linear."""
    rise = max(1, int(total * warmup))
    fall = max(1.0, (total - rise) * decay)

    def share(step: int) -> float:
        left = max(0.0, (total - step) / fall) if decay else 1.0
        return min((step + 1) / rise, 1.0, left)

    return share


def _note(progress: Progress) -> str:
    last = progress.history[-1] if progress.history else {}
    text = f"epoch {progress.epoch + 1}"
    if "validation_metric" in last:
        text += f", validation {last['validation_metric']:.3f}"
    return text


def _tick(progress: Progress, clock: float, spent: dict[str, Any]) -> float:
    now = time.monotonic()
    progress.seconds += now - clock
    progress.energy = spent
    return now


def _save(
    folder: Path, module: nn.Module, optimizer: Any, schedule: Any, progress: Progress, best: Any, accelerator: Any
) -> None:
    """Every process takes part; the first one writes."""
    state = processes.state_of(module, optimizer, best, accelerator)
    if accelerator.is_main_process:
        when = {"last_epoch": schedule.last_epoch, "rates": schedule.get_last_lr()}
        checkpoint.save(folder, {**state, "progress": asdict(progress), "schedule": when})


def _resume(
    folder: Path, module: nn.Module, optimizer: Any, schedule: Any, accelerator: Any, console: Console
) -> tuple[Progress, dict[str, Any] | None]:
    state = checkpoint.load(folder)
    if state is None:
        return Progress(), None
    best = processes.put_back(state, module, optimizer, accelerator, console)
    schedule.last_epoch, schedule._last_lr = state["schedule"]["last_epoch"], state["schedule"]["rates"]
    progress = Progress(**state["progress"])
    console.say(f"  goes on at step {progress.step:,}, where the last run stopped ({seconds(progress.seconds)} saved)")
    return progress, best


def _figures(progress: Progress, accelerator: Any) -> dict[str, Any]:
    return {
        "seconds": round(progress.seconds, 3), "tokens": progress.tokens, "steps": progress.step,
        "best_epoch": round(progress.best_epoch, 3), "stopped": progress.stopped or "end",
        "epochs": progress.history[-1]["epoch"] if progress.history else 0.0, "history": progress.history,
        "device": str(accelerator.device), "processes": accelerator.num_processes,
        "empty_parts": progress.empty_parts, "energy": progress.energy,
        "dtype": "bfloat16" if accelerator.mixed_precision == "bf16" else "float32",
    }  # fmt: skip
