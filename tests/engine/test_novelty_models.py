"""Models of novelty: what their errors are, that they learn what is seen, that state and micro-batches lose nothing."""

from __future__ import annotations

import pytest
import torch

from breadth.engine.gpt import GPT, GPTShape
from breadth.engine.novelty import ForwardDynamics, Novelty, RandomDistillation, _joined, _moments, layers
from breadth.engine.policy import completion_ranks, transition_states
from breadth.objectives.novelty import NoveltySettings
from breadth.records import Rollouts

N, T, S = 6, 5, 3
WHERE = {"banned": [0], "micro_batch": 4}


def policy(seed=0):
    return GPT(GPTShape(vocab_size=9, n_positions=16, n_layer=1, n_head=2, n_embd=8, dropout=0.0), seed=seed).eval()


def rollouts(seed=0, fill=0):
    g = torch.Generator().manual_seed(seed)
    length, prompt = torch.randint(1, T + 1, (N,), generator=g), torch.randint(1, S + 1, (N,), generator=g)
    length[0] = T
    mask, prompt_mask = torch.arange(T) < length[:, None], torch.arange(S) >= (S - prompt)[:, None]
    tokens, before = torch.randint(1, 9, (N, T), generator=g), torch.randint(1, 9, (N, S), generator=g)
    zero = torch.zeros(N, T)
    return Rollouts(
        prompt_tokens=before.masked_fill(~prompt_mask, 0), prompt_mask=prompt_mask, tokens=tokens.masked_fill(~mask, fill),
        mask=mask, logp_old=zero, logp_sampled=zero, entropy=zero, group=torch.zeros(N).long(),
        prompt_id=torch.zeros(N).long(), text=["x"] * N, prompt=["p"] * N, ended=torch.ones(N).bool(),
    )  # fmt: skip


def novelty(kind, seed=3, **numbers):
    return Novelty(NoveltySettings(kind=kind, learning_rate=1e-2, **numbers), policy(), seed=seed)


def by_hand(model, r, row):
    """The error after each token of one rollout, from one unpadded pass."""
    whole = torch.cat([r.prompt_tokens[row][r.prompt_mask[row]], r.tokens[row][r.mask[row]]])[None]
    first = int(r.prompt_mask[row].sum()) - 1
    states = model.reference(whole)[0, first:]
    action = policy(1).transformer["wte"].weight[r.tokens[row][r.mask[row]]]
    return model.model.error(states[:-1], action, states[1:])


@pytest.mark.parametrize("kind", ["forward", "distillation"])
def test_the_error_of_each_token_is_that_of_its_own_unpadded_sequence(kind):
    model, r = novelty(kind), rollouts()
    with torch.no_grad():
        expected = torch.zeros(N, T)
        for row in range(N):
            found = by_hand(model, r, row)
            expected[row, : len(found)] = found
    error = model.look(policy(1), r, **WHERE)["prediction_error"]
    scale = expected[r.mask].std(correction=0) if kind == "distillation" else 1.0
    torch.testing.assert_close(error, expected / scale, rtol=1e-4, atol=1e-6)
    assert float(error[r.mask].min()) > 0 and float(error[~r.mask].abs().sum()) == 0


def test_the_forward_error_written_out():
    g = torch.Generator().manual_seed(0)
    model = ForwardDynamics(4, features=3, inner=5, generator=g)
    before, action, after = torch.randn(3, 2, 4, generator=g).unbind(0)
    run = lambda net, x: net[4](net[3](net[2](net[1](net[0](x))))) if len(net) == 5 else None  # noqa: E731
    wanted = run(model.encoder, after) - run(model.forward_model, torch.cat([run(model.encoder, before), action], -1))
    torch.testing.assert_close(model.error(before, action, after), wanted.square().sum(-1).sqrt() / 2)
    assert [tuple(p.shape) for p in model.encoder.parameters()][::2] == [(8, 4), (8, 8), (3, 8)]


def test_what_was_seen_often_is_foreseen_and_what_was_not_is_not():
    """A distillation is trained on one batch: its errors there fall, those of a batch with other tokens stay higher."""
    model, seen, other = novelty("distillation", inner=32), rollouts(0), rollouts(1)
    raw = lambda r: torch.cat([by_hand(model, r, row) for row in range(N)]).mean().item()  # noqa: E731
    model.look(policy(1), seen, **WHERE)
    model.learn()
    start = raw(seen)
    for _ in range(80):
        model.look(policy(1), seen, **WHERE)
        model.learn()
    assert raw(seen) < start / 3
    assert raw(other) > 2 * raw(seen)
    assert bool((model.model.target[0].weight == novelty("distillation", inner=32).model.target[0].weight).all())


