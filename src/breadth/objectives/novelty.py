"""What an objective asks of the model of novelty that a trainer has to train beside the policy: its kind and its numbers."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("forward", "distillation")


@dataclass(frozen=True, kw_only=True)
class NoveltySettings:
    """The model whose prediction errors are the stream ``prediction_error``; the native loop trains it, see its engine.

    Parameters
    ----------
    kind : str
        ``forward``: a forward model of the features of the next state (curiosity). ``distillation``: a network fitted to
        a fixed random one (random network distillation).
    learning_rate : float
        Of the model's own Adam; > 0.
    features : int, optional
        Width of the features; None = that of the hidden states.
    inner : int, optional
        Width of the hidden layers; None = four times that of the hidden states.
    top_k : int
        A token counts as ``in_top_k`` if it is among the policy's k likeliest; ≥ 1.

    Raises
    ------
    ValueError
        Unknown kind or a number out of range.

    Examples
    --------
    >>> NoveltySettings(kind="forward", learning_rate=1e-5).top_k
    1
    """

    kind: str
    learning_rate: float
    features: int | None = None
    inner: int | None = None
    top_k: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {self.kind!r}")
        if not self.learning_rate > 0:
            raise ValueError(f"model_rate: expected a number > 0, got {self.learning_rate}")
        for name, number in (("features", self.features), ("inner", self.inner), ("top_k", self.top_k)):
            if number is not None and number < 1:
                raise ValueError(f"{name}: expected an integer >= 1, got {number}")
