"""Adaptive entropy: an entropy bonus whose coefficient holds the mean next-token entropy at a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from breadth.losses.entropies import AdaptiveCoefficient, entropy_bonus, mean_entropy
from breadth.losses.tokens import Stats
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.dapo import EVERYTHING, standardise_piece
from breadth.objectives.pieces import clip_piece
from breadth.objectives.streams import check_names, require


@dataclass(frozen=True)
class HeldEntropy:
    """The bonus at the coefficient of the moment, as a function that prints by name."""

    control: AdaptiveCoefficient

    @property
    def __name__(self) -> str:
        return "held_entropy_bonus"

    def __call__(self, logp: Tensor, mask: Tensor, *, entropy: Tensor, **numbers: float) -> tuple[Tensor, Stats]:
        """Return the bonus (N, T) and its statistics with the coefficient in use; ``numbers`` are only printed."""
        del numbers
        coefficient = self.control.applied
        matrix, stats = entropy_bonus(logp, mask, entropy=entropy, coefficient=coefficient)
        return matrix, {**stats, "entropy_coefficient": coefficient}


@dataclass(frozen=True)
class AdaptiveEntropyObjective(Objective):
    """An objective that remembers the coefficient of its bonus."""

    control: AdaptiveCoefficient | None = None

    @property
    def _driven(self) -> AdaptiveCoefficient:
        if self.control is None:
            raise ValueError(f"objective {self.name!r}: expected control, the state of its multiplier, got None")
        return self.control

    def observe(self, **streams: Any) -> None:
        """Move the coefficient by the mean of ``entropy`` (N, T) over ``mask`` (N, T), after each batch's update.

        Raises
        ------
        ValueError
            ``entropy`` or ``mask`` is absent.
        """
        check_names(self.name, streams)
        require(self.name, streams, ("entropy", "mask"))
        self._driven.observe(mean_entropy(streams["entropy"], streams["mask"]))

    def state_dict(self) -> dict[str, Any]:
        """Return the coefficient and the last entropy."""
        return self._driven.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned.

        Raises
        ------
        ValueError
            The keys are not those of this objective.
        """
        if set(state) != set(self._driven.state_dict()):
            found = ", ".join(map(str, state)) or "none"
            raise ValueError(f"objective {self.name!r}: expected state coefficient, last_entropy, got keys {found}")
        self._driven.load_state_dict(state)


def adaptive_entropy(
    *,
    target: float = 0.2,
    delta: float = 0.005,
    low: float = 0.0,
    high: float = 1.0,
    start: float = 0.0,
    deviation: str = "sample",
    eps: float = 1e-4,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    aggregation: str = "token_mean",
) -> Objective:
    """Return GRPO's loss minus c·H_t per token, c moved by :class:`breadth.losses.entropies.AdaptiveCoefficient`.

    Parameters
    ----------
    target : float
        Mean next-token entropy to hold, nats; 0.2.
    delta, low, high, start : float
        Step of c after each batch, its bounds and its first value; 0.005, 0, 1 and 0.
    deviation, eps, clip_low, clip_high
        As in ``grpo``.
    aggregation : str
        ``token_mean``.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: He et al. 2025 (Skywork-OR1), arXiv 2505.22312; numbers as in TRL. Departures: (1) the gate looks at the
    entropy of the last step, the paper's at its own; (2) on the host of GRPO.

    Examples
    --------
    >>> adaptive_entropy().state_dict()
    {'coefficient': 0.0, 'last_entropy': None}
    """
    numbers = {"target": target, "delta": delta, "low": low, "high": high, "start": start}
    control = AdaptiveCoefficient(**numbers)
    clips = {"clip_low": clip_low, "clip_high": clip_high}
    return AdaptiveEntropyObjective(
        name="adaptive_entropy",
        title="Adaptive entropy",
        family="policy",
        settings={**numbers, "deviation": deviation, "eps": eps, **clips, "aggregation": aggregation},
        baseline=standardise_piece(deviation, eps),
        loss_piece=clip_piece(clip_low, clip_high),
        penalties=(Piece("penalty", HeldEntropy(control), numbers, ("entropy",)),),
        aggregation=Aggregation(aggregation),
        invariants=EVERYTHING,
        source="He et al. 2025, arXiv 2505.22312, adaptive entropy control",
        departures=("the gate looks at the entropy of the last step", "on the host of GRPO"),
        control=control,
    )
