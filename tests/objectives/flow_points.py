"""Where on-policy training ends, without sampling noise: every group of four that five outcomes can form, weighed exactly.

The flow dθ/dt = E Σ_i −∇loss_i/G of the logits, on-policy, is integrated over log-time by LSODA until it stands still.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from breadth import objective

K, G = 5, 4
RIGHT = torch.arange(K) < 3
_G = torch.Generator().manual_seed(0)
GRADED = 2 * torch.rand(K, generator=_G, dtype=torch.float64)
REF = torch.randn(K, generator=_G, dtype=torch.float64).log_softmax(-1)
BINARY = RIGHT.double()
CENTRED = (G - 1) / G  # what is left of a reward when its group's mean, itself included, is taken off


@cache
def groups() -> tuple[torch.Tensor, torch.Tensor]:
    """Return every multiset of G outcomes (M, G), and in how many orders each can be drawn (M,)."""
    found = torch.tensor(list(itertools.combinations_with_replacement(range(K), G)))
    counts = torch.nn.functional.one_hot(found, K).sum(1)
    ways = [math.factorial(G) / math.prod(math.factorial(c) for c in row) for row in counts.tolist()]
    return found, torch.tensor(ways, dtype=torch.float64)


@cache
def batch(binary: bool) -> dict[str, torch.Tensor]:
    """Return what does not move: the streams of all groups, one answer of one token a row."""
    y = groups()[0].flatten()
    one, mask = torch.ones_like(y), torch.ones(len(y), 1, dtype=torch.bool)
    return {
        **dict.fromkeys(("kind", "key"), y),
        **{"length": one, "prompt_id": 0 * one, "mask": mask, "correct": RIGHT[y], "seq_logp_ref": REF[y]},
        "group": torch.arange(len(y)) // G,
        "reward": (BINARY if binary else GRADED)[y],
        "reward_vector": torch.nn.functional.one_hot(y, K)[:, :3].double(),  # one preference per right answer
    }


def velocity(method, logits: torch.Tensor, *, binary: bool, by_loss: bool) -> torch.Tensor:
    """Return the expected on-policy step of the logits, (K,): by the gradient of ``loss``, or Σ A·∇log π written out."""
    found, ways = groups()
    streams, y = batch(binary), found.flatten()
    theta = logits.clone().requires_grad_(by_loss)
    logp = theta.log_softmax(-1)
    seq_logp = logp.detach()[y]
    weight = ways * seq_logp.view(-1, G).sum(-1).exp()  # (M,) probability of each group
    advantage = method.advantage(**streams, seq_logp=seq_logp)
    if by_loss:
        found = method.loss(logp=logp[y][:, None], advantage=advantage, logp_ref=REF[y][:, None], **streams)
        return -torch.autograd.grad((weight[streams["group"]] * found.matrix.flatten()).sum() / G, theta)[0]
    pull = torch.zeros(K, dtype=torch.float64).index_add(0, y, weight[streams["group"]] * advantage) / G
    return pull - logp.exp() * pull.sum()


def end(name: str, *, binary: bool = True, start: torch.Tensor = REF, time: float = 1e6, **settings) -> torch.Tensor:
    """Return the law (K,) in which the flow from ``start`` ends. A multiplier that is driven flows too."""
    method = objective(name, **settings)
    control = getattr(method, "control", None)
    reward = BINARY if binary else GRADED

    def change(log_time: float, state: np.ndarray) -> np.ndarray:
        logits = torch.from_numpy(state[:K].copy())
        extra = []
        if control is not None:
            low, high = math.log(control.low), math.log(control.high)
            control.log_multiplier = min(max(float(state[K]), low), high)
            slack = control.target - float((logits.softmax(-1) * reward).sum())
            stuck = state[K] <= low and slack < 0 or state[K] >= high and slack > 0
            extra = [0.0 if stuck else control.learning_rate * slack]
        step = velocity(method, logits, binary=binary, by_loss=bool(method.penalties)).numpy()
        return math.exp(log_time) * np.concatenate([step, extra])

    first = [*start.tolist(), *([] if control is None else [control.log_multiplier])]
    found = solve_ivp(change, (math.log(1e-3), math.log(time)), first, method="LSODA", rtol=1e-6, atol=1e-9)
    assert found.success, found.message
    return torch.from_numpy(found.y[:K, -1]).softmax(-1)


def tilt(a: float, b: float, reward: torch.Tensor = GRADED) -> torch.Tensor:
    """Return π_ref^{b/a}·exp(r/a)/Z."""
    return (b / a * REF + reward / a).softmax(-1)


def on_right(logits: torch.Tensor) -> torch.Tensor:
    """Return a law on the right answers alone."""
    return torch.where(RIGHT, logits, -torch.inf).softmax(-1)


def filled(reward: torch.Tensor) -> torch.Tensor:
    """Return π = (1 − v/r)₊·(G − 1)/(G − 2), v such that it sums to 1: r·(1 − π(G − 2)/(G − 1)) is v wherever π > 0."""
    law = lambda v: (1 - v / reward).clamp(min=0) * (G - 1) / (G - 2)  # noqa: E731
    return law(brentq(lambda v: float(law(v).sum()) - 1, 1e-9, float(reward.max())))


def met(target: float) -> torch.Tensor:
    """Return π_ref·exp(λr)/Z with E r = target."""
    mean = lambda x: float((tilt(1 / x, 1 / x) * GRADED).sum())  # noqa: E731
    return tilt(*[1 / brentq(lambda x: mean(x) - target, 1e-6, 100.0)] * 2)


def reversed_kl(beta: float) -> torch.Tensor:
    """Return β·π_ref/(η − r'), r' the centred reward: the optimum of E r' − β·KL(π_ref‖π)."""
    low = float((CENTRED * GRADED).max())
    law = lambda eta: beta * REF.exp() / (eta - CENTRED * GRADED)  # noqa: E731
    return law(brentq(lambda eta: float(law(eta).sum()) - 1, low + 1e-9, low + 50))


@dataclass(frozen=True)
class Point:
    """One row: how it is trained, the law that theory names, and the words of docs/fixed-points.md."""

    train: Callable[[], torch.Tensor]
    law: Callable[[], torch.Tensor]
    words: str


UNIFORM = lambda: on_right(torch.zeros(K, dtype=torch.float64))  # noqa: E731
ONE = lambda: torch.nn.functional.one_hot(on_right(REF).argmax(), K).double()  # noqa: E731
POINTS: dict[str, Point] = {
    "rlhf": Point(lambda: end("rlhf", binary=False, beta=0.5), lambda: tilt(0.5, 0.5), "π_ref·exp(r/β), β 0.5"),
    "rlhf (k3 in the loss)": Point(
        lambda: end("rlhf", binary=False, beta=0.5, kl="k3_loss"),
        lambda: reversed_kl(0.5),
        "β·π_ref/(η − r(G − 1)/G), β 0.5: another law",
    ),
    "reinvent (advantages)": Point(
        lambda: end("reinvent_filter", binary=False, sigma=2.0, penalty="none"),
        lambda: tilt(0.5, 0.5),
        "π_ref·exp(σr), σ 2",
    ),
    "qempo (no mask)": Point(
        lambda: end("qempo", binary=False, inv_lambda=0.5, mask="none"), lambda: tilt(0.5, 0.0), "exp(λr), 1/λ 0.5"
    ),
    "qempo_kl (no mask)": Point(
        lambda: end("qempo_kl", binary=False, inv_lambda1=0.2, ratio=0.5, mask="none"),
        lambda: tilt(0.7, 0.5),
        "π_ref^{b/a}·exp(r/a), a 0.7, b 0.5",
    ),
    "quality_target (anchored)": Point(
        lambda: end("quality_target", binary=False, target=1.8, form="anchored"),
        lambda: met(1.8),
        "π_ref·exp(λr) with E r = 1.8",
    ),
    "darling (graded)": Point(
        lambda: end("darling", binary=False, floor=0.0),
        lambda: filled(GRADED),
        "(1 − v/r)₊·(G − 1)/(G − 2), floor 0",
    ),
    "darling": Point(lambda: end("darling"), UNIFORM, "uniform on the right answers"),
    "qempo": Point(lambda: end("qempo", inv_lambda=0.3), UNIFORM, "uniform on the right answers, 1/λ 0.3"),
    "qempo_kl": Point(
        lambda: end("qempo_kl", inv_lambda1=0.3, ratio=0.3),
        lambda: on_right(0.5 * REF),
        "π_ref^{b/a} on the right answers, a 0.6, b 0.3",
    ),
    "quality_target": Point(
        lambda: end("quality_target", target=0.95), UNIFORM, "uniform on the right answers, R* 0.95"
    ),
    "ucpo (power 2)": Point(lambda: end("ucpo", tau=1.0, power=2.0), UNIFORM, "uniform on the right answers, τ 1: missed in groups of 4"),
    "ucpo (power 1)": Point(
        lambda: end("ucpo", tau=1.0), lambda: on_right(REF), "π_ref on the right answers, τ 1: missed in groups of 4"
    ),
    "ucpo": Point(lambda: end("ucpo"), UNIFORM, "uniform on the right answers, τ 0.2: missed"),
    "gapo": Point(lambda: end("gapo"), UNIFORM, "uniform on the right answers"),
    "unlikeliness": Point(lambda: end("unlikeliness", beta=0.0), UNIFORM, "uniform on the right answers: missed in groups of 4"),
    "batch_exploration": Point(lambda: end("batch_exploration", weight=1.0), UNIFORM, "uniform on the right answers, c 1"),
    "vpo": Point(
        lambda: end("vpo", alpha=0.01, n_weights=3, seed=1), UNIFORM, "uniform, one reward per right answer"
    ),
    "pass_at_k": Point(
        lambda: end("pass_at_k", k=2, start=on_right(REF).clamp(min=1e-300).log()),
        lambda: on_right(REF),
        "any law on the right answers: started there, it stays, k 2",
    ),
    "grpo": Point(lambda: end("grpo", time=1e8), ONE, "one right answer, the likeliest at the start"),
}  # fmt: skip


def distances() -> dict[str, float]:
    """Return the total-variation distance of every row."""
    return {name: float((point.train() - point.law()).abs().sum() / 2) for name, point in POINTS.items()}
