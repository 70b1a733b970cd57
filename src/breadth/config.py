"""Typed settings of a run and of a study: TOML plus dotted overrides; all problems are shown at once.

Settings stop at the door: the arithmetic rooms receive plain numbers. The resolved settings are written into every run, and
hold everything that decides its result.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from breadth.data_settings import (
    SECTIONS,
    ControlSettings,
    ForecastSettings,
    PartitionSettings,
    PreferenceSettings,
    Settings,
    SftSettings,
)


class ConfigError(ValueError):
    """Settings that cannot be used. ``problems`` lists all of them, one sentence each."""

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self.where, self.problems = where, list(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(f"{where}: {count}\n" + "\n".join(f"  - {p}" for p in self.problems))


class Kind(BaseModel):
    """A named thing of the catalogue and its numbers; the numbers are checked against its own signature."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str

    @property
    def numbers(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


def _folder_name(name: str) -> str:
    if not name or name in (".", "..") or any(c in name for c in "/\\\0"):
        raise ValueError("it names a folder, so it must not be empty, '.' or '..', nor hold / or \\")
    return name


FolderName = Annotated[str, AfterValidator(_folder_name)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class ModelSettings(Settings):
    """Sizes of a model that is trained from nothing."""

    n_layer: Positive = 3
    n_head: Positive = 4
    n_embd: Positive = 64
    n_inner: Positive | None = None
    n_positions: Positive | None = Field(None, description="context; default: what the task needs")
    dropout: Share = 0.0
    tie_word_embeddings: bool = True


class PriorSettings(Settings):
    """Where the starting policy comes from: a model folder (``path``), or pre-training on the task's corpus."""

    path: str | None = Field(None, description="a GPT-2 folder; nothing is trained then")
    seed: int = 0
    steps: Positive = 3000
    batch_size: Positive = 128
    learning_rate: Rate = 5e-3
    final_rate_share: Share = Field(0.1, description="the cosine ends at this share of the learning rate")
    warmup_share: Share = 0.01
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    beta1: Share = 0.9
    beta2: Share = 0.95
    clip_norm: Rate = 1.0
    corpus_size: Positive | None = Field(
        None, description="texts in the corpus; default: all there are, or steps × batch_size for generated ones"
    )
    checkpoint_every: Positive = 500


class TrainSettings(Settings):
    """The reinforcement-learning loop."""

    steps: Annotated[int, Field(ge=0)] = 250
    prompts: Positive = Field(1, description="prompts per step (P)")
    group_size: Positive = Field(128, description="rollouts per prompt (G)")
    learning_rate: Rate = 2e-3
    schedule: Literal["constant", "cosine"] = "constant"
    final_rate_share: Share = 0.1
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    beta1: Share = 0.9
    beta2: Share = Field(
        0.999,
        description="a shorter memory (0.95) lets a nearly converged policy take full-size steps on one rollout's gradient",
    )
    clip_norm: Rate = 1.0
    inner_epochs: Positive | None = Field(
        None, description="passes over each batch of rollouts; default: what the objective recommends"
    )
    minibatches: Positive | None = Field(
        None, description="optimiser steps per pass; default: what the objective recommends"
    )
    micro_batch: Positive = Field(
        128, description="rollouts per forward pass; changes memory, not the result beyond rounding"
    )
    max_unscored_share: Share = Field(0.5, description="the run stops when more rollouts than this could not be scored")
    reward_timeout: Rate | None = Field(
        None, description="seconds for one call of the reward; what takes longer is ended and unscored; default: no limit"
    )
    max_refused: Positive = Field(5, description="the run stops after this many refused updates in a row")
    reward_schedule: Literal["constant", "linear"] | None = Field(
        None, description="linear: rewards are multiplied by 1 − step/steps (σ of REINVENT falls to 0); default: constant"
    )
    reward_transform: Literal["half", "double", "square", "root"] | None = Field(
        None, description="a monotone transform of the reward that the objective sees: x/2, 2x, x², √x; what is measured stays"
    )
    replay_from: str | None = Field(
        None, description="a file of answers that an objective with a replay memory starts with, scored by the task; default: an empty memory"
    )
    padded_likelihood: bool = Field(
        False, description="likelihoods of whole answers also sum over the end tokens that pad a batch's rows, as MolRL-MGPT's code does"
    )


class SampleSettings(Settings):
    """How rollouts are drawn in training."""

    temperature: Rate = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Positive | None = Field(None, description="default: the task's")


class MeasureSettings(Settings):
    """What is measured at a checkpoint, and how often."""

    every: Positive = 10
    sets: Positive = 10
    samples_per_set: Annotated[int, Field(ge=2)] = 100
    temperature: Rate = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    keep_samples: Literal["all", "ends", "none"] = Field(
        "ends", description="which checkpoints keep their samples: all, first and last, none"
    )
    entropy_of: Literal["full", "truncated"] | None = Field(
        None, description="whose log-probabilities policy_entropy takes: the whole policy's (default), or those after temperature, top_k and top_p"
    )


class EngineSettings(Settings):
    """The machine. Threads are part of the result: they decide the order of sums."""

    threads: Positive = 1
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    cuda_graphs: bool = Field(False, description="sampling on a GPU as one captured graph a token; not measured on a GPU yet")
    keep_activations: bool = Field(
        True, description="keep what sampling computed for a step's first update, up to 2 GiB: models of width 256 and more, on a CPU"
    )
    trackers: tuple[str, ...] = Field((), description="tensorboard, trackio, wandb: as accelerate knows them")
    keep_checkpoints: Literal["all", "last"] = Field(
        "all", description="weights of every checkpoint, or of the last two only"
    )


class Common(Settings):
    task: Kind
    model: ModelSettings = ModelSettings()
    prior: PriorSettings = PriorSettings()
    train: TrainSettings = TrainSettings()
    sample: SampleSettings = SampleSettings()
    measure: MeasureSettings = MeasureSettings()
    engine: EngineSettings = EngineSettings()
    preference: PreferenceSettings | None = None
    sft: SftSettings | None = None
    control: ControlSettings | None = None
    partition: PartitionSettings | None = None
    forecast: ForecastSettings | None = None
    trl: dict[str, Any] | None = Field(None, description="arguments of TRL's GRPOConfig, and peft, model: read by --engine trl alone")


class RunSettings(Common):
    """One training run: the file of ``breadth train``."""

    study: str = "run"
    label: str | None = Field(None, description="how the objective is called in tables; default: its kind")
    seed: int = 0
    objective: Kind

    @property
    def name(self) -> str:
        return self.label or self.objective.kind


class TuneSettings(Settings):
    """The same small search for every objective, on seeds of its own: runs that the results never use."""

    learning_rates: tuple[Rate, ...] = Field(min_length=2)
    seeds: tuple[int, ...] = (1000, 1001)
    at_quality: float = Field(0.95, description="the choice: highest mean D at this quality on the frontier; where no rate reaches it, highest R")


class StudyHead(Settings):
    """What is compared in a study."""

    title: str | None = None
    seeds: tuple[int, ...] = (0, 1, 2)
    baseline: str | None = Field(None, description="label that the others are compared with; default: the first")
    at_quality: tuple[float, ...] = (0.9, 0.95)
    diversity: str = Field("diversity", description="metric read as D in the laws; diversity_unique: repeats dropped first")
    frontier_diversity: str = Field("diversity_valid", description="metric read as D on the frontier and in comparisons")
    margin: Rate = Field(0.02, description="δ of the equivalence test, in units of D")
    interval: Literal["profile", "bootstrap", "bca"] | None = Field(
        None, description="how intervals of the laws are made; default: profile, as breadth fit"
    )
    n_boot: Positive = 1000
    workers: Positive | None = Field(None, description="runs in parallel; default: the number of cores")
    tune: TuneSettings | None = Field(None, description="a search over learning rates before the study, see below")


class ObjectiveEntry(BaseModel):
    """One line of a study: an objective, its numbers, and what differs in training."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str | None = None
    train: dict[str, Any] = {}
    preference: dict[str, Any] = {}
    sft: dict[str, Any] = {}
    control: dict[str, Any] = {}
    partition: dict[str, Any] = {}

    @property
    def numbers(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class StudySettings(Common):
    """Several objectives from one prior: the file of ``breadth study``."""

    name: FolderName
    study: StudyHead = StudyHead()
    objectives: dict[FolderName, ObjectiveEntry] = Field(min_length=1)

    def run_settings(self, label: str, seed: int, **changes: Any) -> RunSettings:
        """Return the settings of one run of this study; ``changes`` replace settings of ``[train]``."""
        entry = self.objectives[label]
        train = TrainSettings(**{**self.train.model_dump(), **entry.train, **changes})
        data = {}
        for name, section in SECTIONS.items():
            shared, own = getattr(self, name), getattr(entry, name)
            data[name] = section(**{**(shared.model_dump() if shared else {}), **own}) if shared or own else None
        return RunSettings(
            study=self.name,
            label=label,
            seed=seed,
            objective=Kind(kind=entry.kind or label, **entry.numbers),
            train=train,
            **data,
            **{k: getattr(self, k) for k in ("task", "model", "prior", "sample", "measure", "engine", "forecast", "trl")},
        )


S = TypeVar("S", bound=Settings)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the nearest known word, or the known words if none is near."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"


def read_toml(path: Path) -> dict[str, Any]:
    """Return the contents of a TOML file; ``ConfigError`` with the line where it is not TOML."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(str(path), ["no such file"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [f"expected UTF-8 text: {error}"]) from None
    except (ValueError, RecursionError) as error:  # also a number or brackets beyond what Python takes
        raise ConfigError(str(path), [f"not TOML: {error}"]) from None


def apply_overrides(data: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return data with ``a.b=c`` overrides put in; the value is read as TOML, and as plain text where it is not TOML.

    Examples
    --------
    >>> apply_overrides({"train": {"steps": 5}}, ["train.steps=7", "task.kind=line"])
    {'train': {'steps': 7}, 'task': {'kind': 'line'}}
    """
    out = json.loads(json.dumps(data))
    for text in overrides:
        key, equals, raw = text.partition("=")
        path = key.strip().split(".")
        if not equals or not all(path):
            raise ConfigError("--set", [f"expected KEY=VALUE such as train.steps=100, got {text!r}"])
        try:
            value = tomllib.loads(f"v = {raw}")["v"]
        except (ValueError, RecursionError):
            value = raw.strip()
        place = out
        for name in path[:-1]:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise ConfigError("--set", [f"{key.strip()}: {name!r} is a value, not a table"])
        place[path[-1]] = value
    return out


def build_settings(
    model: type[S], data: Mapping[str, Any], *, where: str, checks: Sequence[Callable[[S], list[str]]] = ()
) -> S:
    """Return validated settings.

    Parameters
    ----------
    checks : functions of the settings that return problems
        Run when every field is well-formed; all their problems are shown together.

    Raises
    ------
    ConfigError
        With every problem: unknown keys (nearest name), wrong types, values out of range, failed checks.
    """
    try:
        settings = model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(where, [sentence(e, model) for e in error.errors()]) from None
    problems = [p for check in checks for p in check(settings)]
    if problems:
        raise ConfigError(where, problems)
    return settings


def sentence(error: Any, model: type[BaseModel]) -> str:
    """Return one of pydantic's errors as a sentence: key, what was expected, what came."""
    path = [str(p) for p in error["loc"]]
    key = ".".join(path) or "the file"
    kind = error["type"]
    if kind == "extra_forbidden":
        place: Any = model
        for name in path[:-1]:
            field = getattr(place, "model_fields", {}).get(name)
            place = field.annotation if field is not None else None
            place = next((a for a in get_args(place) if isinstance(a, type) and issubclass(a, BaseModel)), place)
        return f"{key}: unknown key{nearest(path[-1], getattr(place, 'model_fields', {}))}"
    if kind == "missing":
        return f"{key}: missing"
    message = error["msg"].replace("Input should be", "expected").replace("Input should", "should")
    return f"{key}: {message[0].lower()}{message[1:]}, got {error['input']!r}"
