"""Decoding sweeps: a trained checkpoint sampled under many conditions. Nothing is trained; the rows have a ledger of their own.

``sweep.jsonl`` lies beside a run's ``ledger.jsonl``. Its rows are ledger rows with the conditions (temperature, top_k, top_p, min_p)
and the sizes of the sample. Every condition is drawn from the same random numbers as the run's own measurement of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from breadth.engine.checkpoint import step_folder, steps_on_disk, verify
from breadth.engine.gpt import load_gpt2
from breadth.engine.machine import Machine
from breadth.engine.run_frame import sampling_of
from breadth.engine.tokenizer import load_tokenizer
from breadth.experiments.assemble import prior_of_run, settings_of_run, task_of
from breadth.experiments.compare import Metrics, check_comparable, common_qualities, pick_baseline
from breadth.experiments.measure import CheckpointMeasure
from breadth.laws.envelope import CONDITIONS, EnvelopeLift, Swept, condition_words, correct_envelopes, envelope_lifts
from breadth.ledger.events import EventLog
from breadth.ledger.rows import append_rows, measurement_row, read_rows
from breadth.ledger.run import Run, load_run
from breadth.tasks.protocol import Task

SWEEP = "sweep.jsonl"
TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.5)  # what a sweep without a word about conditions looks at


@dataclass(frozen=True)
class Condition:
    """How answers are drawn: temperature first, then the cuts."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        wrong = None
        if not self.temperature > 0:
            wrong = f"temperature: expected above 0, got {self.temperature}"
        elif self.top_k < 0:
            wrong = f"top_k: expected 0 (all tokens) or more, got {self.top_k}"
        elif not 0 < self.top_p <= 1:
            wrong = f"top_p: expected above 0 and at most 1, got {self.top_p}"
        elif not 0 <= self.min_p < 1:
            wrong = f"min_p: expected 0 or more and below 1, got {self.min_p}"
        if wrong:
            raise ValueError(wrong)


def conditions(
    temperatures: Sequence[float] = (),
    top_ps: Sequence[float] = (),
    min_ps: Sequence[float] = (),
    top_ks: Sequence[int] = (),
    *,
    every_combination: bool = False,
) -> list[Condition]:
    """Return the conditions of a sweep, each once, in the order named.

    Without ``every_combination`` one thing is changed at a time: each temperature with nothing cut, each cut at temperature 1. With
    it, each cut is applied at each temperature. Nothing named: ``TEMPERATURES``.

    Raises
    ------
    ValueError
        For a temperature that is not above 0, a top_p outside (0, 1], a min_p outside [0, 1) or a negative top_k.

    Examples
    --------
    >>> [condition_words(asdict(c)) for c in conditions([0.5, 1.0], [0.9])]
    ['temperature 0.5', 'temperature 1', 'top_p 0.9']
    >>> len(conditions([0.5, 1.0], [0.9, 1.0], [0.0, 0.1], every_combination=True))
    8
    """
    if every_combination:
        grid = product(temperatures or (1.0,), top_ks or (0,), top_ps or (1.0,), min_ps or (0.0,))
        found = [Condition(t, k, p, m) for t, k, p, m in grid]
    else:
        found = [Condition(temperature=t) for t in temperatures]
        found += [Condition(top_k=k) for k in top_ks]
        found += [Condition(top_p=p) for p in top_ps]
        found += [Condition(min_p=m) for m in min_ps]
    return list(dict.fromkeys(found)) or [Condition(temperature=t) for t in TEMPERATURES]


