"""What the kept samples of countdown runs say: which right answers a policy no longer gives, and three diversities of its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from breadth.experiments.pass_curves import over_seeds
from breadth.ledger.run import Run
from breadth.ledger.samples import read_samples, samples_path
from breadth.metrics.lexical import lexical_diversity
from breadth.partitions.classifier import load_classifier
from breadth.tasks.countdown import CountdownTask

SEEN = 2  # a right answer that a prompt's samples hold so often is one of its modes
EXAMPLES = 3  # prompts shown for each objective
NGRAMS = 128  # of each order and prompt: what 64 answers of four numbers always have
Sampled = dict[str, list[tuple[str | None, str, bool]]]  # prompt -> (key, text, right) of each answer


def sampled(run: Run, step: int) -> Sampled | None:
    """Return the samples of a checkpoint by prompt, or None where they were not kept."""
    path = samples_path(run.path, step)
    if not path.is_file():
        return None
    found: Sampled = {}
    for row in read_samples(path):
        found.setdefault(row["prompt"], []).append((row["key"], row["text"], row["quality"] == 1.0))
    return found


def lost_right(before: Sampled, after: Sampled) -> list[dict[str, Any]]:
    """Return each prompt with right answers that were modes (seen at least twice before), and which of them are given no more.

    The prompts that lost the largest share of their samples first.
    """
    rows = []
    for prompt, answers in before.items():
        old, new = (Counter(key for key, _, right in side if right) for side in (answers, after.get(prompt, [])))
        modes = {key: n for key, n in old.items() if n >= SEEN}
        gone = [key for key in modes if key not in new]
        if modes:
            rows.append(
                {
                    "prompt": prompt,
                    "modes": len(modes),
                    "gone": sorted(gone, key=lambda key: -modes[key]),
                    "lost_share": sum(modes[key] for key in gone) / len(answers),
                    "before": old.most_common(3),
                    "after": new.most_common(3),
                    "n": len(answers),
                    "found_before": len(old),
                    "found_after": len(new),
                }
            )
    return sorted(rows, key=lambda row: (-row["lost_share"], row["prompt"]))


def lost_table(runs: Mapping[str, Sequence[Run]]) -> str:
    """Return how many right modes each objective lost, and its worst prompts with their right answers before and after."""
    rows = [
        "| objective | right modes lost | prompts that lost one | prompts with no right answer left |",
        "|---|---:|---:|---:|",
    ]
    shown = ["", "| objective | prompt | all solutions | right answers before | and after |", "|---|---|---:|---|---|"]
    for label, members in runs.items():
        per_seed = []
        for run in members:
            before, after = sampled(run, 0), sampled(run, run.steps[-1])
            if before is not None and after is not None:
                per_seed.append(lost_right(before, after))
        if not per_seed:
            continue
        modes, gone = (
            sum(count(row) for one in per_seed for row in one)
            for count in (lambda r: r["modes"], lambda r: len(r["gone"]))
        )
        touched = sum(bool(row["gone"]) for one in per_seed for row in one)
        dead = sum(not row["found_after"] for one in per_seed for row in one)
        asked = sum(len(one) for one in per_seed)
        rows.append(f"| `{label}` | {gone} of {modes} ({_share(gone, modes)}) | {touched} of {asked} | {dead} |")
        for row in [r for r in per_seed[0] if r["gone"] and r["found_after"]][
            : EXAMPLES if label in ("dr_grpo", "darling") else 1
        ]:
            total = len(_solutions(row["prompt"]))
            shown.append(
                f"| `{label}` | `{row['prompt']}` | {total} | {_answers(row['before'], row)} | {_answers(row['after'], row)} |"
            )
    return "\n".join([*rows, *shown])


def learned_sentence(runs: Sequence[Run]) -> str:
    """Return how good a learned partition was: on held-out prompts when it was fitted, and against the exact keys while training went on."""
    record = load_classifier(runs[0].path / "partition.json").record
    rows = [[row for row in run.training() if "partition_false_merges" in row] for run in runs]
    third = lambda name, part: float(  # noqa: E731
        np.mean([row[name] for one in rows for row in _part(one, part) if name in row])
    )
    known = f"AUROC {record['auroc']:.3f} ({record['auroc_low']:.3f} to {record['auroc_high']:.3f})"
    merges, splits = (
        [third(f"partition_false_{name}", part) for part in (0, 2)] for name in ("merges", "splits")
    )  # fmt: skip
    return (
        f"The classifier was fitted on {record['n']} pairs of the prior's answers, labelled by the exact keys: {known}, balanced accuracy "
        f"{record['balanced_accuracy']:.2f} on prompts that it had not seen. In training it called {merges[0]:.0%} of the pairs of different "
        f"answers the same in the first third of the steps and {merges[1]:.0%} in the last, and told apart {splits[0]:.0%} and {splits[1]:.0%} "
        f"of the pairs of equal ones ({len(runs)} seeds)."
    )


def _part(rows: Sequence[Any], part: int) -> Sequence[Any]:
    """Return a third of a training, 0 to 2."""
    size = len(rows)
    return rows[part * size // 3 : (part + 1) * size // 3]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "–"


def _answers(common: Sequence[tuple[str, int]], row: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key}` {n / row['n']:.0%}" for key, n in common)


def _solutions(prompt: str) -> tuple[str, ...]:
    return CountdownTask(numbers=4).solutions(prompt)


def diversities(runs: Mapping[str, Sequence[Run]]) -> str:
    """Return quality and three diversities of each objective's answers at the end: of wording, of meaning, of structure.

    Lexical: type/token ratio of 1-, 2- and 3-grams of the tokens inside a prompt (Guo et al. 2024). Semantic: pairs with different
    canonical expressions. Syntactic: 1 − share of common sub-expressions. Means over prompts, then over seeds.
    """
    rows = [
        "| line | R | lexical | semantic | syntactic | mean of the three | among right answers |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    most = max(runs.values(), key=len, default=[])  # of one seed all lines share the prior's samples
    table = []
    for name, members, at_end in [
        ("the prior", most, False),
        *((f"`{label}`", members, True) for label, members in runs.items()),
    ]:
        columns = [found for run in members if (found := _numbers(run, run.steps[-1] if at_end else 0)) is not None]
        if columns:
            table.append(_row(name, columns))
    return "\n".join([*rows, *table])


def _numbers(run: Run, step: int) -> list[float] | None:
    samples = sampled(run, step)
    if samples is None:
        return None
    at = run.at(step)
    value = lambda name: float("nan") if at[name]["value"] is None else at[name]["value"]  # noqa: E731
    words = [
        lexical_diversity([text for _, text, _ in answers], sample=NGRAMS, tokenizer="whitespace").value
        for answers in samples.values()
    ]
    three = [float(np.mean([w for w in words if w is not None])), value("diversity"), value("diversity_structure")]
    return [value("quality"), *three, float(np.mean(three)), value("diversity_valid")]


def _row(name: str, columns: Sequence[Sequence[float]]) -> str:
    cells = []
    for values in zip(*columns, strict=True):
        found = over_seeds(values)
        half = "" if found.high is None or found.value is None else f" ± {found.high - found.value:.3f}"
        cells.append("–" if found.value is None else f"{found.value:.3f}{half}")
    return f"| {name} | {' | '.join(cells)} |"
