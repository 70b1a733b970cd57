"""The curves that may describe quality over diversity (or entropy): plain functions whose docstring is the formula.

Every curve is also *separable*: ``y = β·φ(x; θ) + α``, linear in ``(β, α)`` once the nonlinear ``θ`` is fixed. A
:class:`Curve` holds that form, with φ scaled by the largest x (the *anchor*) so that no exponential overflows, and the
way back to the named parameters. ``projection`` searches θ and solves for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

# c is searched from "indistinguishable from a straight line" to "a step at the last checkpoint", in units of 1/range(x)
STEEPEST, FLATTEST = 400.0, 0.01
_LARGEST_EXP = 709.0  # of the exponential function in double precision
LARGEST_EXPONENT, SMALLEST_EXPONENT = 100.0, 0.01  # of the power curves, whose exponent has no unit

Array = np.ndarray


@dataclass(frozen=True)
class Axis:
    """One nonlinear parameter's search grid: from ``low`` to ``high`` in ``size`` steps, on a log scale if ``log``."""

    low: float
    high: float
    size: int
    log: bool = True


@dataclass(frozen=True)
class Curve:
    """A separable curve ``y = β·φ(x; θ) + α`` and its names.

    ``theta`` arguments below have shape (..., k) with k = number of ``axes``; ``x`` broadcasts against (..., 1).
    """

    name: str
    formula: str  # with {x} and {y} for the names of the axes
    params: tuple[str, ...]
    function: Callable[..., Array]  # function(x, *params)
    shape: Callable[[Array, Array, float], Array]  # φ(x, theta, anchor)
    shape_slope: Callable[[Array, Array, float], Array]  # dφ/dx
    shape_inverse: Callable[[Array, Array, float], Array]  # x from φ; NaN where there is none
    to_params: Callable[[Array, Array, Array, float], tuple[Array, ...]]  # (β, α, θ, anchor) -> params
    from_params: Callable[..., tuple[float, float, tuple[float, ...]]]  # (anchor, *params) -> β, α, θ
    axes: Callable[[Array], tuple[Axis, ...]]  # search grids for the data's x
    sign: int = 0  # the sign that β must have: -1, +1, 0 = any
    intercept: bool = True  # False: α = level
    direction: int = 0  # -1 falls with x, +1 rises, 0 = either
    steepness: str | None = None  # the nonlinear parameter that the verdict looks at
    needs_positive_x: bool = False
    level: float = 0.0  # α where there is no intercept: the R_max of the theory form
    source: str = ""

    @property
    def n_params(self) -> int:
        return len(self.params)

    def describe(self, x_name: str = "D", y_name: str = "R") -> str:
        """Return the formula with the names of the axes put in."""
        return self.formula.format(x=x_name, y=y_name)

    def anchor(self, x: Array) -> float:
        """Return the x at which φ is scaled to 1: the largest one."""
        return float(np.max(x))


def exponential(x: Array, a: float, b: float, c: float) -> Array:
    """R = −a·exp(c·x) + b with a, c > 0: quality falls ever faster as diversity (or entropy) grows.

    Source: eq. 2 (x = D) and eq. 1 (x = H) of the quality-diversity law paper (no arXiv number known).
    Departures: none.

    Examples
    --------
    >>> round(float(exponential(0.0, 0.0109, 1.023, 5.024)), 4)  # the ceiling b - a at no diversity
    1.0121
    """
    return b - np.exp(np.log(a) + c * np.asarray(x, dtype=float))


def unit_exponential(x: Array, a: float, b: float) -> Array:
    """R = −a·exp(x) + b with a > 0: the exponential with c = 1.

    Source: Cui et al., arXiv 2505.22617 (x = policy entropy). Departures: none.
    """
    return b - a * np.exp(np.asarray(x, dtype=float))


def linear(x: Array, a: float, b: float) -> Array:
    """y = a·x + b, any sign: H = a₁·D + b₁ of the quality-diversity law paper, and the plainest rival."""
    return a * np.asarray(x, dtype=float) + b


def power(x: Array, a: float, b: float, c: float) -> Array:
    """R = −a·x^c + b with a, c > 0 and x ≥ 0: a rival of the exponential."""
    return b - a * np.asarray(x, dtype=float) ** c


