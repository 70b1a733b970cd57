"""Agents trained in turn (MolRL-MGPT): a run folder each, one prior, one memory between them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from breadth.config import RunSettings
from breadth.engine.agents import train_in_turn
from breadth.engine.checkpoint import STATE, step_folder
from breadth.engine.loop import TrainingRun
from breadth.experiments.assemble import objective_of, prepare_prior, resolve, task_of
from breadth.experiments.runner import FolderLock, Job, RunState, claim_folder, open_run
from breadth.experiments.study import Silent, Watcher
from breadth.ledger.rows import write_atomic
from breadth.ledger.run import Run, load_run

ABOUT = "agents.json"
MEMORY = "memory.jsonl"  # what the agents found together, best first


def reads_other_agents(settings: RunSettings) -> bool:
    """Return whether the objective of a run asks what other agents think of an answer."""
    piece = getattr(objective_of(settings), "loss_piece", None)
    return piece is not None and "seq_logp_agents" in piece.takes


def train_agents_in_turn(settings: RunSettings, out: Path, *, agents: int, watcher: Watcher | None = None) -> list[Run]:
    """Train K agents in turn, or go on with them, and return their runs.

    Parameters
    ----------
    settings : RunSettings
        Of each agent; agent i has the seed of the settings plus i.
    out : folder
        Gets ``agent-0``, ``agent-1``, … (run folders), ``prior``, ``agents.json``, and ``memory.jsonl``: the distinct best answers of all.
    agents : int
        K, at least 2. It decides the result of every agent, for they share a memory.

    Raises
    ------
    ValueError
        Fewer than two agents, an objective that does not read other agents, or a folder made with another number of them.
    """
    if agents < 2:
        raise ValueError(f"agents: expected 2 or more, got {agents}")
    settings, watcher = resolve(settings), watcher or Silent()
    if not reads_other_agents(settings):
        raise ValueError(
            f"agents in turn: objective {settings.objective.kind!r} does not read other agents: use molrl_mgpt"
        )
    with FolderLock(out), ExitStack() as stack:
        _claim(out, agents)
        task = task_of(settings)
        each = [settings.model_copy(update={"seed": settings.seed + i, "label": settings.name}) for i in range(agents)]
        for i, one in enumerate(each):
            claim_folder(one, out / f"agent-{i}", write=False)  # before a prior is trained for nothing
        watcher.stage("prior")
        prior = prepare_prior(
            settings, task, out / "prior", on_step=lambda row: watcher.prior(row, settings.prior.steps)
        )
        watcher.stage("runs")
        objective = objective_of(settings)
        states = [RunState(f"agent {i}", one.seed, 0, one.train.steps) for i, one in enumerate(each)]
        runs: list[TrainingRun] = []
        for i, one in enumerate(each):
            job = Job(one, out / f"agent-{i}", prior.path)
            note = getattr(watcher, "note", lambda text: None)
            run = stack.enter_context(
                open_run(job, task=task, objective=objective, on_note=note, **_told(i, states, watcher))
            )
            assert isinstance(run, TrainingRun)  # its objective is of the family group
            runs.append(run)
        train_in_turn(runs)
        if all((run.folder / "done.json").is_file() for run in runs):
            _write_memory(out, step_folder(out / "agent-0" / "checkpoints", settings.train.steps))
    return [load_run(out / f"agent-{i}") for i in range(agents)]


def _told(i: int, states: list[RunState], watcher: Watcher) -> dict[str, Any]:
    """Return the callbacks by which the watcher sees agent i."""
    last: dict[str, float | None] = {}

    def tell(step: int) -> None:
        before = states[i]
        states[i] = RunState(
            before.label,
            before.seed,
            step,
            before.steps,
            last.get("quality"),
            last.get("diversity"),
            last.get("policy_entropy"),
        )
        watcher.runs(states)

    def on_measure(step: int, rows: list[Any]) -> None:
        last.update({m.metric: m.value for m in rows})
        tell(step)

    return {"on_step": lambda row: tell(row["step"]), "on_measure": on_measure}


def _claim(out: Path, agents: int) -> None:
    path = out / ABOUT
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))["agents"]
        if before != agents:
            raise ValueError(
                f"{out}: {before} agents were trained here in turn, now {agents} are asked for: use another output folder, or delete this one"
            )
        return
    if (out / "agent-0" / "config.json").is_file():
        raise ValueError(f"{out}: agents that were trained one after another lie here: use another output folder")
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps({"agents": agents, "in_turn": True}) + "\n").encode())


def _write_memory(out: Path, last: Path) -> None:
    """Write the memory that the agents share, best answers first, from the last checkpoint of one of them."""
    stored = json.loads((last / STATE).read_text())["objective"].get("replay", {}).get("stored", {})
    rows = [
        {"prompt": prompt, "key": key, "reward": entry["reward"]}
        for prompt, known in stored.items()
        for key, entry in known.items()
    ]
    if rows:
        write_atomic(out / MEMORY, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
