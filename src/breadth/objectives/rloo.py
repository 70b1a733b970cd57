"""RLOO: each rollout is judged against the mean of the others."""

from __future__ import annotations

from breadth.advantages.baseline import leave_one_out
from breadth.losses.tokens import policy_gradient_loss
from breadth.objectives.composition import Aggregation, Objective, Piece


def rloo() -> Objective:
    """Return RLOO: A_i = r_i − mean of the other rewards of the group, policy gradient on whole sequences.

    Source: Kool et al. 2019; Ahmadian et al. 2024, arXiv 2402.14740. Departures: (1) no KL term in the reward: for that
    see ``rlhf``; (2) token-level importance ratio, which is 1 on-policy.

    Examples
    --------
    >>> import torch
    >>> rloo().advantage(reward=torch.tensor([1.0, 0.0, 0.0]), group=torch.tensor([4, 4, 4]))
    tensor([ 1.0000, -0.5000, -0.5000])
    """
    return Objective(
        name="rloo",
        title="RLOO",
        family="policy",
        baseline=Piece("A2", leave_one_out, takes=("scored",)),
        loss_piece=Piece("loss", policy_gradient_loss),
        aggregation=Aggregation("seq_mean_token_sum"),
        invariants=("shift_blind", "order_blind", "group_of_one_zero", "all_equal_zero", "zero_sum", "group_local"),
        source="Ahmadian et al. 2024, arXiv 2402.14740",
        departures=("no KL term in the reward", "token-level importance ratio off-policy"),
    )
