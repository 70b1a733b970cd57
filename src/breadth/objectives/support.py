"""Where an objective runs: in breadth's own loop, in TRL's trainers, with verl. One rule, read off family, pieces and needs.

The plug-ins ask here what they can carry, ``docs/support.md`` is printed from here, and nobody keeps a list of names.
"""

from __future__ import annotations

from typing import Any

#: how TRL carries an objective -> what that means; an empty word: it does not
TRL = {
    "advantages": "our advantages in TRL's GRPO trainer, whose clipped loss is the objective's at the settings of its page",
    "loss": "our advantages and our loss in a subclass of TRL's GRPO trainer, whole groups in one loss",
    "pairs": "our pair loss in a subclass of TRL's DPO trainer",
    "logits": "our loss on logits in a subclass of TRL's SFT trainer",
}
#: how verl carries an objective -> what that means; an empty word: it does not
VERL = {
    "estimator": "a registered advantage estimator: it sees rewards and groups and nothing else",
    "trainer": "a trainer subclass that rewrites rewards or advantages where texts or log-probabilities are known",
    "verl's own": "verl has the method itself",
}
#: what a registered estimator of verl can know: token rewards and which prompt each belongs to; 0/1 rewards say who is correct
_ESTIMATOR = frozenset({"reward", "group", "scored", "correct"})
#: what only a trainer that trains a further model, or feeds stored rollouts back, can hand over
_NATIVE_ONLY = frozenset({"prediction_error", "in_top_k", "tokens", "log_z", "value"})


def support(objective: Any) -> dict[str, bool | str]:
    """Return ``native`` (bool), ``trl`` (a key of :data:`TRL` or "") and ``verl`` (a key of :data:`VERL` or "").

    Parameters
    ----------
    objective : what :func:`breadth.objective` returns
        Its settings count: a learned log Z or a replay keeps an objective native.

    Examples
    --------
    >>> import breadth
    >>> support(breadth.objective("darling"))
    {'native': True, 'trl': 'advantages', 'verl': 'trainer'}
    >>> support(breadth.objective("gvpo"))
    {'native': True, 'trl': 'loss', 'verl': ''}
    """
    return {"native": _native(objective), "trl": _trl(objective), "verl": _verl(objective)}


def host_clip(objective: Any) -> bool:
    """Return whether the loss is a host's own: PPO-clip on our advantages, with at most a k3 penalty to the reference."""
    names = {piece.function.__name__ for piece in (objective.loss_piece, *objective.penalties)}
    return not objective.token_weights and objective.coupled is None and names <= {"ppo_clip_loss", "reference_penalty"}


def _learner(objective: Any) -> Any:
    """Return what learns from a selection: an objective on groups, or a loss on pairs; None where nothing does."""
    return getattr(objective, "inner", getattr(objective, "pairs", None))


def _native(objective: Any) -> bool:
    if objective.family == "selection":
        return _learner(objective) is not None and _native(_learner(objective))
    model = getattr(objective, "novelty", None) is not None
    return model or not {"prediction_error", "in_top_k"} & set(objective.needs)


def _trl(objective: Any) -> str:
    by_family = {"pair": "pairs", "sft": "logits", "actor_critic": ""}
    if objective.family in by_family:
        return by_family[objective.family]
    if objective.family == "selection":  # TRL draws no further groups; pairs can be made before it trains
        return "pairs" if getattr(_learner(objective), "family", None) == "pair" else ""
    if _NATIVE_ONLY & set(objective.needs):
        return ""
    return "advantages" if objective.family == "policy" and host_clip(objective) else "loss"


def _verl(objective: Any) -> str:
    if objective.family == "actor_critic":
        return "verl's own"
    if objective.family != "policy" or _NATIVE_ONLY & set(objective.needs):
        return ""
    if objective.coupled is not None or set(objective.loss_needs) - {"logp_ref"}:
        return ""  # its losses run on micro-batches that know neither entropies nor the rest of the batch
    return "estimator" if set(objective.advantage_needs) <= _ESTIMATOR and not objective.state_dict() else "trainer"
