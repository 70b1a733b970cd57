"""Where a run's diversity went: entropy of tokens and of answers apart, checkpoint by checkpoint, from fresh samples and the prior's view.

Token entropy and answer diversity need not move together: a policy can be unsure of many tokens and always end at one answer, or
sure of almost every token and fork where it counts. ``where.json`` lies beside the run's ledger and is read by the report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from breadth.engine.checkpoint import step_folder, steps_on_disk, verify
from breadth.engine.gpt import load_gpt2
from breadth.engine.machine import Machine
from breadth.engine.policy import score_completions
from breadth.engine.rollout import sample
from breadth.engine.run_frame import sampling_of
from breadth.engine.tokenizer import banned_tokens, load_tokenizer
from breadth.experiments.assemble import prior_of_run, settings_of_run, task_of
from breadth.experiments.where_answers import answer_entropy, format_shares, lost_modes, split_by_solved, writings
from breadth.experiments.where_tokens import TOKEN_CLASSES, by_position, class_table, forks, kl_by_class
from breadth.ledger.rows import write_atomic
from breadth.ledger.run import load_run
from breadth.seeds import derive_seed
from breadth.tasks.protocol import Task
from breadth.tasks.scoring import score_batch

WHERE = "where.json"
FORMAT = 1
PER_CALL = 1024  # samples drawn together; bounds memory
N_CHECKPOINTS = 7  # looked at where none is named: the first, the last and five between them
N_PROMPTS, N_ANSWERS = 24, 32  # where a task has prompts
N_ALONE = 512  # answers where it has one prompt


def where_run(
    path: Path,
    *,
    steps: Sequence[int] | None = None,
    n_prompts: int | None = None,
    n_answers: int | None = None,
    seed: int = 0,
    task: Task | None = None,
    write: bool = True,
    on_step: Callable[[int], None] = lambda step: None,
) -> dict[str, Any]:
    """Return, and write to ``where.json``, where the diversity of a run went.

    Parameters
    ----------
    steps : sequence of int, optional
        Checkpoints. Default: seven of them, the first and the last among them.
    n_prompts, n_answers : int, optional
        Prompts of the validation split, the same at every checkpoint, and answers to each. Default: 24 and 32; a task with one prompt
        is asked 512 times.
    seed : int
        Equal seeds give equal numbers.
    task : Task, optional
        For a run whose task was an object.

    Returns
    -------
    dict
        docs/where.md says what each number is. Answers are sampled as the run is measured; token entropies are those of the
        untempered policy at the sampled positions.

    Raises
    ------
    ValueError
        A step that has no checkpoint (names those there are), or fewer than two answers a prompt.
    CheckpointError
        A damaged checkpoint.
    """
    run = load_run(path)
    settings = settings_of_run(run.path)
    root = run.path / "checkpoints"
    there = steps_on_disk(root)
    if not there:
        raise FileNotFoundError(f"{root}: no checkpoints: nothing to sample from")
    missing = sorted(set(steps or ()) - set(there))
    if missing:
        raise ValueError(f"{run.path}: no checkpoint at step {missing[0]}; there are {there}")
    chosen = sorted(set(steps)) if steps else _spread(there)
    task = task or task_of(settings)
    prompts = list(
        dict.fromkeys(task.prompts(n_prompts or N_PROMPTS, seed=derive_seed(seed, "where prompts"), split="valid"))
    )
    k = n_answers or (N_ALONE if len(prompts) == 1 else N_ANSWERS)
    if k < 2:
        raise ValueError(f"n_answers: expected at least 2 answers a prompt, got {k}")
    machine = Machine(settings.engine)
    prior_path = prior_of_run(run.path)
    tokenizer = load_tokenizer(prior_path)
    prior = load_gpt2(prior_path, dropout=0.0).to(machine.device)
    how = sampling_of(settings.measure, task)
    if settings.sample.max_tokens is not None:
        how = type(how)(**{**vars(how), "max_tokens": settings.sample.max_tokens})
    banned = banned_tokens(tokenizer, end_token=how.end_token)
    kinds = class_table([_token_text(tokenizer, i) for i in range(prior.shape.vocab_size)])
    correct_at = task.describe().correct_at

    rows: list[dict[str, Any]] = []
    first: dict[str, Any] = {}
    last: dict[str, Any] = {}
    for step in chosen:
        on_step(step)
        checkpoint = verify(step_folder(root, step))
        model = load_gpt2(checkpoint.path, dropout=0.0).to(machine.device)
        asked = [p for p in prompts for _ in range(k)]
        parts: dict[str, list[np.ndarray]] = {name: [] for name in ("entropy", "gap", "mask", "kind")}
        texts: list[str] = []
        for begin in range(0, len(asked), PER_CALL):
            generator = torch.Generator().manual_seed(derive_seed(seed, "where", begin))
            with machine.autocast():
                rollouts = sample(model, asked[begin : begin + PER_CALL], tokenizer, how, generator=generator)
                prior_logp = score_completions(prior, rollouts, banned=banned)
            texts += rollouts.text
            parts["entropy"].append(rollouts.entropy.double().cpu().numpy())
            parts["gap"].append((rollouts.logp_old - prior_logp).double().cpu().numpy())
            parts["mask"].append(rollouts.mask.cpu().numpy())
            parts["kind"].append(kinds[rollouts.tokens.cpu().numpy()])
        entropy, gap, mask, kind = (_stacked(parts[name]) for name in ("entropy", "gap", "mask", "kind"))
        mask = mask.astype(bool)
        scored = score_batch(task.score, texts, asked)
        keys = task.key(texts, asked)
        by_prompt, pairs = _by_prompt(prompts, k, texts, keys, scored.values, correct_at)
        if not first:
            first, before = by_prompt, pairs
        last, after = by_prompt, pairs
        known = [row for row in by_prompt.values() if row["entropy"] is not None]
        rows.append(
            {
                "step": step,
                "checkpoint": checkpoint.weights_hash,
                "quality": _mean([float(v) for v in scored.values if not np.isnan(v)]),
                "correct_share": float(np.mean(np.nan_to_num(scored.values, nan=0.0) >= correct_at)),
                "n_unscored": scored.n_unscored,
                "token_entropy": float(entropy[mask].mean()),
                "positions": by_position(entropy, mask),
                "forks": forks(entropy, mask),
                "answer_entropy": _mean([row["entropy"] for row in known]),
                "answer_entropy_corrected": _mean([row["entropy_corrected"] for row in known]),
                "top_mass": _mean([row["top_mass"] for row in known]),
                "distinct_answers": _mean([float(row["n_distinct"]) for row in known]),
                "n_prompts_told": len(known),
                "kl": float(np.where(mask, gap, 0.0).sum(1).mean()),
                "kl_by_class": kl_by_class(gap, kind, mask),
                "formats": format_shares(texts),
                "writings": writings(
                    texts, [None if key is None else f"{p}\n{key}" for p, key in zip(asked, keys, strict=True)]
                ),
                "by_solved": split_by_solved(first, by_prompt) if len(prompts) > 1 else None,
            }
        )
    found = {
        "format": FORMAT,
        "objective": run.label,
        "seed": run.seed,
        "study": run.study,
        "prompts": len(prompts),
        "answers": k,
        "sampling_seed": seed,
        "temperature": how.temperature,
        "token_classes": list(TOKEN_CLASSES),
        "steps": rows,
        "prompt_changes": _changes(first, last) if len(prompts) > 1 else [],
        "lost": lost_modes(before, after) if len(chosen) > 1 else [],
    }
    if write:
        text = json.dumps(found, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
        write_atomic(run.path / WHERE, text.encode())
    return found


def read_where(path: Path) -> dict[str, Any] | None:
    """Return what ``breadth where`` wrote beside a run's ledger, or None; ValueError that names the file where it is damaged."""
    file = Path(path) / WHERE
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}: not JSON ({error}): run breadth where {path} again") from None


