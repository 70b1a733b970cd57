"""Is it memory, or a forest's weakness? Samples beside the corpus, the oracle's table, and forests that saw half of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from breadth.tasks.fingerprints import mean_tanimoto_distance, pack_fingerprints
from breadth.tasks.molecule_measures import HIT_DISTANCE
from breadth.tasks.molecule_properties import molecule_properties, structural_alerts
from breadth.tasks.molecule_sets import murcko_scaffolds, nearest_similarity, sphere_exclusion
from breadth.tasks.oracles.activity import ActivityTable
from breadth.tasks.oracles.forest import fit_forest

SPLITS = ("scaffold", "random")
BINS = 10  # of the histogram of similarities, each 0.1 wide; the last one holds 1
HARD = 6.0  # synthetic accessibility from which Ertl and Schuffenhauer call a molecule hard to make
CLOSE = 0.4  # Tanimoto similarity of ECFP4 from which two molecules are usually called analogues


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the samples: how good, how wide, how many hits. None where nothing can be said."""

    name: str
    n: int  # samples, repeats counted
    share: float  # of all samples
    n_distinct: int
    quality: float | None  # mean score, repeats counted
    diversity: float | None  # mean pairwise distance, repeats counted (eq. 5 of the quality-diversity law paper)
    diversity_unique: float | None  # the same over distinct molecules
    hits: int  # distinct molecules with score >= at_score
    diverse_hits: int  # of those, pairwise further apart than 0.7 (greedy, in the order of sampling)


