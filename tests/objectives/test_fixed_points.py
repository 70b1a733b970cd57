"""Each objective, trained on a policy that can be enumerated, reaches the optimum that its theory names."""

import pytest
import torch
from enumerable import total_variation, train

from breadth import objective

torch.manual_seed(0)
K = 12
REWARD = torch.rand(K, dtype=torch.float64)
REF = torch.randn(K, dtype=torch.float64).log_softmax(-1)
START = torch.zeros(K, dtype=torch.float64)


def test_rlhf_reaches_the_tilted_prior():
    expected = (REF + REWARD / 0.3).softmax(-1)
    got = train(objective("rlhf", beta=0.3), REWARD, REF)
    assert total_variation(got, expected) < 0.01
    assert total_variation(got, (REF - REWARD / 0.3).softmax(-1)) > 0.2  # the twin with a flipped sign
    assert total_variation(REF.exp(), expected) > 0.2


def test_rlhf_with_k3_in_the_loss_reaches_another_optimum():
    """E r − β·KL(π_ref‖π) is largest at π = β·π_ref/(η − r)."""
    beta = 0.3
    low, high = float(REWARD.max()), float(REWARD.max()) + 10
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if (beta * REF.exp() / (middle - REWARD)).sum() > 1 else (low, middle)
    expected = beta * REF.exp() / (low - REWARD)
    got = train(objective("rlhf", beta=beta, kl="k3_loss"), REWARD, REF, group_size=1024)
    assert total_variation(got, expected) < 0.02  # this optimum is noisy: advantages do not vanish there
    assert total_variation(got, (REF + REWARD / beta).softmax(-1)) > 0.05


def test_qempo_without_a_mask_reaches_the_reward_alone():
    got = train(objective("qempo", inv_lambda=0.3, mask="none"), REWARD, REF)
    assert total_variation(got, (REWARD / 0.3).softmax(-1)) < 0.01
    assert total_variation(got, (REF + REWARD / 0.3).softmax(-1)) > 0.1  # the reference plays no part


def test_qempo_kl_without_a_mask_reaches_the_tempered_prior():
    got = train(objective("qempo_kl", inv_lambda1=0.2, ratio=0.2, mask="none"), REWARD, REF)
    assert total_variation(got, (0.5 * REF + REWARD / 0.4).softmax(-1)) < 0.01


@pytest.mark.parametrize("weight", [0.3, "auto"])
def test_qempo_reaches_the_uniform_law_on_correct_answers(weight):
    correct = torch.arange(K) < 4
    expected = correct.double() / 4
    got = train(
        objective("qempo", inv_lambda=weight), correct.double(), REF, start=REF, correct=correct, steps=600, rate=0.1
    )
    assert total_variation(got, expected) < 0.05


def test_qempo_kl_reaches_the_tempered_prior_on_correct_answers():
    correct = torch.arange(K) < 4
    expected = torch.where(correct, 0.5 * REF, -torch.inf).softmax(-1)
    method = objective("qempo_kl", inv_lambda1=0.3, ratio=0.3)
    got = train(method, correct.double(), REF, correct=correct, steps=600, rate=0.1)
    assert total_variation(got, expected) < 0.05
    assert total_variation(got, correct.double() / 4) > 0.05


def test_without_an_entropy_term_one_answer_takes_all():
    correct = torch.arange(K) < 4
    got = train(objective("grpo"), correct.double(), REF, steps=600, rate=0.1, group_size=64)
    assert got[correct].sum() > 0.99
    assert total_variation(got, correct.double() / 4) > 0.1


@pytest.mark.parametrize("centre", [False, True])
def test_reinvent_on_its_own_samples(centre):
    """Both forms are right on-policy, where their mean gradient is KL-regularised RL."""
    got = train(objective("reinvent", sigma=3.0, centre=centre), REWARD, REF, steps=400, group_size=512)
    # without centring the term log Z stays in the square as noise, so that form is given more room
    assert total_variation(got, (REF + 3 * REWARD).softmax(-1)) < (0.01 if centre else 0.03)


def test_off_policy_only_the_centred_square_is_right():
    uniform = torch.full((K,), 1 / K, dtype=torch.float64)
    expected = (REF + 3 * REWARD).softmax(-1)
    distance = {
        centre: total_variation(
            train(objective("reinvent", sigma=3.0, centre=centre), REWARD, REF, steps=400, sample_from=uniform),
            expected,
        )
        for centre in (False, True)
    }
    assert distance[True] < 0.01
    assert distance[False] > 0.1


def within(p, right):
    inside = p[:right] / p[:right].sum()
    return float(p[:right].sum()), float(-(inside * inside.log()).nan_to_num(nan=0.0).sum())


def test_where_the_mask_goes_decides_between_quality_and_entropy():
    """4 right and 200 wrong answers in groups of 10: eq. 9 unmasked gives quality away, the masks do not."""
    right, wrong = 4, 200
    correct = torch.arange(right + wrong) < right
    start = torch.cat([torch.tensor([4.0, 3.0, 2.5, 2.0]), torch.zeros(wrong)]).double()
    start[:right] += torch.log(torch.tensor(0.35 / 0.65 * wrong)) - start[:right].logsumexp(0)
    assert within(start.softmax(-1), right)[0] == pytest.approx(0.35, abs=0.001)

    def run(inv_lambda, mask):
        method = objective("qempo", inv_lambda=inv_lambda, mask=mask)
        sizes = {"prompts": 4, "group_size": 10, "steps": 1000, "rate": 2.0, "adam": False}
        return within(train(method, correct.double(), start.log_softmax(-1), correct=correct, **sizes), right)

    def optimum(weight):
        """The quality of exp(r/weight)/Z."""
        return float(torch.sigmoid(torch.tensor(1 / weight) + torch.log(torch.tensor(right / wrong))))

    uniform = float(torch.log(torch.tensor(4.0)))
    quality, entropy = run(0.0, "none")
    assert quality > 0.99
    assert entropy < 0.05
    for mask in ("correct_subset", "group_all_correct"):  # too weak to hold the answers, too weak to hurt
        quality, entropy = run(0.05, mask)
        assert quality > 0.98
        assert entropy < 0.2
    # at 0.3 the order is plain: unmasked loses quality, the listing holds some answers, the subset all of them
    assert run(0.3, "none")[0] == pytest.approx(optimum(0.3), abs=0.03)
    quality, listing = run(0.3, "group_all_correct")
    assert quality > 0.95
    quality, subset = run(0.3, "correct_subset")
    assert quality > 0.98
    assert entropy < listing < subset - 0.1
    assert subset > uniform - 0.02
    # at 1 the unmasked optimum is nearly all wrong, the subset still does not compete with quality
    assert run(1.0, "none")[0] == pytest.approx(optimum(1.0), abs=0.03)
    quality, subset = run(1.0, "correct_subset")
    assert quality > 0.95
    assert subset > uniform - 0.02
