"""Any file of generations to a table of measurements by step; two files to their differences.

No model and no retraining: what a trainer logged is measured as it is. Every interval is over prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from breadth.experiments.generation_answers import Encode, Setup, with_classes
from breadth.experiments.generation_groups import Dealer, read_groups, take_census
from breadth.experiments.generation_measures import Measure, choose, measure_named
from breadth.experiments.generation_notes import notes_of
from breadth.experiments.generation_trees import trees_source
from breadth.experiments.over_prompts import Difference, bootstrap_mean, difference
from breadth.ledger.generations import GenerationsError, Source, describe_source
from breadth.metrics.conditions import TextMeasurement
from breadth.metrics.tokens import Tokenizer, tokenizer_name

_BLOCKS = 20  # of prompts, for scope "pooled": enough for an interval, few enough to hold many texts each
_ANSWER_BLOCKS = 8  # of answers, for files with one prompt: 16 molecules each of REINVENT's usual batch of 128


@dataclass(frozen=True)
class FileMeasurement:
    """What :func:`measure_file` made of a file. ``values[step][prompt]`` is an array in the order of ``metrics``."""

    source: Source
    scope: str
    metrics: tuple[str, ...]
    k: int
    token_budget: int | None
    tokenizer: str
    seed: int
    n_boot: int
    n_rows: int
    steps: tuple[int | None, ...]
    rows: tuple[tuple[int | None, TextMeasurement], ...]
    notes: tuple[str, ...]
    dealt: str  # "prompt" | "blocks_of_prompts" | "blocks_of_answers" (which have no partner at another step)
    conditions: tuple[str, ...]  # how the answers were drawn, where the file says so
    values: Mapping[int | None, Mapping[bytes, np.ndarray]] = field(repr=False)

    @property
    def label(self) -> str:
        """The name of the file or of its folder."""
        return self.source.files[0].name if len(self.source.files) == 1 else self.source.files[0].parent.name

    def series(self, metric: str) -> list[tuple[int | None, TextMeasurement]]:
        """Return the measurements of a metric by step; ``ValueError`` for one that was not taken."""
        self.place(metric)
        return [(step, row) for step, row in self.rows if row.metric == metric]

    def by_prompt(self, metric: str, steps: Sequence[int | None]) -> dict[bytes, float]:
        """Return each prompt's mean over these steps; NaN where it has no value in them."""
        place = self.place(metric)
        found: dict[bytes, list[float]] = {}
        for step in steps:
            for key, values in self.values[step].items():
                found.setdefault(key, []).append(float(values[place]))
        known = {key: [v for v in values if not np.isnan(v)] for key, values in found.items()}
        return {key: float(np.mean(values)) if values else float("nan") for key, values in known.items()}

    def place(self, metric: str) -> int:
        """Return the index of a metric; ``ValueError`` names the ones there are."""
        if metric not in self.metrics:
            raise ValueError(f"metric: {metric!r} was not measured; measured: {', '.join(self.metrics)}")
        return self.metrics.index(metric)