def part_of(name: str, forms: Sequence[str | None], scores: np.ndarray, chosen: np.ndarray, *, at_score: float) -> Part:
    """Return the figures of the chosen samples.

    Parameters
    ----------
    forms : n flat canonical SMILES, None where unparsable
    scores : (n,) float
        NaN where the oracle failed; 0 where unparsable.
    chosen : (n,) bool
    at_score : float
        Score of a hit.
    """
    places = np.flatnonzero(chosen)
    scored = scores[places][~np.isnan(scores[places])]
    counts = Counter(forms[i] for i in places.tolist() if forms[i] is not None)
    best: dict[str, float] = {}
    for i in places.tolist():
        if forms[i] is not None and not np.isnan(scores[i]):
            best.setdefault(forms[i], float(scores[i]))
    packed = pack_fingerprints(list(counts))
    n = np.array(list(counts.values()), dtype=np.int64)
    hit = np.array([best.get(form, -np.inf) >= at_score for form in counts], dtype=bool)
    return Part(
        name=name,
        n=len(places),
        share=len(places) / len(forms) if len(forms) else 0.0,
        n_distinct=len(counts),
        quality=float(scored.mean()) if len(scored) else None,
        diversity=_known(mean_tanimoto_distance(packed, n)) if len(counts) else None,
        diversity_unique=_known(mean_tanimoto_distance(packed)) if len(counts) else None,
        hits=int(hit.sum()),
        diverse_hits=len(sphere_exclusion(packed[hit], distance=HIT_DISTANCE)),
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def memory_parts(
    forms: Sequence[str | None],
    scores: np.ndarray,
    *,
    corpus: Collection[str],
    table: Collection[str],
    at_score: float,
) -> list[Part]:
    """Return the figures of all samples, the parsable ones, those that stand in corpus or table, the novel ones, and the makeable among these.

    Makeable are those of a synthetic accessibility of 6 or less: an oracle that looks at a part of a molecule leaves the rest to
    chance, and such molecules count as novel hits far from each other.
    """
    parsable = np.array([form is not None for form in forms], dtype=bool)
    in_corpus = np.array([form is not None and form in corpus for form in forms], dtype=bool)
    in_table = np.array([form is not None and form in table for form in forms], dtype=bool)
    novel = parsable & ~in_corpus & ~in_table
    makeable = novel.copy()
    makeable[novel] = molecule_properties([forms[i] for i in np.flatnonzero(novel)], ["sa"])["sa"] <= HARD
    chosen = {
        "all": np.ones(len(forms), dtype=bool),
        "parsable": parsable,
        "in_corpus": in_corpus,
        "in_table": in_table,
        "in_both": in_corpus & in_table,
        "novel": novel,
        "novel_makeable": makeable,
    }
    return [part_of(name, forms, scores, where, at_score=at_score) for name, where in chosen.items()]


def neighbours(forms: Sequence[str], actives: Sequence[str]) -> dict[str, Any]:
    """Return how near samples come to known actives: the histogram of each one's highest Tanimoto similarity.

    Parameters
    ----------
    forms : n canonical SMILES
        Repeats count.
    actives : canonical SMILES
        Best without the samples' own molecules taken out: a similarity of 1 is a molecule with an active's fingerprint.
    """
    counts = Counter(forms)
    similarity, place = nearest_similarity(pack_fingerprints(list(counts)), pack_fingerprints(actives))
    weight = np.array(list(counts.values()), dtype=np.int64)
    if not len(similarity) or np.isnan(similarity).any():
        return {
            "n": len(forms),
            "n_actives": len(actives),
            "median": None,
            "close_share": None,
            "histogram": [0] * BINS,
        }
    every = np.repeat(similarity, weight)
    bins = np.minimum((every * BINS + 1e-9).astype(int), BINS - 1)
    distinct_actives = len({int(p) for p in place})
    return {
        "n": len(forms),
        "n_actives": len(actives),
        "median": float(np.median(every)),
        "mean": float(every.mean()),
        "close_share": float((every >= CLOSE).mean()),
        "same_share": float((every == 1.0).mean()),
        "n_nearest": distinct_actives,  # how many actives are the nearest of some sample
        "histogram": np.bincount(bins, minlength=BINS).tolist(),
    }


def halves_of(smiles: Sequence[str], *, by: str = "scaffold") -> np.ndarray:
    """Return which half each molecule belongs to, (n,) bool: by the SHA-1 of its Murcko scaffold, or of itself.

    By scaffold no scaffold stands in both halves; molecules without a ring go by themselves.

    Raises
    ------
    ValueError
        Another split.

    Examples
    --------
    >>> found = halves_of(["Cc1ccccc1", "CCc1ccccc1"])
    >>> bool(found[0] == found[1])
    True
    """
    if by not in SPLITS:
        raise ValueError(f"split: expected one of {list(SPLITS)}, got {by!r}")
    keys = [s or t for s, t in zip(murcko_scaffolds(smiles), smiles, strict=True)] if by == "scaffold" else smiles
    return np.array([hashlib.sha1(key.encode(), usedforsecurity=False).digest()[0] < 128 for key in keys], dtype=bool)


def second_opinion(
    forms: Sequence[str],
    scores: np.ndarray,
    table: ActivityTable,
    *,
    by: str = "scaffold",
    n_trees: int = 100,
    seed: int = 0,
) -> dict[str, Any]:
    """Return what two forests say of the samples that were fitted to disjoint halves of the oracle's table.

    The oracle has seen all of the table. A molecule that only pleases its votes loses its score under forests of another
    make; a molecule that looks like an active keeps what unseen actives keep. So beside the gap stands what each half's
    forest gives to the actives of the other half.

    Parameters
    ----------
    forms : n canonical SMILES
        Parsable samples, repeats counted.
    scores : (n,) float
        The oracle's; NaN where it failed.
    table : ActivityTable
    by : {"scaffold", "random"}
        How the table is halved.
    n_trees, seed
        Of both forests.

    Raises
    ------
    ImportError
        scikit-learn is absent.
    ValueError
        A half with one class only.
    """
    side = halves_of(table.smiles, by=by)
    packed = pack_fingerprints(table.smiles)
    counts = Counter(forms)
    place = {form: i for i, form in enumerate(counts)}
    drawn = pack_fingerprints(list(counts))
    opinions, unseen, halves = [], [], []
    for half in (side, ~side):
        actives = int(table.active[half].sum())
        if not 0 < actives < int(half.sum()):
            raise ValueError(
                f"a half of the table (split by {by}) has {actives} actives of {int(half.sum())}: it needs both classes"
            )
        forest = fit_forest(packed[half], table.active[half], n_trees=n_trees, seed=seed)
        opinions.append(forest.predict(drawn))
        other = forest.predict(packed[~half])
        unseen.append(other[table.active[~half] == 1])
        halves.append(
            {"n": int(half.sum()), "n_active": actives, "auroc_other_half": _auroc(other, table.active[~half])}
        )
    index = np.array([place[form] for form in forms], dtype=np.int64)
    known = ~np.isnan(scores)
    first, second = (opinion[index][known] for opinion in opinions)
    return {
        "split": by,
        "halves": halves,
        "n": int(known.sum()),
        "oracle": float(scores[known].mean()) if known.any() else None,
        "first": float(first.mean()) if known.any() else None,
        "second": float(second.mean()) if known.any() else None,
        "gap": float(scores[known].mean() - (first.mean() + second.mean()) / 2) if known.any() else None,
        "unseen_actives": float(np.concatenate(unseen).mean()),
    }


def _auroc(score: np.ndarray, truth: np.ndarray) -> float:
    """Return the area under the ROC curve by ranks; ties count half."""
    from scipy.stats import rankdata

    positive = truth == 1
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    return float((rankdata(score)[positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def looks(forms: Sequence[str]) -> dict[str, Any]:
    """Return synthetic accessibility and structural alerts of distinct molecules: what a chemist would object to."""
    sa = molecule_properties(forms, ["sa"])["sa"]
    out: dict[str, Any] = {"n": len(forms), "sa": float(sa.mean()) if len(sa) else None}
    out["sa_hard_share"] = float((sa > HARD).mean()) if len(sa) else None
    names: Mapping[str, list] = structural_alerts(forms)
    for kind, found in names.items():
        key = kind.lower()
        out[f"{key}_share"] = sum(bool(alerts) for alerts in found) / len(found) if found else None
        out[f"{key}_most"] = Counter(a for alerts in found for a in alerts or ()).most_common(5)
    return out
