"""GAE against its definition, the value loss, squares with a learned log Z, and the dual step."""

import pytest
import torch

from breadth.losses.dual import dual_step
from breadth.losses.flow import flow_square, sequence_weight
from breadth.losses.gae import critic_loss, gae, terminal_reward, value_loss, whiten_tokens

G = torch.Generator().manual_seed(0)
MASK = torch.tensor([[1, 1, 1, 1, 0], [1, 0, 0, 0, 0], [1, 1, 0, 1, 1], [0, 0, 0, 0, 0]], dtype=torch.bool)
VALUE = torch.randn(4, 5, generator=G, dtype=torch.float64).masked_fill(~MASK, torch.nan)
REWARD = torch.randn(4, 5, generator=G, dtype=torch.float64).masked_fill(~MASK, torch.nan)


@pytest.mark.parametrize(("discount", "trace"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (0.9, 0.0)])
def test_gae_is_its_definition(discount, trace):
    advantage, target = gae(REWARD, VALUE, MASK, discount=discount, trace=trace)
    for row in range(4):
        kept = MASK[row].nonzero().flatten().tolist()  # a hole is skipped, not a step
        v = [float(VALUE[row, t]) for t in kept] + [0.0]
        error = [float(REWARD[row, t]) + discount * v[k + 1] - v[k] for k, t in enumerate(kept)]
        for k, t in enumerate(kept):
            expected = sum((discount * trace) ** (m - k) * error[m] for m in range(k, len(kept)))
            assert float(advantage[row, t]) == pytest.approx(expected, abs=1e-12)
            assert float(target[row, t]) == pytest.approx(expected + v[k], abs=1e-12)
    assert advantage[~MASK].abs().max() == target[~MASK].abs().max() == 0


def test_at_trace_one_it_is_the_return_minus_the_value():
    score = torch.tensor([1.0, 0.5, -2.0, 3.0], dtype=torch.float64)
    advantage, target = gae(terminal_reward(score, MASK), VALUE, MASK, trace=1.0)
    torch.testing.assert_close(target[MASK], score[:, None].expand(4, 5)[MASK])
    torch.testing.assert_close(advantage[MASK], (score[:, None] - VALUE)[MASK])


def test_the_reward_stands_at_the_last_kept_token():
    got = terminal_reward(torch.tensor([1.0, torch.nan, 3.0, 9.0]), MASK, per_token=torch.full((4, 5), 0.5))
    expected = 0.5 * MASK
    expected[0, 3] += 1.0
    expected[2, 4] += 3.0
    assert torch.equal(got, expected)


def test_value_loss_takes_the_larger_of_two():
    value = torch.tensor([[2.0, 0.1]], requires_grad=True)
    mask = torch.tensor([[True, True]])
    matrix, stats = value_loss(value, torch.tensor([[3.0, 0.0]]), mask, value_old=torch.zeros(1, 2), clip=0.2)
    assert matrix.flatten().tolist() == pytest.approx([0.5 * 2.8**2, 0.5 * 0.01])
    assert stats["value_clip_share"] == 0.5
    matrix.sum().backward()
    assert value.grad.flatten().tolist() == pytest.approx([0.0, 0.1])


def test_the_critic_leaves_out_what_has_no_target():
    value = torch.tensor([[2.0, 0.1], [5.0, torch.nan]], requires_grad=True)
    target, mask = torch.tensor([[3.0, 0.0], [torch.nan, torch.nan]]), torch.tensor([[True, True], [True, False]])
    matrix, stats = critic_loss(value, mask, value=value, value_target=target, coefficient=0.5)
    assert matrix.flatten().tolist() == pytest.approx([0.25, 0.0025, 0, 0])
    assert stats == {"value_loss": pytest.approx(0.505 / 2)}
    matrix.sum().backward()
    assert value.grad.flatten().tolist() == pytest.approx([-0.5, 0.05, 0, 0])
    nothing, stats = critic_loss(value, mask, value=value, value_target=target * torch.nan, coefficient=0.5)
    assert nothing.abs().max() == stats["value_loss"] == 0
    with pytest.raises(ValueError, match="coefficient: expected a number > 0, got 0"):
        critic_loss(value, mask, value=value, value_target=target, coefficient=0)


def test_whitening_sees_the_kept_tokens_only():
    white = whiten_tokens(VALUE, MASK)
    assert float(white[MASK].mean()) == pytest.approx(0, abs=1e-12)
    assert float(white[MASK].std(correction=0)) == pytest.approx(1, abs=1e-6)
    assert white[~MASK].abs().max() == 0
    for equal in (whiten_tokens(torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool)), whiten_tokens(VALUE, MASK & False)):
        assert equal.abs().max() == 0


