"""Is my run collapsing? Early against late steps of one log, in words, with the prompts that lost most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from breadth.experiments.generation_groups import Dealer
from breadth.experiments.generation_measures import headline, measure_named
from breadth.experiments.generations import FileMeasurement
from breadth.experiments.notation import number
from breadth.experiments.over_prompts import Difference, difference
from breadth.ledger.generations import read_generations

ANSWERS = {"lost": "Yes", "the same": "No", "bought": "No", "cannot tell": "Cannot tell"}


@dataclass(frozen=True, slots=True)
class LostPrompt:
    """A prompt, its value early and late, and answers of the first and the last step at which it stands."""

    prompt: str
    before: float | None
    after: float | None
    step_before: int | None
    step_after: int | None
    answers_before: tuple[str, ...]
    answers_after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CollapseVerdict:
    """``answer``: "Yes", "No" or "Cannot tell"; ``sentence`` says why. ``differences``: late − early of each measure."""

    answer: str
    sentence: str
    metric: str
    early: tuple[int | None, ...]
    late: tuple[int | None, ...]
    differences: tuple[Difference, ...]
    lost: tuple[LostPrompt, ...]


def collapse_verdict(
    measured: FileMeasurement, *, metric: str | None = None, margin: float = 0.02, n_lost: int = 3, n_answers: int = 3
) -> CollapseVerdict:
    """Return whether a run's range of answers shrinks over its steps, from the log alone.

    The first quarter of the steps is held against the last quarter: paired over the prompts that stand in both, where
    there are at least five, else as two samples of prompts (a run that never sees a prompt twice). The answer rests on one
    measure; the others are listed beside it.

    Parameters
    ----------
    measured : FileMeasurement
    metric : str, optional
        The measure that decides. None: the first there is of ``distinct_k``, ``tanimoto_distance``, ``rouge1_distance``.
    margin : float
        δ: a change inside (−δ, δ) is no change. For ``distinct_k`` in answers, otherwise in shares or distances.
    n_lost, n_answers : int
        Prompts that lost most, and answers of each, read from the file a third time.

    Returns
    -------
    CollapseVerdict
        "Cannot tell" with fewer than two steps. "Yes" says that the range shrinks, not that this is bad: where quality
        rises and the loss is of wrong answers, it may be what training is for; so the sentence names quality too.

    Raises
    ------
    ValueError
        A metric that was not measured or is no diversity.

    Source: this project. Departures: none.
    """
    metric = headline(measured.metrics) if metric is None else metric
    measured.place(metric)
    if not measure_named(metric).sign:
        raise ValueError(f"metric: expected a measure of diversity, got {metric!r}")
    steps = measured.steps
    if len(steps) < 2:
        return CollapseVerdict(
            "Cannot tell", "Cannot tell whether the run is collapsing: the file has one step.", metric, steps, steps, (), ()
        )
    quarter = max(len(steps) // 4, 1)
    early, late = steps[:quarter], steps[-quarter:]
    found = [
        difference(
            name,
            measured.by_prompt(name, late),
            measured.by_prompt(name, early),
            pair=measured.dealt != "blocks_of_answers",
            margin=margin,
            sign=measure_named(name).sign or 1,
            n_boot=measured.n_boot,
            seed=measured.seed,
        )
        for name in measured.metrics
    ]
    by_name = {one.metric: one for one in found}
    sentence = _sentence(measured, by_name, metric, early, late)
    lost = _lost(measured, metric, early, late, n_lost, n_answers)
    return CollapseVerdict(ANSWERS[by_name[metric].verdict], sentence, metric, early, late, tuple(found), lost)


def _span(steps: tuple[int | None, ...]) -> str:
    return f"step {steps[0]}" if len(steps) == 1 else f"steps {steps[0]} to {steps[-1]}"


def _sentence(
    measured: FileMeasurement, by_name: dict[str, Difference], metric: str, early: tuple, late: tuple
) -> str:
    main = by_name[metric]
    if main.value is None or main.low is None or main.high is None:
        return f"Cannot tell whether the run is collapsing: {metric} has too few values in {_span(early)} or {_span(late)}."
    words = {
        "lost": "Yes, the run is collapsing",
        "the same": f"No, the range stays the same within {main.margin:g}",
        "bought": "No, the range grows",
        "cannot tell": "Cannot tell whether the run is collapsing",
    }[main.verdict]
    unit = {"prompt": "prompts", "blocks_of_prompts": "blocks of prompts"}.get(measured.dealt, "blocks of answers")
    how = f"{main.n} {unit}, {'paired' if main.paired else 'not the same ones early and late'}"
    text = (
        f"{words}: {metric} goes from {number(main.b)} in {_span(early)} to {number(main.a)} in {_span(late)} "
        f"({number(main.value)}, 95 % interval {number(main.low)} to {number(main.high)}; {how})."
    )
    if main.verdict == "lost" and (half := _half_way(measured, metric, main)) is not None:
        text += f" Half of the loss had happened by step {half}."
    quality = by_name.get("quality") or by_name.get("correct_share")
    if quality is not None and quality.a is not None and quality.b is not None:
        text += f" Meanwhile {quality.metric} goes from {number(quality.b)} to {number(quality.a)}."
    return text


def _half_way(measured: FileMeasurement, metric: str, main: Difference) -> int | None:
    """Return the first step from which on the mean stays beyond the middle between early and late."""
    middle, sign = (main.a + main.b) / 2, measure_named(metric).sign
    beyond = None
    for step, row in measured.series(metric):
        if row.value is None:
            continue
        beyond = (step if beyond is None else beyond) if sign * (row.value - middle) <= 0 else None
    return beyond


def _lost(
    measured: FileMeasurement, metric: str, early: tuple, late: tuple, n_lost: int, n_answers: int
) -> tuple[LostPrompt, ...]:
    """Return the prompts with the largest loss; where none stands early and late, those with the least range late."""
    if measured.dealt != "prompt" or n_lost < 1:
        return ()
    sign = measure_named(metric).sign
    before, after = (measured.by_prompt(metric, steps) for steps in (early, late))
    shared = {key: sign * (after[key] - before[key]) for key in after if key in before}
    ranked = {key: change for key, change in shared.items() if change < 0}
    if not shared:
        ranked = {key: sign * value for key, value in after.items() if not np.isnan(value)}
    keys = sorted(ranked, key=lambda key: (ranked[key], key))[:n_lost]
    if not keys:
        return ()
    texts, prompts = _answers_to(measured, keys)
    lost = []
    for key in keys:
        at = [[step for step in steps if (key, step) in texts] for steps in (early, late)]
        first, last = (at[0][0] if at[0] else None), at[1][-1]
        lost.append(
            LostPrompt(
                prompts[key],
                before.get(key),
                after.get(key),
                first,
                last,
                tuple(texts[key, first][:n_answers]) if at[0] else (),
                tuple(texts[key, last][:n_answers]),
            )
        )
    return tuple(lost)


def lost_between(
    before: FileMeasurement, after: FileMeasurement, metric: str, *, n_lost: int = 3, n_answers: int = 3
) -> tuple[LostPrompt, ...]:
    """Return the prompts whose range shrinks most from one file to another, each at its last step, with answers of both.

    Raises
    ------
    ValueError
        A metric that was not measured in both.
    """
    if not before.dealt == after.dealt == "prompt":
        return ()
    steps = before.steps[-1], after.steps[-1]
    sign = measure_named(metric).sign or 1
    first, second = before.by_prompt(metric, [steps[0]]), after.by_prompt(metric, [steps[1]])
    change = {key: sign * (second[key] - first[key]) for key in second if key in first}
    keys = sorted((key for key in change if change[key] < 0), key=lambda key: (change[key], key))[:n_lost]
    if not keys:
        return ()
    (texts, prompts), (other_texts, _) = _answers_to(before, keys), _answers_to(after, keys)
    return tuple(
        LostPrompt(
            prompts[key], first[key], second[key], *steps,
            tuple(texts[key, steps[0]][:n_answers]), tuple(other_texts[key, steps[1]][:n_answers]),
        )
        for key in keys
    )  # fmt: skip


def _answers_to(
    measured: FileMeasurement, keys: Sequence[bytes]
) -> tuple[dict[tuple[bytes, int | None], list[str]], dict[bytes, str]]:
    """Return the answers to these prompts by step, and the prompts themselves, from the file."""
    texts: dict[tuple[bytes, int | None], list[str]] = {}
    prompts: dict[bytes, str] = {}
    wanted, dealer = set(keys), Dealer("prompt", 0)
    for row in read_generations(measured.source):
        step, key = dealer.key(row)
        if key in wanted:
            prompts[key] = row.prompt
            texts.setdefault((key, step), []).append(row.response)
    return texts, prompts
