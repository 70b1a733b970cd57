"""Our presets give the numbers of TRL's own functions at the settings that their pages name."""

from types import SimpleNamespace

import pytest
import torch

from breadth import objective

pytest.importorskip("trl")

N, T = 8, 6
GROUP = torch.arange(2).repeat_interleave(4)


def ragged(seed=0):
    g = torch.Generator().manual_seed(seed)
    mask = torch.arange(T) < torch.randint(1, T + 1, (N,), generator=g)[:, None]
    old = -3 * torch.rand(N, T, generator=g, dtype=torch.float64)
    return {
        "mask": mask,
        "logp_old": old,
        "logp": old + 0.4 * torch.randn(N, T, generator=g, dtype=torch.float64),
        "entropy": torch.rand(N, T, generator=g, dtype=torch.float64),
        "advantage": torch.randn(N, generator=g, dtype=torch.float64),
    }


def trl_loss(streams, **settings):
    """Return TRL's GRPO loss of given log-probabilities and its gradient, without a model or a trainer."""
    from trl.trainer.grpo_trainer import GRPOTrainer

    logp = streams["logp"].clone().requires_grad_(True)
    entropy = streams["entropy"].clone().requires_grad_(True)
    accelerator = SimpleNamespace(
        num_processes=1,
        sync_gradients=True,
        gather=lambda x: x,
        reduce=lambda x, reduction: x,
        gather_for_metrics=lambda x: x,
        pad_across_processes=lambda x, dim, pad_index: x,
    )
    defaults = {"delta": None, "use_bias_correction_kl": False, "steps_per_generation": 1, "entropy_target": 0.2}
    me = SimpleNamespace(
        accelerator=accelerator,
        args=SimpleNamespace(**defaults),
        model=SimpleNamespace(training=True),
        beta=0.0,
        epsilon_low=0.2,
        epsilon_high=0.2,
        importance_sampling_level="token",
        loss_type="grpo",
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        aux_loss_enabled=False,
        max_completion_length=T,
        current_gradient_accumulation_steps=1,
        entropy_coef=0.0,
        use_adaptive_entropy=False,
        _entropy_bonus_enabled=settings.get("entropy_coef", 0.0) != 0.0,
    )
    from collections import defaultdict

    me._metrics = {"train": defaultdict(list)}
    me._get_per_token_logps_and_entropies = lambda *a, **k: (logp, entropy, None)
    me.get_high_entropy_mask = lambda *a: GRPOTrainer.get_high_entropy_mask(me, *a)
    for name, value in settings.items():
        setattr(me, name, value)
    ids = torch.zeros(N, T, dtype=torch.long)
    mask = streams["mask"].long()
    inputs = {
        "prompt_ids": ids,
        "prompt_mask": mask,
        "completion_ids": ids,
        "completion_mask": mask,
        "advantages": streams["advantage"],
        "old_per_token_logps": streams["logp_old"],
        "num_items_in_batch": mask.sum(),
    }
    loss = GRPOTrainer._compute_loss(me, None, inputs)
    grads = torch.autograd.grad(loss, [logp, entropy], allow_unused=True)
    return loss.detach(), [torch.zeros_like(logp) if grad is None else grad for grad in grads]


CASES = [
    ("grpo", {}, {}),
    ("grpo", {"aggregation": "token_mean"}, {"loss_type": "dapo"}),
    ("dr_grpo", {"max_tokens": T}, {"loss_type": "dr_grpo"}),
    ("dapo", {}, {"loss_type": "dapo", "epsilon_high": 0.28}),
    (
        "gspo",
        {"clip_low": 0.03, "clip_high": 0.04},
        {"importance_sampling_level": "sequence", "epsilon_low": 0.03, "epsilon_high": 0.04},
    ),
    ("cispo", {"clip_high": 0.1}, {"loss_type": "cispo", "epsilon_high": 1.1}),
    ("forking_tokens", {}, {"loss_type": "dapo", "epsilon_high": 0.28, "top_entropy_quantile": 0.2}),
    ("entropy_bonus", {"coefficient": 0.05}, {"loss_type": "dapo", "entropy_coef": 0.05}),
]


