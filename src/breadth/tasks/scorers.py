"""What says how good an answer is, by name: a reward model, a judge, or a function from anywhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from breadth.dotted import load_dotted

Quality = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
Conversation = Sequence[Mapping[str, Any]]

# rooms beside this one, loaded when they are asked for
_SCORING = "breadth.scoring"
_CHAT = "breadth.partitions.chat:ChatClient"


class AnswerScorer:
    """A scorer of :mod:`breadth.scoring` (it has ``score(items)``) as a function of answers and their conversations."""

    def __init__(self, scorer: Any) -> None:
        self.scorer = scorer
        self._item = _load(f"{_SCORING}.item:Item", "quality")

    def __call__(self, texts: Sequence[str], conversations: Sequence[Conversation]) -> np.ndarray:
        """Return one score each, (n,) float64, NaN where there is none. What the scorer raises goes through."""
        items = [self._item(tuple(messages), text) for text, messages in zip(texts, conversations, strict=True)]
        out = np.full(len(items), np.nan)
        for place, score in self.scorer.score(items):
            out[place] = np.nan if score.value is None else score.value
        return out


def scorer_of(quality: str | Quality, settings: Mapping[str, Any]) -> Quality | AnswerScorer:
    """Return the scorer that a setting names.

    Parameters
    ----------
    quality : str or function
        ``"reward_model"``: settings ``folder``, and others of :class:`breadth.scoring.reward_model.RewardModel`. ``"judge"``: ``url`` and
        ``model``, others of :class:`breadth.partitions.chat.ChatClient`, and ``temperature``, ``max_tokens`` of the judge.
        ``"module:name"``: a function of (texts, prompts), an object with ``score(items)``, or, with settings, what makes one.
    settings : dict

    Raises
    ------
    ValueError
        A text that is no ``module:name``. ImportError where there is no such thing. TypeError where it cannot be called, or refuses its settings.

    Examples
    --------
    >>> scorer_of("breadth.tasks.open_prompts:word_count", {})(["two words"], [""])
    [2.0]
    """
    if quality == "reward_model":
        return AnswerScorer(_called(_load(f"{_SCORING}.reward_model:RewardModel", "quality"), settings, quality))
    if quality == "judge":
        own = {name: settings[name] for name in ("temperature", "max_tokens") if name in settings}
        client = _called(_load(_CHAT, "quality"), {k: v for k, v in settings.items() if k not in own}, quality)
        return AnswerScorer(_called(_load(f"{_SCORING}.judge:Judge", "quality"), {"client": client, **own}, quality))
    found = _load(quality, "quality") if isinstance(quality, str) else quality
    if settings or inspect.isclass(found):
        found = _called(found, settings, quality)
    if hasattr(found, "score"):
        return AnswerScorer(found)
    if not callable(found):
        raise TypeError(
            f"quality: expected a function of (texts, prompts), got {type(found).__name__} from {quality!r}"
        )
    return found


def _load(name: str, setting: str) -> Any:
    return load_dotted(
        name,
        malformed=f"{setting}: expected reward_model, judge, 'module:name' of a scorer, or a function of (texts, prompts), got {{name!r}}",
        missing=f"{setting}: cannot load {{name}}: {{error}}",
        missing_as=ImportError,
    )


def _called(make: Any, settings: Mapping[str, Any], name: Any) -> Any:
    try:
        inspect.signature(make).bind(**settings)
    except TypeError as error:
        shown = name if isinstance(name, str) else getattr(name, "__name__", type(name).__name__)
        raise TypeError(f"quality_settings: {shown} cannot be called with {dict(settings)}: {error}") from None
    return make(**settings)
