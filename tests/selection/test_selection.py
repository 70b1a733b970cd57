"""Pairs, filters and the supervised loss by hand, with ragged groups, ties and missing scores."""

import pytest
import torch
import torch.nn.functional as F

from breadth import objective
from breadth.selection.filters import mixed_groups, top_share
from breadth.selection.gem import gem_loss
from breadth.selection.pairs import select_pairs

NAN = float("nan")


def by_hand(reward, group, diversity, rho, n_pairs):
    """The definition, one group at a time."""
    out = []
    for label in sorted(set(group.tolist())):
        rows = [i for i in range(len(group)) if group[i] == label and reward[i] == reward[i] and diversity[i] == diversity[i]]
        if not rows:
            continue
        low, high = min(reward[i] for i in rows), max(reward[i] for i in rows)
        slack = rho * (high - low)
        good = sorted((i for i in rows if reward[i] >= high - slack), key=lambda i: (-diversity[i], -reward[i], i))
        bad = sorted((i for i in rows if reward[i] <= low + slack), key=lambda i: (diversity[i], reward[i], i))
        out += [[c, r] for c, r in list(zip(good, bad, strict=False))[:n_pairs] if reward[c] > reward[r]]
    return out


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("rho", "n_pairs"), [(0.0, 1), (0.25, 1), (0.3, 3), (0.5, 2)])
def test_pairs_are_their_definition(seed, rho, n_pairs):
    g = torch.Generator().manual_seed(seed)
    group = torch.randint(-2, 3, (30,), generator=g)
    reward = torch.randint(0, 5, (30,), generator=g).double() / 4
    reward[torch.rand(30, generator=g) < 0.1] = NAN
    diversity = torch.randint(0, 4, (30,), generator=g).double()
    got = select_pairs(reward, group, diversity, rho=rho, n_pairs=n_pairs)
    assert got.tolist() == by_hand(reward, group, diversity, rho, n_pairs)


@pytest.mark.parametrize(
    "reward", [torch.ones(4), torch.tensor([1.0, NAN, NAN, NAN]), torch.full((4,), NAN)], ids=["equal", "one", "none"]
)
def test_nothing_to_compare_gives_no_pair(reward):
    got = select_pairs(reward, torch.zeros(4).long(), torch.arange(4.0))
    assert got.shape == (0, 2)


def test_divpo_selects_and_learns():
    method = objective("divpo", beta=0.5)
    pairs = method.select(reward=[1.0, 1.0, 0.0, 0.0], group=[0, 0, 0, 0], diversity=[0.1, 0.9, 0.8, 0.2])
    assert pairs.tolist() == [[1, 3]]
    s, ref = torch.tensor([-1.0, -5.0, -2.0, -1.0]), torch.zeros(4)
    names = {"chosen": s[pairs[:, 0]], "rejected": s[pairs[:, 1]]}
    refs = {"ref_chosen": ref[pairs[:, 0]], "ref_rejected": ref[pairs[:, 1]]}
    assert float(method.loss(**names, **refs).value) == pytest.approx(-float(F.logsigmoid(torch.tensor(-2.0))))


def test_filtering_is_on_correctness():
    group = torch.tensor([5, 5, 5, -1, -1, 9, 9, 2])
    correct = torch.tensor([1, 0, 1, 1, 1, 0, 0, 1], dtype=torch.bool)
    assert mixed_groups(correct, group).tolist() == [True] * 3 + [False] * 5
    scored = torch.tensor([1, 0, 1, 1, 1, 1, 1, 0], dtype=torch.bool)
    assert not mixed_groups(correct, group, scored=scored).any()  # what is left of the first group is all right
    assert mixed_groups(correct, group, min_rate=0.5, max_rate=0.7).tolist() == [True] * 3 + [False] * 5


def test_top_share_of_batch_and_group():
    reward = torch.tensor([0.9, 0.1, NAN, 0.5, 0.8, 0.3])
    group = torch.tensor([0, 0, 0, 7, 7, 7])
    assert top_share(reward, group, share=0.4).tolist() == [True, False, False, False, True, False]
    within = top_share(reward, group, share=0.4, within="group").tolist()
    assert within == [True, False, False, True, True, False]
    ties = torch.tensor([1.0, 1.0, 1.0, 0.0])
    assert top_share(ties, torch.zeros(4).long(), share=0.5).tolist() == [True, True, True, False]


