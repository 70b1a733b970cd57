"""The measures of one group of answers: which there are, what each needs, and what it is sensitive to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from breadth import metrics
from breadth.experiments.generation_answers import Answers, numbers
from breadth.records import Measurement

Value = Callable[[Answers], float | None]


@dataclass(frozen=True, slots=True)
class Measure:
    """One column of the table. ``sign``: 1 where more is more diverse, −1 where less is, 0 where it is no diversity."""

    name: str
    unit: str
    summary: str
    value: Value
    sign: int = 0
    needs: tuple[str, ...] = ()  # fields of the file, or "encoder", "trees", "bar", "vocabulary", "goodness"
    at_k: bool = False  # moves with the number of answers: measured on k of them
    at_budget: bool = False  # moves with the amount of text: measured on equally many tokens
    usual: bool = True  # taken without being asked for
    k: int | None = None  # of a measure at a k of its own


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
    ranked = [
        "distinct_k",
        "tanimoto_distance",
        "rouge1_distance",
        *(name for name in names if measure_named(name).sign),
    ]
    found = next((name for name in ranked if name in names), None)
    if found is None:
        raise ValueError(f"metrics: expected at least one measure of diversity, got {', '.join(names)}")
    return found


def measure_named(name: str) -> Measure:
    """Return a measure by its name; ``pass_at_8``, ``distinct_at_8``, ``distinct_correct_at_8`` for any number.

    Raises
    ------
    ValueError
        An unknown name.

    Examples
    --------
    >>> measure_named("pass_at_8").k, measure_named("quality").unit
    (8, 'quality')
    """
    if name in MEASURES:
        return MEASURES[name]
    if (match := re.fullmatch(r"(pass_at|distinct_at|distinct_correct_at)_([1-9]\d*)", name)) is not None:
        family, k = match[1], int(match[2])
        like = MEASURES["distinct_k" if family == "distinct_at" else f"{family}_k"]
        value = {"pass_at": _pass_at, "distinct_at": _distinct_at, "distinct_correct_at": _distinct_correct_at}[family]
        summary = like.summary.replace("k answers", f"{k} answers").replace("of k", f"of {k}")
        return replace(like, name=name, summary=summary, value=lambda a: value(a, k), k=k, usual=False)
    raise ValueError(f"metrics: unknown {name!r}; known: {', '.join(MEASURES)}; pass_at_8 and its like for any number")


def choose(names: Sequence[str] | None, fields: set[str]) -> tuple[str, ...]:
    """Return the measures to take: those that are asked for, else the usual ones that the file's fields allow.

    ``("all",)`` are all that the fields allow.

    Raises
    ------
    ValueError
        An unknown name, or one that needs a field that the file does not have.
    """
    if names is None or tuple(names) == ("all",):
        return tuple(m.name for m in MEASURES.values() if (m.usual or names is not None) and set(m.needs) <= fields)
    for name in names:
        lacking = set(measure_named(name).needs) - fields
        if lacking:
            raise ValueError(f"metrics: {name!r} needs {' and '.join(sorted(map(_lacking, lacking)))}")
    return tuple(dict.fromkeys(names))


def _lacking(field: str) -> str:
    return {
        "encoder": "a sentence encoder (encoder=, --encoder FOLDER)",
        "trees": "dependency trees (conllu= or parse=, --conllu FILE or --parser MODULE:FUNCTION)",
        "bar": "a quality bar (bar=, --bar)",
        "vocabulary": "the size of a vocabulary (vocabulary=, --vocabulary)",
        "kind": "kind, which the file does not have: classes come from a partition (partition=, --partition classifier)",
        "goodness": "correct, or reward with a bar, which the file does not have",
    }.get(field, f"{field}, which the file does not have")


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _neg(value: float | None) -> float | None:
    return None if value is None else -value


def _pass_at(a: Answers, k: int) -> float | None:
    known = a.correct[~np.isnan(a.correct)]
    return metrics.pass_at_k(known.size, int(known.sum()), k) if known.size >= k else None


def _distinct_at(a: Answers, k: int) -> float | None:
    return metrics.distinct_k(a.kind, k) if a.kind is not None and len(a) >= k else None


def _distinct_correct_at(a: Answers, k: int, right: np.ndarray | None = None) -> float | None:
    if a.kind is None:
        return None
    return metrics.distinct_correct_at_k(a.correct if right is None else right, a.kind, [0] * len(a), k=k).value


def _unique(a: Answers) -> float | None:
    if len(a) < a.setup.k:
        return None
    found = metrics.distinct_k([text.strip() for text in a.texts], a.setup.k)
    return None if found is None else found / a.setup.k


def _of_kinds(measure: Callable[..., float | None]) -> Value:
    def value(a: Answers) -> float | None:
        if a.kind is None or a.places is None:
            return None
        return measure([a.kind[i] for i in a.places.tolist()])

    return value


def _entropy_by_probability(a: Answers) -> float | None:
    if a.kind is None:
        return None
    # each distinct text once: its probability is in the sum already
    first = {text: i for i, text in reversed(list(enumerate(a.texts))) if not np.isnan(a.logprob[i])}
    chosen = sorted(first.values())
    return metrics.semantic_entropy([a.kind[i] for i in chosen], seq_logp=[float(a.logprob[i]) for i in chosen])


def _utility(a: Answers) -> float | None:
    k = a.setup.k
    if a.kind is None or len(a) < k or np.isnan(a.reward[:k]).any():
        return None
    return metrics.utility_k(partition=a.kind[:k], score=a.reward[:k].tolist(), patience=a.setup.patience)


def _of_texts(measure: Callable[..., Measurement]) -> Value:
    return lambda a: measure(a.paired, tokenizer=a.setup.tokenizer).value


def _among(measure: Callable[..., Measurement], which: str) -> Value:
    """Return the measure among the answers of which ``which`` is 1."""
    return lambda a: (
        measure(
            [a.texts[i] for i in np.flatnonzero(getattr(a, which) == 1).tolist()], tokenizer=a.setup.tokenizer
        ).value
    )


def _effective(a: Answers) -> float | None:
    """Return Σ v_i v_j d_ij / C(n, 2) for v in {0, 1}: the chance that a pair is good, times its mean distance."""
    n = int((~np.isnan(a.good)).sum())
    c = int((a.good == 1).sum())
    if n < 2:
        return None
    among = _among(metrics.mean_pairwise_rouge1, "good")(a)
    return 0.0 if among is None else among * c * (c - 1) / (n * (n - 1))


def _of_drawn(measure: Callable[..., Measurement]) -> Value:
    return lambda a: None if a.drawn is None else measure(a.drawn, tokenizer=a.setup.tokenizer).value


def _of_cut(measure: Callable[..., Measurement], **settings: Any) -> Value:
    return lambda a: None if a.cut is None else measure(a.cut, **settings).value


def _lexical(a: Answers) -> float | None:
    # half the budget: short answers hold clearly fewer 3-grams than tokens
    sample = a.setup.budget // 2
    if a.cut is None or not sample:
        return None
    row = metrics.lexical_diversity(a.cut, sample=sample, seed=a.setup.seed)
    return row.value if row.budget == sample else None


def _ead(a: Answers) -> float | None:
    return None if a.cut is None else metrics.ead(a.cut, vocabulary=a.setup.vocabulary or 1, **_BLANK).value


def _semantic(a: Answers) -> float | None:
    return metrics.semantic_diversity(a.sentence_vectors, scope="pooled", seed=a.setup.seed).value


def _syntactic(a: Answers) -> float | None:
    assert a.setup.trees is not None
    trees = [tree for row in a.rows for tree in a.setup.trees(row)]
    return metrics.syntactic_diversity(trees, scope="pooled", seed=a.setup.seed).value


def _vendi(a: Answers) -> float | None:
    return None if a.places is None else metrics.vendi(features=a.vectors[a.places], q=a.setup.order)


def _vendi_words(a: Answers) -> float | None:
    return None if a.places is None else metrics.vendi(features=a.word_vectors, q=a.setup.order)


def _tanimoto(a: Answers) -> float | None:
    from breadth.tasks.fingerprints import mean_pairwise_tanimoto
    from breadth.tasks.smiles import parse_smiles

    # another version of RDKit may refuse what the tool that wrote the file accepted
    valid = [row.response for row in a.rows if row.valid and parse_smiles(row.response) is not None]
    return mean_pairwise_tanimoto(valid) if len(valid) > 1 else None


_BLANK = {"tokenizer": "whitespace"}  # texts within a budget are tokens joined by blanks
_R1 = metrics.mean_pairwise_rouge1

MEASURES: dict[str, Measure] = {
    m.name: m
    for m in (
        Measure("quality", "quality", "mean reward", lambda a: _mean(a.reward), needs=("reward",)),
        Measure("correct_share", "share", "share of correct answers", lambda a: _mean(a.correct), needs=("correct",)),
        Measure("pass_at_k", "share", "chance that k answers hold a correct one", lambda a: _pass_at(a, a.setup.k), 0, ("correct",), True),
        Measure("valid_share", "share", "share of valid answers", lambda a: _mean(numbers([r.valid for r in a.rows])), 0, ("valid",)),
        Measure("above_bar_share", "share", "share of answers at or above the bar", lambda a: _mean(a.above_bar), 0, ("reward", "bar")),
        Measure("length", "tokens", "mean length", lambda a: float(np.mean([len(t) for t in a.tokens]))),
        Measure("sequence_entropy", "nats", "−mean log-probability of an answer", lambda a: _neg(_mean(a.logprob)), 1, ("logprob",)),
        Measure("tanimoto_distance", "distance", "mean pairwise distance of valid molecules", _tanimoto, 1, ("smiles",)),
        Measure("rouge1_distance", "distance", "mean pairwise word distance", _of_texts(_R1), 1),
        Measure("rouge1_distance_correct", "distance", "the same among correct answers", _among(_R1, "correct"), 1, ("correct",)),
        Measure("rouge1_distance_above_bar", "distance", "the same among answers at or above the bar", _among(_R1, "above_bar"), 1,
                ("reward", "bar")),
        Measure("effective_distance", "distance", "word distance of pairs that are both good; other pairs count 0", _effective, 1,
                ("goodness",)),
        Measure("unique_share", "share", "different texts among k answers, over k", _unique, 1, at_k=True),
        Measure("distinct_k", "answers", "classes among k answers", lambda a: _distinct_at(a, a.setup.k), 1, ("kind",), True),
        Measure("effective_number", "answers", "exp of the entropy over classes", _of_kinds(metrics.effective_number), 1, ("kind",), True),
        Measure("distinct_correct_at_k", "answers", "classes among correct ones of k", lambda a: _distinct_correct_at(a, a.setup.k), 1,
                ("kind", "correct"), True),
        Measure("distinct_above_bar_at_k", "answers", "classes among those of k at or above the bar",
                lambda a: _distinct_correct_at(a, a.setup.k, a.above_bar), 1, ("kind", "reward", "bar"), True),
        Measure("utility_k", "quality", "what k answers are worth to a reader who reads on", _utility, 0, ("kind", "reward"), True),
        Measure("distinct_2", "share", "distinct 2-grams", _of_cut(metrics.distinct_n, n=2, **_BLANK), 1, at_budget=True),
        Measure("ngram_novelty_4", "share", "4-grams that no sibling has", _of_drawn(metrics.mean_ngram_novelty), 1, at_k=True),
        Measure("cosine_distance", "distance", "mean pairwise 1 − cosine of answers", lambda a: metrics.mean_pairwise_cosine(a.vectors).value,
                1, ("encoder",)),
        Measure("semantic_diversity", "distance", "mean pairwise (1 − cosine)/2 of sentences (Guo et al.)", _semantic, 1, ("encoder",)),
        Measure("syntactic_diversity", "distance", "1 − mean kernel of dependency trees (Guo et al.)", _syntactic, 1, ("trees",)),
        Measure("vendi", "answers", "effective number of k answers by their vectors", _vendi, 1, ("encoder",), True),
        Measure("ead", "ratio", "distinct words over what uniform draws would show", _ead, 1, ("vocabulary",), at_budget=True),
        Measure("lexical_diversity", "share", "type/token ratio of 1- to 3-grams (Guo et al.)", _lexical, 1, at_budget=True, usual=False),
        Measure("vendi_words", "answers", "effective number of k answers by their words", _vendi_words, 1, at_k=True, usual=False),
        Measure("semantic_entropy", "nats", "entropy over classes of k answers", _of_kinds(metrics.semantic_entropy), 1, ("kind",), True,
                usual=False),
        Measure("semantic_entropy_logprob", "nats", "the same, classes weighted by probability", _entropy_by_probability, 1,
                ("kind", "logprob"), usual=False),
        Measure("coverage", "share", "share of prompts with a correct one among k: pass@k", lambda a: _pass_at(a, a.setup.k), 0,
                ("correct",), True, usual=False),
        Measure("jaccard_distance", "distance", "mean pairwise word-set distance", _of_texts(metrics.mean_pairwise_jaccard), 1, usual=False),
        Measure("rouge_l_distance", "distance", "mean pairwise distance by order of words", _of_texts(metrics.mean_pairwise_rouge_l), 1,
                usual=False),
        Measure("self_bleu", "BLEU", "BLEU against the siblings", _of_drawn(metrics.self_bleu), -1, at_k=True, usual=False),
        Measure("compression_ratio", "ratio", "bytes over gzip bytes", _of_cut(metrics.compression_ratio), -1, at_budget=True, usual=False),
    )
}  # fmt: skip
DEFAULT = tuple(m.name for m in MEASURES.values() if m.usual)
