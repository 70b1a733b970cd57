"""One law from two: quality over entropy and entropy over diversity imply a law of quality over diversity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from breadth.laws.curves import exponential
from breadth.records import LawFit


@dataclass(frozen=True, slots=True)
class Composition:
    """R = −a·exp(c·D) + b as implied by R = −a₀·exp(c₀·H) + b₀ and H = a₁·D + b₁, beside the direct fit."""

    a: float | None
    b: float | None
    c: float | None
    r_max: float | None  # b0 - a0: the quality at H = 0
    direct: Mapping[str, float | None]  # a, b, c of the direct fit; empty where none was handed over
    gap: float | None  # largest |R composed - R direct| over the direct fit's measured D
    note: str


def compose_laws(fit_rh: LawFit, fit_hd: LawFit, direct: LawFit | None = None) -> Composition:
    """Return the R–D law that the R–H law and the line H = a₁·D + b₁ imply.

    a = a₀·exp(c₀·b₁), b = b₀, c = c₀·a₁, R_max = b₀ − a₀.

    Parameters
    ----------
    fit_rh : LawFit
        Exponential fit of quality over entropy (a₀, b₀, c₀; H in nats per token).
    fit_hd : LawFit
        Linear fit of entropy over diversity (``fit_law(H, D, form="linear", y_name="H")``).
    direct : LawFit, optional
        Exponential fit of quality over diversity, to stand beside the composition.

    Returns
    -------
    Composition
        All None, with the reason in ``note``, where one of the two fits has no parameters. ``note`` also says which
        of the two laws does not hold: then the composition is arithmetic, not evidence.

    Raises
    ------
    ValueError
        Where the forms are not exponential, linear (and exponential).

    Source: the composition of eq. 1 and 2 of the quality-diversity law paper (no arXiv number known). Departures: none.

    Examples
    --------
    >>> from breadth.laws.fit import fit_law
    >>> D = np.linspace(0.3, 0.9, 26)
    >>> H = 0.518 * D - 0.118
    >>> rh = fit_law(1.040 - 0.0433 * np.exp(9.086 * H), H, x_name="H", n_boot=0)
    >>> hd = fit_law(H, D, form="linear", y_name="H", n_boot=0)
    >>> both = compose_laws(rh, hd)
    >>> round(both.a, 4), round(both.b, 3), round(both.c, 2), round(both.r_max, 3)
    (0.0148, 1.04, 4.71, 0.997)
    """
    for name, fit, form in (("fit_rh", fit_rh, "exponential"), ("fit_hd", fit_hd, "linear")):
        if fit.form != form:
            raise ValueError(f"{name}: expected the {form} form, got {fit.form!r}")
    if direct is not None and direct.form != "exponential":
        raise ValueError(f"direct: expected the exponential form, got {direct.form!r}")
    beside = {} if direct is None else {name: estimate.value for name, estimate in direct.params.items()}
    doubts = [
        f"{name} law: {fit.verdict} ({fit.reason})"
        for name, fit in (("R-H", fit_rh), ("H-D", fit_hd))
        if fit.verdict != "holds"
    ]
    a0, b0, c0 = (fit_rh.params[name].value for name in "abc")
    a1, b1 = (fit_hd.params[name].value for name in "ab")
    if a0 is None or b0 is None or c0 is None or a1 is None or b1 is None:
        return Composition(None, None, None, None, beside, None, "; ".join(doubts) or "a parameter is not known")
    a, c = float(a0 * np.exp(c0 * b1)), c0 * a1
    gap = None
    da, db, dc = (beside.get(name) for name in ("a", "b", "c"))
    if direct is not None and direct.x and da is not None and db is not None and dc is not None and a > 0:
        d = np.array(direct.x)
        gap = float(np.abs(exponential(d, a, b0, c) - exponential(d, da, db, dc)).max())
        doubts.append(f"composed and direct law differ by up to {gap:.3f} of R over the measured D")
    if c <= 0:
        doubts.append(f"H falls with D (slope {a1:.3g}): the composed law would rise with D")
    return Composition(a, b0, c, b0 - a0, beside, gap, "; ".join(doubts))
