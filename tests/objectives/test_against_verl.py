"""Our advantages and losses are the numbers of verl's own core functions, at the settings that its page names."""

from importlib.metadata import version

import numpy as np
import pytest
import torch

from breadth import objective
from breadth.losses.ratios import clipped_weight_loss, sequence_clip_loss
from breadth.losses.tokens import policy_gradient_loss, ppo_clip_loss, reference_penalty, reinforce_loss
from breadth.tensors.logprobs import kl_estimate
from breadth.tensors.masked import aggregate, denominator_of

core_algos = pytest.importorskip(
    "verl.trainer.ppo.core_algos", reason="verl is not installed (pip install 'breadth[verl]')"
)

SEEDS = range(5)
MODES = {
    "token-mean": "token_mean",
    "seq-mean-token-mean": "seq_mean_token_mean",
    "seq-mean-token-sum": "seq_mean_token_sum",
    "seq-mean-token-sum-norm": "token_sum_over_constant",
}


def ragged(seed, binary=False):
    """Groups of 1 to 6 members, one of them with equal rewards, in a random order, answers of 1 to 9 tokens, the reward on the last one."""
    g = torch.Generator().manual_seed(seed)
    sizes = torch.randint(2, 7, (5,), generator=g).tolist() + [1]
    group = torch.repeat_interleave(torch.arange(6), torch.tensor(sizes))
    group = group[torch.randperm(len(group), generator=g)]
    n, t = len(group), 9
    length = torch.randint(1, t + 1, (n,), generator=g)
    mask = torch.arange(t) < length[:, None]  # (N, T)
    reward = (
        256 * torch.rand(n, generator=g, dtype=torch.float64)
    ).round() / 256  # some of verl's estimators round to float32
    reward = (reward > 0.5).to(torch.float64) if binary else reward
    reward[group == 1] = reward[group == 1][0]  # a group whose rewards are all equal
    token_rewards = torch.zeros(n, t, dtype=torch.float64)
    token_rewards[torch.arange(n), length - 1] = reward
    old = -3 * torch.rand(n, t, generator=g, dtype=torch.float64)
    logp = old + 0.6 * torch.randn(n, t, generator=g, dtype=torch.float64)
    reference = old + 0.5 * torch.randn(n, t, generator=g, dtype=torch.float64)
    advantage = torch.randn(n, generator=g, dtype=torch.float64)
    uid = np.array([f"uid-{label}" for label in group.tolist()], dtype=object)
    return {
        "group": group, "mask": mask, "reward": reward, "token_rewards": token_rewards, "uid": uid, "logp_old": old,
        "logp": logp, "logp_ref": reference, "advantage": advantage, "lone": group == 5,
    }  # fmt: skip


def theirs(name, batch, **settings):
    """Return verl's advantages (N, T)."""
    estimator = core_algos.get_adv_estimator_fn(name)
    values, _ = estimator(
        token_level_rewards=batch["token_rewards"].clone(),
        response_mask=batch["mask"].double(),
        index=batch["uid"],
        **settings,
    )
    return values


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("ours", "settings", "name", "their_settings"),
    [
        ("grpo", {"eps": 1e-6}, "grpo", {}),
        ("grpo", {"eps": 1e-6}, "grpo_vectorized", {}),
        ("dapo", {"eps": 1e-6}, "grpo", {}),
        ("gspo", {"eps": 1e-6}, "grpo", {}),
        ("cispo", {"eps": 1e-6}, "grpo", {}),
        ("dr_grpo", {}, "grpo", {"norm_adv_by_std_in_grpo": False}),
        ("rloo", {}, "rloo", {}),
        ("rloo", {}, "rloo_vectorized", {}),
    ],
)
def test_advantages_of_the_grpo_family(ours, settings, name, their_settings, seed):
    batch = ragged(seed)
    mine = objective(ours, **settings).advantage(reward=batch["reward"], group=batch["group"])  # (N,)
    expected = theirs(name, batch, **their_settings)
    several = ~batch["lone"]  # a group of one: the next test
    error = (mine[:, None] * batch["mask"] - expected)[several].abs().max()
    assert error < 1e-6, float(error)
    assert (-mine[:, None] * batch["mask"] - expected)[several].abs().max() > 0.1  # the flipped twin


