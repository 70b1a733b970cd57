"""The named streams that an objective may be given, and the checks at the door: names, shapes, types, absences."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from breadth.losses.aggregation import sequence_logprob

#: one number (or key) per rollout: name -> what it is and how to get it
SEQUENCE_STREAMS = {
    "reward": "(N,) float, NaN = unscored; what the task's `score` or your reward function returned",
    "group": "(N,) int64; which prompt of the batch each rollout answers",
    "scored": "(N,) bool; False where the scorer failed (follows from NaN in `reward` if absent)",
    "parsable": "(N,) bool; the answer could be parsed",
    "correct": "(N,) bool; the answer counts as correct, for example reward >= the task's `correct_at`",
    "kind": "(N,) int64; class label inside the group, for example the canonical key of the answer, numbered",
    "key": "(N,); a label of the answer that is stable across steps (canonical form, scaffold)",
    "bucket_key": "(N,); a coarser label than `key`, stable across steps (Murcko scaffold); None = no label",
    "prompt_id": "(N,) int64; a label of the prompt that is stable across steps",
    "count": "(N,) int64; earlier visits of (prompt, key), -1 without a key; from the objective's memory",
    "bucket_count": "(N,) int64; place of the rollout in its bucket, 0 = outside; from the objective's memory",
    "seq_logp": "(N,) float, nats; sum of `logp_old` over `mask` (or give `logp_old` and `mask`)",
    "seq_logp_ref": "(N,) float, nats; the same under the reference policy (or give `logp_ref` and `mask`)",
    "length": "(N,) int64; completion tokens (or give `mask`)",
    "distance": "(N, N) float in [0, 1]; pairwise distances, entries outside a group are ignored",
    "reward_vector": "(N, K) float; several rewards per rollout",
    "group_mean": "(N,) float; whole-group mean of the implicit reward, from `objective.coupling(...)`",
    "reward_mean": "(N,) float; whole-group mean of the reward, from `objective.coupling(...)`",
    "group_size": "(N,) int64; scored members of the whole group, from `objective.coupling(...)`",
    "normalised_reward": "(N,) float; reward standardised in its whole group, from `objective.coupling(...)`",
    "replayed": "(N,) bool; drawn from the replay memory, not sampled in this step",
    "selection_weight": "(N,) float; weight of each rollout in the whole batch, from `objective.coupling(...)`",
    "entropy_threshold": "(N,) float, nats; one number for the whole batch, from `objective.coupling(...)`",
    "reward_unscheduled": "(N,) float; `reward` before a schedule (train.reward_schedule) made it smaller",
    "seq_logp_agents": "(N, J) float, nats; the same sum under each of the J agents before this one, see `breadth agents`",
    "log_z": "(N,) float with gradient, nats; log Z of each rollout's prompt, from a value head or a table",
}
TOKEN_STREAMS = {
    "logp": "(N, T) float with gradient, nats; log-probabilities of the sampled tokens under the policy in training",
    "logp_old": "(N, T) float, nats; the same under the policy before this batch's updates",
    "logp_ref": "(N, T) float, nats; the same under the reference policy",
    "entropy": "(N, T) float, nats; entropy of the next-token distribution",
    "tokens": "(N, T) int64; the sampled tokens, for a replay memory",
    "mask": "(N, T) bool, True = a completion token",
    "prediction_error": "(N, T) float; how far a trained model's prediction of the state after each token was off",
    "in_top_k": "(N, T) bool; the sampled token was among the policy's k likeliest",
    "value": "(N, T) float with gradient, units of reward; V of the prefix before each token, from a value head",
    "value_old": "(N, T) float, units of reward; the same before this batch's updates",
    "value_target": "(N, T) float, NaN = unscored; what `value` is fitted to, from `objective.targets(...)`",
    "advantage": "(N,) or (N, T) float; from `objective.advantage(...)`",
    "token_keep": "(N, T) bool; tokens that keep their gradient, from `objective.coupling(...)`",
    "token_penalised": "(N, T) bool; tokens under a penalty, from `objective.coupling(...)`",
}
#: one value for a whole batch
BATCH_STREAMS = {"seed": "int; decides random choices among tokens, the same seed makes the same choice"}
STREAMS = {**SEQUENCE_STREAMS, **TOKEN_STREAMS, **BATCH_STREAMS}

_BOOLEAN = {"scored", "parsable", "correct", "replayed"}
_INTEGER = {"group", "kind", "prompt_id", "length", "group_size", "count", "bucket_count"}
#: absent stream -> the token streams from which it follows
_DERIVED = {"seq_logp": ("logp_old", "mask"), "seq_logp_ref": ("logp_ref", "mask"), "length": ("mask",)}


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``", did you mean 'x'?"`` for the nearest known name, or an empty string.

    Examples
    --------
    >>> nearest("kinds", ["kind", "key"])
    ", did you mean 'kind'?"
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""


def check_names(owner: str, streams: Mapping[str, Any]) -> None:
    """Raise TypeError if a stream has a name that no piece could want."""
    for name in streams:
        if name not in STREAMS:
            raise TypeError(
                f"objective {owner!r}: unknown stream {name!r}{nearest(name, STREAMS)} (known: {', '.join(STREAMS)})"
            )


def require(owner: str, streams: Mapping[str, Any], needs: Iterable[str]) -> None:
    """Raise ValueError that names the objective, the streams that are absent, and how to get them."""
    absent = [name for name in needs if streams.get(name) is None]
    if absent:
        how = "".join(f"\n  {name}: {STREAMS[name]}" for name in absent)
        raise ValueError(f"objective {owner!r} needs {', '.join(absent)}, which it was not given:{how}")


def prepare(owner: str, given: Mapping[str, Any], *, needs: Iterable[str], takes: Iterable[str]) -> dict[str, Any]:
    """Return the streams that the pieces will see: checked, as tensors on the reward's device, with ``scored``.

    Parameters
    ----------
    owner : str
        The objective's name, for messages.
    given : mapping
        Streams by name; None counts as absent. Lists and numpy arrays are taken too.
    needs, takes : names
        Must be there, and are handed on if there. ``seq_logp``, ``seq_logp_ref`` and ``length`` are derived from the
        token streams if those were given instead.

    Raises
    ------
    TypeError
        An unknown name, or a type that does not fit.
    ValueError
        An absent stream, shapes that differ, an infinite reward, a number of a scored rollout that is not finite.

    Examples
    --------
    >>> prepare("grpo", {"reward": [1.0, float("nan")], "group": [0, 0]}, needs=("reward", "group"), takes=())["scored"]
    tensor([ True, False])
    """
    check_names(owner, given)
    given = {name: value for name, value in given.items() if value is not None}
    wanted = [*needs, *takes]
    for name, sources in _DERIVED.items():
        if name in wanted and name not in given and all(source in given for source in sources):
            given[name] = _derive(name, *(given[source] for source in sources))
    require(owner, given, needs)
    reward = torch.as_tensor(given["reward"])
    reward = reward if reward.is_floating_point() else reward.to(torch.float32)
    if reward.ndim != 1 or len(reward) == 0:
        raise ValueError(f"reward: expected shape (N,) with N >= 1, got {tuple(reward.shape)}")
    n = len(reward)
    infinite = torch.isinf(reward).nonzero().flatten().tolist()
    if infinite:
        raise ValueError(f"reward: {len(infinite)} infinite values, first in row {infinite[0]}; use NaN for unscored")
    out: dict[str, Any] = {"reward": reward}
    for name in dict.fromkeys(["group", "scored", *wanted]):
        if name in given and name != "reward":
            out[name] = _as_stream(name, given[name], n, reward.device)
    scored = ~torch.isnan(reward)
    out["scored"] = scored & out["scored"] if "scored" in out else scored
    for name, value in out.items():
        if name != "reward" and isinstance(value, Tensor) and value.is_floating_point() and value.shape == (n,):
            bad = (out["scored"] & ~torch.isfinite(value)).nonzero().flatten().tolist()
            if bad:
                raise ValueError(f"{name}: {len(bad)} values of scored rollouts are not finite, first in row {bad[0]}")
    return out


def _derive(name: str, *sources: Tensor) -> Tensor:
    if name == "length":
        return sources[0].sum(-1)  # (N,)
    return sequence_logprob(sources[0].detach(), sources[1])  # (N,)


def _as_stream(name: str, value: Any, n: int, device: torch.device) -> Any:
    if name in ("key", "bucket_key"):
        if len(value) != n:
            raise ValueError(f"{name}: expected {n} labels for {n} rewards, got {len(value)}")
        return value
    if name in TOKEN_STREAMS or name in BATCH_STREAMS:
        return value
    tensor = torch.as_tensor(value).to(device)
    wide = (n, tensor.shape[-1] if tensor.ndim else 0)
    shape = {"distance": (n, n), "reward_vector": wide, "seq_logp_agents": wide}.get(name, (n,))
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name}: expected shape {shape} for {n} rewards, got {tuple(tensor.shape)}")
    if name in _BOOLEAN and tensor.dtype != torch.bool:
        raise TypeError(f"{name}: expected dtype torch.bool, got {tensor.dtype}; pass {name}.bool()")
    if name in _INTEGER:
        if tensor.is_floating_point() or tensor.dtype == torch.bool:
            raise TypeError(f"{name}: expected integers, got {tensor.dtype}")
        tensor = tensor.to(torch.int64)
    return tensor
