"""What an objective is: a frozen, explicit, ordered list of pieces, and the two calls that run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from breadth.losses.aggregation import check_mode, loss_denominator, sequence_logprob, to_scalar
from breadth.objectives.novelty import NoveltySettings
from breadth.objectives.streams import check_names, prepare, require
from breadth.records import Loss

#: what an objective may promise about its advantages; "reward" below means the rewards of scored rollouts
INVARIANTS = {
    "shift_blind": "a constant added to every reward changes no advantage",
    "order_blind": "permuting the rollouts permutes the advantages",
    "group_of_one_zero": "a group with one scored member gives it advantage 0",
    "all_equal_zero": "a group whose rewards are all equal gives its members advantage 0",
    "zero_sum": "advantages sum to 0 in every group",
    "group_local": "the advantages of a group depend on that group alone",
}
FAMILIES = ("policy", "actor_critic", "group", "pair", "selection", "sft")


@dataclass(frozen=True)
class Piece:
    """One step of an objective: a pure function, its numbers, and the streams that it needs or can use."""

    slot: str  # "A1", "A2", "A3", "token weight", "loss", "penalty", "value loss"
    function: Callable[..., Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()  # handed on if present
    report: Callable[..., dict[str, float]] | None = None  # (before, after, streams, settings) -> statistics
    gives: tuple[str, ...] = ()  # streams that a coupling makes from the whole batch

    def __call__(self, *values: Tensor, streams: Mapping[str, Any]) -> Any:
        """Run the function on ``values`` with its streams and settings."""
        given = {name: streams[name] for name in (*self.needs, *self.takes) if streams.get(name) is not None}
        return self.function(*values, **given, **self.settings)

    def __str__(self) -> str:
        numbers = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        needs = f"  needs {', '.join(self.needs)}" if self.needs else ""
        return f"{self.slot:<12} {self.function.__name__}({numbers}){needs}"


@dataclass(frozen=True)
class Aggregation:
    """How the loss matrix becomes a scalar; see :data:`breadth.losses.aggregation.AGGREGATIONS`."""

    mode: str
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        check_mode(self.mode)

    def __str__(self) -> str:
        number = f", max_tokens={self.max_tokens}" if self.max_tokens is not None else ""
        return f"{'aggregation':<12} {self.mode}{number}"


@dataclass(frozen=True)
class Objective:
    """A named method, as the ordered list of its pieces. Made by :func:`breadth.objective`.

    ``advantage`` runs A1 → A2 → A3, ``loss`` the token weights, the loss, the penalties and the aggregation. For the
    family ``group`` the loss takes rewards and whole sequences, not advantages; ``advantage`` then gives the advantage
    form, whose policy gradient has the same direction. The family ``actor_critic`` has advantages (N, T) and a value head.

    Examples
    --------
    >>> import torch, breadth
    >>> objective = breadth.objective("dr_grpo")
    >>> print(objective)
    dr_grpo (policy), needs reward, group
      A2           centre()
      loss         ppo_clip_loss(clip_low=0.2, clip_high=0.2)
      aggregation  seq_mean_token_sum
    >>> advantage = objective.advantage(reward=torch.tensor([1.0, 0.0]), group=torch.tensor([0, 0]))
    >>> advantage
    tensor([ 0.5000, -0.5000])
    >>> logp = torch.tensor([[-1.0], [-2.0]], requires_grad=True)
    >>> loss = objective.loss(logp=logp, advantage=advantage, mask=torch.tensor([[True], [True]]))
    >>> loss.value.backward()
    >>> logp.grad.flatten()
    tensor([-0.2500,  0.2500])
    """

    name: str
    title: str
    family: str
    baseline: Piece
    loss_piece: Piece
    aggregation: Aggregation
    source: str
    invariants: tuple[str, ...]
    shape_rewards: tuple[Piece, ...] = ()
    shape_advantages: tuple[Piece, ...] = ()
    token_weights: tuple[Piece, ...] = ()
    penalties: tuple[Piece, ...] = ()
    coupled: Piece | None = None  # for losses that tie the members of a group together
    settings: Mapping[str, Any] = field(default_factory=dict)
    departures: tuple[str, ...] = ()
    recommended: Mapping[str, Any] = field(default_factory=lambda: {"inner_epochs": 1, "minibatches": 1})
    novelty: NoveltySettings | None = None  # the model behind `prediction_error`, trained beside the policy

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"family: expected one of {', '.join(FAMILIES)}, got {self.family!r}")
        for name in ("settings", "recommended"):
            object.__setattr__(self, name, dict(getattr(self, name)))
        object.__setattr__(self, "invariants", tuple(name for name in INVARIANTS if name in self.invariants))

    @property
    def pieces(self) -> tuple[Piece | Aggregation, ...]:
        """All pieces in the order in which they run."""
        shaping = (*self.shape_rewards, self.baseline, *self.shape_advantages)
        return (*shaping, *self.token_weights, self.loss_piece, *self.penalties, self.aggregation)

    @property
    def advantage_needs(self) -> tuple[str, ...]:
        """Streams without which ``advantage`` raises."""
        pieces = (*self.shape_rewards, self.baseline, *self.shape_advantages)
        return tuple(dict.fromkeys(["reward", "group", *(name for piece in pieces for name in piece.needs)]))

    @property
    def loss_needs(self) -> tuple[str, ...]:
        """Streams that ``loss`` needs besides ``logp``, ``mask`` and (but in the group family) ``advantage``."""
        pieces = (*self.token_weights, self.loss_piece, *self.penalties)
        names = [name for piece in pieces for name in piece.needs]
        if self.coupled is not None:
            names = [*(name for name in names if name not in self.coupled.gives), *self.coupled.needs]
        return tuple(dict.fromkeys(names))

    @property
    def needs(self) -> tuple[str, ...]:
        """Streams that the two calls need together, without what every trainer has (logp, logp_old, mask)."""
        return tuple(dict.fromkeys([*self.advantage_needs, *self.loss_needs]))

    def advantage(self, **streams: Any) -> Tensor:
        """Return the advantages, (N,) or (N, T), detached; 0 for unscored rollouts. See :meth:`shape`."""
        return self.shape(**streams)[0]

    @torch.no_grad()
    def shape(self, **streams: Any) -> tuple[Tensor, dict[str, float]]:
        """Return the advantages, (N,) or in the family ``actor_critic`` (N, T), and the statistics of the shaping.

        Parameters
        ----------
        **streams
            By name, see :data:`breadth.objectives.streams.STREAMS`; those that this objective does not use are accepted
            and ignored, so that a trainer may hand over all it has.

        Returns
        -------
        advantage : (N,) or (N, T) float32 or wider, detached
        stats : dict of float
            ``n_unscored``, ``advantage_deviation``, ``zero_advantage_share``, and what the pieces report.

        Raises
        ------
        TypeError
            A stream with an unknown name (the nearest is suggested) or of the wrong type.
        ValueError
            A stream that is needed and absent (with how to get it), shapes that differ, values that are not finite.
        """
        pieces = (*self.shape_rewards, self.baseline, *self.shape_advantages)
        takes = tuple(name for piece in pieces for name in piece.takes)
        ready = prepare(self.name, streams, needs=self.advantage_needs, takes=takes)
        group, scored, values = ready["group"], ready["scored"], ready["reward"]
        values = values.masked_fill(~scored, torch.nan)
        stats = {"n_unscored": float((~scored).sum())}
        for piece in pieces:
            before = values
            values = piece(values, group, streams=ready)
            if piece.report is not None:
                stats.update(piece.report(before, values, ready, piece.settings))
        per_token = values.ndim == 2
        values = values.masked_fill(~scored[:, None] if per_token else ~scored, 0.0)
        if bool(scored.any()):
            kept = values[scored[:, None] & ready["mask"] if per_token else scored]
            stats["advantage_deviation"] = float(kept.std(correction=0))
            stats["zero_advantage_share"] = float((kept == 0).to(kept.dtype).mean())
        return values, stats

    def denominator(self, mask: Tensor, **streams: Any) -> float:
        """Return the whole batch's denominator, to be handed to ``loss`` for each of its micro-batches.

        ``token_mean``: kept tokens; ``seq_mean_…``: N; ``token_sum_over_constant``: N·max_tokens; ``seq_mean``: scored
        sequences; ``group_mean``: groups with at least two scored members. The last two need ``reward`` (or ``scored``)
        and ``group``; hand over the same streams as to ``loss``.
        """
        check_names(self.name, streams)
        return loss_denominator(
            self.aggregation.mode,
            mask=mask,
            group=streams.get("group"),
            scored=_scored(streams),
            max_tokens=self.aggregation.max_tokens,
        )

    def loss(
        self,
        *,
        logp: Tensor,
        mask: Tensor,
        advantage: Tensor | None = None,
        logp_old: Tensor | None = None,
        denominator: float | None = None,
        **streams: Any,
    ) -> Loss:
        """Return the loss of these rows: a scalar with gradient, its matrix, and statistics.

        Parameters
        ----------
        logp : (N, T) with gradient, nats
        mask : (N, T) bool
            True = a completion token; what stands under False never leaks, not even NaN.
        advantage : (N,) or (N, T)
            Needed by all families but ``group``.
        logp_old : (N, T), optional
            Absent = on-policy: ``logp`` itself, detached.
        denominator : float, optional
            Of the whole batch, from :meth:`denominator`, if these rows are a micro-batch: the values (and gradients) of
            the micro-batches then sum to the whole batch's. Absent = these rows are the whole batch.
        **streams
            ``logp_ref``, ``entropy``, ``seed``; for the actor-critic family ``value``, ``value_target``, ``value_old``; for
            the group family ``reward``, ``group``, ``seq_logp_ref`` (or
            ``logp_ref``), ``log_z``.
            For a micro-batch also what :meth:`coupling` returned, indexed by its rows; without it these rows are taken
            for the whole batch.

        Raises
        ------
        TypeError
            An unknown stream, or a mask that is not boolean.
        ValueError
            A stream that is needed and absent, shapes that differ, an empty batch.
        """
        check_names(self.name, streams)
        if denominator is None:
            denominator = self.denominator(mask, **streams)
        if self.family == "group":
            matrix, stats = self._sequence_terms(logp, mask, {"logp_old": logp_old, **streams})
        else:
            require(self.name, {"advantage": advantage, **streams}, ("advantage", *self.loss_needs))
            assert advantage is not None  # require has seen to it
            logp_old = logp.detach() if logp_old is None else logp_old
            streams = {**streams, **self._token_choices(logp, logp_old, advantage, mask, streams)}
            for piece in self.token_weights:
                weight = piece(logp_old, advantage, mask, streams=streams)  # (N, T)
                advantage = weight * (advantage if advantage.ndim == 2 else advantage[:, None])  # (N, T)
            matrix, stats = self.loss_piece(logp, logp_old, advantage, mask, streams=streams)  # (N, T)
            for piece in self.penalties:
                extra, more = piece(logp, mask, streams=streams)  # (N, T)
                matrix, stats = matrix + extra, {**stats, **more}
        value = to_scalar(matrix, mask, self.aggregation.mode, denominator)  # ()
        return Loss(value=value, matrix=matrix, stats=stats)

    @torch.no_grad()
    def coupling(self, *, logp: Tensor, mask: Tensor, **streams: Any) -> dict[str, Tensor]:
        """Return streams, (N,) or (N, T), that tie the micro-batches of a batch; empty if the loss couples nobody.

        Means of whole groups for the group family; thresholds and choices among all tokens of the batch for token
        weights. To be indexed by the rows of each micro-batch (and cut to its width).

        Parameters
        ----------
        logp : (N, T), mask : (N, T) bool
            Of the *current* weights, on the whole batch; the result is valid for one update.
        **streams
            What ``loss`` gets: in the policy family that includes ``advantage`` and ``logp_old``.
        """
        check_names(self.name, streams)
        if self.coupled is None:
            return {}
        if self.family != "group":
            advantage, logp_old = (streams.pop(name, None) for name in ("advantage", "logp_old"))
            require(self.name, {"advantage": advantage}, ("advantage",))
            return self._token_choices(logp, logp if logp_old is None else logp_old, advantage, mask, streams)
        needs = ("reward", "group", *self.coupled.needs)
        ready = prepare(self.name, {**streams, "mask": mask}, needs=needs, takes=())
        return self.coupled(sequence_logprob(logp, mask), ready["reward"], ready["group"], streams=ready)

    @torch.no_grad()
    def _token_choices(
        self, logp: Tensor, logp_old: Tensor, advantage: Tensor, mask: Tensor, streams: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        coupled = self.coupled
        if coupled is None or all(streams.get(name) is not None for name in coupled.gives):
            return {}
        require(self.name, streams, coupled.needs)
        scored = _scored(streams)
        kept = mask if scored is None else mask & scored[:, None]  # (N, T)
        return coupled(logp.detach(), logp_old, advantage, kept, streams=streams)

    def _sequence_terms(
        self, logp: Tensor, mask: Tensor, streams: Mapping[str, Any]
    ) -> tuple[Tensor, dict[str, float]]:
        seq_logp = sequence_logprob(logp, mask)  # (N,)
        given = {**streams, "mask": mask}
        ready = prepare(self.name, given, needs=self.loss_needs, takes=("group", *self.loss_piece.takes))
        report = self.loss_piece.report
        stats = {} if report is None else report(seq_logp.detach(), None, ready, self.loss_piece.settings)
        positional = [ready.pop(name) for name in ("reward", "group") if name in self.loss_piece.needs]
        return self.loss_piece(seq_logp, *positional, streams=ready), stats  # (N,)

    # Nothing of this part remembers anything across steps; what does overrides these three.

    def observe(self, **streams: Any) -> None:
        """Take note of a batch after its update. Nothing to remember here; unknown stream names still raise."""
        check_names(self.name, streams)

    def state_dict(self) -> dict[str, Any]:
        """Return what must go into a checkpoint; empty for an objective without memory."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned.

        Raises
        ------
        ValueError
            The state is not empty: it belongs to another objective.
        """
        if state:
            raise ValueError(f"objective {self.name!r} has no state, got keys {', '.join(map(str, state))}")

    def __str__(self) -> str:
        head = f"{self.name} ({self.family}), needs {', '.join(self.needs)}"
        return "\n".join([head, *(f"  {piece}" for piece in self.pieces)])


def _scored(streams: Mapping[str, Any]) -> Tensor | None:
    """Return who is scored, (N,) bool, or None where the streams do not say."""
    scored = streams.get("scored")
    if streams.get("reward") is None:
        return scored
    present = ~torch.isnan(torch.as_tensor(streams["reward"]))
    return present if scored is None else scored & present
