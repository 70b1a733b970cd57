"""The DPO trainer: every preset equal to its formula, no reference where there is none, nothing stale in a cache; DivPO's pairs."""

from __future__ import annotations

import inspect
import warnings

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("trl", reason="TRL is not installed: pip install 'breadth[trl]'")
import transformers
import trl_tiny as tiny
from datasets import Dataset

from breadth import objective
from breadth.plugins.trl import BreadthDPOConfig, BreadthDPOTrainer, build_divpo_pairs

warnings.simplefilter("ignore")
W = tiny.WORDS


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def pairs():
    return Dataset.from_dict(
        {
            "prompt": tiny.prompts(8),
            "chosen": [f" {W[i + 1]} {W[i]}" for i in range(8)],
            "rejected": [f" {W[i + 2]}" + f" {W[i]}" * (i % 3) for i in range(8)],
        }
    )


class Watched(BreadthDPOTrainer):
    """Keeps batch, loss and weights of every step."""

    def _compute_loss(self, model, inputs, return_outputs=False):
        loss = super()._compute_loss(model, inputs, return_outputs)
        weights = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.seen = [*getattr(self, "seen", []), (inputs, float(loss.detach()), weights)]
        return loss


def made(model, pairs, out, **settings):
    args = BreadthDPOConfig(
        output_dir=str(out),
        per_device_train_batch_size=4,
        max_steps=3,
        **{**tiny.SMALL, "learning_rate": 1e-2},
        **settings,
    )
    return Watched(model, None, args, train_dataset=pairs)


def logps(model, batch):
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1].double()
    mask = batch["completion_mask"][:, 1:]
    chosen = torch.log_softmax(logits, -1).gather(-1, batch["input_ids"][:, 1:, None])[..., 0]
    return (chosen * mask).sum(1).chunk(2), mask.sum(1).chunk(2)


def sigmoid(delta):
    return -F.logsigmoid(delta)


FORMULAS = {
    "dpo": ({"preset": "dpo"}, lambda c, r, rc, rr, n, m: sigmoid(0.1 * (c - rc - r + rr))),
    "qempo": (
        {"preset": "qempo", "preset_settings": {"inv_lambda": 0.25}},
        lambda c, r, rc, rr, n, m: sigmoid(0.25 * (c - r)),
    ),
    "qempo_kl": (
        {"preset": "qempo_kl", "preset_settings": {"inv_lambda1": 0.1, "ratio": 0.2}},
        lambda c, r, rc, rr, n, m: sigmoid(0.1 * (c - r) + 0.2 * (c - r - rc + rr)),
    ),
    "spl": (
        {"preset": "spl", "preset_settings": {"alpha": 0.3, "beta": 0.1}},
        lambda c, r, rc, rr, n, m: sigmoid(0.3 * (c - r) - 0.1 * (rc - rr)),
    ),
    "simpo": (
        {"preset": "simpo", "preset_settings": {"beta": 2.0, "margin": 0.5}},
        lambda c, r, rc, rr, n, m: sigmoid(2.0 * (c / n - r / m) - 0.5),
    ),
    "ipo": ({"preset": "ipo", "preset_settings": {"tau": 0.5}}, lambda c, r, rc, rr, n, m: (c - rc - r + rr - 1) ** 2),
    "cpo": (
        {"preset": "cpo", "preset_settings": {"beta": 0.1, "alpha": 0.7}},
        lambda c, r, rc, rr, n, m: sigmoid(0.1 * (c - r)) - 0.7 * c,
    ),
    "weights": ({"a": 0.2, "b": 0.05}, lambda c, r, rc, rr, n, m: sigmoid(0.2 * (c - r) - 0.05 * (rc - rr))),
    "cached": (
        {"a": 0.2, "b": 0.05, "precompute_ref_log_probs": True},
        lambda c, r, rc, rr, n, m: sigmoid(0.2 * (c - r) - 0.05 * (rc - rr)),
    ),
}


def by_hand(model, trainer, formula):
    """Return the largest difference to the formula, on the weights of each step."""
    reference, policy = (transformers.AutoModelForCausalLM.from_pretrained(model).eval() for _ in range(2))
    worst = 0.0
    for batch, loss, weights in trainer.seen:
        policy.load_state_dict({k: v for k, v in weights.items() if k in policy.state_dict()})
        (c, r), (n, m) = logps(policy, batch)
        (rc, rr), _ = logps(reference, batch)
        worst = max(worst, abs(float(formula(c, r, rc, rr, n, m).mean()) - loss) / max(1.0, abs(loss)))
    return worst


@pytest.mark.parametrize("name", FORMULAS)
def test_losses_are_the_formulas(name, model, pairs, tmp_path):
    settings, formula = FORMULAS[name]
    trainer = made(model, pairs, tmp_path, **settings)
    trainer.train()
    error = by_hand(model, trainer, formula)
    print(f"{name}: {error:.1e}")
    # the forward pass is float32, and IPO squares it
    assert len(trainer.seen) == 3 and error < (2e-6 if name == "ipo" else 1e-6)
    assert (trainer.ref_model is None) == (trainer.b == 0 or name == "cached")
    flipped = by_hand(model, trainer, lambda c, r, rc, rr, n, m: formula(r, c, rr, rc, m, n))
    assert flipped > 1e-3  # the twin


