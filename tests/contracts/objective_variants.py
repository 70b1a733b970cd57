"""The objectives that every contract runs over, and one awkward batch that holds every degenerate case at once."""

from __future__ import annotations

import torch

import breadth
from breadth import catalogue
from breadth.objectives.remembering import RememberingObjective

_WITH_ADVANTAGES = [
    name for name, entry in catalogue.entries("objective").items() if entry.family in ("policy", "actor_critic", "group")
]

VARIANTS = {
    **{name: (name, {}) for name in _WITH_ADVANTAGES},
    "reinforce-none": ("reinforce", {"baseline": "none"}),
    "grpo-kl": ("grpo", {"beta": 0.1, "aggregation": "token_mean", "deviation": "population", "eps": 0.0}),
    "dr_grpo-constant": ("dr_grpo", {"max_tokens": 9}),
    "rlhf-k3": ("rlhf", {"kl": "k3_loss", "beta": 0.2}),
    "ppo_clip-dual": ("ppo_clip", {"dual_clip": 1.5, "clip_high": 0.28, "normalise": False}),
    "reinvent-centred": ("reinvent", {"centre": True, "sigma": 5.0}),
    "darling-distance": ("darling", {"measure": "mean_distance"}),
    "darling-correct": ("darling", {"neighbours": "correct", "quality_map": "identity"}),
    "darling-zscore": ("darling", {"combine": "add_zscore", "beta": 0.1}),
    "qempo-none": ("qempo", {"mask": "none", "inv_lambda": 0.1}),
    "qempo-listing": ("qempo", {"mask": "group_all_correct", "inv_lambda": 0.1}),
    "qempo-per-token": ("qempo", {"length_norm": "per_token"}),
    "qempo_kl-fixed": ("qempo_kl", {"inv_lambda1": 0.1, "ratio": 0.3}),
    # this batch is too small for the published k and bucket
    "pass_at_k": ("pass_at_k", {"k": 2}),
    "niching": ("niching", {"replay_size": 0, "radius": 0.3, "strength": 0.2, "sigma": 5.0}),  # replay has tests of its own
    "augmented_memory": ("augmented_memory", {"replay_size": 0, "penalty": "sigmoid", "bucket": 15, "bucket_by": "key"}),
    "molrl_mgpt": ("molrl_mgpt", {"replay_size": 0, "sigma": 5.0}),
    "reinvent_filter": ("reinvent_filter", {"penalty": "sigmoid", "bucket": 15}),
    "reinvent_filter-linear": ("reinvent_filter", {"penalty": "linear", "bucket": 20, "same_key_factor": 0.5}),
    "reinvent_filter-grpo": ("reinvent_filter", {"host": "grpo", "penalty": "erf", "bucket": 12}),
    "reinvent_filter-before": (
        "reinvent_filter",
        {"within_batch": "before", "penalty": "tanh", "bucket": 5, "bucket_by": "bucket_key", "sigma": 9.0},
    ),
    "gapo-known": ("gapo", {"n_answers": 3}),
    "unlikeliness-per-token": ("unlikeliness", {"level": "per_token", "beta": 0.0, "weight": 0.5}),
    "vpo-corners": ("vpo", {"alpha": 0.05, "n_weights": 16, "seed": 3}),
    "curiosity-free": ("curiosity", {"beta": 0.0, "eta": 0.5}),
    "rnd-last": ("rnd", {"pool": "last", "eta": 0.7}),
    "ucpo-sequence": ("ucpo", {"tau": 1.0, "level": "sequence"}),
    "ucb-mean": ("ucb", {"variant": "mean", "weight": 0.5}),
    "ucb-plain": ("ucb", {"variant": "plain"}),
    "dapo-overlong": ("dapo", {"max_tokens": 6, "buffer": 4, "dual_clip": 3.0}),
    "gspo-loose": ("gspo", {"clip_low": 0.2, "clip_high": 0.3}),
    "cispo-tight": ("cispo", {"clip_low": 0.1, "clip_high": 0.1}),
    "forking_tokens-half": ("forking_tokens", {"share": 0.5}),
    "clip_cov-many": ("clip_cov", {"share": 0.3, "cov_low": -1.0, "cov_high": 9.0}),
    "kl_cov-many": ("kl_cov", {"share": 0.3, "penalty": 0.5}),
    "gvpo-old": ("gvpo", {"reference": "old"}),
    "qempo_squares-large": ("qempo_squares", {"inv_lambda": 0.3}),
    "flowrl-clipped": ("flowrl", {"clip_weight": True, "scale": 2.0}),
    "trajectory_balance-learned": ("trajectory_balance", {"log_z": "learned", "beta": 0.5}),
    "ahc-group": ("ahc", {"within": "group", "share": 0.4, "sigma": 5.0}),
    "ppo-plain": ("ppo", {"whiten_advantages": False, "value_clip": None, "trace": 0.5, "discount": 0.9}),
    "ppo-kl": ("ppo", {"beta": 0.2, "value_coefficient": 1.0}),
    "batch_exploration-wrong": ("batch_exploration", {"penalise": "wrong", "weight": 1.0}),
}


