"""What a task is: prompts, a score, a canonical key or a distance, and a description.

Subclass :class:`Task`, give ``prompts``, ``score`` and ``describe``, and one of ``key`` and ``distance``. Everything
else has a default that follows from those.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from breadth.metrics.pairwise import mean_pairwise
from breadth.partitions.canonical import kinds_from_keys
from breadth.records import Measurement, TaskDescription

if TYPE_CHECKING:
    from breadth.tasks.vocabulary import Vocabulary


class Task(ABC):
    """A thing that a policy is asked to do, and how its answers are judged and told apart."""

    name: str
    logs_calls: bool = False  # True: a run writes each distinct answer that it asked about, in order, into calls.jsonl

    @abstractmethod
    def prompts(self, n: int, *, seed: int, split: str = "train") -> list[str]:
        """Return n prompts; the same ``(n, seed, split)`` gives the same prompts."""

    @abstractmethod
    def score(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        """Return the quality of each text, (n,) float64. Unparsable text scores 0; NaN means that the scorer failed."""

    @abstractmethod
    def describe(self) -> TaskDescription:
        """Say what quality, parsable, valid and the distances mean here."""

    def key(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> list[str | None]:
        """Return a canonical form of each answer (equal keys = the same answer); None where it cannot be parsed."""
        return [text.strip() or None for text in texts]

    def distance(self, texts: Sequence[str], *, kind: str | None = None) -> np.ndarray:
        """Return pairwise distances, (n, n) float64 in [0, 1], symmetric, zero diagonal.

        ``kind`` names one of ``describe().distances``; the first is the default. Without an override: 1 where the keys
        differ. A text that cannot be parsed is at distance 1 from every other.
        """
        del kind
        keys = self.key(texts)
        number_of: dict[str, int] = {}
        label = np.empty(len(keys), dtype=np.int64)
        for i, key in enumerate(keys):  # negative labels are used once each
            label[i] = -1 - i if key is None else number_of.setdefault(key, len(number_of))
        return (label[:, None] != label[None, :]).astype(float)

    def valid(
        self, texts: Sequence[str], scores: np.ndarray, *, keys: Sequence[str | None] | None = None
    ) -> np.ndarray:
        """Return which texts are valid answers, (n,) bool; the population of the frontier's diversity.

        Without an override: those that can be parsed. ``scores`` are what :meth:`score` gave for the same texts,
        ``keys`` what :meth:`key` gave where the caller has it already.
        """
        del scores
        return np.array([key is not None for key in (self.key(texts) if keys is None else keys)], dtype=bool)

    def reward(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        """Return what training maximises, (n,); the quality unless a task offers a graded form."""
        return self.score(texts, prompts)

    def diversity(self, texts: Sequence[str], *, kind: str | None = None) -> Measurement:
        """Return the mean pairwise distance over the parsable texts, without de-duplication.

        The error is a jackknife over texts; value None below two parsable texts, error None below three.
        """
        parsable = [text for text, key in zip(texts, self.key(texts), strict=True) if key is not None]
        value, error = mean_pairwise(self.distance(parsable, kind=kind)) if len(parsable) > 1 else (None, None)
        return Measurement("diversity", value, error, len(parsable), 0, "distance")

    def kinds(
        self,
        texts: Sequence[str],
        prompts: Sequence[str] | None = None,
        *,
        group: Sequence[int] | np.ndarray,
        keys: Sequence[str | None] | None = None,
    ) -> np.ndarray:
        """Return the class of each answer inside its group, (n,) int64: what objectives read as ``kind``.

        Without an override: equal keys are one class, an answer without a key is a class of its own. A task whose answers a
        learned partition tells apart overrides this. ``group`` says which answers belong together (equal prompts), ``keys`` is what
        :meth:`key` gave where the caller has it already.
        """
        return kinds_from_keys(self.key(texts, prompts) if keys is None else list(keys), group)

    def distance_within(self, texts: Sequence[str], prompt: str | None, *, kind: str | None = None) -> np.ndarray:
        """Return :meth:`distance` between answers to one prompt; a task whose distance reads the prompt overrides this."""
        del prompt
        return self.distance(texts, kind=kind)

    def more_measurements(
        self,
        texts: Sequence[str],
        prompts: Sequence[str] | None,
        *,
        group: np.ndarray,
        scores: np.ndarray,
        keys: Sequence[str | None],
    ) -> list[Measurement]:
        """Return what this task measures beside what every task does (pass@k, say); nothing without an override.

        ``group`` (n,) is the sample set of each text, ``scores`` (n,) the quality with NaN where the scorer failed. The rows stand in
        the ledger after those of :func:`breadth.metrics.measure.measure_sets`, so their names must be new.
        """
        del texts, prompts, group, scores, keys
        return []

    def step_statistics(self, texts: Sequence[str]) -> dict[str, float]:
        """Return numbers for the training log about one step's rollouts; none without an override.

        They must follow from the texts alone: a resumed run writes the same rows again. Cheap beside a step.
        """
        del texts
        return {}

    def bucket_key(self, texts: Sequence[str]) -> list[str | None]:
        """Return a coarser label than ``key``, stable across steps (a scaffold, say); None = no label.

        Diversity filters fill buckets by it. Without an override a task has no such label.
        """
        raise NotImplementedError(f"task {self.name!r} has no bucket keys: let the objective use bucket_by = 'key'")

    def respell(self, texts: Sequence[str], *, seed: tuple[int, ...]) -> list[str | None]:
        """Return another spelling of the same answer for each text; None where there is none. The texts and the seed decide it."""
        raise NotImplementedError(f"task {self.name!r} knows one spelling of an answer only: augmentation needs a task with several (molecules)")

    def reward_names(self) -> tuple[str, ...]:
        """Return the names of the K rewards of :meth:`reward_vector`; empty where a task has only its one reward."""
        return ()

    def reward_vector(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        """Return several rewards of each text, (n, K), for objectives that weigh them later; NaN means that a scorer failed."""
        raise NotImplementedError(f"task {self.name!r} has one reward: let the reward function return K numbers per text")

    # What the native engine needs to train a model of its own for this task.

    def vocabulary(self) -> Vocabulary:
        """Return the tokens of this task, for a model trained from nothing."""
        raise NotImplementedError(f"task {self.name!r} has no vocabulary of its own: start from a model folder")

    def corpus(self, n: int, *, seed: int, split: str = "train") -> Sequence[str | tuple[str, str]]:
        """Return n completions to pre-train on, or (prompt, completion) pairs, whose prompts are read and not learnt."""
        raise NotImplementedError(f"task {self.name!r} has no corpus of its own: start from a model folder")

    def corpus_identity(self) -> str | None:
        """Return a hash of all that decides the corpus, the vocabulary and the length of completions.

        A prior is trained anew where it changes. None: the task's settings decide them all.
        """
        return None

    def corpus_facts(self) -> dict[str, Any] | None:
        """Return what a prior's folder should say of the corpus that it learned from, as plain JSON; None: nothing to say."""
        return None

    # What a report shows.

    def picture(self, text: str) -> str | None:
        """Return an SVG drawing of an answer, or None."""
        return None
