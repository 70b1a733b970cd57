"""What verl's registries would hold, called as verl calls it; nothing here needs verl."""

import numpy as np
import pytest
import torch

import breadth
from breadth import catalogue
from breadth.objectives.support import support
from breadth.plugins.verl.estimators import estimator_of, handed_over
from breadth.plugins.verl.settings import PREFIX, Settings, objective_of, read_settings

NAMES = list(catalogue.entries("objective"))
ABLE = [name for name in NAMES if support(breadth.objective(name))["verl"] == "estimator"]
BY_TRAINER = [name for name in NAMES if support(breadth.objective(name))["verl"] == "trainer"]


def batch(seed=0):
    """Ragged groups in a random order, 0/1 rewards on the last token, uids that are texts."""
    g = torch.Generator().manual_seed(seed)
    group = torch.repeat_interleave(torch.arange(4), torch.tensor([5, 6, 4, 1]))
    group = group[torch.randperm(len(group), generator=g)]
    n, t = len(group), 7
    length = torch.randint(1, t + 1, (n,), generator=g)
    mask = torch.arange(t) < length[:, None]
    reward = (torch.rand(n, generator=g) > 0.5).float()
    rewards = torch.zeros(n, t)
    rewards[torch.arange(n), length - 1] = reward
    return group, mask, reward, rewards, np.array([f"u{label}" for label in group.tolist()], dtype=object)


def test_the_catalogue_has_objectives_of_both_kinds():
    assert {"grpo", "dr_grpo", "pass_at_k", "nsr"} <= set(ABLE)
    assert {"darling", "qempo", "ucb"} <= set(BY_TRAINER)


@pytest.mark.parametrize("name", ABLE)
def test_an_estimator_is_the_objective(name):
    group, mask, reward, rewards, uid = batch()
    values, returns = estimator_of(name)(token_level_rewards=rewards, response_mask=mask.long(), index=uid, config={})
    expected = breadth.objective(name).advantage(reward=reward, group=group, correct=reward >= 1)
    assert torch.equal(values, returns)
    assert torch.allclose(values, expected[:, None] * mask, atol=1e-6)
    assert values.abs().max() > 0 and values.dtype == rewards.dtype
    assert not torch.allclose(values, -expected[:, None] * mask, atol=1e-3)


@pytest.mark.parametrize("name", BY_TRAINER)
def test_an_objective_that_sees_more_asks_for_the_trainer(name):
    _, mask, _, rewards, uid = batch()
    with pytest.raises(
        ValueError, match="which an advantage estimator of verl does not see: add trainer.v1.trainer_mode=breadth_sync"
    ):
        estimator_of(name)(token_level_rewards=rewards, response_mask=mask, index=uid)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(ABLE) - set(BY_TRAINER)))
def test_an_objective_that_verl_cannot_carry_says_why(name):
    _, mask, _, rewards, uid = batch()
    with pytest.raises(ValueError, match="does not run in verl: .*It runs in: |verl has the method itself"):
        estimator_of(name)(token_level_rewards=rewards, response_mask=mask, index=uid)


def test_the_reason_for_a_group_loss():
    with pytest.raises(ValueError) as caught:
        objective_of("breadth_gvpo", Settings())
    assert str(caught.value) == (
        "objective 'gvpo' does not run in verl: its loss ties the answers of a group together, and verl's losses see micro-batches "
        "without groups. It runs in: breadth train, TRL (breadth.plugins.trl)"
    )


def test_settings_reach_the_objective():
    group, mask, reward, rewards, uid = batch()
    config = {"breadth": {"settings": {"k": 2}, "correct_at": 0.5}}
    values, _ = estimator_of("pass_at_k")(token_level_rewards=rewards, response_mask=mask, index=uid, config=config)
    expected = breadth.objective("pass_at_k", k=2).advantage(reward=reward, group=group, correct=reward >= 0.5)
    assert torch.allclose(values, expected[:, None] * mask)