def make(variant: str):
    name, settings = VARIANTS[variant]
    objective = breadth.objective(name, **settings)
    if isinstance(objective, RememberingObjective):  # a memory that has seen nothing shows nothing
        for past in (batch(5), batch(6), batch(7)):
            objective.observe(**{name: past[name] for name in SEQUENCE})
    return objective


def batch(seed: int = 0, *, unscored: bool = True) -> dict[str, torch.Tensor]:
    """Return 20 ragged float64 rollouts: two mixed groups, an all-right, an all-wrong, a group of one; shuffled."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.tensor([7] * 6 + [-3] * 5 + [1 << 40] * 4 + [0] * 1 + [12] * 4)
    reward = torch.tensor([1, 1, 1, 0, 0, 0] + [1] * 5 + [0] * 4 + [1] + [1, 0, 1, 1], dtype=torch.float64)
    if unscored:
        reward[[1, 8, 16]] = torch.nan
    kind = torch.tensor([0, 0, 1, 2, 1, 0] + [0, 0, 1, 2, 0] + [0, 0, 0, 1] + [0] + [0, 1, 1, 2])
    n, t = len(label), 6
    order = torch.randperm(n, generator=generator)
    length = torch.randint(1, t + 1, (n,), generator=generator)
    mask = torch.arange(t) < length[:, None]
    logp_old = -3 * torch.rand(n, t, generator=generator, dtype=torch.float64)
    nudge = 0.6 * torch.randn(n, t, generator=generator, dtype=torch.float64)
    points = torch.rand(n, 2, generator=generator, dtype=torch.float64) / 2
    extra = torch.Generator().manual_seed(seed + 100)  # apart, so that the streams above stay what they were
    unknown = torch.isnan(reward[order])[:, None]
    values = torch.randn(3, n, t, generator=torch.Generator().manual_seed(seed + 200), dtype=torch.float64)
    return {
        "value": values[0],
        "value_old": values[0] + 0.3 * values[1],
        "value_target": values[2].masked_fill(unknown, torch.nan),
        "group": label[order],
        "reward": reward[order],
        "correct": reward[order] > 0.5,
        "kind": kind[order],
        "distance": (points[:, None] - points[None]).norm(dim=-1),
        "prompt_id": label.clamp(min=0, max=7)[order],  # several groups share a prompt
        "key": kind[order],  # any label does; labels that are text are tested with the memories
        "bucket_key": kind[order] // 2,
        "reward_vector": torch.rand(n, 3, generator=extra, dtype=torch.float64),
        "prediction_error": torch.rand(n, t, generator=extra, dtype=torch.float64),
        "in_top_k": torch.rand(n, t, generator=extra) < 0.5,
        "logp_old": logp_old,
        "logp": logp_old + nudge,
        "logp_ref": logp_old - 0.5 * nudge.flip(0),
        "entropy": torch.rand(n, t, generator=generator, dtype=torch.float64),
        "mask": mask,
        "log_z": ((label % 5).double() - 1.5)[order],
        "seed": 11,
    }


SEQUENCE = (
    *("group", "reward", "correct", "kind", "distance", "logp_old", "logp_ref", "mask"),
    *("prompt_id", "key", "bucket_key", "reward_vector", "prediction_error", "in_top_k", "log_z"),
    "value_old",
)


def advantage(objective, streams: dict[str, torch.Tensor]) -> torch.Tensor:
    return objective.advantage(**{name: streams[name] for name in SEQUENCE if name in streams})


def select(streams: dict[str, torch.Tensor], rows: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: _rows(name, value, rows) for name, value in streams.items()}


def _rows(name, value, rows):
    if name == "seed":
        return value
    return value[rows][:, rows] if name == "distance" else value[rows]


def loss(objective, streams: dict[str, torch.Tensor], **more):
    """Return the loss of a batch with advantages from the whole batch, unless ``advantage`` is among ``more``."""
    if objective.family != "group" and "advantage" not in more:
        more["advantage"] = advantage(objective, streams)
    return objective.loss(**{name: value for name, value in streams.items() if name != "distance"}, **more)
