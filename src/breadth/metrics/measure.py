"""Sets of texts in, measurements out: quality, shares, spread and entropies, in one fixed order.

Nothing here knows an engine or a model. Whoever has texts can measure them; whoever has their log-probabilities too
gets the entropies. The metrics' names are those of a study's ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from breadth.metrics.averages import SetValue, mean_over_sets, mean_over_texts, ratio_over_texts
from breadth.metrics.pairwise import mean_pairwise
from breadth.records import Measurement, TaskDescription


class Measurable(Protocol):
    """What measuring asks of a task; every :class:`breadth.tasks.protocol.Task` has it."""

    def score(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        """(n,) quality, 0 for unparsable, NaN where the scorer failed."""

    def key(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> list[str | None]:
        """Canonical forms, None for unparsable."""

    def valid(
        self, texts: Sequence[str], scores: np.ndarray, *, keys: Sequence[str | None] | None = None
    ) -> np.ndarray:
        """(n,) bool, which texts count as valid answers."""

    def distance(self, texts: Sequence[str], *, kind: str | None = None) -> np.ndarray:
        """(n, n) distances."""

    def describe(self) -> TaskDescription:
        """Names of the distances, the default first, and the quality from which an answer is correct."""


def measure_sets(
    task: Measurable,
    sets: Sequence[Sequence[str]],
    *,
    prompts: Sequence[Sequence[str]] | None = None,
    scores: np.ndarray | None = None,
    seq_logp: np.ndarray | None = None,
    seq_logp_prior: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
    entropy_sum: np.ndarray | None = None,
) -> list[Measurement]:
    """Return every measurement of k independent sets of texts, in a fixed order.

    Parameters
    ----------
    task : Measurable
        Its ``score`` and ``key`` are called once for all texts, ``distance`` once for each set and kind.
    sets : k sequences of texts
        Independent samples of the same policy; they may differ in size. Spread is measured within a set. M texts in
        all.
    prompts : k sequences of prompts, optional
        Beside the texts. All texts of one set answer the same prompt: spread between answers to different prompts would
        say nothing. None: the task needs no prompt.
    scores : (M,) array, optional
        What the task's scorer gave for the texts, where the caller has it already; ``task.score`` is not called then.
    seq_logp : (M,) array, optional
        Σ log π(x_t) of each text under the untempered policy, nats, in the order of the sets.
    seq_logp_prior : (M,) array, optional
        The same under the prior.
    lengths : (M,) array, optional
        Completion tokens |x| of each text, the end token counted where there is one.
    entropy_sum : (M,) array, optional
        Σ over a text's positions of the entropy of the full next-token distribution, nats.

    Returns
    -------
    list of Measurement
        In this order; the last five only where their arrays were given.

        - ``quality``, ``quality_parsable``: mean score over all texts (unparsable = 0), and over parsable ones.
        - ``parsable_share``, ``valid_share``, ``correct_share``: shares of all texts. Valid is what ``task.valid`` says
          of parsable texts; correct has a score of at least ``describe().correct_at``.
        - ``unique_share``: distinct keys among a set's parsable texts, over the set's size; mean over sets.
        - ``diversity``, ``diversity_valid``: mean pairwise distance within a set, over parsable and over valid texts,
          nothing de-duplicated; then ``diversity_<kind>``, ``diversity_<kind>_valid`` for each further distance.
        - ``diversity_unique``: the default distance over one text for each distinct key.
        - ``distinct_valid``: number of distinct valid answers in all sets together; no error, no sets.
        - ``policy_entropy``: −mean of (1/|x|) Σ log π(x_t), needs ``seq_logp`` and ``lengths``.
        - ``token_entropy``: Σ ``entropy_sum`` / Σ ``lengths``, the mean over sampled positions.
        - ``sequence_entropy``: −mean of ``seq_logp``; ``kl_prior``: mean of ``seq_logp`` − ``seq_logp_prior``.
        - ``length``: mean of ``lengths``.

        ``error`` of a mean over texts is the standard error over texts (for the ratio ``token_entropy``: linearised);
        ``error`` of a statistic of sets (``unique_share``, ``diversity*``) is the standard error over the sets that
        have a value; where just one has, the jackknife over texts (``unique_share``: None). ``sets`` holds each set's
        own value.

        Texts that the scorer failed on (NaN) take no part in anything that looks at the text and are counted in
        ``n_unscored`` there; entropies and lengths do not ask the scorer and keep them. A set with fewer than two texts
        to compare has None; without any value, ``value`` is None and ``n`` 0.

    Raises
    ------
    ValueError
        No texts at all; arrays or prompts of another size; a set with more than one prompt; a log-probability, length
        or entropy that is not finite; an infinite score; a score, key or distance of the wrong shape.

    Source: policy_entropy is eq. 4 and diversity eq. 5 of the quality-diversity law paper.
    Departures: averages over k sets instead of one set, so that errors are known.

    Examples
    --------
    >>> from breadth.tasks.graphs import CircleTask
    >>> sets = [["0 1 1 2 2 0", "1 0 0 2 2 1"], ["0 1 1 2 2 0", "0 1 1"]]
    >>> rows = {row.metric: row for row in measure_sets(CircleTask(vertices=3, edges=3), sets)}
    >>> rows["quality"].value, rows["quality_parsable"].value, rows["diversity"].value, rows["diversity"].sets
    (0.75, 1.0, 1.0, (1.0, None))
    """
    texts = [text for members in sets for text in members]
    if not texts:
        raise ValueError(f"sets: expected at least one text, got {len(sets)} sets without any")
    members_of = np.split(np.arange(len(texts)), np.cumsum([len(members) for members in sets])[:-1])
    asked = None if prompts is None else _one_prompt_a_set(prompts, sets)
    numbers = {"seq_logp": seq_logp, "seq_logp_prior": seq_logp_prior, "lengths": lengths, "entropy_sum": entropy_sum}
    given = {name: _finite(name, array, len(texts)) for name, array in numbers.items() if array is not None}
    score, keys = _judge(task, texts, asked, scores)
    rows = [*_measure_texts(task, texts, asked, score, keys, members_of), *_measure_log_probabilities(given, members_of)]
    more = getattr(task, "more_measurements", None)  # what the task measures beside these
    if more is not None:
        group = np.repeat(np.arange(len(sets)), [len(members) for members in sets])
        rows += more(texts, asked, group=group, scores=score, keys=keys)
    return rows


def _judge(
    task: Measurable, texts: list[str], prompts: list[str] | None, scores: np.ndarray | None
) -> tuple[np.ndarray, list[str | None]]:
    """Return the score and the key of each text, checked."""
    description = task.describe()
    score = np.asarray(task.score(texts, prompts) if scores is None else scores, dtype=float)
    keys = list(task.key(texts, prompts))
    if score.shape != (len(texts),) or len(keys) != len(texts):
        raise ValueError(
            f"task {description.name!r}: expected a score and a key for each of {len(texts)} texts, got scores of "
            f"shape {score.shape} and {len(keys)} keys"
        )
    if np.isinf(score).any():
        raise ValueError(
            f"task {description.name!r}: expected finite scores, or NaN where the scorer failed, got "
            f"{int(np.isinf(score).sum())} infinite ones"
        )
    return score, keys


def _measure_texts(
    task: Measurable,
    texts: list[str],
    prompts: list[str] | None,
    score: np.ndarray,
    keys: list[str | None],
    members_of: list[np.ndarray],
) -> list[Measurement]:
    """Return the rows from ``quality`` to ``distinct_valid``."""
    description = task.describe()
    scored = ~np.isnan(score)
    parsable = scored & np.array([key is not None for key in keys])
    valid = parsable & np.asarray(task.valid(texts, score, keys=keys), dtype=bool)
    correct = parsable & (score >= description.correct_at)  # NaN compares False
    failed = int((~scored).sum())

    seen = [members[scored[members]] for members in members_of]  # what each set shows of itself
    rows = [
        mean_over_texts("quality", score, seen, failed, "quality"),
        mean_over_texts("quality_parsable", score, [members[parsable[members]] for members in seen], failed, "quality"),
        mean_over_texts("parsable_share", parsable.astype(float), seen, failed, "share"),
        mean_over_texts("valid_share", valid.astype(float), seen, failed, "share"),
        mean_over_texts("correct_share", correct.astype(float), seen, failed, "share"),
    ]
    unique = [_share_of_distinct(keys, members) for members in seen]
    rows.append(mean_over_sets("unique_share", unique, failed, "share"))

    kinds: list[str | None] = list(description.distances) or [None]
    spread: dict[str, list[SetValue]] = {}
    for members in seen:
        answers = members[parsable[members]]
        good = valid[answers]
        own = [texts[i] for i in answers]
        first_of = {keys[i]: place for place, i in reversed(list(enumerate(answers)))}  # one text for each distinct key
        distinct = np.array(sorted(first_of.values()), dtype=np.int64)
        for place, kind in enumerate(kinds):
            name = f"diversity_{kind}" if place else "diversity"
            distance = _distances(task, own, kind, None if prompts is None or not own else prompts[answers[0]])
            spread.setdefault(name, []).append(_spread(distance))
            spread.setdefault(f"{name}_valid", []).append(_spread(distance[np.ix_(good, good)]))
            if place == 0:
                spread.setdefault("diversity_unique", []).append(_spread(distance[np.ix_(distinct, distinct)]))
    last = spread.pop("diversity_unique")
    rows += [mean_over_sets(name, values, failed, "distance") for name, values in spread.items()]
    rows.append(mean_over_sets("diversity_unique", last, failed, "distance"))

    answers = {(None if prompts is None else prompts[i], keys[i]) for i in np.flatnonzero(valid).tolist()}
    n_scored = int(scored.sum())
    found = float(len(answers)) if n_scored else None
    rows.append(Measurement("distinct_valid", found, None, n_scored, failed, "answers"))
    return rows


def _measure_log_probabilities(given: dict[str, np.ndarray], members_of: list[np.ndarray]) -> list[Measurement]:
    """Return the rows from ``policy_entropy`` to ``length`` that the given arrays allow."""
    logp, prior, length, entropy = (given.get(k) for k in ("seq_logp", "seq_logp_prior", "lengths", "entropy_sum"))
    written = members_of if length is None else [members[length[members] > 0] for members in members_of]
    rows = []
    if logp is not None and length is not None:
        per_token = -np.divide(logp, length, out=np.zeros_like(logp), where=length > 0)
        rows.append(mean_over_texts("policy_entropy", per_token, written, 0, "nats/token"))
    if entropy is not None and length is not None:
        rows.append(ratio_over_texts("token_entropy", entropy, length, written, "nats/token"))
    if logp is not None:
        rows.append(mean_over_texts("sequence_entropy", -logp, members_of, 0, "nats"))
    if logp is not None and prior is not None:
        rows.append(mean_over_texts("kl_prior", logp - prior, members_of, 0, "nats"))
    if length is not None:
        rows.append(mean_over_texts("length", length, members_of, 0, "tokens"))
    return rows


def _spread(distance: np.ndarray) -> SetValue:
    value, error = mean_pairwise(distance)
    return value, error, distance.shape[0]


def _share_of_distinct(keys: list[str | None], members: np.ndarray) -> SetValue:
    if members.size == 0:
        return None, None, 0
    distinct = {keys[i] for i in members.tolist()} - {None}
    return len(distinct) / members.size, None, members.size


def _distances(task: Measurable, texts: list[str], kind: str | None, prompt: str | None) -> np.ndarray:
    """Return the task's (n, n) distances, checked; without asking the task where there is nothing to compare."""
    n = len(texts)
    if n < 2:
        return np.zeros((n, n))
    within = getattr(task, "distance_within", None)
    distance = np.asarray(task.distance(texts, kind=kind) if within is None else within(texts, prompt, kind=kind), dtype=float)
    if distance.shape != (n, n):
        raise ValueError(f"distance {kind!r}: expected shape {(n, n)} for {n} texts, got {distance.shape}")
    return distance


def _one_prompt_a_set(prompts: Sequence[Sequence[str]], sets: Sequence[Sequence[str]]) -> list[str]:
    """Return the prompts in the order of the texts, checked."""
    sizes, expected = [len(asked) for asked in prompts], [len(members) for members in sets]
    if sizes != expected:
        raise ValueError(f"prompts: expected one beside each text, in sets of {expected}, got sets of {sizes}")
    for number, asked in enumerate(prompts):
        if len(set(asked)) > 1:
            raise ValueError(
                f"prompts: expected one prompt in each set, got {len(set(asked))} in set {number}; put the answers to "
                "each prompt into a set of their own"
            )
    return [prompt for asked in prompts for prompt in asked]


def _finite(name: str, array: np.ndarray, n: int) -> np.ndarray:
    """Return the array as (n,) float64, checked."""
    array = np.asarray(array, dtype=float)
    if array.shape != (n,):
        raise ValueError(f"{name}: expected shape ({n},), one number for each text, got {array.shape}")
    wrong = np.flatnonzero(~np.isfinite(array))
    if wrong.size:
        raise ValueError(f"{name}: expected finite numbers, got {wrong.size} of {n} that are not, first at {wrong[0]}")
    return array
