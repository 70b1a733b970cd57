"""An update by what sampling computed is the update by a forward pass: log-probabilities, heads and gradients; and only while it is the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import breadth
from breadth.engine import activations, loop, policy, rollout
from breadth.engine.activations import Activations
from breadth.engine.checkpoint import arithmetic_of
from breadth.engine.heads import Heads
from breadth.engine.matmul import PRESENT
from breadth.engine.policy import completion_logp, completion_values, score_completions
from breadth.engine.rollout import Sampling, sample
from tests.engine.sharp import WORDS, sharp
from tests.journeys.test_bad_input import small

BANNED = [WORDS.pad_id, WORDS.bos_id]
PROMPTS = {"padded": ["a b c", "", "a", "b b b b b"] * 20, "one": [""] * 70, "all distinct": ["a", "b", "c", "d e", "f"]}
pytestmark = [
    pytest.mark.usefixtures("module_cache"),
    pytest.mark.skipif(not PRESENT, reason="this build of torch has no oneDNN for x86-64: nothing is kept"),
    pytest.mark.filterwarnings("ignore:TF32 acceleration"),  # of the switch itself
]


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setattr(activations, "NARROWEST", 32)


def made(width=64, *, tied=True, **shape):
    net = sharp(width, tie_word_embeddings=tied, **shape)
    heads = Heads(width, value=True, log_z=True)
    for head in (heads.value, heads.log_z):
        torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(1))
    return net, heads


def drawn(net, prompts, kept, **how):
    return sample(net, prompts, WORDS, Sampling(30), generator=torch.Generator().manual_seed(0), keep=kept, **how)


def learnt(net, heads, rollouts, rows, kept):
    """Return what the completions say and the gradients of a sum that reads all of it."""
    found = completion_logp(net, rollouts, rows, banned=BANNED, with_entropy=True, heads=heads, kept=kept)
    weight = torch.arange(1.0, found.logp.shape[1] + 1) / 10
    total = ((found.logp + 0.5 * found.entropy + found.value) * weight).sum() + found.log_z.sum()
    named = {**dict(net.named_parameters()), **{f"heads.{k}": v for k, v in heads.named_parameters()}}
    gradients = dict(zip(named, torch.autograd.grad(total, list(named.values())), strict=True))
    return {"logp": found.logp, "entropy": found.entropy, "value": found.value, "log_z": found.log_z} | gradients


def apart(a, b):
    """Largest difference, in units of the largest entry, and the tensor that has it."""
    return max((float((a[k] - b[k]).detach().abs().max() / b[k].detach().abs().max()), k) for k in b)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("prompts", PROMPTS)
@pytest.mark.parametrize("bf16", [False, True])
def test_it_is_the_update_of_a_forward_pass(monkeypatch, prompts, bf16, tied):
    monkeypatch.setitem(policy.PASS_NUMBERS, "cpu", 64 * 200)  # several passes
    (net, heads), kept, prompts = made(tied=tied), Activations(), PROMPTS[prompts]
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        rollouts = drawn(net, prompts, kept)
        assert kept.of(rollouts) and len(set(rollouts.mask.sum(-1).tolist())) > 2  # rows did leave
        rows = torch.arange(len(prompts)).flip(0)
        ours, plain = (learnt(net, heads, rollouts, rows, how) for how in (kept, None))
        part = rows[1:4]
        some, plain_some = (learnt(net, heads, rollouts, part, how) for how in (kept, None))
    bound = 0.03 if bf16 else 3e-6
    assert set(ours) == set(plain)
    assert apart(ours, plain)[0] < bound and apart(some, plain_some)[0] < bound
    drift = float((ours["logp"].detach() - rollouts.logp_old[rows, : ours["logp"].shape[1]]).abs().max())
    assert drift < 3e-6  # the very numbers that sampled, in bfloat16 too
    if bf16:
        assert float((plain["logp"].detach() - rollouts.logp_old[rows]).abs().max()) > 1e-4
    with torch.no_grad():  # the twin that must fail: weights have changed
        for parameter in net.parameters():
            parameter.mul_(1.2)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        stale, plain = (learnt(net, heads, rollouts, rows, how) for how in (kept, None))
    assert apart(stale, plain)[0] > 0.1


def test_values_and_scores_come_from_it_too():
    (net, heads), kept = made(), Activations()
    rollouts = drawn(net, PROMPTS["padded"], kept)
    for micro_batch in (128, 7):
        values = [completion_values(net, heads, rollouts, micro_batch=micro_batch, kept=how) for how in (kept, None)]
        assert torch.allclose(*values, atol=1e-5)
        scores = [score_completions(net, rollouts, banned=BANNED, micro_batch=micro_batch, kept=how) for how in (kept, None)]
        assert torch.allclose(*scores, atol=1e-5)


def test_sampling_says_the_same_with_and_without():
    net, _ = made()
    for prompts in PROMPTS.values():
        a, b = drawn(net, prompts, Activations()), drawn(net, prompts, None)
        assert torch.equal(a.tokens, b.tokens) and torch.allclose(a.logp_old, b.logp_old, atol=3e-6)


def test_it_is_of_one_call_and_its_memory_serves_the_next():
    (net, heads), kept = made(), Activations()
    first = drawn(net, PROMPTS["one"], kept)
    held = {name: one.data_ptr() for name, one in kept._memory.items()}
    second = drawn(net, PROMPTS["one"][:50], kept)
    assert held == {name: one.data_ptr() for name, one in kept._memory.items()}
    assert kept.of(second) and not kept.of(first) and not kept.of(replace(second))
    ours, plain = (learnt(net, heads, second, None, how) for how in (kept, None))
    assert apart(ours, plain)[0] < 3e-6


def test_nothing_is_kept_where_it_would_not_pay_or_not_be_true(monkeypatch):
    def kept_by(net, prompts=("a", "b")):
        kept = Activations()
        return kept.of(drawn(net, prompts, kept))

    assert kept_by(made()[0])
    assert not kept_by(made(dropout=0.1)[0])  # the update's pass would draw other units
    assert not kept_by(made(width=16)[0])
    with torch.backends.mkldnn.flags(enabled=False):
        assert not kept_by(made()[0])
    monkeypatch.setattr(rollout, "decoder", lambda *_: None)
    assert not kept_by(made()[0])
    monkeypatch.undo()
    monkeypatch.setattr(activations, "NARROWEST", 32)
    monkeypatch.setattr(activations, "LARGEST", 100_000)
    assert not kept_by(made()[0])


def test_an_answer_of_one_token_needs_no_more_than_its_prompt():
    (net, heads), kept = made(), Activations()
    how = {"generator": torch.Generator().manual_seed(0), "keep": kept}
    short = sample(net, PROMPTS["padded"], WORDS, Sampling(2), **how)
    assert kept.of(short) and int(short.mask.sum(-1).min()) == 1
    ours, plain = (learnt(net, heads, short, None, how) for how in (kept, None))
    assert apart(ours, plain)[0] < 3e-6
    single = sample(net, PROMPTS["padded"], WORDS, Sampling(1), **how)
    assert not kept.of(single) and not kept.of(short)


def by_letters(texts, prompts):
    return [sum(map(ord, text)) % 5 / 4 for text in texts]


def run(out, name, *, keep=True, train=None, **settings):
    tables = small(train={"steps": 2, **(train or {})}, measure={"every": 2})
    tables["engine"] = {**tables.get("engine", {}), "keep_activations": keep}
    task = breadth.task("circle", vertices=8, edges=4)
    objective = breadth.objective(name, **settings)
    return breadth.train(task=task, objective=objective, reward=by_letters, out=out, **tables)


@pytest.mark.parametrize(
    ("name", "settings", "train"),
    [
        ("grpo", {"beta": 0.1}, {}),
        ("reinvent", {}, {"micro_batch": 7}),
        ("ppo", {"beta": 0.05}, {"inner_epochs": 2, "minibatches": 2}),
        ("gvpo", {}, {"micro_batch": 7}),
        ("entropy_bonus", {}, {}),
    ],
)
def test_a_training_is_the_same_within_rounding(tmp_path, monkeypatch, name, settings, train):
    used = []
    hidden = Activations.hidden
    monkeypatch.setattr(Activations, "hidden", lambda self, passes: used.append(torch.is_grad_enabled()) or hidden(self, passes))
    ours = run(tmp_path / "kept", name, train=train, **settings)
    assert any(used)
    made, used[:] = list(used), []
    plain = run(tmp_path / "plain", name, keep=False, train=train, **settings)
    assert not used
    for a, b in zip(ours.training()[:1], plain.training()[:1], strict=True):
        for key in ("loss", "grad_norm", "reward"):
            assert a[key] == pytest.approx(b[key], rel=2e-3, abs=1e-5), key
    updates = train.get("inner_epochs", 1) * train.get("minibatches", 1)
    parts = -(-32 // train.get("micro_batch", 128)) if updates == 1 else 1
    assert sum(made) <= 2 * parts  # a step's first update alone, two steps


def test_a_policy_that_is_its_reference_does_not_move_where_nothing_is_rewarded(tmp_path, monkeypatch):
    """The penalty's gradient is exactly 0; one of 1e-7 would be a whole step to the optimiser."""
    equal = []
    known = loop.equal_weights
    monkeypatch.setattr(loop, "equal_weights", lambda *models: equal.append(known(*models)) or equal[-1])
    tables = small(train={"steps": 1, "weight_decay": 0.0}, measure={"every": 1})
    task = breadth.task("circle", vertices=8, edges=4)
    how = {"reward": lambda texts, prompts: [0.5] * len(texts), "out": tmp_path / "run", **tables}
    done = breadth.train(task=task, objective=breadth.objective("grpo", beta=0.1), **how)
    assert equal == [True] and done.training()[0]["grad_norm"] == 0.0


def test_wide_models_have_an_arithmetic_of_their_own():
    assert [arithmetic_of(made(width)[0]) for width in (64, 256)] == [2, 3]


@pytest.mark.parametrize(("name", "settings"), [("grpo", {"beta": 0.1}), ("ppo", {})])
def test_a_training_that_keeps_them_goes_on_bit_for_bit(tmp_path, name, settings):
    straight = run(tmp_path / "a", name, train={"steps": 4}, **settings)
    run(tmp_path / "b", name, **settings)
    continued = run(tmp_path / "b", name, train={"steps": 4}, **settings)
    assert (straight.path / "steps.jsonl").read_bytes() == (continued.path / "steps.jsonl").read_bytes()
    last = [sorted((r.path / "checkpoints" / "step-000004").iterdir()) for r in (straight, continued)]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*last, strict=True))