def test_a_group_of_one_has_no_advantage_here_and_its_whole_reward_in_verl():
    batch = ragged(0)
    lone = batch["lone"]
    assert float(objective("grpo").advantage(reward=batch["reward"], group=batch["group"])[lone]) == 0.0
    expected = float(batch["reward"][lone])
    assert float(theirs("grpo", batch)[lone][0, 0]) == pytest.approx(expected, abs=1e-5)
    assert float(theirs("rloo", batch)[lone][0, 0]) == pytest.approx(expected, abs=1e-5)
    assert float(theirs("rloo_vectorized", batch)[lone].abs().max()) == 0.0


@pytest.mark.parametrize("seed", SEEDS)
def test_pass_at_1_is_verls_grpo_with_the_population_deviation(seed):
    batch = ragged(seed, binary=True)
    mine = objective("pass_at_k", k=1).advantage(
        reward=batch["reward"], group=batch["group"], correct=batch["reward"] == 1
    )
    expected = theirs("grpo", batch)[:, 0]
    size = torch.bincount(batch["group"])[batch["group"]].double()
    scale = (size / (size - 1).clamp(min=1)).sqrt()  # sample deviation to population deviation
    several = ~batch["lone"]
    assert (mine - expected * scale)[several].abs().max() < 1e-5  # verl adds 1e-6 to a deviation of about a half


def actor(**settings):
    """Return verl's actor settings for a function call."""
    from verl.workers.config import FSDPActorConfig, PolicyLossConfig

    loss = PolicyLossConfig(**settings.pop("policy_loss", {}))
    return FSDPActorConfig(strategy="fsdp", rollout_n=1, ppo_micro_batch_size_per_gpu=1, policy_loss=loss, **settings)


def gradients(batch, mine, their_mode, their_name, config):
    """Return (their loss − ours, their gradient − ours): largest absolute differences."""
    max_tokens = batch["mask"].shape[1]
    denominator = denominator_of(batch["mask"], MODES[their_mode], max_tokens=max_tokens)
    logp = batch["logp"].clone().requires_grad_(True)
    value = aggregate(mine(logp, batch), batch["mask"], MODES[their_mode], denominator)
    value.backward()
    other = batch["logp"].clone().requires_grad_(True)
    fn = core_algos.get_policy_loss_fn(their_name)
    loss, _ = fn(
        old_log_prob=batch["logp_old"], log_prob=other, advantages=batch["advantage"][:, None].expand_as(other),
        response_mask=batch["mask"], loss_agg_mode=their_mode, config=config,
    )  # fmt: skip
    loss.backward()
    return float((loss - value).detach().abs()), float((other.grad - logp.grad).abs().max())


LOSSES = {
    "vanilla": (lambda p, b: ppo_clip_loss(p, b["logp_old"], b["advantage"], b["mask"], dual_clip=3.0)[0], {}),
    "vanilla, two clips": (
        lambda p, b: ppo_clip_loss(
            p, b["logp_old"], b["advantage"], b["mask"], clip_low=0.2, clip_high=0.28, dual_clip=1.5
        )[0],
        {"clip_ratio_high": 0.28, "clip_ratio_c": 1.5},
    ),
    "cispo": (
        lambda p, b: clipped_weight_loss(p, b["logp_old"], b["advantage"], b["mask"], clip_low=1.0, clip_high=0.5)[0],
        {"clip_ratio_low": 1.0, "clip_ratio_high": 0.5},
    ),
    "gpg": (lambda p, b: reinforce_loss(p, None, b["advantage"], b["mask"])[0], {}),
}  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", LOSSES)
def test_policy_losses_and_their_gradients(name, mode, seed):
    batch = ragged(seed)
    mine, settings = LOSSES[name]
    value, gradient = gradients(batch, mine, mode, name.split(",")[0], actor(**settings))
    assert value < 1e-6, value
    assert gradient < 1e-6, gradient
    twin = {**batch, "advantage": -batch["advantage"]}
    assert gradients(batch, lambda p, b: mine(p, twin), mode, name.split(",")[0], actor(**settings))[1] > 1e-3


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mode", ["token-mean", "seq-mean-token-mean"])
def test_gspo_is_verls(mode, seed):
    if mode == "token-mean" and version("verl") == "0.9.0":
        pytest.skip("verl 0.9.0 averages GSPO over sequences whatever loss_agg_mode says")
    batch = ragged(seed)
    config = actor(clip_ratio_low=0.05, clip_ratio_high=0.08)

    def mine(p, b):
        return sequence_clip_loss(p, b["logp_old"], b["advantage"], b["mask"], clip_low=0.05, clip_high=0.08)[0]

    value, gradient = gradients(batch, mine, mode, "gspo", config)
    assert value < 1e-6, value
    assert gradient < 1e-6, gradient