def test_without_a_reference_none_is_run_and_no_column_is_made(model, pairs, tmp_path, monkeypatch):
    def never(*rest, **others):
        raise AssertionError("a reference forward was run")

    monkeypatch.setattr(BreadthDPOTrainer, "compute_ref_log_probs", never)
    trainer = made(model, pairs, tmp_path, preset="qempo")
    trainer.train()
    assert trainer.ref_model is None and "ref_chosen_logps" not in trainer.train_dataset.column_names
    assert trainer.evaluate(pairs)["eval_loss"] > 0  # a new data set, after training


def test_cached_reference_values_are_not_those_of_another_weight(model, pairs, tmp_path):
    """The reference's log-probabilities are cached raw: the same data set under another b gives another loss, and the right one."""
    found = {}
    for b in (0.2, 0.06):
        trainer = made(model, pairs, tmp_path, a=0.2, b=b, precompute_ref_log_probs=True)
        trainer.train()
        found[b] = trainer.seen[0][1]
        assert by_hand(model, trainer, lambda c, r, rc, rr, n, m, b=b: sigmoid(0.2 * (c - r) - b * (rc - rr))) < 1e-6
    assert found[0.2] != found[0.06]


def test_settings_that_contradict_each_other_are_refused(model, pairs, tmp_path):
    def config(**settings):
        return BreadthDPOConfig(output_dir=str(tmp_path), **{**tiny.SMALL, **settings})

    with pytest.raises(ValueError, match="expected a preset, or both a and b, got preset=None"):
        config()
    with pytest.raises(ValueError, match="expected both a and b, got a=0.1, b=None"):
        config(a=0.1)
    with pytest.raises(ValueError, match="unknown objective 'qempoo', did you mean 'qempo'"):
        config(preset="qempoo")
    with pytest.raises(ValueError, match="preset 'darling' is of the family 'policy'"):
        config(preset="darling")
    with pytest.raises(ValueError, match="beta=0.3 contradicts 'spl'"):
        config(preset="spl", beta=0.3)
    with pytest.raises(ValueError, match="has no reference .b = 0.: leave it out"):
        BreadthDPOTrainer(
            model, transformers.AutoModelForCausalLM.from_pretrained(model), config(preset="qempo"), train_dataset=pairs
        )
    with pytest.raises(ValueError, match="would ignore use_weighting"):
        BreadthDPOTrainer(model, None, config(preset="simpo", use_weighting=True), train_dataset=pairs)
    built = transformers.GPT2LMHeadModel(transformers.AutoConfig.from_pretrained(model))
    built.config._name_or_path = ""
    with pytest.raises(ValueError, match="lies in memory only: model.save_pretrained"):
        BreadthDPOTrainer(built, None, config(preset="dpo"), train_dataset=pairs)


def test_the_method_that_is_overridden_has_the_signature_that_is_expected():
    from trl import DPOTrainer

    names = {
        name: list(inspect.signature(getattr(DPOTrainer, name)).parameters)
        for name in ("_compute_loss", "compute_ref_log_probs", "_precompute_ref_logps")
    }
    assert names["_compute_loss"][:4] == ["self", "model", "inputs", "return_outputs"]
    assert names["compute_ref_log_probs"] == ["self", "model", "inputs"]
    assert names["_precompute_ref_logps"] == ["self", "dataset", "name", "batch_size"]


def test_divpo_pairs_from_pools(model, tmp_path):
    pools = [
        {
            "prompt": "w1 w2",
            "completions": [" w1", " w2", " w3 w4", " w5", " w6 w7 w8"],
            "quality": [1.0, 1.0, 1.0, 0.0, 0.0],
        },
        {"prompt": "w3", "completions": [" w1", " w2"], "quality": [1.0, 1.0]},
    ]
    found = build_divpo_pairs(pools, partition=tiny.by_length)
    assert found["prompt"] == ["w1 w2"]
    assert found["chosen"] == [" w3 w4"] and found["rejected"] == [
        " w5"
    ]  # the only good one of its class; the commonest of the bad
    trainer = made(model, found, tmp_path, preset="divpo")
    trainer.train()
    assert trainer.a == trainer.b == objective("divpo").settings["beta"]
    by_logp = build_divpo_pairs(
        [{**pools[0], "logp": [-1.0, -9.0, -4.0, -1.0, -30.0], "length": [1, 1, 2, 1, 3]}], diversity="logp"
    )
    assert by_logp["chosen"] == [" w2"] and by_logp["rejected"] == [" w5"]
    scored = build_divpo_pairs(
        pools[:1],
        quality=lambda completions, prompts, **k: [float(len(c)) for c in completions],
        partition=tiny.by_length,
    )
    assert scored["chosen"] == [" w6 w7 w8"]
    with pytest.raises(ValueError, match="no pair in 1 prompts"):
        build_divpo_pairs(pools[1:], partition=tiny.by_length)
    with pytest.raises(ValueError, match=r"pools\[0\]: no 'quality' there"):
        build_divpo_pairs([{"prompt": "a", "completions": ["x"]}], partition=tiny.by_length)
    with pytest.raises(ValueError, match=r"pools\[0\]: diversity='logp' needs 'logp'"):
        build_divpo_pairs(pools, diversity="logp")
