"""Sums and means under a mask, and the exact ways in which a matrix of token losses becomes one number.

``mask`` True means keep. What stands under False never leaks: not into a value, not into a gradient, not even if it is
NaN. That holds only if the padding is replaced *before* any arithmetic on it, because 0 · NaN is NaN in a backward
pass; :func:`fill_padding` is that first step and every loss of the package starts with it.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: mode -> what the denominator counts
AGGREGATIONS = {
    "token_mean": "tokens of the whole batch",
    "seq_mean_token_mean": "sequences of the whole batch",
    "seq_mean_token_sum": "sequences of the whole batch",
    "token_sum_over_constant": "sequences of the whole batch times max_tokens",
}


def wide(values: Tensor) -> Tensor:
    """Return ``values`` in float32 or wider (float64 stays); integers and half precision become float32.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> wide(torch.ones(2, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))


def square_scale(size: Tensor) -> Tensor:
    """Return what to divide values of at most this size by, before they are squared and summed: the size where squares overflow, else 1.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> square_scale(torch.tensor([3.0, 1e30])).tolist() == [1.0, float(torch.tensor(1e30))]
    True
    """
    return torch.where(size > torch.finfo(size.dtype).max ** 0.4, size, 1.0)


def check_mask(mask: Tensor, like: Tensor, name: str) -> None:
    """Raise unless ``mask`` is boolean and has the shape of ``like``, which the message calls ``name``.

    Raises
    ------
    TypeError
        ``mask`` is not boolean: an integer mask may mean "keep" or "ignore", so it is not guessed.
    ValueError
        The shapes differ.
    """
    if mask.dtype != torch.bool:
        raise TypeError(f"mask: expected dtype torch.bool (True = keep), got {mask.dtype}; pass mask.bool()")
    if mask.shape != like.shape:
        raise ValueError(f"mask: expected shape {tuple(like.shape)}, as {name}, got {tuple(mask.shape)}")


def fill_padding(values: Tensor, mask: Tensor, fill: float = 0.0) -> Tensor:
    """Return ``values`` in float32 or wider with ``fill`` where ``mask`` is False.

    The gradient with respect to the filled entries is exactly 0, whatever stood there.

    Parameters
    ----------
    values : Tensor, any shape
    mask : bool Tensor, shape of ``values``
        True = keep.
    fill : float

    Raises
    ------
    TypeError, ValueError
        See :func:`check_mask`.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> fill_padding(torch.tensor([1.0, float("nan")]), torch.tensor([True, False]))
    tensor([1., 0.])
    """
    check_mask(mask, values, "values")
    return wide(values).masked_fill(~mask, fill)


def masked_sum(values: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Return the sum of the kept values, over all of them or along ``dim``; 0 where nothing is kept.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> masked_sum(torch.tensor([[1.0, 2.0], [3.0, float("nan")]]), torch.tensor([[True, True], [True, False]]), dim=1)
    tensor([3., 3.])
    """
    kept = fill_padding(values, mask)
    return kept.sum() if dim is None else kept.sum(dim)


def masked_mean(values: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Return the mean of the kept values, over all of them or along ``dim``; NaN where nothing is kept.

    A mean of nothing is missing, not zero. A loss must not meet that NaN: it uses :func:`aggregate`.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> masked_mean(torch.tensor([1.0, 3.0, 9.0]), torch.tensor([True, True, False]))
    tensor(2.)
    """
    count = mask.sum() if dim is None else mask.sum(dim)
    return masked_sum(values, mask, dim) / count


def denominator_of(mask: Tensor, mode: str, *, max_tokens: int | None = None) -> float:
    """Return the number by which :func:`aggregate` divides in this mode, for the batch that ``mask`` describes.

    ===========================  =====================================================
    mode                         denominator
    ===========================  =====================================================
    ``token_mean``               number of kept tokens
    ``seq_mean_token_mean``      N, the number of sequences
    ``seq_mean_token_sum``       N
    ``token_sum_over_constant``  N · ``max_tokens``
    ===========================  =====================================================

    Computed once on the whole batch and handed to each micro-batch, it makes the micro-batches' values (and gradients)
    sum to the whole batch's. A sequence without tokens counts in N, as in TRL and verl: dropping it would make the
    weight of the others depend on it.

    Parameters
    ----------
    mask : (N, T) bool
        True = a completion token.
    mode : str
        One of ``AGGREGATIONS``.
    max_tokens : int, optional
        Needed by ``token_sum_over_constant`` only.

    Raises
    ------
    ValueError
        Unknown mode, an empty mask, or ``max_tokens`` missing.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> mask = torch.tensor([[True, True, False], [True, False, False]])
    >>> denominator_of(mask, "token_mean"), denominator_of(mask, "seq_mean_token_sum")
    (3.0, 2.0)
    """
    _check_mode(mode)
    if mask.ndim != 2:
        raise ValueError(f"mask: expected shape (N, T), got {tuple(mask.shape)}")
    n_tokens = int(mask.sum())
    if n_tokens == 0:
        raise ValueError(f"mask: expected at least one kept token, got none in shape {tuple(mask.shape)}")
    if mode == "token_mean":
        return float(n_tokens)
    if mode == "token_sum_over_constant":
        if max_tokens is None or max_tokens < 1:
            raise ValueError(f"max_tokens: expected an integer >= 1 for mode {mode!r}, got {max_tokens}")
        return float(mask.shape[0] * max_tokens)
    return float(mask.shape[0])


def aggregate(matrix: Tensor, mask: Tensor, mode: str, denominator: float) -> Tensor:
    """Return one number from a matrix of token losses.

    ``token_mean``, ``seq_mean_token_sum`` and ``token_sum_over_constant`` are Σ_it loss_it / denominator (they differ
    in the denominator); ``seq_mean_token_mean`` is Σ_i (Σ_t loss_it / n_tokens_i) / denominator, where a sequence
    without tokens adds 0.

    Parameters
    ----------
    matrix : (N, T)
        Loss of every token; the padding may hold anything.
    mask : (N, T) bool
        True = keep.
    mode : str
        One of ``AGGREGATIONS``.
    denominator : float
        Of the *whole* batch, from :func:`denominator_of`; greater than 0.

    Returns
    -------
    Tensor, ()

    Raises
    ------
    ValueError
        Unknown mode, shapes that differ, or a denominator that is not positive.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> loss = torch.tensor([[1.0, 3.0], [5.0, float("nan")]])
    >>> mask = torch.tensor([[True, True], [True, False]])
    >>> [round(float(aggregate(loss, mask, m, denominator_of(mask, m))), 3)
    ...  for m in ("token_mean", "seq_mean_token_mean", "seq_mean_token_sum")]
    [3.0, 3.5, 4.5]
    """
    _check_mode(mode)
    if not denominator > 0:
        raise ValueError(f"denominator: expected a number > 0 (the whole batch's), got {denominator}")
    kept = fill_padding(matrix, mask)  # (N, T)
    if mode == "seq_mean_token_mean":
        kept = kept.sum(-1) / mask.sum(-1).clamp(min=1)  # (N,)
    return kept.sum() / denominator  # ()


def _check_mode(mode: str) -> None:
    if mode not in AGGREGATIONS:
        raise ValueError(f"aggregation: expected one of {', '.join(AGGREGATIONS)}, got {mode!r}")
