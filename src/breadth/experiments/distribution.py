"""How near sampled molecules are to the molecules they were learnt from: properties and scaffolds, without a neural network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from breadth.seeds import numpy_generator
from breadth.tasks.molecule_properties import molecule_properties
from breadth.tasks.molecule_sets import murcko_scaffolds

PROPERTIES = ("mw", "logp", "qed", "sa", "rings")
N_BINS = 40


def standardised_distance(sample: np.ndarray, reference: np.ndarray) -> float:
    """Return the Wasserstein-1 distance of two samples in standard deviations of the reference; NaN where one is empty.

    0: the same distribution. Shifting a normal distribution by one deviation gives 1.

    Source: Wasserstein distance of properties as in MOSES, Polykovskiy et al. 2020, arXiv 1811.12823. Departures: divided by the
    reference's deviation, so that properties can be compared.

    Examples
    --------
    >>> standardised_distance(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.0])).__round__(3)
    1.225
    """
    from scipy.stats import wasserstein_distance

    sample, reference = (x[np.isfinite(x)] for x in (np.asarray(sample, float), np.asarray(reference, float)))
    if not len(sample) or not len(reference):
        return float("nan")
    deviation = float(reference.std())
    distance = float(wasserstein_distance(sample, reference))
    return distance / deviation if deviation else (0.0 if distance == 0 else float("inf"))


def scaffold_cosine(sample: Counter[str], reference: Counter[str]) -> float:
    """Return the cosine of two vectors of scaffold counts, in [0, 1]; NaN where one has no scaffold.

    Source: MOSES, Polykovskiy et al. 2020, arXiv 1811.12823 (Scaf). Departures: none.

    Examples
    --------
    >>> scaffold_cosine(Counter({"a": 2}), Counter({"a": 1, "b": 1})).__round__(3)
    0.707
    """
    dot = sum(n * reference[name] for name, n in sample.items())
    lengths = [sum(n * n for n in counts.values()) ** 0.5 for counts in (sample, reference)]
    return dot / (lengths[0] * lengths[1]) if all(lengths) else float("nan")


def distribution_report(
    samples: Sequence[str], train: Sequence[str], valid: Sequence[str], *, reference: int = 5_000, seed: int = 0
) -> dict[str, Any]:
    """Return how near sampled molecules are to the validation molecules, with the training molecules as yardstick.

    Parameters
    ----------
    samples : canonical SMILES
        What a model wrote, repeats included.
    train, valid : canonical SMILES
        The corpus's two splits.
    reference : int
        At most this many of each split are compared with, drawn at random; as many of the training molecules as there are
        samples give the ``floor``: what the distance is between two draws of the corpus.
    seed : int
        Seed of the draws.

    Returns
    -------
    dict
        ``n_samples``, ``n_train``, ``n_valid``; ``properties``: name -> distance, floor, means, histogram over common bins;
        ``scaffolds``: cosine with valid (and its floor), share of samples with a ring system whose scaffold is among the reference
        molecules (and the same share of valid against train), distinct scaffolds per sample. Numbers that cannot be known are None.
    """
    generator = numpy_generator(seed, "distribution")
    train, valid = (_some(x, reference, generator) for x in (train, valid))
    floor = train[: max(1, len(samples))]
    sets = {"samples": list(samples), "train": floor, "valid": valid}
    values = {name: molecule_properties(texts, PROPERTIES) for name, texts in sets.items()}
    properties = {}
    for name in PROPERTIES:
        ours, others, target = (values[which][name] for which in ("samples", "train", "valid"))
        together = np.concatenate([x[np.isfinite(x)] for x in (ours, others, target)])
        edges = np.histogram_bin_edges(together, bins=N_BINS) if len(together) else np.linspace(0, 1, N_BINS + 1)
        properties[name] = {
            "distance": _known(standardised_distance(ours, target)),
            "floor": _known(standardised_distance(others, target)),
            "mean_samples": _mean(ours),
            "mean_valid": _mean(target),
            "edges": edges.tolist(),
            "samples": np.histogram(ours[np.isfinite(ours)], edges)[0].tolist(),
            "valid": np.histogram(target[np.isfinite(target)], edges)[0].tolist(),
        }
    found = {name: [s for s in murcko_scaffolds(texts) if s] for name, texts in {**sets, "all_train": train}.items()}
    counts = {name: Counter(scaffolds) for name, scaffolds in found.items()}
    known = set(found["all_train"])
    return {
        "n_samples": len(samples),
        "n_train": len(train),
        "n_valid": len(valid),
        "properties": properties,
        "scaffolds": {
            "cosine": _known(scaffold_cosine(counts["samples"], counts["valid"])),
            "cosine_floor": _known(scaffold_cosine(counts["train"], counts["valid"])),
            "known_share": _share(found["samples"], known),
            "known_share_of_valid": _share(found["valid"], known),
            "distinct_share": len(counts["samples"]) / len(found["samples"]) if found["samples"] else None,
        },
    }


def _some(texts: Sequence[str], n: int, generator: np.random.Generator) -> list[str]:
    order = generator.permutation(len(texts))[:n]
    return [texts[i] for i in order.tolist()]


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _mean(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def _share(scaffolds: Sequence[str], known: set[str]) -> float | None:
    return sum(s in known for s in scaffolds) / len(scaffolds) if scaffolds else None