def power_origin(x: Array, b1: float, b2: float) -> Array:
    """y = b1·x^b2 with b2 > 0 and x ≥ 0: the power curve through the origin (NIST DanWood)."""
    return b1 * np.asarray(x, dtype=float) ** b2


def saturating(x: Array, b1: float, b2: float) -> Array:
    """y = b1·(1 − exp(−b2·x)) with b2 > 0: rises from 0 to b1 (NIST Misra1a and BoxBOD)."""
    return -b1 * np.expm1(-b2 * np.asarray(x, dtype=float))


def logistic(x: Array, b1: float, b2: float, b3: float) -> Array:
    """y = b1 / (1 + exp(b2 − b3·x)) with b3 > 0: rises from 0 to b1 around x = b2/b3 (NIST Rat42)."""
    return b1 * expit(b3 * np.asarray(x, dtype=float) - b2)


def falling_logistic(x: Array, b1: float, b2: float, b3: float) -> Array:
    """y = b1 / (1 + exp(b3·x − b2)) with b3 > 0: falls from b1 to 0 around x = b2/b3, a rival of the exponential."""
    return b1 * expit(b2 - b3 * np.asarray(x, dtype=float))


def theory(x: Array, lam: float, c: float, r_max: float = 1.0) -> Array:
    """R = R_max − (λ/c)·(exp(c·x) − 1) with λ > 0, c = 1 − η > 0 and R_max fixed: R_max at x = 0, slope −λ there.

    Source: the quality-diversity law paper's law, solved from dR/dx = −λ·exp((1 − η)·x) with R(0) = R_max. Departures: none.
    With R_max free this is the exponential, a = λ/c and b = R_max + λ/c; η = 0 is the unit exponential through R_max.

    Examples
    --------
    >>> round(float(theory(0.5, lam=0.0548, c=5.024, r_max=1.0121)), 4), round(float(exponential(0.5, 0.0109, 1.023, 5.024)), 4)
    (0.8885, 0.8886)
    """
    return r_max - lam / c * np.expm1(c * np.asarray(x, dtype=float))


def _theory_shape(x: Array, t: Array, anchor: float) -> Array:
    c = t[..., :1]  # expm1(c·x)/expm1(c·anchor), without overflow
    return np.exp(c * (x - anchor)) * -np.expm1(-c * x) / -np.expm1(-c * anchor)


def _theory_lambda(beta: Array, c: Array, anchor: float) -> Array:
    return beta * c * np.exp(-c * anchor) / np.expm1(-c * anchor)  # -β·c/expm1(c·anchor)


def _steepness_axis(x: Array) -> tuple[Axis, ...]:
    span = float(np.ptp(x))
    return (Axis(FLATTEST / span, STEEPEST / span, 120),)


def _exponent_axis(_x: Array) -> tuple[Axis, ...]:
    return (Axis(SMALLEST_EXPONENT, LARGEST_EXPONENT, 120),)


def _logistic_axes(x: Array) -> tuple[Axis, ...]:
    low, high = float(np.min(x)), float(np.max(x))
    span = high - low
    return Axis(low - span, high + span, 49, log=False), Axis(0.1 / span, STEEPEST / span, 40)


def _log(value: Array) -> Array:
    """Natural logarithm, NaN where there is none (so that an unreachable quality has no x)."""
    value = np.asarray(value, dtype=float)
    return np.log(np.where(value > 0, value, np.nan))


def _rise(z: Array) -> Array:
    """1/(1 + exp(−z)), which scipy's expit is too, at a fifth of the time; below −709 as there."""
    return 1 / (1 + np.exp(-np.maximum(z, -_LARGEST_EXP)))


def _no_axes(_x: Array) -> tuple[Axis, ...]:
    return ()


