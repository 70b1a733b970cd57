"""The GRPO trainer: the signatures it builds on, losses equal to the objective's on the whole batch, memory in checkpoints, errors."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import pytest
import torch

pytest.importorskip("trl", reason="TRL is not installed: pip install 'breadth[trl]'")
import transformers
import trl_tiny as tiny

import breadth
from breadth import objective
from breadth.catalogue import entries
from breadth.objectives.support import support
from breadth.plugins.trl import BreadthGRPOConfig, BreadthGRPOTrainer, GroupReward

warnings.simplefilter("ignore")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.folder(tmp_path_factory.mktemp("model"))


def words(texts, prompts):
    return [text.strip() or None for text in texts]


def made(kind, model, out, *, name, settings=None, functions=tiny.odd, **arguments):
    args = BreadthGRPOConfig(
        output_dir=str(out), objective=name, objective_settings=settings, **{**tiny.GRPO, **arguments}
    )
    return kind(
        model, functions, args, train_dataset=tiny.dataset(), partition=tiny.by_length, key=words,
        bucket_key=lambda texts, prompts: [text[:2] for text in texts],
    )  # fmt: skip


def test_the_methods_that_are_overridden_have_the_signatures_that_are_expected():
    from trl import GRPOTrainer

    def names(function):
        return list(inspect.signature(function).parameters)

    assert names(GRPOTrainer._calculate_rewards) == ["self", "inputs", "prompts", "completions", "completion_ids_list"]
    assert names(GRPOTrainer._generate_and_score_completions) == ["self", "inputs"]
    assert names(GRPOTrainer._prepare_inputs) == ["self", "generation_batch"]
    assert names(GRPOTrainer._compute_loss) == ["self", "model", "inputs"]
    scoring = names(GRPOTrainer._get_per_token_logps_and_entropies)
    assert scoring[:2] == ["self", "model"] and scoring[2] in ("input_ids", "args")  # the latter hands everything on
    assert scoring[2] == "args" or {"attention_mask", "logits_to_keep", "batch_size", "compute_entropy"} <= set(scoring)


class Watched(BreadthGRPOTrainer):
    """Keeps the rows and the loss of every micro-batch, and the log-probabilities of the moment."""

    def __init__(self, *rest, **others):
        self.parts, self.losses = [], []
        super().__init__(*rest, **others)

    def _compute_loss(self, model, inputs):
        from breadth.plugins.trl.grpo import _sequences

        loss = super()._compute_loss(model, inputs)
        with torch.no_grad():
            logp, entropy, _ = self._get_per_token_logps_and_entropies(model, *_sequences(inputs), compute_entropy=True)
        self.parts.append({**inputs, "logp": logp, "entropy": entropy})
        self.losses.append(float(loss.detach()))
        return loss


WHOLE = [
    ("darling", {}), ("darling", {"dual_clip": 1.5, "beta": 0.01}), ("grpo", {}), ("dr_grpo", {}), ("rlhf", {}), ("pass_at_k", {"k": 2}),
    ("qempo", {}), ("gspo", {}), ("forking_tokens", {}), ("kl_cov", {}), ("entropy_bonus", {"coefficient": 0.05}), ("gvpo", {}),
    ("qempo_squares", {}), ("reinvent", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings"), WHOLE)
def test_losses_of_micro_batches_sum_to_the_objectives_loss_of_the_whole_batch(name, settings, model, tmp_path):
    trainer = made(
        Watched,
        model,
        tmp_path,
        name=name,
        settings=settings,
        gradient_accumulation_steps=2,
        max_steps=1,
        learning_rate=0.0,
    )
    trainer.train()
    parts, ours = trainer.parts, objective(name, **settings)
    rows = {
        key: torch.cat([part[key] for part in parts]) for key in ("logp", "entropy", "completion_mask", "advantages")
    }
    streams = {"mask": rows["completion_mask"].bool(), "entropy": rows["entropy"]}
    if "ref_per_token_logps" in parts[0]:
        streams["logp_ref"] = torch.cat([part["ref_per_token_logps"] for part in parts])
        streams["seq_logp_ref"] = (streams["logp_ref"] * streams["mask"]).sum(-1)
    if trainer.carried == "loss":
        streams |= {
            key: torch.cat([part["breadth_" + key] for part in parts]) for key in ("reward", "group", "correct")
        }
    if ours.family != "group":
        streams["advantage"] = rows["advantages"]
    whole = ours.loss(logp=rows["logp"], **{key: value for key, value in streams.items() if key != "correct"}, seed=0)
    print(f"{name}: |Σ losses − loss| = {abs(sum(trainer.losses) - float(whole.value)):.1e}")
    assert sum(trainer.losses) == pytest.approx(float(whole.value), abs=2e-6, rel=2e-6)


def test_squares_by_hand(model, tmp_path):
    """GVPO: ½Σ[β(s − s_ref) − its mean − (r − r̄)]²/(G − 1), mean over groups; at the reference only the rewards are left."""
    trainer = made(
        Watched, model, tmp_path, name="gvpo", settings={"beta": 0.1}, per_device_train_batch_size=4, max_steps=2
    )
    trainer.train()
    for part, loss in zip(trainer.parts, trainer.losses, strict=True):
        mask = part["completion_mask"].bool()
        r = part["breadth_reward"].double()
        implicit = 0.1 * ((part["logp"] - part["ref_per_token_logps"]) * mask).sum(-1).double()
        gap = (implicit - implicit.mean()) - (r - r.mean())
        assert loss == pytest.approx(float((gap**2).sum() / 2 / 3), abs=1e-6)


def test_advantages_replace_those_of_trl_and_the_raw_reward_stays_in_the_log(model, tmp_path):
    trainer = made(Watched, model, tmp_path, name="darling", max_steps=2)
    trainer.train()
    first = trainer.state.log_history[0]
    assert 0 <= first["rewards/odd/mean"] <= 1 and first["reward"] == first["rewards/odd/mean"]
    assert {"objective/diversity_factor", "objective/advantage_deviation"} <= set(first)


def test_the_multiplier_of_a_quality_target_goes_into_checkpoints_and_comes_back(model, tmp_path):
    settings = {"target": 0.2, "start": 10.0, "window": 8}
    trainer = made(
        BreadthGRPOTrainer,
        model,
        tmp_path,
        name="quality_target",
        settings=settings,
        max_steps=2,
        save_strategy="steps",
        save_steps=1,
    )
    trainer.train()
    kept = trainer.objective.state_dict()
    assert kept["log_multiplier"] != objective("quality_target", **settings).state_dict()["log_multiplier"]
    again = made(BreadthGRPOTrainer, model, tmp_path, name="quality_target", settings=settings, max_steps=2)
    found = []

    class AtTheStart(transformers.TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            found.append(again.objective.state_dict())

    again.add_callback(AtTheStart())
    again.train(resume_from_checkpoint=True)
    assert found == [kept]
    other = made(BreadthGRPOTrainer, model, tmp_path, name="ucb", max_steps=2)
    with pytest.raises(ValueError, match="was written by the objective 'quality_target', this is 'ucb'"):
        other.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    (tmp_path / "checkpoint-2" / "breadth_objective.json").unlink()
    with pytest.raises(ValueError, match="'ucb' remembers earlier steps: resume from a checkpoint"):
        other.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


def test_what_cannot_be_trained_is_said_before_anything_is_loaded(model, tmp_path):
    def config(name, **arguments):
        return BreadthGRPOConfig(output_dir=str(tmp_path), objective=name, **{**tiny.GRPO, **arguments})

    with pytest.raises(
        ValueError, match="'dpo' does not run in TRL's GRPO trainer: it learns from pairs: use BreadthDPOTrainer"
    ):
        config("dpo")
    with pytest.raises(
        ValueError, match="'flowrl' does not run in TRL's GRPO trainer: it needs what only breadth's own loop has"
    ):
        config("flowrl")
    with pytest.raises(ValueError, match="epsilon=0.3, but objective 'darling' has 0.2.*objective_settings"):
        config("darling", epsilon=0.3)
    data = tiny.dataset()
    with pytest.raises(ValueError, match="'darling' needs kind: pass partition=breadth.partition"):
        BreadthGRPOTrainer(model, tiny.odd, config("darling"), train_dataset=data)
    with pytest.raises(ValueError, match="multiple of num_generations = 4, got 6; set it to 4"):
        BreadthGRPOTrainer(
            model,
            tiny.odd,
            config("gvpo", per_device_train_batch_size=6, gradient_accumulation_steps=2),
            train_dataset=data,
        )
    with pytest.raises(ValueError, match="'forking_tokens' chooses among all tokens.*num_iterations=1.*got 2"):
        BreadthGRPOTrainer(model, tiny.odd, config("forking_tokens", num_iterations=2), train_dataset=data)
    with pytest.raises(ValueError, match="GroupReward with shaping would be shaped again"):
        reward = GroupReward(tiny.odd, shaping="darling", partition=tiny.by_length)
        BreadthGRPOTrainer(model, reward, config("darling"), train_dataset=data, partition=tiny.by_length)
    with pytest.raises(ValueError, match="'vpo' needs reward_vector.*pass several reward_funcs"):
        BreadthGRPOTrainer(model, tiny.odd, config("vpo"), train_dataset=data)
    with pytest.raises(TypeError, match="expected a BreadthGRPOConfig"):
        BreadthGRPOTrainer(model, tiny.odd, None, train_dataset=data)


def test_a_batch_that_holds_no_whole_groups_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must be divisible by num_generations"):  # TRL's own sentence
        BreadthGRPOConfig(
            output_dir=str(tmp_path), objective="darling", **{**tiny.GRPO, "per_device_train_batch_size": 6}
        )


def test_a_reference_of_a_model_in_memory_is_refused(model, tmp_path):
    built = transformers.GPT2LMHeadModel(transformers.AutoConfig.from_pretrained(model))
    built.config._name_or_path = ""
    args = BreadthGRPOConfig(output_dir=str(tmp_path), objective="rlhf", **tiny.GRPO)
    with pytest.raises(ValueError, match="needs a reference policy.*lies in memory only: model.save_pretrained"):
        BreadthGRPOTrainer(built, tiny.odd, args, train_dataset=tiny.dataset())


@pytest.mark.parametrize("value", [None, float("nan")])
def test_unscored_answers_are_no_zeros_and_too_many_of_them_stop_the_training(value, model, tmp_path):
    some = made(
        Watched,
        model,
        tmp_path,
        name="dr_grpo",
        functions=lambda completions, **k: [value, *tiny.odd(completions)[1:]],
        max_steps=1,
    )
    some.train()
    assert some.state.log_history[0]["objective/n_unscored"] == 1
    with pytest.raises(RuntimeError, match="8 of 8 answers could not be scored .limit 50%, max_unscored_share"):
        made(
            Watched,
            model,
            tmp_path,
            name="dr_grpo",
            functions=lambda completions, **k: [value] * len(completions),
            max_steps=1,
        ).train()


def test_a_reward_of_the_wrong_length_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match="returned 3 rewards, but 8 were expected"):  # TRL's own sentence
        made(
            Watched, model, tmp_path, name="dr_grpo", functions=lambda completions, **k: [1.0] * 3, max_steps=1
        ).train()


@pytest.mark.nightly
@pytest.mark.parametrize(
    "name", [n for n in entries("objective") if support(breadth.objective(n))["trl"] in ("advantages", "loss")]
)
def test_every_objective_that_is_marked_for_trl_trains(name, model, tmp_path):
    functions = (
        [tiny.odd, lambda completions, **k: [0.1 * len(text) for text in completions]] if name == "vpo" else tiny.odd
    )
    trainer = made(
        Watched, model, Path(tmp_path), name=name, functions=functions, gradient_accumulation_steps=2, max_steps=2
    )
    trainer.train()
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())


@pytest.mark.parametrize("name", ["darling", "gvpo", "ucb"])
def test_evaluation_changes_no_memory_and_takes_its_own_group_size(name, model, tmp_path):
    args = BreadthGRPOConfig(
        output_dir=str(tmp_path), objective=name, num_generations_eval=2, per_device_eval_batch_size=4, **tiny.GRPO
    )
    trainer = BreadthGRPOTrainer(
        model,
        tiny.odd,
        args,
        train_dataset=tiny.dataset(),
        eval_dataset=tiny.dataset(4),
        partition=tiny.by_length,
        key=words,
    )
    before = trainer.objective.state_dict()
    found = trainer.evaluate()
    assert 0 <= found["eval_reward"] <= 1 and torch.isfinite(torch.tensor(found["eval_loss"]))
    assert trainer.objective.state_dict() == before
