"""The measures of one group of answers: which there are, what each needs, and what it is sensitive to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from breadth import metrics
from breadth.experiments.generation_groups import Group
from breadth.metrics.tokens import Tokenizer, tokenize
from breadth.records import Measurement

MOST_PAIRED = 500  # answers of one group whose pairs are all compared; of more, so many are drawn


@dataclass(frozen=True, slots=True)
class Setup:
    """What all groups are measured with. ``budget`` 0: too little text for measures at a token budget."""

    k: int
    budget: int
    tokenizer: Tokenizer
    seed: int
    partition: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """One column of the table. ``sign``: 1 where more is more diverse, −1 where less is, 0 where it is no diversity."""

    name: str
    unit: str
    summary: str
    value: Callable[[Answers, Setup], float | None]
    sign: int = 0
    needs: tuple[str, ...] = ()
    at_k: bool = False  # moves with the number of answers: measured on k of them
    at_budget: bool = False  # moves with the amount of text: measured on equally many tokens


def headline(names: Sequence[str]) -> str:
    """Return the measure that a verdict rests on: the first there is of classes, molecules, words, else of any diversity.

    Raises
    ------
    ValueError
        No measure of diversity among them.

    Examples
    --------
    >>> headline(["quality", "rouge1_distance", "distinct_k"])
    'distinct_k'
    """
    ranked = ["distinct_k", "tanimoto_distance", "rouge1_distance", *(m.name for m in MEASURES.values() if m.sign)]
    found = next((name for name in ranked if name in names), None)
    if found is None:
        raise ValueError(f"metrics: expected at least one measure of diversity, got {', '.join(names)}")
    return found


class Answers:
    """The answers of a group, with what several measures ask of them worked out once."""

    def __init__(self, group: Group, setup: Setup) -> None:
        self.rows = group.rows
        self.texts = [row.response for row in group.rows]
        self.tokens = tokenize(self.texts, setup.tokenizer)
        self.reward = _numbers([row.reward for row in group.rows])
        self.correct = _numbers([row.correct for row in group.rows])
        self.logprob = _numbers([row.logprob for row in group.rows])
        self.kind: list[Any] | None = None
        if setup.partition is not None:
            labels = setup.partition(self.texts, group=np.zeros(len(self.texts), dtype=np.int64), prompts=[r.prompt for r in self.rows])
            self.kind = np.asarray(labels).tolist()
        elif all(row.kind is not None for row in group.rows):
            self.kind = [row.kind for row in group.rows]

    def drawn(self, setup: Setup) -> list[str] | None:
        """Return k of the answers, drawn with the seed; None where there are fewer."""
        if len(self.texts) < setup.k:
            return None
        chosen = np.sort(np.random.default_rng(setup.seed).permutation(len(self.texts))[: setup.k])
        return [self.texts[i] for i in chosen.tolist()]

    def cut(self, setup: Setup) -> list[str] | None:
        """Return answers in random order up to the token budget, tokens joined by blanks; None where there are fewer."""
        if not setup.budget:
            return None
        return metrics.within_budget(self.texts, setup.budget, seed=setup.seed, tokenizer=setup.tokenizer)


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _valid(answers: Answers, setup: Setup) -> float | None:
    return _mean(_numbers([row.valid for row in answers.rows]))


def _pass_at_k(answers: Answers, setup: Setup) -> float | None:
    known = answers.correct[~np.isnan(answers.correct)]
    return metrics.pass_at_k(known.size, int(known.sum()), setup.k) if known.size >= setup.k else None


def _unique(answers: Answers, setup: Setup) -> float | None:
    if len(answers.texts) < setup.k:
        return None
    found = metrics.distinct_k([text.strip() for text in answers.texts], setup.k)
    return None if found is None else found / setup.k


def _classes(answers: Answers, setup: Setup) -> float | None:
    enough = answers.kind is not None and len(answers.kind) >= setup.k
    return metrics.distinct_k(answers.kind, setup.k) if enough else None


def _effective(answers: Answers, setup: Setup) -> float | None:
    enough = answers.kind is not None and len(answers.kind) >= setup.k
    return metrics.effective_number(answers.kind[: setup.k]) if enough else None


def _correct_classes(answers: Answers, setup: Setup) -> float | None:
    if answers.kind is None:
        return None
    row = metrics.distinct_correct_at_k(answers.correct, answers.kind, [0] * len(answers.kind), k=setup.k)
    return row.value


def _of_texts(measure: Callable[..., Measurement]) -> Callable[[Answers, Setup], float | None]:
    def value(answers: Answers, setup: Setup) -> float | None:
        texts = answers.texts
        if len(texts) > MOST_PAIRED:
            chosen = np.sort(np.random.default_rng(setup.seed).permutation(len(texts))[:MOST_PAIRED])
            texts = [texts[i] for i in chosen.tolist()]
        return measure(texts, tokenizer=setup.tokenizer).value

    return value


def _tanimoto(answers: Answers, setup: Setup) -> float | None:
    from breadth.tasks.fingerprints import mean_pairwise_tanimoto
    from breadth.tasks.smiles import parse_smiles

    # another version of RDKit may refuse what the tool that wrote the file accepted
    valid = [row.response for row in answers.rows if row.valid and parse_smiles(row.response) is not None]
    return mean_pairwise_tanimoto(valid) if len(valid) > 1 else None


def _of_correct(answers: Answers, setup: Setup) -> float | None:
    right = [text for text, hit in zip(answers.texts, answers.correct, strict=True) if hit == 1]
    return metrics.mean_pairwise_rouge1(right, tokenizer=setup.tokenizer).value


def _of_drawn(measure: Callable[..., Measurement]) -> Callable[[Answers, Setup], float | None]:
    def value(answers: Answers, setup: Setup) -> float | None:
        texts = answers.drawn(setup)
        return None if texts is None else measure(texts, tokenizer=setup.tokenizer).value

    return value


def _of_cut(measure: Callable[..., Measurement], **settings: Any) -> Callable[[Answers, Setup], float | None]:
    def value(answers: Answers, setup: Setup) -> float | None:
        texts = answers.cut(setup)
        return None if texts is None else measure(texts, **settings).value

    return value


_BLANK = {"tokenizer": "whitespace"}  # texts within a budget are tokens joined by blanks

MEASURES: dict[str, Measure] = {
    m.name: m
    for m in (
        Measure("quality", "quality", "mean reward", lambda a, s: _mean(a.reward), needs=("reward",)),
        Measure("correct_share", "share", "share of correct answers", lambda a, s: _mean(a.correct), needs=("correct",)),
        Measure("pass_at_k", "share", "chance that k answers hold a correct one", _pass_at_k, needs=("correct",), at_k=True),
        Measure("valid_share", "share", "share of valid answers", _valid, needs=("valid",)),
        Measure("length", "tokens", "mean length", lambda a, s: float(np.mean([len(t) for t in a.tokens]))),
        Measure("sequence_entropy", "nats", "−mean log-probability of an answer", lambda a, s: _neg(_mean(a.logprob)), 1, ("logprob",)),
        Measure("tanimoto_distance", "distance", "mean pairwise distance of valid molecules", _tanimoto, 1, ("smiles",)),
        Measure("rouge1_distance", "distance", "mean pairwise word distance", _of_texts(metrics.mean_pairwise_rouge1), 1),
        Measure("rouge1_distance_correct", "distance", "the same among correct answers", _of_correct, 1, ("correct",)),
        Measure("unique_share", "share", "different texts among k answers, over k", _unique, 1, at_k=True),
        Measure("distinct_k", "answers", "classes among k answers", _classes, 1, ("kind",), at_k=True),
        Measure("effective_number", "answers", "exp of the entropy over classes", _effective, 1, ("kind",), at_k=True),
        Measure("distinct_correct_at_k", "answers", "classes among correct ones of k", _correct_classes, 1, ("kind", "correct"), at_k=True),
        Measure("distinct_2", "share", "distinct 2-grams", _of_cut(metrics.distinct_n, n=2, **_BLANK), 1, at_budget=True),
        Measure("ngram_novelty_4", "share", "4-grams that no sibling has", _of_drawn(metrics.mean_ngram_novelty), 1, at_k=True),
        Measure("jaccard_distance", "distance", "mean pairwise word-set distance", _of_texts(metrics.mean_pairwise_jaccard), 1),
        Measure("rouge_l_distance", "distance", "mean pairwise distance by order of words", _of_texts(metrics.mean_pairwise_rouge_l), 1),
        Measure("self_bleu", "BLEU", "BLEU against the siblings", _of_drawn(metrics.self_bleu), -1, at_k=True),
        Measure("compression_ratio", "ratio", "bytes over gzip bytes", _of_cut(metrics.compression_ratio), -1, at_budget=True),
    )
}  # fmt: skip
DEFAULT = tuple(MEASURES)[:15]


def _neg(value: float | None) -> float | None:
    return None if value is None else -value


def choose(names: Sequence[str] | None, fields: set[str]) -> tuple[str, ...]:
    """Return the measures to take: those that are asked for, else the default ones that the file's fields allow.

    Raises
    ------
    ValueError
        An unknown name, or one that needs a field that the file does not have.
    """
    if names is None:
        return tuple(name for name in DEFAULT if set(MEASURES[name].needs) <= fields)
    for name in names:
        if name not in MEASURES:
            raise ValueError(f"metrics: unknown {name!r}; known: {', '.join(MEASURES)}")
        lacking = set(MEASURES[name].needs) - fields
        if lacking:
            raise ValueError(f"metrics: {name!r} needs {' and '.join(sorted(lacking))}, which the file does not have")
    return tuple(names)
