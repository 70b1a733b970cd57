"""Niching: REINVENT's target with fitness sharing, learned from rollouts and from a replay memory that is spread over buckets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import centre_piece, clip_piece, reference_piece
from breadth.objectives.replaying import Replay, replaying
from breadth.rewards.diversity_filter import BUCKETS
from breadth.rewards.niche import niche_count, share_in_niche
from breadth.rewards.replay import WEIGHTINGS, ReplayMemory


def niching(
    *,
    sigma: float = 60.0,
    radius: float = 0.65,
    strength: float = 0.08,
    replay_size: int = 2000,
    replay_samples: int = 64,
    replay_per_bucket: int = 2,
    replay_weighting: str = "bucket",
    bucket_by: str = "key",
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> Objective:
    """Return A = r' − mean − ((s − s_ref) − mean)/σ with r' = r − strength·ln m, on fresh and replayed rollouts together.

    That is the gradient of the centred (log-variance) likelihood square whose target is π_ref·exp(σr'). A narrow batch of
    fresh rollouts alone lets a fast on-policy run collapse; replayed answers of other buckets keep their probability up.

    Parameters
    ----------
    sigma : float
        σ > 0, nats per unit of reward.
    radius : float
        Answers at most this far apart share a niche (0.65: Tanimoto similarity of at least 0.35).
    strength : float
        ≥ 0, in units of the reward, see :func:`breadth.rewards.niche.share_in_niche`.
    replay_size : int
        Distinct best answers kept per prompt; 0 = no replay.
    replay_samples : int
        Answers mixed into each batch.
    replay_per_bucket : int
        At most so many of one bucket are kept; 0 = no cap.
    replay_weighting : str
        ``bucket``, ``uniform`` or ``reward``, see :class:`breadth.rewards.replay.ReplayMemory`.
    bucket_by : str
        ``key``: every answer is a bucket of its own. ``bucket_key``: the task's coarser label (a molecule's Murcko scaffold).
    clip_low, clip_high : float
        0.2 each (PPO); idle at one pass per batch.

    Raises
    ------
    ValueError
        Numbers out of range or an unknown weighting.

    Source: none as a whole. Fitness sharing: Goldberg and Richardson 1987. Log-variance loss: Richter et al. 2020, arXiv
    2010.10436. Target and replay: Olivecrona et al. 2017, arXiv 1704.07555. Departures: (1) the sharing is logarithmic; (2) the
    memory is spread over buckets; (3) stored rewards are those before the sharing.

    Examples
    --------
    >>> objective = niching(replay_size=0)
    >>> distance = [[0.0, 0.2, 0.9], [0.2, 0.0, 0.9], [0.9, 0.9, 0.0]]
    >>> objective.advantage(
    ...     reward=[1.0, 1.0, 1.0], group=[0, 0, 0], distance=distance, seq_logp=[-9.0] * 3, seq_logp_ref=[-9.0] * 3
    ... )
    tensor([-0.0185, -0.0185,  0.0370])
    """
    if not sigma > 0:
        raise ValueError(f"sigma: expected a number > 0, got {sigma}")
    if not (0 <= radius < 1 and strength >= 0):
        raise ValueError(f"expected 0 <= radius < 1 and strength >= 0, got radius={radius}, strength={strength}")
    if replay_weighting not in WEIGHTINGS:
        raise ValueError(f"replay_weighting: expected one of {', '.join(WEIGHTINGS)}, got {replay_weighting!r}")
    if bucket_by not in BUCKETS:
        raise ValueError(f"bucket_by: expected one of {', '.join(BUCKETS)}, got {bucket_by!r}")
    if replay_size < 0 or replay_samples < 1 or replay_per_bucket < 0:
        raise ValueError(
            "expected replay_size >= 0, replay_samples >= 1 and replay_per_bucket >= 0, got "
            f"{replay_size}, {replay_samples} and {replay_per_bucket}"
        )
    sharing = {"radius": radius, "strength": strength}
    stored = {
        "replay_size": replay_size, "replay_samples": replay_samples,
        "replay_per_bucket": replay_per_bucket, "replay_weighting": replay_weighting,
        "bucket_by": bucket_by,
    }  # fmt: skip
    replay = None
    if replay_size:
        memory = ReplayMemory(capacity=replay_size, per_bucket=replay_per_bucket)
        replay = Replay(memory, replay_samples, replay_weighting, raw=True, buckets=bucket_by == "bucket_key")
    return replaying(
        replay,
        name="niching",
        title="Niching",
        family="policy",
        settings={"sigma": sigma, **sharing, **stored, "clip_low": clip_low, "clip_high": clip_high},
        shape_rewards=(
            Piece("A1", share_in_niche, sharing, ("distance",), ("parsable", "scored"), report=report_niches),
        ),
        baseline=centre_piece(),
        shape_advantages=(reference_piece(1 / sigma),),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("seq_mean_token_sum"),
        invariants=("shift_blind", "order_blind", "group_of_one_zero", "zero_sum", "group_local"),
        source="ours; fitness sharing of Goldberg and Richardson 1987 in the target of Olivecrona et al. 2017",
        departures=(
            "the logarithm of the niche count is subtracted, fitness sharing divides by it",
            "the replay memory is spread over buckets",
            "stored rewards are those before the sharing",
        ),
    )


def report_niches(
    before: Tensor, after: Tensor, streams: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return ``niche_count``: mean m over scored rollouts."""
    del before, after
    count = niche_count(
        streams["group"],
        distance=streams["distance"],
        radius=settings["radius"],
        parsable=streams.get("parsable"),
        scored=streams["scored"],
    )
    kept = count[streams["scored"]]
    return {"niche_count": float(kept.mean())} if len(kept) else {}
