"""What is sampled is what the log-probabilities say, whoever else is in the batch."""

import pytest
import torch

from breadth.engine.gpt import GPT, GPTShape
from breadth.engine.policy import completion_logp, micro_batches, score_completions
from breadth.engine.rollout import Sampling, draw, sample, truncate
from breadth.tasks.vocabulary import Vocabulary

WORDS = Vocabulary(list("abcdefgh"), pattern=r"\S+", joiner=" ")


def model(seed=0, scale=4.0):
    net = GPT(GPTShape(len(WORDS), 24, 32, 2, 4), seed=seed).eval()
    with torch.no_grad():
        net.transformer["wte"].weight.mul_(scale)
    return net


def rollouts(prompts, *, seed=0, net=None, **how):
    how = {"max_tokens": 12, **how}
    return sample(net or model(), prompts, WORDS, Sampling(**how), generator=torch.Generator().manual_seed(seed))


def test_logp_equals_the_full_forward_pass_with_prompts_of_any_length():
    prompts = ["", "a b", "c", "d e f g a b"] * 6
    r = rollouts(prompts)
    assert len(set(r.mask.sum(-1).tolist())) > 3, "the test wants rows of several lengths"
    for micro_batch in (5, 24):
        logp = score_completions(model(), r, banned=[0, 1], micro_batch=micro_batch)
        torch.testing.assert_close(logp, r.logp_old, atol=2e-6, rtol=1e-5)
    entropy = completion_logp(model(), r, banned=[0, 1], with_entropy=True).entropy
    torch.testing.assert_close(entropy, r.entropy, atol=2e-6, rtol=1e-5)


def test_a_row_does_not_depend_on_its_neighbours_or_on_rows_that_leave():
    """Twelve rows alone and with others: uniform numbers belong to rows, so only the row count above them may matter."""
    uniform = torch.rand((6, 12), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    r = rollouts(["a"] * 6)
    again = rollouts(["a"] * 6)
    assert r.text == again.text
    logits = torch.randn(6, 9)
    assert torch.equal(
        draw(logits.log_softmax(-1), uniform[:, 0])[:3], draw(logits[:3].log_softmax(-1), uniform[:3, 0])
    )


def test_completions_end_once_and_padding_is_silent():
    r = rollouts(["a"] * 64, seed=3)
    for row, mask, ended in zip(r.tokens.tolist(), r.mask.tolist(), r.ended.tolist(), strict=True):
        length = sum(mask)
        assert mask == [True] * length + [False] * (len(mask) - length)
        assert (WORDS.eos_id in row) == ended
        assert WORDS.eos_id not in row[: length - 1]
        assert all(t == WORDS.pad_id for t in row[length:])
    assert torch.all(r.logp_old[~r.mask] == 0)
    assert not torch.isin(r.tokens[r.mask], torch.tensor([WORDS.pad_id, WORDS.bos_id])).any()


def test_without_an_end_token_all_lengths_are_the_same():
    r = rollouts(["a", "b c"], end_token=False)
    assert r.mask.all() and r.tokens.shape == (2, 12) and WORDS.eos_id not in r.tokens
    torch.testing.assert_close(score_completions(model(), r, banned=[0, 1, 2]), r.logp_old, atol=2e-6, rtol=1e-5)


def test_sampling_frequencies_match_the_probabilities():
    net = model()
    r = rollouts([""] * 4000, max_tokens=1, end_token=False, net=net)
    logits = net.logits(net(torch.tensor([[1]])))[0, 0].detach()
    logits[:3] = -torch.inf
    expected = logits.softmax(-1)
    found = torch.bincount(r.tokens[:, 0], minlength=len(WORDS)) / 4000
    assert (found - expected).abs().max() < 4 * (0.25 / 4000) ** 0.5


def test_top_k_top_p_and_temperature_give_the_distribution_that_was_drawn_from():
    r = rollouts(["a"] * 200, temperature=0.7, top_k=4, top_p=0.9)
    net = model()
    whole = torch.cat([r.prompt_tokens, r.tokens], dim=1)
    logits = net.logits(net(whole[:, :-1]))[:, r.prompt_tokens.shape[1] - 1 :].float()
    logits[..., [0, 1]] = -torch.inf
    behaviour = truncate(logits, temperature=0.7, top_k=4, top_p=0.9).log_softmax(-1)
    picked = behaviour.gather(-1, r.tokens.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(picked[r.mask], r.logp_sampled[r.mask], atol=1e-5, rtol=1e-4)
    assert torch.isfinite(picked[r.mask]).all() and (behaviour > -torch.inf).sum(-1).max() <= 4
    assert (r.logp_sampled - r.logp_old)[r.mask].mean() > 0.1  # sharpened


def test_truncate_by_hand():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    def keep(**how):
        cut = truncate(logits, **{"temperature": 1.0, "top_k": 0, "top_p": 1.0, **how})
        return (cut > -torch.inf)[0].tolist()

    assert keep() == [True] * 4
    assert keep(top_k=2) == [True, True, False, False]
    assert keep(top_p=0.5) == [True, False, False, False]
    assert keep(top_p=0.51) == [True, True, False, False]
    assert keep(top_k=3, top_p=0.95) == [True, True, True, False]
    torch.testing.assert_close(truncate(logits, temperature=2.0, top_k=0, top_p=1.0), logits / 2)


def test_micro_batches_hold_every_row_once_and_are_sorted():
    lengths = torch.tensor([5, 1, 4, 4, 2, 9])
    parts = list(micro_batches(lengths, 4))
    assert sorted(torch.cat(parts).tolist()) == list(range(6))
    assert lengths[torch.cat(parts)].tolist() == sorted(lengths.tolist())


def test_too_long_says_how_long():
    with pytest.raises(
        ValueError,
        match=r"a prompt of 3 tokens and a completion of 40 need 42 positions, the model has 24: .* at most 22",
    ):
        rollouts(["a b"], max_tokens=40)


def test_damaged_weights_are_named():
    net = model()
    with torch.no_grad():
        net.transformer["ln_f"].weight[0] = float("nan")
    with pytest.raises(ValueError, match="its weights are damaged"):
        rollouts(["a"], net=net)


def test_min_p_keeps_what_is_likely_enough_beside_the_likeliest():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    cut = truncate(logits, temperature=1.0, top_k=0, top_p=1.0, min_p=0.25)
    assert torch.isfinite(cut)[0].tolist() == [True, True, True, False]
    cold = truncate(logits, temperature=0.5, top_k=0, top_p=1.0, min_p=0.25)  # 0.25 : 0.09 : 0.0225 : 0.0025
    assert torch.isfinite(cold)[0].tolist() == [True, True, False, False]
    assert Sampling(4).plain and not Sampling(4, min_p=0.1).plain
