"""Terms after the baseline: UCPO's redistribution, bonuses by visits, penalties for repetition."""

import pytest
import torch

from breadth.advantages.exploration import shape_by_repetition, shape_by_visits, visit_bonus
from breadth.advantages.uniformity import inverse_share, shape_by_uniformity

ONE = torch.zeros(4, dtype=torch.int64)
S = torch.tensor([-1.0, -2.0, -4.0, -3.0], dtype=torch.float64)
A = torch.tensor([0.6, 0.6, 0.6, -1.8], dtype=torch.float64)


def flags(*values):
    return torch.tensor(values, dtype=torch.bool)


def shape(values=A, correct=None, **settings):
    correct = flags(1, 1, 1, 0) if correct is None else correct
    return shape_by_uniformity(values, ONE, **{"correct": correct, "seq_logp": S, "level": "sequence", **settings})


def test_ucpo_by_hand():
    inverse = torch.exp(-S[:3]) / torch.exp(-S[:3]).sum()
    expected = torch.cat([1.8 * (0.8 / 3 + 0.2 * inverse), A[3:]])
    torch.testing.assert_close(shape(), expected)
    assert shape()[2] > shape()[1] > shape()[0]
    likely = torch.exp(S[:3]) / torch.exp(S[:3]).sum()
    with pytest.raises(AssertionError):
        torch.testing.assert_close(shape()[:3], 1.8 * (0.8 / 3 + 0.2 * likely))


@pytest.mark.parametrize(
    ("values", "correct"),
    [
        (A, flags(1, 0, 0, 0)),  # one correct
        (A, flags(0, 0, 0, 0)),
        (torch.zeros(4, dtype=torch.float64), flags(1, 1, 1, 1)),  # GRPO gives an all-correct group nothing
    ],
)
def test_ucpo_leaves_alone(values, correct):
    assert torch.equal(shape(values, correct), values)


def test_ucpo_keeps_the_sum_and_takes_any_probability():
    assert shape(tau=1.0).sum().abs() < 1e-12
    steep = inverse_share(torch.tensor([-1e5, -1.0, -2.0]), torch.zeros(3).long(), keep=flags(1, 1, 1))
    assert steep.tolist() == [1.0, 0.0, 0.0]
    per_token = shape(level="per_token", length=torch.tensor([1, 2, 4, 1]), tau=1.0)
    torch.testing.assert_close(per_token[:3], A[:3])  # all have −1 nat per token
    by_power = inverse_share(2 * S, ONE, keep=flags(1, 1, 1, 0))
    torch.testing.assert_close(shape(tau=1.0, power=2.0)[:3], 1.8 * by_power[:3])


def test_ucb_variants():
    count = torch.tensor([0, 1, 4, -1])
    assert visit_bonus(count, ONE, variant="plain").tolist() == [1.0, 1.0, 0.5, 0.0]
    assert visit_bonus(count, ONE, variant="con").tolist() == [0.5, 0.5, 0.0, 0.0]
    assert visit_bonus(torch.tensor([5]), ONE[:1]).item() < 0  # negative from the fifth visit on
    mean = visit_bonus(count, ONE, variant="mean")
    torch.testing.assert_close(mean, torch.tensor([1 / 6, 1 / 6, -1 / 3, 0.0], dtype=torch.float64))
    assert visit_bonus(count, ONE, variant="mean", scored=flags(1, 0, 1, 1)).tolist() == [0.25, 0.0, -0.25, 0.0]
    got = shape_by_visits(A, ONE, count=count, weight=0.2, variant="plain")
    torch.testing.assert_close(got, A + torch.tensor([0.2, 0.2, 0.1, 0.0], dtype=torch.float64))


def test_repetition():
    kind = torch.tensor([0, 0, 1, 0])
    assert shape_by_repetition(torch.zeros(4), ONE, kind=kind, weight=1.0).tolist() == [-0.5, -0.5, 0.0, -0.5]
    scored = shape_by_repetition(torch.zeros(4), ONE, kind=kind, weight=1.0, scored=flags(1, 1, 1, 0))
    assert scored.tolist() == pytest.approx([-1 / 3, -1 / 3, 0.0, 0.0])
    wrong = shape_by_repetition(torch.zeros(4), ONE, kind=kind, weight=1.0, correct=flags(1, 0, 0, 0), penalise="wrong")
    assert wrong.tolist() == [0.0, -0.5, 0.0, -0.5]
    alone = shape_by_repetition(torch.ones(4), torch.arange(4), kind=kind, weight=1.0)
    assert alone.tolist() == [1.0] * 4


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: shape(tau=1.5), r"tau: expected a number in \[0, 1\], got 1.5"),
        (lambda: shape(power=0), "power: expected a number > 0, got 0"),
        (lambda: shape(level="token"), "level: expected one of per_token, sequence, got 'token'"),
        (lambda: shape(level="per_token"), "level='per_token' needs the stream `length`"),
        (lambda: shape_by_visits(A, ONE, count=ONE, weight=-1), "weight: expected a number >= 0, got -1"),
        (lambda: visit_bonus(ONE, ONE, variant="max"), "variant: expected one of con, mean, plain, got 'max'"),
        (lambda: shape_by_repetition(A, ONE, kind=ONE, penalise="right"), "penalise: expected one of all, wrong"),
        (
            lambda: shape_by_repetition(A, ONE, kind=ONE, penalise="wrong"),
            "penalise='wrong' needs the stream `correct`",
        ),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_a_share_does_not_depend_on_who_is_left_out():
    likely, keep = torch.tensor([0.0, 0.0, -1000.0]), torch.tensor([True, True, False])
    assert inverse_share(likely, torch.zeros(3, dtype=torch.int64), keep=keep).tolist() == [0.5, 0.5, 0.0]


def test_a_correct_rollout_that_is_not_scored_takes_no_part_in_the_shares():
    values, one, right = torch.tensor([0.5, 0.25, 0.5]), torch.zeros(3, dtype=torch.int64), torch.ones(3, dtype=torch.bool)
    given = {"seq_logp": torch.tensor([-1.0, -2.0, -3.0]), "level": "sequence", "tau": 0.5}
    found = shape_by_uniformity(values, one, correct=right, scored=torch.tensor([True, True, False]), **given)
    alone = shape_by_uniformity(values[:2], one[:2], correct=right[:2], seq_logp=given["seq_logp"][:2], level="sequence", tau=0.5)
    assert found.tolist() == [*alone.tolist(), 0.5]
