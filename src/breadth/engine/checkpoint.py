"""Atomic checkpoints: a folder appears whole or not at all, and says what belongs in it.

A checkpoint is a GPT-2 folder (``config.json``, ``model.safetensors``, and the vocabulary where the task has one) plus the
heads of objectives that have any (``heads.safetensors``), the optimiser (``optimizer.safetensors``) and ``state.json``.
``manifest.json`` holds the SHA-256 of each file. The folder is written under another name, forced to the disk, and renamed.
Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from breadth.engine.activations import NARROWEST
from breadth.engine.gpt import GPT, load_gpt2, save_gpt2, save_tensors
from breadth.engine.heads import Heads, named_parameters
from breadth.engine.tokenizer import FileTokenizer, Tokenizer
from breadth.ledger.rows import clear_leftovers, commit_folder, write_atomic
from breadth.tasks.vocabulary import Vocabulary

FORMAT = 1
MANIFEST, STATE, OPTIMIZER, WEIGHTS = "manifest.json", "state.json", "optimizer.safetensors", "model.safetensors"
HEADS = "heads.safetensors"
OWN = "own/"  # before the names of a loop's own tensors in the optimiser's file
KEEP_WHOLE = 2  # checkpoints that keep their optimiser state; older ones keep weights only, or go


def arithmetic_of(model: GPT) -> int:
    """Return the order of sums in training, a number that is raised when an update of the same settings has other last bits.

    1: before oneDNN and passes; 2: before activations were kept, as narrow models still do.
    """
    return 3 if model.shape.n_embd >= NARROWEST else 2


class CheckpointError(RuntimeError):
    """A checkpoint that is damaged or does not fit; the message names the file and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk whose hashes were verified."""

    path: Path
    step: int
    weights_hash: str  # first 16 hex digits of the SHA-256 of the weights file


def step_folder(root: Path, step: int) -> Path:
    return root / f"step-{step:06d}"


def steps_on_disk(root: Path) -> list[int]:
    """Return the steps of all committed checkpoints, ascending."""
    if not root.is_dir():
        return []
    found = (re.fullmatch(r"step-(\d+)", p.name) for p in root.iterdir() if p.is_dir())
    return sorted(int(m.group(1)) for m in found if m)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_model_folder(folder: Path, model: GPT, tokenizer: Tokenizer | None) -> None:
    """Write a GPT-2 folder with its tokenizer: ``tokenizer.json``, and ``vocabulary.json`` where the vocabulary is ours."""
    save_gpt2(model, folder)
    if isinstance(tokenizer, Vocabulary):
        (folder / "vocabulary.json").write_text(json.dumps(tokenizer.to_dict(), ensure_ascii=False) + "\n")
        (folder / "tokenizer.json").write_text(tokenizer.to_tokenizers_json() + "\n")
        special = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"}
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **special}) + "\n")
    elif isinstance(tokenizer, FileTokenizer):
        for name in ("tokenizer.json", "tokenizer_config.json"):
            if (tokenizer.folder / name).is_file():
                shutil.copy(tokenizer.folder / name, folder / name)


def save_checkpoint(
    root: Path,
    *,
    step: int,
    model: GPT,
    optimizer: torch.optim.Optimizer,
    tokenizer: Tokenizer | None,
    state: dict[str, Any],
    keep: str = "all",
    heads: Heads | None = None,
    own: Mapping[str, Tensor] | None = None,
) -> Checkpoint:
    """Write the checkpoint of a step; what stood there before stays whole until the new one is complete.

    Parameters
    ----------
    state : JSON-able dict
        Whatever else continues the run bit for bit (the objective's memory, counters).
    keep : "all" or "last"
        Whether older checkpoints keep their weights (and heads). The last two always keep everything.
    heads : Heads, optional
        Written beside the model, their optimiser state with the model's.
    own : tensors by name, optional
        What else a loop trains along; kept as long as the optimiser's state, see :func:`own_tensors`.
    """
    root.mkdir(parents=True, exist_ok=True)
    clear_leftovers(root, r"step-\d+")
    target = step_folder(root, step)
    temporary = root / f".{target.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        write_model_folder(temporary, model, tokenizer)
        further = {f"{OWN}{name}": value for name, value in (own or {}).items()}
        save_tensors(_optimizer_tensors(model, heads, optimizer) | further, temporary / OPTIMIZER)
        if heads is not None:
            tensors = {name: value.detach().cpu().contiguous() for name, value in heads.state_dict().items()}
            save_tensors(tensors, temporary / HEADS)
        (temporary / STATE).write_text(json.dumps({"step": step, **state}, allow_nan=False) + "\n")
        hashes = {p.name: file_hash(p) for p in sorted(temporary.iterdir())}
        (temporary / MANIFEST).write_text(
            json.dumps({"format": FORMAT, "arithmetic": arithmetic_of(model), "step": step, "files": hashes}, indent=1) + "\n"
        )
        if target.exists():  # an earlier attempt at this very step, left by a crash after the rename
            _remove(target)
        commit_folder(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    thin_out(root, keep)
    return Checkpoint(target, step, hashes[WEIGHTS][:16])


def verify(path: Path) -> Checkpoint:
    """Return the checkpoint of a folder after comparing every file with the manifest.

    Raises
    ------
    CheckpointError
        Names the damaged or missing file, and the previous checkpoint if there is one.
    """
    step_text = path.name.partition("-")[2]
    earlier = [s for s in steps_on_disk(path.parent) if step_text.isdigit() and s < int(step_text)]
    remedy = (
        f"delete {path} to go on from {step_folder(path.parent, earlier[-1]).name}"
        if earlier
        else f"delete {path} to start again"
    )
    manifest_path = path / MANIFEST
    try:
        manifest = json.loads(manifest_path.read_text())
        files: dict[str, str] = manifest["files"]
        step = int(manifest["step"])
        if not isinstance(files, dict) or not all(isinstance(v, str) for v in files.values()) or WEIGHTS not in files:
            raise ValueError(f"expected files with their hashes, {WEIGHTS} among them")
    except FileNotFoundError:
        raise CheckpointError(f"{manifest_path}: not found, so the checkpoint cannot be trusted: {remedy}") from None
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"{manifest_path}: not a manifest ({error}): {remedy}") from None
    if manifest.get("format") != FORMAT:
        raise CheckpointError(
            f"{manifest_path}: expected format {FORMAT}, got {manifest.get('format')!r}: written by another version of breadth"
        )
    for name, expected in files.items():
        if Path(name).name != name:
            raise CheckpointError(f"{manifest_path}: {name!r} points outside the checkpoint: {remedy}")
        file = path / name
        if not file.is_file():
            raise CheckpointError(f"{file}: missing, the manifest lists it: the checkpoint is damaged; {remedy}")
        found = file_hash(file)
        if found != expected:
            raise CheckpointError(
                f"{file}: SHA-256 is {found[:16]}…, the manifest says {expected[:16]}…: the checkpoint is damaged; {remedy}"
            )
    return Checkpoint(path, step, files[WEIGHTS][:16])


def load_checkpoint(
    path: Path, model: GPT, optimizer: torch.optim.Optimizer, *, heads: Heads | None = None
) -> tuple[Checkpoint, dict[str, Any]]:
    """Put a verified checkpoint into a model, its heads and their optimiser; return it with the state that was saved beside it.

    Raises
    ------
    CheckpointError
        Damage, weights without their optimiser state, other heads than ``heads`` has, or a training whose last bits this version
        does not repeat.
    """
    from safetensors.torch import load_file

    checkpoint = verify(path)
    arithmetic = json.loads((path / MANIFEST).read_text()).get("arithmetic", 1)
    if arithmetic != arithmetic_of(model):
        raise CheckpointError(
            f"{path / MANIFEST}: expected arithmetic {arithmetic_of(model)}, got {arithmetic}: the training was begun by another version of breadth, "
            "and would go on with other last bits. Finish it with that version, or begin again in a folder of its own; measuring and "
            "reporting what is here still works"
        )
    if not (path / OPTIMIZER).is_file():
        raise CheckpointError(
            f"{path}: holds weights only (its optimiser state was thinned out): training cannot go on from here"
        )
    model.load_state_dict(load_gpt2(path).state_dict())
    if heads is not None:
        found = load_file(path / HEADS) if (path / HEADS).is_file() else {}
        if set(found) != set(heads.state_dict()):
            raise CheckpointError(
                f"{path / HEADS}: expected {', '.join(heads.state_dict())}, got {', '.join(found) or 'no such file'}: "
                "the checkpoint belongs to an objective with other heads; use a run folder of its own"
            )
        heads.load_state_dict(found)
    tensors = load_file(path / OPTIMIZER)
    for name, parameter in named_parameters(model, heads):
        if f"{name}:step" in tensors:
            own = {k: tensors[f"{name}:{k}"] for k in ("step", "exp_avg", "exp_avg_sq")}
            optimizer.state[parameter] = {
                k: v if k == "step" and not parameter.is_cuda else v.to(parameter.device) for k, v in own.items()
            }
    return checkpoint, json.loads((path / STATE).read_text())


def own_tensors(path: Path) -> dict[str, Tensor]:
    """Return what was handed to ``save_checkpoint`` as ``own``; the checkpoint was verified by ``load_checkpoint``."""
    from safetensors.torch import load_file

    found = load_file(path / OPTIMIZER)
    return {name.removeprefix(OWN): value for name, value in found.items() if name.startswith(OWN)}


def _optimizer_tensors(model: GPT, heads: Heads | None, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, parameter in named_parameters(model, heads):
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{name}:{key}"] = torch.as_tensor(value).detach().cpu().contiguous()
    return tensors


def thin_out(root: Path, keep: str) -> None:
    """Take the optimiser state out of older checkpoints, or remove them; finish what a killed process began of it."""
    clear_leftovers(root, r"step-\d+")
    for step in steps_on_disk(root)[:-KEEP_WHOLE]:
        folder = step_folder(root, step)
        if keep == "last":
            _remove(folder)
            continue
        extra = folder / OPTIMIZER
        if extra.is_file():
            manifest = json.loads((folder / MANIFEST).read_text())
            manifest["files"].pop(OPTIMIZER, None)
            write_atomic(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
            extra.unlink()


def _remove(folder: Path) -> None:
    """Remove a checkpoint so that it is whole or gone: it loses its name first."""
    aside = folder.with_name(f".{folder.name}.{os.getpid()}-old.tmp")
    os.rename(folder, aside)
    shutil.rmtree(aside)
