"""Augmented memory: learn several times a step from the batch and from all of the replay memory, each time in other spellings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from breadth.advantages.baseline import no_baseline
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import clip_piece, reference_piece
from breadth.objectives.reinvent_filter import report_filter
from breadth.objectives.remembering import RememberingObjective
from breadth.objectives.replaying import replay_of, replaying
from breadth.rewards.diversity_filter import DiversityFilter, check_filter, shape_by_filter


def augmented_memory(
    *,
    rounds: int = 2,
    sigma: float = 128.0,
    replay_size: int = 100,
    replay_samples: int = 10,
    replay_weighting: str = "uniform",
    purge: bool = True,
    penalty: str = "step",
    bucket: int = 25,
    minscore: float = 0.4,
    bucket_by: str = "bucket_key",
    within_batch: str = "running",
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> Objective:
    """Return REINVENT with a diversity filter, a replay memory, and rounds of augmentation over batch and memory.

    A step: sample and judge; one update on the batch and ``replay_samples`` of the memory, as in ``reinvent_filter``; store the best;
    forget what the filter has closed (``purge``); then ``rounds`` updates, each on every answer of the batch and every answer of the
    memory in another random spelling. Each update is the gradient of (s_ref + σ·r' − s)² by r' − (s − s_ref)/σ.

    Parameters
    ----------
    rounds : int
        Updates on other spellings a step; 2 in the paper. 0 = ``reinvent_filter``.
    sigma : float
        σ > 0, nats per unit of reward.
    replay_size, replay_samples, replay_weighting : int, int, str
        The memory (100 in the paper; 0 = the batch alone is augmented), what of it is mixed into the first update, and how it is drawn.
    purge : bool
        True (selective memory purge): answers whose bucket is full are forgotten, so that a penalised scaffold is not rehearsed.
    penalty, bucket, minscore, bucket_by, within_batch
        The diversity filter, see :func:`breadth.objectives.reinvent_filter.reinvent_filter`; buckets are scaffolds here.
    clip_low, clip_high : float
        0.2 each (PPO); idle at one pass per batch.

    Raises
    ------
    ValueError
        Numbers out of range or an unknown option.

    Source: Guo and Schwaller 2023, arXiv 2305.16160 (Augmented Memory). Departures: (1) those of ``reinvent_filter``; (2) a bucket is purged
    when it is full, not when the next answer of it comes; (3) an answer without another spelling inside vocabulary and length is rehearsed as it
    was written.

    Examples
    --------
    >>> objective = augmented_memory(rounds=3)
    >>> objective.augmentation_rounds, objective.replay.purge_at
    (3, 25)
    """
    if rounds < 0:
        raise ValueError(f"rounds: expected an integer >= 0, got {rounds}")
    if not sigma > 0:
        raise ValueError(f"sigma: expected a number > 0, got {sigma}")
    check_filter(penalty=penalty, bucket=bucket)
    memory = DiversityFilter(minscore=minscore, bucket_by=bucket_by, within_batch=within_batch)
    shaping = {"penalty": penalty, "bucket": bucket, "same_key_factor": 1.0}
    settings: dict[str, Any] = {
        "rounds": rounds, "sigma": sigma, "replay_size": replay_size, "replay_samples": replay_samples,
        "replay_weighting": replay_weighting, "purge": purge, "penalty": penalty, "bucket": bucket, "minscore": minscore,
        "bucket_by": bucket_by, "within_batch": within_batch, "clip_low": clip_low, "clip_high": clip_high,
    }  # fmt: skip
    replay = replay_of(
        replay_size,
        replay_samples,
        replay_weighting,
        buckets=bucket_by == "bucket_key",
        purge_at=bucket if purge else 0,
    )
    made = replaying(
        replay,
        memory,
        name="augmented_memory",
        title="Augmented memory",
        family="policy",
        settings=settings,
        shape_rewards=(
            Piece("A1", shape_by_filter, shaping, takes=("scored", "count", "bucket_count"), report=report_filter),
        ),
        baseline=Piece("A2", no_baseline, takes=("scored",)),
        shape_advantages=(reference_piece(1 / sigma, centred=False),),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("seq_mean_token_sum"),
        invariants=("order_blind", "group_local") if within_batch == "before" else (),
        source="Guo and Schwaller 2023, arXiv 2305.16160",
        departures=(
            "those of reinvent_filter",
            "a bucket is purged when it is full, not when the next answer of it comes",
            "an answer without another spelling inside vocabulary and length is rehearsed as it was written",
        ),
    )
    assert isinstance(made, RememberingObjective)
    return replace(made, augmentation_rounds=rounds)
