"""Several checkpoints as one policy: the mixture's quality, diversity and entropy beside each member's, at an equal number of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp

from breadth.engine.checkpoint import step_folder, steps_on_disk, verify
from breadth.engine.gpt import GPT, load_gpt2
from breadth.engine.machine import Machine
from breadth.engine.policy import score_completions
from breadth.engine.rollout import sample
from breadth.engine.run_frame import sampling_of
from breadth.engine.tokenizer import banned_tokens, load_tokenizer
from breadth.experiments.assemble import prior_of_run, settings_of_run, task_of
from breadth.experiments.compare import check_same_start
from breadth.experiments.drawing import split_run
from breadth.experiments.measure import MAX_ROWS
from breadth.laws.frontier import diversity_at_quality
from breadth.laws.runs import run_sets
from breadth.ledger.run import Run, load_run
from breadth.metrics.measure import measure_sets
from breadth.metrics.mixture import checked_weights, member_distances, mixture_distance, shares
from breadth.records import Measurement
from breadth.seeds import derive_seed
from breadth.tasks.protocol import Task
from breadth.tasks.scoring import score_batch


@dataclass(frozen=True)
class Member:
    """One checkpoint of an ensemble, alone at the full number of answers."""

    name: str
    run: str
    step: int
    weight: float
    rows: tuple[Measurement, ...]
    at_equal_quality: (
        float | None
    )  # D on its run's attainment frontier at the mixture's quality; None where never reached

    def value(self, metric: str) -> float | None:
        return next((row.value for row in self.rows if row.metric == metric), None)


@dataclass(frozen=True)
class Ensemble:
    """A mixture beside its members. ``chosen`` is the greedy order, with the D of each prefix on answers that did not choose it."""

    members: tuple[Member, ...]
    rows: tuple[Measurement, ...]  # of the mixture
    identity: float | None  # Σ wᵢwⱼDᵢⱼ over all answers of the members, mean over sets
    between: tuple[tuple[float | None, ...], ...]  # mean distances within (diagonal) and between members
    n_answers: int  # of the mixture, and of each member alone
    chosen: tuple[dict[str, Any], ...]
    sentence: str


@dataclass
class _Draws:
    """What a member gave: texts by set, scores, keys, and log-probabilities under every member."""

    name: str
    run: Run
    step: int
    model: GPT
    rollouts: list[Any] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    under: np.ndarray = field(default_factory=lambda: np.empty(0))  # (K, M)


def ensemble(
    names: Sequence[str],
    weights: Sequence[float] | None = None,
    *,
    sets: int | None = None,
    samples_per_set: int | None = None,
    seed: int = 0,
    at_quality: float | None = None,
    task: Task | None = None,
) -> Ensemble:
    """Return a mixture of checkpoints, measured.

    Parameters
    ----------
    names : sequence of "RUN" or "RUN@STEP"
        Runs from one prior on one task, measured alike.
    weights : K numbers, optional
        Default: equal.
    sets, samples_per_set : int, optional
        Default: those of the first run's measurements. The mixture and each member alone have equally many answers.
    seed : int
        Equal seeds give equal numbers.
    at_quality : float, optional
        The greedy choice keeps the mean quality of those chosen at or above it. Default: no bound.
    task : Task, optional
        For runs whose task was an object.

    Returns
    -------
    Ensemble
        ``policy_entropy`` of the mixture is −E[log Σ wᵢπᵢ(x)/|x|]: every answer is scored under every member. ``token_entropy`` has no
        meaning for a mixture and is left out.

    Raises
    ------
    ValueError
        Fewer than two members, runs that do not belong together, weights that are none, or a step without a checkpoint.
    """
    if len(names) < 2:
        raise ValueError(f"ensemble: expected two members or more, got {len(names)}")
    draws = [_load(name) for name in names]
    check_same_start([one.run for one in draws])
    w = checked_weights([1.0] * len(names) if weights is None else weights, len(names))
    settings = settings_of_run(draws[0].run.path)
    m = settings.measure
    n_sets, n = sets or m.sets, samples_per_set or m.samples_per_set
    task = task or task_of(settings)
    machine = Machine(settings.engine)
    tokenizer = load_tokenizer(prior_of_run(draws[0].run.path))
    how = sampling_of(m, task)
    if settings.sample.max_tokens is not None:
        how = type(how)(**{**vars(how), "max_tokens": settings.sample.max_tokens})
    banned = banned_tokens(tokenizer, end_token=how.end_token)
    prompts = task.prompts(n_sets, seed=derive_seed(seed, "ensemble"), split="valid")
    asked = [p for p in prompts for _ in range(n)]
    for i, one in enumerate(draws):
        one.model.to(machine.device)
        for begin in range(0, len(asked), MAX_ROWS):
            generator = torch.Generator().manual_seed(derive_seed(seed, "ensemble", i, begin))
            with machine.autocast():
                one.rollouts.append(
                    sample(one.model, asked[begin : begin + MAX_ROWS], tokenizer, how, generator=generator)
                )
        one.texts = [text for part in one.rollouts for text in part.text]
        scored = score_batch(task.score, one.texts, asked)
        lengths = np.concatenate([part.mask.sum(-1).cpu().numpy() for part in one.rollouts])
        one.columns = {"scores": scored.values, "lengths": lengths}
    for one in draws:
        with machine.autocast():
            one.under = np.array([_logp(other.model, one.rollouts, banned) for other in draws])

    members = []
    for i, one in enumerate(draws):
        rows = _measure(task, prompts, n, one.texts, one.columns, one.under[i])
        members.append((one, rows))
    mixed = _mixed(draws, w, n_sets, n)
    mixture = _measure(task, prompts, n, *mixed)
    between = _between(task, draws, prompts, n)
    r_mix = next(row.value for row in mixture if row.metric == "quality")
    identities = [mixture_distance(matrix, w) for matrix in between if _told(matrix, w)]
    found = tuple(
        Member(one.name, str(one.run.path), one.step, float(weight), tuple(rows), _at(one.run, r_mix))
        for (one, rows), weight in zip(members, w, strict=True)
    )
    known = [np.nanmean([matrix[i, j] for matrix in between]) if any(np.isfinite(matrix[i, j]) for matrix in between) else np.nan
             for i in range(len(w)) for j in range(len(w))]  # fmt: skip
    square = np.array(known).reshape(len(w), len(w))
    return Ensemble(
        members=found,
        rows=tuple(mixture),
        identity=float(np.mean(identities)) if identities else None,
        between=tuple(tuple(None if np.isnan(v) else float(v) for v in row) for row in square),
        n_answers=n_sets * n,
        chosen=tuple(_greedy(draws, between, at_quality, n)),
        sentence=_sentence(found, mixture),
    )


def _load(name: str) -> _Draws:
    folder, step = split_run(name)
    run = load_run(folder)
    there = steps_on_disk(run.path / "checkpoints")
    if not there:
        raise FileNotFoundError(f"{run.path / 'checkpoints'}: no checkpoints: nothing to sample from")
    step = there[-1] if step is None else step
    if step not in there:
        raise ValueError(f"{run.path}: no checkpoint at step {step}; there are {there}")
    model = load_gpt2(verify(step_folder(run.path / "checkpoints", step)).path, dropout=0.0)
    return _Draws(f"{run.label}, seed {run.seed}, step {step}", run, step, model)


def _logp(model: GPT, rollouts: Sequence[Any], banned: list[int]) -> np.ndarray:
    return np.concatenate(
        [score_completions(model, part, banned=banned).double().sum(-1).cpu().numpy() for part in rollouts]
    )


def _measure(
    task: Task, prompts: list[str], n: int, texts: list[str], columns: dict[str, np.ndarray], seq_logp: np.ndarray
) -> list[Measurement]:
    sets = [texts[i : i + n] for i in range(0, len(texts), n)]
    return measure_sets(
        task,
        sets,
        prompts=[[p] * n for p in prompts],
        scores=columns["scores"],
        seq_logp=seq_logp,
        lengths=columns["lengths"],
    )


def _mixed(
    draws: Sequence[_Draws], w: np.ndarray, n_sets: int, n: int
) -> tuple[list[str], dict[str, np.ndarray], np.ndarray]:
    """Return texts, columns and log-probabilities of the mixture: of every set the first answers of each member, by its share."""
    counts = shares(w.tolist(), n)
    texts: list[str] = []
    parts: dict[str, list[np.ndarray]] = {"scores": [], "lengths": [], "logp": []}
    for s in range(n_sets):
        for one, count in zip(draws, counts, strict=True):
            rows = slice(s * n, s * n + count)
            texts += one.texts[rows]
            for name in ("scores", "lengths"):
                parts[name].append(one.columns[name][rows])
            with np.errstate(divide="ignore"):
                parts["logp"].append(logsumexp(one.under[:, rows] + np.log(w)[:, None], axis=0))
    joined = {name: np.concatenate(part) for name, part in parts.items()}
    return texts, {name: joined[name] for name in ("scores", "lengths")}, joined["logp"]


def _between(task: Task, draws: Sequence[_Draws], prompts: list[str], n: int) -> list[np.ndarray]:
    """Return for each set the distances within and between members, over parsable answers, (K, K)."""
    found = []
    for s, prompt in enumerate(prompts):
        texts = [text for one in draws for text in one.texts[s * n : (s + 1) * n]]
        member = np.repeat(np.arange(len(draws)), n)
        keep = np.array([key is not None for key in task.key(texts, [prompt] * len(texts))])
        kept = [text for text, good in zip(texts, keep, strict=True) if good]
        found.append(member_distances(task.distance_within(kept, prompt), member[keep], len(draws)))
    return found


def _told(matrix: np.ndarray, w: np.ndarray) -> bool:
    return bool(np.isfinite(matrix[np.ix_(w > 0, w > 0)]).all())


def _at(run: Run, quality: float | None) -> float | None:
    if quality is None:
        return None
    steps, r, d = run_sets(run, "quality", "diversity")
    return diversity_at_quality(r, d, quality, steps).value


def _greedy(draws: Sequence[_Draws], between: list[np.ndarray], least: float | None, n: int) -> list[dict[str, Any]]:
    """Return the members in the order of a greedy choice with equal weights: chosen on even sets, read on odd ones."""
    means = []
    for half in (between[0::2], between[1::2]):
        if not half:
            return []
        stack = np.array(half)
        known = np.isfinite(stack)
        means.append(
            np.divide(
                np.where(known, stack, 0).sum(0), known.sum(0), out=np.full(stack.shape[1:], np.nan), where=known.any(0)
            )
        )
    quality = np.array(
        [[np.nanmean(one.columns["scores"].reshape(-1, n)[part::2]) for one in draws] for part in (0, 1)]
    )
    chosen: list[int] = []
    rows: list[dict[str, Any]] = []
    best = -np.inf
    while len(chosen) < len(draws):
        tried = []
        for i in range(len(draws)):
            some = [*chosen, i]
            if i in chosen or not np.isfinite(means[0][np.ix_(some, some)]).all():
                continue
            if least is None or quality[0][some].mean() >= least:
                tried.append((mixture_distance(means[0][np.ix_(some, some)], [1] * len(some)), i))
        if not tried or max(tried)[0] <= best:
            break
        best, i = max(tried, key=lambda pair: (pair[0], -pair[1]))
        chosen.append(i)
        fresh = means[1][np.ix_(chosen, chosen)]
        read = mixture_distance(fresh, [1] * len(chosen)) if np.isfinite(fresh).all() else None
        rows.append({"member": draws[i].name, "diversity": read, "quality": float(quality[1][chosen].mean())})
    return rows


def _sentence(members: Sequence[Member], mixture: Sequence[Measurement]) -> str:
    rows = {row.metric: row.value for row in mixture}
    r, d = rows["quality"], rows["diversity"]
    if r is None or d is None:
        return "The mixture has no diversity: too few of its answers can be parsed."
    alone = [member.value("diversity") for member in members]
    best = max((v for v in alone if v is not None), default=None)
    words = f"The mixture of {len(members)} has R {r:.3f} and D {d:.3f}"
    words += "" if best is None else f"; its broadest member alone D {best:.3f}"
    equal = [member.at_equal_quality for member in members if member.at_equal_quality is not None]
    words += f"; at R ≥ {r:.3f} the members' own runs kept D up to {max(equal):.3f}" if equal else ""
    return words + "."
