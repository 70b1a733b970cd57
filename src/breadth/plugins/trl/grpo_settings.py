"""From an objective to the numbers of TRL's own clipped loss, and what training with it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from breadth.objectives.composition import Objective
from breadth.objectives.support import support

#: our aggregation -> TRL's loss type; seq_mean_token_sum is what TRL calls luspo at ratios of tokens
LOSS_TYPES = {
    "token_mean": "dapo",
    "seq_mean_token_mean": "grpo",
    "token_sum_over_constant": "dr_grpo",
    "seq_mean_token_sum": "luspo",
}
REFERENCE = frozenset({"logp_ref", "seq_logp_ref"})
_WHOLE_GROUPS = frozenset({"group_mean", "reward_mean", "group_size"})


def carried(objective: Any) -> str:
    """Return how TRL's GRPO trainer carries an objective: "advantages" (TRL's loss) or "loss" (ours).

    Raises
    ------
    ValueError
        It does not; says what to do instead.
    """
    how = support(objective)["trl"]
    if how in ("advantages", "loss"):
        return str(how)
    instead = {
        "pairs": "it learns from pairs: use BreadthDPOTrainer (for divpo after build_divpo_pairs)",
        "logits": "it learns from examples: use SFTTrainer(compute_loss_func=breadth.plugins.trl.sft_loss(name))",
        "": "it needs what only breadth's own loop has: use breadth train",
    }[str(how)]
    raise ValueError(
        f"objective {objective.name!r} does not run in TRL's GRPO trainer: {instead}; docs/support.md has the whole table"
    )


def loss_settings(objective: Objective) -> dict[str, Any]:
    """Return TRL's settings under which its loss is the objective's: loss type, clips, k3 penalty.

    The reward is never divided by its deviation by TRL: our advantages replace TRL's.

    Examples
    --------
    >>> from breadth.catalogue import objective
    >>> loss_settings(objective("darling"))["loss_type"], loss_settings(objective("dr_grpo"))["loss_type"]
    ('dapo', 'luspo')
    """
    how = carried(objective)
    mode = objective.aggregation.mode
    out: dict[str, Any] = {"scale_rewards": "none", "importance_sampling_level": "token", "beta": penalty(objective)}
    if how == "advantages":
        clip = objective.loss_piece.settings
        out |= {"loss_type": LOSS_TYPES[mode], "epsilon": clip["clip_low"], "epsilon_high": clip["clip_high"]}
        out |= {"delta": clip.get("dual_clip")}
    if mode == "token_sum_over_constant":
        out["max_completion_length"] = objective.aggregation.max_tokens
    return out


def penalty(objective: Objective) -> float:
    """Return β of the k3 penalty in the loss."""
    return float(sum(piece.settings.get("beta", 0.0) for piece in objective.penalties if "logp_ref" in piece.needs))


def needs_reference(objective: Objective) -> bool:
    """Return whether log-probabilities of the reference are needed."""
    return bool(REFERENCE & set(objective.needs))


def needs_whole_groups(objective: Objective) -> bool:
    """Return whether a micro-batch has to hold whole groups: the loss ties their members together."""
    return (
        objective.family == "group" and objective.coupled is not None and set(objective.coupled.gives) <= _WHOLE_GROUPS
    )


def needs_coupling(objective: Objective) -> bool:
    """Return whether the loss ties the whole batch together, at the weights of the moment."""
    return objective.coupled is not None and not needs_whole_groups(objective)


def wanted_streams(objective: Objective) -> tuple[str, ...]:
    """Return the streams that the pieces need or can use."""
    pieces = [p for p in objective.pieces if hasattr(p, "takes")]
    pieces += [objective.coupled] if objective.coupled is not None else []
    memory = getattr(objective, "memory", None)
    names = [*objective.needs, *(name for piece in pieces for name in (*piece.needs, *piece.takes))]
    return tuple(dict.fromkeys([*names, *getattr(memory, "needs", ()), *getattr(memory, "takes", ())]))


def settle(given: Mapping[str, Any], defaults: Mapping[str, Any], ours: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return our settings where the user left TRL's default; refuse those that say something else.

    Raises
    ------
    ValueError
        A setting of TRL that contradicts the objective: names both values and where to set it.
    """
    clashes = [
        f"{key}={given[key]!r}, but objective {name!r} has {value!r}"
        for key, value in ours.items()
        if given[key] not in (defaults[key], value)
    ]
    if clashes:
        raise ValueError(
            "BreadthGRPOConfig: "
            + "; ".join(clashes)
            + ". The objective decides these: leave them out, and set its numbers in "
            "objective_settings={...}"
        )
    return dict(ours)
