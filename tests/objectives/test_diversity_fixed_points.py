"""Where the diversity methods end on a policy that can be enumerated: 12 answers, 4 of them right, an uneven start."""

import pytest
import torch
from enumerable import total_variation, train

from breadth import objective

torch.manual_seed(0)
K, RIGHT = 12, 4
CORRECT = torch.arange(K) < RIGHT
REWARD = CORRECT.double()
UNIFORM = REWARD / RIGHT
START = torch.randn(K, dtype=torch.float64).log_softmax(-1)
PLAIN = {"steps": 600, "rate": 1.0, "adam": False, "group_size": 512}  # plain steps: sizes count, not only signs


def run(name, *, start=START, reward=REWARD, correct=CORRECT, settings=None, **how):
    method = objective(name, **(settings or {}))
    return train(method, reward, start, start=start, correct=correct, **{"steps": 600, "rate": 0.1, **how})


def inside(p):
    return p[:RIGHT] / p[:RIGHT].sum()


@pytest.mark.parametrize(
    ("name", "settings", "limit"),
    [
        ("gapo", {}, 0.03),
        ("unlikeliness", {"beta": 0.0}, 0.01),
        ("batch_exploration", {"weight": 1.0}, 0.03),
        ("batch_exploration", {"weight": 0.1}, 0.08),
    ],
)
def test_uniform_on_the_correct_answers(name, settings, limit):
    assert total_variation(run(name, settings=settings), UNIFORM) < limit
    assert total_variation(inside(START.exp()), UNIFORM[:RIGHT]) > 0.2


def test_gapo_with_a_known_number_of_answers_may_lose_one():
    """Its reward is not monotone: an answer that is rarer than 1/L is punished, so that one that is gone stays away."""
    got = run("gapo", settings={"n_answers": RIGHT})
    assert got[:RIGHT].sum() > 0.99
    assert got[:RIGHT].min() < 0.01
    assert total_variation(got, UNIFORM) == pytest.approx(0.25, abs=0.03)


def test_ucpo_as_published_keeps_proportions_at_best():
    """With τ = 1 all correct logits rise alike: proportions stay; below, the likeliest answer still gains."""
    kept = run("ucpo", settings={"tau": 1.0}, **PLAIN)
    assert kept[:RIGHT].sum() > 0.99
    assert total_variation(inside(kept), inside(START.exp())) < 0.03
    assert total_variation(kept, UNIFORM) > 0.3
    published = run("ucpo", **PLAIN)
    assert total_variation(published, UNIFORM) > 0.6


def test_ucpo_with_power_2_reaches_uniform():
    got = run("ucpo", settings={"tau": 1.0, "power": 2.0}, **{**PLAIN, "steps": 1500})
    assert total_variation(got, UNIFORM) < 0.01


def test_pass_at_k_is_indifferent_once_every_k_pass():
    """Started at 95 % right with groups of 16, k = 8: no group has 8 wrong, so nothing moves; k = 1 goes on."""
    start = torch.where(CORRECT, START, -torch.inf).log_softmax(-1) + torch.tensor(0.95).log()
    start = torch.where(CORRECT, start, torch.tensor(0.05 / (K - RIGHT)).log().double())
    how = {"start": start, "group_size": 16, "prompts": 16, "steps": 100}
    assert total_variation(run("pass_at_k", settings={"k": 8}, **how), start.exp()) < 1e-6
    assert run("pass_at_k", settings={"k": 1}, **how)[:RIGHT].sum() > 0.99


def test_pass_at_k_stops_short_where_grpo_goes_on():
    how = {"group_size": 16, "prompts": 64, "rate": 0.5, "adam": False}
    stopped, pass_at_1 = (run("pass_at_k", settings={"k": k}, **how) for k in (8, 1))
    assert 0.4 < stopped[:RIGHT].sum() < 0.8 < 0.98 < pass_at_1[:RIGHT].sum()
    assert total_variation(inside(stopped), UNIFORM[:RIGHT]) < total_variation(inside(pass_at_1), UNIFORM[:RIGHT])


def expected_gradient(name, theta):
    """The exact expectation Σ_y π(y)·A(y)·∇log π(y), with the advantage that the objective gives to each answer."""
    theta = theta.clone().requires_grad_(True)
    logp = theta.log_softmax(-1)
    advantage = objective(name).advantage(reward=REWARD, group=torch.zeros(K, dtype=torch.int64), correct=CORRECT)
    (gradient,) = torch.autograd.grad((logp.detach().exp() * advantage * logp).sum(), theta)
    return gradient


def test_on_policy_positive_and_negative_reinforcement_are_one_direction():
    """+1 on right and −1 on wrong differ by a constant, which no expected policy gradient sees."""
    psr, nsr, weighted = (expected_gradient(name, START) for name in ("psr", "nsr", "w_reinforce"))
    torch.testing.assert_close(psr, nsr)
    torch.testing.assert_close(weighted, 1.1 * psr)


def test_they_part_where_everything_is_right():
    """There the positive form moves at random and loses answers, the negative one rests."""
    start, reward = torch.zeros(RIGHT, dtype=torch.float64).log_softmax(-1), torch.ones(RIGHT, dtype=torch.float64)
    how = {"start": start, "reward": reward, "correct": reward > 0, "group_size": 16, "rate": 0.5, "adam": False}
    assert total_variation(run("nsr", **how), start.exp()) < 1e-6
    assert total_variation(run("psr", **how), start.exp()) > 0.1
    assert total_variation(run("w_reinforce", **how), start.exp()) > 0.01


def test_ucb_visits_every_answer_and_remembers():
    method = objective("ucb", weight=1.0)
    train(method, REWARD, START, start=START, correct=CORRECT, steps=50, group_size=64, rate=0.1)
    visits = method.state_dict()["counts"]["0"]
    assert set(visits) == {str(k) for k in range(K)}
    assert sum(visits.values()) == 50 * 64


def test_a_diversity_filter_moves_on_from_answer_to_answer():
    """The policy at any one step is no more even than GRPO's; the visits over all steps are."""
    visited = {}
    for bucket in (4000, 10**9):  # the second never fills
        method = objective("reinvent_filter", penalty="linear", bucket=bucket, host="grpo")
        train(method, REWARD, START, start=START, correct=CORRECT, steps=300, group_size=64, rate=0.1)
        stored = method.state_dict()["keys"]["0"]
        visited[bucket] = torch.tensor([stored.get(str(k), 0) for k in range(RIGHT)]).double()
    assert visited[4000].min() > 10 * visited[10**9].min()
    evenness = {bucket: total_variation(v / v.sum(), UNIFORM[:RIGHT]) for bucket, v in visited.items()}
    assert evenness[4000] < evenness[10**9] - 0.05
