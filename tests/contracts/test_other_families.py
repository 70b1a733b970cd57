"""The contracts of the families pair, sft and selection: gradients, micro-batches, and every declared invariant.

For each invariant that is not declared a counter-example is shown.
"""

import pytest
import torch

from breadth import catalogue, objective
from breadth.objectives.card import PAIR_INVARIANTS, SELECTION_INVARIANTS, SFT_INVARIANTS, Card
from breadth.objectives.composition import Piece

PAIRS = {
    **{name: (name, {}) for name, entry in catalogue.entries("objective").items() if entry.family == "pair"},
    "dpo-smooth": ("dpo", {"label_smoothing": 0.1}),
    "ipo-per-token": ("ipo", {"length_norm": "per_token"}),
    "cpo-plain": ("cpo", {"alpha": 0.0}),
    "spl-free": ("spl", {"beta": 0.0}),
    "spl-equal": ("spl", {"alpha": 0.3, "beta": 0.3}),
}
B = 7


def pair_batch(seed=0):
    g = torch.Generator().manual_seed(seed)
    logps = -9 * torch.rand(4, B, generator=g, dtype=torch.float64)
    lengths = torch.randint(1, 9, (2, B), generator=g)
    names = ("chosen", "rejected", "ref_chosen", "ref_rejected")
    out = dict(zip(names, logps, strict=True))
    return {**out, "chosen_length": lengths[0], "rejected_length": lengths[1] + 2}


def terms(method, streams):
    return method.loss(**streams).matrix


def moved(method, streams, **changed):
    return (terms(method, {**streams, **changed}) - terms(method, streams)).abs().max()


def pair_order_blind(method, streams):
    order = torch.randperm(B, generator=torch.Generator().manual_seed(1))
    return (terms(method, {k: v[order] for k, v in streams.items()}) - terms(method, streams)[order]).abs().max()


def pair_local(method, streams):
    return (terms(method, {k: v[:1] for k, v in streams.items()}) - terms(method, streams)[:1]).abs().max()


def pair_shift_blind(method, streams):
    return moved(method, streams, chosen=streams["chosen"] + 1.3, rejected=streams["rejected"] + 1.3)


def reference_blind(method, streams):
    return moved(method, streams, ref_chosen=streams["ref_chosen"] * 2 + 1)


def reference_zero(method, streams):
    at = {**streams, "ref_chosen": streams["chosen"], "ref_rejected": streams["rejected"]}
    return abs(method.loss(**at).stats["chosen_reward"]) + abs(method.loss(**at).stats["rejected_reward"])


def length_blind(method, streams):
    return moved(method, streams, chosen_length=streams["chosen_length"] + 3)


PAIR_CHECKS = {
    "order_blind": pair_order_blind,
    "pair_local": pair_local,
    "shift_blind": pair_shift_blind,
    "reference_blind": reference_blind,
    "reference_zero": reference_zero,
    "length_blind": length_blind,
}


def test_every_standard_invariant_has_a_check():
    assert set(PAIR_CHECKS) == set(PAIR_INVARIANTS)
    assert set(SFT_CHECKS) == set(SFT_INVARIANTS)
    assert set(SELECTION_CHECKS) == set(SELECTION_INVARIANTS)


@pytest.mark.parametrize("variant", PAIRS)
@pytest.mark.parametrize("invariant", PAIR_CHECKS)
def test_pairs_keep_what_they_declare(variant, invariant):
    name, settings = PAIRS[variant]
    method = objective(name, **settings)
    violation = float(PAIR_CHECKS[invariant](method, pair_batch()))
    if invariant in method.invariants:
        assert violation < 1e-9, f"{variant} declares {invariant} and breaks it by {violation}"
    else:
        assert violation > 1e-3, f"{variant} keeps {invariant} on this batch without declaring it"


