"""Dr. GRPO: GRPO without the two divisions that bias it, by the deviation and by the length."""

from __future__ import annotations

from breadth.objectives.composition import Aggregation, Objective
from breadth.objectives.pieces import centre_piece, clip_piece


def dr_grpo(*, clip_low: float = 0.2, clip_high: float = 0.2, max_tokens: int | None = None) -> Objective:
    """Return Dr. GRPO: A_i = r_i − r̄, clipped ratio, tokens summed.

    Parameters
    ----------
    clip_low, clip_high : float
        0.2 each (PPO).
    max_tokens : int, optional
        Absent: the sum over tokens is averaged over sequences, so that Σ_t A ∇log π_t = A ∇s. Given: additionally
        divided by this constant, which is TRL's ``loss_type="dr_grpo"`` with ``max_completion_length``. Same direction,
        smaller step.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Liu et al. 2025, arXiv 2503.20783, section 3. Departures: (1) without ``max_tokens`` the constant is 1.

    Examples
    --------
    >>> import torch
    >>> dr_grpo().advantage(reward=torch.tensor([1.0, 0.0, 0.0, 0.0]), group=torch.tensor([0, 0, 0, 0]))
    tensor([ 0.7500, -0.2500, -0.2500, -0.2500])
    """
    if max_tokens is not None and max_tokens < 1:
        raise ValueError(f"max_tokens: expected an integer >= 1 or None, got {max_tokens}")
    mode = "seq_mean_token_sum" if max_tokens is None else "token_sum_over_constant"
    return Objective(
        name="dr_grpo",
        title="Dr. GRPO",
        family="policy",
        settings={"clip_low": clip_low, "clip_high": clip_high, "max_tokens": max_tokens},
        baseline=centre_piece(),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation(mode, max_tokens),
        invariants=("shift_blind", "order_blind", "group_of_one_zero", "all_equal_zero", "zero_sum", "group_local"),
        source="Liu et al. 2025, arXiv 2503.20783, section 3",
        departures=("the constant that divides the token sum is 1 unless max_tokens is given",),
    )
