"""Training in several processes: the same losses and weights as one, whoever starts them, and whatever ends them."""

from __future__ import annotations

import io
import json
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from metier.artifact import Artifact
from metier.console import Console
from metier.engines import launch
from metier.errors import UserError
from metier.tables import EXAMPLES, table, write
from metier.train import processes
from metier.train.config import TaskConfig, TrainConfig

QUIET = Console(quiet=True)
SETTINGS: dict[str, Any] = {"device": "cpu", "bf16": False, "threads": 1, "dropout": 0.0, "epochs": 3,
                            "learning_rate": 2e-3}  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=40), st.integers(1, 5), st.integers(10, 600))
def test_every_process_takes_as_many_parts_and_every_input_counts_once(lengths, world, limit):
    class Accelerator:
        num_processes, process_index = world, 0

    batch = list(range(len(lengths)))
    each = []
    for rank in range(world):
        Accelerator.process_index = rank
        each.append(processes.parts(batch, lengths, limit, Accelerator))
    assert len({len(parts) for parts in each}) == 1
    counted = [index for parts in each for part, weight in parts for index in part if weight]
    assert sorted(counted) == batch
    assert all(weight in (0.0, float(world)) for parts in each for _, weight in parts)
    idle = sum(weight == 0.0 for parts in each for _, weight in parts)
    assert processes.empty(batch, lengths, limit, world) == idle
    tokens = [sum(lengths[i] for part, weight in parts if weight for i in part) for parts in each]
    assert max(tokens) - min(tokens) <= max(lengths)


def classify_rows(n: int = 60) -> list[dict[str, Any]]:
    draw, out = random.Random(0), []
    for index in range(n):
        sign = draw.choice(["card", "loan", "fee"])
        words = draw.choices(["the", "a", "my", "is", "here", "please"], k=draw.randint(2, 12))
        out.append({"id": str(index), "text": " ".join([*words, sign]), "label": sign})
    return out


def question_rows(n: int = 36) -> list[dict[str, Any]]:
    draw, out = random.Random(0), []
    for index in range(n):
        document = f"Record {index // 3} says " + "very " * (index // 3 % 5 * 6) + "little."
        out.append({"id": str(index), "text": document, "pair": f"What is point {index % 3}?",
                    "answer": f"It is {draw.randint(0, 99)}."})  # fmt: skip
    return out


CASES = {
    "classify": ("bert", "full", "classify", {"batch_size": 8, "max_batch_tokens": 24}),
    "generate": ("llama", "full", "generate", {"batch_size": 6, "max_batch_tokens": 256}),
    "lora": ("llama", "lora", "generate", {"batch_size": 6, "max_batch_tokens": 256}),
}


@pytest.fixture
def case(base, writer, tmp_path):
    """name -> (settings of a run, task, examples)."""

    def make(name: str, **more: Any) -> tuple[TrainConfig, TaskConfig, Artifact]:
        family, method, task, settings = CASES[name]
        folder = str((base if task == "classify" else writer)(family).path)
        rows = classify_rows() if task == "classify" else question_rows()
        parts = [{**row, "split": "validation" if at % 6 == 5 else "train"} for at, row in enumerate(rows)]
        write(table(parts, EXAMPLES), tmp_path / name / "examples.parquet")
        config = TrainConfig(base_model=folder, method=method, **SETTINGS | settings | more)
        return config, TaskConfig(name=task), Artifact(tmp_path / name, "prepare", name, {}, {}, {})

    return make


def compare(first: Path, second: Path, config: TrainConfig) -> None:
    """Both runs have the same losses and weights, and have learned."""
    for a, b in zip(*(json.loads((one / "history.json").read_text()) for one in (first, second)), strict=True):
        assert a == pytest.approx(b, rel=2e-4)
    one, two = weights_of(first / "model"), weights_of(second / "model")
    assert one.keys() == two.keys()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=2e-5, rtol=2e-4, msg=lambda text, n=name: f"{n}: {text}")
    moved = [(one[name] - start).abs().max() for name, start in starting(config.base_model, one)]
    assert moved and max(moved) > 1e-3, "it did not learn"


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}


def starting(folder: str, trained: dict[str, torch.Tensor]) -> list[tuple[str, torch.Tensor]]:
    """The weights before training, as far as they are of the base; adapters' second matrix started at 0."""
    base = weights_of(Path(folder))
    known = {name: base[bare] for name in trained for bare in (name.removeprefix("bert."), name) if bare in base}
    return [*known.items(), *((name, torch.zeros_like(trained[name])) for name in trained if "lora_B" in name)]


# What every process of a launcher runs: as `metier run` does it, with three models after each other.
LAUNCHED = """
import pickle, sys
from pathlib import Path
from metier.console import Console
from metier.engines import launch
if not launch.follow():
    for name, (config, task, examples) in pickle.loads(Path(sys.argv[1]).read_bytes()).items():
        summary = launch.train(config, task, 0, examples, Path(sys.argv[2]) / name, Console(quiet=True))
        assert summary["processes"] == 2, summary
launch.release()
"""


