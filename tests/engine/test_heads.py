"""Heads read the states that predict the tokens, are saved and restored bit for bit, and share the refusal of bad updates."""

import json

import pytest
import torch

from breadth import objective
from breadth.engine.checkpoint import CheckpointError, load_checkpoint, save_checkpoint, step_folder, verify
from breadth.engine.gpt import GPT, GPTShape
from breadth.engine.heads import Heads, heads_for, parameters
from breadth.engine.policy import completion_logp, completion_values, left_align
from breadth.engine.rollout import Sampling, sample
from breadth.engine.update import Batch, update
from breadth.tasks.vocabulary import Vocabulary

WORDS = Vocabulary(list("abcdefg"), pattern=r"\S+", joiner=" ")
BANNED = [0, 1]


def made(seed=0, *, value=True, log_z=True):
    """A model, heads that are not 0, one optimiser for both, and eight rollouts with prompts of several lengths."""
    model, heads = GPT(GPTShape(len(WORDS), 32, 16, 1, 2), seed=seed), Heads(16, value=value, log_z=log_z)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in heads.parameters():
            parameter.normal_(generator=generator)
    optimizer = torch.optim.AdamW(parameters(model, heads), lr=1e-2, fused=True)
    prompts = ["", "a b", "c", "d e f g a b"] * 2
    rollouts = sample(model, prompts, WORDS, Sampling(max_tokens=6), generator=torch.Generator().manual_seed(7))
    return model, heads, optimizer, rollouts


HEAVY = {"value_coefficient": 100.0, "value_clip": None, "trace": 1.0}


def ppo_batch(rollouts, value_old, **settings):
    reward = torch.arange(len(rollouts.text), dtype=torch.float32) / 8
    method = objective("ppo", **settings)
    streams = {"reward": reward, "group": rollouts.group, "mask": rollouts.mask, "value_old": value_old}
    tokens = {"value_old": value_old, "value_target": method.targets(**streams)}
    return method, Batch(rollouts, method.advantage(**streams), {"reward": reward, "group": rollouts.group}, tokens)


def step(model, heads, optimizer, rollouts, *, micro_batch=3, **settings):
    method, batch = ppo_batch(rollouts, completion_values(model, heads, rollouts), **settings)
    rows = torch.arange(len(rollouts.text))
    how = {"banned": BANNED, "micro_batch": micro_batch, "clip_norm": 1.0}
    return update(model, optimizer, method, batch, rows, heads=heads, **how)