def sweep_run(
    path: Path,
    wanted: Sequence[Condition],
    *,
    steps: Sequence[int] | None = None,
    sets: int | None = None,
    samples_per_set: int | None = None,
    task: Task | None = None,
    on_point: Callable[[str], None] = lambda words: None,
) -> list[dict[str, Any]]:
    """Sample checkpoints of a run under conditions, append what is new to ``sweep.jsonl``, and return the rows that were asked for.

    Parameters
    ----------
    steps : sequence of int, optional
        Checkpoints. Default: the last one.
    sets, samples_per_set : int, optional
        Default: those of the run's measurements.
    task : Task, optional
        For a run whose task was an object.
    on_point : function
        Told of every (checkpoint, condition) before it is sampled.

    Returns
    -------
    list of rows
        A point that the file holds already, from the same weights and with as many samples, is not sampled again.
        ``policy_entropy`` is −log of the distribution that was sampled from, so it answers to the conditions;
        ``token_entropy`` is that of the untempered policy at the sampled positions.

    Raises
    ------
    ValueError
        A step that has no checkpoint (names those there are).
    CheckpointError
        A damaged checkpoint.
    """
    run = load_run(path)
    settings = settings_of_run(run.path)
    m = settings.measure
    sizes = {"n_sets": sets or m.sets, "samples_per_set": samples_per_set or m.samples_per_set}
    asked = {"sets": sizes["n_sets"], "samples_per_set": sizes["samples_per_set"]}
    measured = type(m)(**{**m.model_dump(), **asked, "entropy_of": "truncated", "keep_samples": "none"})
    settings = settings.model_copy(update={"measure": measured})
    root = run.path / "checkpoints"
    there = steps_on_disk(root)
    if not there:
        raise FileNotFoundError(f"{root}: no checkpoints: nothing to sample from")
    steps = list(steps) if steps else there[-1:]
    missing = sorted(set(steps) - set(there))
    if missing:
        raise ValueError(f"{run.path}: no checkpoint at step {missing[0]}; there are {there}")
    file = run.path / SWEEP
    events = EventLog(run.path / "events.jsonl")
    known: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in read_rows(file, on_repair=lambda text: events.add("repaired", what=text)) if file.is_file() else ():
        known.setdefault(_key(row), []).append(row)
    prior = prior_of_run(run.path)
    tokenizer, machine = load_tokenizer(prior), Machine(settings.engine)
    prior_model = load_gpt2(prior, dropout=0.0)
    task = task or task_of(settings)
    how = sampling_of(settings.measure, task)
    if settings.sample.max_tokens is not None:
        how = replace(how, max_tokens=settings.sample.max_tokens)
    out = []
    for step in steps:
        checkpoint = verify(step_folder(root, step))
        model = None
        for condition in wanted:
            facts = {"step": step, "checkpoint": checkpoint.weights_hash, **asdict(condition), **sizes}
            found = known.get(_key(facts))
            if found is None:
                on_point(f"{run.label}, seed {run.seed}, step {step}: {condition_words(facts)}")
                model = model or load_gpt2(checkpoint.path, dropout=0.0).to(machine.device)
                measure = CheckpointMeasure(
                    settings, run.path, task, prior_model, tokenizer, replace(how, **asdict(condition))
                )
                about = {"study": run.study, "objective": run.label, "seed": run.seed, "step": step}
                found = [
                    {**measurement_row(m, **about, checkpoint=checkpoint.weights_hash), **asdict(condition), **sizes}
                    for m in measure(model, step=step, machine=machine)
                ]
                append_rows(file, found)
                known[_key(facts)] = found
            out += found
    return out


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("step", "checkpoint", *CONDITIONS, "n_sets", "samples_per_set"))


def read_sweep(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's ``sweep.jsonl``; empty where it was never swept."""
    file = Path(path) / SWEEP
    return read_rows(file) if file.is_file() else []


def swept(run: Run) -> Swept:
    """Return a run with its sweep; ValueError with the command to run where it has none."""
    rows = read_sweep(run.path)
    if not rows:
        raise ValueError(
            f"{run.path}: this run has no decoding sweep (sweep.jsonl): run breadth sweep {run.path} first"
        )
    return Swept(run, rows)


def compare_envelopes(
    runs: dict[str, list[Run]],
    *,
    baseline: str | None = None,
    at_quality: Sequence[float] = (0.9, 0.95),
    margin: float = 0.02,
    diversity: str = "diversity_valid",
    quality: str = "quality",
) -> list[EnvelopeLift]:
    """Hold every objective against the envelope of the baseline's sweep, at each quality, corrected for their number (Holm).

    Raises
    ------
    ValueError
        Where a run of the baseline was not swept, or the runs cannot be compared.
    """
    check_comparable(runs)
    baseline = pick_baseline(runs, baseline)
    against = [swept(run) for run in runs[baseline]]
    metrics = Metrics(quality=quality, frontier_diversity=diversity)
    methods = {
        label: [Swept(run, rows) if (rows := read_sweep(run.path)) else run for run in members]
        for label, members in runs.items()
        if label != baseline
    }
    found = []
    for q in common_qualities(runs, at_quality, metrics):
        family = [
            envelope_lifts(members, against, [q], metric=diversity, quality_metric=quality, margin=margin)[0]
            for members in methods.values()
        ]
        found += correct_envelopes(family)
    return found
