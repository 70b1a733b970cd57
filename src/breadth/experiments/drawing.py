"""Fresh samples of a checkpoint, judged by the run's task: for the bench, not for the ledger."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from breadth.engine.checkpoint import step_folder, steps_on_disk, verify
from breadth.engine.gpt import load_gpt2
from breadth.engine.machine import Machine
from breadth.engine.rollout import sample
from breadth.engine.run_frame import sampling_of
from breadth.engine.tokenizer import load_tokenizer
from breadth.experiments.assemble import prior_of_run, settings_of_run, task_of
from breadth.ledger.run import load_run
from breadth.seeds import derive_seed
from breadth.tasks.protocol import Task
from breadth.tasks.scoring import score_batch

PER_CALL = 1024  # samples drawn together; bounds memory
MOST_DRAWS = 20  # for distinct answers: so many times the number that was asked for


@dataclass(frozen=True)
class Drawn:
    """Samples of one checkpoint, beside each other, in the order in which they were drawn."""

    run: Path
    label: str
    run_seed: int
    step: int
    seed: int
    task: Task
    n_drawn: int  # more than there are texts where only distinct answers were kept
    prompt: list[str]
    text: list[str]
    key: list[str | None]  # None = cannot be parsed
    quality: list[float | None]  # None = unscored
    valid: list[bool]
    seq_logp: list[float]  # nats, untempered policy
    length: list[int]
    failures: tuple[str, ...]

    def columns(self) -> dict[str, list[Any]]:
        """Return the samples as columns of a table, which ``breadth measure`` and ``breadth audit`` read back."""
        return {
            "text": self.text, "prompt": self.prompt, "key": self.key, "quality": self.quality,
            "parsable": [k is not None for k in self.key], "valid": self.valid, "seq_logp": self.seq_logp,
            "length": self.length,
        }  # fmt: skip


def split_run(text: str) -> tuple[Path, int | None]:
    """Return the folder and the step of ``RUN@STEP``; None for ``RUN`` or ``RUN@last``, 0 for ``RUN@prior``.

    Examples
    --------
    >>> split_run("runs/qed@300")[1], split_run("runs/qed")[1], split_run("runs/qed@prior")[1]
    (300, None, 0)
    """
    found = None if Path(text).exists() else re.fullmatch(r"(.+)@(\d+|last|prior)", text)
    if found is None:
        return Path(text), None
    return Path(found[1]), {"last": None, "prior": 0}.get(found[2], int(found[2]) if found[2].isdigit() else None)


def draw_samples(
    path: Path,
    *,
    step: int | None = None,
    n: int = 1000,
    seed: int = 0,
    unique: bool = False,
    sampling: Mapping[str, Any] | None = None,
    task: Task | None = None,
) -> Drawn:
    """Return n fresh samples of a checkpoint with their quality.

    Parameters
    ----------
    path : Path
        A run folder.
    step : int, optional
        Default: the last checkpoint.
    n : int
        How many.
    seed : int
        Equal seeds give equal samples; independent of the seeds of training and measurement.
    unique : bool
        Keep the first of equal valid answers only, and draw on until there are n, or up to 20·n draws.
    sampling : mapping, optional
        ``temperature``, ``top_k``, ``top_p``, ``min_p``, ``max_tokens``; default those of the run's measurements.
    task : Task, optional
        For a run whose task was an object.

    Raises
    ------
    ValueError
        No such checkpoint (names those there are), or n below 1.
    CheckpointError
        A damaged checkpoint.
    """
    if n < 1:
        raise ValueError(f"n: expected at least 1 sample, got {n}")
    run = load_run(path)
    settings = settings_of_run(run.path)
    root = run.path / "checkpoints"
    there = steps_on_disk(root)
    if not there:
        raise FileNotFoundError(f"{root}: no checkpoints: nothing to sample from")
    step = there[-1] if step is None else step
    if step not in there:
        raise ValueError(f"{run.path}: no checkpoint at step {step}; there are {there}")
    task = task or task_of(settings)
    machine = Machine(settings.engine)
    model = load_gpt2(verify(step_folder(root, step)).path, dropout=0.0).to(machine.device)
    tokenizer = load_tokenizer(prior_of_run(run.path))
    how = sampling_of(settings.measure, task)
    given = {k: v for k, v in (sampling or {}).items() if v is not None}
    if settings.sample.max_tokens is not None:
        given.setdefault("max_tokens", settings.sample.max_tokens)
    how = type(how)(**{**vars(how), **given})

    kept: dict[str, list[Any]] = {
        name: [] for name in ("prompt", "text", "key", "quality", "valid", "seq_logp", "length")
    }
    seen: set[tuple[str, str]] = set()
    failures: list[str] = []
    n_drawn = 0
    while len(kept["text"]) < n and n_drawn < (MOST_DRAWS * n if unique else n):
        size = PER_CALL if unique else min(PER_CALL, n - n_drawn)
        prompts = task.prompts(size, seed=derive_seed(seed, "sample prompts", n_drawn), split="valid")
        generator = torch.Generator().manual_seed(derive_seed(seed, "sample", step, n_drawn))
        with machine.autocast():
            rollouts = sample(model, prompts, tokenizer, how, generator=generator)
        scored = score_batch(task.score, rollouts.text, rollouts.prompt)
        keys = task.key(rollouts.text, rollouts.prompt)
        valid = task.valid(rollouts.text, scored.values, keys=keys)
        failures += scored.failures
        logp = rollouts.logp_old.double().sum(-1).tolist()
        lengths = rollouts.mask.sum(-1).tolist()
        for i, key in enumerate(keys):
            if len(kept["text"]) == n:
                break
            n_drawn += 1
            if unique:
                if key is None or not valid[i] or (rollouts.prompt[i], key) in seen:
                    continue
                seen.add((rollouts.prompt[i], key))
            quality = None if np.isnan(scored.values[i]) else float(scored.values[i])
            row = (rollouts.prompt[i], rollouts.text[i], key, quality, bool(valid[i]), logp[i], lengths[i])
            for name, value in zip(kept, row, strict=True):
                kept[name].append(value)
    return Drawn(
        run=run.path, label=run.label, run_seed=run.seed, step=step, seed=seed, task=task, n_drawn=n_drawn, **kept,
        failures=tuple(dict.fromkeys(failures)),
    )  # fmt: skip
