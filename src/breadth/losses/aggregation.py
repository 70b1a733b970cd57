"""From a loss matrix (N, T), or from one loss a sequence (N,), to the scalar that is differentiated."""

from __future__ import annotations

from torch import Tensor

from breadth.tensors.groups import n_groups
from breadth.tensors.logprobs import sequence_logprob
from breadth.tensors.masked import AGGREGATIONS, aggregate, denominator_of

__all__ = ["AGGREGATIONS", "SEQUENCE_AGGREGATIONS", "check_mode", "loss_denominator", "sequence_logprob", "to_scalar"]

#: for losses with one term a sequence
SEQUENCE_AGGREGATIONS = {
    "seq_mean": "scored sequences of the whole batch",
    "group_mean": "groups of the whole batch with at least two scored members",
}


def check_mode(mode: str) -> None:
    """Raise ValueError for an aggregation that nobody knows."""
    known = (*AGGREGATIONS, *SEQUENCE_AGGREGATIONS)
    if mode not in known:
        raise ValueError(f"aggregation: expected one of {', '.join(known)}, got {mode!r}")


def loss_denominator(
    mode: str, *, mask: Tensor, group: Tensor | None, scored: Tensor | None, max_tokens: int | None = None
) -> float:
    """Return what the summed loss of the whole batch is divided by; see ``AGGREGATIONS`` and ``SEQUENCE_AGGREGATIONS``.

    Parameters
    ----------
    mode : str
    mask : (N, T) bool
        Of the whole batch.
    group : (N,) int64, optional
        Needed by ``group_mean``.
    scored : (N,) bool, optional
        For the sequence modes; without it every sequence counts. Token modes count unscored rollouts too: their
        advantage is 0, and the weight of the others must not depend on the scorer's failures.
    max_tokens : int, optional
        Needed by ``token_sum_over_constant``.

    Returns
    -------
    float
        At least 1 for the sequence modes: a batch with nothing to learn from has loss 0, not 0/0.

    Raises
    ------
    ValueError
        Unknown mode, an empty mask, or a missing argument.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> import torch
    >>> mask, group = torch.ones(3, 2, dtype=torch.bool), torch.tensor([0, 0, 1])
    >>> loss_denominator("group_mean", mask=mask, group=group, scored=None)
    1.0
    """
    check_mode(mode)
    if mode in AGGREGATIONS:
        return denominator_of(mask, mode, max_tokens=max_tokens)
    if mode == "seq_mean":
        return float(max(1, mask.shape[0] if scored is None else int(scored.sum())))
    if group is None:
        raise ValueError("aggregation 'group_mean' needs the stream `group` (N,) int64")
    return float(max(1, n_groups(group, keep=scored, at_least=2)))


def to_scalar(matrix: Tensor, mask: Tensor, mode: str, denominator: float) -> Tensor:
    """Return Σ loss / denominator, (); for (N, T) matrices see :func:`breadth.tensors.masked.aggregate`.

    Raises
    ------
    ValueError
        Unknown mode, shapes that differ, or a denominator that is not positive.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> import torch
    >>> to_scalar(torch.tensor([1.0, 3.0]), torch.ones(2, 1, dtype=torch.bool), "seq_mean", 2.0)
    tensor(2.)
    """
    check_mode(mode)
    if mode in AGGREGATIONS:
        return aggregate(matrix, mask, mode, denominator)
    if not denominator > 0:
        raise ValueError(f"denominator: expected a number > 0 (the whole batch's), got {denominator}")
    return matrix.sum() / denominator  # ()