def test_values_and_log_z_come_from_the_states_before_the_tokens():
    model, heads, _, rollouts = made()
    whole, prompt_length = left_align(rollouts)
    with torch.no_grad():
        found = completion_logp(model, rollouts, banned=BANNED, heads=heads)
        states = model(whole)
    old = completion_values(model, heads, rollouts, micro_batch=3)
    assert old.shape == rollouts.mask.shape
    for i, length in enumerate(prompt_length.tolist()):
        n = int(rollouts.mask[i].sum())
        before = states[i, length - 1 : length - 1 + n]
        expected = (before @ heads.value.weight[0] + heads.value.bias).detach()
        torch.testing.assert_close(found.value[i, :n], expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(old[i, :n], expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.log_z[i : i + 1], (before[:1] @ heads.log_z.weight[0] + heads.log_z.bias).detach(), atol=1e-5, rtol=1e-5)
    assert found.value[~rollouts.mask[:, : found.value.shape[1]]].abs().max() == 0


def test_heads_change_nothing_else():
    model, heads, _, rollouts = made()
    with torch.no_grad():
        plain = completion_logp(model, rollouts, banned=BANNED, with_entropy=True)
        more = completion_logp(model, rollouts, banned=BANNED, with_entropy=True, heads=heads)
    assert torch.equal(plain.logp, more.logp)
    assert torch.equal(plain.entropy, more.entropy)
    assert plain.value is None
    assert plain.log_z is None


def test_an_objective_gets_the_heads_that_it_needs():
    assert heads_for(objective("grpo"), 16) is heads_for(objective("trajectory_balance"), 16) is None
    for name, settings, expected in [
        ("ppo", {}, ["value.weight", "value.bias"]),
        ("flowrl", {}, ["log_z.weight", "log_z.bias"]),
        ("trajectory_balance", {"log_z": "learned"}, ["log_z.weight", "log_z.bias"]),
    ]:
        heads = heads_for(objective(name, **settings), 16)
        assert list(heads.state_dict()) == expected
        assert all(bool((p == 0).all()) for p in heads.parameters())
    state = torch.random.get_rng_state()
    Heads(16, value=True, log_z=True)
    assert torch.equal(torch.random.get_rng_state(), state), "making heads draws nothing"
    with pytest.raises(ValueError, match="heads: expected a value head, got none"):
        completion_values(made()[0], heads, made()[3])


def test_an_update_moves_trunk_and_head_and_reports_both():
    model, heads, optimizer, rollouts = made(log_z=False)
    before = [p.clone() for p in parameters(model, heads)]
    result = step(model, heads, optimizer, rollouts)
    assert result.refused is None
    assert result.stats["value_loss"] > 0
    assert all(not torch.equal(a, b) for a, b in zip(before[-2:], heads.parameters(), strict=True))
    assert not torch.equal(before[0], parameters(model, heads)[0])


def test_the_value_learns_its_targets():
    """On rollouts that stay the same, a value loss that outweighs the policy's makes the last value of each nearly its reward.

    Rollouts 2 and 6 share prompt and first token, so that no value can tell them apart before their last.
    """
    model, heads, optimizer, rollouts = made(log_z=False)
    losses = [step(model, heads, optimizer, rollouts, micro_batch=8, **HEAVY).stats["value_loss"] for _ in range(150)]
    last = completion_values(model, heads, rollouts).gather(1, rollouts.mask.sum(-1, keepdim=True) - 1).squeeze(1)
    assert losses[-1] < 1e-2 * losses[0]
    unlike = torch.tensor([0, 1, 3, 4, 5, 7])
    torch.testing.assert_close(last[unlike], unlike / 8, atol=0.15, rtol=0)
    torch.testing.assert_close(last[2], last[6])
    assert float(last[2]) == pytest.approx((2 + 6) / 16, abs=0.1)


@pytest.mark.parametrize("name", ["ppo", "flowrl"])
def test_a_head_that_is_not_finite_refuses_the_update(name):
    model, heads, optimizer, rollouts = made()
    method, batch = ppo_batch(rollouts, completion_values(model, heads, rollouts))
    if name == "flowrl":
        method = objective("flowrl")
        seq_logp = rollouts.logp_old.sum(-1)
        streams = {**batch.streams, "seq_logp": seq_logp, "seq_logp_ref": seq_logp, "length": rollouts.mask.sum(-1)}
        batch = Batch(rollouts, None, streams)
    with torch.no_grad():
        (heads.value if name == "ppo" else heads.log_z).bias.fill_(torch.nan)
    before = [p.clone() for p in parameters(model, heads)]
    rows = torch.arange(8)
    result = update(model, optimizer, method, batch, rows, banned=BANNED, micro_batch=8, clip_norm=1.0, heads=heads)
    assert f"{'the loss' if name == 'ppo' else 'log Z'} is not finite because of 8 of 8 rollouts (rollout" in result.refused
    assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(before, parameters(model, heads), strict=True))
    assert all(p.grad is None for p in parameters(model, heads))


def test_training_goes_on_bit_for_bit(tmp_path):
    straight = made(log_z=False)
    rollouts = straight[3]
    for i in range(4):
        if i == 2:
            save_checkpoint(tmp_path, step=2, model=straight[0], optimizer=straight[2], tokenizer=WORDS, state={}, heads=straight[1])
        step(*straight)
    model, heads, optimizer, _ = made(seed=9, log_z=False)
    load_checkpoint(step_folder(tmp_path, 2), model, optimizer, heads=heads)
    assert "heads.safetensors" in json.loads((step_folder(tmp_path, 2) / "manifest.json").read_text())["files"]
    for _ in range(2):
        step(model, heads, optimizer, rollouts)
    pairs = zip(parameters(model, heads), parameters(straight[0], straight[1]), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_heads_stay_with_the_weights_and_other_heads_are_refused(tmp_path):
    model, heads, optimizer, _ = made()
    for number in (1, 2, 3):
        save_checkpoint(tmp_path, step=number, model=model, optimizer=optimizer, tokenizer=None, state={}, heads=heads)
    thin = step_folder(tmp_path, 1)
    assert verify(thin).step == 1
    assert (thin / "heads.safetensors").is_file()
    assert not (thin / "optimizer.safetensors").exists()
    last = step_folder(tmp_path, 3)
    with pytest.raises(CheckpointError, match=r"heads.safetensors: expected value.weight, value.bias, got .*log_z.*other heads"):
        load_checkpoint(last, model, optimizer, heads=Heads(16, value=True, log_z=False))
    load_checkpoint(last, model, optimizer)  # the model alone
    save_checkpoint(tmp_path, step=4, model=model, optimizer=optimizer, tokenizer=None, state={})
    assert not (step_folder(tmp_path, 4) / "heads.safetensors").exists()
    with pytest.raises(CheckpointError, match=r"heads.safetensors: expected .*, got no such file"):
        load_checkpoint(step_folder(tmp_path, 4), model, optimizer, heads=heads)
    damaged = last / "heads.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"heads.safetensors: SHA-256 is"):
        verify(last)
