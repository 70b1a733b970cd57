"""REINVENT: make the policy's likelihood follow the prior's, augmented by the score."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from breadth.advantages.baseline import no_baseline
from breadth.losses.implicit import group_loss, group_means, likelihood_square
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import centre_piece, reference_piece, report_kl_prior
from breadth.objectives.replaying import replay_of, replaying


def centred_likelihood_square(
    seq_logp: Tensor,
    reward: Tensor,
    group: Tensor,
    *,
    seq_logp_ref: Tensor,
    sigma: float,
    scored: Tensor | None = None,
    group_mean: Tensor | None = None,
    reward_mean: Tensor | None = None,
    group_size: Tensor | None = None,
) -> Tensor:
    """Return d_i²/(G − 1), (N,), with d = s_ref + σr − s centred in the group: log Z cancels.

    Twice :func:`breadth.losses.implicit.group_loss` at a = b = 1 with rewards σr, on the scale of the published square.

    Raises
    ------
    ValueError
        Shapes that differ.

    Source: Olivecrona et al. 2017, arXiv 1704.07555, with the centring of GVPO, arXiv 2504.19599. Departures: none.

    Examples
    --------
    >>> import torch
    >>> centred_likelihood_square(torch.tensor([-1.0, -3.0]), torch.tensor([0.0, 0.0]), torch.tensor([0, 0]),
    ...                           seq_logp_ref=torch.tensor([-2.0, -2.0]), sigma=1.0)
    tensor([1., 1.])
    """
    return 2 * group_loss(
        seq_logp,
        sigma * reward,
        group,
        a=1.0,
        b=1.0,
        seq_logp_ref=seq_logp_ref,
        scored=scored,
        group_mean=group_mean,
        reward_mean=None if reward_mean is None else sigma * reward_mean,
        group_size=group_size,
    )


def reinvent(
    *,
    sigma: float = 60.0,
    centre: bool = False,
    replay_size: int = 0,
    replay_samples: int = 10,
    replay_weighting: str = "uniform",
) -> Objective:
    """Return REINVENT: minimise (s_ref + σ·r − s)² over sequences; on-policy that is E r − KL(π‖π_ref)/σ.

    Parameters
    ----------
    sigma : float
        σ > 0, nats per unit of reward. 60 is the default of the original code's training function (its command line
        said 20); REINVENT 4 uses 128. 1/σ is the β of ``rlhf``: at 128 the prior barely binds.
    centre : bool
        False: as published, log Z forced to 0, no baseline, right only on-policy. True: centred in the group, where
        log Z cancels; right off-policy too.
    replay_size, replay_samples, replay_weighting : int, int, str
        Distinct best answers kept per prompt (0 = no replay; REINVENT 4: 50, drawing 10), how many of them are mixed into
        each batch, and how they are drawn: ``uniform``, or ``reward`` (in proportion to it). Replay is off-policy: see
        ``centre``.

    Raises
    ------
    ValueError
        ``sigma`` is not positive, replay settings out of range.

    Source: Olivecrona et al. 2017, arXiv 1704.07555 (augmented likelihood). Departures: (1) duplicates stay in the
    batch, the original code removes them, which makes the batch off-policy; (2) without that code's regulariser
    5e3·mean(−1/s) against high likelihood; (3) replay, off by default, is kept per prompt and refuses what the batch has
    already; (4) ``centre=True`` is not in the paper.

    Examples
    --------
    >>> import torch
    >>> loss = reinvent(sigma=20.0).loss(logp=torch.tensor([[-3.0, -4.0]]), mask=torch.tensor([[True, True]]),
    ...     reward=torch.tensor([0.25]), group=torch.tensor([0]), seq_logp_ref=torch.tensor([-6.0]))
    >>> float(loss.value)
    36.0
    """
    if not sigma > 0:
        raise ValueError(f"sigma: expected a number > 0, got {sigma}")
    reference = ("seq_logp_ref",)
    if centre:
        whole = ("group_mean", "reward_mean", "group_size")
        loss_piece = Piece(
            "loss", centred_likelihood_square, {"sigma": sigma}, ("reward", "group", *reference), ("scored", *whole),
            report_kl_prior,
        )  # fmt: skip
        coupled = Piece("loss", group_means, {"a": 1.0, "b": 1.0}, reference, ("scored",))
        invariants: tuple[str, ...] = ("shift_blind", "order_blind", "group_of_one_zero", "zero_sum", "group_local")
    else:
        loss_piece = Piece(
            "loss", likelihood_square, {"sigma": sigma}, ("reward", *reference), ("scored",), report_kl_prior
        )
        coupled = None
        invariants = ("order_blind", "group_local")
    replay: dict[str, Any] = {"replay_size": replay_size, "replay_samples": replay_samples, "replay_weighting": replay_weighting}
    return replaying(
        replay_of(**replay),
        name="reinvent",
        title="REINVENT (centred)" if centre else "REINVENT",
        family="group",
        settings={"sigma": sigma, "centre": centre, **replay},
        baseline=centre_piece() if centre else Piece("A2", no_baseline, takes=("scored",)),
        shape_advantages=(reference_piece(1 / sigma, centred=centre),),
        loss_piece=loss_piece,
        coupled=coupled,
        aggregation=Aggregation("group_mean" if centre else "seq_mean"),
        invariants=invariants,
        source="Olivecrona et al. 2017, arXiv 1704.07555, augmented likelihood",
        departures=(
            "duplicates stay in the batch",
            "no regulariser against high likelihood",
            "replay, off by default, is kept per prompt and refuses what the batch has already",
            "centre=True is not in the paper",
        ),
    )
