"""What every run does whatever it learns from: folder, resuming, checkpoints, measurements, refusals; a loop fills in the step.

What is on disk after step s depends on the settings alone. Every random stream is named by (seed, step, purpose), so there is
no generator state to save; a checkpoint holds weights, heads, optimiser, the objective's memory and the loop's own state. On
resuming, rows that were written after the last checkpoint are removed and written again, equal.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from breadth.config import RunSettings
from breadth.data_settings import ControlSettings
from breadth.engine.activations import Activations
from breadth.engine.checkpoint import (
    load_checkpoint,
    save_checkpoint,
    step_folder,
    steps_on_disk,
    thin_out,
    verify,
)
from breadth.engine.controls import Controls
from breadth.engine.gpt import GPT, load_gpt2
from breadth.engine.heads import heads_for, parameters
from breadth.engine.machine import Machine
from breadth.engine.rollout import Sampling, sample
from breadth.engine.streams import REFERENCE, suits, trainable
from breadth.engine.tokenizer import FileTokenizer, Tokenizer, banned_tokens, load_tokenizer
from breadth.ledger.events import EventLog, machine_facts
from breadth.ledger.rows import append_rows, finite, keep_rows, measurement_row, read_rows, write_atomic
from breadth.records import Measurement, Rollouts
from breadth.seeds import derive_seed
from breadth.tasks.protocol import Task
from breadth.tasks.scoring import Scored, ScoreFunction, score_batch
from breadth.tasks.vocabulary import Vocabulary

if TYPE_CHECKING:
    from breadth.objectives.composition import Objective


STOPPED = "stopped.json"  # step and reason of a stop that was asked for; gone when the run goes on


class RunStopped(RuntimeError):
    """A run that cannot go on; the message says why and what to do. What was written stays."""


class Measure(Protocol):
    """What the loop calls at a checkpoint; it writes the samples it wants to keep, and returns the measurements."""

    def __call__(self, model: GPT, *, step: int, machine: Machine) -> list[Measurement]: ...


@dataclass
class RunFrame:
    """One run in one folder. :meth:`go` starts it, continues it, or finds it done.

    A loop gives ``_train_step``; where it keeps more than the objective's memory, also ``_own_state`` and ``_load_own_state``.
    ``on_step`` and ``on_measure`` are told of each training step and each measurement. ``on_checkpoint`` is asked when the rows of a
    checkpoint are on the disk: a text stops the run there, with that reason, and the same command goes on from there.
    """

    settings: RunSettings
    folder: Path
    task: Task
    objective: Objective
    prior: Path
    measure: Measure
    tokenizer: Tokenizer | None = None
    reward: ScoreFunction | None = None
    on_step: Callable[[dict[str, Any]], None] = lambda row: None
    on_measure: Callable[[int, list[Measurement]], None] = lambda step, rows: None
    on_checkpoint: Callable[[int], str | None] = lambda step: None
    _refused: int = field(default=0, init=False)

    def go(self) -> None:
        """Train to the last step of the settings.

        Raises
        ------
        RunStopped
            Where too many rollouts are unscored or too many updates in a row were refused.
        CheckpointError, LedgerError
            Where what lies in the folder is damaged.
        """
        start = self.begin()
        if start is None:
            return
        for step in range(start, self.settings.train.steps):
            if step % self.settings.measure.every == 0 and self.halt(step):
                return
            self._train_step(step)
        self.finish()

    def begin(self, *, at: int | None = None) -> int | None:
        """Make everything ready and return the step at which the run goes on; None where it is done.

        Parameters
        ----------
        at : int, optional
            Go on from this checkpoint (0: from the prior) though there may be newer ones: agents that are trained in turn must stand at the
            same step. Default: the newest.
        """
        self._started = time.perf_counter()
        s, folder = self.settings, self.folder
        folder.mkdir(parents=True, exist_ok=True)
        self.events = EventLog(folder / "events.jsonl")
        if at is not None and at < s.train.steps:
            (folder / "done.json").unlink(missing_ok=True)
        if self._done():
            return None
        reason = trainable(self.objective) or suits(self.objective, self.task, reward=self.reward)
        if reason is not None:
            raise RunStopped(reason)
        self.machine = Machine(
            s.engine, folder, tracker_settings={"study": s.study, "objective": s.name, "seed": s.seed}
        )
        device = self.machine.device
        self.model = load_gpt2(self.prior, dropout=0.0).to(device)
        self.tokenizer = self.tokenizer or load_tokenizer(self.prior)
        self.reference = self._reference()
        self.sampling = sampling_of(s.sample, self.task)
        self.banned = banned_tokens(self.tokenizer, end_token=self.sampling.end_token)
        heads = heads_for(self.objective, self.model.shape.n_embd)
        self.heads = None if heads is None else heads.to(device)
        self.optimizer = torch.optim.AdamW(
            parameters(self.model, self.heads),
            lr=s.train.learning_rate,
            betas=(s.train.beta1, s.train.beta2),
            weight_decay=s.train.weight_decay,
            fused=True,
        )
        self.forward = torch.compile(self.model, dynamic=True) if s.engine.compile else self.model
        self.controls = self._controls()
        self._start = self._resume(at)
        self.events.add("resumed" if self._start else "started", step=self._start, **machine_facts())
        return self._start

    def halt(self, step: int) -> bool:
        """Save and measure the checkpoint of a step, and return whether the run is to stop there."""
        self._checkpoint(step, fresh=step != self._start or self._start == 0)
        reason = self.on_checkpoint(step)
        if reason is not None:
            self._stop(step, reason)
            return True
        (self.folder / STOPPED).unlink(missing_ok=True)
        return False

    def finish(self) -> None:
        """Save and measure the last checkpoint, and say that the run is done."""
        steps = self.settings.train.steps
        self._checkpoint(steps, fresh=steps != self._start or self._start == 0)
        self.on_checkpoint(steps)
        seconds = time.perf_counter() - self._started
        write_atomic(self.folder / "done.json", (json.dumps({"step": steps}) + "\n").encode())
        self.events.add("finished", step=steps, seconds=round(seconds, 3))
        self.machine.close()

    def _stop(self, step: int, reason: str) -> None:
        """Record a stop that was asked for. The run is not complete, and can go on."""
        text = json.dumps({"step": step, "reason": reason}, ensure_ascii=False) + "\n"
        write_atomic(self.folder / STOPPED, text.encode())
        self.events.add("stopped", step=step, reason=reason)
        self.machine.close()

    def _done(self) -> bool:
        path = self.folder / "done.json"
        if not path.is_file():
            return False
        if json.loads(path.read_text())["step"] == self.settings.train.steps:
            return True
        path.unlink()  # the run was extended
        return False

    def _reference(self) -> GPT | None:
        if not REFERENCE & set(self.objective.needs) and getattr(self.objective, "novelty", None) is None:
            return None
        reference = load_gpt2(self.prior, dropout=0.0).to(self.machine.device)
        return reference.requires_grad_(False)

    def _resume(self, at: int | None) -> int:
        """Load the newest checkpoint (or that of step ``at``), cut the files back to it, and return its step; 0 where there is none."""
        root = self.folder / "checkpoints"
        steps = [step for step in steps_on_disk(root) if at is None or step <= at]
        say = lambda text: self.events.add("repaired", what=text)  # noqa: E731
        step, own = 0, {}
        if steps:
            step = steps[-1]
            _, state = load_checkpoint(step_folder(root, step), self.model, self.optimizer, heads=self.heads)
            self.objective.load_state_dict(state["objective"])
            self._refused = state["refused_in_a_row"]
            own = state.get("own", {})
        keep_rows(self.folder / "ledger.jsonl", lambda row: row["step"] < step, on_repair=say)
        keep_rows(self.folder / "steps.jsonl", lambda row: row["step"] <= step, on_repair=say)
        n_rows = len(read_rows(self.folder / "steps.jsonl")) if (self.folder / "steps.jsonl").is_file() else 0
        if n_rows != step:
            raise RunStopped(
                f"{self.folder / 'steps.jsonl'}: expected {step} rows before the checkpoint, found {n_rows}: delete the run folder and run again"
            )
        self._load_own_state(step, own)
        return step

    def _checkpoint(self, step: int, *, fresh: bool) -> None:
        """Save the state after ``step`` updates, then measure it. ``fresh`` False: the checkpoint is on disk already."""
        s = self.settings
        root = self.folder / "checkpoints"
        if fresh:
            state = {"objective": self.objective.state_dict(), "refused_in_a_row": self._refused}
            own = self._own_state()
            state |= {"own": own} if own else {}
            force_to_disk(self.folder / "steps.jsonl")  # a checkpoint must not outlive the rows before it
            checkpoint = save_checkpoint(
                root,
                step=step,
                model=self.model,
                optimizer=self.optimizer,
                tokenizer=self.tokenizer if isinstance(self.tokenizer, Vocabulary | FileTokenizer) else None,
                state=state,
                keep=s.engine.keep_checkpoints,
                heads=self.heads,
                own=self._own_tensors(),
            )
        else:
            checkpoint = verify(step_folder(root, step))
            thin_out(root, s.engine.keep_checkpoints)
        measured = self.measure(self.model, step=step, machine=self.machine)
        rows = [
            measurement_row(
                m, study=s.study, objective=s.name, seed=s.seed, step=step, checkpoint=checkpoint.weights_hash
            )
            for m in measured
        ]
        append_rows(self.folder / "ledger.jsonl", rows)
        self.machine.track({m.metric: m.value for m in measured if m.value is not None}, step)
        self.on_measure(step, measured)

    # What a loop fills in.

    def _train_step(self, step: int) -> None:
        """Take the step after ``step`` updates, and write its row."""
        raise NotImplementedError

    def _own_state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold besides weights, optimiser and the objective's memory; JSON-able."""
        return {}

    def _own_tensors(self) -> dict[str, torch.Tensor]:
        """Return the tensors that a checkpoint must hold besides those of model, heads and optimiser."""
        return {}

    def _load_own_state(self, step: int, state: dict[str, Any]) -> None:
        """Take back what ``_own_state`` returned at a checkpoint; ``step`` 0 and an empty dict at the start of a run."""

    # What loops use.

    def sample_groups(
        self,
        model: GPT,
        prompts: list[str],
        size: int,
        generator: torch.Generator,
        *,
        first_group: int = 0,
        keep: Activations | None = None,
    ) -> Rollouts:
        """Return ``size`` answers to each prompt; every prompt is a group of its own. ``keep`` as in :func:`sample`."""
        names = torch.tensor([stable_id(p) for p in prompts]).repeat_interleave(size)
        group = first_group + torch.arange(len(prompts)).repeat_interleave(size)
        repeated = [p for p in prompts for _ in range(size)]
        with self.machine.autocast():
            return sample(
                model, repeated, self.tokenizer, self.sampling, generator=generator, group=group, prompt_id=names, keep=keep,
                graphs=self.machine.graphs,
            )

    def _controls(self) -> Controls:
        """Return the controls of this run; where the reward is random, the prior's answers are judged first."""
        s = self.settings
        settings = s.control or ControlSettings()
        rewards = None
        if settings.reward == "random" and settings.reward_mean is None:
            prompts = self.task.prompts(settings.reward_samples, seed=derive_seed(s.seed, "control", "reward prompts"))
            generator = torch.Generator().manual_seed(derive_seed(s.seed, "control", "reward answers"))
            prior = load_gpt2(self.prior, dropout=0.0).to(self.machine.device)
            answers = self.sample_groups(prior, prompts, 1, generator)
            rewards = score_batch(
                self.reward or self.task.reward, answers.text, answers.prompt, vectors=self.reward is not None,
                timeout=s.train.reward_timeout,
            ).values
            rewards = rewards[~np.isnan(rewards)]
            if not len(rewards):
                raise RunStopped("control.reward: none of the prior's answers could be scored, so there is no reward to draw from")
        return Controls(settings, s.seed, self.task.describe().correct_at, rewards)

    def _set_rate(self, step: int) -> float:
        """Set the learning rate of a step, and return it."""
        train = self.settings.train
        rate = learning_rate(
            step, train.steps, train.learning_rate, train.warmup_steps, train.schedule, train.final_rate_share
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _write_row(self, step: int, row: dict[str, Any]) -> None:
        """Append the row of a step to ``steps.jsonl``, and tell trackers and watchers."""
        row = {k: finite(v) if isinstance(v, float) else v for k, v in row.items()}
        append_step(self.folder / "steps.jsonl", row)
        self.machine.track(row, step + 1)
        self.on_step(row)

    def _check_scores(self, step: int, scored: Scored) -> None:
        n = len(scored.values)
        if scored.n_unscored:
            self.events.add("unscored", step=step, n=scored.n_unscored, of=n, reasons=list(scored.failures)[:3])
        if scored.n_unscored > self.settings.train.max_unscored_share * n:
            raise RunStopped(
                f"step {step}: {scored.n_unscored} of {n} rollouts could not be scored (limit: {self.settings.train.max_unscored_share:.0%}, "
                f"train.max_unscored_share). The scorer said: {'; '.join(scored.failures[:3])}. Mend the reward and run the same "
                "command again: it goes on from the last checkpoint"
            )

    def _count_refusals(self, step: int, refused: str | None) -> None:
        self._refused = self._refused + 1 if refused else 0
        if refused:
            self.events.add("refused", step=step, reason=refused)
        if self._refused >= self.settings.train.max_refused:
            raise RunStopped(
                f"step {step}: {self._refused} updates in a row were refused, the last because {refused}. The weights are as they were "
                "before; lower train.learning_rate or look at these rollouts"
            )


def append_step(path: Path, row: dict[str, Any]) -> None:
    """Append one row without forcing it to the disk: what a power cut can lose here is computed again on resuming."""
    with open(path, "ab") as file:
        file.write((json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode())


def force_to_disk(path: Path) -> None:
    """Force a file's contents to the disk, if it is there."""
    if path.is_file():
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def sampling_of(settings: Any, task: Task) -> Sampling:
    """Return how completions are drawn for a task; ``settings`` has temperature, top_k, top_p, and perhaps max_tokens."""
    description = task.describe()
    return Sampling(
        max_tokens=getattr(settings, "max_tokens", None) or description.max_tokens,
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        end_token=description.end_token,
    )


def learning_rate(step: int, steps: int, peak: float, warmup: int, schedule: str, final_share: float) -> float:
    """Return the learning rate of an update: linear warm-up, then constant, or a cosine down to ``final_share`` of the peak.

    Examples
    --------
    >>> learning_rate(0, 100, 1.0, 10, "constant", 0.1), learning_rate(50, 100, 1.0, 10, "constant", 0.1)
    (0.1, 1.0)
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule == "constant":
        return peak
    done = (step - warmup) / max(1, steps - warmup)
    return peak * (final_share + (1 - final_share) * 0.5 * (1 + math.cos(math.pi * done)))


def stable_id(prompt: str) -> int:
    """Return a number for a prompt that is the same in every step and run: the first 8 bytes of its SHA-256, 63 bits."""
    return int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8], "big") >> 1
