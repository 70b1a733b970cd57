"""A true quality constraint: the multiplier is driven until mean quality meets its target, not set by hand."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from breadth.advantages.entropy import centred_term
from breadth.losses.dual import dual_step
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import centre_piece, clip_piece
from breadth.objectives.streams import prepare
from breadth.tensors.groups import group_centre
from breadth.tensors.masked import wide

FORMS = ("correct_entropy", "anchored")
HIGH = {"correct_entropy": 100.0, "anchored": 1000.0}


@dataclass
class QualityControl:
    """λ, moved by dual ascent on its logarithm, from quality averaged over the last ``window`` samples.

    Examples
    --------
    >>> control = QualityControl(target=0.9, window=4, learning_rate=1.0, start=10.0, low=1.0, high=100.0)
    >>> control.observe([1.0, 1.0, 1.0, 1.0])
    >>> control.value < 10.0                       # more quality than asked for: room for entropy
    True
    """

    target: float
    window: int
    learning_rate: float
    start: float
    low: float
    high: float
    recent: deque[tuple[int, float]] = field(default_factory=deque)  # (number of samples, their sum), a batch each

    def __post_init__(self) -> None:
        self.log_multiplier = math.log(self.start)

    @property
    def value(self) -> float:
        """λ: the weight of quality; 1/λ is the weight of the entropy term."""
        return math.exp(self.log_multiplier)

    @property
    def mean(self) -> float | None:
        """Mean quality over the window; None before the first batch."""
        n = sum(count for count, _ in self.recent)
        return sum(total for _, total in self.recent) / n if n else None

    def observe(self, rewards: list[float]) -> None:
        """Take a batch's rewards into the window (unscored ones left out by the caller) and move λ one step."""
        if not rewards:
            return
        self.recent.append((len(rewards), float(sum(rewards))))
        while sum(n for n, _ in self.recent) - self.recent[0][0] >= self.window:
            self.recent.popleft()
        mean = self.mean
        assert mean is not None  # rewards have just come in
        self.log_multiplier = dual_step(
            self.log_multiplier, mean, self.target, learning_rate=self.learning_rate, low=math.log(self.low), high=math.log(self.high)
        )

    def state_dict(self) -> dict[str, Any]:
        """Return λ's logarithm and the window."""
        return {"log_multiplier": self.log_multiplier, "recent": [list(pair) for pair in self.recent]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        self.log_multiplier = float(state["log_multiplier"])
        self.recent = deque((int(n), float(total)) for n, total in state["recent"])


@dataclass(frozen=True)
class ConstrainedTerm:
    """A3 at the λ of the moment, as a function that prints by name."""

    control: QualityControl

    @property
    def __name__(self) -> str:
        return "meet_quality_target"

    def __call__(
        self,
        values: Tensor,
        group: Tensor,
        *,
        seq_logp: Tensor,
        seq_logp_ref: Tensor | None = None,
        correct: Tensor | None = None,
        scored: Tensor | None = None,
        length: Tensor | None = None,
        form: str,
        anchor: float,
        length_norm: str,
        **numbers: float,
    ) -> Tensor:
        """Return (A_i + a·term_i)/(1 + a), (N,), with a = 1/λ; ``numbers`` are only printed."""
        del numbers
        a = 1 / self.control.value
        if form == "correct_entropy":
            term = centred_term(seq_logp, group, correct=correct, scored=scored, length=length, length_norm=length_norm)
        else:
            keep = torch.ones_like(group, dtype=torch.bool) if scored is None else scored
            assert seq_logp_ref is not None  # this form needs it
            gap = anchor * wide(seq_logp_ref.detach()) - wide(seq_logp.detach())  # (N,)
            if length_norm == "per_token":
                assert length is not None  # this norm needs it
                gap = gap / length.clamp(min=1)
            term = group_centre(gap, group, keep=keep).masked_fill(~keep, 0.0)
        return (wide(values.detach()) + a * term) / (1 + a)


@dataclass(frozen=True)
class ConstrainedObjective(Objective):
    """An objective that remembers its multiplier; see :func:`quality_target`."""

    control: QualityControl | None = None

    @property
    def _driven(self) -> QualityControl:
        if self.control is None:
            raise ValueError(f"objective {self.name!r}: expected control, the state of its multiplier, got None")
        return self.control

    @torch.no_grad()
    def shape(self, **streams: Any) -> tuple[Tensor, dict[str, float]]:
        """Return the advantages (N,), and λ, mean quality and slack beside the usual statistics."""
        advantage, stats = super().shape(**streams)
        mean = self._driven.mean
        known = {} if mean is None else {"quality_window": mean, "slack": mean - self._driven.target}
        return advantage, {**stats, "lambda": self._driven.value, "inv_lambda": 1 / self._driven.value, **known}

    def observe(self, **streams: Any) -> None:
        """Move λ by the scored rewards of a batch, after its update."""
        ready = prepare(self.name, streams, needs=("reward", "group"), takes=())
        self._driven.observe(ready["reward"][ready["scored"]].tolist())

    def state_dict(self) -> dict[str, Any]:
        """Return λ and its window."""
        return self._driven.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned.

        Raises
        ------
        ValueError
            The keys are not those of this objective.
        """
        if set(state) != {"log_multiplier", "recent"}:
            raise ValueError(f"objective {self.name!r}: expected state log_multiplier, recent, got keys {', '.join(map(str, state)) or 'none'}")
        self._driven.load_state_dict(state)


def quality_target(
    *,
    target: float = 0.95,
    form: str = "correct_entropy",
    anchor: float = 1.0,
    learning_rate: float = 1.0,
    start: float = 30.0,
    low: float = 1.0,
    high: float | None = None,
    window: int = 2048,
    length_norm: str = "none",
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> ConstrainedObjective:
    """Return max entropy subject to mean quality ≥ target, with the multiplier λ driven by dual ascent.

    ``correct_entropy`` (rewards in {0, 1}): A_i = [(r_i − r̄) − a·m_i(s_i − s̄_correct)]/(1 + a), a = 1/λ: entropy among correct
    answers; that term hardly trades against quality, so λ falls to the smallest that keeps the target. ``anchored`` (graded
    rewards): A_i = [(r_i − r̄) − a((s_i − κ·s_i^ref) − mean)]/(1 + a): at κ = 1 the policy π_ref·exp(λr) whose mean quality is the
    target.

    Parameters
    ----------
    target : float
        R*, in units of the reward.
    form : str
        ``correct_entropy`` needs `correct`, ``anchored`` needs `seq_logp_ref`.
    anchor : float
        κ ≥ 0 of the anchored form: 1 keeps the reference's proportions, 0 is plain maximum entropy.
    learning_rate : float
        η of dual ascent on ln λ, per unit of R and step.
    start, low, high : float
        First value and bounds of λ, 0 < low ≤ start ≤ high. ``high`` None: 100 for ``correct_entropy``, 1000 for ``anchored``.
        While quality climbs towards its target λ waits at ``high``; an entropy term of 1/100 does not slow it, and none at
        all would let the policy collapse meanwhile.
    window : int
        Samples over which quality is averaged: one batch of 128 has a standard error of 0.02.
    length_norm : str
        ``none`` or ``per_token``.
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        An unknown form, or numbers out of range.

    Source: the constrained problem is Proposition 5 of arXiv 2602.15894. Departures: (1) the paper fixes λ by hand and never
    solves it; dual ascent is ours; (2) entropy among correct answers where rewards are 0/1; (3) terms are scaled by 1/(1 + a).

    Examples
    --------
    >>> objective = quality_target(target=0.5, start=10.0)
    >>> objective.needs
    ('reward', 'group', 'correct', 'seq_logp')
    >>> round(objective.shape(reward=[1.0, 1.0, 0.0], group=[0, 0, 0], correct=[True, True, False], seq_logp=[-1.0, -3.0, -2.0])[1]["inv_lambda"], 3)
    0.1
    """
    if form not in FORMS:
        raise ValueError(f"form: expected one of {', '.join(FORMS)}, got {form!r}")
    if length_norm not in ("none", "per_token"):
        raise ValueError(f"length_norm: expected none or per_token, got {length_norm!r}")
    high = HIGH[form] if high is None else high
    if not (0 < low <= start <= high and learning_rate > 0 and window >= 1 and anchor >= 0 and math.isfinite(target)):
        raise ValueError(
            "expected 0 < low <= start <= high, learning_rate > 0, window >= 1, anchor >= 0 and a finite target, got "
            f"low={low}, start={start}, high={high}, learning_rate={learning_rate}, window={window}, anchor={anchor}, target={target}"
        )
    numbers: dict[str, Any] = {"target": target, "learning_rate": learning_rate, "start": start, "low": low, "high": high, "window": window}
    control = QualityControl(**numbers)
    shaping = {"form": form, "anchor": anchor, "length_norm": length_norm}
    needs: tuple[str, ...] = ("correct", "seq_logp") if form == "correct_entropy" else ("seq_logp", "seq_logp_ref")
    needs = (*needs, "length") if length_norm == "per_token" else needs
    return ConstrainedObjective(
        name="quality_target",
        title="Quality target",
        family="policy",
        settings={**numbers, **shaping, "clip_low": clip_low, "clip_high": clip_high},
        baseline=centre_piece(),
        shape_advantages=(Piece("A3", ConstrainedTerm(control), {**numbers, **shaping}, needs, ("scored", "length")),),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("seq_mean_token_sum"),
        invariants=("shift_blind", "order_blind", "group_of_one_zero", "zero_sum", "group_local"),
        source="arXiv 2602.15894, Proposition 5 (the constrained problem)",
        departures=(
            "the multiplier is driven by dual ascent, the paper fixes it by hand",
            "entropy among correct answers where rewards are 0/1, an anchor to the reference where they are graded",
            "terms scaled by 1/(1 + a)",
        ),
        control=control,
    )
