"""The reinforcement-learning loop: sample, judge, shape, update. All that is not the step is the frame's (run_frame.py)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from breadth.engine.activations import Activations
from breadth.engine.call_log import CallLog
from breadth.engine.checkpoint import own_tensors, step_folder
from breadth.engine.dynamic import mixed_batch
from breadth.engine.gpt import GPT
from breadth.engine.novelty import Novelty
from breadth.engine.padded_rows import padded_rows
from breadth.engine.policy import completion_values, score_completions
from breadth.engine.regroup import Drawn
from breadth.engine.replay import with_replayed
from breadth.engine.replay_start import start_memory
from breadth.engine.respelling import respelled
from breadth.engine.run_frame import RunFrame, RunStopped, force_to_disk
from breadth.engine.streams import judge, vector_means
from breadth.engine.training_partition import against_keys, training_partition
from breadth.engine.update import Batch, UpdateResult, split_minibatches, update
from breadth.objectives.replaying import Replay
from breadth.records import Rollouts
from breadth.seeds import derive_seed


@dataclass
class TrainingRun(RunFrame):
    """A run that learns from its own rollouts: the families policy, actor_critic and group, and dynamic sampling around them.

    ``earlier`` are the models of the agents before this one, where several are trained in turn (agents.py).
    """

    earlier: list[GPT] = field(default_factory=list)

    def __post_init__(self) -> None:
        engine = self.settings.engine
        self.kept = Activations() if engine.keep_activations and not engine.compile else None
        self.selection = None
        if self.objective.family == "selection":
            self.selection, self.objective = self.objective, self.objective.inner

    @property
    def replay(self) -> Replay | None:
        """The objective's replay memory, if it has one."""
        return getattr(self.objective, "replay", None)

    def _own_tensors(self) -> dict[str, torch.Tensor]:
        return {} if self.novelty is None else self.novelty.tensors()

    def _own_state(self) -> dict[str, Any]:
        if self.calls is None or not self.calls.kept:
            return {}
        force_to_disk(self.calls.path)  # a checkpoint must not outlive the calls before it
        return {"n_calls": len(self.calls)}

    def _load_own_state(self, step: int, state: dict[str, Any]) -> None:
        super()._load_own_state(step, state)
        self.calls = CallLog(self.folder, step=step, n_calls=state.get("n_calls")) if self.task.logs_calls else None
        self.partition = training_partition(self)
        if step == 0 and self.settings.train.replay_from is not None:
            self._start_memory(self.settings.train.replay_from)
        wanted = self.objective.novelty
        self.novelty = None
        if wanted is not None:
            self.novelty = Novelty(wanted, self.reference, seed=derive_seed(self.settings.seed, "novelty"))
            if step:
                self.novelty.load_tensors(own_tensors(step_folder(self.folder / "checkpoints", step)))

    def _start_memory(self, path: str) -> None:
        """Put the answers of a file into the replay memory of a run that is at its start."""
        if self.replay is None:
            raise RunStopped(f"train.replay_from fills a replay memory, and the objective {self.objective.name!r} has none: leave it out")
        if self.replay.memory.state_dict()["stored"]:  # resumed at step 0: the checkpoint has it
            return
        try:
            started = start_memory(
                self.replay, path, task=self.task, tokenizer=self.tokenizer, max_tokens=self.sampling.max_tokens,
                reward=self.reward, timeout=self.settings.train.reward_timeout,
            )  # fmt: skip
        except (FileNotFoundError, ValueError) as error:
            raise RunStopped(str(error)) from error
        self.events.add("memory started", step=0, **asdict(started))

    def _train_step(self, step: int) -> None:
        s, train = self.settings, self.settings.train
        rate = self._set_rate(step)
        learnt, counts = self._collect(step)
        if self.calls is not None:
            self.calls.add(step + 1, self.drawn.judged.keys, self.drawn.judged.quality)
        if learnt is None:  # nothing here teaches anything
            self._write_row(step, self._row(step, rate, self.drawn, counts, []))
            return
        rollouts, judged = learnt.rollouts, learnt.judged
        streams = judged.streams
        if self.replay is not None:
            with self.machine.autocast():
                rollouts, streams = with_replayed(
                    self.replay, rollouts, streams, model=self.model, banned=self.banned, micro_batch=train.micro_batch,
                    seed=derive_seed(s.seed, "replay", step),
                )  # fmt: skip
            counts = {**counts, "n_replayed": float(streams["replayed"].sum())}
        if self.novelty is not None:
            with self.machine.autocast():
                streams |= self.novelty.look(self.model, rollouts, banned=self.banned, micro_batch=train.micro_batch)
        judged_reward = streams["reward"]
        batch, stats = self._batch(step, rollouts, streams)
        results = self._updates(step, batch)
        judged_streams = {**batch.streams, "reward": judged_reward}  # memories hold what was scored
        rounds = getattr(self.objective, "augmentation_rounds", 0)
        left = self.objective.shaped_rewards(**judged_streams) if rounds else judged_reward  # by the memories as they were
        self.objective.observe(**judged_streams)
        for number in range(rounds):
            again = self._augmented(step, number, rollouts, {**judged_streams, "reward": left})
            results += self._updates(step, again, first=len(results), purpose=f"augmented {number}")
        if self.novelty is not None:
            counts = counts | self.novelty.learn()
        self._write_row(step, self._row(step, rate, self.drawn, counts | stats, results))

    def _batch(self, step: int, rollouts: Rollouts, streams: dict[str, Any]) -> tuple[Batch, dict[str, float]]:
        """Return what the update reads of judged rollouts, and what their shaping logs."""
        train = self.settings.train
        if train.padded_likelihood:
            rollouts = padded_rows(rollouts, end=self.tokenizer.eos_id)
        tokens: dict[str, torch.Tensor] = {}  # (N, T) each, for the loss
        if self.reference is not None:
            logp_ref = self._logp_ref(self.reference, rollouts)
            tokens["logp_ref"] = logp_ref
            streams |= {"logp_ref": logp_ref, "seq_logp_ref": logp_ref.sum(-1)}
        if self.earlier:
            others = [self._logp(agent, rollouts).sum(-1) for agent in self.earlier]
            streams["seq_logp_agents"] = torch.stack(others, dim=1)  # (N, J)
        if train.reward_transform is not None:
            streams = {**streams, "reward": transformed(streams["reward"], train.reward_transform)}
        if train.reward_schedule == "linear":
            streams = {**streams, "reward_unscheduled": streams["reward"], "reward": streams["reward"] * (1 - step / train.steps)}
        if self.objective.family == "actor_critic":
            with self.machine.autocast():
                value_old = completion_values(
                    self.model, self.heads, rollouts, micro_batch=train.micro_batch, kept=self._kept_of(rollouts)
                )
            streams["value_old"] = value_old
            tokens |= {"value_old": value_old, "value_target": self.objective.targets(**streams)}
        advantage, stats = (None, {}) if self.objective.family == "group" else self.objective.shape(**streams)
        return Batch(rollouts, advantage, streams, tokens), stats

    def _logp(self, model: GPT, rollouts: Rollouts, kept: Activations | None = None) -> torch.Tensor:
        """Return log π of every completion token under a model, (N, T), without gradient."""
        with self.machine.autocast():
            return score_completions(
                model, rollouts, banned=self.banned, micro_batch=self.settings.train.micro_batch, kept=kept
            )

    def _logp_ref(self, reference: GPT, rollouts: Rollouts) -> torch.Tensor:
        """Return log π of the reference, (N, T); while it is the policy itself by the same bits, so that a penalty is exactly 0."""
        kept = self._kept_of(rollouts)
        if kept is not None and equal_weights(self.model, reference):
            return self._logp(self.model, rollouts, kept)
        return self._logp(reference, rollouts)

    def _kept_of(self, rollouts: Rollouts) -> Activations | None:
        """Return what sampling computed of these rollouts, if it was kept: of use until the weights change."""
        return self.kept if self.kept is not None and self.kept.of(rollouts) else None

    def _updates(self, step: int, batch: Batch, *, first: int = 0, purpose: str = "minibatch") -> list[UpdateResult]:
        """Take a batch's optimiser steps; ``first`` of them were taken in this step before."""
        s, train = self.settings, self.settings.train
        epochs = train.inner_epochs or int(self.objective.recommended.get("inner_epochs", 1))
        parts = train.minibatches or int(self.objective.recommended.get("minibatches", 1))
        shuffle = torch.Generator().manual_seed(derive_seed(s.seed, purpose, step))
        results: list[UpdateResult] = []
        whole_groups = self.objective.family == "group"
        for _ in range(epochs):
            for rows in split_minibatches(batch.rollouts.group, parts, whole_groups=whole_groups, generator=shuffle):
                with self.machine.autocast():
                    result = update(
                        self.forward,
                        self.optimizer,
                        self.objective,
                        batch,
                        rows,
                        banned=self.banned,
                        micro_batch=train.micro_batch,
                        clip_norm=train.clip_norm,
                        seed=derive_seed(s.seed, "tokens", step, first + len(results)),
                        heads=self.heads,
                        kept=None if first or results else self._kept_of(batch.rollouts),
                    )
                results.append(result)
                self._count_refusals(step, result.refused)
        return results

    def _augmented(self, step: int, number: int, rollouts: Rollouts, streams: dict[str, Any]) -> Batch:
        """Return a round of augmentation: the step's answers and the memory's, in other spellings."""
        with self.machine.autocast():
            again, of_them = respelled(
                rollouts, streams, self.replay, self.task, self.tokenizer, model=self.model, banned=self.banned,
                micro_batch=self.settings.train.micro_batch, max_tokens=self.sampling.max_tokens,
                seed=derive_seed(self.settings.seed, "augmented", step, number),
            )  # fmt: skip
        return self._batch(step, again, of_them)[0]

    def _collect(self, step: int) -> tuple[Drawn | None, dict[str, float]]:
        """Return what this step learns from, and counts for the log; all that was drawn is in ``drawn``."""
        if self.selection is None:
            self.drawn = self._draw(step)
            self._check_scores(step, self.drawn.judged.scored)
            return self.drawn, {}
        mixed = mixed_batch(lambda k: self._draw(step, *([k] if k else [])), self.selection, wanted=self.settings.train.prompts)
        self.drawn = mixed.drawn
        self._check_scores(step, mixed.drawn.judged.scored)
        if mixed.short is not None:
            self.events.add("short batch", step=step, reason=mixed.short)
        return mixed.kept, mixed.stats

    def _draw(self, *path: int) -> Drawn:
        """Return judged rollouts for a step; ``path`` is the step, and after the first round of several the round."""
        train, seed = self.settings.train, self.settings.seed
        prompts = self.controls.prompts(self.task, train.prompts, seed=derive_seed(seed, "prompts", *path))
        generator = torch.Generator().manual_seed(derive_seed(seed, "rollout", *path))
        rollouts = self.sample_groups(self.model, prompts, train.group_size, generator, first_group=sum(path[1:]) * train.prompts, keep=self.kept)
        judged = judge(
            rollouts, self.task, needs=self.objective.needs, reward=self.reward, timeout=train.reward_timeout, partition=self.partition
        )
        drawn = Drawn(rollouts, judged)
        return self.controls.judged(drawn, *path)

    def _row(
        self, step: int, rate: float, drawn: Drawn, stats: dict[str, float], results: list[UpdateResult]
    ) -> dict[str, Any]:
        """Return the row of ``steps.jsonl``; ``step`` counts the updates done, so the first row is step 1."""
        judged, rollouts = drawn.judged, drawn.rollouts
        values = judged.scored.values
        good = values[~torch.isnan(torch.as_tensor(values)).numpy()]
        mean = float(good.mean()) if len(good) else None
        error = float(good.std(ddof=1) / math.sqrt(len(good))) if len(good) > 1 else None
        mask = rollouts.mask
        row = {
            "step": step + 1,
            "reward": mean,
            "reward_error": error,
            "n_unscored": judged.scored.n_unscored,
            "length": float(mask.sum(-1).float().mean()),
            "token_entropy": float(rollouts.entropy.sum() / mask.sum()),
            "learning_rate": rate,
            "n_refused": sum(r.refused is not None for r in results),
            **vector_means(judged.streams, self.task),
            **(against_keys(judged.streams["kind"].cpu().numpy(), judged.keys, rollouts.group.cpu().numpy()) if self.partition else {}),
            **self.task.step_statistics(rollouts.text),
        }
        for source in ([stats], [r.stats for r in results]):
            for name in dict.fromkeys(k for one in source for k in one):
                found = [one[name] for one in source if name in one]
                row[name] = sum(found) / len(found)
        return row


def equal_weights(one: GPT, other: GPT) -> bool:
    """Return whether two models of a shape have the same weights, bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def transformed(reward: torch.Tensor, how: str) -> torch.Tensor:
    """Return a monotone transform of rewards, (N,): ``half`` x/2, ``double`` 2x, ``square`` x², ``root`` √x; NaN stays NaN.

    Raises
    ------
    ValueError
        A negative reward under ``square`` or ``root``, which would not be monotone, or not real.

    Examples
    --------
    >>> transformed(torch.tensor([0.25, 1.0]), "root").tolist()
    [0.5, 1.0]
    """
    if how in ("square", "root") and bool((reward < 0).any()):
        raise ValueError(f"train.reward_transform: {how!r} needs rewards of 0 or more, got {float(reward[reward < 0].min()):g}")
    return {"half": lambda x: x / 2, "double": lambda x: 2 * x, "square": torch.square, "root": torch.sqrt}[how](reward)
