"""gelu by the logistic function is the library's, with its slope, and keeps the digits that 1 + tanh loses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from breadth.engine.gelu import CUBIC, TWICE, gelu, gelu_and_slope

POINTS = torch.cat([torch.linspace(-12, 12, 20_001), torch.tensor([-1e4, -60.0, 0.0, 60.0, 1e4])])


def exact(points=POINTS):
    """Value and slope in float64, ½(1 + tanh u) as 1/(1 + e^(−2u))."""
    x = points.double().requires_grad_()
    y = x / (1 + torch.exp(-2 * (2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))
    y.sum().backward()
    return y.detach(), x.grad.nan_to_num(0.0)  # far below 0 the quotient of infinities is the limit 0


def test_value_and_slope_are_those_of_float64():
    (value, slope), (expected, expected_slope) = gelu_and_slope(POINTS), exact()
    assert torch.allclose(value.double(), expected, rtol=2e-5, atol=1e-35)  # however small
    assert torch.allclose(expected, F.gelu(POINTS.double(), approximate="tanh"), atol=1e-12)
    assert float((slope.double() - expected_slope).abs().max()) < 3e-6
    assert abs(TWICE - 1.5957691216) < 1e-9 and abs(CUBIC - 0.0713548162) < 1e-9  # 2√(2/π), and that × 0.044715


def test_another_sign_of_the_cubic_term_is_noticed(monkeypatch):
    monkeypatch.setattr("breadth.engine.gelu.CUBIC", -CUBIC)
    assert not torch.allclose(gelu_and_slope(POINTS)[0].double(), exact()[0], rtol=1e-3)


def test_bfloat16_is_rounded_once_and_the_same_with_gradient_and_without():
    x = POINTS.bfloat16().requires_grad_()
    with_gradient = gelu(x)
    with torch.no_grad():
        without = gelu(x)
    assert with_gradient.dtype == torch.bfloat16 and torch.equal(with_gradient.detach(), without)
    with_gradient.float().sum().backward()
    expected, slope = exact(POINTS.bfloat16())
    assert torch.allclose(without.double(), expected, rtol=2**-8, atol=1e-35)
    assert torch.allclose(x.grad.double(), slope, rtol=2**-8, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_types_take_the_library_s_own_bits(dtype):
    x = POINTS.to(dtype)
    assert torch.equal(gelu(x), F.gelu(x, approximate="tanh"))


def test_what_is_not_a_number_stays_so():
    assert gelu(torch.tensor([torch.nan, 1.0]).bfloat16()).isnan().tolist() == [True, False]
