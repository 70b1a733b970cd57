"""Inside verl: what is registered, what DataProto gets, what the actor's loss is, and what a wrong configuration hears."""

import json
import logging
import os
import subprocess
import sys
from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import breadth
from breadth.objectives.support import support
from breadth.plugins.verl import entry, overrides, policy_loss_of
from breadth.plugins.verl.trainer import ShapesWholeGroups, read_state, write_state

core_algos = pytest.importorskip(
    "verl.trainer.ppo.core_algos", reason="verl is not installed (pip install 'breadth[verl]')"
)
v1 = pytest.importorskip(
    "verl.trainer.ppo.v1",
    reason="verl's trainers do not import: TransferQueue is missing (pip install 'breadth[verl]')",
)


def test_importing_verl_is_enough():
    code = (
        "import sys, verl; early = 'torch' in sys.modules and 'breadth.objectives.grpo' in sys.modules;"
        "from verl.trainer.ppo.core_algos import get_adv_estimator_fn, get_policy_loss_fn;"
        "from verl.trainer.ppo.v1 import get_trainer_cls;"
        "print(early, get_adv_estimator_fn('breadth_darling').__name__, get_policy_loss_fn('breadth_ppo_clip').__name__,"
        "get_trainer_cls('breadth_sync').__name__, get_trainer_cls('breadth_separate_async').__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    said = done.stdout.strip().splitlines()[-1]
    assert said == "False breadth_darling breadth_ppo_clip BreadthPPOTrainerSync BreadthPPOTrainerSeparateAsync", (
        done.stderr[-2000:]
    )


def test_an_untested_version_registers_nothing_and_says_so(monkeypatch, caplog):
    def refuse():
        raise ImportError("verl 0.12.0 is installed, and breadth's part in it was tested with verl>=0.9,<0.10")

    monkeypatch.setattr(entry, "check_verl", refuse)
    before = list(sys.meta_path)
    with caplog.at_level(logging.ERROR):
        assert entry.load() is False
    assert "objectives of breadth are not registered: verl 0.12.0 is installed" in caplog.text
    assert sys.meta_path == before


def test_a_registration_that_fails_stops_the_import(tmp_path, monkeypatch):
    (tmp_path / "breadth_watched_module.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)

    def fail():
        raise RuntimeError("two estimators of one name")

    monkeypatch.setattr(sys, "meta_path", [entry._Watcher({"breadth_watched_module": fail}), *sys.meta_path])
    with pytest.raises(RuntimeError, match="two estimators of one name"):
        import breadth_watched_module  # noqa: F401


def test_the_methods_that_are_built_upon_have_the_signatures_that_they_had():
    base = v1.PPOTrainer
    assert list(signature(base.__init__).parameters) == ["self", "config"]
    assert list(signature(base._compute_advantage).parameters) == ["self", "batch", "metrics"]
    assert list(signature(base._update_actor).parameters)[:2] == ["self", "batch"]
    assert list(signature(base._save_checkpoint).parameters) == ["self"]
    assert list(signature(base._load_checkpoint).parameters) == ["self"]
    for name in ("_compute_advantage", "_update_actor", "_save_checkpoint", "_load_checkpoint"):
        assert name in vars(ShapesWholeGroups)


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "rloo", "pass_at_k", "w_reinforce", "dapo"])
def test_data_proto_through_verls_own_advantages(name):
    from verl import DataProto
    from verl.trainer.ppo.ray_trainer import compute_advantage

    g = torch.Generator().manual_seed(1)
    group = torch.randint(0, 3, (12,), generator=g)
    mask = torch.arange(5) < torch.randint(1, 6, (12,), generator=g)[:, None]
    reward = (torch.rand(12, generator=g) > 0.4).float()
    rewards = torch.zeros(12, 5)
    rewards[:, 0] = reward
    data = DataProto.from_dict(
        tensors={"token_level_rewards": rewards, "response_mask": mask.long()},
        non_tensors={"uid": np.array([f"u{x}" for x in group.tolist()], dtype=object)},
    )
    assert support(breadth.objective(name))["verl"] == "estimator"
    out = compute_advantage(data, adv_estimator=f"breadth_{name}", config={"breadth": {"settings": {}}})
    expected = breadth.objective(name).advantage(reward=reward, group=group, correct=reward >= 1)
    assert torch.allclose(out.batch["advantages"], expected[:, None] * mask, atol=1e-6)