def _by_prompt(
    prompts: list[str], k: int, texts: list[str], keys: list[str | None], quality: np.ndarray, correct_at: float
) -> tuple[dict[str, dict[str, Any]], dict[str, list[tuple[str | None, str]]]]:
    answers, pairs = {}, {}
    for i, prompt in enumerate(prompts):
        rows = slice(i * k, (i + 1) * k)
        right = int((np.nan_to_num(quality[rows], nan=-np.inf) >= correct_at).sum())
        answers[prompt] = {**answer_entropy(keys[rows]), "n_correct": right}
        pairs[prompt] = list(zip(keys[rows], texts[rows], strict=True))
    return answers, pairs


def _changes(first: dict[str, Any], last: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every prompt with its answers' entropy and right answers, first and last; the largest loss first."""
    rows = [
        {
            "prompt": prompt,
            "entropy_before": row["entropy"],
            "entropy_after": last[prompt]["entropy"],
            "distinct_before": row["n_distinct"],
            "distinct_after": last[prompt]["n_distinct"],
            "correct_before": row["n_correct"],
            "correct_after": last[prompt]["n_correct"],
        }
        for prompt, row in first.items()
    ]
    return sorted(rows, key=lambda r: (r["entropy_after"] or 0.0) - (r["entropy_before"] or 0.0))


def _spread(there: list[int]) -> list[int]:
    """Return up to seven steps of those there are, evenly, with both ends."""
    if len(there) <= N_CHECKPOINTS:
        return there
    return sorted({there[round(i)] for i in np.linspace(0, len(there) - 1, N_CHECKPOINTS)})


def _stacked(parts: list[np.ndarray]) -> np.ndarray:
    """Return (N, T) of blocks with different T; what is missing is 0, which the mask leaves out."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts])


def _token_text(tokenizer: Any, token: int) -> str:
    return "" if token == tokenizer.eos_id else tokenizer.decode([token])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None
