"""RLHF: quality with a KL pull towards the prior, on the host of Dr. GRPO."""

from __future__ import annotations

from breadth.objectives.composition import Aggregation, Objective
from breadth.objectives.pieces import centre_piece, clip_piece, penalty_pieces, reference_piece

KL_FORMS = ("advantage", "k3_loss")


def rlhf(*, beta: float = 0.01, kl: str = "advantage", clip_low: float = 0.2, clip_high: float = 0.2) -> Objective:
    """Return RLHF: maximise E r − β·KL(π‖π_ref); the optimum is π_ref·exp(r/β)/Z.

    Parameters
    ----------
    beta : float
        β ≥ 0, reward per nat of sequence KL. 0.01 is the RLHF baseline of arXiv 2602.15894.
    kl : str
        ``advantage``: A −= β[(s − s_ref) − mean], whose on-policy gradient is exact. ``k3_loss``: β·k3 per token in
        the loss, as GRPO has it; its gradient is that of KL(π_ref‖π) and its optimum another one.
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        Unknown form, or ``beta`` negative.

    Source: Ziegler et al. 2019, arXiv 1909.08593, eq. 2; optimum: Rafailov et al. 2023, arXiv 2305.18290, eq. 4.
    Departures: (1) group mean in place of a value network; (2) the KL term is centred in the group; (3) fixed β.

    Examples
    --------
    >>> import torch
    >>> rlhf(beta=0.5).advantage(reward=torch.tensor([1.0, 0.0]), group=torch.tensor([0, 0]),
    ...     seq_logp=torch.tensor([-1.0, -3.0]), seq_logp_ref=torch.tensor([-2.0, -2.0]))
    tensor([0., 0.])
    """
    if kl not in KL_FORMS:
        raise ValueError(f"kl: expected one of {', '.join(KL_FORMS)}, got {kl!r}")
    in_advantage = kl == "advantage"
    invariants = ["shift_blind", "order_blind", "group_of_one_zero", "zero_sum", "group_local"]
    return Objective(
        name="rlhf",
        title="RLHF (KL to the prior)",
        family="policy",
        settings={"beta": beta, "kl": kl, "clip_low": clip_low, "clip_high": clip_high},
        baseline=centre_piece(),
        shape_advantages=(reference_piece(beta),) if in_advantage else (),
        loss_piece=clip_piece(clip_low, clip_high),
        penalties=() if in_advantage else penalty_pieces(beta),
        aggregation=Aggregation("seq_mean_token_sum"),
        invariants=tuple(invariants if in_advantage else [*invariants, "all_equal_zero"]),
        source="Ziegler et al. 2019, arXiv 1909.08593, eq. 2",
        departures=("group mean in place of a value network", "KL term centred in the group", "fixed beta"),
    )
