"""Preference pairs for TRL from a pool of answers that the model drew before its training, judged by the task."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from breadth.config import ConfigError, RunSettings
from breadth.data_settings import PreferenceSettings
from breadth.ledger.rows import write_atomic
from breadth.plugins.trl.gathering import everywhere, shared_out, world
from breadth.plugins.trl.sampling import Drawing, answers_to, at_rest
from breadth.seeds import derive_seed, numpy_generator
from breadth.selection.matching import match_pairs
from breadth.selection.rarity import rarity_of_distance, rarity_of_key
from breadth.tasks.protocol import Task
from breadth.tasks.question_files import read_records
from breadth.tasks.scoring import score_batch

PAIR = ("prompt", "chosen", "rejected")
WHERE = "breadth train --engine trl"


@dataclass(frozen=True)
class Answered:
    """N answers of one model: texts, the prompts that they answer, groups (N,), reward (N,) with NaN = unscored, −log π per token (N,)."""

    texts: list[str]
    prompts: list[str]
    group: np.ndarray
    reward: np.ndarray
    surprisal: np.ndarray


class StartingModel:
    """The model that a training starts from, to be asked before the trainer is built; loaded when it is first asked."""

    def __init__(self, settings: RunSettings, loading: Mapping[str, Any] | None, *, on_gpu: bool) -> None:
        self.settings, self.loading, self.on_gpu = settings, dict(loading or {}), on_gpu
        self._loaded: Any = None

    def answers(self, prompts: Sequence[str], samples: int, task: Task, *, purpose: str) -> Answered:
        """Return ``samples`` judged answers to each prompt, the same on every process; each prompt is asked on one of them."""
        seed, sample = self.settings.seed, self.settings.sample
        drawing = Drawing(
            sample.max_tokens or task.describe().max_tokens, sample.temperature, sample.top_p, sample.top_k,
        )  # fmt: skip
        model, tokenizer = self._model(), self.tokenizer

        def ask(i: int) -> Any:
            with at_rest(model):
                return answers_to(prompts[i], samples, model, tokenizer, drawing, seed=derive_seed(seed, purpose, i))

        found = shared_out(len(prompts), ask)
        texts = [text for one in found for text in one.texts]
        asked = [prompt for prompt in prompts for _ in range(samples)]
        scored = score_batch(task.reward, texts, asked)
        if scored.n_unscored > self.settings.train.max_unscored_share * len(texts):
            raise RuntimeError(
                f"{purpose}: {scored.n_unscored} of {len(texts)} answers could not be scored (limit "
                f"{self.settings.train.max_unscored_share:.0%}, train.max_unscored_share): {'; '.join(scored.failures[:3])}"
            )
        logp = np.array([value for one in found for value in one.seq_logp])
        length = np.array([value for one in found for value in one.length])
        return Answered(
            texts, asked, np.repeat(np.arange(len(prompts)), samples), scored.values, -logp / np.maximum(length, 1)
        )

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(str(self.settings.prior.path))

    def _model(self) -> Any:
        if self._loaded is None:
            from transformers import AutoModelForCausalLM

            model = AutoModelForCausalLM.from_pretrained(str(self.settings.prior.path), **self.loading)
            self._loaded = model.to("cuda") if self.on_gpu else model
        return self._loaded

    def forget(self) -> None:
        """Free its memory: the trainer loads the model anew."""
        self._loaded = None
        if self.on_gpu:
            torch.cuda.empty_cache()


def pair_rows(
    settings: RunSettings, task: Task, objective: Any, prompts: Sequence[str], model: StartingModel, out: Path
) -> list[dict[str, Any]]:
    """Return the pairs that a training learns from, and keep them in ``examples/round-0000.jsonl``, where a continued run finds them.

    Raises
    ------
    ConfigError
        A file without pairs, or a pool that gives none: says why.
    """
    wanted = settings.preference or PreferenceSettings()
    if wanted.path is not None:
        return rows_of_file(wanted.path)
    path = out / "examples" / "round-0000.jsonl"
    kept = everywhere(lambda: path.read_text(encoding="utf-8") if path.is_file() else None)[0]
    if kept is not None:
        return [json.loads(line) for line in kept.splitlines()]
    pool = model.answers(prompts, wanted.samples, task, purpose="pool")
    rows = [
        {
            "prompt": pool.prompts[a],
            "chosen": pool.texts[a],
            "rejected": pool.texts[b],
            "chosen_reward": float(pool.reward[a]),
            "rejected_reward": float(pool.reward[b]),
        }
        for a, b in choose(pool, objective, wanted, task, seed=settings.seed).tolist()
        if pool.texts[a].strip() and pool.texts[b].strip() and pool.texts[a] != pool.texts[b]
    ]
    if not rows:
        raise ConfigError(WHERE, [f"preference: {_why_none(pool, wanted)}"])
    if world()[0] == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    return rows


def after_prompt(tokenizer: Any, prompt: str, text: str) -> str:
    """Return an answer as TRL has to join it to its prompt, so that the prompt keeps its tokens: as it is, or a space before it.

    A tokenizer that splits at spaces drops the one between prompt and answer when it decodes; joined without it the last word of the one
    and the first of the other would become one unknown word. Where neither way keeps the tokens the answer stays as it is, and TRL warns.
    """
    own = tokenizer(text=prompt, add_special_tokens=False)["input_ids"]
    for candidate in (text, f" {text}"):
        if tokenizer(text=prompt + candidate, add_special_tokens=False)["input_ids"][: len(own)] == own:
            return candidate
    return text


def choose(pool: Answered, objective: Any, settings: PreferenceSettings, task: Task, *, seed: int) -> np.ndarray:
    """Return rows of (chosen, rejected), (M, 2): matched at random, or by the objective's own rule (DivPO)."""
    if not hasattr(objective, "select"):
        return match_pairs(
            pool.reward, pool.group, n_pairs=settings.pairs_per_prompt, margin=settings.margin,
            generator=numpy_generator(seed, "pairs", 0),
        )  # fmt: skip
    keys = task.key(pool.texts, pool.prompts)
    rare = {
        "class_share": lambda: rarity_of_key(pool.prompts, keys),
        "surprisal": lambda: pool.surprisal,
        "distance": lambda: rarity_of_distance(
            pool.group,
            np.array([key is not None for key in keys]),
            lambda rows: task.distance_within([pool.texts[i] for i in rows], pool.prompts[rows[0]]),
        ),
    }[settings.diversity]()
    pairs = objective.select(
        reward=torch.from_numpy(pool.reward), group=torch.from_numpy(pool.group), diversity=torch.from_numpy(rare)
    ).numpy()
    return pairs[pool.reward[pairs[:, 0]] - pool.reward[pairs[:, 1]] > settings.margin]


def rows_of_file(path: str) -> list[dict[str, Any]]:
    """Return the pairs of a file; ConfigError that names the row which is none."""
    rows = read_records(path)
    for number, row in enumerate(rows, 1):
        absent = [name for name in PAIR if not isinstance(row.get(name), str)]
        if absent:
            raise ConfigError(
                path, [f"row {number}: expected texts under {', '.join(PAIR)}, got none under {', '.join(absent)}"]
            )
    return [{name: row[name] for name in PAIR} for row in rows]


def _why_none(pool: Answered, settings: PreferenceSettings) -> str:
    known = pool.reward[~np.isnan(pool.reward)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (np.nan, np.nan)
    return (
        f"the pool of {len(pool.texts)} answers ({len(pool.texts) // settings.samples} prompts, {settings.samples} each; rewards "
        f"{low:g} to {high:g}) gives no pair whose rewards differ by more than preference.margin = {settings.margin:g}: draw more "
        "(preference.prompts, preference.samples), or start from a model that is sometimes right and sometimes wrong"
    )
