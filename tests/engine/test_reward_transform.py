"""Monotone transforms of the reward: what they do to numbers, and where they are refused."""

from __future__ import annotations

import pytest
import torch

from breadth.config import ConfigError, RunSettings, build_settings
from breadth.engine.loop import transformed
from breadth.experiments.assemble import CHECKS


@pytest.mark.parametrize("how", ["half", "double", "square", "root"])
def test_transforms_keep_the_order_and_what_is_unscored(how):
    x = torch.tensor([0.0, 0.2, float("nan"), 0.7, 1.0])
    y = transformed(x, how)
    known = ~torch.isnan(x)
    assert torch.isnan(y).tolist() == torch.isnan(x).tolist()
    assert y[known].argsort().tolist() == x[known].argsort().tolist()
    expected = {"half": 0.35, "double": 1.4, "square": 0.49, "root": 0.7**0.5}[how]
    assert float(y[3]) == pytest.approx(expected)


def test_rewards_of_zero_and_one_have_no_square_of_their_own():
    x = torch.tensor([0.0, 1.0, 1.0])
    assert transformed(x, "square").tolist() == transformed(x, "root").tolist() == x.tolist()
    with pytest.raises(ValueError, match="needs rewards of 0 or more, got -1"):
        transformed(torch.tensor([-1.0, 0.5]), "square")


def test_it_is_refused_where_no_reward_is_seen():
    data = {"task": {"kind": "circle"}, "objective": {"kind": "dpo"}, "train": {"reward_transform": "half"}}
    with pytest.raises(ConfigError, match="'dpo' learns from examples; remove it"):
        build_settings(RunSettings, data, where="test", checks=CHECKS)