EXPONENTIAL = Curve(
    name="exponential",
    formula="{y} = -a·exp(c·{x}) + b",
    params=("a", "b", "c"),
    function=exponential,
    shape=lambda x, t, anchor: np.exp(t[..., :1] * (x - anchor)),
    shape_slope=lambda x, t, anchor: t[..., :1] * np.exp(t[..., :1] * (x - anchor)),
    shape_inverse=lambda phi, t, anchor: anchor + _log(phi) / t[..., :1],
    to_params=lambda beta, alpha, t, anchor: (-beta * np.exp(-t[..., 0] * anchor), alpha, t[..., 0]),
    from_params=lambda anchor, a, b, c: (-np.exp(np.log(a) + c * anchor), b, (c,)),
    axes=_steepness_axis,
    sign=-1,
    direction=-1,
    steepness="c",
    source="quality-diversity law paper, eq. 1 and 2",
)
UNIT_EXPONENTIAL = Curve(
    name="unit_exponential",
    formula="{y} = -a·exp({x}) + b",
    params=("a", "b"),
    function=unit_exponential,
    shape=lambda x, t, anchor: np.exp(x - anchor),
    shape_slope=lambda x, t, anchor: np.exp(x - anchor),
    shape_inverse=lambda phi, t, anchor: anchor + _log(phi),
    to_params=lambda beta, alpha, t, anchor: (-beta * np.exp(-anchor), alpha),
    from_params=lambda anchor, a, b: (-a * np.exp(anchor), b, ()),
    axes=_no_axes,
    sign=-1,
    direction=-1,
    source="Cui et al., arXiv 2505.22617",
)
LINEAR = Curve(
    name="linear",
    formula="{y} = a·{x} + b",
    params=("a", "b"),
    function=linear,
    shape=lambda x, t, anchor: x - anchor,
    shape_slope=lambda x, t, anchor: np.ones_like(x),
    shape_inverse=lambda phi, t, anchor: anchor + phi,
    to_params=lambda beta, alpha, t, anchor: (beta, alpha - beta * anchor),
    from_params=lambda anchor, a, b: (a, b + a * anchor, ()),
    axes=_no_axes,
    source="quality-diversity law paper (H = a1·D + b1)",
)
POWER = Curve(
    name="power",
    formula="{y} = -a·{x}^c + b",
    params=("a", "b", "c"),
    function=power,
    shape=lambda x, t, anchor: (x / anchor) ** t[..., :1],
    shape_slope=lambda x, t, anchor: (
        t[..., :1] / anchor * np.maximum(x / anchor, np.finfo(float).tiny) ** (t[..., :1] - 1)
    ),
    shape_inverse=lambda phi, t, anchor: anchor * np.exp(_log(phi) / t[..., :1]),
    to_params=lambda beta, alpha, t, anchor: (-beta * np.exp(-t[..., 0] * np.log(anchor)), alpha, t[..., 0]),
    from_params=lambda anchor, a, b, c: (-a * anchor**c, b, (c,)),
    axes=_exponent_axis,
    sign=-1,
    direction=-1,
    steepness="c",
    needs_positive_x=True,
)
POWER_ORIGIN = Curve(
    name="power_origin",
    formula="{y} = b1·{x}^b2",
    params=("b1", "b2"),
    function=power_origin,
    shape=POWER.shape,
    shape_slope=POWER.shape_slope,
    shape_inverse=POWER.shape_inverse,
    to_params=lambda beta, alpha, t, anchor: (beta * np.exp(-t[..., 0] * np.log(anchor)), t[..., 0]),
    from_params=lambda anchor, b1, b2: (b1 * anchor**b2, 0.0, (b2,)),
    axes=_exponent_axis,
    sign=1,
    intercept=False,
    direction=1,
    steepness="b2",
    needs_positive_x=True,
    source="NIST StRD DanWood",
)
SATURATING = Curve(
    name="saturating",
    formula="{y} = b1·(1 - exp(-b2·{x}))",
    params=("b1", "b2"),
    function=saturating,
    shape=lambda x, t, anchor: -np.expm1(-t[..., :1] * x),
    shape_slope=lambda x, t, anchor: t[..., :1] * np.exp(-t[..., :1] * x),
    shape_inverse=lambda phi, t, anchor: -_log(1 - phi) / t[..., :1],
    to_params=lambda beta, alpha, t, anchor: (beta, t[..., 0]),
    from_params=lambda anchor, b1, b2: (b1, 0.0, (b2,)),
    axes=_steepness_axis,
    sign=1,
    intercept=False,
    direction=1,
    steepness="b2",
    needs_positive_x=True,
    source="NIST StRD Misra1a, BoxBOD",
)
LOGISTIC = Curve(
    name="logistic",
    formula="{y} = b1 / (1 + exp(b2 - b3·{x}))",
    params=("b1", "b2", "b3"),
    function=logistic,
    # θ = (x at half height, b3): less correlated than (b2, b3), and the first has the unit of x
    shape=lambda x, t, anchor: _rise(t[..., 1:2] * (x - t[..., :1])),
    shape_slope=lambda x, t, anchor: (
        t[..., 1:2] * expit(t[..., 1:2] * (x - t[..., :1])) * expit(-t[..., 1:2] * (x - t[..., :1]))
    ),
    shape_inverse=lambda phi, t, anchor: t[..., :1] - _log(1 / np.where(phi > 0, phi, np.nan) - 1) / t[..., 1:2],
    to_params=lambda beta, alpha, t, anchor: (beta, t[..., 0] * t[..., 1], t[..., 1]),
    from_params=lambda anchor, b1, b2, b3: (b1, 0.0, (b2 / b3, b3)),
    axes=_logistic_axes,
    sign=1,
    intercept=False,
    direction=1,
    steepness="b3",
    source="NIST StRD Rat42",
)

