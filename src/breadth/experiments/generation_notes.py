"""What a reader must know of a measured file: what was recognised, left out, cut or unusual, each in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from breadth.experiments.generation_answers import Setup
from breadth.experiments.generation_groups import Census, Dealer
from breadth.experiments.generation_measures import Measure
from breadth.ledger.generations import Source


def notes_of(
    source: Source, census: Census, setup: Setup, chosen: Sequence[Measure], dealer: Dealer, by_default: bool
) -> list[str]:
    """Return the sentences; ``by_default``: the measures were not asked for by name."""
    notes, how = [source.sentence], dealer.how
    notes += conditions_notes(census.conditions)
    sizes = sorted(set(census.sizes.values()))
    unit = "groups (prompt and step)" if how == "prompt" else how.replace("_", " ")
    if how == "blocks_of_answers":
        notes.append(
            f"One prompt at each step: its answers are dealt into {dealer.n_blocks} blocks in turn, and intervals are over blocks."
        )
    if how == "blocks_of_prompts":
        notes.append(
            f"Pooled: spread between answers to different prompts; intervals are over {dealer.n_blocks} blocks of prompts."
        )
    if len(sizes) > 1 and how == "prompt":
        small = sum(size < setup.k for size in census.sizes.values())
        alone = sum(size == 1 for size in census.sizes.values())
        notes.append(
            f"Group sizes differ ({sizes[0]} to {sizes[-1]}): measures at k rest on {setup.k} answers; {small} of "
            f"{len(census.sizes)} groups have fewer and take no part in them, {alone} have one answer and no spread."
        )
    if census.n_empty:
        notes.append(
            f"{census.n_empty} of {census.n_rows} responses are empty (first: {census.first_empty}); they count as answers, equal "
            "to each other."
        )
    if census.n_unscored:
        notes.append(f"{census.n_unscored} of {census.n_rows} rows have no reward; they take no part in quality.")
    if any(measure.at_budget for measure in chosen):
        notes.append(
            f"Measures at a token budget rest on {setup.budget} tokens of each of the {unit}; those with fewer take no part."
            if setup.budget
            else "Too little text for measures at a token budget."
        )
    if any(measure.name == "lexical_diversity" for measure in chosen) and setup.budget:
        notes.append(f"lexical_diversity rests on {setup.budget // 2} n-grams of each order of each of the {unit}.")
    if setup.bar is not None:
        notes.append(f"The quality bar is {setup.bar:g}: rewards at or above it are good.")
    if any(measure.name.startswith("vendi") for measure in chosen):
        notes.append(f"Vendi scores are of order {setup.order:g}.")
    if any(measure.name == "utility_k" for measure in chosen):
        notes.append(
            f"utility_k: the first {setup.k} answers in the order of the file, patience {setup.patience:g}, in units of the reward "
            "(NoveltyBench: 1 to 10)."
        )
    if (
        source.format.name == "reinvent4"
        and not any(measure.name == "tanimoto_distance" for measure in chosen)
        and by_default
    ):
        notes.append("Distances of molecules need RDKit: pip install 'breadth[molecules]'.")
    elif by_default and "kind" not in census.fields and setup.partition is None:
        notes.append(
            "No classes: texts that say the same in other words count as different. Give a partition to count meanings."
        )
    return notes


def conditions_notes(conditions: Mapping[str, int]) -> list[str]:
    """Return how the answers were drawn; a warning where the file mixes several ways.

    Examples
    --------
    >>> conditions_notes({"temperature 1": 3})
    ['Drawn with temperature 1.']
    """
    if len(conditions) < 2:
        return [f"Drawn with {how}." for how in conditions]
    shown = "; ".join(f"{n} answers with {how}" for how, n in list(conditions.items())[:4])
    return [f"The answers were drawn in {len(conditions)} ways ({shown}): the numbers mix them."]