def test_two_processes_of_a_launcher_train_as_one_does(case, tmp_path):
    jobs = {name: case(name) for name in CASES}
    (tmp_path / "jobs").write_bytes(pickle.dumps(jobs))
    (tmp_path / "script.py").write_text(LAUNCHED)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*command, tmp_path / "script.py", tmp_path / "jobs", tmp_path / "two"],
                          capture_output=True, text=True, timeout=900)  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name, (config, task, examples) in jobs.items():
        summary = launch.train(config, task, 0, examples, tmp_path / "one" / name, QUIET)
        assert summary["processes"] == 1 and summary["empty_parts"] == 0
        compare(tmp_path / "one" / name, tmp_path / "two" / name, config)


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_others_and_the_run_goes_on(case, tmp_path):
    """Killed in the middle with two processes; then one goes on, and ends where an undisturbed one ends."""
    config, task, examples = case("generate", processes=2, epochs=20, checkpoint_seconds=0)
    state = tmp_path / "killed" / "state" / "state.pt"
    killer = threading.Thread(target=kill, args=("1", state))
    killer.start()
    with pytest.raises(UserError, match=r"process 1 of 2 that train was killed by signal 9") as told:
        launch.train(config, task, 0, examples, tmp_path / "killed", QUIET)
    killer.join()
    assert "run the same command again" in told.value.fix
    assert not psutil.Process().children(), "a process is left"
    saved = torch.load(state, weights_only=True)
    assert saved["progress"]["step"] >= 1 and len(saved["random"]) == 2
    alone = config.model_copy(update={"processes": 1})
    lines = io.StringIO()
    launch.train(alone, task, 0, examples, tmp_path / "killed", Console(lines))
    launch.train(alone, task, 0, examples, tmp_path / "whole", QUIET)
    assert "2 processes saved this state and 1 go on" in lines.getvalue()
    compare(tmp_path / "whole", tmp_path / "killed", config)


def kill(rank: str, state: Path, signal_number: int = signal.SIGKILL) -> None:
    """Kill the child process of that rank as soon as there is a saved state."""
    deadline = time.monotonic() + 120
    while not state.is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    for child in psutil.Process().children():
        if child.environ().get("RANK") == rank:
            child.send_signal(signal_number)


@pytest.mark.slow
def test_an_error_of_the_user_is_told_once(case, tmp_path):
    config, task, examples = case("classify", processes=2, learning_rate=1e30, head_learning_rate=1e30)
    with pytest.raises(UserError, match="diverged"):
        launch.train(config, task, 0, examples, tmp_path / "out", QUIET)


# Accelerate makes no shards on processors by itself; with its state set by hand it does.
SHARDED = """
import pickle, sys
from pathlib import Path
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from metier.console import Console
from metier.train import loop
from metier.train.stage import train

def make(config):
    AcceleratorState._reset_state(reset_partial_state=True)
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap", reshard_after_forward=True,
        transformer_cls_names_to_wrap=["LlamaDecoderLayer"], cpu_ram_efficient_loading=False)
    made = Accelerator(cpu=True, mixed_precision="no", fsdp_plugin=plugin)
    made.state.distributed_type, made.state.fsdp_plugin = DistributedType.FSDP, plugin
    assert made.is_fsdp2 and made.num_processes == 2
    return made

loop.make_accelerator = make
config, task, examples = pickle.loads(Path(sys.argv[1]).read_bytes())
train(config, task, 0, examples, Path(sys.argv[2]), Console(quiet=True))
"""


@pytest.mark.slow
def test_shards_train_as_one_process_does(case, tmp_path):
    config, task, examples = case("generate")
    (tmp_path / "job").write_bytes(pickle.dumps((config, task, examples)))
    (tmp_path / "script.py").write_text(SHARDED)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*command, tmp_path / "script.py", tmp_path / "job", tmp_path / "two"],
                          capture_output=True, text=True, timeout=900)  # fmt: skip
    assert done.returncode == 0, done.stderr
    launch.train(config, task, 0, examples, tmp_path / "one", QUIET)
    compare(tmp_path / "one", tmp_path / "two", config)


SILENT = [({"WORLD_SIZE": "2"}, "each would train alone"), ({"ACCELERATE_USE_FSDP": "true"}, "would not make any here")]


@pytest.mark.parametrize(("change", "what"), SILENT)
def test_what_accelerate_would_silently_not_do_is_an_error(change, what, monkeypatch):
    from metier.train.loop import make_accelerator

    accelerator = make_accelerator(TrainConfig(**SETTINGS))
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=what):
        processes.check(accelerator)
