"""An objective's memory in TRL's checkpoints: counts, buckets, the multiplier of a quality target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

FILE = "breadth_objective.json"


class ObjectiveState(TrainerCallback):
    """Writes ``breadth_objective.json`` into every checkpoint, and the multiplier of a quality target into the log."""

    def __init__(self, objective: Any) -> None:
        self.objective = objective

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            if folder.is_dir():
                content = {"objective": self.objective.name, "state": self.objective.state_dict()}
                (folder / FILE).write_text(json.dumps(content) + "\n")


def restore_objective(objective: Any, resume: str | bool | None, output_dir: str) -> None:
    """Give an objective back its memory from the checkpoint that a training resumes from; nothing where it does not resume.

    Raises
    ------
    ValueError
        The checkpoint was written by another objective, or without one while this one remembers.
    """
    folder = get_last_checkpoint(output_dir) if resume is True else resume
    if not folder:
        return
    path = Path(folder) / FILE
    if not path.is_file():
        if objective.state_dict():
            raise ValueError(
                f"{folder}: no {FILE} there, and objective {objective.name!r} remembers earlier steps: resume from a checkpoint that "
                "BreadthGRPOTrainer wrote"
            )
        return
    found = json.loads(path.read_text())
    if found["objective"] != objective.name:
        raise ValueError(f"{path}: was written by the objective {found['objective']!r}, this is {objective.name!r}")
    objective.load_state_dict(found["state"])
