"""A plain TRL reward function that sees whole groups at any number of processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from breadth.plugins.trl.answers import Distinguish, KeyFunction, runs_of, stable_number, text_of
from breadth.plugins.trl.gathering import everywhere, world
from breadth.plugins.trl.shaping import Step, steps_of

Quality = Callable[..., Sequence[float | None]]


def add_uid(dataset: Any, *, column: str = "uid") -> Any:
    """Return the data set with a column that numbers its rows: by it a group is known in whatever pieces TRL hands it out.

    Raises
    ------
    ValueError
        There is such a column already; name another one here and in ``GroupReward(uid=…)``.
    """
    names = getattr(dataset, "column_names", None) or []
    if column in names:
        raise ValueError(
            f"dataset: it has a column {column!r} already; use add_uid(dataset, column=…) and GroupReward(…, uid=…)"
        )
    if hasattr(dataset, "add_column"):
        try:
            return dataset.add_column(column, list(range(len(dataset))))
        except TypeError:  # a stream has no length
            pass
    return dataset.map(lambda row, number: {column: number}, with_indices=True)


class GroupReward:
    """A reward function for TRL's GRPO and RLOO trainers whose reward depends on the whole group, exact on any number of processes.

    TRL hands every process its own rows, which may be a fragment of a group, and says nothing about it. This one gathers quality and
    texts over the processes, finds the groups by a column of the data set, shapes, and returns its own rows. All processes call it in
    step, as TRL does. Raw quality is logged beside TRL's reward (``quality/mean``, and the column ``quality`` of the completions).

    Parameters
    ----------
    quality : function
        As TRL's reward functions: (completions, prompts, completion_ids, columns of the data set) -> one number each; None and NaN mean
        that the answer could not be scored: no part in the group, no advantage.
    shaping : list, optional
        What is done to the quality before TRL's baseline, see :func:`breadth.plugins.trl.shaping.steps_of`. Nothing: the quality itself.
    partition : Partition or str, optional
        Who says the same thing as whom, for shapings that need ``kind`` or ``distance``.
    key : function, optional
        (texts, prompts) -> canonical labels, for shapings that need ``key`` or ``parsable``.
    correct_at : float
        Quality from which an answer counts as correct.
    uid : str
        Column of :func:`add_uid`.
    max_unscored_share : float
        Above this share of unscored answers in a batch training stops.

    Raises
    ------
    ValueError
        A shaping that needs what is not given.

    Examples
    --------
    >>> import breadth
    >>> reward = GroupReward(lambda completions, **columns: [1.0, 1.0, 1.0, 0.0], shaping=["darling"], partition=breadth.partition("rouge1"))
    >>> answers = ["a red cat", "the red cat", "one owl", "no"]
    >>> [round(value, 2) for value in reward(prompts=["p"] * 4, completions=answers, uid=[0] * 4)]
    [0.67, 0.67, 1.0, 0.0]

    Source: none; what is gathered is TRL's. Departures: none.
    """

    def __init__(
        self, quality: Quality, shaping: Any = (), partition: Any = None, *, key: KeyFunction | None = None,
        correct_at: float = 1.0, uid: str = "uid", max_unscored_share: float = 0.5,
    ) -> None:  # fmt: skip
        if not callable(quality):
            raise TypeError(f"quality: expected a function of (completions, **columns), got {type(quality).__name__}")
        if not 0 <= max_unscored_share <= 1:
            raise ValueError(f"max_unscored_share: expected a number in [0, 1], got {max_unscored_share}")
        self.quality, self.correct_at, self.uid, self.max_unscored_share = quality, correct_at, uid, max_unscored_share
        self.steps: tuple[Step, ...] = steps_of(shaping)
        self.distinguish = Distinguish(partition, key)
        for step in self.steps:
            reason = self.distinguish.missing(step.needs, f"shaping {step.name!r}")
            if reason is not None:
                raise ValueError(reason)
        name = getattr(quality, "__name__", type(quality).__name__)
        self.__name__ = "_".join([*(step.name for step in self.steps), name])  # what TRL logs it under

    def __call__(
        self, prompts: Sequence[Any] | None = None, completions: Sequence[Any] = (),
        completion_ids: Sequence[Sequence[int]] | None = None, **columns: Any,
    ) -> list[float | None]:  # fmt: skip
        """Return one shaped reward for each completion of this process; None where it could not be scored."""
        parts = everywhere(lambda: self._own_rows(prompts, completions, completion_ids, columns))
        first = sum(len(part["quality"]) for part in parts[: world()[0]])
        rows = {name: [value for part in parts for value in part[name]] for name in parts[0]}
        shaped, stats = self._shape(rows)
        self._log(rows["quality"], stats, columns, slice(first, first + len(completions)))
        mine = shaped[first : first + len(completions)].tolist()
        return [None if math.isnan(value) else value for value in mine]

    def _own_rows(
        self, prompts: Any, completions: Any, completion_ids: Any, columns: dict[str, Any]
    ) -> dict[str, list[Any]]:
        n = len(completions)
        if columns.get(self.uid) is None:
            raise ValueError(
                f"GroupReward: the data set has no column {self.uid!r}, by which groups are told apart: train on add_uid(dataset), and "
                "leave remove_unused_columns=False"
            )
        given = {"completions": completions, "completion_ids": completion_ids, **columns}
        values = list(self.quality(**(given if prompts is None else {"prompts": prompts, **given})))
        if len(values) != n:
            raise ValueError(
                f"GroupReward: the quality function returned {len(values)} values for {n} completions: expected one each, in order"
            )
        quality = [math.nan if value is None else float(value) for value in values]
        infinite = [i for i, value in enumerate(quality) if math.isinf(value)]
        if infinite:
            raise ValueError(
                f"GroupReward: {len(infinite)} infinite values from the quality function, first for completion {infinite[0]}: return None "
                "where an answer cannot be scored"
            )
        return {
            "uid": list(columns[self.uid]),
            "quality": quality,
            "text": [text_of(turns) for turns in completions],
            "prompt": [text_of(turns) for turns in prompts] if prompts is not None else [""] * n,
            "length": [-1] * n if completion_ids is None else [len(ids) for ids in completion_ids],
        }

    def _shape(self, rows: dict[str, list[Any]]) -> tuple[torch.Tensor, dict[str, float]]:
        group = runs_of(rows["uid"])
        values = torch.tensor(rows["quality"], dtype=torch.float64)  # (N,)
        unscored = int(values.isnan().sum())
        stats = {"quality/unscored_share": unscored / max(1, len(values))}
        if unscored > self.max_unscored_share * len(values):
            raise RuntimeError(
                f"GroupReward: {unscored} of {len(values)} answers could not be scored (limit {self.max_unscored_share:.0%}, "
                "max_unscored_share): mend the quality function; it returned None or NaN for them"
            )
        wanted = tuple(dict.fromkeys(name for step in self.steps for name in (*step.needs, *step.takes)))
        labels = torch.from_numpy(group)
        streams: dict[str, Any] = {
            "group": labels,
            "scored": ~values.isnan(),
            "correct": values >= self.correct_at,  # NaN compares False
            "prompt_id": torch.tensor([stable_number(name) for name in rows["uid"]]),
            **self.distinguish.streams(rows["text"], rows["prompt"], group, wanted),
        }
        if "length" in wanted and min(rows["length"], default=0) >= 0:
            streams["length"] = torch.tensor(rows["length"])
        sizes = np.bincount(group)
        stats |= {"group_size/mean": float(sizes.mean())} if len(sizes) else {}
        for step in self.steps:
            before = values
            values = step.run(values, labels, streams)
            if step.report is not None:
                stats |= {
                    f"{step.name}/{name}": v for name, v in step.report(before, values, streams, step.settings).items()
                }
        return values.masked_fill(~streams["scored"], torch.nan), stats

    def _log(self, quality: list[float], stats: dict[str, float], columns: dict[str, Any], mine: slice) -> None:
        log_metric, log_extra = columns.get("log_metric"), columns.get("log_extra")
        known = [value for value in quality if not math.isnan(value)]
        if log_metric is not None:
            if known:
                log_metric("quality/mean", sum(known) / len(known))
            for name, value in stats.items():
                log_metric(name, value)
        if log_extra is not None and self.steps:
            log_extra("quality", [None if math.isnan(value) else value for value in quality[mine]])
