"""Fixed points without sampling noise: every outcome of a small policy, weighed exactly, and L-BFGS to the bottom."""

from __future__ import annotations

from collections.abc import Callable

import torch

from breadth import objective

K = 12
_G = torch.Generator().manual_seed(0)
REWARD = 2 * torch.rand(K, generator=_G, dtype=torch.float64)
REF = torch.randn(K, generator=_G, dtype=torch.float64).log_softmax(-1)
GROUP = torch.zeros(K, dtype=torch.int64)
MASK = torch.ones(K, 1, dtype=torch.bool)


def minimise(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], *, start: float = 0.0) -> torch.Tensor:
    """Return the probabilities (K,) at the bottom of ``loss(logp (K,), log_z ())``."""
    theta = torch.full((K,), start, dtype=torch.float64)
    theta = (theta + torch.linspace(-1, 1, K, dtype=torch.float64)).requires_grad_(True)
    log_z = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [theta, log_z], max_iter=2000, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(theta.log_softmax(-1), log_z)
        value.backward()
        return value

    optimizer.step(closure)
    return theta.detach().softmax(-1)


def pairs(name: str, **settings) -> torch.Tensor:
    """Train on every ordered pair, weighed by the Bradley–Terry probability of its order."""
    method = objective(name, **settings)
    i, j = torch.meshgrid(torch.arange(K), torch.arange(K), indexing="ij")
    i, j = i[i != j], j[i != j]
    order = torch.sigmoid(REWARD[i] - REWARD[j])

    def loss(logp: torch.Tensor, log_z: torch.Tensor) -> torch.Tensor:
        one = torch.ones_like(i)
        streams = {"chosen": logp[i], "rejected": logp[j], "ref_chosen": REF[i], "ref_rejected": REF[j]}
        return (order * method.loss(**streams, chosen_length=one, rejected_length=one).matrix).sum() + 0 * log_z

    return minimise(loss)


def squares(name: str, **settings) -> torch.Tensor:
    """Train on one group that holds every outcome once: samples of the uniform law, not of the policy."""
    method = objective(name, **settings)
    def loss(logp: torch.Tensor, log_z: torch.Tensor) -> torch.Tensor:
        streams = {"reward": REWARD, "group": GROUP, "seq_logp_ref": REF}
        streams["seq_logp"] = logp.detach()  # FlowRL's weight is then 1: detached, it would mislead the line search
        extra = {"log_z": log_z.expand(K)} if "log_z" in method.needs else {}
        return method.loss(logp=logp[:, None], mask=MASK, **streams, **extra).value + 0 * log_z

    return minimise(loss)


def tilt(a: float, b: float, reward: torch.Tensor = REWARD) -> torch.Tensor:
    """Return π_ref^{b/a}·exp(r/a)/Z."""
    return (b / a * REF + reward / a).softmax(-1)


def preference(tau: float) -> torch.Tensor:
    """Return IPO's fixed point π_ref·exp(mean_j p(i ≻ j)/τ)/Z over uniform opponents, itself (½) included."""
    return (REF + torch.sigmoid(REWARD[:, None] - REWARD[None]).mean(1) / tau).softmax(-1)


STANDARD = (REWARD - REWARD.mean()) / (REWARD.std() + 1e-4)

#: row of docs/fixed-points.md -> (how it is trained, what theory names, its formula)
POINTS: dict[str, tuple[Callable[[], torch.Tensor], torch.Tensor, str]] = {
    "dpo": (lambda: pairs("dpo", beta=0.5), tilt(0.5, 0.5), "π_ref·exp(r/β), β 0.5"),
    "spl": (lambda: pairs("spl", alpha=0.7, beta=0.5), tilt(0.7, 0.5), "π_ref^{β/α}·exp(r/α), α 0.7, β 0.5"),
    "cpo": (lambda: pairs("cpo", beta=0.5, alpha=0.0), tilt(0.5, 0.0), "exp(r/β), β 0.5 (α 0)"),
    "simpo": (lambda: pairs("simpo", beta=0.5, margin=0.0), tilt(0.5, 0.0), "exp(r/β), β 0.5 (γ 0, one length)"),
    "ipo": (lambda: pairs("ipo", tau=0.5), preference(0.5), "π_ref·exp(mean p/τ), τ 0.5"),
    "qempo_pairs": (lambda: pairs("qempo_pairs", inv_lambda=0.5), tilt(0.5, 0.0), "exp(λr), 1/λ 0.5"),
    "qempo_kl_pairs": (
        lambda: pairs("qempo_kl_pairs", inv_lambda1=0.2, ratio=0.5),
        tilt(0.7, 0.5),
        "π_ref^{b/a}·exp(r/a), a 0.7, b 0.5",
    ),
    "gvpo": (lambda: squares("gvpo", beta=0.5), tilt(0.5, 0.5), "π_ref·exp(r/β), β 0.5"),
    "qempo_squares": (lambda: squares("qempo_squares", inv_lambda=0.5), tilt(0.5, 0.0), "exp(λr), 1/λ 0.5"),
    "qempo_kl_squares": (
        lambda: squares("qempo_kl_squares", inv_lambda1=0.2, ratio=0.5),
        tilt(0.7, 0.5),
        "π_ref^{b/a}·exp(r/a), a 0.7, b 0.5",
    ),
    "reinvent (centred)": (
        lambda: squares("reinvent", sigma=2.0, centre=True),
        tilt(0.5, 0.5),
        "π_ref·exp(σr), σ 2",
    ),
    "reinvent (published)": (lambda: squares("reinvent", sigma=2.0), tilt(0.5, 0.5), "π_ref·exp(σr), σ 2: missed"),
    "ahc": (lambda: squares("ahc", sigma=2.0), tilt(0.5, 0.5), "π_ref·exp(σr), σ 2: missed"),
    "trajectory_balance (batch)": (
        lambda: squares("trajectory_balance", beta=0.5),
        tilt(0.5, 0.5),
        "π_ref·exp(r/β), β 0.5",
    ),
    "trajectory_balance (learned)": (
        lambda: squares("trajectory_balance", beta=0.5, log_z="learned"),
        tilt(0.5, 0.5),
        "π_ref·exp(r/β), β 0.5",
    ),
    "flowrl": (lambda: squares("flowrl", scale=2.0), tilt(0.5, 0.5, STANDARD), "π_ref·exp(β·r̂), β 2"),
}


def distances() -> dict[str, float]:
    """Return the total-variation distance of every row."""
    return {name: float((train() - expected).abs().sum() / 2) for name, (train, expected, _) in POINTS.items()}
