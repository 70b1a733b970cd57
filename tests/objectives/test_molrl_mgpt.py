"""The loss of one agent among several: numbers by hand, its gradient, and what it is without the others."""

from __future__ import annotations

import math

import pytest
import torch

import breadth
from breadth.objectives.molrl_mgpt import repelled_square

STREAMS = {"reward": torch.tensor([0.5, 1.0, -1.0]), "group": torch.zeros(3, dtype=torch.int64)}
LOGP = torch.tensor([[-3.0, -1.0], [-2.0, -5.0], [-1.0, -1.0]], dtype=torch.float64)
MASK = torch.ones(3, 2, dtype=torch.bool)
REF = torch.tensor([-6.0, -4.0, -3.0], dtype=torch.float64)
OTHERS = torch.tensor([[-5.0, -1.0], [-7.5, -9.0], [-2.0, -6.0]], dtype=torch.float64)


def by_hand(sigma, repulsion, sign=-1.0, fade=1.0):
    total = 0.0
    for s, ref, r, others in zip((-4.0, -7.0, -2.0), REF.tolist(), (0.5, 1.0, -1.0), OTHERS.tolist(), strict=True):
        total += (ref + sigma * fade * r - s) ** 2 + sign * repulsion * sum(abs(o - s) for o in others) * r
    return total / 3


def method(**numbers):
    return breadth.objective(
        "molrl_mgpt", **{"sigma": 4.0, "repulsion": 3.0, "replay_size": 0, "replay_top": 0, **numbers}
    )


def test_by_hand():
    given = {**STREAMS, "logp": LOGP, "mask": MASK, "seq_logp_ref": REF}
    loss = method().loss(**given, seq_logp_agents=OTHERS)
    assert float(loss.value) == pytest.approx(by_hand(4.0, 3.0), abs=1e-9)
    assert float(loss.value) != pytest.approx(
        by_hand(4.0, 3.0, sign=1.0), abs=1e-3
    )  # an attraction, if the sign were turned
    assert loss.stats["agents_gap"] == pytest.approx((1 + 3 + 0.5 + 2 + 0 + 4) / 6)
    assert loss.matrix.tolist() == pytest.approx(
        [(-6 + 2 + 4) ** 2 - 3 * 4 * 0.5, (-4 + 4 + 7) ** 2 - 3 * 2.5, (-3 - 4 + 2) ** 2 + 3 * 4]
    )


def test_the_first_falls_with_the_schedule_and_the_push_does_not():
    half = {**STREAMS, "reward": STREAMS["reward"] / 2, "reward_unscheduled": STREAMS["reward"]}
    loss = method().loss(**half, logp=LOGP, mask=MASK, seq_logp_ref=REF, seq_logp_agents=OTHERS)
    assert float(loss.value) == pytest.approx(by_hand(4.0, 3.0, fade=0.5), abs=1e-9)


def test_gradient_by_finite_differences_and_none_of_it_in_the_others():
    others = OTHERS.clone().requires_grad_()

    def value(logp):
        return repelled_square(
            logp.sum(1), STREAMS["reward"], seq_logp_ref=REF, sigma=4.0, repulsion=3.0, seq_logp_agents=others
        ).mean()

    logp = LOGP.clone().requires_grad_()
    shifted = OTHERS + torch.tensor([0.0, 0.0])
    assert not torch.any(shifted == LOGP.sum(1)[:, None] + 1e-9)
    value(logp).backward()
    assert others.grad is None
    for i in range(3):
        for t in range(2):
            step = torch.zeros_like(LOGP)
            step[i, t] = 1e-6
            found = (value(LOGP + step) - value(LOGP - step)) / 2e-6
            if i == 2:  # stands on an earlier agent's own likelihood: the slope jumps there, and |x| has gradient 0
                continue
            assert float(logp.grad[i, t]) == pytest.approx(float(found), abs=1e-6)


def test_the_advantage_form_has_the_direction_of_the_gradient():
    streams = {**STREAMS, "seq_logp": LOGP.sum(1), "seq_logp_ref": REF, "seq_logp_agents": OTHERS}
    advantage = method().advantage(**streams)
    logp = LOGP.clone().requires_grad_()
    method().loss(**STREAMS, logp=logp, mask=MASK, seq_logp_ref=REF, seq_logp_agents=OTHERS).value.backward()
    assert torch.allclose(logp.grad[:, 0], -2 * 4.0 * advantage.double() / 3, atol=1e-5)


def test_alone_it_is_reinvent_and_missing_is_not_zero():
    given = {"logp": LOGP, "mask": MASK, "seq_logp_ref": REF}
    alone = breadth.objective("reinvent", sigma=4.0).loss(**STREAMS, **given)
    for others in (None, OTHERS[:, :0]):
        assert torch.equal(method().loss(**STREAMS, **given, seq_logp_agents=others).matrix, alone.matrix)
    gone = {**STREAMS, "reward": torch.tensor([0.5, math.nan, -1.0])}
    loss = method().loss(**gone, **given, seq_logp_agents=OTHERS)
    assert loss.matrix[1] == 0
    assert float(loss.value) == pytest.approx(float(loss.matrix.sum()) / 2)  # a mean over what was scored


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"sigma": 0.0}, "sigma: expected a number > 0, got 0.0"),
        ({"repulsion": -1.0}, "repulsion: expected a number >= 0, got -1.0"),
        (
            {"replay_size": 9, "replay_samples": 5, "replay_top": 4},
            "replay_top: expected 0 .all. or at least replay_samples = 5, got 4",
        ),
    ],
)
def test_numbers_out_of_range(numbers, words):
    with pytest.raises(ValueError, match=words):
        method(**numbers)
    with pytest.raises(ValueError, match="seq_logp_agents: expected shape"):
        method().loss(**STREAMS, logp=LOGP, mask=MASK, seq_logp_ref=REF, seq_logp_agents=OTHERS[:2])


def test_draws_are_among_the_best_alone():
    replay = breadth.objective("molrl_mgpt", replay_size=9, replay_samples=2, replay_top=3).replay
    replay.memory.update([0] * 6, list("abcdef"), torch.ones(6, dtype=torch.bool), reward=torch.arange(6.0))
    drawn = {entry["key"] for seed in range(40) for entry in replay.memory.sample(0, 2, seed=seed, top=replay.top)}
    assert drawn == {"d", "e", "f"}
    assert len({entry["key"] for seed in range(60) for entry in replay.memory.sample(0, 2, seed=seed)}) == 6
