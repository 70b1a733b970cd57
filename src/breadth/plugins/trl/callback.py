"""A callback that measures a training in TRL as breadth measures its own: quality, diversity, entropies and pass@k, in one ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

from breadth.catalogue import objective as make_objective
from breadth.catalogue import task as make_task
from breadth.config import ForecastSettings
from breadth.laws.live import live_forecast
from breadth.ledger.rows import append_rows
from breadth.metrics.measure import measure_sets
from breadth.plugins.trl.gathering import everywhere, world
from breadth.plugins.trl.record import RunRecord, sample_columns, weights_hash
from breadth.plugins.trl.sampling import Answers, Drawing, answers_to, at_rest
from breadth.records import Measurement
from breadth.seeds import derive_seed
from breadth.tasks.protocol import Task
from breadth.tasks.scoring import score_batch
from breadth.tasks.verifiable import success_rows


class BreadthCallback(TrainerCallback):
    """Samples answers to held-out prompts at chosen steps and writes the run folder that ``breadth fit``, ``compare``, ``forecast`` and
    ``report`` read.

    Parameters
    ----------
    task : Task, name or dict
        What judges and tells apart: ``breadth.task(...)``, a catalogue name, or {"kind": name, **settings}. A run whose task was an
        object can be fitted, compared and forecast; a report shows its numbers without pictures.
    folder : path
        The run folder.
    objective : str or dict
        Name in the catalogue, or {"kind": name, **numbers}; what a run is called in tables, unless ``label`` is given. A trainer of
        breadth knows its own.
    every, sets, samples_per_set, temperature, top_p, top_k
        As ``[measure]`` of a TOML file: every so many steps (and before the first and after the last), ``sets`` prompts,
        ``samples_per_set`` answers to each.
    max_tokens : int, optional
        Of an answer; None: the task's.
    keep_samples : str
        ``ends`` (first and last step), ``all`` or ``none``.
    forecast : bool, dict
        True, or settings of ``[forecast]`` (``target_quality``, ``stop_at_diversity``, …): after each measurement, what the law says
        of the rest of the training; a floor of diversity stops it.
    study, label, seed
        Of the run; the seed is the trainer's where None.
    per_call : int
        Answers drawn together.
    on_note : function
        Is told the forecasts and why a run stops.

    Attributes
    ----------
    trainer : the trainer
        Needed where weights are spread over processes (FSDP, ZeRO-3): set it after the trainer was made. breadth's trainers do.

    Source: the measurements of :func:`breadth.metrics.measure.measure_sets`. Departures: ``kl_prior`` only where the prior is at hand (a
    reference model, or a PEFT adapter that can be switched off); answers are drawn by transformers, not by vLLM.
    """

    def __init__(
        self, task: Task | str | Mapping[str, Any], folder: str | Path, *, objective: str | Mapping[str, Any] | None = None, every: int = 10,
        sets: int = 10, samples_per_set: int = 16, temperature: float = 1.0, top_p: float = 1.0, top_k: int = 0, max_tokens: int | None = None,
        keep_samples: str = "ends", forecast: bool | Mapping[str, Any] = False, study: str = "trl", label: str | None = None,
        seed: int | None = None, per_call: int = 64, on_note: Callable[[str], None] = print,
    ) -> None:  # fmt: skip
        named = {"kind": task} if isinstance(task, str) else task
        self.task: Task = task if isinstance(task, Task) else _built(named, make_task)
        self.task_settings = {"kind": f"object:{task.name}"} if isinstance(task, Task) else dict(named)
        if objective is not None:
            _built({"kind": objective} if isinstance(objective, str) else objective, make_objective)
        self.folder, self.objective, self.on_note = Path(folder), objective, on_note
        self.about = {"study": study, "label": label}
        self.seed = seed
        self.measure = {
            "every": every, "sets": sets, "samples_per_set": samples_per_set, "temperature": temperature, "top_p": top_p, "top_k": top_k,
            "keep_samples": keep_samples,
        }  # fmt: skip
        wanted = {} if forecast is True else forecast
        self.forecast = None if forecast is False else ForecastSettings(**wanted)
        self.drawing = Drawing(max_tokens or self.task.describe().max_tokens, temperature, top_p, top_k, per_call)
        self.trainer: Any = None
        self.record: RunRecord | None = None
        self._stopped_at: int | None = None

    # What TRL calls

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if self.trainer is None and (getattr(args, "fsdp", None) or getattr(args, "deepspeed", None)):
            raise ValueError(
                "BreadthCallback: weights are spread over processes: set callback.trainer = trainer before trainer.train()"
            )
        self.record = RunRecord(self.folder, self._settings(args, state, kwargs["model"]))
        everywhere(lambda: self.record.open(state.global_step, args.to_dict()) if world()[0] == 0 else None)
        if not everywhere(lambda: self.record.measured(state.global_step) if world()[0] == 0 else False)[0]:
            self._measure(state.global_step, control, **kwargs)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if state.global_step % self.measure["every"] == 0 or state.global_step >= state.max_steps:
            self._measure(state.global_step, control, **kwargs)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        training = logs and any(name in logs for name in ("loss", "reward")) and state.global_step
        if training and state.is_world_process_zero and self.record is not None:
            self.record.write_step(state.global_step, logs)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if state.is_world_process_zero and self.record is not None:
            self.record.close(state.global_step)

    # Measuring

    def _settings(self, args: Any, state: Any, model: Any) -> dict[str, Any]:
        own = getattr(self.trainer, "objective", None)
        named: Any = self.objective
        if named is None:
            if own is None or own.name == "pairs":
                raise ValueError(
                    "BreadthCallback: which objective is trained here is not known: pass objective=NAME of the catalogue (grpo, dapo, dpo, …), "
                    "and label=… for another name in tables"
                )
            named = {"kind": own.name, **own.settings}
        group = int(getattr(args, "num_generations", 1) or 1)
        batch = args.per_device_train_batch_size * args.world_size * args.gradient_accumulation_steps
        sample = {
            name: getattr(args, name)
            for name in ("temperature", "top_p", "top_k")
            if getattr(args, name, None) is not None
        }
        return {
            **self.about,
            "seed": args.seed if self.seed is None else self.seed,
            "task": self.task_settings,
            "objective": {"kind": named} if isinstance(named, str) else dict(named),
            "prior": {"path": getattr(model.config, "_name_or_path", "") or "in memory"},
            "train": {
                "steps": state.max_steps, "prompts": max(1, batch // group), "group_size": group, "learning_rate": args.learning_rate,
                "weight_decay": args.weight_decay, "clip_norm": args.max_grad_norm or 1e9, "micro_batch": args.per_device_train_batch_size,
                "inner_epochs": int(getattr(args, "num_iterations", 1)), "minibatches": 1,
            },
            "sample": {**sample, "max_tokens": getattr(args, "max_completion_length", None)},
            "measure": self.measure,
            **({} if self.forecast is None else {"forecast": self.forecast.model_dump()}),
        }  # fmt: skip

    def _measure(self, step: int, control: Any, *, model: Any, processing_class: Any, **kwargs: Any) -> None:
        tokenizer = getattr(processing_class, "tokenizer", processing_class)
        seed, n = self.record.settings.seed, self.measure["samples_per_set"]
        prompts = self.task.prompts(self.measure["sets"], seed=derive_seed(seed, "measure", step), split="valid")
        rank, ranks = world()
        with self._whole(model) as whole, at_rest(whole):
            prior = self._prior(whole)
            checkpoint = weights_hash(whole, from_file=step == 0) if rank == 0 else None
            mine: dict[int, Answers] = {}
            sharded = self._sharded()
            for i in range(-(-len(prompts) // ranks) * ranks):  # every process draws equally often
                if i % ranks == rank and (sharded or i < len(prompts)):
                    one = derive_seed(seed, "measure", step, i)
                    mine[i] = answers_to(
                        prompts[i % len(prompts)],
                        n,
                        whole,
                        tokenizer,
                        self.drawing,
                        seed=one,
                        prior=prior,
                        synced=sharded,
                    )
        parts = everywhere(lambda: mine)
        found = {i: answers for part in parts for i, answers in part.items()}
        sets = [found[i] for i in range(len(prompts))]
        name = (
            checkpoint
            or hashlib.sha256(f"{self.record.settings.prior.path} {seed} {step if step else ''}".encode()).hexdigest()[
                :16
            ]
        )
        stop = everywhere(lambda: self._write(step, prompts, sets, name) if world()[0] == 0 else None)[0]
        if stop is not None:
            control.should_training_stop = True

    def _write(self, step: int, prompts: list[str], sets: list[Answers], checkpoint: str) -> str | None:
        n = self.measure["samples_per_set"]
        texts = [text for answers in sets for text in answers.texts]
        asked = [prompt for prompt in prompts for _ in range(n)]
        numbers = {
            name: [v for answers in sets for v in getattr(answers, name)] for name in ("seq_logp", "length", "entropy")
        }
        prior = [v for answers in sets for v in answers.seq_logp_prior or ()]
        scored = score_batch(self.task.score, texts, asked)
        if scored.n_unscored > len(texts) / 2:
            raise RuntimeError(
                f"measuring step {step}: {scored.n_unscored} of {len(texts)} samples could not be scored: {'; '.join(scored.failures[:3])}"
            )
        groups = [texts[i : i + n] for i in range(0, len(texts), n)]
        rows = measure_sets(
            self.task, groups, prompts=[[prompt] * n for prompt in prompts], scores=scored.values, seq_logp=np.array(numbers["seq_logp"]),
            seq_logp_prior=np.array(prior) if prior else None, lengths=np.array(numbers["length"]), entropy_sum=np.array(numbers["entropy"]),
        )  # fmt: skip
        rows += self._passes(rows, texts, asked, scored.values)
        record = self.record
        record.write_measurements(rows, step=step, checkpoint=checkpoint)
        record.write_samples(step, sample_columns(self.task, texts, asked, scored.values, n, numbers))
        return None if self.forecast is None else self._look_ahead(step)

    def _passes(
        self, rows: list[Measurement], texts: list[str], asked: list[str], scores: np.ndarray
    ) -> list[Measurement]:
        """Return pass@k and distinct correct answers, where the task has a mark for correct and does not measure them itself."""
        mark = self.task.describe().correct_at
        if not np.isfinite(mark) or any(row.metric.startswith("pass_at_") for row in rows):
            return []
        right = np.where(np.isnan(scores), np.nan, (scores >= mark).astype(float))
        group = np.arange(len(texts)) // self.measure["samples_per_set"]
        return success_rows(right.tolist(), self.task.kinds(texts, asked, group=group).tolist(), group.tolist())

    def _look_ahead(self, step: int) -> str | None:
        wanted, run = self.forecast, self.record.run()
        made = live_forecast(
            run, wanted.target_quality, stop_at_diversity=wanted.stop_at_diversity, metric=wanted.metric
        )
        if run.steps.index(step) % wanted.every == 0 or made.stop is not None:
            append_rows(self.folder / "forecasts.jsonl", [made.row()])
            self.on_note(made.sentence)
            for warning in made.warnings:
                self.on_note(f"warning: {warning}")
        if made.stop is not None:
            self.on_note(f"stopped at step {step}: {made.stop}")
            self.record.events.add("stopped", step=step, reason=made.stop)
        return made.stop

    # The model as it stands

    def _sharded(self) -> bool:
        return self.trainer is not None and (
            getattr(self.trainer, "is_fsdp_enabled", False) or getattr(self.trainer, "is_deepspeed_enabled", False)
        )

    def _whole(self, model: Any) -> Any:
        if not self._sharded():
            return nullcontext(model)
        from trl.models.utils import unwrap_model_for_generation

        return unwrap_model_for_generation(self.trainer.model_wrapped, self.trainer.accelerator)

    def _prior(self, model: Any) -> Any:
        reference = getattr(self.trainer, "ref_model", None)
        return reference if reference is not None else (model if hasattr(model, "disable_adapter") else None)


def _built(named: Mapping[str, Any], make: Callable[..., Any]) -> Any:
    return make(named["kind"], **{name: value for name, value in named.items() if name != "kind"})


def attach(trainer: Any) -> None:
    """Tell every :class:`BreadthCallback` of a trainer whose it is."""
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, BreadthCallback):
            callback.trainer = trainer
