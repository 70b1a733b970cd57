"""PPO with a critic: two rollouts of two tokens by hand, the KL in the reward, what is logged, and what is refused."""

import math

import pytest
import torch

from breadth import objective

NAN = torch.nan
MASK = torch.tensor([[True, True], [True, False]])
STREAMS = {"reward": torch.tensor([1.0, 0.0]), "group": torch.tensor([0, 1]), "mask": MASK}
OLD = torch.tensor([[0.5, 0.5], [0.2, NAN]])
ADVANTAGE = [0.25, 0.5, -0.2]  # λ = 0.5: δ = (0, 0.5) and (−0.2)
TARGET = [0.75, 1.0, 0.0]


def plain(**settings):
    return objective("ppo", **{"whiten_advantages": False, "trace": 0.5, **settings})


def test_advantages_and_targets_by_hand():
    advantage, stats = plain().shape(**STREAMS, value_old=OLD)
    assert advantage[MASK].tolist() == pytest.approx(ADVANTAGE)
    assert advantage[1, 1] == 0
    target = plain().targets(**STREAMS, value_old=OLD)
    assert target[MASK].tolist() == pytest.approx(TARGET)
    assert stats["value_mean"] == pytest.approx(0.4)
    assert stats["value_target_mean"] == pytest.approx(1.75 / 3)
    error, goal = torch.tensor(ADVANTAGE), torch.tensor(TARGET)
    assert stats["explained_variance"] == pytest.approx(1 - float(error.var() / goal.var()))
    flipped = plain().targets(**{**STREAMS, "reward": -STREAMS["reward"]}, value_old=OLD)
    assert not torch.allclose(flipped[MASK], target[MASK])


def test_whitening_gives_mean_0_and_deviation_1_over_scored_tokens():
    more = {"reward": torch.tensor([1.0, 0.0, NAN]), "group": torch.tensor([0, 1, 1]), "mask": torch.cat([MASK, MASK[:1]])}
    old = torch.cat([OLD, torch.tensor([[NAN, 7.0]])])  # of an unscored rollout: read by nobody
    advantage = objective("ppo", trace=0.5).advantage(**more, value_old=old)
    mean = sum(ADVANTAGE) / 3
    deviation = math.sqrt(sum((a - mean) ** 2 for a in ADVANTAGE) / 3)
    assert advantage[:2][MASK].tolist() == pytest.approx([(a - mean) / deviation for a in ADVANTAGE], rel=1e-5)
    assert advantage[2].tolist() == [0, 0]
    target = objective("ppo", trace=0.5).targets(**more, value_old=old)
    assert target[:2][MASK].tolist() == pytest.approx(TARGET)
    assert bool(torch.isnan(target[2]).all())


def test_the_kl_stands_in_the_reward_of_every_token():
    logp_old = torch.tensor([[-1.0, -2.0], [-1.0, NAN]])
    logp_ref = torch.tensor([[-2.0, -1.0], [-3.0, 0.0]])
    advantage, stats = plain(beta=0.1).shape(**STREAMS, value_old=OLD, logp_old=logp_old, logp_ref=logp_ref)
    assert advantage[MASK].tolist() == pytest.approx([0.2, 0.6, -0.4])  # δ = (−0.1, 0.6) and (−0.4)
    assert stats["kl_reward"] == pytest.approx(2 / 3)
    assert plain(beta=0.1).needs == ("reward", "group", "value_old", "mask", "logp_old", "logp_ref", "value", "value_target")


def test_the_loss_by_hand():
    logp_old = torch.tensor([[-1.0, -2.0], [-1.0, NAN]])
    logp = (logp_old + torch.tensor([[math.log(1.5), 0.0], [0.0, 0.0]])).requires_grad_(True)
    value = torch.tensor([[0.9, 0.5], [0.0, NAN]], requires_grad=True)
    target = torch.tensor([[0.75, 1.0], [0.0, NAN]])
    given = {"logp": logp, "logp_old": logp_old, "mask": MASK, "advantage": torch.tensor([[0.25, 0.5], [-0.2, 0.0]])}
    loss = plain().loss(**given, value=value, value_target=target, value_old=OLD)
    policy = -0.3 - 0.5 + 0.2  # the first ratio, 1.5, is clipped to 1.2
    critic = (0.15**2 + 0.5**2) / 2
    assert float(loss.value.detach()) == pytest.approx((policy + 0.1 * critic) / 3)
    assert loss.stats["value_loss"] == pytest.approx(critic / 3)
    assert loss.stats["clip_share"] == pytest.approx(1 / 3)
    assert loss.stats["value_clip_share"] == 0  # clipped to 0.7 the first value were nearer its target: the larger loss stands
    loss.value.backward()
    assert value.grad[MASK].tolist() == pytest.approx([0.1 * 0.15 / 3, -0.1 * 0.5 / 3, 0.0])
    assert logp.grad[MASK].tolist() == pytest.approx([0.0, -0.5 / 3, 0.2 / 3])


def test_it_recommends_several_epochs():
    assert objective("ppo").recommended == {"inner_epochs": 4, "minibatches": 1}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"trace": 1.5}, r"trace: expected a number in \[0, 1\], got 1.5"),
        ({"discount": -1}, r"discount: expected a number in \[0, 1\], got -1"),
        ({"beta": -1}, "beta: expected a number >= 0, got -1"),
        ({"value_coefficient": 0}, "value_coefficient: expected a number > 0, got 0"),
        ({"value_clip": 0}, "value_clip: expected a number > 0 or None, got 0"),
        ({"clip_low": 1.5}, "expected 0 <= clip_low < 1"),
    ],
)
def test_bad_numbers_are_refused_when_it_is_made(settings, text):
    with pytest.raises(ValueError, match=text):
        objective("ppo", **settings)


def test_bad_streams_are_said():
    with pytest.raises(ValueError, match=r"objective 'ppo' needs value_old, which it was not given:\n  value_old: \(N, T\)"):
        objective("ppo").advantage(**STREAMS)
    with pytest.raises(ValueError, match="value_old: not finite at tokens of 1 scored rollouts, first in row 1"):
        objective("ppo").advantage(**STREAMS, value_old=OLD.masked_fill(OLD == 0.2, NAN))
    with pytest.raises(ValueError, match=r"mask: expected shape \(2, 3\), as value_old, got \(2, 2\)"):
        objective("ppo").advantage(**STREAMS, value_old=torch.zeros(2, 3))
    with pytest.raises(ValueError, match="objective 'ppo' needs value, value_target, which it was not given"):
        objective("ppo").loss(logp=OLD, mask=MASK, advantage=OLD, value_old=OLD)
