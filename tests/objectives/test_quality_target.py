"""The multiplier moves the right way, waits at its bounds, and is saved; the terms are those of the formula."""

import pytest
import torch

import breadth
from breadth.objectives.quality_target import ConstrainedTerm, QualityControl, quality_target

BATCH = {
    "reward": torch.tensor([1.0, 1.0, 0.0, 1.0]),
    "group": torch.zeros(4, dtype=torch.int64),
    "correct": torch.tensor([True, True, False, True]),
    "seq_logp": torch.tensor([-1.0, -3.0, -2.0, -5.0]),
    "seq_logp_ref": torch.tensor([-2.0, -2.5, -2.0, -4.0]),
}


def test_both_forms_by_hand():
    a = 0.1
    centred = BATCH["reward"] - 0.75
    right = torch.where(BATCH["correct"], -(BATCH["seq_logp"] + 3.0), 0.0)  # the mean over correct ones is -3
    found = quality_target(start=1 / a).advantage(**BATCH)
    torch.testing.assert_close(found, (centred + a * right) / (1 + a))
    gap = BATCH["seq_logp"] - 0.5 * BATCH["seq_logp_ref"]
    found = quality_target(start=1 / a, form="anchored", anchor=0.5).advantage(**BATCH)
    torch.testing.assert_close(found, (centred - a * (gap - gap.mean())) / (1 + a))


def test_a_flipped_sign_would_be_seen():
    found = quality_target(start=10.0).advantage(**BATCH)
    assert found[0] < found[3], "of two correct answers the rarer one gets more"


def test_the_multiplier_rises_while_quality_is_short_and_falls_with_slack():
    control = QualityControl(target=0.8, window=100, learning_rate=0.5, start=10.0, low=1.0, high=20.0)
    control.observe([0.0] * 50)
    assert 10.0 < control.value <= 20.0
    for _ in range(20):
        control.observe([0.0] * 50)
    assert control.value == pytest.approx(20.0)
    control.observe([])  # an unscored batch says nothing
    assert control.value == pytest.approx(20.0)
    for _ in range(200):
        control.observe([1.0] * 50)
    assert control.value == pytest.approx(1.0)


def test_the_mean_is_over_the_window():
    control = QualityControl(target=0.5, window=4, learning_rate=0.1, start=2.0, low=1.0, high=4.0)
    for rewards in ([0.0, 0.0], [1.0, 1.0], [1.0, 0.0]):
        control.observe(rewards)
    assert control.mean == pytest.approx(0.75)


def test_state_goes_through_json_and_back():
    import json

    first = quality_target()
    first.observe(**BATCH)
    second = quality_target()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    first.observe(**BATCH)
    second.observe(**BATCH)
    assert first.state_dict() == second.state_dict() and first.shape(**BATCH)[1] == second.shape(**BATCH)[1]
    with pytest.raises(ValueError, match="expected state log_multiplier, recent, got keys counts"):
        second.load_state_dict({"counts": {}})


def test_unscored_rollouts_do_not_move_it():
    objective = quality_target()
    objective.observe(**{**BATCH, "reward": torch.full((4,), torch.nan)})
    assert objective.control.mean is None
    _, stats = objective.shape(**BATCH)
    assert stats["lambda"] == pytest.approx(30.0) and "slack" not in stats


@pytest.mark.parametrize("bad", [{"form": "soft"}, {"start": 0.5}, {"target": float("nan")}, {"window": 0}, {"length_norm": "x"}])
def test_bad_settings(bad):
    with pytest.raises(ValueError, match="expected"):
        breadth.objective("quality_target", **bad)


def test_the_anchored_term_is_centred_in_each_group_and_leaves_unscored_rollouts_alone():
    group, scored = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([True, True, False, True, True])
    gap = torch.tensor([1.0, 3.0, 7.0, -2.0, 5.0])
    streams = {"reward": torch.zeros(5), "group": group, "scored": scored, "seq_logp": -gap, "seq_logp_ref": torch.zeros(5)}
    found = quality_target(start=2.0, form="anchored", anchor=0.5).advantage(**streams)
    assert torch.allclose(found, torch.tensor([-1.0, 1.0, 0.0, -3.5, 3.5]) * 0.5 / 1.5)
    term = ConstrainedTerm(QualityControl(target=0.8, window=4, learning_rate=0.1, start=2.0, low=1.0, high=4.0))
    given = {name: streams[name] for name in ("seq_logp", "seq_logp_ref", "scored")}
    assert torch.equal(term(torch.zeros(5), group, form="anchored", anchor=0.5, length_norm="sequence", **given), found)


def test_the_slack_is_what_quality_has_above_the_target():
    method = quality_target(target=0.75)
    method.observe(reward=torch.tensor([1.0, 0.0, 1.0, 0.0]), group=torch.zeros(4, dtype=torch.int64))
    _, stats = method.shape(**BATCH)
    assert stats["quality_window"] == pytest.approx(0.5) and stats["slack"] == pytest.approx(-0.25)
