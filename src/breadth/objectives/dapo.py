"""DAPO: GRPO with a wider upper clip, every token equal, and a soft punishment of overlong answers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from breadth.advantages.baseline import standardise
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import clip_piece

EVERYTHING = ("shift_blind", "order_blind", "group_of_one_zero", "all_equal_zero", "zero_sum", "group_local")


@torch.no_grad()
def shape_by_overlong(values: Tensor, group: Tensor, *, length: Tensor, max_tokens: int, buffer: int) -> Tensor:
    """Return r_i plus 0 up to max_tokens − buffer, then a line down to −1 at max_tokens, (N,); −1 beyond.

    Parameters
    ----------
    values : (N,)
        Rewards; NaN = unscored stays NaN.
    group : (N,) int64
        Not used.
    length : (N,) int64
        Completion tokens.
    max_tokens, buffer : int
        L_max and L_cache of the paper, 20480 and 4096 there.

    Raises
    ------
    ValueError
        Not 0 < buffer ≤ max_tokens.

    Source: Yu et al. 2025 (DAPO), arXiv 2503.14476, eq. 13. Departures: none.

    Examples
    --------
    >>> shape_by_overlong(torch.ones(3), torch.zeros(3).long(), length=torch.tensor([80, 90, 130]), max_tokens=100,
    ...                   buffer=20)
    tensor([1.0000, 0.5000, 0.0000])
    """
    del group
    if not 0 < buffer <= max_tokens:
        raise ValueError(f"expected 0 < buffer <= max_tokens, got {buffer} and {max_tokens}")
    return values + ((max_tokens - buffer - length) / buffer).clamp(-1.0, 0.0).to(values.dtype)


def standardise_piece(deviation: str, eps: float) -> Piece:
    """Return A2: reward standardised in the group, as in ``grpo``.

    Raises
    ------
    ValueError
        Unknown deviation, or a negative ``eps``.
    """
    ddof = {"sample": 1, "population": 0}
    if deviation not in ddof:
        raise ValueError(f"deviation: expected 'sample' or 'population', got {deviation!r}")
    if not eps >= 0:
        raise ValueError(f"eps: expected a number >= 0, got {eps}")
    return Piece("A2", standardise, {"ddof": ddof[deviation], "eps": eps}, takes=("scored",))


def dapo(
    *,
    deviation: str = "sample",
    eps: float = 1e-4,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    dual_clip: float | None = None,
    max_tokens: int | None = None,
    buffer: int | None = None,
    aggregation: str = "token_mean",
) -> Objective:
    """Return DAPO's loss: A_i = (r_i − r̄)/(σ + eps), ratio clipped to [0.8, 1.28], mean over all tokens, no KL.

    Parameters
    ----------
    deviation, eps
        As in ``grpo``.
    clip_low, clip_high : float
        0.2 and 0.28 (section 4.1).
    dual_clip : float, optional
        c > 1; off (verl: 3).
    max_tokens, buffer : int, optional
        Both or neither: the soft punishment of :func:`shape_by_overlong`, before the baseline; needs ``length``.
    aggregation : str
        ``token_mean`` (eq. 8).

    Raises
    ------
    ValueError
        Numbers out of range, ``max_tokens`` without ``buffer``.

    Source: Yu et al. 2025, arXiv 2503.14476, eq. 8 to 13. Departures: (1) dynamic sampling is a selection before this
    objective, see ``dynamic_sampling``; (2) eps is added to the deviation; (3) no punishment unless its two lengths are
    given: they belong to a task.

    Examples
    --------
    >>> dapo().loss_piece.settings
    {'clip_low': 0.2, 'clip_high': 0.28}
    """
    if (max_tokens is None) != (buffer is None):
        raise ValueError(f"max_tokens and buffer: give both or neither, got {max_tokens} and {buffer}")
    shaping: tuple[Piece, ...] = ()
    if max_tokens is not None:
        lengths: dict[str, Any] = {"max_tokens": max_tokens, "buffer": buffer}
        shape_by_overlong(torch.zeros(1), torch.zeros(1), length=torch.zeros(1), **lengths)  # checks the numbers
        shaping = (Piece("A1", shape_by_overlong, lengths, ("length",)),)
    return Objective(
        name="dapo",
        title="DAPO",
        family="policy",
        settings={
            "deviation": deviation,
            "eps": eps,
            "clip_low": clip_low,
            "clip_high": clip_high,
            "dual_clip": dual_clip,
            "max_tokens": max_tokens,
            "buffer": buffer,
            "aggregation": aggregation,
        },
        shape_rewards=shaping,
        baseline=standardise_piece(deviation, eps),
        loss_piece=clip_piece(clip_low, clip_high, dual_clip),
        aggregation=Aggregation(aggregation),
        invariants=EVERYTHING if max_tokens is None else tuple(x for x in EVERYTHING if x != "all_equal_zero"),
        source="Yu et al. 2025, arXiv 2503.14476, eq. 8 to 13",
        departures=(
            "dynamic sampling is a selection of its own, before the objective",
            "eps is added to the deviation",
            "no punishment of overlong answers unless its lengths are given",
        ),
    )