def test_data_proto_without_uid():
    from verl import DataProto
    from verl.trainer.ppo.ray_trainer import compute_advantage

    data = DataProto.from_dict(tensors={"token_level_rewards": torch.ones(2, 2), "response_mask": torch.ones(2, 2)})
    with pytest.raises(ValueError, match=r"breadth_grpo: verl handed over no uid"):
        compute_advantage(data, adv_estimator="breadth_grpo", config={})


def actor(**settings):
    from verl.workers.config import FSDPActorConfig

    return FSDPActorConfig(strategy="fsdp", rollout_n=1, ppo_micro_batch_size_per_gpu=1, **settings)


def loss_rows(seed=0):
    g = torch.Generator().manual_seed(seed)
    mask = torch.arange(8) < torch.randint(1, 9, (10,), generator=g)[:, None]
    old = -3 * torch.rand(10, 8, generator=g, dtype=torch.float64)
    logp = old + 0.7 * torch.randn(10, 8, generator=g, dtype=torch.float64)
    advantage = torch.randn(10, 1, generator=g, dtype=torch.float64).expand(10, 8)
    return {"old_log_prob": old, "log_prob": logp, "advantages": advantage, "response_mask": mask}


def value_and_gradient(loss, rows, **others):
    logp = rows["log_prob"].clone().requires_grad_(True)
    value, metrics = loss(**{**rows, "log_prob": logp}, **others)
    value.backward()
    return value.detach(), logp.grad, metrics


@pytest.mark.parametrize("mode", ["token-mean", "seq-mean-token-mean", "seq-mean-token-sum", "seq-mean-token-sum-norm"])
@pytest.mark.parametrize(
    ("name", "own", "other"),
    [
        ("breadth_ppo_clip", {"clip_ratio_high": 0.28}, {"clip_ratio_high": 0.28, "clip_ratio_c": 1e9}),
        ("breadth_policy_gradient", {}, {"clip_ratio_low": 0.999999, "clip_ratio_high": 1e9, "clip_ratio_c": 1e9}),
    ],
)
def test_our_losses_are_verls_without_the_dual_clip(name, own, other, mode):
    rows, weights = loss_rows(), torch.rand(10, 8, dtype=torch.float64)
    given = {"loss_agg_mode": mode, "rollout_is_weights": weights}
    mine = value_and_gradient(policy_loss_of(name), rows, config=actor(**own), **given)
    vanilla = value_and_gradient(core_algos.get_policy_loss_fn("vanilla"), rows, config=actor(**other), **given)
    assert (mine[0] - vanilla[0]).abs() < 1e-9
    assert (mine[1] - vanilla[1]).abs().max() < 1e-9
    assert mine[2]["actor/ppo_kl"] == pytest.approx(vanilla[2]["actor/ppo_kl"])
    if name == "breadth_ppo_clip":
        assert mine[2]["actor/pg_clipfrac"] == pytest.approx(vanilla[2]["actor/pg_clipfrac"], abs=1e-6)
        dual = value_and_gradient(
            core_algos.get_policy_loss_fn("vanilla"), rows, config=actor(**own, clip_ratio_c=1.2), **given
        )
        assert (mine[1] - dual[1]).abs().max() > 1e-4  # the twin: with the dual clip it is another loss