@pytest.mark.parametrize("variant", PAIRS)
def test_pair_gradients(variant):
    name, settings = PAIRS[variant]
    method, streams = objective(name, **settings), pair_batch()
    leaves = [streams[k].clone().requires_grad_(True) for k in ("chosen", "rejected")]
    rest = {k: v for k, v in streams.items() if k not in ("chosen", "rejected")}

    def value(chosen, rejected):
        return method.loss(chosen=chosen, rejected=rejected, **rest).value

    assert torch.autograd.gradcheck(value, leaves)
    up, down = torch.autograd.grad(value(*leaves), leaves)
    if name != "ipo":  # least squares pulls a margin that is too large back
        assert bool((up < 0).all())
        assert bool((down > 0).all())
    whole = method.loss(**streams).value
    n = method.denominator(**streams)
    parts = [method.loss(**{k: v[rows] for k, v in streams.items()}, denominator=n).value for rows in
             torch.arange(B).split([2, 4, 1])]  # fmt: skip
    assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-12)
    half = method.loss(**{k: v.to(torch.bfloat16) if v.is_floating_point() else v for k, v in streams.items()})
    assert half.value.dtype == torch.float32


def test_a_reference_gets_no_gradient():
    streams = pair_batch()
    streams["ref_chosen"].requires_grad_(True)
    streams["chosen"].requires_grad_(True)
    objective("dpo").loss(**streams).value.backward()
    assert streams["ref_chosen"].grad is None


def sft_batch():
    g = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(5, 6, generator=g, dtype=torch.float64)
    return {"logits": logits, "labels": torch.randint(0, 6, (5,), generator=g), "mask": torch.arange(5) != 2}


def sft_order_blind(method, streams):
    order = torch.tensor([4, 2, 0, 1, 3])
    return (terms(method, {k: v[order] for k, v in streams.items()}) - terms(method, streams)[order]).abs().max()


def sft_shift_blind(method, streams):
    return moved(method, streams, logits=streams["logits"] + torch.arange(5.0)[:, None])


def token_blind(method, streams):
    order = torch.tensor([5, 3, 0, 1, 4, 2])
    return moved(method, streams, logits=streams["logits"][:, order], labels=torch.argsort(order)[streams["labels"]])


SFT_CHECKS = {"order_blind": sft_order_blind, "shift_blind": sft_shift_blind, "token_blind": token_blind}


SFT = {
    "gem": ("gem", {}),
    "gem-sigmoid": ("gem", {"weight": "sigmoid", "slope": 0.5}),
    "sft": ("sft", {}),
    "sft-smooth": ("sft", {"label_smoothing": 0.1}),
}


@pytest.mark.parametrize("variant", SFT)
def test_supervised_losses_keep_what_they_declare(variant):
    name, settings = SFT[variant]
    method, streams = objective(name, **settings), sft_batch()
    for name in method.invariants:
        assert float(SFT_CHECKS[name](method, streams)) < 1e-12
    logits = streams["logits"].clone()
    logits[2] = torch.nan  # what stands under a mask that is False
    logits.requires_grad_(True)
    result = method.loss(**{**streams, "logits": logits})
    assert torch.equal(result.value, method.loss(**streams).value)
    result.value.backward()
    assert logits.grad[2].abs().max() == 0
    assert bool(torch.isfinite(logits.grad).all())
    n = method.denominator(**streams)
    parts = [method.loss(**{k: v[rows] for k, v in streams.items()}, denominator=n).value for rows in
             torch.arange(5).split([2, 3])]  # fmt: skip
    assert float(sum(parts).detach()) == pytest.approx(float(result.value.detach()), rel=1e-12)


def selection_batch():
    g = torch.Generator().manual_seed(3)
    reward = torch.randint(0, 3, (24,), generator=g).double() / 2
    out = {"reward": reward, "group": torch.arange(6).repeat(4), "diversity": torch.rand(24, generator=g)}
    return {**out, "correct": reward > 0.4}


def chosen_rows(method, streams):
    """Return what is selected as a set: rows, or pairs of rows."""
    found = method.select(**{name: streams[name] for name in method.needs})
    return set(found.nonzero().flatten().tolist()) if found.dtype == torch.bool else set(map(tuple, found.tolist()))


def same_selection(method, streams, order):
    after = chosen_rows(method, {k: v[order] for k, v in streams.items()})
    back = {tuple(int(order[i]) for i in x) if isinstance(x, tuple) else int(order[x]) for x in after}
    return back == chosen_rows(method, streams)