FALLING_LOGISTIC = Curve(
    name="falling_logistic",
    formula="{y} = b1 / (1 + exp(b3·{x} - b2))",
    params=("b1", "b2", "b3"),
    function=falling_logistic,
    shape=lambda x, t, anchor: _rise(-t[..., 1:2] * (x - t[..., :1])),
    shape_slope=lambda x, t, anchor: (
        -t[..., 1:2] * expit(t[..., 1:2] * (x - t[..., :1])) * expit(-t[..., 1:2] * (x - t[..., :1]))
    ),
    shape_inverse=lambda phi, t, anchor: t[..., :1] + _log(1 / np.where(phi > 0, phi, np.nan) - 1) / t[..., 1:2],
    to_params=LOGISTIC.to_params,
    from_params=LOGISTIC.from_params,
    axes=_logistic_axes,
    sign=1,
    intercept=False,
    direction=-1,
    steepness="b3",
)


def theory_curve(r_max: float = 1.0) -> Curve:
    """Return the theory form with that R_max: two free parameters, λ and c = 1 − η.

    Raises
    ------
    ValueError
        For an R_max that is not finite.
    """
    if not np.isfinite(r_max):
        raise ValueError(f"r_max: expected a finite quality at no diversity, got {r_max}")
    return Curve(
        name="theory",
        formula=f"{{y}} = {r_max:.6g} - (λ/c)·(exp(c·{{x}}) - 1)",
        params=("lam", "c"),
        function=lambda x, lam, c: theory(x, lam, c, r_max),
        shape=_theory_shape,
        shape_slope=lambda x, t, anchor: t[..., :1] * np.exp(t[..., :1] * (x - anchor)) / -np.expm1(-t[..., :1] * anchor),
        shape_inverse=lambda phi, t, anchor: anchor
        + _log(phi * -np.expm1(-t[..., :1] * anchor) + np.exp(-t[..., :1] * anchor)) / t[..., :1],
        to_params=lambda beta, _alpha, t, anchor: (_theory_lambda(beta, t[..., 0], anchor), t[..., 0] + 0 * beta),
        from_params=lambda anchor, lam, c: (-lam / c * np.expm1(c * anchor), r_max, (c,)),
        axes=_steepness_axis,
        sign=-1,
        intercept=False,
        direction=-1,
        steepness="c",
        needs_positive_x=True,
        level=r_max,
        source="quality-diversity law paper, R_max fixed",
    )


THEORY = theory_curve()

CURVES: dict[str, Curve] = {
    curve.name: curve
    for curve in (EXPONENTIAL, UNIT_EXPONENTIAL, LINEAR, POWER, POWER_ORIGIN, SATURATING, LOGISTIC, FALLING_LOGISTIC, THEORY)
}


def curve_named(form: str, r_max: float | None = None) -> Curve:
    """Return the curve of that name; ``r_max`` is the fixed R_max of the theory form (None = 1).

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones. For an ``r_max`` with another form.

    Examples
    --------
    >>> curve_named("exponential").describe("H")
    'R = -a·exp(c·H) + b'
    """
    if form not in CURVES:
        raise ValueError(f"form: expected one of {', '.join(CURVES)}; got {form!r}")
    if r_max is None:
        return CURVES[form]
    if form != "theory":
        raise ValueError(f"r_max: only the theory form has it fixed; the {form} form was asked for")
    return theory_curve(r_max)
