"""What the group-centred squares share: the loss, its coupling over micro-batches, and what it reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from breadth.losses.implicit import group_loss, group_means
from breadth.objectives.composition import Piece
from breadth.objectives.pieces import report_kl_prior

#: what the centred squares keep in their advantage form
CENTRED = ("shift_blind", "order_blind", "group_of_one_zero", "zero_sum", "group_local")
_WHOLE = ("group_mean", "reward_mean", "group_size")


def check_weight(name: str, value: float) -> None:
    """Raise ValueError unless ``value`` is a number > 0."""
    if isinstance(value, str) or not value > 0:
        raise ValueError(f"{name}: expected a number > 0, got {value!r}")


def centred_squares(a: float, b: float) -> tuple[Piece, Piece]:
    """Return the loss ½Σ[(R − R̄) − (r − r̄)]²/(G − 1) with R = a·s − b·s_ref, and the coupling of its micro-batches.

    Examples
    --------
    >>> print(centred_squares(0.1, 0.0)[0])
    loss         group_loss(a=0.1, b=0.0)  needs reward, group
    """
    reference = ("seq_logp_ref",) if b else ()
    weights = {"a": a, "b": b}
    report = report_kl_prior if b else report_surprisal
    loss = Piece("loss", group_loss, weights, ("reward", "group", *reference), ("scored", *_WHOLE), report)
    return loss, Piece("coupling", group_means, weights, reference, ("scored",), gives=_WHOLE)


def report_surprisal(
    before: Tensor, after: Tensor | None, streams: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return ``surprisal``: mean of −s over scored rollouts, nats per sequence; on-policy it estimates H(π)."""
    del after, settings
    kept = before[streams["scored"]]
    return {"surprisal": -float(kept.mean())} if len(kept) else {}
