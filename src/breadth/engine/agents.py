"""Several agents from one prior, each trained in turn at every step, each told what those before it think of its answers."""

from __future__ import annotations

from collections.abc import Sequence

from breadth.engine.checkpoint import steps_on_disk
from breadth.engine.loop import TrainingRun


def train_in_turn(agents: Sequence[TrainingRun]) -> None:
    """Train agents to the last step of their settings, or go on with them: at each step the first, then the second, and so on.

    Agent i reads the current weights of the agents j < i, which have taken this step already, and shares the memory of the objective with
    all (they are given one and the same object). All stand at one checkpoint when they go on: the newest that every one of them has. A
    killed training therefore goes on bit for bit, on the CPU.

    Parameters
    ----------
    agents : sequence of TrainingRun
        Equal but for seed and folder; locked and claimed.

    Raises
    ------
    ValueError
        Agents with different numbers of steps, or without a common objective.
    RunStopped, CheckpointError, LedgerError
        As :meth:`breadth.engine.run_frame.RunFrame.go`.
    """
    first = agents[0]
    train, every = first.settings.train, first.settings.measure.every
    if any(agent.settings.train != train or agent.objective is not first.objective for agent in agents):
        raise ValueError("agents trained in turn need equal [train] settings and one objective between them")
    newest = [max(steps_on_disk(agent.folder / "checkpoints"), default=0) for agent in agents]
    common = min(min(newest), train.steps)
    if common == train.steps and train.steps:
        for agent in agents:
            if agent.begin() is not None:  # killed between the last checkpoint and the word that it is done
                agent.finish()
        return
    for i, agent in enumerate(agents):
        agent.begin(at=common)
        agent.reference = first.reference  # one copy of the prior for all
        agent.earlier = [before.model for before in agents[:i]]
    for step in range(common, train.steps):
        if step % every == 0 and _halt(agents, step):
            return
        for agent in agents:
            agent._train_step(step)
    for agent in agents:
        agent.finish()


def _halt(agents: Sequence[TrainingRun], step: int) -> bool:
    """Save and measure every agent's checkpoint; where one is to stop, all do."""
    halted = [agent.halt(step) for agent in agents]
    if not any(halted):
        return False
    for agent, done in zip(agents, halted, strict=True):
        if not done:
            agent._stop(step, "another agent of the same training stopped here")
    return True
