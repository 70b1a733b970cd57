"""What passes between rooms: frozen records, with the shape and the unit of every field.

Nothing here imports torch; tensors appear in annotations only. ``None`` in a number means "not known", never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Rollouts:
    """N sampled completions of P prompts, padded on the right to T tokens; log-probabilities in nats.

    ``logp_old`` is the untempered policy that is being trained; ``logp_sampled`` is the distribution that the tokens were
    really drawn from (after temperature, top-k and top-p). They are equal at temperature 1 without truncation.
    """

    prompt_tokens: Tensor  # (N, S) int64, padded on the left
    prompt_mask: Tensor  # (N, S) bool, True = a real token
    tokens: Tensor  # (N, T) int64, completion
    mask: Tensor  # (N, T) bool, True = a sampled token (the end token counts)
    logp_old: Tensor  # (N, T) float32, 0 where mask is False
    logp_sampled: Tensor  # (N, T) float32, 0 where mask is False
    entropy: Tensor  # (N, T) float32, of the untempered next-token distribution, 0 where mask is False
    group: Tensor  # (N,) int64, which prompt of the batch
    prompt_id: Tensor  # (N,) int64, stable across steps
    text: list[str]  # N completions
    prompt: list[str]  # N prompts, repeated inside a group
    ended: Tensor  # (N,) bool, the end token was sampled (or the task's length is fixed and was reached)


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss ready to be differentiated, and the matrix that it was aggregated from."""

    value: Tensor  # () with gradient
    matrix: Tensor  # (N, T) or (N,)
    stats: Mapping[str, float]  # detached, for the log


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured number: ``value`` with its standard ``error``.

    ``value`` is None where nothing could be measured (fewer than two parsable samples, say), ``error`` is None where it is
    not known. ``n`` counts the samples that the number rests on, ``n_unscored`` those that the scorer failed on.
    ``sets`` holds the value of each independent sample set, in order (None where a set had no value); empty where the
    number is not a mean over sets.
    """

    metric: str
    value: float | None
    error: float | None
    n: int
    n_unscored: int = 0
    unit: str = ""
    sets: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; ``low`` and ``high`` are None where the data do not determine them."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class LawFit:
    """A fitted curve R(x) and what may be said of it. Made by :func:`breadth.fit_law`."""

    form: str  # "exponential", "linear", "power", ...
    formula: str  # "R = -a·exp(c·D) + b"
    x_name: str  # "D" or "H"
    params: Mapping[str, Estimate]
    r2: float | None
    rmse: float | None  # in R
    rmse_x: float | None  # in x (δx = δR / |dR/dx|), None where the slope vanishes
    verdict: str  # "holds" | "does not hold" | "cannot tell"
    reason: str
    n: int  # checkpoints used
    n_effective: float  # after autocorrelation
    n_dropped: int  # NaN rows
    x: tuple[float, ...]
    y: tuple[float, ...]
    rivals: Mapping[str, float] = field(default_factory=dict)  # form -> AICc minus this form's AICc (negative = better)
    lack_of_fit_p: float | None = None
    interval: str = "profile"  # how the intervals were made: "profile" | "bootstrap" | "bca"
    interval_level: float = 0.95  # of the intervals
    fixed: Mapping[str, float] = field(default_factory=dict)  # numbers of the form that were not fitted: r_max
    out_of_sample: Mapping[str, float] = field(default_factory=dict)  # form -> root mean square error on left-out blocks
    draws: Any = field(default=None, repr=False, compare=False)  # (n_boot, 2 + k): β, α, θ of the separable form; None for profiles

    def predict(self, x: float) -> Estimate:
        """Quality at x with its 95 % interval, of the kind that ``interval`` names."""
        from breadth.laws.fit import predict_quality

        return predict_quality(self, x)

    def predict_diversity(self, quality: float) -> Estimate:
        """The x (diversity or entropy) that is left at a given quality, with its 95 % interval, of the kind that ``interval`` names."""
        from breadth.laws.fit import predict_x

        return predict_x(self, quality)


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predicted measurement: median, 80 % and 95 % intervals. All None where it cannot be told."""

    value: float | None = None
    low80: float | None = None
    high80: float | None = None
    low95: float | None = None
    high95: float | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the first checkpoints of a run say about the rest of it. Made by :func:`breadth.forecast`.

    ``model`` is what the predictions rest on: "law" (D over steps, R by the fitted law), "entropy" (D through the entropy, R by
    its own trend), "monotone" (two trends) or "none" (nothing can be told); ``reason`` says why that one. ``target_model`` is the same for
    ``diversity_at_target``, or "measured" where the target was reached before ``at_step``.
    """

    label: str
    seed: int
    target_quality: float
    at_step: float  # last checkpoint that was looked at
    final_step: float | None  # end of training; None = not known
    n: int  # checkpoints looked at, with both R and D
    model: str  # "law" | "entropy" | "monotone" | "none"; "measured" at the end
    reason: str
    reached: str  # "yes" | "no" | "cannot tell": R >= target at any checkpoint up to final_step
    probability: float | None  # of that; 1 where it was measured
    target_model: str  # "law" | "entropy" | "monotone" | "measured" | "none"
    diversity_at_target: Prediction  # given that the target is reached
    final_quality: Prediction
    final_diversity: Prediction
    sentence: str


@dataclass(frozen=True, slots=True)
class Lift:
    """Diversity of method A minus method B at equal quality (or at the end of equal runs), paired over seeds."""

    at: str  # "R >= 0.90", "end of run"
    quality: float | None
    value: float | None
    low: float | None
    high: float | None
    n_seeds: int
    margin: float  # δ of the equivalence test, in units of D
    verdict: str  # "bought" | "lost" | "the same" | "cannot tell"
    seeds_needed: int | None  # for "cannot tell": how many seeds would tell
    sentence: str
    a: str = "A"
    b: str = "B"
    values_a: tuple[float | None, ...] = ()
    values_b: tuple[float | None, ...] = ()
    p: float | None = None  # paired t-test of no difference, two-sided; None below two pairs
    p_holm: float | None = None  # corrected for the methods compared at the same place; None where nobody asked
    verdict_holm: str | None = None  # the verdict after that correction
    seeds_for_margin: int | None = None  # seeds with 80 % power for a difference of ``margin``, at the observed spread


@dataclass(frozen=True, slots=True)
class FrontierTest:
    """Attainment frontier of method A minus that of method B over qualities, paired over seeds, with a simultaneous band."""

    a: str
    b: str
    n_seeds: int
    seeds: tuple[int, ...]  # of the pairs
    metric: str
    budget: float | None  # rollouts (or steps) up to which checkpoints count, on both sides
    n_checkpoints: int  # shared by all runs within the budget
    n_sets: int  # sample sets a checkpoint, on both sides
    quality: tuple[float, ...]  # the grid; empty where there is no common range
    difference: tuple[float, ...]  # mean over seeds of D_A - D_B
    low: tuple[float | None, ...]  # simultaneous 95 % band; None below three seeds
    high: tuple[float | None, ...]
    critical: float | None  # how many standard errors wide the band is
    bought: tuple[tuple[float, float], ...]  # ranges of quality where the band lies above 0
    lost: tuple[tuple[float, float], ...]
    area: Lift | None  # mean D over the common range of quality
    hypervolume: Lift | None  # mean D over all qualities that any run reached, 0 where a run did not
    sentence: str


@dataclass(frozen=True, slots=True)
class TaskDescription:
    """What a report or ``breadth list tasks`` says of a task."""

    name: str
    summary: str
    quality: str  # what R is
    parsable: str  # what "parsable" means here
    valid: str  # what "valid" means here
    distances: Mapping[str, str]  # name -> one line; the first is the default
    correct_at: float  # quality from which an answer counts as correct
    max_tokens: int  # completion tokens, the end token included if there is one
    end_token: bool  # completions end by an end token (False: their length is fixed)
    source: str = ""
    notes: tuple[str, ...] = ()
    max_prompt_tokens: int = 0  # tokens of the longest prompt in the task's own vocabulary, start token left out
