"""What molecules are scored by: named oracles with their settings, and the way in for any function or program.

An oracle is a callable that takes a list of canonical SMILES and returns one float each; NaN = could not be scored. It may
have a method ``take_reasons()`` that hands over why.
"""

from __future__ import annotations

import difflib
import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

Oracle = Callable[[Sequence[str]], Sequence[float]]


@dataclass(frozen=True, slots=True)
class NamedOracle:
    """An oracle, one line that says what it measures, and where it is defined."""

    score: Oracle
    summary: str
    source: str


def _qed() -> NamedOracle:
    from breadth.tasks.oracles.qed import qed

    return NamedOracle(
        qed,
        "QED, quantitative estimate of drug-likeness, in [0, 1]",
        "Bickerton et al., Nature Chemistry 4, 90 (2012); RDKit's QED.qed with its mean weights",
    )


def _sa() -> NamedOracle:
    from breadth.tasks.oracles.sa import sa_score

    return NamedOracle(
        sa_score, "synthetic accessibility score, 1 (easy) to 10", "Ertl and Schuffenhauer, J. Cheminform. 1:8 (2009)"
    )


def _property(name: str) -> NamedOracle:
    from breadth.tasks.oracles.properties import PROPERTIES, property_values

    return NamedOracle(partial(property_values, name), PROPERTIES[name], "RDKit")


def _atoms(element: str) -> NamedOracle:
    from breadth.tasks.oracles.properties import count_atoms
    from breadth.tasks.smiles import parse_smiles

    def score(smiles: Sequence[str]) -> list[float]:
        molecules = [parse_smiles(text) for text in smiles]
        return [math.nan if m is None else float(count_atoms(m, element)) for m in molecules]

    return NamedOracle(score, f"number of {element} atoms", "RDKit")


def _similarity(target: str, fingerprint: str = "ecfp4") -> NamedOracle:
    from breadth.tasks.oracles.similarity import FINGERPRINTS, similarity_to

    oracle = similarity_to([target], fingerprint=fingerprint)
    return NamedOracle(oracle, f"Tanimoto similarity to {target} ({FINGERPRINTS[fingerprint]})", "Brown et al. 2019")


def _rediscovery(target: str, fingerprint: str = "ecfc4") -> NamedOracle:
    return _similarity(target, fingerprint)


def _median(targets: Sequence[str], fingerprint: str = "ecfc4") -> NamedOracle:
    from breadth.tasks.oracles.similarity import FINGERPRINTS, similarity_to

    if isinstance(targets, str):
        raise ValueError("targets: expected a list of SMILES, got a single text")
    oracle, what = similarity_to(list(targets), fingerprint=fingerprint), FINGERPRINTS.get(fingerprint)
    return NamedOracle(oracle, f"geometric mean of similarities to {', '.join(targets)} ({what})", "Brown et al. 2019")


def _isomer(formula: str) -> NamedOracle:
    from breadth.tasks.oracles.similarity import isomer_of

    return NamedOracle(isomer_of(formula), f"closeness to the formula {formula}, in [0, 1]", "Brown et al. 2019")


def _command(
    command: str | Sequence[str], timeout: float = 60.0, start_timeout: float = 60.0, workers: int = 1
) -> NamedOracle:
    from breadth.tasks.oracles.command import CommandOracle

    oracle = CommandOracle(command, timeout=timeout, start_timeout=start_timeout, workers=workers)
    return NamedOracle(oracle, f"what the program {oracle.command[0]} answers", "user")


def _components(components: Sequence[Mapping[str, Any]], mean: str = "geometric") -> NamedOracle:
    from breadth.tasks.oracles.components import build_components

    oracle, summary = build_components(components, find_oracle, mean=mean)
    return NamedOracle(oracle, summary, "weighted mean of the components named in the settings")


def _goal(name: str) -> NamedOracle:
    from breadth.tasks.oracles.guacamol import GOALS

    made = _components(GOALS[name])
    return NamedOracle(
        made.score, f"GuacaMol's {name.replace('_', ' ')}: {made.summary}, in [0, 1]", "Brown et al. 2019"
    )


def _activity(
    name: str = "activity", table: str | os.PathLike | None = None, forest: str | os.PathLike | None = None
) -> NamedOracle:
    from breadth.tasks.oracles.predicted import PredictedActivity

    oracle = PredictedActivity(name, table=table, forest=forest)
    return NamedOracle(oracle, f"{name}: share of active votes of a random forest on ECFP4, in [0, 1]", oracle.source)


_PROPERTIES = (
    "logp",
    "mw",
    "tpsa",
    "heavy_atoms",
    "rings",
    "aromatic_rings",
    "rotatable_bonds",
    "hba",
    "hbd",
    "fraction_sp3",
)
_GOALS = (
    "osimertinib_mpo",
    "fexofenadine_mpo",
    "ranolazine_mpo",
    "perindopril_mpo",
    "amlodipine_mpo",
    "sitagliptin_mpo",
)
_GOALS += (
    "zaleplon_mpo",
    "median1",
    "median2",
    "celecoxib_rediscovery",
    "troglitazone_rediscovery",
    "thiothixene_rediscovery",
)

