import pytest
import torch

from breadth.tensors.logprobs import kl_estimate, sequence_logprob, token_entropies, token_logprobs


@pytest.mark.parametrize("chunk", [None, 1, 4, 1000])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_equal_to_log_softmax_whatever_the_chunk(chunk, temperature):
    logits = torch.randn(3, 5, 11, dtype=torch.float64, requires_grad=True)
    tokens = torch.randint(0, 11, (3, 5))
    expected = (logits / temperature).log_softmax(-1)
    got = token_logprobs(logits, tokens, temperature=temperature, chunk=chunk)
    torch.testing.assert_close(got, expected.gather(-1, tokens[..., None]).squeeze(-1), rtol=0, atol=1e-12)
    entropy = token_entropies(logits, temperature=temperature, chunk=chunk)
    torch.testing.assert_close(entropy, -(expected.exp() * expected).sum(-1), rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(got.sum(), logits)
    assert torch.isfinite(gradient).all()


def test_half_precision_is_widened_first():
    logits = torch.randn(4, 1000).to(torch.bfloat16)
    tokens = torch.randint(0, 1000, (4,))
    assert torch.equal(token_logprobs(logits, tokens), token_logprobs(logits.float(), tokens))


def test_forbidden_tokens_have_no_entropy():
    logits = torch.tensor([[0.0, 0.0, -torch.inf]])
    assert token_entropies(logits).item() == pytest.approx(torch.log(torch.tensor(2.0)).item())


def test_nothing_in_nothing_out():
    assert token_logprobs(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)).shape == (0,)


def test_sequence_sum_ignores_the_padding():
    logp = torch.tensor([[-1.0, torch.nan], [torch.nan, torch.nan]])
    mask = torch.tensor([[True, False], [False, False]])
    assert sequence_logprob(logp, mask).tolist() == [-1.0, 0.0]


def test_kl_estimators_in_exact_expectation():
    """Values of k1 and k3 are unbiased; gradients on-policy: k1 nothing, k2 ∇KL(π‖ref), k3 ∇KL(ref‖π)."""
    theta = torch.randn(6, dtype=torch.float64, requires_grad=True)
    ref = torch.randn(6, dtype=torch.float64).log_softmax(-1)
    logp = theta.log_softmax(-1)
    p = logp.detach().exp()
    kl = (logp.exp() * (logp - ref)).sum()
    for kind in ("k1", "k3"):
        assert (p * kl_estimate(logp, ref, kind)).sum().item() == pytest.approx(kl.item(), abs=1e-12)
    (forward,) = torch.autograd.grad(kl, theta, retain_graph=True)
    (reverse,) = torch.autograd.grad((ref.exp() * (ref - logp)).sum(), theta, retain_graph=True)
    for kind, expected in (("k1", torch.zeros(6, dtype=torch.float64)), ("k2", forward), ("k3", reverse)):
        (got,) = torch.autograd.grad((p * kl_estimate(logp, ref, kind)).sum(), theta, retain_graph=True)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: token_logprobs(torch.zeros(2, 4), torch.zeros(3, dtype=torch.int64)),
            r"tokens: expected shape \(2,\)",
        ),
        (lambda: token_entropies(torch.zeros(2, 4), temperature=0.0), "temperature: expected a number > 0, got 0.0"),
        (lambda: kl_estimate(torch.zeros(2), torch.zeros(2), "k4"), "kind: expected one of k1, k2, k3, got 'k4'"),
        (lambda: kl_estimate(torch.zeros(2), torch.zeros(3)), r"logp_ref: expected shape \(2,\)"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()
