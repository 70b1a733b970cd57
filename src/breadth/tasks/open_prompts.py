"""Prompts without a right answer: instruction following, creative writing. A reward model or a judge says how good an answer is.

Diversity is what a learned partition sees: answers that it takes for the same share a class. See docs/tasks/prompts.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from breadth.partitions.front import Partition, partition
from breadth.records import TaskDescription
from breadth.tasks.chat_template import ChatTemplate, messages_of, plain
from breadth.tasks.protocol import Task
from breadth.tasks.question_files import column_of, read_records
from breadth.tasks.question_sets import QuestionSet, limited
from breadth.tasks.scorers import AnswerScorer, Quality, scorer_of

COLUMNS = ("messages", "conversation", "conversations", "prompt", "instruction", "question", "text")


@dataclass(frozen=True, kw_only=True)
class PromptsTask(Task):
    """Answer prompts of a chat data set; a scorer says how well.

    Parameters
    ----------
    path : str
        A ``.jsonl``, ``.json``, ``.csv`` (also ``.gz``) or ``.parquet`` file, or the name ``owner/name`` of a hub data set.
    quality : function or str
        ``"reward_model"`` (settings of :class:`breadth.scoring.reward_model.RewardModel`: ``folder``, …), ``"judge"`` (``url``, ``model``, …), a
        function of (texts, prompts) that returns one float each (NaN or None: unscored), or ``"module:name"`` of one: see
        :func:`breadth.tasks.scorers.scorer_of`.
    quality_settings : dict
    partition : str or Partition
        A backend of ``breadth.partition``; ``"classifier"`` is the shipped one.
    partition_settings : dict
        Of that backend: ``threshold``, ``clustering``, ``model``, …
    prompt : str, optional
        Column of the texts or messages; None: the first with a usual name.
    valid_path : str, optional
        Another file of held-out prompts. None: a share ``held_out`` of ``path``.
    config, split : str
        Of a hub data set.
    held_out : float
    limit : int, optional
        Rows that are used.
    system : str, optional
        A system message before each conversation that has none.
    first_turn : bool
        Keep a conversation only up to the first message of the user.
    template : path, optional
        A model folder whose chat template makes the prompt of the messages. None: one message as it is, several with their roles.
    show_raw : bool
        A scorer that is a function, and the partition, are shown the last message of the user, without template and system message;
        False: the prompt as the policy reads it. A reward model and a judge see the whole conversation either way.
    correct_at : float
        Quality from which an answer counts as correct; infinite: none does (a reward model's scale has no such mark of its own).
    max_tokens : int
        Completion tokens.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError, ImportError, ConnectionError
        Settings and data that cannot be used; with what to do.

    Examples
    --------
    >>> import json, tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "prompts.jsonl"
    >>> _ = file.write_text("".join(json.dumps({"prompt": f"Name bird number {i}."}) + "\\n" for i in range(40)))
    >>> task = PromptsTask(path=str(file), quality=lambda texts, prompts: [float(len(t)) for t in texts], partition="rouge1", held_out=0.2)
    >>> asked = task.prompts(1, seed=0) * 3
    >>> task.score(["a robin", "the robin", "an owl"], asked).tolist()
    [7.0, 9.0, 6.0]
    >>> task.kinds(["a robin", "the robin", "an owl"], asked, group=[0, 0, 0]).tolist()
    [0, 0, 1]
    """

    path: str
    quality: str | Quality
    quality_settings: Mapping[str, Any] = field(default_factory=dict)
    partition: str | Partition = "classifier"
    partition_settings: Mapping[str, Any] = field(default_factory=dict)
    prompt: str | None = None
    valid_path: str | None = None
    config: str | None = None
    split: str = "train"
    held_out: float = 0.05
    limit: int | None = None
    system: str | None = None
    first_turn: bool = False
    template: str | None = None
    show_raw: bool = True
    correct_at: float = math.inf
    max_tokens: int = 1024

    name: ClassVar[str] = "prompts"

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out: expected a share above 0 and below 1, got {self.held_out}")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens: expected at least 1, got {self.max_tokens}")
        _ = self._scorer, self._partition, self._questions  # what is wrong with them is said now

    # Prompts

    def prompts(self, n: int, *, seed: int = 0, split: str = "train") -> list[str]:
        """Return n prompts; ``valid``: the first n of one fixed order, whatever the seed."""
        return self._questions.draw(n, seed=seed, split=split, name=self.name)

    # Judging

    def score(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        """Return what the scorer says of each text, (n,) float64; 0 for an empty text, which no scorer is asked about.

        Whatever the scorer raises goes through: :func:`breadth.tasks.scoring.score_batch` narrows it down to single texts.
        """
        if prompts is None:
            raise ValueError("prompts: expected the prompts beside the texts: a scorer judges an answer to something")
        written = [i for i, text in enumerate(texts) if text.strip()]
        out = np.zeros(len(texts))
        if written:
            said = [texts[i] for i in written]
            if isinstance(self._scorer, AnswerScorer):
                found = self._scorer(said, [self._questions.item(prompts[i]) for i in written])
            else:
                found = list(self._scorer(said, [self.shown(prompts[i]) for i in written]))
            if len(found) != len(written):
                raise ValueError(
                    f"quality: the scorer returned {len(found)} values for {len(written)} texts: expected one each, in order"
                )
            out[written] = [np.nan if value is None else float(value) for value in found]
        return out

    def shown(self, prompt: str) -> str:
        """Return what the scorer and the partition see of a prompt."""
        return self._questions.item(prompt)[-1]["content"] if self.show_raw else prompt

    # Telling apart

    def kinds(
        self, texts: Sequence[str], prompts: Sequence[str] | None = None, *, group: Sequence[int] | np.ndarray,
        keys: Sequence[str | None] | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Return the class of each answer in its group, by the partition; empty answers are one class."""
        return self._partition(
            list(texts), group=np.asarray(group), prompts=None if prompts is None else [self.shown(p) for p in prompts]
        )

    def distance(self, texts: Sequence[str], *, kind: str | None = None) -> np.ndarray:
        """Return pairwise distances of answers to one prompt that is not known; see :meth:`distance_within`."""
        return self.distance_within(texts, None, kind=kind)

    def distance_within(self, texts: Sequence[str], prompt: str | None, *, kind: str | None = None) -> np.ndarray:
        """Return pairwise distances of answers to one prompt, (n, n): ``"class"`` (default), 1 in different classes of the partition; or
        ``"probability"``, the partition's probability that two answers differ."""
        known = self.describe().distances
        if kind not in (None, *known):
            raise ValueError(f"kind: expected one of {', '.join(known)} for task {self.name!r}, got {kind!r}")
        if len(texts) < 2:
            return np.zeros((len(texts), len(texts)))
        prompts = None if prompt is None else [self.shown(prompt)] * len(texts)
        if (kind or next(iter(known))) == "probability":
            return self._partition.distance(list(texts), prompts=prompts)
        kinds = self._partition(list(texts), prompts=prompts)
        return (kinds[:, None] != kinds[None, :]).astype(float)

    # Showing

    def describe(self) -> TaskDescription:
        """Say what quality, parsable, valid and the distances mean here."""
        distances = {
            "class": f"1 where the partition ({self._partition.backend.name}) sees two different answers",
            "probability": "the partition's probability that two answers differ",
        }
        if self._partition.clustering == "soft":
            del distances["class"]
        named = (
            self.quality
            if isinstance(self.quality, str)
            else getattr(self.quality, "__name__", type(self.quality).__name__)
        )
        return TaskDescription(
            name=self.name,
            summary=f"answer {len(self._questions.items)} prompts of {self.path}",
            quality=f"what {named} says; 0 for an empty answer",
            parsable="not empty",
            valid="not empty",
            distances=distances,
            correct_at=self.correct_at,
            max_tokens=self.max_tokens,
            end_token=True,
            source="Li et al. 2025, arXiv 2509.02534 (quality by a reward model, diversity by a learned partition)",
            notes=("diversity is within a prompt: answers to different prompts are never compared",),
        )

    # Derived

    @cached_property
    def _scorer(self) -> Quality | AnswerScorer:
        return scorer_of(self.quality, self.quality_settings)

    @cached_property
    def _partition(self) -> Partition:
        return (
            self.partition
            if isinstance(self.partition, Partition)
            else partition(self.partition, **self.partition_settings)
        )

    @cached_property
    def _questions(self) -> QuestionSet[list[dict[str, str]]]:
        train = self._load(self.path)
        valid = None if self.valid_path is None else self._load(self.valid_path)
        return QuestionSet(train, valid, held_out=self.held_out, where=self.path)

    def _load(self, source: str) -> dict[str, list[dict[str, str]]]:
        """Return what the policy reads → the messages that it was made of, for each row."""
        rows = limited(read_records(source, config=self.config, split=self.split), self.limit)
        column = column_of(rows, self.prompt, COLUMNS, what="prompt", where=source)
        render = plain if self.template is None else ChatTemplate(self.template)
        found = {}
        for place, row in enumerate(rows, 1):
            messages = messages_of(row.get(column), where=f"data {source}, row {place}, column {column!r}")
            if self.first_turn:
                messages = messages[: 1 + next(i for i, m in enumerate(messages) if m["role"] == "user")]
            if self.system is not None and messages[0]["role"] != "system":
                messages.insert(0, {"role": "system", "content": self.system})
            found[render(messages)] = messages
        return found


def word_count(texts: Sequence[str], prompts: Sequence[str]) -> list[float]:
    """Return the number of words of each text: a scorer to try a recipe with before there is a reward model."""
    return [float(len(text.split())) for text in texts]
