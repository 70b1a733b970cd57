"""What to write on verl's command line so that it trains an objective as its page says, and whether a configuration does."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from breadth.objectives.support import support
from breadth.plugins.verl.settings import PREFIX, Settings, objective_of

ACTOR = "actor_rollout_ref.actor."
MODES = {
    "token_mean": "token-mean",
    "seq_mean_token_mean": "seq-mean-token-mean",
    "seq_mean_token_sum": "seq-mean-token-sum",
    "token_sum_over_constant": "seq-mean-token-sum-norm",
}
#: our loss -> verl's name for it, registered by us or its own where that is the same function
_LOSSES = {
    "ppo_clip_loss": "breadth_ppo_clip",
    "policy_gradient_loss": "breadth_policy_gradient",
    "reinforce_loss": "gpg",
    "sequence_clip_loss": "gspo",
    "clipped_weight_loss": "cispo",
}


def actor_settings(made: Any) -> dict[str, Any]:
    """Return the actor's settings, by their dotted names, under which verl's loss is the objective's.

    Examples
    --------
    >>> import breadth
    >>> actor_settings(breadth.objective("dapo", dual_clip=3.0))["actor_rollout_ref.actor.policy_loss.loss_mode"]
    'vanilla'
    """
    function, numbers = made.loss_piece.function.__name__, made.loss_piece.settings
    dual = numbers.get("dual_clip")
    mode = "vanilla" if function == "ppo_clip_loss" and dual is not None else _LOSSES[function]
    out = {"policy_loss.loss_mode": mode, "loss_agg_mode": MODES[made.aggregation.mode], "entropy_coeff": 0}
    if made.aggregation.max_tokens is not None:
        out["loss_scale_factor"] = made.aggregation.max_tokens
    if "clip_low" in numbers:
        out |= {"clip_ratio_low": numbers["clip_low"], "clip_ratio_high": numbers["clip_high"]}
    if dual is not None:
        out["clip_ratio_c"] = dual
    beta = sum(piece.settings["beta"] for piece in made.penalties)
    # a weight of 0 still makes verl compute the reference's log-probabilities, which some advantages need
    reference = bool(beta) or "seq_logp_ref" in made.advantage_needs or "logp_ref" in made.advantage_needs
    out["use_kl_loss"] = reference
    if reference:
        out |= {"kl_loss_coef": beta, "kl_loss_type": "low_var_kl"}
    return {ACTOR + name: value for name, value in out.items()}


def overrides(name: str, **settings: Any) -> list[str]:
    """Return the lines that make ``python -m verl.trainer.main_ppo`` train this objective.

    Parameters
    ----------
    name : str
        Of a catalogue objective.
    **settings
        Of the objective.

    Returns
    -------
    list of str
        Without what is yours to say: models, data, batch, and the partition of an objective that needs one.

    Raises
    ------
    ValueError
        An objective that verl cannot carry, with the reason and where it runs instead.

    Examples
    --------
    >>> for line in overrides("darling", floor=0.2)[:4]:
    ...     print(line)
    algorithm.adv_estimator=breadth_darling
    trainer.v1.trainer_mode=breadth_sync
    algorithm.use_kl_in_reward=false
    +algorithm.breadth.settings.floor=0.2

    Source: none. Departures: none.
    """
    made = objective_of(PREFIX + name, Settings(settings=settings))
    lines = [f"algorithm.adv_estimator={PREFIX}{name}"]
    if support(made)["verl"] == "trainer":
        lines.append("trainer.v1.trainer_mode=breadth_sync")
    lines.append("algorithm.use_kl_in_reward=false")
    lines += [f"+algorithm.breadth.settings.{key}={_shown(value)}" for key, value in settings.items()]
    return lines + [f"{key}={_shown(value)}" for key, value in actor_settings(made).items()]


def yours_to_say(made: Any) -> list[str]:
    """Return the lines that only the user can fill in, because they say what an answer means."""
    lines = []
    if {"kind", "distance"} & set(made.advantage_needs):
        lines.append(
            "+algorithm.breadth.partition=classifier    # or rouge1, {backend: canonical, key: words}, {backend: remote, url: …}, another"
        )
    for stream in ("key", "bucket_key"):
        if stream in made.advantage_needs:
            lines.append(
                f"+algorithm.breadth.{stream}=my_package.my_module:{stream}    # (texts, prompts) -> labels, None = not parsable"
            )
    if "reward_vector" in made.advantage_needs:
        lines.append(
            "+algorithm.breadth.reward_keys=[first, second]    # names that your reward function returns beside the score"
        )
    return lines


def differences(config: Any, made: Any) -> list[str]:
    """Return one line for each actor setting that is not the objective's: where, what it is, what it should be.

    Parameters
    ----------
    config : mapping
        verl's whole configuration.
    made : Objective
    """
    found = []
    for path, expected in actor_settings(made).items():
        value = _at(config, path)
        if path.endswith((".clip_ratio_low", ".clip_ratio_high")) and value is None:
            value = _at(config, ACTOR + "clip_ratio")
        if path.endswith(".use_kl_loss") and not expected and value and not _at(config, ACTOR + "kl_loss_coef"):
            continue  # weight 0
        if not _same(value, expected):
            found.append(f"{path} is {_shown(value)}, {made.name} has {_shown(expected)}: {path}={_shown(expected)}")
    return found


def _at(config: Any, path: str) -> Any:
    for name in path.split("."):
        config = config.get(name, None) if isinstance(config, Mapping) or hasattr(config, "get") else None
        if config is None:
            return None
    return config


def _same(value: Any, expected: Any) -> bool:
    if isinstance(expected, bool) or isinstance(value, bool | str) or value is None:
        return bool(value) == expected if isinstance(expected, bool) else value == expected
    return isinstance(expected, int | float) and math.isclose(
        float(value), float(expected), rel_tol=1e-9, abs_tol=1e-12
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    return json.dumps(value, separators=(",", ":")) if isinstance(value, list | tuple | dict) else str(value)
