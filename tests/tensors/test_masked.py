import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from breadth.tensors.masked import AGGREGATIONS, aggregate, denominator_of, fill_padding, masked_mean, masked_sum

LOSS = torch.tensor([[1.0, 2.0, 3.0], [10.0, torch.nan, torch.nan]], dtype=torch.float64)
MASK = torch.tensor([[True, True, True], [True, False, False]])


@pytest.mark.parametrize(
    ("mode", "denominator", "value"),
    [
        ("token_mean", 4.0, 16 / 4),
        ("seq_mean_token_mean", 2.0, (2 + 10) / 2),
        ("seq_mean_token_sum", 2.0, 16 / 2),
        ("token_sum_over_constant", 10.0, 16 / 10),
    ],
)
def test_each_mode_by_hand(mode, denominator, value):
    assert denominator_of(MASK, mode, max_tokens=5) == denominator
    assert aggregate(LOSS, MASK, mode, denominator).item() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("mode", AGGREGATIONS)
def test_a_sequence_without_tokens_adds_nothing_but_counts(mode):
    mask = MASK.clone()
    mask[1] = False
    value = aggregate(LOSS, mask, mode, denominator_of(mask, mode, max_tokens=3)).item()
    assert value == pytest.approx({"token_mean": 2, "seq_mean_token_mean": 1, "seq_mean_token_sum": 3}.get(mode, 1))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), mode=st.sampled_from(list(AGGREGATIONS)), cut=st.integers(1, 6))
def test_parts_sum_to_the_whole(seed, mode, cut):
    generator = torch.Generator().manual_seed(seed)
    loss = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    mask = torch.rand(7, 5, generator=generator) < 0.6
    mask[0, 0] = True
    d = denominator_of(mask, mode, max_tokens=5)
    whole = aggregate(loss, mask, mode, d)
    parts = aggregate(loss[:cut], mask[:cut], mode, d) + aggregate(loss[cut:], mask[cut:], mode, d)
    assert parts.item() == pytest.approx(whole.item(), abs=1e-12)


def test_means_and_sums_of_nothing():
    none = torch.zeros(2, dtype=torch.bool)
    assert masked_sum(torch.tensor([1.0, torch.nan]), none).item() == 0
    assert masked_mean(torch.tensor([1.0, torch.nan]), none).isnan()


def test_gradient_of_filled_entries_is_zero():
    values = torch.tensor([2.0, torch.nan], requires_grad=True)
    fill_padding(values, torch.tensor([True, False])).exp().sum().backward()
    assert values.grad.tolist() == [pytest.approx(torch.e**2), 0.0]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: denominator_of(MASK, "mean"), ValueError, "expected one of token_mean, seq_mean_token_mean"),
        (
            lambda: denominator_of(MASK & False, "token_mean"),
            ValueError,
            r"at least one kept token, got none in shape \(2, 3\)",
        ),
        (lambda: denominator_of(MASK, "token_sum_over_constant"), ValueError, "max_tokens: expected an integer >= 1"),
        (lambda: denominator_of(MASK[0], "token_mean"), ValueError, r"mask: expected shape \(N, T\), got \(3,\)"),
        (lambda: aggregate(LOSS, MASK, "token_mean", 0.0), ValueError, "denominator: expected a number > 0"),
        (lambda: aggregate(LOSS, MASK[:1], "token_mean", 1.0), ValueError, r"mask: expected shape \(2, 3\), as values"),
        (lambda: masked_sum(LOSS, MASK.int()), TypeError, "pass mask.bool()"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