def test_micro_batches_on_two_ranks_sum_to_the_whole_batch():
    rows, name = loss_rows(), "breadth_ppo_clip"
    whole = value_and_gradient(policy_loss_of(name), rows, config=actor())[1]
    parts = []
    for part in (slice(0, 3), slice(3, 10)):
        config = actor()
        config.global_batch_info.update(
            dp_size=2, batch_num_tokens=int(rows["response_mask"].sum()), global_batch_size=10
        )
        piece = {key: value[part] for key, value in rows.items()}
        parts.append(value_and_gradient(policy_loss_of(name), piece, config=config)[1] / 2)  # ranks are averaged
    assert (torch.cat(parts) - whole).abs().max() < 1e-12


def composed(*lines):
    """Return verl's own configuration with these overrides, as its command line composes it."""
    from hydra import compose, initialize_config_dir

    folder = Path(core_algos.__file__).parents[1] / "config"
    given = ["actor_rollout_ref.model.path=/nowhere", "data.train_files=x", "data.val_files=x"]
    with initialize_config_dir(str(folder), version_base=None):
        return compose("ppo_trainer", overrides=[*given, *lines])


def test_the_lines_make_a_trainer_of_verls_kind():
    config = composed(
        *overrides("darling", floor=0.2), "+algorithm.breadth.partition={backend: rouge1, threshold: 0.4}"
    )
    trainer = v1.get_trainer_cls(config.trainer.v1.trainer_mode)(config=config)
    assert isinstance(trainer, v1.PPOTrainerSync)
    assert trainer.breadth.objective.settings["floor"] == 0.2
    # verl decides by this name about its replay buffer, its checkpoints and whether groups are refilled
    assert trainer.trainer_mode == "sync" and type(trainer.replay_buffer).__name__ == "ReplayBuffer"


def test_the_example_script_makes_a_trainer(tmp_path, monkeypatch):
    """The script is run with a python in the path that writes down what verl would be started with."""
    shim = tmp_path / "python"
    shim.write_text(
        f'#!/bin/sh\nif [ "$2" = verl.trainer.main_ppo ]; then shift 2; printf "%s\\n" "$@" > {tmp_path}/arguments;'
        f' else exec {sys.executable} "$@"; fi\n'
    )
    shim.chmod(0o755)
    script = Path(__file__).parents[2] / "examples" / "verl" / "darling_gsm8k.sh"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    subprocess.run(["bash", script, "trainer.total_epochs=2"], check=True, capture_output=True, timeout=120)
    lines = (tmp_path / "arguments").read_text().splitlines()
    assert set(overrides("darling")) <= set(lines) and len(lines) > 30
    config = composed(*lines)
    trainer = v1.get_trainer_cls(config.trainer.v1.trainer_mode)(config=config)
    assert trainer.breadth.objective.name == "darling" and config.actor_rollout_ref.rollout.n == 8
    assert config.trainer.total_epochs == 2


def refused(*lines):
    config = composed(*lines)
    mode = config.trainer.v1.trainer_mode
    with pytest.raises((ValueError, TypeError)) as caught:
        v1.get_trainer_cls(mode if mode.startswith("breadth") else "breadth_sync")(config=config)
    return str(caught.value)


def test_wrong_configurations_are_refused_before_a_worker_starts():
    rouge = "+algorithm.breadth.partition=rouge1"
    assert "expected breadth_<objective>, for example breadth_darling" in refused()
    assert "objective 'darling' needs kind: +algorithm.breadth.partition=classifier" in refused(*overrides("darling"))
    assert "unknown 'partion', did you mean 'partition'" in refused(
        *overrides("darling"), "+algorithm.breadth.partion=rouge1"
    )
    assert "objective 'gvpo' does not run in verl" in refused("algorithm.adv_estimator=breadth_gvpo")
    assert "algorithm.use_kl_in_reward: verl would subtract" in refused(
        *overrides("darling"), rouge, "algorithm.use_kl_in_reward=true"
    )
    said = refused("algorithm.adv_estimator=breadth_darling", rouge)  # verl's defaults: dual clip
    assert "the actor's loss is not that of objective 'darling':" in said
    assert (
        "policy_loss.loss_mode is vanilla, darling has breadth_ppo_clip: actor_rollout_ref.actor.policy_loss.loss_mode="
        in said
    )
    lines = ("algorithm.adv_estimator=breadth_darling", rouge, "+algorithm.breadth.check_loss=false")
    assert v1.get_trainer_cls("breadth_sync")(config=composed(*lines, "trainer.v1.trainer_mode=breadth_sync"))