#: name -> how it is made; what a maker takes are the settings that the oracle has
ORACLES: dict[str, Callable[..., NamedOracle]] = {
    "qed": _qed,
    "jnk3": partial(_activity, "jnk3"),
    "gsk3b": partial(_activity, "gsk3b"),
    "activity": _activity,
    "sa": _sa,
    **{name: partial(_property, name) for name in (*_PROPERTIES, "stereocentres")},
    "atoms": _atoms,
    "similarity": _similarity,
    "rediscovery": _rediscovery,
    "median": _median,
    "isomer": _isomer,
    "command": _command,
    "components": _components,
    **{name: partial(_goal, name) for name in _GOALS},
}


def find_oracle(oracle: str | Oracle, **settings: Any) -> NamedOracle:
    """Return an oracle by name with its settings, ``"module:function"``, or a callable wrapped as one.

    Names are those of ``ORACLES`` and of the forests that ``breadth oracle fit NAME`` made.

    Raises
    ------
    ValueError
        An unknown name or setting; the message gives the nearest and all known ones.
    TypeError
        Neither a name nor a callable.

    Examples
    --------
    >>> find_oracle(lambda smiles: [0.5 for _ in smiles]).score(["CCO"])
    [0.5]
    >>> find_oracle("similarity", target="CCO").score(["OCC"])
    [1.0]
    """
    if isinstance(oracle, str) and ":" in oracle:
        from breadth.tasks.oracles.worker import import_function

        _no_settings(oracle, settings)
        return find_oracle(import_function(oracle))
    if isinstance(oracle, str):
        return _named(oracle, settings)
    if callable(oracle):
        _no_settings("a function", settings)
        name = getattr(oracle, "__name__", type(oracle).__name__)
        summary = (getattr(oracle, "__doc__", None) or "a user's function").strip().splitlines()[0]
        return NamedOracle(oracle, f"{name}: {summary}", "user")
    came = type(oracle).__name__
    raise TypeError(f"oracle: expected a name or a callable (list of SMILES -> list of floats), got {came}")


def make_oracle(
    oracle: str | Oracle, settings: Mapping[str, Any], *, workers: int | None = None, timeout: float | None = None
) -> NamedOracle:
    """Return :func:`find_oracle`'s oracle, in worker processes where ``workers`` or ``timeout`` is given.

    ``oracle="command"`` takes both as its own: the program is the worker.

    Raises
    ------
    ValueError, TypeError
        As :func:`find_oracle`; a number of workers or seconds out of range; a function that workers cannot import.
    """
    wanted = {name: value for name, value in (("workers", workers), ("timeout", timeout)) if value is not None}
    if not wanted or oracle == "command":
        return find_oracle(oracle, **settings, **wanted)
    found = find_oracle(oracle, **settings)  # what is wrong with it is said here, not by a worker
    from breadth.tasks.oracles.worker import in_workers

    plain = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in settings.items()}
    score = in_workers(oracle, plain, workers=workers or 1, timeout=60.0 if timeout is None else timeout)
    return NamedOracle(score, found.summary, found.source)


def _named(oracle: str, settings: dict[str, Any]) -> NamedOracle:
    name = oracle.lower()
    make = ORACLES.get(name)
    if make is None:
        from breadth.tasks.oracles.predicted import fitted_oracles

        fitted = fitted_oracles()
        if name not in fitted:
            near = difflib.get_close_matches(name, [*ORACLES, *fitted], n=3, cutoff=0.4)
            meant = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise ValueError(
                f"oracle: expected one of {sorted([*ORACLES, *fitted])} or a callable (list of SMILES -> list of floats), also as "
                f"'module:function', got {oracle!r}.{meant} From a table of activities: breadth oracle fit NAME --table FILE"
            )
        make = partial(_activity, name)
    parameters = inspect.signature(make).parameters
    for setting in settings:
        if setting not in parameters:
            close = difflib.get_close_matches(setting, list(parameters), n=1, cutoff=0.5)
            hint = f", did you mean {close[0]!r}?" if close else ""
            listed = ", ".join(parameters) or "none"
            raise ValueError(f"oracle {oracle!r}: unknown setting {setting!r}{hint}; settings: {listed}")
    missing = [p.name for p in parameters.values() if p.default is p.empty and p.name not in settings]
    if missing:
        raise ValueError(f"oracle {oracle!r}: missing {', '.join(missing)}")
    return make(**settings)


def _no_settings(what: str, settings: Mapping[str, Any]) -> None:
    if settings:
        raise ValueError(f"oracle {what!r}: takes no settings, got {', '.join(settings)}")
