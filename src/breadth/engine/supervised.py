"""Supervised training: on the task's corpus, on the policy's own correct answers (all, or one of each kind), or on a file.

The policy's own correct answers are rejection sampling; they and one of each kind are controls of any claim about an objective.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from breadth.data_settings import SftSettings
from breadth.engine.example_run import ExampleRun
from breadth.engine.example_update import sft_update
from breadth.engine.examples import SINGLE, Examples, encode_examples, read_examples
from breadth.engine.pool import Pool
from breadth.engine.run_frame import RunStopped
from breadth.engine.update import UpdateResult
from breadth.seeds import derive_seed, numpy_generator


@dataclass
class SupervisedRun(ExampleRun):
    """A run of the family sft."""

    sides: ClassVar[tuple[str, ...]] = SINGLE

    def _section(self) -> SftSettings:
        return self.settings.sft or SftSettings()

    def _make(self, step: int, number: int) -> tuple[Examples, dict[str, Any]]:
        settings, seed = self._section(), self.settings.seed
        context = self.model.shape.n_positions
        if settings.source == "file":
            path = Path(settings.path or "").expanduser()
            examples = read_examples(
                path, sides=SINGLE, tokenizer=self.tokenizer, sampling=self.sampling, context=context
            )
            return examples, {"source": settings.path}
        if settings.source == "corpus":
            texts = self.task.corpus(settings.corpus_size, seed=derive_seed(seed, "sft corpus"))
            pairs = [text if isinstance(text, tuple) else ("", text) for text in texts]
            examples = encode_examples(
                [prompt for prompt, _ in pairs],
                [(text,) for _, text in pairs],
                sides=SINGLE,
                tokenizer=self.tokenizer,
                sampling=self.sampling,
                context=context,
                where=[f"corpus, text {i}" for i in range(1, len(pairs) + 1)],
            )
            return examples, {"source": "corpus"}
        pool = self._pool(step, number)
        rows = self._choose(pool, number)
        if not len(rows):
            raise RunStopped(
                f"step {step}: sft: no answer of the pool of {len(pool.reward)} ({settings.prompts} prompts, {settings.samples} each) is "
                "correct: draw more (sft.prompts, sft.samples), or start from a prior that is sometimes right"
            )
        facts = {**pool.facts(), "example_keys": len({(pool.rollouts.prompt[i], pool.keys[i]) for i in rows})}
        return _examples_of(pool, rows), facts

    def _choose(self, pool: Pool, number: int) -> np.ndarray:
        """Return the rows of a pool that are learned from: correct ones, of each kind one where the source says so."""
        settings = self._section()
        order = numpy_generator(self.settings.seed, "examples", number).permutation(np.flatnonzero(pool.correct))
        prompts, texts = pool.rollouts.prompt, pool.rollouts.text
        seen: set[tuple[str, str]] = set()
        count: dict[str, int] = {}
        chosen = []
        for row in order.tolist():
            prompt = prompts[row]
            kind = (prompt, pool.keys[row] or texts[row])
            if settings.source == "diverse" and kind in seen:
                continue
            if settings.per_prompt is not None and count.get(prompt, 0) >= settings.per_prompt:
                continue
            seen.add(kind)
            count[prompt] = count.get(prompt, 0) + 1
            chosen.append(row)
        return np.array(chosen, dtype=np.int64)

    def _learn(self, rows: Tensor) -> UpdateResult:
        return sft_update(
            self.forward,
            self.optimizer,
            self.objective,
            self.answers,
            rows,
            banned=self.banned,
            micro_batch=self.settings.train.micro_batch,
            clip_norm=self.settings.train.clip_norm,
        )


def _examples_of(pool: Pool, rows: np.ndarray) -> Examples:
    """Return some answers of a pool as examples, with their rewards."""
    index = rows.tolist()
    return Examples(
        SINGLE,
        [pool.rollouts.prompt[i] for i in index],
        [(pool.rollouts.text[i],) for i in index],
        [(pool.tokens(i),) for i in index],
        {"reward": [None if np.isnan(pool.reward[i]) else float(pool.reward[i]) for i in index]},
    )
