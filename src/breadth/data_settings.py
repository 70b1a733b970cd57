"""Typed settings of what a run learns from besides its own rollouts (pairs, examples), of the controls of a claim, of who says the same
thing as whom in training, and of live forecasts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PoolSettings(Settings):
    """A pool of answers that a policy draws and the task judges: what pairs and examples are chosen from."""

    prompts: Positive = Field(256, description="prompts of a pool (P); a task with one prompt gives it P times")
    samples: Positive = Field(64, description="answers to each prompt (G): a group")
    refresh: Positive | None = Field(
        None,
        description="steps between pools, each drawn from the policy in training; default: one pool, drawn from the prior",
    )


class PreferenceSettings(PoolSettings):
    """Where the families pair and the objective divpo get their pairs."""

    path: str | None = Field(None, description="a JSON Lines file of prompt, chosen, rejected; no pool is drawn then")
    batch: Positive = Field(64, description="pairs per step")
    pairs_per_prompt: Positive | None = Field(
        None, description="pairs out of each group; default: as many as use no answer twice (divpo: its own n_pairs)"
    )
    margin: Annotated[float, Field(ge=0)] = Field(0.0, description="a pair's rewards differ by more than this")
    diversity: Literal["class_share", "distance", "surprisal"] = Field(
        "class_share",
        description="divpo's rarity: 1 − share of the answer's key, mean distance inside the group, −log π per token",
    )


class SftSettings(PoolSettings):
    """Where the family sft gets its examples."""

    source: Literal["corpus", "correct", "diverse", "file"] = Field(
        "correct",
        description="the task's corpus; correct answers of a pool (rejection sampling); one of them per key; a file",
    )
    path: str | None = Field(None, description='for source = "file": JSON Lines of prompt, completion')
    batch: Positive = Field(128, description="examples per step")
    corpus_size: Positive = Field(16384, description='for source = "corpus": texts')
    per_prompt: Positive | None = Field(None, description="at most so many examples of one prompt; default: all")


class ControlSettings(Settings):
    """What a claim must beat. Absent: the experiment itself."""

    reward: Literal["task", "random", "shuffled"] = Field(
        "task",
        description="random: each answer gets a reward drawn from those of the prior's answers, whatever it says; shuffled: "
        "the batch's own rewards, handed to other answers",
    )
    reward_mean: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="for random: 0/1 rewards with this mean, instead of the prior's own rewards"
    )
    reward_samples: Annotated[int, Field(ge=2)] = Field(
        1024, description="for random: answers of the prior that are judged"
    )
    prompts: Positive | None = Field(
        None, description="train on so many distinct prompts, over and over; 1 = one training prompt"
    )


class PartitionSettings(Settings):
    """Who says the same thing as whom in training, in the place of the task's own classes. What is measured stays the task's."""

    backend: str = Field("classifier", description="of breadth.partition")
    clustering: str = Field("greedy", description="greedy, components, average, correlation, or soft (distances only)")
    threshold: Annotated[float, Field(ge=0, lt=1)] | None = Field(None, description="default: the backend's own")
    learn_pairs: Annotated[int, Field(ge=20)] | None = Field(
        None,
        description="fit the classifier first, on so many pairs of the prior's answers to training prompts, labelled by the task's keys",
    )
    settings: dict[str, Any] = Field({}, description="of the backend: model, url, ...")


class ForecastSettings(Settings):
    """Forecasts while a run goes on: what its first checkpoints say about the rest, and a floor of diversity to stop at."""

    target_quality: float = Field(0.9, description="R at which the diversity left is forecast")
    every: Positive = Field(1, description="checkpoints between forecasts")
    stop_at_diversity: Annotated[float, Field(ge=0)] | None = Field(
        None, description="the run stops at a checkpoint whose measured D is at or below this; default: never"
    )
    metric: str = Field("diversity", description="ledger metric read as D")


#: sections by their name in a file that may stand at the top, and inside one objective of a study
SECTIONS: dict[str, type[Settings]] = {
    "preference": PreferenceSettings,
    "sft": SftSettings,
    "control": ControlSettings,
    "partition": PartitionSettings,
}


def data_problems(settings: Any) -> list[str]:
    """Return the problems of these sections that their types do not show: settings that do not go together, a file that is not there."""
    problems = []
    sft: SftSettings | None = settings.sft
    if sft is not None and (sft.source == "file") != (sft.path is not None):
        problems.append(
            'sft: source = "file" needs sft.path'
            if sft.path is None
            else f'sft.path is only read with source = "file", got {sft.source!r}'
        )
    for section, fields in (("preference", "prompt, chosen, rejected"), ("sft", "prompt, completion")):
        path = getattr(getattr(settings, section), "path", None)
        if path is not None and not Path(path).expanduser().is_file():
            problems.append(f"{section}.path: {path}: no such file; expected JSON Lines with {fields}")
    control: ControlSettings | None = settings.control
    if control is not None and control.reward_mean is not None and control.reward != "random":
        problems.append(f'control.reward_mean is only read with reward = "random", got {control.reward!r}')
    partition: PartitionSettings | None = settings.partition
    if partition is not None and partition.learn_pairs is not None:
        if partition.backend != "classifier":
            problems.append(f"partition.learn_pairs fits the backend 'classifier', got {partition.backend!r}: remove one of them")
        if "model" in partition.settings or "encoder" in partition.settings:
            problems.append("partition.learn_pairs fits a model of its own: remove model and encoder from partition.settings")
    return problems
