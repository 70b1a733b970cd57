"""B: what next-token entropy does to a loss: a threshold that picks tokens, a bonus, and a coefficient that adapts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from breadth.losses.tokens import Stats
from breadth.tensors.masked import check_mask, fill_padding, masked_mean, wide


def entropy_quantile(
    logp: Tensor, logp_old: Tensor, advantage: Tensor, mask: Tensor, *, entropy: Tensor, share: float = 0.2
) -> dict[str, Tensor]:
    """Return ``entropy_threshold``, (N,): the (1 − share) quantile of the entropies of all kept tokens, repeated.

    To be computed once on the whole batch and handed to every micro-batch: a threshold of its own in each would pick
    other tokens. Linear interpolation between the two nearest entropies, without torch.quantile's limit on size.

    Parameters
    ----------
    logp, logp_old, advantage
        Not used; the signature of a coupling.
    mask : (N, T) bool
        True = count this token.
    entropy : (N, T)
        Of the next-token distribution, nats, detached here.
    share : float
        In (0, 1].

    Raises
    ------
    ValueError
        ``share`` out of range, shapes that differ.
    TypeError
        A mask that is not boolean.

    Source: Wang et al. 2025, arXiv 2506.01939, forking tokens. Departures: the threshold is the batch's, the authors' is
    each micro-batch's. Without a kept token it is +inf.

    Examples
    --------
    >>> entropy, mask = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]]), torch.ones(1, 5, dtype=torch.bool)
    >>> entropy_quantile(entropy, entropy, entropy, mask, entropy=entropy, share=0.25)
    {'entropy_threshold': tensor([3.])}
    """
    del logp, logp_old, advantage
    check_share(share)
    check_mask(mask, entropy, "entropy")
    values = wide(entropy.detach())[mask]  # (M,)
    if len(values) == 0:
        return {"entropy_threshold": wide(entropy).new_full(entropy.shape[:1], torch.inf)}
    place = (len(values) - 1) * (1 - share)
    low = values.kthvalue(math.floor(place) + 1).values
    # the next in order is the least value above, unless ties with ``low`` reach that far: cheaper than a second selection
    tied = int((values <= low).sum()) > math.ceil(place)
    high = low if tied else torch.where(values > low, values, torch.inf).min()
    threshold = torch.lerp(low, high, place - math.floor(place))  # ()
    return {"entropy_threshold": threshold.expand(entropy.shape[0]).clone()}  # (N,)


def check_share(share: float) -> None:
    """Raise ValueError unless 0 < share ≤ 1."""
    if not 0 < share <= 1:
        raise ValueError(f"share: expected a number in (0, 1], got {share}")


def forking_weight(
    logp_old: Tensor, advantage: Tensor, mask: Tensor, *, entropy: Tensor, entropy_threshold: Tensor
) -> Tensor:
    """Return 1 where the entropy is at least the threshold and 0 elsewhere, (N, T): a weight on the advantage.

    Parameters
    ----------
    logp_old, advantage
        Not used; the signature of a token weight.
    mask : (N, T) bool
        True = keep; the weight is 0 elsewhere.
    entropy : (N, T)
        Nats.
    entropy_threshold : (N,)
        From :func:`entropy_quantile`.

    Raises
    ------
    TypeError, ValueError
        A mask that is not boolean, shapes that differ.

    Source: Wang et al. 2025, arXiv 2506.01939, forking tokens. Departures: none.

    Examples
    --------
    >>> entropy, mask = torch.tensor([[0.1, 2.0]]), torch.tensor([[True, True]])
    >>> forking_weight(entropy, torch.ones(1), mask, entropy=entropy, entropy_threshold=torch.tensor([1.0]))
    tensor([[0., 1.]])
    """
    del logp_old, advantage
    values = fill_padding(entropy.detach(), mask, -1.0)  # (N, T), below any threshold of entropies
    return (mask & (values >= entropy_threshold[:, None])).to(values.dtype)


def entropy_bonus(logp: Tensor, mask: Tensor, *, entropy: Tensor, coefficient: float) -> tuple[Tensor, Stats]:
    """Return −c·H_t per token, (N, T), with gradient through ``entropy``, and ``entropy_bonus``, c times the mean H.

    The gradient of the entropy at sampled prefixes is not that of the entropy of sequences: how often a prefix is
    visited is held fixed.

    Parameters
    ----------
    logp : (N, T)
        Not used; the signature of a penalty.
    mask : (N, T) bool
        True = keep.
    entropy : (N, T)
        Nats, of the policy in training.
    coefficient : float
        c ≥ 0.

    Raises
    ------
    TypeError, ValueError
        A negative coefficient, a mask that is not boolean, shapes that differ.

    Source: Mnih et al. 2016 (A3C), arXiv 1602.01783, section 4; Schulman et al. 2017, arXiv 1707.06347, eq. 9.
    Departures: none.

    Examples
    --------
    >>> mask = torch.tensor([[True]])
    >>> entropy_bonus(torch.zeros(1, 1), mask, entropy=torch.tensor([[2.0]]), coefficient=0.5)
    (tensor([[-1.]]), {'entropy_bonus': 1.0})
    """
    del logp
    if not coefficient >= 0:
        raise ValueError(f"coefficient: expected a number >= 0, got {coefficient}")
    kept = fill_padding(entropy, mask)  # (N, T)
    mean = kept.detach().sum() / mask.sum().clamp(min=1)
    return -coefficient * kept, {"entropy_bonus": coefficient * float(mean)}


class AdaptiveCoefficient:
    """The coefficient of an entropy bonus that holds entropy near a target. Steps by ``delta`` within [low, high].

    ``applied`` is the coefficient if the last observed entropy was at or below the target, else 0; before the first
    observation it is 0. ``observe`` then moves the coefficient: up by ``delta`` at or below the target, else down.

    Parameters
    ----------
    target : float
        Mean next-token entropy to hold, nats.
    delta, low, high : float
        Step ≥ 0, and the bounds, 0 ≤ low ≤ high.
    start : float
        First coefficient, in [low, high].

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: He et al. 2025 (Skywork-OR1), arXiv 2505.22312, section on adaptive entropy control; target 0.2, step
    0.005 and bound 1 as in TRL. Departures: the gate looks at the last step's entropy (as TRL), the paper's at its own.

    Examples
    --------
    >>> control = AdaptiveCoefficient(target=0.2, delta=0.005)
    >>> control.observe(0.1)
    >>> control.applied
    0.005
    """

    def __init__(self, *, target: float, delta: float, low: float = 0.0, high: float = 1.0, start: float = 0.0) -> None:
        if not target >= 0 or not delta >= 0:
            raise ValueError(f"target, delta: expected numbers >= 0, got {target} and {delta}")
        if not 0 <= low <= start <= high:
            raise ValueError(f"expected 0 <= low <= start <= high, got low {low}, start {start}, high {high}")
        self.target, self.delta, self.low, self.high = target, delta, low, high
        self.coefficient = start
        self.last_entropy: float | None = None

    @property
    def applied(self) -> float:
        """The coefficient in use until the next observation."""
        held = self.last_entropy is not None and self.last_entropy <= self.target
        return self.coefficient if held else 0.0

    def observe(self, entropy: float) -> None:
        """Take note of a batch's mean next-token entropy, nats.

        Raises
        ------
        ValueError
            It is not finite.
        """
        if not math.isfinite(entropy):
            raise ValueError(f"entropy: expected a finite mean in nats, got {entropy}")
        step = self.delta if entropy <= self.target else -self.delta
        self.coefficient = min(max(self.coefficient + step, self.low), self.high)
        self.last_entropy = entropy

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {"coefficient": self.coefficient, "last_entropy": self.last_entropy}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self.coefficient, self.last_entropy = state["coefficient"], state["last_entropy"]


def mean_entropy(entropy: Tensor, mask: Tensor) -> float:
    """Return the mean next-token entropy over the kept tokens, nats.

    Raises
    ------
    ValueError
        No token is kept, or shapes differ.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> mean_entropy(torch.tensor([[1.0, 9.0]]), torch.tensor([[True, False]]))
    1.0
    """
    if not bool(mask.any()):
        raise ValueError(f"mask: expected at least one kept token, got none in shape {tuple(mask.shape)}")
    return float(masked_mean(entropy.detach(), mask))
