"""GRPO: rewards standardised in the group, PPO-clip on tokens, mean over a sequence and then over sequences."""

from __future__ import annotations

from breadth.advantages.baseline import standardise
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import clip_piece, penalty_pieces


def grpo(
    *,
    deviation: str = "sample",
    eps: float = 1e-4,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    beta: float = 0.0,
    aggregation: str = "seq_mean_token_mean",
) -> Objective:
    """Return GRPO: A_i = (r_i − r̄)/(σ + eps), clipped ratio, optionally + β·k3 towards the reference.

    Parameters
    ----------
    deviation : str
        ``sample`` (n − 1; TRL, verl) or ``population`` (n; pass@k's closed form at k = 1 with eps 0).
    eps : float
        1e-4 as in TRL; 1e-6 in verl.
    clip_low, clip_high : float
        0.2 each as in the paper's predecessor PPO; the paper gives no number.
    beta : float
        Weight of the k3 term in the loss; 0 as in TRL. The paper uses 0.04.
    aggregation : str
        ``seq_mean_token_mean`` is eq. 3; TRL's default today is ``token_mean`` ("dapo").

    Raises
    ------
    ValueError
        Unknown deviation, numbers out of range.

    Source: Shao et al. 2024, arXiv 2402.03300, eq. 3 and section 4.1.2. Departures: (1) eps in the denominator;
    (2) β 0 by default.

    Examples
    --------
    >>> import torch
    >>> grpo(deviation="population", eps=0.0).advantage(reward=torch.tensor([1.0, 0.0]), group=torch.tensor([0, 0]))
    tensor([ 1., -1.])
    """
    ddof = {"sample": 1, "population": 0}
    if deviation not in ddof:
        raise ValueError(f"deviation: expected 'sample' or 'population', got {deviation!r}")
    if not eps >= 0:
        raise ValueError(f"eps: expected a number >= 0, got {eps}")
    settings = {"deviation": deviation, "eps": eps, "clip_low": clip_low, "clip_high": clip_high}
    return Objective(
        name="grpo",
        title="GRPO",
        family="policy",
        settings={**settings, "beta": beta, "aggregation": aggregation},
        baseline=Piece("A2", standardise, {"ddof": ddof[deviation], "eps": eps}, takes=("scored",)),
        loss_piece=clip_piece(clip_low, clip_high),
        penalties=penalty_pieces(beta),
        aggregation=Aggregation(aggregation),
        invariants=("shift_blind", "order_blind", "group_of_one_zero", "all_equal_zero", "zero_sum", "group_local"),
        source="Shao et al. 2024, arXiv 2402.03300, eq. 3",
        departures=("eps is added to the deviation", "beta 0 by default, the paper uses 0.04"),
    )