def selection_order_blind(method, streams):
    return same_selection(method, streams, torch.randperm(24, generator=torch.Generator().manual_seed(8)))


def selection_shift_blind(method, streams):
    return chosen_rows(method, {**streams, "reward": streams["reward"] - 5}) == chosen_rows(method, streams)


def selection_group_local(method, streams):
    here = (streams["group"] == 2).nonzero().flatten()
    alone = chosen_rows(method, {k: v[here] for k, v in streams.items()})
    alone = {tuple(int(here[i]) for i in x) if isinstance(x, tuple) else int(here[x]) for x in alone}
    rows = set(here.tolist())
    return alone == {x for x in chosen_rows(method, streams) if (x[0] if isinstance(x, tuple) else x) in rows}


SELECTION_CHECKS = {
    "order_blind": selection_order_blind,
    "shift_blind": selection_shift_blind,
    "group_local": selection_group_local,
}


@pytest.mark.parametrize("name", ["divpo", "dynamic_sampling"])
def test_selections_keep_what_they_declare(name):
    method, streams = objective(name), selection_batch()
    assert chosen_rows(method, streams)
    for invariant, check in SELECTION_CHECKS.items():
        assert check(method, streams) == (invariant in method.invariants), invariant


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda s: objective("dpo").loss(chosen=s["chosen"], rejected=s["rejected"]),
            ValueError,
            "objective 'dpo' needs ref_chosen, ref_rejected, which it was not given:\n  ref_chosen: (B,) float, nats",
        ),
        (
            lambda s: objective("simpo").loss(chosen=s["chosen"], rejected=s["rejected"]),
            ValueError,
            "objective 'simpo' needs chosen_length, rejected_length",
        ),
        (
            lambda s: objective("dpo").loss(**{**s, "rejectd": s["rejected"]}),
            TypeError,
            "objective 'dpo': unknown stream 'rejectd', did you mean 'rejected'?",
        ),
        (
            lambda s: objective("dpo").loss(**{**s, "rejected": s["rejected"][:3]}),
            ValueError,
            "objective 'dpo': rejected: expected shape (7,), got (3,)",
        ),
        (
            lambda s: objective("cpo").loss(chosen=torch.zeros(0), rejected=torch.zeros(0)),
            ValueError,
            "objective 'cpo': chosen: expected shape (B,) with B >= 1, got (0,)",
        ),
        (
            lambda s: objective("cpo").loss(chosen=s["chosen"] / 0, rejected=s["rejected"]),
            ValueError,
            "objective 'cpo': chosen: 7 values are not finite, first in row 0",
        ),
        (lambda s: objective("dpo", beta=0), ValueError, "dpo: expected weights a > 0 and b >= 0, got 0 and 0"),
        (lambda s: objective("dpo", label_smoothing=0.5), ValueError, "label_smoothing: expected a number in [0, 0.5)"),
        (lambda s: objective("cpo", alpha=-1), ValueError, "alpha: expected a number >= 0, got -1"),
        (lambda s: objective("ipo", length_norm="mean"), ValueError, "length_norm: expected one of none, per_token"),
        (lambda s: objective("qempo_kl_pairs", ratio=0), ValueError, "expected inv_lambda1 >= 0 and ratio > 0"),
        (lambda s: objective("gvpo", beta="auto"), ValueError, "beta: expected a number > 0, got 'auto'"),
        (lambda s: objective("gvpo", reference="none"), ValueError, "reference: expected one of prior, old"),
        (lambda s: objective("trajectory_balance", log_z="zero"), ValueError, "log_z: expected one of batch, learned"),
        (lambda s: objective("flowrl", scale=0), ValueError, "scale: expected a number > 0, got 0"),
        (
            lambda s: Card(
                name="x", title="", family="policy", piece=Piece("loss", terms), source="", needs=(), streams={}
            ),
            ValueError,
            "family: expected one of pair, sft, selection, got 'policy'",
        ),
    ],
)
def test_bad_input_is_said(call, error, text):
    with pytest.raises(error) as caught:
        call(pair_batch())
    assert text in str(caught.value)
