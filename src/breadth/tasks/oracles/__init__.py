"""What molecules are scored by: a table of named oracles, and the way in for any Python callable.

An oracle is a callable that takes a list of canonical SMILES and returns one float each; NaN = could not be scored.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Oracle = Callable[[Sequence[str]], Sequence[float]]


@dataclass(frozen=True, slots=True)
class NamedOracle:
    """An oracle, one line that says what it measures, and where it is defined."""

    score: Oracle
    summary: str
    source: str


def _qed() -> NamedOracle:
    from breadth.tasks.oracles.qed import qed

    return NamedOracle(
        qed,
        "QED, quantitative estimate of drug-likeness, in [0, 1]",
        "Bickerton et al., Nature Chemistry 4, 90 (2012); RDKit's QED.qed with its mean weights",
    )


ORACLES: dict[str, Callable[[], NamedOracle]] = {"qed": _qed}


def find_oracle(oracle: str | Oracle) -> NamedOracle:
    """Return an oracle by name, or a callable wrapped as one.

    Raises
    ------
    ValueError
        An unknown name; the message gives the nearest and all known names.
    TypeError
        Neither a name nor a callable.

    Examples
    --------
    >>> find_oracle(lambda smiles: [0.5 for _ in smiles]).score(["CCO"])
    [0.5]
    """
    if isinstance(oracle, str):
        name = oracle.lower()
        if name not in ORACLES:
            near = difflib.get_close_matches(name, ORACLES, n=3, cutoff=0.4)
            meant = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise ValueError(
                f"oracle: expected one of {sorted(ORACLES)} or a callable (list of SMILES -> list of floats), got "
                f"{oracle!r}.{meant}"
            )
        return ORACLES[name]()
    if callable(oracle):
        name = getattr(oracle, "__name__", type(oracle).__name__)
        summary = (getattr(oracle, "__doc__", None) or "a user's function").strip().splitlines()[0]
        return NamedOracle(oracle, f"{name}: {summary}", "user")
    came = type(oracle).__name__
    raise TypeError(f"oracle: expected a name or a callable (list of SMILES -> list of floats), got {came}")
