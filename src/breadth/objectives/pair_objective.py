"""The front page of the family "pair": one call from log-probabilities of chosen and rejected answers to a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from breadth.losses.implicit import pair_loss
from breadth.objectives.card import Card, same_shape
from breadth.objectives.composition import Piece
from breadth.records import Loss

PAIR_STREAMS = {
    "chosen": "(B,) float with gradient, nats; Σ log π of the chosen answers",
    "rejected": "(B,) float with gradient, nats; Σ log π of the rejected answers",
    "ref_chosen": "(B,) float, nats; the same of the chosen answers under the reference policy",
    "ref_rejected": "(B,) float, nats; the same of the rejected answers under the reference policy",
    "chosen_length": "(B,) int64; completion tokens of the chosen answers",
    "rejected_length": "(B,) int64; completion tokens of the rejected answers",
}
_REFERENCE = ("ref_chosen", "ref_rejected")
_LENGTH = ("chosen_length", "rejected_length")


@dataclass(frozen=True, kw_only=True)
class PairObjective(Card):
    """A preset of :func:`breadth.losses.implicit.pair_loss`. Made by :func:`breadth.objective`.

    Examples
    --------
    >>> import torch, breadth
    >>> objective = breadth.objective("dpo", beta=0.5)
    >>> print(objective)
    dpo (pair), needs chosen, rejected, ref_chosen, ref_rejected
      loss         pair_loss(a=0.5, b=0.5)  needs chosen, rejected, ref_chosen, ref_rejected
    >>> zero, one = torch.zeros(1), torch.ones(1)
    >>> loss = objective.loss(chosen=one, rejected=-one, ref_chosen=zero, ref_rejected=zero)
    >>> round(float(loss.value), 4), loss.stats["accuracy"], loss.stats["margin"]
    (0.3133, 1.0, 1.0)
    """

    likelihood: float = 0.0  # weight of −log π(chosen), CPO's α

    def denominator(self, **streams: Any) -> float:
        """Return the number of pairs of the whole batch, to be handed to ``loss`` for each of its micro-batches."""
        self.check(streams, ("chosen",))
        return float(max(1, len(streams["chosen"])))

    def loss(self, *, denominator: float | None = None, **streams: Any) -> Loss:
        """Return the mean loss over pairs with gradient, its terms (B,), and statistics.

        Parameters
        ----------
        denominator : float, optional
            Pairs of the whole batch if these are a micro-batch. Absent = these pairs are the whole batch.
        **streams
            ``chosen``, ``rejected`` (B,) with gradient; ``ref_chosen``, ``ref_rejected``, ``chosen_length``,
            ``rejected_length`` where needed; those that are not used are accepted and ignored.

        Returns
        -------
        Loss
            stats: ``accuracy`` (share of pairs with R(chosen) > R(rejected)), ``margin`` (mean difference),
            ``chosen_reward``, ``rejected_reward`` (means of the implicit reward).

        Raises
        ------
        TypeError
            An unknown stream.
        ValueError
            A stream that is needed and absent, shapes that differ, no pairs, log-probabilities that are not finite.
        """
        self.check(streams, self.needs)
        given: dict[str, Tensor] = {name: streams[name] for name in self.needs}
        shape = tuple(given["chosen"].shape)
        if len(shape) != 1 or shape[0] == 0:
            raise ValueError(f"objective {self.name!r}: chosen: expected shape (B,) with B >= 1, got {shape}")
        same_shape(self.name, given, shape)
        for name, value in given.items():
            bad = (~torch.isfinite(value.detach())).nonzero().flatten().tolist()
            if bad:
                raise ValueError(f"objective {self.name!r}: {name}: {len(bad)} values are not finite, first in row {bad[0]}")
        matrix, better, worse = self.piece.function(**given, **self.piece.settings)  # (B,) each
        if self.likelihood:
            matrix = matrix - self.likelihood * given["chosen"]
        return Loss(value=matrix.sum() / (denominator or shape[0]), matrix=matrix, stats=_stats(better, worse))


def _stats(better: Tensor, worse: Tensor) -> Mapping[str, float]:
    return {
        "accuracy": float((better > worse).to(better.dtype).mean()),
        "margin": float((better - worse).mean()),
        "chosen_reward": float(better.mean()),
        "rejected_reward": float(worse.mean()),
    }


def pair_objective(
    *, name: str, title: str, source: str, settings: Mapping[str, Any], a: float, b: float, link: str = "sigmoid",
    margin: float = 0.0, label_smoothing: float = 0.0, per_token: bool = False, likelihood: float = 0.0,
    departures: tuple[str, ...] = (),
) -> PairObjective:  # fmt: skip
    """Return the front page of one preset; ``per_token`` divides log-probabilities by lengths.

    Raises
    ------
    ValueError
        Numbers out of range.
    """
    if not a > 0 or not b >= 0:
        raise ValueError(f"{name}: expected weights a > 0 and b >= 0, got {a} and {b}")
    if not 0 <= label_smoothing < 0.5:
        raise ValueError(f"label_smoothing: expected a number in [0, 0.5), got {label_smoothing}")
    if not likelihood >= 0:
        raise ValueError(f"alpha: expected a number >= 0, got {likelihood}")
    numbers: dict[str, Any] = {"a": a, "b": b}
    extra = {"link": (link, "sigmoid"), "margin": (margin, 0.0), "label_smoothing": (label_smoothing, 0.0)}
    numbers.update({key: value for key, (value, default) in extra.items() if value != default})
    needs = ("chosen", "rejected", *(_REFERENCE if b else ()), *(_LENGTH if per_token else ()))
    kept = ["order_blind", "pair_local"]
    kept += [] if per_token else ["length_blind"]
    kept += [] if per_token or likelihood else ["shift_blind"]
    kept += [] if b else ["reference_blind"]
    kept += ["reference_zero"] if a == b else []
    return PairObjective(
        name=name,
        title=title,
        family="pair",
        piece=Piece("loss", pair_loss, numbers, needs),
        source=source,
        needs=needs,
        streams=PAIR_STREAMS,
        invariants=tuple(kept),
        settings=settings,
        departures=departures,
        likelihood=likelihood,
    )
