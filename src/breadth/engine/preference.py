"""Learning from preference pairs: drawn from the prior or the policy and judged by the task, or given in a file.

Pairs out of a pool: of right and wrong answers, or of better and worse ones by a margin; DivPO chooses its own. What the reference says of
them is computed once, from the prior, and only where the objective reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from breadth.data_settings import PreferenceSettings
from breadth.engine.example_run import ExampleRun
from breadth.engine.example_update import Reference, pair_update
from breadth.engine.examples import PAIR, Examples, read_examples
from breadth.engine.gpt import load_gpt2
from breadth.engine.policy import score_completions
from breadth.engine.pool import Pool, rarity
from breadth.engine.run_frame import RunStopped
from breadth.engine.update import UpdateResult
from breadth.seeds import numpy_generator
from breadth.selection.matching import match_pairs

_REFERENCE = ("ref_chosen", "ref_rejected")


@dataclass
class PreferenceRun(ExampleRun):
    """A run of the family pair, or of a selection of pairs (divpo)."""

    sides: ClassVar[tuple[str, ...]] = PAIR

    def _section(self) -> PreferenceSettings:
        return self.settings.preference or PreferenceSettings()

    @property
    def learner(self) -> Any:
        """The objective whose loss is taken: the pair objective itself, or the one inside a selection."""
        return getattr(self.objective, "pairs", self.objective)

    def _make(self, step: int, number: int) -> tuple[Examples, dict[str, Any]]:
        settings = self._section()
        if settings.path is not None:
            examples = read_examples(
                Path(settings.path).expanduser(),
                sides=PAIR,
                tokenizer=self.tokenizer,
                sampling=self.sampling,
                context=self.model.shape.n_positions,
            )
            return self._with_reference(examples), {"source": settings.path}
        pool = self._pool(step, number)
        pairs = self._choose(pool, number)
        if not len(pairs):
            raise RunStopped(f"step {step}: preference: {_why_no_pair(pool, settings)}")
        return self._with_reference(_examples_of(pool, pairs)), pool.facts()

    def _choose(self, pool: Pool, number: int) -> np.ndarray:
        """Return rows of (chosen, rejected) of a pool, (M, 2)."""
        settings = self._section()
        if not hasattr(self.objective, "select"):
            generator = numpy_generator(self.settings.seed, "pairs", number)
            return match_pairs(
                pool.reward, pool.group, n_pairs=settings.pairs_per_prompt, margin=settings.margin, generator=generator
            )
        pairs = self.objective.select(
            reward=torch.from_numpy(pool.reward),
            group=torch.from_numpy(pool.group),
            diversity=torch.from_numpy(rarity(pool, self.task, settings.diversity)),
        ).numpy()
        return pairs[pool.reward[pairs[:, 0]] - pool.reward[pairs[:, 1]] > settings.margin]

    def _with_reference(self, examples: Examples) -> Examples:
        """Return the pairs with Σ log π of both sides under the prior, where the objective reads it."""
        if not set(_REFERENCE) & set(self.learner.needs):
            return examples
        prior = load_gpt2(self.prior, dropout=0.0).to(self.machine.device)
        answers = examples.rollouts(self.tokenizer, self.machine.device)
        with self.machine.autocast():
            logp = score_completions(prior, answers, banned=self.banned, micro_batch=self.settings.train.micro_batch)
        logp = logp.sum(-1).reshape(-1, 2).cpu()  # (M, 2)
        return replace(examples, numbers={**examples.numbers, **dict(zip(_REFERENCE, logp.T.tolist(), strict=True))})

    def _moved(self) -> None:
        self.reference_of_pairs: Reference | None = None
        if set(_REFERENCE) <= set(self.examples.numbers):
            values = [torch.tensor(self.examples.numbers[name], device=self.machine.device) for name in _REFERENCE]
            self.reference_of_pairs = Reference(*values)

    def _learn(self, rows: Tensor) -> UpdateResult:
        return pair_update(
            self.forward,
            self.optimizer,
            self.learner,
            self.answers,
            rows,
            reference=self.reference_of_pairs,
            banned=self.banned,
            micro_batch=self.settings.train.micro_batch,
            clip_norm=self.settings.train.clip_norm,
        )


def _examples_of(pool: Pool, pairs: np.ndarray) -> Examples:
    """Return the pairs of a pool as examples, with the rewards of both sides."""
    texts, rows = pool.rollouts.text, pairs.tolist()
    return Examples(
        PAIR,
        [pool.rollouts.prompt[a] for a, _ in rows],
        [(texts[a], texts[b]) for a, b in rows],
        [(pool.tokens(a), pool.tokens(b)) for a, b in rows],
        {
            "chosen_reward": [float(pool.reward[a]) for a, _ in rows],
            "rejected_reward": [float(pool.reward[b]) for _, b in rows],
        },
    )


def _why_no_pair(pool: Pool, settings: PreferenceSettings) -> str:
    """Return why a pool gives no pair, and what to do."""
    known = pool.reward[~np.isnan(pool.reward)]
    size = f"the pool of {len(pool.reward)} answers ({settings.prompts} prompts, {settings.samples} each) gives no pair"
    low, high = float(known.min()), float(known.max())
    if low == high:
        right = f" ({int(pool.correct.sum())} of them correct)"
        return (
            f"{size}: all rewards are {low:g}{right}. Draw more (preference.prompts, preference.samples), or start from a prior "
            f"that is {'sometimes right' if not pool.correct.any() else 'sometimes wrong'}"
        )
    return (
        f"{size}: rewards lie between {low:g} and {high:g}, but inside no group do two differ by more than preference.margin = "
        f"{settings.margin:g}. Draw more answers to each prompt (preference.samples), or lower the margin"
    )