@pytest.mark.parametrize("kind", ["forward", "distillation"])
def test_a_batch_is_judged_by_what_was_learned_before_it(kind):
    model, r = novelty(kind), rollouts()
    before = model.look(policy(1), r, **WHERE)["prediction_error"]
    again = model.look(policy(1), r, **WHERE)["prediction_error"]
    assert torch.equal(before, again)
    assert model.learn()["novelty_loss"] > 0
    assert not torch.equal(before, model.look(policy(1), r, **WHERE)["prediction_error"])


@pytest.mark.parametrize("kind", ["forward", "distillation"])
def test_micro_batches_and_padding_change_nothing(kind):
    ends = []
    for size, fill in ((4, 0), (1, 0), (100, 7)):
        model = novelty(kind)
        for seed in (0, 1, 2):
            model.look(policy(1), rollouts(seed, fill), banned=[0], micro_batch=size)
            model.learn()
        ends.append(model.look(policy(1), rollouts(5), **WHERE)["prediction_error"])
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ends[0], ends[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["forward", "distillation"])
def test_the_state_goes_on_bit_for_bit_and_the_global_generator_is_left_alone(kind):
    reference = policy()
    drawn = torch.get_rng_state()
    straight = Novelty(NoveltySettings(kind=kind, learning_rate=1e-2), reference, seed=3)
    assert torch.equal(torch.get_rng_state(), drawn)
    for seed in (0, 1):
        straight.look(policy(1), rollouts(seed), **WHERE)
        straight.learn()
    resumed = novelty(kind, seed=99)
    resumed.load_tensors(straight.tensors())
    for model in (straight, resumed):
        model.look(policy(1), rollouts(2), **WHERE)
        model.learn()
    for name, value in straight.tensors().items():
        assert torch.equal(value, resumed.tensors()[name]), name
    with pytest.raises(ValueError, match="expected tensors .* they belong to other settings"):
        novelty(kind, features=2).load_tensors(straight.tensors())


def test_ranks_and_first_choices():
    r, model = rollouts(), novelty("forward", top_k=2)
    rows = torch.arange(N)
    rank = completion_ranks(policy(1), r, rows, banned=[0])
    found = model.look(policy(1), r, **WHERE)["in_top_k"]
    assert torch.equal(found[:, : rank.shape[1]], (rank < 2) & r.mask)
    states, _ = transition_states(policy(1), r, rows)
    logits = policy(1).logits(states[:, :-1]).detach().index_fill(-1, torch.tensor([0]), -torch.inf)
    order = logits.argsort(-1, descending=True)
    place = (order == r.tokens[..., None]).float().argmax(-1)
    assert torch.equal(rank[r.mask], place[r.mask])


def test_running_moments_are_those_of_all_values_together():
    values = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    joined = _joined(_moments(values[:7]), _moments(values[7:8]), _moments(values[8:]))
    torch.testing.assert_close(joined, _moments(values))
    torch.testing.assert_close((joined[4:] / joined[0]).sqrt(), values.std(0, correction=0))
    assert layers([2, 3], torch.Generator().manual_seed(0))[0].weight.abs().max() <= 2**-0.5


def test_observations_are_whitened_and_cut_off():
    model = RandomDistillation(2, features=2, inner=3, generator=torch.Generator().manual_seed(0))
    model.observed.copy_(_moments(torch.tensor([[0.0, 1.0], [2.0, 1.5]], dtype=torch.float64)))
    far = [model.error(None, None, torch.tensor([[x, 1.0]])) for x in (100.0, 1000.0)]
    torch.testing.assert_close(*far)  # both stand at the limit of 5 deviations


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"kind": "x"}, "kind: expected one of forward, distillation, got 'x'"),
        ({"learning_rate": 0.0}, "model_rate: expected a number > 0, got 0.0"),
        ({"top_k": 0}, "top_k: expected an integer >= 1, got 0"),
    ],
)
def test_settings_out_of_range(numbers, words):
    with pytest.raises(ValueError, match=words):
        NoveltySettings(**{"kind": "forward", "learning_rate": 1e-3, **numbers})


def test_the_distilled_error_is_the_mean_square_over_features():
    model = RandomDistillation(2, features=5, inner=3, generator=torch.Generator().manual_seed(0))
    after = torch.tensor([[0.5, -1.0], [2.0, 0.25]])
    gap = (model.predictor(after) - model.target(after)).detach()
    assert torch.allclose(model.error(after, after, after), gap.square().sum(-1) / 5)
