"""REINVENT with a diversity filter: an answer, or a scaffold, that was rewarded often enough is rewarded no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from breadth.advantages.baseline import no_baseline, standardise
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import clip_piece, reference_piece
from breadth.objectives.replaying import replay_of, replaying
from breadth.rewards.diversity_filter import DiversityFilter, check_filter, shape_by_filter

HOSTS = ("reinvent", "grpo")


def reinvent_filter(
    *,
    penalty: str = "step",
    bucket: int = 25,
    minscore: float = 0.4,
    same_key_factor: float = 1.0,
    bucket_by: str = "key",
    within_batch: str = "running",
    host: str = "reinvent",
    sigma: float = 60.0,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    replay_size: int = 0,
    replay_samples: int = 10,
    replay_weighting: str = "uniform",
) -> Objective:
    """Return r'_i = r_i·f(how full the bucket of i is), then REINVENT's advantage form r' − (s − s_ref)/σ, or GRPO.

    Parameters
    ----------
    penalty, bucket : str, int
        See :func:`breadth.rewards.diversity_filter.bucket_factor`; ``step`` at 25 in REINVENT.
    minscore : float
        Rewards below it neither count nor are touched; 0.4.
    same_key_factor : float
        What a key that was rewarded before keeps. REINVENT's scaffold filters: 0; PenalizeSameSmiles: 0.5; 1: only the
        bucket counts.
    bucket_by : str
        ``key``, or ``bucket_key`` for a coarser label such as the Murcko scaffold (a stream of its own).
    within_batch : str
        ``running`` (REINVENT: in batch order) or ``before`` (earlier steps only; blind to order).
    host : str
        ``reinvent``: a filtered answer is pulled back to the prior. ``grpo``: it gets a negative advantage. Those are
        two different algorithms.
    sigma : float
        For the host ``reinvent``, see :func:`breadth.objectives.reinvent.reinvent`.
    clip_low, clip_high : float
        0.2 each (PPO).
    replay_size, replay_samples, replay_weighting : int, int, str
        As in ``reinvent``; 0 = no replay. What is stored is the reward that the filter left; replayed answers are not
        filtered again and fill no bucket.

    Raises
    ------
    ValueError
        Unknown option or a number out of range.

    Source: REINVENT 4 (Loeffler et al. 2024, J. Cheminform. 16:20), code: diversity filters and intrinsic penalties.
    Departures: (1) advantage form of the likelihood square: same direction on-policy, factor 2σ; (2) memories are kept
    per prompt; (3) the memory is written after the update; (4) repeats of a key count in its bucket.

    Examples
    --------
    >>> objective = reinvent_filter(bucket=1, host="grpo")
    >>> batch = {"reward": [1.0, 1.0, 1.0], "group": [0, 0, 0], "prompt_id": [0, 0, 0], "key": ["a", "a", "b"]}
    >>> objective.advantage(**batch)
    tensor([ 0.5773, -1.1545,  0.5773])
    """
    if host not in HOSTS:
        raise ValueError(f"host: expected one of {', '.join(HOSTS)}, got {host!r}")
    if not sigma > 0:
        raise ValueError(f"sigma: expected a number > 0, got {sigma}")
    check_filter(penalty=penalty, bucket=bucket, same_key_factor=same_key_factor)
    memory = DiversityFilter(minscore=minscore, bucket_by=bucket_by, within_batch=within_batch)
    shaping = {"penalty": penalty, "bucket": bucket, "same_key_factor": same_key_factor}
    stored = {"minscore": minscore, "bucket_by": bucket_by, "within_batch": within_batch}
    clips = {"clip_low": clip_low, "clip_high": clip_high}
    takes = ("scored", "count", "bucket_count")
    if host == "grpo":
        baseline = Piece("A2", standardise, {"ddof": 1, "eps": 1e-4}, takes=("scored",))
        invariants: tuple[str, ...] = ("group_of_one_zero", "zero_sum")
    else:
        baseline, invariants = Piece("A2", no_baseline, takes=("scored",)), ()
    if within_batch == "before":
        invariants = (*invariants, "order_blind", "group_local")
    replay: dict[str, Any] = {"replay_size": replay_size, "replay_samples": replay_samples, "replay_weighting": replay_weighting}
    return replaying(
        replay_of(**replay),
        memory,
        name="reinvent_filter",
        title="REINVENT with a diversity filter",
        family="policy",
        settings={**shaping, **stored, "host": host, "sigma": sigma, **clips, **replay},
        shape_rewards=(Piece("A1", shape_by_filter, shaping, takes=takes, report=report_filter),),
        baseline=baseline,
        shape_advantages=(reference_piece(1 / sigma, centred=False),) if host == "reinvent" else (),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("seq_mean_token_sum"),
        invariants=invariants,
        source="REINVENT 4, Loeffler et al. 2024, J. Cheminform. 16:20, code: memories",
        departures=(
            "advantage form of the likelihood square",
            "memories are kept per prompt and written after the update",
            "repeats of a key count in its bucket",
        ),
    )


def report_filter(
    before: Tensor, after: Tensor, streams: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return the raw reward (the shaped one cannot be compared over time), what was filtered, and what was seen before."""
    del settings
    scored = streams["scored"]
    if not bool(scored.any()):
        return {}
    lost = (after < before)[scored]
    return {
        "reward_before_filter": float(before[scored].mean()),
        "filtered_share": float(lost.to(before.dtype).mean()),
        "seen_share": float((streams["count"][scored] > 0).to(before.dtype).mean()),
    }