@pytest.mark.parametrize("seed", SEEDS)
def test_the_unclipped_ratio_is_verls_vanilla_with_clips_that_never_bind(seed):
    batch = ragged(seed)
    config = actor(clip_ratio_low=0.999999, clip_ratio_high=1e9, clip_ratio_c=1e9)

    def mine(p, b):
        return policy_gradient_loss(p, b["logp_old"], b["advantage"], b["mask"])[0]

    value, gradient = gradients(batch, mine, "seq-mean-token-sum", "vanilla", config)
    assert value < 1e-6, value
    assert gradient < 1e-6, gradient


@pytest.mark.parametrize("seed", SEEDS)
def test_kl_cov_is_verls_on_a_whole_batch(seed):
    batch = ragged(seed)
    config = actor(policy_loss={"loss_mode": "kl_cov", "kl_cov_ratio": 0.1, "ppo_kl_coef": 0.7})
    made = objective("kl_cov", share=0.1, penalty=0.7)

    def mine(p, b):
        return made.loss(logp=p, logp_old=b["logp_old"], advantage=b["advantage"], mask=b["mask"]).matrix

    value, gradient = gradients(batch, mine, "token-mean", "kl_cov", config)
    assert value < 1e-6, value
    assert gradient < 1e-6, gradient


@pytest.mark.parametrize("seed", SEEDS)
def test_clip_cov_is_verls_where_the_draw_takes_every_candidate(seed):
    batch = ragged(seed)
    band = {"clip_cov_ratio": 1.0, "clip_cov_lb": 0.3, "clip_cov_ub": 5.0}
    config = actor(policy_loss={"loss_mode": "clip_cov", **band})
    made = objective("clip_cov", share=1.0, cov_low=0.3, cov_high=5.0)

    def mine(p, b):
        return made.loss(logp=p, logp_old=b["logp_old"], advantage=b["advantage"], mask=b["mask"], seed=0).matrix

    value, gradient = gradients(batch, mine, "token-mean", "clip_cov", config)
    assert value < 1e-6, value
    assert gradient < 1e-6, gradient


@pytest.mark.parametrize("seed", SEEDS)
def test_kl_estimates_and_the_penalty_to_the_reference(seed):
    batch = ragged(seed)
    for kind in ("k1", "k2", "k3"):
        expected = core_algos.kl_penalty(batch["logp"], batch["logp_ref"], kind)
        mine = kl_estimate(batch["logp"], batch["logp_ref"], kind)
        mine = mine.clamp(max=10.0) if kind == "k3" else mine  # verl cuts k3 at 10 nats, in the value and the gradient
        assert (mine - expected).abs().max() < 1e-6
    matrix, _ = reference_penalty(batch["logp"], batch["mask"], logp_ref=batch["logp_ref"], beta=0.04)
    assert float(kl_estimate(batch["logp"], batch["logp_ref"], "k3").max()) < 10  # below the cut
    expected = core_algos.agg_loss(
        0.04 * core_algos.kl_penalty(batch["logp"], batch["logp_ref"], "low_var_kl"), batch["mask"], "token-mean"
    )
    denominator = denominator_of(batch["mask"], "token_mean")
    assert abs(float(aggregate(matrix, batch["mask"], "token_mean", denominator) - expected)) < 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_a_whole_grpo_step_with_the_recipes_on_both_sides(seed):
    """Rewards in, gradient out: DAPO's numbers, ours from one objective, verl's from estimator and loss."""
    batch = ragged(seed)
    made = objective("dapo", eps=1e-6, dual_clip=3.0)
    keep = ~batch["lone"]
    rows = {
        name: value[keep] if isinstance(value, torch.Tensor) else value[keep.numpy()] for name, value in batch.items()
    }
    logp = rows["logp"].clone().requires_grad_(True)
    advantage = made.advantage(reward=rows["reward"], group=rows["group"])
    made.loss(logp=logp, logp_old=rows["logp_old"], advantage=advantage, mask=rows["mask"]).value.backward()
    other = rows["logp"].clone().requires_grad_(True)
    loss, _ = core_algos.get_policy_loss_fn("vanilla")(
        old_log_prob=rows["logp_old"], log_prob=other, advantages=theirs("grpo", rows), response_mask=rows["mask"],
        loss_agg_mode="token-mean", config=actor(clip_ratio_high=0.28),
    )  # fmt: skip
    loss.backward()
    assert (other.grad - logp.grad).abs().max() < 1e-6