def measure_file(
    path: str | Path,
    *,
    metrics: Sequence[str] | None = None,
    scope: str = "within_prompt",
    k: int | None = None,
    token_budget: int | None = None,
    tokenizer: Tokenizer | None = None,
    partition: Callable[..., Any] | None = None,
    encoder: str | Path | Encode | None = None,
    conllu: str | Path | None = None,
    parse: Callable[[str], str] | None = None,
    order: float = 1.0,
    bar: float | None = None,
    patience: float = 0.8,
    vocabulary: int | None = None,
    fields: Mapping[str, str] | None = None,
    format: str | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> FileMeasurement:
    """Return a table of measurements by step of a file (or folder) of generations, with intervals over prompts.

    Parameters
    ----------
    path : path
        See :func:`breadth.ledger.generations.describe_source`: JSON lines, Parquet, CSV; logs of TRL, verl, lm-eval,
        REINVENT 4 and wandb tables are recognised.
    metrics : sequence of str, optional
        Names of :data:`breadth.experiments.generation_measures.MEASURES`, ``pass_at_8`` and its like for any number, or
        ``["all"]``: all that the fields allow. None: the usual ones that they allow.
    scope : "within_prompt" or "pooled"
        Spread between answers to the same prompt, or between answers to different prompts (which says more of the prompts
        than of the model). Pooled: prompts are dealt into 20 blocks by their hash; intervals are over blocks.
    k : int, optional
        Answers on which the measures rest that move with the number of answers. None: the most frequent group size.
    token_budget : int, optional
        Tokens on which the measures rest that move with the amount of text. None: what nine in ten groups of every step
        can fill, so that a run that writes ever longer answers is not taken for a collapse.
    tokenizer : str or callable, optional
        None: "words", or "smiles" for REINVENT.
    partition : callable, optional
        ``partition(texts, group=..., prompts=...)`` gives a class for each text, as :func:`breadth.partition` does (many groups
        in one call; ``prompts`` None where the scope is "pooled"); else a column ``kind`` of the file.
    encoder : folder or callable, optional
        For semantic_diversity, cosine_distance and vendi: a sentence encoder
        (:func:`breadth.partitions.encoder.load_encoder`), or a function from M texts to (M, d) floats.
    conllu, parse : path, callable, optional
        For syntactic_diversity, one of the two: a CoNLL-U file in which ``# newdoc id = 7`` begins the sentences of answer 7
        (in the order of reading, from 0), or a function from a text to CoNLL-U.
    order : float
        q of the Vendi score.
    bar : float, optional
        Reward from which on an answer is good: diversity among good answers, and weighted by goodness.
    patience : float
        Of utility_k.
    vocabulary : int, optional
        V of the expectation-adjusted distinct score.
    fields, format
        See :func:`breadth.ledger.generations.describe_source`.
    n_boot, seed : int

    Returns
    -------
    FileMeasurement
        ``rows``: for each step and metric the mean over prompts (each prompt counts alike), its standard error over prompts and
        95 % bootstrap interval; ``n`` counts prompts. ``notes`` says what was recognised, left out, cut or unusual.

    Raises
    ------
    GenerationsError
        A file that cannot be read (with the line); one response for each prompt where the scope is "within_prompt".
    ValueError
        Unknown scope, metric, or a metric whose field is missing; k or token_budget below 1; answers without a tree.
    FileNotFoundError

    Source: this project. Departures: none.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "a.jsonl"
    ...     _ = file.write_text("\\n".join('{"prompt": "p%d", "response": "%s"}' % (i, r) for i in range(2) for r in "ab"))
    ...     found = measure_file(file)
    >>> found.series("rouge1_distance")[0][1].value, found.k
    (1.0, 2)
    """
    if scope not in ("within_prompt", "pooled"):
        raise ValueError(f"scope: unknown {scope!r}; known: within_prompt, pooled")
    for name, number in (("k", k), ("token_budget", token_budget)):
        if number is not None and number < 1:
            raise ValueError(f"{name}: expected at least 1, got {number}")
    source = describe_source(path, fields=fields, format=format)
    smiles = source.format.name == "reinvent4"
    tokenizer = ("smiles" if smiles else "words") if tokenizer is None else tokenizer
    how, n_blocks = ("prompt", 0) if scope == "within_prompt" else ("blocks_of_prompts", _BLOCKS)
    census = take_census(source, Dealer(how, n_blocks), tokenizer)
    if max(census.sizes.values()) < 2 and scope == "within_prompt":
        raise GenerationsError(
            f"{path}: one response for each of {len(census.sizes)} prompts (from line 1 on): the spread between answers to the "
            "same prompt cannot be measured. Sample several answers to each prompt, or measure across prompts with "
            "scope='pooled'"
        )
    if how == "prompt" and census.one_prompt and min(census.sizes.values()) >= 2 * _ANSWER_BLOCKS:
        how, n_blocks = "blocks_of_answers", _ANSWER_BLOCKS
        census = take_census(source, Dealer(how, n_blocks), tokenizer)
    # blocks differ in size by chance: the smallest one bounds k
    usual = census.usual_size() if how == "prompt" else max(min(census.sizes.values()), 2)
    k = usual if k is None else k
    budget = census.token_budget(min(k, usual)) if token_budget is None else token_budget
    trees = trees_source(conllu, parse)
    given = {"kind": partition, "encoder": encoder, "trees": trees, "bar": bar, "vocabulary": vocabulary}
    available = census.fields | {name for name, value in given.items() if value is not None}
    if "correct" in available or "valid" in available or {"reward", "bar"} <= available:
        available = available | {"goodness"}
    if smiles and find_spec("rdkit") is not None:
        available = available | {"smiles"}
    names = choose(metrics, available)
    if isinstance(encoder, str | Path):
        from breadth.partitions.encoder import load_encoder

        encoder = load_encoder(str(encoder))
    setup = Setup(k, budget, tokenizer, seed, partition, encoder, trees, order, bar, patience, vocabulary)
    chosen = [measure_named(name) for name in names]
    values: dict[int | None, dict[bytes, np.ndarray]] = {}
    groups = read_groups(source, census, Dealer(how, n_blocks))
    for group, answers in with_classes(groups, setup, one_prompt=how != "blocks_of_prompts"):
        numbers = [measure.value(answers) for measure in chosen]
        values.setdefault(group.step, {})[group.key] = np.array([np.nan if v is None else v for v in numbers])
    steps = tuple(census.steps)
    shown, drawn = tokenizer_name(tokenizer), "; ".join(census.conditions)
    rows = []
    for step in steps:
        table = np.array([values[step][key] for key in sorted(values[step])])  # (P, M), in an order of its own
        for place, measure in enumerate(chosen):
            unscored = census.unscored.get(step, 0) if "reward" in measure.needs else 0
            rows.append((step, _row(measure, table[:, place], setup, shown, scope, n_boot, unscored, drawn)))
    return FileMeasurement(
        source, scope, names, k, budget or None, shown, seed, n_boot, census.n_rows, steps, tuple(rows),
        tuple(notes_of(source, census, setup, chosen, Dealer(how, n_blocks), metrics is None)), how, tuple(census.conditions), values,
    )  # fmt: skip


def measure_path(path: str | Path | Sequence[str | Path], **options: Any) -> list[FileMeasurement]:
    """Return the measurement of each path, all at the same k and token budget; what ``breadth measure`` calls.

    Parameters
    ----------
    path : path or sequence of paths
    **options
        Of :func:`measure_file`.

    Raises
    ------
    ValueError
        No path; else as :func:`measure_file`.

    Examples
    --------
    >>> measure_path([])
    Traceback (most recent call last):
    ValueError: path: expected at least one file or folder, got none
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    if not paths:
        raise ValueError("path: expected at least one file or folder, got none")
    found = [measure_file(one, **options) for one in paths]
    k, budget = min(m.k for m in found), min(m.token_budget or 0 for m in found)
    # the order of the first file's table; "all" and the usual ones depend on the fields of each file
    names = [name for name in found[0].metrics if all(name in m.metrics for m in found)]
    equal = {**options, "k": k, "token_budget": budget or None, "metrics": names}
    return [
        m if (m.k, m.token_budget, m.metrics) == (k, budget or None, tuple(names)) else measure_file(one, **equal)
        for one, m in zip(paths, found, strict=True)
    ]


def compare_files(
    a: str | Path,
    b: str | Path,
    *,
    step: int | None = None,
    margin: float = 0.02,
    **options: Any,
) -> list[Difference]:
    """Return A − B of every measure, paired over the prompts that both files have, with intervals and verdicts.

    Parameters
    ----------
    a, b : path
    step : int, optional
        None: each file's last step.
    margin : float
        δ of "the same within δ", in the unit of each measure.
    **options
        Of :func:`measure_file`; both files are measured at the same k and token budget.

    Returns
    -------
    list of Difference
        With fewer than five shared prompts the sides are taken for independent samples, and ``paired`` is False. The
        verdict of a measure that is no diversity (quality, length) says in the same words whether it is higher or lower.

    Raises
    ------
    ValueError
        A step that a file does not have; else as :func:`measure_file`.
    """
    first, second = measure_path([a, b], **options)
    return compare_measured(first, second, step=step, margin=margin)


def compare_measured(
    first: FileMeasurement, second: FileMeasurement, *, step: int | None = None, margin: float = 0.02
) -> list[Difference]:
    """Return first − second of every measure that both have, as :func:`compare_files`; measure them at equal k and budget.

    Raises
    ------
    ValueError
        k or token budgets that differ; a step that a file does not have.
    """
    if (first.k, first.token_budget) != (second.k, second.token_budget):
        raise ValueError(
            f"{first.label}, {second.label}: expected equal k and token budget, got {first.k} and {second.k}, {first.token_budget} "
            f"and {second.token_budget}; measure_path([a, b]) measures both alike"
        )
    sides = []
    for side in (first, second):
        at = side.steps[-1] if step is None else step
        if at not in side.steps:
            raise ValueError(f"step: {side.label} has no step {at}; steps: {side.steps[0]} to {side.steps[-1]}")
        sides.append((side, [at]))
    together = first.dealt == second.dealt != "blocks_of_answers"
    return [
        difference(
            name,
            *(side.by_prompt(name, at) for side, at in sides),
            pair=together,
            margin=margin,
            sign=measure_named(name).sign or 1,
            n_boot=first.n_boot,
            seed=first.seed,
        )
        for name in first.metrics
        if name in second.metrics
    ]


def _row(
    measure: Measure, values: np.ndarray, setup: Setup, tokenizer: str, scope: str, n_boot: int, n_unscored: int, drawn_with: str
) -> TextMeasurement:
    found = bootstrap_mean(values, n_boot=n_boot, seed=setup.seed)
    n = int((~np.isnan(values)).sum())
    error = float(np.nanstd(values, ddof=1) / np.sqrt(n)) if n > 1 else None
    drawn = measure.at_k or measure.at_budget
    return TextMeasurement(
        measure.name, found.value, error, n, n_unscored, measure.unit, (), tokenizer,
        budget=setup.budget if measure.at_budget else (measure.k or setup.k) if measure.at_k else None,
        seed=setup.seed if drawn else None, low=found.low, high=found.high, scope=scope, conditions=drawn_with,
    )  # fmt: skip
