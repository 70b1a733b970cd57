"""A run that learns from given examples: made once or every k steps, kept on disk, taken in shuffled batches.

Step s belongs to round s // refresh; the examples of a round are made when its first step comes, from the weights at that step,
and written to ``examples/round-0000.jsonl``. A checkpoint holds the SHA-256 of each round's file, so what a resumed run learns from is
what it would have learned from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from breadth.data_settings import PoolSettings
from breadth.engine.examples import Examples, batch_of, from_bytes, write_examples
from breadth.engine.pool import Pool, draw_pool
from breadth.engine.run_frame import RunFrame, RunStopped
from breadth.engine.update import UpdateResult, split_minibatches
from breadth.records import Rollouts
from breadth.seeds import derive_seed


@dataclass
class ExampleRun(RunFrame):
    """What pairs and supervised answers have in common; a subclass makes the examples of a round and takes the update."""

    sides: ClassVar[tuple[str, ...]] = ()

    # What a subclass gives.

    def _section(self) -> PoolSettings:
        """Return the settings of the section that says where examples come from; with ``batch``."""
        raise NotImplementedError

    def _make(self, step: int, number: int) -> tuple[Examples, dict[str, Any]]:
        """Return the examples of a round, and what the log says of where they come from."""
        raise NotImplementedError

    def _learn(self, rows: Tensor) -> UpdateResult:
        """Take one optimiser step on some examples."""
        raise NotImplementedError

    def _moved(self) -> None:
        """Take note of new examples: they are in ``examples`` and ``answers``."""

    # The rounds.

    def _load_own_state(self, step: int, state: dict[str, Any]) -> None:
        self.rounds: dict[str, dict[str, Any]] = dict(state.get("rounds", {}))
        self.number: int | None = None
        self.examples: Examples
        self.answers: Rollouts

    def _own_state(self) -> dict[str, Any]:
        return {"rounds": self.rounds} if self.rounds else {}

    def _first_step(self, number: int) -> int:
        return number * (self._section().refresh or 0)

    def _enter(self, step: int) -> None:
        """Have the examples of a step's round at hand: those at hand already, those on disk, or new ones."""
        refresh = self._section().refresh
        number = step // refresh if refresh else 0
        if number == self.number:
            return
        path = self.folder / "examples" / f"round-{number:04d}.jsonl"
        known = self.rounds.get(str(number))
        if known is not None:
            self.examples = from_bytes(_verified(path, known["sha256"]), self.sides)
        else:
            self.examples, facts = self._make(step, number)
            self.rounds[str(number)] = {"sha256": write_examples(path, self.examples), "facts": facts}
            self.events.add("examples", step=step, round=number, n=len(self.examples), **facts)
        self.number = number
        self.answers = self.examples.rollouts(self.tokenizer, self.machine.device)
        self._moved()

    def _pool(self, step: int, number: int) -> Pool:
        """Draw and judge the pool of a round from the policy as it is now: at the first step that is the prior."""
        pool = draw_pool(self, self.model, self._section(), number=number)
        self._check_scores(step, pool.drawn.judged.scored)
        return pool

    # The step.

    def _train_step(self, step: int) -> None:
        train = self.settings.train
        rate = self._set_rate(step)
        self._enter(step)
        size = min(self._section().batch, len(self.examples))  # type: ignore[attr-defined]
        place = step - self._first_step(self.number)
        chosen = batch_of(len(self.examples), size, place, seed=self.settings.seed, name=self.number)
        batch = torch.from_numpy(chosen).to(self.machine.device)
        shuffle = torch.Generator().manual_seed(derive_seed(self.settings.seed, "minibatch", step))
        results: list[UpdateResult] = []
        for _ in range(train.inner_epochs or 1):
            parts = split_minibatches(batch, min(train.minibatches or 1, size), whole_groups=False, generator=shuffle)
            for part in parts:
                with self.machine.autocast():
                    result = self._learn(batch[part])
                results.append(result)
                self._count_refusals(step, result.refused)
        facts = self.rounds[str(self.number)]["facts"]
        row: dict[str, Any] = {"step": step + 1, **{k: facts.get(k) for k in ("reward", "reward_error")}}
        row["n_unscored"] = facts.get("n_unscored", 0)
        n_sides = len(self.sides)
        of_batch = torch.cat([n_sides * batch + side for side in range(n_sides)])
        row |= {
            "length": float(self.answers.mask[of_batch].sum(-1).float().mean()),
            "learning_rate": rate,
            "n_refused": sum(r.refused is not None for r in results),
            "round": self.number,
            "n_examples": len(self.examples),
            "epoch": (place + 1) * size / len(self.examples),
        }
        for name in dict.fromkeys(k for r in results for k in r.stats):
            found = [r.stats[name] for r in results if name in r.stats]
            row[name] = sum(found) / len(found)
        self._write_row(step, row)


def _verified(path: Path, expected: str) -> bytes:
    """Return the bytes of a round's file; ``RunStopped`` where it is gone or another one now."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise RunStopped(
            f"{path}: gone, and the run learns from it: put it back, or delete the run folder and run again"
        ) from None
    if hashlib.sha256(data).hexdigest() != expected:
        raise RunStopped(f"{path}: changed since the run wrote it: put it back, or delete the run folder and run again")
    return data


def loop_of(objective: Any) -> Callable[..., RunFrame]:
    """Return the loop that trains with an objective: on its own rollouts, on pairs, or on supervised answers."""
    from breadth.engine.loop import TrainingRun
    from breadth.engine.preference import PreferenceRun
    from breadth.engine.supervised import SupervisedRun

    if objective.family == "pair" or hasattr(objective, "pairs"):
        return PreferenceRun
    return SupervisedRun if objective.family == "sft" else TrainingRun
