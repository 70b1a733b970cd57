"""DARLING: the reward times the rollout's diversity among its siblings."""

from __future__ import annotations

from typing import Any

from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import centre_piece, clip_piece, penalty_pieces, report_diversity
from breadth.rewards.diversity import check_options, shape_by_diversity


def darling(
    *,
    floor: float = 0.1,
    measure: str = "class_share",
    neighbours: str = "all",
    combine: str = "multiply",
    weight: float = 1.0,
    quality_map: str = "auto",
    quality_mean: float | None = None,
    quality_deviation: float | None = None,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
    beta: float = 0.0,
    aggregation: str = "token_mean",
) -> Objective:
    """Return DARLING: r'_i = r_i · d_i, A_i = r'_i − mean r', no division by the deviation, clipped ratio, token mean.

    Parameters
    ----------
    floor : float
        Least diversity factor; 0.1 in the released code.
    measure : str
        ``class_share`` (Figure 2; needs ``kind``) or ``mean_distance`` (eq. 4 to the letter; needs ``distance``).
    neighbours : str
        ``all`` (the paper: wrong rollouts count as neighbours too) or ``correct``.
    combine : str
        ``multiply`` (eq. 5) or ``add_zscore`` (the ablation; ``weight`` times the standardised diversity).
    weight : float
        Only for ``add_zscore``.
    quality_map, quality_mean, quality_deviation
        What to do where rewards can be negative: see :func:`breadth.rewards.diversity.map_quality`. ``auto`` equals the
        paper's product for rewards ≥ 0; ``identity`` is the product for all.
    clip_low, clip_high : float
        0.2 each (eq. 6).
    dual_clip : float, optional
        Off; the released code inherits 3 from verl without the paper saying so.
    beta : float
        k3 penalty in the loss: 0 for the paper's mathematics runs (default), 0.001 for its chat runs.
    aggregation : str
        ``token_mean`` (eq. 6).

    Raises
    ------
    ValueError
        Unknown option or a number out of range.

    Source: Li et al. 2025, arXiv 2509.02534, eq. 4, 5 and 6. Departures: (1) the diversity is the complement of eq. 4
    as printed; (2) ``quality_map="auto"``; (3) the additive form follows the text, not the released code.

    Examples
    --------
    >>> import torch
    >>> group, kind = torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 1, 2])
    >>> darling().advantage(reward=torch.ones(4), group=group, kind=kind)
    tensor([-0.1667, -0.1667,  0.1667,  0.1667])
    """
    shaping: dict[str, Any] = {
        "measure": measure,
        "neighbours": neighbours,
        "floor": floor,
        "combine": combine,
        "weight": weight,
        "quality_map": quality_map,
        "quality_mean": quality_mean,
        "quality_deviation": quality_deviation,
    }
    check_options(**{name: value for name, value in shaping.items() if name != "weight"})
    needs = ["distance" if measure == "mean_distance" else "kind"]
    needs += ["correct"] if neighbours == "correct" else []
    invariants = ["order_blind", "group_of_one_zero", "zero_sum"]
    if combine == "add_zscore":
        invariants += ["shift_blind", "group_local"]
    elif quality_map == "identity" or quality_mean is not None:
        invariants.append("group_local")
    clips = {"clip_low": clip_low, "clip_high": clip_high, "dual_clip": dual_clip}
    return Objective(
        name="darling",
        title="DARLING",
        family="policy",
        settings={**shaping, **clips, "beta": beta, "aggregation": aggregation},
        shape_rewards=(Piece("A1", shape_by_diversity, shaping, tuple(needs), ("scored",), report_diversity),),
        baseline=centre_piece(),
        loss_piece=clip_piece(clip_low, clip_high, dual_clip),
        penalties=penalty_pieces(beta),
        aggregation=Aggregation(aggregation),
        invariants=tuple(invariants),
        source="Li et al. 2025, arXiv 2509.02534, eq. 4, 5 and 6",
        departures=(
            "diversity is the complement of eq. 4 as printed",
            'quality_map="auto" where a reward is negative',
            "the additive form follows the text, not the released code",
        ),
    )