def test_ahc_is_reinvent_on_the_best_half():
    s, ref = torch.tensor([[-3.0], [-4.0], [-5.0], [-6.0]]), torch.tensor([-2.0, -2.0, -2.0, -2.0])
    reward, group = torch.tensor([0.1, 0.9, 0.8, NAN]), torch.tensor([0, 0, 1, 1])
    mask = torch.ones(4, 1, dtype=torch.bool)
    streams = {"reward": reward, "group": group, "seq_logp_ref": ref}
    got = objective("ahc", sigma=5.0, share=0.6).loss(logp=s, mask=mask, **streams).value
    best = {name: value[1:3] for name, value in streams.items()}
    expected = objective("reinvent", sigma=5.0).loss(logp=s[1:3], mask=mask[1:3], **best).value
    assert float(got) == pytest.approx(float(expected))


@pytest.mark.parametrize("weight", ["uniform", "sigmoid"])
def test_gem_is_its_definition(weight):
    g = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(3, 4, 7, generator=g, dtype=torch.float64)
    labels, mask = torch.randint(0, 7, (3, 4), generator=g), torch.rand(3, 4, generator=g) < 0.7
    matrix, stats = gem_loss(logits, labels, mask, weight=weight)
    f, q = logits.log_softmax(-1), (logits / 0.7).softmax(-1)
    total = 0.0
    for i, t in mask.nonzero().tolist():
        y = labels[i, t]
        expected = 0.0
        for k in range(7):
            w = 1.0 if weight == "uniform" else float(torch.sigmoid(0.01 * (logits[i, t, k] - logits[i, t, y])))
            expected -= float(q[i, t, k]) * w * float(f[i, t, y] - f[i, t, k])
        assert float(matrix[i, t]) == pytest.approx(expected, abs=1e-12)
        total -= float(f[i, t, y])
    assert matrix[~mask].abs().max() == 0
    assert stats["cross_entropy"] == pytest.approx(total / int(mask.sum()))


def test_gems_gradient_is_softer_than_cross_entropys():
    logits = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    label, mask = torch.tensor([0]), torch.tensor([True])
    (got,) = torch.autograd.grad(gem_loss(logits, label, mask)[0].sum(), logits)
    expected = (logits.detach() / 0.7).softmax(-1) - F.one_hot(label, 3)
    torch.testing.assert_close(got, expected)
    (plain,) = torch.autograd.grad(F.cross_entropy(logits, label), logits)
    assert got[0, 0].abs() < plain[0, 0].abs()
    with pytest.raises(AssertionError):
        torch.testing.assert_close(-got, expected)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: objective("divpo", rho=0.6), ValueError, r"rho: expected a number in \[0, 0.5\], got 0.6"),
        (lambda: objective("divpo", n_pairs=0), ValueError, "n_pairs: expected an integer >= 1, got 0"),
        (
            lambda: objective("divpo").select(reward=[1.0], group=[0]),
            ValueError,
            "objective 'divpo' needs diversity, which it was not given:\n  diversity: \\(N,\\) float",
        ),
        (
            lambda: objective("divpo").select(reward=[1.0, 2.0], group=[0], diversity=[0.0]),
            ValueError,
            r"objective 'divpo': reward: expected shape \(1,\), got \(2,\)",
        ),
        (
            lambda: objective("dynamic_sampling").select(corect=[True], group=[0]),
            TypeError,
            "unknown stream 'corect', did you mean 'correct'?",
        ),
        (
            lambda: objective("dynamic_sampling").select(correct=[1], group=[0]),
            TypeError,
            "correct: expected dtype torch.bool, got torch.int64; pass correct.bool",
        ),
        (lambda: objective("dynamic_sampling", max_rate=0.0), ValueError, "expected 0 <= min_rate < max_rate <= 1"),
        (lambda: objective("ahc", share=0), ValueError, r"share: expected a number in \(0, 1\], got 0"),
        (lambda: objective("ahc", within="all"), ValueError, "within: expected 'batch' or 'group', got 'all'"),
        (lambda: objective("gem", weight="linear"), ValueError, "weight: expected one of uniform, sigmoid, got 'linear'"),
        (lambda: objective("gem", beta=0), ValueError, r"beta: expected a number in \(0, 1\], got 0"),
        (
            lambda: objective("gem").loss(logits=torch.ones(2, 3), labels=torch.ones(3), mask=torch.ones(2).bool()),
            ValueError,
            r"labels: expected shape \(2,\), as logits, got \(3,\)",
        ),
        (
            lambda: objective("gem").loss(logits=torch.ones(1, 3), labels=torch.ones(1), mask=torch.zeros(1).bool()),
            ValueError,
            r"mask: expected at least one kept position, got none in shape \(1,\)",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
