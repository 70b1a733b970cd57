"""QEMPO: quality plus entropy, by default the entropy among correct answers."""

from __future__ import annotations

from breadth.advantages.entropy import LENGTH_NORMS, MASKS, shape_by_entropy
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import centre_piece, clip_piece, report_entropy


def qempo(
    *,
    inv_lambda: float | str = "auto",
    mask: str = "correct_subset",
    length_norm: str = "none",
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> Objective:
    """Return online QEMPO: A_i = (r_i − r̄) − (1/λ)(s_i − s̄) over those who take part, tokens summed.

    Parameters
    ----------
    inv_lambda : float or "auto"
        1/λ ≥ 0. ``auto`` gives the term half the advantage's deviation over the batch and logs the number; the paper's
        is 4e-3, at which the optimum of eq. 9 is not a good policy (see the page of this objective).
    mask : str
        ``correct_subset`` (default), ``none`` (eq. 9 to the letter) or ``group_all_correct`` (the paper's listing).
    length_norm : str
        ``none`` or ``per_token``, for text: s falls with length, so the term is otherwise a bonus for it.
    clip_low, clip_high : float
        0.2 each. The paper has no ratio and no clip, which is wrong after the first step on a batch.

    Raises
    ------
    ValueError
        Unknown option or a number out of range.

    Source: arXiv 2602.15894, eq. 9 (online QEMPO). Departures: (1) advantage form; (2) the mask; (3) automatic weight;
    (4) whole sequences, not token variances over padding; (5) the ½ of eq. 9 is kept, the listing drops it; (6) ratio
    with clip; (7) no division by the group's deviation.

    Examples
    --------
    >>> import torch
    >>> qempo(inv_lambda=0.1).advantage(reward=torch.tensor([1.0, 1.0, 0.0]), group=torch.tensor([0, 0, 0]),
    ...     correct=torch.tensor([True, True, False]), seq_logp=torch.tensor([-1.0, -3.0, -2.0]))
    tensor([ 0.2333,  0.4333, -0.6667])
    """
    check_entropy_options("inv_lambda", inv_lambda, mask, length_norm)
    term = {"inv_lambda": inv_lambda, "mask": mask, "length_norm": length_norm}
    return Objective(
        name="qempo",
        title="QEMPO",
        family="policy",
        settings={**term, "clip_low": clip_low, "clip_high": clip_high},
        baseline=centre_piece(),
        shape_advantages=(
            Piece("A3", shape_by_entropy, term, entropy_needs(mask, length_norm), ("scored", "length"), report_entropy),
        ),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("seq_mean_token_sum"),
        invariants=entropy_invariants(inv_lambda),
        source="arXiv 2602.15894, eq. 9",
        departures=(
            "advantage form",
            "masked to the correct members of a group by default",
            "automatic weight by default, the paper's is 4e-3",
            "whole sequences, not token variances over padding",
            "the factor 1/2 of eq. 9 is kept",
            "importance ratio with clip",
            "no division by the group's deviation",
        ),
    )


def check_entropy_options(name: str, weight: float | str, mask: str, length_norm: str) -> None:
    """Raise ValueError for a weight, mask or length norm that the entropy terms do not know."""
    if weight != "auto" and (isinstance(weight, str) or not weight >= 0):
        raise ValueError(f"{name}: expected a number >= 0 or 'auto', got {weight!r}")
    if mask not in MASKS:
        raise ValueError(f"mask: expected one of {', '.join(MASKS)}, got {mask!r}")
    if length_norm not in LENGTH_NORMS:
        raise ValueError(f"length_norm: expected one of {', '.join(LENGTH_NORMS)}, got {length_norm!r}")


def entropy_needs(mask: str, length_norm: str) -> tuple[str, ...]:
    """Return the streams that an entropy term with these options needs."""
    correct = () if mask == "none" else ("correct",)
    return (*correct, "seq_logp", *(("length",) if length_norm == "per_token" else ()))


def entropy_invariants(weight: float | str) -> tuple[str, ...]:
    """Return the invariants of a centred reward with an entropy term; the automatic weight looks at the whole batch."""
    local = () if weight == "auto" else ("group_local",)
    return ("shift_blind", "order_blind", "group_of_one_zero", "zero_sum", *local)
