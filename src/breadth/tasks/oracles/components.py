"""One score out of several: components with a weight and a transform each, joined by a geometric or arithmetic mean."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from breadth.tasks.oracles.transforms import Transform, build_transform

MEANS = ("geometric", "arithmetic")
KEPT = 100_000  # molecules whose values are remembered, so that parts and whole are asked for once


@dataclass(frozen=True)
class Component:
    """One part of a score: an oracle, the curve that its raw value goes through, and a weight."""

    name: str
    oracle: Callable[[Sequence[str]], Sequence[float]]
    transform: Transform
    weight: float = 1.0


class Components:
    """An oracle made of others: Π v_i^(w_i/Σw) or Σ w_i·v_i / Σ w_i over transformed values v.

    A molecule that one component cannot score is not scored: a mean over the others would be another goal.

    Parameters
    ----------
    components : sequence of Component
    mean : {"geometric", "arithmetic"}
        ``"geometric"`` asks for all at once: one component at 0 makes the score 0.

    Raises
    ------
    ValueError
        No components, two of one name, an unknown mean, a weight that is not positive.

    Source: weighted means as in REINVENT, Blaschke et al. 2020, and GuacaMol, Brown et al. 2019. Departures: none.

    Examples
    --------
    >>> from breadth.tasks.oracles.transforms import build_transform
    >>> half = Component("half", lambda smiles: [0.25 for _ in smiles], build_transform(None))
    >>> one = Component("one", lambda smiles: [1.0 for _ in smiles], build_transform(None))
    >>> Components([half, one])(["CCO"]), Components([half, one], mean="arithmetic")(["CCO"])
    ([0.5], [0.625])
    """

    def __init__(self, components: Sequence[Component], *, mean: str = "geometric") -> None:
        if not components:
            raise ValueError("components: expected at least one, got none")
        if mean not in MEANS:
            raise ValueError(f"mean: expected one of {MEANS}, got {mean!r}")
        names = [c.name for c in components]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ValueError(f"components: two are called {double[0]!r}: give one of them another name = ...")
        for c in components:
            if not (np.isfinite(c.weight) and c.weight > 0):
                raise ValueError(f"components: {c.name!r} has weight {c.weight}: expected a number > 0")
        self.components, self.mean = list(components), mean
        self._reasons: list[str] = []
        self._known: OrderedDict[str, np.ndarray] = OrderedDict()

    def values(self, smiles: Sequence[str]) -> np.ndarray:
        """Return the transformed values, (n, K) float64; NaN where a component failed. Reasons are kept for the caller."""
        asked = [text for text in dict.fromkeys(smiles) if text not in self._known]
        fresh = dict(zip(asked, self._ask(asked), strict=True)) if asked else {}
        found = [fresh[text] if text in fresh else self._known[text] for text in smiles]
        self._known.update({text: row for text, row in fresh.items() if not np.isnan(row).any()})
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return np.stack(found) if found else np.zeros((0, len(self.components)))

    def _ask(self, smiles: list[str]) -> np.ndarray:
        columns = []
        for c in self.components:
            raw = np.array([np.nan if v is None else float(v) for v in c.oracle(list(smiles))], dtype=np.float64)
            if raw.shape != (len(smiles),):
                raise ValueError(f"component {c.name!r} returned {len(raw)} values for {len(smiles)} molecules")
            value = c.transform(raw)
            bad = ~np.isfinite(value)
            reasons = take_reasons(c.oracle)
            if bad.any() and not reasons:
                reasons = [
                    "it gave no number"
                    if np.isnan(raw[bad]).any()
                    else f"its transform gives no number at {raw[bad][0]:g}"
                ]
            self._reasons += [f"component {c.name}: {reason}" for reason in reasons]
            columns.append(np.where(bad, np.nan, value))
        return np.stack(columns, axis=1)

    def __call__(self, smiles: Sequence[str]) -> list[float]:
        if not len(smiles):
            return []
        values = self.values(smiles)
        weight = np.array([c.weight for c in self.components])
        weight = weight / weight.sum()
        if self.mean == "arithmetic":
            return (values @ weight).tolist()
        negative = values < 0
        for j in np.flatnonzero(negative.any(axis=0)):
            low = values[negative[:, j], j].min()
            self._reasons.append(
                f"component {self.components[j].name}: {low:g} is below 0, which a geometric mean cannot take: give it a "
                "transform (sigmoid, clip) or use the arithmetic mean"
            )
        values = np.where(negative, np.nan, values)
        return np.prod(values**weight, axis=1).tolist()

    def take_reasons(self) -> list[str]:
        """Return why molecules were left unscored since the last call."""
        found, self._reasons = self._reasons, []
        return found


def take_reasons(oracle: Any) -> list[str]:
    """Return the reasons that an oracle holds for its last failures; empty where it keeps none."""
    take = getattr(oracle, "take_reasons", None)
    return [] if take is None else list(take())


def build_components(
    specs: Sequence[Mapping[str, Any]], find: Callable[..., Any], *, mean: str = "geometric"
) -> tuple[Components, str]:
    """Return the oracle of ``[[task.components]]`` tables, and a line that says what it is.

    Parameters
    ----------
    specs : list of tables
        ``oracle`` and that oracle's own settings; beside them ``name`` (default: the oracle's), ``weight`` (1) and
        ``transform``.
    find : callable
        From a name and settings to a NamedOracle.

    Raises
    ------
    ValueError
        What is wrong, with the number of the table it stands in.
    """
    if isinstance(specs, Mapping) or not all(isinstance(spec, Mapping) for spec in specs):
        raise ValueError("components: expected a list of tables, [[task.components]] in TOML")
    parts, words = [], []
    for number, spec in enumerate(specs, 1):
        given = dict(spec)
        oracle = given.pop("oracle", None)
        name = str(given.pop("name", oracle))
        weight, transform = given.pop("weight", 1.0), given.pop("transform", None)
        try:
            if oracle is None:
                raise ValueError("expected oracle = ..., got none")
            if not isinstance(weight, int | float) or isinstance(weight, bool):
                raise ValueError(f"weight: expected a number, got {weight!r}")
            found = find(oracle, **given)
            parts.append(Component(name, found.score, build_transform(transform), float(weight)))
        except (ValueError, TypeError) as error:
            raise ValueError(f"component {number} ({name}): {error}") from error
        words.append(f"{name} (weight {weight:g})" if weight != 1 else name)
    return Components(parts, mean=mean), f"{mean} mean of {', '.join(words)}"
