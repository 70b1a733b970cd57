"""Each declared invariant holds; for each standard one that is not declared there is a counter-example."""

import pytest
import torch
from objective_variants import VARIANTS, advantage, batch, make, select

from breadth.objectives.composition import INVARIANTS

LABELS = (7, -3, 1 << 40, 0, 12)


def shift_blind(objective, streams):
    shifted = {**streams, "reward": streams["reward"] + 0.7}
    return (advantage(objective, shifted) - advantage(objective, streams)).abs().max()


def order_blind(objective, streams):
    order = torch.randperm(20, generator=torch.Generator().manual_seed(9))
    return (advantage(objective, select(streams, order)) - advantage(objective, streams)[order]).abs().max()


def group_of_one_zero(objective, streams):
    alone = streams["group"] == 0
    wrong = {
        **streams,
        "reward": streams["reward"].masked_fill(alone, 0.0),
        "correct": streams["correct"] & ~alone,
    }
    return torch.stack([advantage(objective, given)[alone].abs().max() for given in (streams, wrong)]).max()


def all_equal_zero(objective, streams):
    equal = torch.isin(streams["group"], torch.tensor([-3, 1 << 40]))  # all right, all wrong
    return advantage(objective, streams)[equal].abs().max()


def zero_sum(objective, streams):
    result = advantage(objective, streams)
    return torch.stack([result[streams["group"] == label].sum().abs() for label in LABELS]).max()


def group_local(objective, streams):
    generator = torch.Generator().manual_seed(4)
    here = streams["group"] == 7
    reward = 3 * torch.randn(20, generator=generator, dtype=torch.float64)
    logp = -5 * torch.rand(20, 6, generator=generator, dtype=torch.float64)
    elsewhere = {
        **streams,
        "reward": torch.where(here, streams["reward"], reward),
        "logp_old": torch.where(here[:, None], streams["logp_old"], logp),
    }
    return (advantage(objective, elsewhere) - advantage(objective, streams))[here].abs().max()


CHECKS = {check.__name__: check for check in (
    shift_blind, order_blind, group_of_one_zero, all_equal_zero, zero_sum, group_local,
)}  # fmt: skip


def test_every_standard_invariant_has_a_check():
    assert set(CHECKS) == set(INVARIANTS)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("invariant", CHECKS)
def test_declared_ones_hold_and_the_others_do_not(variant, invariant):
    objective = make(variant)
    violation = float(CHECKS[invariant](objective, batch()))
    if invariant in objective.invariants:
        assert violation < 1e-9, f"{variant} declares {invariant} and breaks it by {violation}"
    else:
        assert violation > 1e-3, f"{variant} keeps {invariant} on this batch without declaring it"


@pytest.mark.parametrize("variant", VARIANTS)
def test_labels_mean_nothing(variant):
    objective, streams = make(variant), batch()
    renamed = {**streams, "group": -13 * streams["group"] + 5, "kind": 100 - 17 * streams["kind"]}
    torch.testing.assert_close(advantage(objective, renamed), advantage(objective, streams), rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_unscored_gets_zero_and_leaves_the_others_alone(variant):
    objective, streams = make(variant), batch()
    scored = ~torch.isnan(streams["reward"])
    result = advantage(objective, streams)
    assert result[~scored].abs().max() == 0
    alone = advantage(objective, select(streams, scored.nonzero().flatten()))
    torch.testing.assert_close(result[scored], alone, rtol=0, atol=1e-12)
    flagged = {**streams, "reward": streams["reward"].nan_to_num(nan=9.0)}
    by_flag = objective.advantage(**{k: v for k, v in flagged.items() if k not in ("logp", "entropy")}, scored=scored)
    torch.testing.assert_close(by_flag, result, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_batch_without_any_score_gives_zeros(variant):
    streams = batch()
    streams["reward"] = torch.full_like(streams["reward"], torch.nan)
    assert advantage(make(variant), streams).abs().max() == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_inputs_are_not_changed_in_place(variant):
    objective, streams = make(variant), batch()
    copy = {name: value.clone() for name, value in streams.items() if name != "seed"}
    advantage(objective, streams)
    for name, value in copy.items():
        assert torch.equal(streams[name].nan_to_num(nan=-77.0), value.nan_to_num(nan=-77.0)), name
