"""Mathematics questions with a known final answer: GSM8K, MATH, any file of questions and answers.

Quality is 1 where the final answer is the known one. Answers are told apart by their final answer, or by their method through any backend of
:mod:`breadth.partitions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from breadth.partitions.front import Partition, partition
from breadth.records import Measurement, TaskDescription
from breadth.tasks.chat_template import ChatTemplate
from breadth.tasks.math_answers import canonical_answer, final_answer
from breadth.tasks.math_judge import MathVerify
from breadth.tasks.protocol import Task
from breadth.tasks.question_files import column_of, read_records
from breadth.tasks.question_sets import QuestionSet, limited
from breadth.tasks.verifiable import success_rows

QUESTIONS = ("question", "problem", "prompt", "query", "input")
ANSWERS = ("answer", "final_answer", "solution", "target", "gold", "label")
INSTRUCTION = "{question}\n\nReason step by step, and put your final answer within \\boxed{{}}."
FINAL = "final_answer"


@dataclass(frozen=True, kw_only=True)
class MathTask(Task):
    """Answer mathematics questions.

    Parameters
    ----------
    path : str
        A ``.jsonl``, ``.json``, ``.csv`` (also ``.gz``) or ``.parquet`` file, or the name ``owner/name`` of a hub data set.
    valid_path : str, optional
        Another file, or another hub data set, of held-out questions. None: a share ``held_out`` of ``path``.
    question, answer : str, optional
        Columns; None: the first with a usual name. An answer that is a worked solution is reduced to its final answer; a list of answers
        means that any of them is right.
    config, split : str
        Of a hub data set.
    held_out : float
        Share of held-out questions, where ``valid_path`` is None.
    limit : int, optional
        Rows that are used.
    instruction : str
        The prompt; ``{question}`` stands for the question, other braces are doubled.
    template : path, optional
        A model folder whose chat template wraps the prompt.
    check : {"normaliser", "math_verify"}
        How an answer is compared with the known one: by :func:`breadth.tasks.math_answers.canonical_answer`; or, where that says that they
        differ, by math-verify as well, in a process of its own (``pip install "breadth[math]"``).
    timeout : float
        Seconds of math-verify for one answer; what it cannot tell by then stays unscored, and is counted.
    partition : str or Partition
        ``"final_answer"``, or a backend of ``breadth.partition`` that tells methods apart.
    partition_settings : dict
        Of that backend.
    max_tokens : int
        Completion tokens.
    bad_share : float
        Largest share of rows without a question or an answer; they are left out, and :meth:`describe` counts them.

    Raises
    ------
    ValueError, FileNotFoundError, ImportError, ConnectionError
        Settings and data that cannot be used; with what to do.

    Examples
    --------
    >>> import json, tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "sums.jsonl"
    >>> _ = file.write_text("".join(json.dumps({"question": f"{i} + 1?", "answer": str(i + 1)}) + "\\n" for i in range(40)))
    >>> task = MathTask(path=str(file), held_out=0.2)
    >>> asked = task.prompts(1, seed=0) * 3
    >>> right = task.gold(asked[0])[0]
    >>> task.score([f"so \\\\boxed{{{right}.0}}", f"The answer is {right}", "\\\\boxed{-1}"], asked).tolist()
    [1.0, 1.0, 0.0]
    """

    path: str
    valid_path: str | None = None
    question: str | None = None
    answer: str | None = None
    config: str | None = None
    split: str = "train"
    held_out: float = 0.05
    limit: int | None = None
    instruction: str = INSTRUCTION
    template: str | None = None
    check: str = "normaliser"
    timeout: float = 5.0
    partition: str | Partition = FINAL
    partition_settings: Mapping[str, Any] = field(default_factory=dict)
    max_tokens: int = 1024
    bad_share: float = 0.01

    name: ClassVar[str] = "math"

    def __post_init__(self) -> None:
        if self.check not in ("normaliser", "math_verify"):
            raise ValueError(f"check: expected 'normaliser' or 'math_verify', got {self.check!r}")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out: expected a share above 0 and below 1, got {self.held_out}")
        if "{question}" not in self.instruction:
            raise ValueError(
                f"instruction: expected '{{question}}' where the question is to stand, got {self.instruction!r}"
            )
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens: expected at least 1, got {self.max_tokens}")
        _ = self._partition, self._judge, self._questions  # what is wrong with them is said now

    # Prompts

    def prompts(self, n: int, *, seed: int = 0, split: str = "train") -> list[str]:
        """Return n prompts; ``valid``: the first n of one fixed order, whatever the seed."""
        return self._questions.draw(n, seed=seed, split=split, name=self.name)

    def gold(self, prompt: str) -> tuple[str, ...]:
        """Return the known final answers of a prompt, as they are written; any of them is right."""
        return self._questions.item(prompt)

    # Judging

    def score(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        """Return 1 where the final answer is a known one, 0 where it is not or there is none, NaN where math-verify could not tell."""
        if prompts is None:
            raise ValueError("math: expected the prompts beside the texts: without them the known answer is not known")
        return np.array([self._right(text, self.gold(prompt)) for text, prompt in zip(texts, prompts, strict=True)])

    @property
    def failures(self) -> dict[str, int]:
        """What math-verify could not tell, counted by reason."""
        return {} if self._judge is None else dict(self._judge.failures)

    def _right(self, text: str, gold: tuple[str, ...]) -> float:
        said = final_answer(text)
        if said is None:
            return 0.0
        if canonical_answer(said) in {canonical_answer(one) for one in gold}:
            return 1.0
        if self._judge is None:
            return 0.0
        known = self._told.get((said, gold))
        if known is None:
            same = self._judge.same(gold, f"\\boxed{{{said}}}")
            known = np.nan if same is None else float(same)
            if len(self._told) < 1_000_000:
                self._told[said, gold] = known
        return known

    def valid(
        self, texts: Sequence[str], scores: np.ndarray, *, keys: Sequence[str | None] | None = None
    ) -> np.ndarray:
        """Return which texts are right, (n,) bool."""
        return np.asarray(scores) == 1.0

    # Telling apart

    def key(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> list[str | None]:
        """Return the canonical final answer of each text; None where it has none."""
        found = [final_answer(text) for text in texts]
        return [None if said is None else canonical_answer(said) for said in found]

    def kinds(
        self, texts: Sequence[str], prompts: Sequence[str] | None = None, *, group: Sequence[int] | np.ndarray,
        keys: Sequence[str | None] | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Return the class of each answer in its group: by final answer, or by method where a partition was given."""
        if self._partition is None:
            return super().kinds(texts, prompts, group=group, keys=keys)
        return self._partition(list(texts), group=np.asarray(group), prompts=None if prompts is None else list(prompts))

    def distance(self, texts: Sequence[str], *, kind: str | None = None) -> np.ndarray:
        """Return pairwise distances of answers to one prompt; ``kind`` is ``"answer"`` or, with a partition, ``"method"`` (then the default)."""
        return self.distance_within(texts, None, kind=kind)

    def distance_within(self, texts: Sequence[str], prompt: str | None, *, kind: str | None = None) -> np.ndarray:
        """Return :meth:`distance` with the prompt shown to the partition."""
        known = self._distances
        if kind not in (None, *known):
            raise ValueError(f"kind: expected one of {', '.join(known)} for task {self.name!r}, got {kind!r}")
        if self._partition is None or kind == "answer":
            return super().distance(texts)
        if len(texts) < 2:
            return np.zeros((len(texts), len(texts)))
        return self._partition.distance(list(texts), prompts=None if prompt is None else [prompt] * len(texts))

    def more_measurements(
        self,
        texts: Sequence[str],
        prompts: Sequence[str] | None,
        *,
        group: np.ndarray,
        scores: np.ndarray,
        keys: Sequence[str | None],
    ) -> list[Measurement]:
        """Return pass@k and, where methods are told apart, distinct right methods among k."""
        by_method = self._partition is not None and self._partition.clustering != "soft"
        kinds = self.kinds(texts, prompts, group=group, keys=keys).tolist() if by_method else list(keys)
        return success_rows(scores, kinds, group.tolist(), distinct=by_method)

    # Showing

    def describe(self) -> TaskDescription:
        """Say what quality, parsable, valid and the distances mean here."""
        return TaskDescription(
            name=self.name,
            summary=f"answer {len(self._questions.items)} mathematics questions of {self.path}",
            quality=f"1 where the final answer is the known one ({self.check}), else 0",
            parsable="has a final answer",
            valid="quality 1",
            distances=self._distances,
            correct_at=1.0,
            max_tokens=self.max_tokens,
            end_token=True,
            source="Cobbe et al. 2021, arXiv 2110.14168; Hendrycks et al. 2021, arXiv 2103.03874",
            notes=(
                "diversity is within a prompt: answers to different prompts are never compared",
                *(
                    [f"rows left out for want of a question or an answer: {len(self._left_out)}"]
                    if self._left_out
                    else ()
                ),
            ),
        )

    # Derived

    @property
    def _distances(self) -> dict[str, str]:
        answer = {"answer": "1 where the final answers differ"}
        return (
            answer
            if self._partition is None
            else {"method": f"probability of another method ({self._partition.backend.name})", **answer}
        )

    @cached_property
    def _partition(self) -> Partition | None:
        if isinstance(self.partition, Partition):
            return self.partition
        return None if self.partition == FINAL else partition(self.partition, **self.partition_settings)

    @cached_property
    def _judge(self) -> MathVerify | None:
        return MathVerify(timeout=self.timeout) if self.check == "math_verify" else None

    @cached_property
    def _left_out(self) -> list[str]:
        return []

    @cached_property
    def _told(self) -> dict[tuple[str, tuple[str, ...]], float]:
        return {}

    @cached_property
    def _questions(self) -> QuestionSet[tuple[str, ...]]:
        train = self._load(self.path, self.split)
        valid = None if self.valid_path is None else self._load(self.valid_path, self.split)
        return QuestionSet(train, valid, held_out=self.held_out, where=self.path)

    def _load(self, source: str, split: str) -> dict[str, tuple[str, ...]]:
        rows = limited(read_records(source, config=self.config, split=split), self.limit)
        question = column_of(rows, self.question, QUESTIONS, what="question", where=source)
        answer = column_of(rows, self.answer, ANSWERS, what="answer", where=source)
        template = None if self.template is None else ChatTemplate(self.template)
        found: dict[str, tuple[str, ...]] = {}
        lacking: list[int] = []
        for place, row in enumerate(rows, 1):
            gold = tuple(
                _gold(one) for one in (row[answer] if isinstance(row.get(answer), list) else [row.get(answer)])
            )
            if not gold or not all(gold) or not str(row.get(question) or "").strip():
                lacking.append(place)
                continue
            prompt = self.instruction.format(question=row[question])
            prompt = prompt if template is None else template([{"role": "user", "content": prompt}])
            found[prompt] = (*found.get(prompt, ()), *gold)
        if len(lacking) > self.bad_share * len(rows):
            raise ValueError(
                f"data {source}: {len(lacking)} of {len(rows)} rows have no {question} or no {answer}, the first is row {lacking[0]}: "
                f"{str(rows[lacking[0] - 1])[:160]}; name other columns, or raise bad_share (now {self.bad_share})"
            )
        self._left_out.extend(f"{source}, row {place}" for place in lacking)
        return found


def _gold(value: Any) -> str:
    """Return the final answer of a gold answer: what a worked solution marks, or the value as it is."""
    text = "" if value is None else str(value).strip()
    return (final_answer(text) or "") if "####" in text or "\\boxed" in text else text