def test_flow_square_is_zero_at_its_law():
    reward = torch.randn(6, generator=G, dtype=torch.float64)
    ref = torch.randn(6, generator=G, dtype=torch.float64).log_softmax(-1)
    log_z = (ref + 2 * reward).logsumexp(-1).expand(6)
    at = (ref + 2 * reward).log_softmax(-1)
    assert flow_square(at, reward, seq_logp_ref=ref, log_z=log_z, scale=2.0).max() < 1e-24
    assert flow_square(at, -reward, seq_logp_ref=ref, log_z=log_z, scale=2.0).max() > 0.1
    half = flow_square(at, reward / 2, seq_logp_ref=ref, log_z=log_z / 2, scale=2.0, length=torch.full((6,), 2))
    assert half.max() < 1e-24


def test_the_gradient_reaches_log_z_and_the_weight_gets_none():
    s = torch.tensor([-1.0, -2.0], requires_grad=True)
    z = torch.tensor([0.5, 0.5], requires_grad=True)
    weight = sequence_weight(s, torch.tensor([-1.5, -1.5]), clip=False)
    term = flow_square(s, torch.tensor([1.0, torch.nan]), seq_logp_ref=-torch.ones(2), log_z=z, scale=1.0, weight=weight)
    term.sum().backward()
    assert not weight.requires_grad
    expected = 2 * float(weight[0]) * (0.5 + 0.0 - 1.0)
    assert s.grad.tolist() == pytest.approx([expected, 0.0])
    assert z.grad.tolist() == pytest.approx([expected, 0.0])


def test_clipping_flowrls_weight_matters():
    now, then = torch.tensor([0.0, -3.0]), torch.tensor([-1.0, -1.0])
    assert sequence_weight(now, then).tolist() == pytest.approx([1.2, 0.8])
    assert sequence_weight(now, then, clip=False).tolist() == pytest.approx([2.71828, 0.13534], abs=1e-4)


def test_the_dual_settles_where_quality_meets_its_target():
    """Two outcomes, R = π(right) at weight 1/λ of entropy: the multiplier finds the λ of any R*."""
    weight = 1.0
    for _ in range(2000):
        quality = float(torch.sigmoid(torch.tensor(weight, dtype=torch.float64) - 2.0))
        weight = dual_step(weight, quality, 0.9, learning_rate=1.0, high=50.0)
    assert quality == pytest.approx(0.9, abs=1e-6)
    assert weight == pytest.approx(2.0 + float(torch.logit(torch.tensor(0.9, dtype=torch.float64))), abs=1e-4)
    assert dual_step(1.0, 0.0, 1.0, learning_rate=99.0, high=3.0) == 3.0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: gae(REWARD, VALUE, MASK, trace=1.1), r"trace: expected a number in \[0, 1\], got 1.1"),
        (lambda: gae(REWARD, VALUE[:, :3], MASK), r"mask: expected shape \(4, 3\), as value, got \(4, 5\)"),
        (lambda: terminal_reward(torch.ones(3), MASK), r"reward: expected shape \(N,\) and mask \(N, T\), got \(3,\)"),
        (lambda: value_loss(VALUE, VALUE, MASK, clip=0.2), "clip: expected a number > 0 together with value_old"),
        (lambda: dual_step(1.0, float("nan"), 0.9, learning_rate=1.0), "mean_quality: expected a finite number"),
        (lambda: dual_step(1.0, 0.5, 0.9, learning_rate=0.0), "expected learning_rate > 0 and low <= high"),
        (
            lambda: flow_square(VALUE[0], VALUE[0], seq_logp_ref=VALUE[0], log_z=VALUE[0, :2], scale=1.0),
            r"log_z: expected shape \(5,\), as seq_logp, got \(2,\)",
        ),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_whitening_of_values_whose_squares_overflow():
    values, keep = torch.tensor([[3.0, 1.0, 9.0]]), torch.tensor([[True, True, False]])
    assert torch.allclose(whiten_tokens(values * 1e30, keep), whiten_tokens(values, keep), atol=1e-6)


def test_a_weight_of_an_unscored_rollout_is_not_looked_at():
    given = {"seq_logp_ref": torch.zeros(2), "log_z": torch.zeros(2), "scale": 1.0}
    reward, weight = torch.tensor([1.0, torch.nan]), torch.tensor([2.0, torch.nan])
    assert flow_square(torch.zeros(2), reward, weight=weight, **given).tolist() == [2.0, 0.0]


def test_a_reference_of_an_unscored_rollout_is_not_looked_at():
    seq_logp = torch.zeros(2, requires_grad=True)
    given = {"seq_logp_ref": torch.tensor([0.0, torch.nan]), "log_z": torch.zeros(2), "scale": 1.0}
    found = flow_square(seq_logp, torch.tensor([1.0, torch.nan]), **given)
    found.sum().backward()
    assert found.tolist() == [1.0, 0.0] and seq_logp.grad.tolist() == [-2.0, 0.0]
