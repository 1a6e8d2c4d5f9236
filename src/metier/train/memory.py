"""What training needs of memory: by formula before anything is loaded, and advice when it was not enough.

Purpose: `metier run` refuses within a second what cannot fit, instead of being killed by the system after an hour; an
allocation that fails is told as a sentence that names the setting and how far to turn it.
Trade-off: the formula counts what a layer keeps for its backward pass (the count of Korthikanti et al. 2022,
arXiv 2205.05198, without dropout masks) and is meant to be right within a third; `metier plan` measures (rehearsal.py).
Not covered: several processes on one machine, and memory that others take while training runs.
Units: bytes.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.console import Console
from metier.errors import UserError
from metier.registry import names
from metier.train.bases import Base
from metier.train.config import TrainConfig

FLOAT = 4  # weights, gradients and the optimizer's averages are float32
FOUR_BIT = 0.55  # bytes a weight under qlora: 4 bits, and a scale for each 64 (QLoRA, arXiv 2305.14314, section 3)
PROGRAM = 700e6  # Python with torch and transformers; measured 0.6 to 0.75 GB on Linux
EXPLICIT_LIMIT = 512  # tokens, as in attention.py: up to here the attention weights are kept
DOUBT = 1.35  # what the formula may be off by; beyond it training is refused, up to it there is a warning


@dataclass(frozen=True)
class Dimensions:
    """The sizes of a transformer that decide how much its layers keep."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    vocabulary: int
    gated: bool

    @classmethod
    def of(cls, config: Any) -> Dimensions:
        """Read from a Transformers configuration, whatever its family calls them."""
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        hidden = int(text.hidden_size)
        names = ("intermediate_size", "ffn_dim", "d_ff", "hidden_dim", "n_inner", "encoder_ffn_dim")
        inner = next((int(value) for name in names if (value := getattr(text, name, None))), 4 * hidden)
        activation = str(getattr(text, "hidden_act", "") or getattr(text, "activation_function", ""))
        gated = "silu" in activation or text.model_type in ("gemma", "gemma2", "gemma3_text", "modernbert")
        heads = int(getattr(text, "num_attention_heads", 0) or max(1, hidden // 64))
        return cls(int(text.num_hidden_layers), hidden, inner, heads, int(text.vocab_size), gated)

    def kept(self, lengths: Sequence[int], width: int = FLOAT) -> int:
        """Bytes that the layers keep for the backward pass of one micro-batch of sequences of these lengths.

        A token: inputs of the projections, q, k, v, their product, both norms (8 hidden), and the inner activations
        before and after the function (2, gated 4). A pair of tokens: the attention's weights in every head.
        """
        tokens = sum(lengths)
        row = 8 * self.hidden + (4 if self.gated else 2) * self.intermediate
        pairs = self.heads * sum(length * length for length in lengths)
        return int(self.layers * width * (tokens * row + pairs))


def parameters_on_disk(path: Path) -> int:
    """Weights of a base, read from the headers of its safetensors files (of older files: from their size). A damaged
    file counts nothing: loading it says what is wrong."""
    count = 0
    for file in sorted(path.glob("*.safetensors")):
        with file.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            if size > file.stat().st_size:
                continue
            try:
                header = json.loads(stream.read(size))
            except ValueError:
                continue
        count += sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    return count or sum(file.stat().st_size for file in path.glob("pytorch_model*.bin")) // FLOAT


def fixed(method: str, parameters: int, trainable: int, validated: bool = True) -> dict[str, int]:
    """Bytes that are there whatever a batch holds: weights, gradients, the optimizer's averages, the best weights."""
    stored = int(parameters * (FOUR_BIT if method == "qlora" else FLOAT))
    moving = trainable * FLOAT
    return {"weights": stored, "gradients": moving, "optimizer": 2 * moving, "best": moving * validated}


def available(device: str) -> int | None:
    """Free bytes of the accelerator, or of this machine within the limit of its container; None: not known."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info()[0])
    if device != "cpu":
        return None
    free = _meminfo(Path("/proc/meminfo"))
    limit, used = (_number(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current"))
    if limit is not None and used is not None:
        inside = max(0, limit - used)
        return inside if free is None else min(free, inside)
    return free


def check_base(config: TrainConfig, base: Base, device: str) -> None:
    """UserError, before the weights are read, when weights and what moves with them cannot fit."""
    free = available(device)
    parameters = parameters_on_disk(base.path)
    trainable = parameters if config.method == "full" else 0
    need = sum(fixed(config.method, parameters, trainable).values())
    if free is None or need <= free:
        return
    fix = "choose a smaller base"
    for method in (name for name in ("lora", "qlora") if name in names("method")):
        less = sum(fixed(method, parameters, 0).values())
        if config.method == "full" and less < free:
            fix = f"set train.method: {method}, which needs {gigabytes(less)}"
            break
    raise UserError(
        f"{parameters:,} parameters under the method {config.method} need {gigabytes(need)} of memory before the "
        f"first text, {gigabytes(need - free)} more than the {gigabytes(free)} that are free",
        "train.base_model, train.method", fix,
    )  # fmt: skip


def check_step(config: TrainConfig, network: Any, trainable: int, lengths: Sequence[int], console: Console,
               device: str) -> None:  # fmt: skip
    """Warn or refuse, before the first step, when the largest micro-batch will not fit. lengths: tokens of an input."""
    free = available(device)
    if free is None or not lengths or config.method == "frozen":
        return
    parameters = sum(p.numel() for p in network.parameters())
    rest = sum(fixed(config.method, parameters, trainable).values()) - parameters * FLOAT  # weights are loaded
    longest = max(lengths)
    most = max(longest, min(config.max_batch_tokens, sum(lengths)))
    sizes = Dimensions.of(network.config)
    # A model that writes, and whatever is long, is attended to by fused kernels, which keep no pairs (attention.py).
    piece = 1 if getattr(network, "pooling", "") == "language" else min(longest, EXPLICIT_LIMIT)
    kept = sizes.kept([piece] * max(1, most // piece))
    need = rest + kept
    if need <= free:
        return
    fits = int(config.max_batch_tokens * max(0, free - rest) / max(1, kept) * 0.9)
    told = (f"a step with {most:,} tokens needs about {gigabytes(need)}, {gigabytes(free)} are free",
            "train.max_batch_tokens", smaller(config, fits, longest))  # fmt: skip
    if need > DOUBT * free:
        raise UserError(*told)
    console.warn(f"{told[0]}; if it fails: {told[2]}")


def peak_mb() -> float | None:
    """Largest resident memory of this process so far, in MB; of the accelerator if any; None: not measured."""
    import torch

    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e6, 1)
    peak = _status("VmHWM")
    if peak is not None:
        return round(peak / 1e6, 1)
    try:
        import resource
    except ImportError:  # Windows has no such figure in its standard library
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if sys.platform == "darwin" else peak / 1e3, 1)


def forget_peak() -> bool:
    """Let `peak_mb` count from now on; False where the system cannot."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return True
    try:
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): sets VmHWM back to what the process holds now
    except OSError:
        return False
    return True


def resident() -> int:
    """Bytes of memory that this process holds now (0 where the system does not say)."""
    return _status("VmRSS") or 0


def _status(name: str) -> int | None:
    """Bytes, from what Linux says of this process; unlike getrusage it leaves out the process that started this one."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that an allocation failed, on whatever device."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    told = str(error).lower()
    return isinstance(error, RuntimeError) and ("not enough memory" in told or "can't allocate" in told
                                                or "out of memory" in told)  # fmt: skip


@contextlib.contextmanager
def advised(config: TrainConfig, lengths: Sequence[int]) -> Iterator[None]:
    """Turn an allocation that fails in here into a sentence with advice."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise after_failure(config, lengths) from error


def after_failure(config: TrainConfig, lengths: Sequence[int]) -> UserError:
    """What to say when training ran out of memory: which setting, from what to what."""
    longest = max(lengths, default=1)
    used = max(longest, min(config.max_batch_tokens, sum(lengths)))
    return UserError(
        f"training ran out of memory with up to {used:,} tokens in the model at once", "train.max_batch_tokens",
        smaller(config, used // 2, longest) + "; what was collected and prepared is kept",
    )  # fmt: skip


def smaller(config: TrainConfig, fits: int, longest: int) -> str:
    """Advice: fewer tokens at once while the longest text still fits in, else shorter texts, else fewer weights."""
    if fits >= longest:
        return f"set train.max_batch_tokens from {config.max_batch_tokens:,} to {fits} (the result stays alike)"
    more = "" if config.method in ("lora", "qlora", "frozen") else ", or train.method: lora"
    if fits >= 32:
        return (f"set train.max_batch_tokens and train.max_length to {fits}: one text alone has {longest:,} tokens, "
                f"which is too long{more}")  # fmt: skip
    return "choose a smaller base" + (", or train.method: lora" if more else "")


def gigabytes(size: float) -> str:
    """A size for people: "310 MB", "1.9 GB"."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"


def _meminfo(path: Path) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max": no limit
        return None
