"""A checkpoint to ledger rows: sample sets from it, judge them, and keep the samples that are asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from breadth.config import RunSettings
from breadth.engine.checkpoint import step_folder, steps_on_disk, verify
from breadth.engine.gpt import GPT, load_gpt2
from breadth.engine.machine import Machine
from breadth.engine.policy import score_completions
from breadth.engine.rollout import Sampling, sample
from breadth.engine.run_frame import sampling_of
from breadth.engine.tokenizer import Tokenizer, banned_tokens, load_tokenizer
from breadth.ledger.events import EventLog
from breadth.ledger.rows import measurement_row, write_atomic
from breadth.ledger.run import find_runs, load_run
from breadth.ledger.samples import write_samples
from breadth.metrics.averages import mean_over_texts
from breadth.metrics.measure import measure_sets
from breadth.records import Measurement
from breadth.seeds import derive_seed
from breadth.tasks.protocol import Task
from breadth.tasks.scoring import score_batch

MAX_ROWS = 1024  # samples drawn together; bounds memory
UNSCORED_LIMIT = 0.5  # above this share of failures a measurement would say more about the scorer than about the policy


@dataclass
class CheckpointMeasure:
    """Measures a model of one run; the loop calls it at every checkpoint.

    Each of ``measure.sets`` sets answers one prompt with ``measure.samples_per_set`` fresh samples. Seeds are named by
    (run seed, step, set), so a measurement that is repeated gives the same rows.
    """

    settings: RunSettings
    folder: Path
    task: Task
    prior: GPT
    tokenizer: Tokenizer
    sampling: Sampling | None = None  # how answers are drawn, where it is not as the settings say

    def __call__(self, model: GPT, *, step: int, machine: Machine) -> list[Measurement]:
        s, m = self.settings, self.settings.measure
        self.prior.to(machine.device)
        sampling = sampling_of(m, self.task)
        if s.sample.max_tokens is not None:
            sampling = type(sampling)(**{**vars(sampling), "max_tokens": s.sample.max_tokens})
        sampling = self.sampling or sampling
        banned = banned_tokens(self.tokenizer, end_token=sampling.end_token)
        prompts = self.task.prompts(m.sets, seed=derive_seed(s.seed, "measure", step), split="valid")
        texts: list[str] = []
        asked: list[str] = []
        columns: dict[str, list[np.ndarray]] = {"seq_logp": [], "sampled": [], "prior": [], "length": [], "entropy": []}
        per_call = max(1, MAX_ROWS // m.samples_per_set)
        for first in range(0, m.sets, per_call):
            part = prompts[first : first + per_call]
            repeated = [p for p in part for _ in range(m.samples_per_set)]
            generator = torch.Generator().manual_seed(derive_seed(s.seed, "measure", step, first))
            with machine.autocast():
                rollouts = sample(model, repeated, self.tokenizer, sampling, generator=generator, graphs=machine.graphs)
                prior_logp = score_completions(self.prior, rollouts, banned=banned)
            texts += rollouts.text
            asked += rollouts.prompt
            columns["seq_logp"].append(_sum(rollouts.logp_old))
            columns["sampled"].append(_sum(rollouts.logp_sampled))
            columns["prior"].append(_sum(prior_logp))
            columns["length"].append(rollouts.mask.sum(-1).cpu().numpy())
            columns["entropy"].append(_sum(rollouts.entropy))
        numbers = {name: np.concatenate(parts) for name, parts in columns.items()}
        scored = score_batch(self.task.score, texts, asked, timeout=s.train.reward_timeout)
        if scored.n_unscored > UNSCORED_LIMIT * len(texts):
            raise RuntimeError(
                f"measuring step {step}: {scored.n_unscored} of {len(texts)} samples could not be scored: {'; '.join(scored.failures[:3])}"
            )
        sets = [texts[i : i + m.samples_per_set] for i in range(0, len(texts), m.samples_per_set)]
        rows = measure_sets(
            self.task,
            sets,
            prompts=[asked[i : i + m.samples_per_set] for i in range(0, len(asked), m.samples_per_set)],
            scores=scored.values,
            seq_logp=numbers["seq_logp"],
            seq_logp_prior=numbers["prior"],
            lengths=numbers["length"],
            entropy_sum=numbers["entropy"],
        )
        if m.entropy_of == "truncated":
            per_token = -numbers["sampled"] / np.maximum(numbers["length"], 1)
            members = np.arange(len(texts)).reshape(m.sets, -1)
            written = [rows_of[numbers["length"][rows_of] > 0] for rows_of in members]
            entropy = mean_over_texts("policy_entropy", per_token, written, 0, "nats/token")
            rows = [entropy if row.metric == "policy_entropy" else row for row in rows]
        if m.keep_samples == "all" or (m.keep_samples == "ends" and step in (0, s.train.steps)):
            self._write_samples(step, texts, asked, scored.values, numbers)
        return rows

    def _write_samples(
        self, step: int, texts: list[str], prompts: list[str], quality: np.ndarray, numbers: dict[str, np.ndarray]
    ) -> None:
        n = self.settings.measure.samples_per_set
        keys = self.task.key(texts, prompts)
        valid = self.task.valid(texts, quality, keys=keys)
        write_samples(
            self.folder,
            step,
            {
                "set": [i // n for i in range(len(texts))],
                "index": [i % n for i in range(len(texts))],
                "prompt": prompts,
                "text": texts,
                "quality": [None if np.isnan(q) else float(q) for q in quality],
                "parsable": [k is not None for k in keys],
                "valid": [bool(v) for v in valid],
                "key": keys,
                "seq_logp": [float(v) for v in numbers["seq_logp"]],
                "length": [int(v) for v in numbers["length"]],
            },
        )


def _sum(values: torch.Tensor) -> np.ndarray:
    return values.double().sum(-1).cpu().numpy()


def measure_run(
    path: Path,
    *,
    steps: Sequence[int] | None = None,
    overrides: Mapping[str, Any] | None = None,
    write: bool = False,
    task: Task | None = None,
) -> dict[int, list[Measurement]]:
    """Measure checkpoints of a run again.

    Parameters
    ----------
    steps : sequence of int, optional
        Which checkpoints; default all.
    overrides : dict, optional
        Replaces settings of ``[measure]``, such as ``{"sets": 20}``.
    write : bool
        Replace the run's ledger, and its settings where they were overridden. Only with all checkpoints.
    task : Task, optional
        For a run whose task was an object: its settings cannot make it again.

    Returns
    -------
    dict
        Measurements by step.

    Raises
    ------
    ValueError
        A step that has no checkpoint (names the ones there are), or ``write`` with a choice of steps.
    CheckpointError
        A damaged checkpoint, or a prior that is gone.
    """
    from breadth.experiments.assemble import prior_of_run, settings_of_run, task_of

    run = load_run(path)
    settings = settings_of_run(run.path)
    if overrides:
        changed = type(settings.measure)(**{**settings.measure.model_dump(), **overrides})
        settings = settings.model_copy(update={"measure": changed})
    root = run.path / "checkpoints"
    there = steps_on_disk(root)
    if not there:
        raise FileNotFoundError(f"{root}: no checkpoints: nothing to measure")
    missing = sorted(set(steps or ()) - set(there))
    if missing:
        raise ValueError(f"{run.path}: no checkpoint at step {missing[0]}; there are {there}")
    if write and steps:
        raise ValueError(
            "write: a ledger holds all checkpoints of a run, so it cannot be replaced by some of them: leave --step out"
        )
    prior = prior_of_run(run.path)
    tokenizer = load_tokenizer(prior)
    machine = Machine(settings.engine)
    keep = (
        settings
        if write
        else settings.model_copy(update={"measure": settings.measure.model_copy(update={"keep_samples": "none"})})
    )
    measure = CheckpointMeasure(keep, run.path, task or task_of(settings), load_gpt2(prior, dropout=0.0), tokenizer)
    out: dict[int, list[Measurement]] = {}
    rows = []
    for step in steps or there:
        checkpoint = verify(step_folder(root, step))
        out[step] = measure(load_gpt2(checkpoint.path, dropout=0.0).to(machine.device), step=step, machine=machine)
        about = {"study": settings.study, "objective": settings.name, "seed": settings.seed, "step": step}
        rows += [measurement_row(m, **about, checkpoint=checkpoint.weights_hash) for m in out[step]]
    if write:
        write_atomic(run.path / "config.json", (json.dumps(settings.model_dump(mode="json"), indent=1) + "\n").encode())
        write_atomic(
            run.path / "ledger.jsonl",
            "".join(json.dumps(r, ensure_ascii=False, allow_nan=False) + "\n" for r in rows).encode(),
        )
        EventLog(run.path / "events.jsonl").add("measured again", steps=sorted(out), overrides=dict(overrides or {}))
    return out


def measure_all(paths: Sequence[Path], **options: Any) -> dict[str, dict[int, list[Measurement]]]:
    """Measure every run at or below some paths; the result is by run folder."""
    found = [run for path in paths for run in find_runs(path)]
    if not found:
        raise FileNotFoundError(
            f"{', '.join(map(str, paths))}: no run folders there (a run folder holds config.json and ledger.jsonl)"
        )
    return {str(run): measure_run(run, **options) for run in found}