def test_a_memory_goes_with_the_checkpoint(tmp_path):
    batch = {"reward": [1.0, 1.0], "group": [0, 0], "prompt_id": [5, 5], "key": ["a", "b"]}
    made = breadth.objective("ucb")
    made.observe(**batch)
    write_state(tmp_path / "global_step_3", made)
    again = breadth.objective("ucb")
    read_state(tmp_path / "global_step_3", again)
    assert again.state_dict() == made.state_dict() != breadth.objective("ucb").state_dict()
    assert json.loads((tmp_path / "global_step_3" / "breadth.json").read_text())["objective"] == "ucb"
    with pytest.raises(ValueError, match="holds the state of objective 'ucb', this run trains 'darling'"):
        read_state(tmp_path / "global_step_3", breadth.objective("darling"))
    with pytest.raises(ValueError, match="not there, but objective 'ucb' remembers earlier steps"):
        read_state(tmp_path / "global_step_4", breadth.objective("ucb"))
    read_state(tmp_path / "global_step_4", breadth.objective("darling"))  # nothing to remember


def jagged(rows):
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


@pytest.mark.parametrize("name", ["darling", "dr_grpo", "rloo", "dapo", "gspo", "cispo", "reinforce"])
def test_the_loss_of_verls_workers_is_the_objectives(name):
    """From the configuration that the printed arguments compose, through the function that verl's actors call, to the gradient."""
    from tensordict import TensorDict
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.utils.losses import ppo_loss

    settings = {"beta": 0.05} if name == "darling" else {}
    made = breadth.objective(name, **settings)
    config = composed(*overrides(name, **settings), "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1")
    g = torch.Generator().manual_seed(7)
    lengths, prompt = [3, 1, 6, 4], 2
    draw = [[0.3 * torch.randn(n, generator=g) - 2 for n in lengths] for _ in range(3)]
    old, new, ref = draw[0], [a + 0.4 * torch.randn(len(a), generator=g) for a in draw[0]], draw[2]
    advantage = torch.randn(4, generator=g)
    data = TensorDict(
        {
            "prompts": jagged([torch.ones(prompt, dtype=torch.int64)] * 4),
            "responses": jagged([torch.ones(n, dtype=torch.int64) for n in lengths]),
            "response_mask": jagged([torch.ones(n, dtype=torch.int64) for n in lengths]),
            "old_log_probs": jagged(old),
            "ref_log_prob": jagged(ref),
            "advantages": jagged([a.expand(n).clone() for a, n in zip(advantage, lengths, strict=True)]),
        },
        batch_size=4,
    )
    from verl.utils import tensordict_utils as tu

    tu.assign_non_tensor(data, dp_size=1, batch_num_tokens=sum(lengths), global_batch_size=4)
    # verl's models give the log-probability of the next token at every place of prompt and response
    flat = torch.cat([torch.cat([torch.zeros(prompt - 1), row, torch.zeros(1)]) for row in new]).requires_grad_(True)
    offsets = torch.tensor([0, *np.cumsum([n + prompt for n in lengths])])
    output = {"log_probs": torch.nested.nested_tensor_from_jagged(flat, offsets)}
    loss, metrics = ppo_loss(omega_conf_to_dataclass(config.actor_rollout_ref.actor), output, data)
    loss.backward()

    pad = torch.nn.utils.rnn.pad_sequence
    logp = pad(new, batch_first=True).requires_grad_(True)
    mine = made.loss(
        logp=logp, logp_old=pad(old, batch_first=True), logp_ref=pad(ref, batch_first=True), advantage=advantage,
        mask=torch.arange(max(lengths)) < torch.tensor(lengths)[:, None],
    )  # fmt: skip
    mine.value.backward()
    theirs = [
        flat.grad[start + prompt - 1 : start + prompt - 1 + n] for start, n in zip(offsets, lengths, strict=False)
    ]
    assert float((loss - mine.value).detach().abs()) < 1e-5
    assert float((pad(theirs, batch_first=True) - logp.grad).abs().max()) < 1e-6
    assert logp.grad.abs().max() > 1e-2