@pytest.mark.parametrize(("name", "ours", "theirs"), CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_token_losses(name, ours, theirs, seed):
    streams = ragged(seed)
    expected, (expected_logp, expected_entropy) = trl_loss(streams, **theirs)
    streams["logp"].requires_grad_(True)
    streams["entropy"].requires_grad_(True)
    result = objective(name, **ours).loss(**streams)
    grads = torch.autograd.grad(result.value, [streams["logp"], streams["entropy"]], allow_unused=True)
    print(f"{name}: |loss − TRL| = {abs(float(result.value.detach() - expected)):.1e}")
    # TRL takes its threshold in float32
    torch.testing.assert_close(result.value.detach(), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(grads[0], expected_logp, rtol=0, atol=1e-6)
    if grads[1] is not None:
        torch.testing.assert_close(grads[1], expected_entropy, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("qempo_pairs", {"inv_lambda": 0.25}, {"loss_type": "sigmoid", "beta": 0.25}),
        ("cpo", {"beta": 0.1, "alpha": 0.0, "label_smoothing": 0.1}, {"beta": 0.1, "label_smoothing": 0.1}),
        ("simpo", {"beta": 2.0, "margin": 0.5}, {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 0.5}),
    ],
)
def test_pair_losses(name, ours, theirs):
    from trl.experimental.cpo import CPOTrainer

    g = torch.Generator().manual_seed(1)
    chosen, rejected = -20 * torch.rand(2, 9, generator=g, dtype=torch.float64)
    lengths = torch.randint(1, 9, (2, 9), generator=g)
    fake = {"alpha": 0.0, "loss_type": "sigmoid", "label_smoothing": 0.0}
    me = SimpleNamespace(accelerator=SimpleNamespace(device="cpu"), **{**fake, **theirs})
    given = (chosen / lengths[0], rejected / lengths[1]) if name == "simpo" else (chosen, rejected)
    expected, better, worse = CPOTrainer.cpo_loss(me, *given)
    streams = {"chosen": chosen, "rejected": rejected, "chosen_length": lengths[0], "rejected_length": lengths[1]}
    result = objective(name, **ours).loss(**streams)
    print(f"{name}: |loss − TRL| = {float((result.matrix - expected).abs().max()):.1e}")
    torch.testing.assert_close(result.matrix, expected, rtol=0, atol=1e-12)
    assert result.stats["margin"] == pytest.approx(float((better - worse).mean()))
    assert result.stats["accuracy"] == float((better > worse).double().mean())


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [("dpo", {"beta": 0.3}, {}), ("qempo_kl_pairs", {"inv_lambda1": 0.1, "ratio": 0.2}, {"reference": 0.2 / 0.3})],
)
def test_dpo_family(name, ours, theirs):
    """DPO at beta = a with reference log-probabilities scaled by b/a; TRL's sigmoid line sits inside a trainer: written out."""
    g = torch.Generator().manual_seed(2)
    chosen, rejected, ref_c, ref_r = -20 * torch.rand(4, 9, generator=g, dtype=torch.float64)
    scale = theirs.get("reference", 1.0)
    delta = (chosen - scale * ref_c) - (rejected - scale * ref_r)
    expected = -torch.nn.functional.logsigmoid(0.3 * delta)
    result = objective(name, **ours).loss(chosen=chosen, rejected=rejected, ref_chosen=ref_c, ref_rejected=ref_r)
    torch.testing.assert_close(result.matrix, expected, rtol=0, atol=1e-12)


def test_overlong_punishment():
    from trl.rewards import get_soft_overlong_punishment

    lengths = torch.tensor([1, 5, 6, 8, 10, 12])
    expected = get_soft_overlong_punishment(10, 5)([[0] * n for n in lengths.tolist()])
    from breadth.objectives.dapo import shape_by_overlong

    got = shape_by_overlong(torch.zeros(6), lengths, length=lengths, max_tokens=10, buffer=5)
    torch.testing.assert_close(got, torch.tensor(expected))
