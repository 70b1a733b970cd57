"""What may stand in ``shaping=[…]`` of a group reward: catalogue objectives, their pieces, functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from breadth.objectives.composition import Objective, Piece
from breadth.objectives.streams import STREAMS

#: streams that a reward function of TRL can know
KNOWN = ("scored", "correct", "kind", "distance", "key", "parsable", "length", "prompt_id")


@dataclass(frozen=True)
class Step:
    """One shaping of the reward: (values (N,), group (N,), streams) -> values (N,), and what it reports."""

    name: str
    run: Callable[[Tensor, Tensor, Mapping[str, Any]], Tensor]
    needs: tuple[str, ...]
    takes: tuple[str, ...]
    report: Callable[..., dict[str, float]] | None = None
    settings: Mapping[str, Any] | None = None


def steps_of(shaping: Sequence[Any] | Any) -> tuple[Step, ...]:
    """Return the steps of ``shaping``, in order.

    Parameters
    ----------
    shaping : list of, or one of
        The name of a catalogue objective or the objective itself: its A1 pieces (``darling``, ``gapo``, ``dapo``). A piece. A function
        (values, group, \\*, streams it names) -> values, such as :func:`breadth.rewards.diversity.shape_by_diversity` in a
        ``functools.partial``.

    Raises
    ------
    ValueError
        An objective that does not shape rewards, that remembers, or that needs streams which a reward function cannot know.
    TypeError
        Something else.
    """
    items = list(shaping) if isinstance(shaping, list | tuple) else [shaping]
    return tuple(step for item in items for step in _steps(item))


def _steps(item: Any) -> list[Step]:
    if isinstance(item, str):
        from breadth.catalogue import objective

        item = objective(item)
    if isinstance(item, Objective):
        if not item.shape_rewards:
            raise ValueError(
                f"shaping: {item.name!r} does not shape rewards before the baseline: train with BreadthGRPOTrainer(objective={item.name!r})"
            )
        if item.state_dict() or hasattr(item, "memory"):
            raise ValueError(
                f"shaping: {item.name!r} remembers earlier steps, which a reward function cannot keep in checkpoints: train with "
                f"BreadthGRPOTrainer(objective={item.name!r})"
            )
        return [_of_piece(piece, item.name) for piece in item.shape_rewards]
    if isinstance(item, Piece):
        return [_of_piece(item, item.function.__name__)]
    if callable(item):
        return [_of_function(item)]
    raise TypeError(
        f"shaping: expected names of objectives, objectives, pieces or functions, got {type(item).__name__}"
    )


def _of_piece(piece: Piece, name: str) -> Step:
    def run(values: Tensor, group: Tensor, streams: Mapping[str, Any]) -> Tensor:
        return piece(values, group, streams=streams)

    return _checked(Step(name, run, piece.needs, piece.takes, piece.report, piece.settings))


def _of_function(function: Callable[..., Tensor]) -> Step:
    name = getattr(function, "__name__", getattr(getattr(function, "func", None), "__name__", type(function).__name__))
    given = [p for p in list(inspect.signature(function).parameters.values())[2:] if p.name in STREAMS]
    needs = tuple(p.name for p in given if p.default is p.empty)
    takes = tuple(p.name for p in given if p.default is not p.empty)

    def run(values: Tensor, group: Tensor, streams: Mapping[str, Any]) -> Tensor:
        return function(values, group, **{n: streams[n] for n in (*needs, *takes) if streams.get(n) is not None})

    return _checked(Step(name, run, needs, takes))


def _checked(step: Step) -> Step:
    unknown = [name for name in step.needs if name not in KNOWN]
    if unknown:
        raise ValueError(
            f"shaping: {step.name!r} needs {', '.join(unknown)}, which a reward function does not see (it sees {', '.join(KNOWN)}): train "
            f"with BreadthGRPOTrainer(objective={step.name!r})"
        )
    return step