def first_words(texts, prompts):
    return [text.split()[0] for text in texts]


def remembering_trainer(folder, monkeypatch):
    """A trainer of verl's around an objective that counts visits; workers and data loader are stand-ins that do nothing."""
    monkeypatch.setitem(sys.modules, "breadth_test_keys", SimpleNamespace(first_words=first_words))
    config = composed(
        *overrides("ucb"), "+algorithm.breadth.key=breadth_test_keys:first_words", f"trainer.default_local_dir={folder}"
    )
    trainer = v1.get_trainer_cls("breadth_sync")(config=config)
    nothing = lambda *given, **named: None  # noqa: E731
    trainer.actor_rollout_wg = SimpleNamespace(save_checkpoint=nothing, load_checkpoint=nothing)
    trainer.train_dataloader = SimpleNamespace(state_dict=dict, load_state_dict=nothing)
    return trainer


def test_visits_are_counted_after_the_update_and_survive_a_restart(tmp_path, monkeypatch):
    trainer = remembering_trainer(tmp_path, monkeypatch)
    streams = {"reward": [1.0, 0.0], "group": [0, 0], "prompt_id": [9, 9], "key": ["a", "b"]}
    fresh = trainer.breadth.objective.state_dict()
    trainer._breadth_streams = streams
    monkeypatch.setattr(v1.PPOTrainer, "_update_actor", lambda self, batch, metrics: batch)
    assert trainer._update_actor("batch", {}) == "batch"
    counted = trainer.breadth.objective.state_dict()
    assert counted != fresh
    trainer._update_actor("batch", {})  # an update without new advantages counts nobody twice
    assert trainer.breadth.objective.state_dict() == counted

    trainer.global_steps = 4
    trainer._save_checkpoint()
    assert (tmp_path / "latest_checkpointed_iteration.txt").read_text() == "4"
    again = remembering_trainer(tmp_path, monkeypatch)
    again._load_checkpoint()
    assert again.global_steps == 4 and again.breadth.objective.state_dict() == counted

    (tmp_path / "global_step_4" / "breadth.json").unlink()
    with pytest.raises(
        ValueError, match="not there, but objective 'ucb' remembers earlier steps and cannot continue without"
    ):
        remembering_trainer(tmp_path, monkeypatch)._load_checkpoint()


def test_breadth_reads_the_rollouts_that_verl_writes(tmp_path):
    from breadth.ledger.generations import describe_source, read_generations

    for step in (1, 2):
        rest = ([None] * 2, [1.0, 0.5], {"length": [3, 4]}, str(tmp_path), step)
        v1.PPOTrainer._write_generations(["a bird?"] * 2, ["a robin", f"wren {step}"], *rest)
    assert describe_source(tmp_path).format.name == "verl"
    found = list(read_generations(tmp_path))
    assert [(row.step, row.response, row.reward) for row in found] == [
        (1, "a robin", 1.0), (1, "wren 1", 0.5), (2, "a robin", 1.0), (2, "wren 2", 0.5),
    ]  # fmt: skip
