"""The block ``algorithm.breadth`` of a verl configuration, and which objective a name of an estimator stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from breadth.catalogue import lookup, objective
from breadth.dotted import load_dotted
from breadth.objectives.streams import nearest
from breadth.objectives.support import support

PREFIX = "breadth_"
#: what our trainers are called in ``trainer.v1.trainer_mode``, and verl's own that each extends
TRAINERS = {
    "breadth_sync": "sync",
    "breadth_colocate_async": "colocate_async",
    "breadth_separate_async": "separate_async",
}


@dataclass(frozen=True)
class Settings:
    """What may stand under ``algorithm.breadth``; on verl's command line each line begins with ``+algorithm.breadth.``.

    Parameters
    ----------
    settings : mapping
        Of the objective: ``settings.floor=0.2``.
    partition : str or mapping, optional
        Who says the same thing as whom, for objectives that need ``kind`` or ``distance``: the backend, or ``{backend: …, threshold: …}``
        with any argument of :func:`breadth.partition`.
    key, bucket_key : str, optional
        ``module:function`` of (texts, prompts) -> labels, for objectives that need ``key``, ``parsable`` or ``bucket_key``.
    correct_at : float
        Reward from which an answer counts as correct.
    reward_keys : list of str
        Names in ``reward_extra_info`` whose values make ``reward_vector``.
    max_unscored_share : float
        Above this share of answers without a score in a batch training stops.
    check_loss : bool
        Whether the actor's settings must be the objective's; False trains with whatever they say.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    partition: str | Mapping[str, Any] | None = None
    key: str | None = None
    bucket_key: str | None = None
    correct_at: float = 1.0
    reward_keys: Sequence[str] = ()
    max_unscored_share: float = 0.5
    check_loss: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.settings, Mapping):
            raise ValueError(
                f"algorithm.breadth.settings: expected names with values (settings.floor=0.2), got {self.settings!r}"
            )
        if not 0 <= self.max_unscored_share <= 1:
            raise ValueError(
                f"algorithm.breadth.max_unscored_share: expected a number in [0, 1], got {self.max_unscored_share}"
            )


def read_settings(algorithm: Any) -> Settings:
    """Return what stands under ``breadth`` in verl's ``algorithm`` (a mapping or a configuration object; None = nothing).

    Raises
    ------
    ValueError
        An unknown name (the nearest is suggested), or a value out of range.

    Examples
    --------
    >>> read_settings({"breadth": {"settings": {"floor": 0.2}, "partition": "rouge1"}}).partition
    'rouge1'
    """
    block = None if algorithm is None else algorithm.get("breadth", None)
    if block is None:
        return Settings()
    if not isinstance(block, Mapping):
        raise ValueError(
            f"algorithm.breadth: expected names with values (+algorithm.breadth.partition=rouge1), got {block!r}"
        )
    given = {name: _plain(value) for name, value in block.items()}
    known = [entry.name for entry in fields(Settings)]
    for name in given:
        if name not in known:
            hint = (
                nearest(name, known)
                or f"; settings of the objective stand one level deeper: +algorithm.breadth.settings.{name}=…"
            )
            raise ValueError(f"algorithm.breadth: unknown {name!r}{hint} (known: {', '.join(known)})")
    return Settings(**given)


def objective_of(estimator: str, settings: Settings) -> Any:
    """Return the objective behind ``algorithm.adv_estimator``.

    Raises
    ------
    ValueError
        A name that is not ours, or an objective that verl cannot carry, with the reason.
    TypeError
        A setting that the objective does not have.

    Examples
    --------
    >>> objective_of("breadth_darling", Settings(settings={"floor": 0.2})).settings["floor"]
    0.2
    """
    if not estimator.startswith(PREFIX):
        raise ValueError(
            f"algorithm.adv_estimator: expected {PREFIX}<objective>, for example {PREFIX}darling, with trainers {', '.join(TRAINERS)}, "
            f"got {estimator!r}"
        )
    made = objective(lookup("objective", estimator.removeprefix(PREFIX)).name, **settings.settings)
    reason = refusal(made)
    if reason is not None:
        raise ValueError(reason)
    return made


def refusal(made: Any) -> str | None:
    """Return why verl cannot carry an objective and what to do instead; None if it can.

    Examples
    --------
    >>> import breadth
    >>> print(refusal(breadth.objective("darling")))
    None
    """
    how = support(made)
    if how["verl"] in ("estimator", "trainer"):
        return None
    if how["verl"]:
        return f"objective {made.name!r}: verl has the method itself: algorithm.adv_estimator=gae, without the prefix {PREFIX!r}"
    by_family = {
        "group": "its loss ties the answers of a group together, and verl's losses see micro-batches without groups",
        "pair": "it learns from pairs, and verl trains on rewards",
        "sft": "it learns from given answers",
        "selection": "it chooses what is learned from, which verl does before the advantages (algorithm.filter_groups)",
    }
    needs = ", ".join(made.needs)
    why = by_family.get(
        made.family, f"it needs {needs}, and verl's losses know neither entropies nor the rest of the batch"
    )
    where = [
        place for place, able in (("breadth train", how["native"]), ("TRL (breadth.plugins.trl)", how["trl"])) if able
    ]
    return f"objective {made.name!r} does not run in verl: {why}. It runs in: {', '.join(where) or 'no trainer'}"


def load_function(path: str, where: str) -> Any:
    """Return the function that ``module:function`` names.

    Raises
    ------
    ValueError
        Not of that form, or nothing there that can be called.
    """
    return load_dotted(
        str(path),
        malformed=f"{where}: expected module:function, got {{name!r}}",
        missing=f"{where}: cannot load {{name!r}}: {{error}}; the module must be importable in verl's driver",
        uncallable=f"{where}: expected a function, {{name!r}} is of type {{kind}}",
    )


def _plain(value: Any) -> Any:
    """Return dictionaries and lists for what a configuration library wraps around them."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value