def test_nan_is_unscored_and_leaves_the_group_alone():
    group, mask, reward, rewards, uid = batch()
    row = int((group == 1).nonzero()[0])
    rewards[row, 0] = torch.nan
    values, _ = estimator_of("dr_grpo")(token_level_rewards=rewards, response_mask=mask, index=uid)
    others = [i for i in range(len(group)) if group[i] == 1 and i != row]
    assert values[row].abs().max() == 0
    expected = reward[others] - reward[others].mean()
    assert torch.allclose(values[others], expected[:, None] * mask[others])


def test_padding_rows_of_verl_take_no_part():
    group, mask, reward, rewards, uid = batch()
    pad = 3
    more = [torch.cat([x, torch.zeros(pad, x.shape[1], dtype=x.dtype)]) for x in (rewards, mask)]
    labels = np.array([*uid, *["pad1"] * pad], dtype=object)
    with_padding, _ = estimator_of("ppo_clip")(token_level_rewards=more[0], response_mask=more[1], index=labels)
    without, _ = estimator_of("ppo_clip")(token_level_rewards=rewards, response_mask=mask, index=uid)
    assert torch.equal(with_padding[: len(group)], without)  # its deviation is over the batch: padding would dilute it
    assert with_padding[len(group) :].abs().max() == 0


def test_a_batch_without_uids():
    _, mask, _, rewards, uid = batch()
    with pytest.raises(
        ValueError, match=r"breadth_grpo: verl handed over no uid, by which the answers to one prompt are told apart"
    ):
        estimator_of("grpo")(token_level_rewards=rewards, response_mask=mask)
    with pytest.raises(ValueError, match="breadth_grpo: expected 16 uids, one a row, got 3"):
        estimator_of("grpo")(token_level_rewards=rewards, response_mask=mask, index=uid[:3])


def test_a_reward_function_that_scores_nothing_stops_the_run():
    _, mask, _, rewards, uid = batch()
    with pytest.raises(
        RuntimeError, match=r"breadth_grpo: 16 of 16 answers have no score \(limit 50%, algorithm.breadth.max_unscored"
    ):
        estimator_of("grpo")(token_level_rewards=rewards * torch.nan, response_mask=mask, index=uid)


def test_a_trainer_hands_its_advantages_over():
    _, mask, _, rewards, uid = batch()
    mine = torch.arange(16.0)
    with handed_over("breadth_darling", mine):
        values, _ = estimator_of("darling")(token_level_rewards=rewards, response_mask=mask, index=uid)
        assert torch.equal(values, mine[:, None] * mask)
        with pytest.raises(RuntimeError, match="16 advantages are at hand for 15 rows"):
            estimator_of("darling")(token_level_rewards=rewards[1:], response_mask=mask[1:], index=uid[1:])
    with pytest.raises(ValueError, match="needs kind"):
        estimator_of("darling")(token_level_rewards=rewards, response_mask=mask, index=uid)


def test_bad_settings():
    with pytest.raises(ValueError, match="algorithm.breadth: unknown 'partion', did you mean 'partition'"):
        read_settings({"breadth": {"partion": "rouge1"}})
    with pytest.raises(
        ValueError,
        match=r"unknown 'floor'; settings of the objective stand one level deeper: \+algorithm.breadth.settings",
    ):
        read_settings({"breadth": {"floor": 0.2}})
    with pytest.raises(ValueError, match="algorithm.breadth: expected names with values"):
        read_settings({"breadth": "darling"})
    with pytest.raises(TypeError, match="unknown setting 'flor', did you mean 'floor'"):
        objective_of(PREFIX + "darling", Settings(settings={"flor": 0.1}))
    with pytest.raises(
        ValueError, match="expected breadth_<objective>, for example breadth_darling, with trainers .*got 'grpo'"
    ):
        objective_of("grpo", Settings())
    with pytest.raises(ValueError, match=r"max_unscored_share: expected a number in \[0, 1\], got 2"):
        read_settings({"breadth": {"max_unscored_share": 2}})
