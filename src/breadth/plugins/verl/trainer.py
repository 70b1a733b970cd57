"""verl's trainers with our objectives where texts, log-probabilities or memory are needed: whole groups, found by uid."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from breadth.plugins.verl.batch import Reader, rows_of
from breadth.plugins.verl.command_line import differences
from breadth.plugins.verl.estimators import check_scored, handed_over
from breadth.plugins.verl.settings import TRAINERS, objective_of, read_settings

STATE_FILE = "breadth.json"


class ShapesWholeGroups:
    """What stands before one of verl's trainers: four of its methods, each of which calls verl's own.

    The objective's advantages are made on the driver from the whole batch, right before verl asks its estimator about them; raw rewards
    stay in verl's logs, and what the shaping reports is logged under ``breadth/``. An objective's memory is written after the update
    and kept in ``breadth.json`` beside verl's checkpoints.

    Parameters
    ----------
    config : DictConfig
        verl's; ``algorithm.adv_estimator`` names the objective, ``algorithm.breadth`` is :class:`breadth.plugins.verl.settings.Settings`.

    Raises
    ------
    ValueError
        An objective that verl cannot carry, that lacks what it needs, or an actor whose loss is not the objective's; before any worker
        is started.
    """

    host_mode: str  # verl's name of the trainer behind

    def __init__(self, config: Any, *others: Any, **named: Any) -> None:
        from omegaconf import open_dict

        self.breadth = reader_of(config)
        self._breadth_streams: dict[str, Any] | None = None
        with open_dict(
            config
        ):  # by this name verl decides about its replay buffer, its checkpoints, and the settings of the mode
            config.trainer.v1.trainer_mode = self.host_mode
        super().__init__(config, *others, **named)

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        import transfer_queue as tq

        rows = rows_of(batch.keys, batch.tags)
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=self.breadth.fields)
        streams = self.breadth.streams(data, rows, getattr(self, "tokenizer", None))
        objective = self.breadth.objective
        share = check_scored(
            f"objective {objective.name!r}", streams["reward"], self.breadth.settings.max_unscored_share
        )
        values, stats = objective.shape(**streams)  # (M,)
        metrics.update({f"breadth/{name}": value for name, value in stats.items()})
        metrics["breadth/unscored_share"] = share
        self._breadth_streams = streams
        with handed_over(self.config.algorithm.adv_estimator, rows.spread(values)):
            return super()._compute_advantage(batch, metrics)

    def _update_actor(self, batch: Any, *others: Any, **named: Any) -> Any:
        out = super()._update_actor(batch, *others, **named)
        if self._breadth_streams is not None:
            self.breadth.objective.observe(**self._breadth_streams)
            self._breadth_streams = None
        return out

    def _save_checkpoint(self) -> None:
        objective = self.breadth.objective
        folder = Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"
        write_state(folder, objective)  # first: verl's note of the newest checkpoint comes last
        super()._save_checkpoint()

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if self.global_steps > 0:
            named = self.config.trainer.resume_mode == "resume_path"
            folder = Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"
            read_state(Path(self.config.trainer.resume_from_path) if named else folder, self.breadth.objective)


def reader_of(config: Any) -> Reader:
    """Return the objective of a verl configuration with what feeds it, all settings checked.

    Raises
    ------
    ValueError
        See :class:`ShapesWholeGroups`.
    """
    settings = read_settings(config.algorithm)
    made = objective_of(str(config.algorithm.adv_estimator), settings)
    if config.algorithm.get("use_kl_in_reward", False):
        raise ValueError(
            f"algorithm.use_kl_in_reward: verl would subtract a KL term from rewards that objective {made.name!r} shapes itself: set it to "
            "false (for a pull towards the reference: breadth_rlhf, breadth_qempo_kl, or the setting beta where an objective has it)"
        )
    reader = Reader.of(made, settings)
    found = differences(config, made) if settings.check_loss else []
    if found:
        raise ValueError(
            f"the actor's loss is not that of objective {made.name!r}:\n  "
            + "\n  ".join(found)
            + "\n(all of them: python -m breadth.plugins.verl; to train with the actor's as it is: +algorithm.breadth.check_loss=false)"
        )
    return reader


def write_state(folder: Path, objective: Any) -> None:
    """Write an objective's memory beside verl's checkpoint, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"objective": objective.name, "state": objective.state_dict()}, sort_keys=True, default=_number)
    part = folder / f"{STATE_FILE}.part"
    part.write_text(text)
    os.replace(part, folder / STATE_FILE)


def read_state(folder: Path, objective: Any) -> None:
    """Give an objective its memory back.

    Raises
    ------
    ValueError
        No file although the objective remembers, or one of another objective.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        if objective.state_dict():
            raise ValueError(
                f"{path}: not there, but objective {objective.name!r} remembers earlier steps and cannot continue without: resume from a "
                "checkpoint that one of breadth's trainers wrote, or start over with trainer.resume_mode=disable"
            )
        return
    found = json.loads(path.read_text())
    if found["objective"] != objective.name:
        raise ValueError(
            f"{path}: holds the state of objective {found['objective']!r}, this run trains {objective.name!r}"
        )
    objective.load_state_dict(found["state"])


def _number(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.tolist()
    raise TypeError(f"expected a state of plain JSON, got {type(value).__name__}")


def register_trainers() -> list[str]:
    """Register our trainers with verl's version 1 trainers and return their names."""
    from verl.trainer.ppo.v1 import get_trainer_cls, register_trainer

    for name, host_mode in TRAINERS.items():
        host = get_trainer_cls(host_mode)
        made = type(
            f"Breadth{host.__name__}", (ShapesWholeGroups, host), {"host_mode": host_mode, "__module__": __name__}
        )
        register_trainer(name)(made)
    return list(TRAINERS)
