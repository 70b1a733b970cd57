"""`breadth train --engine trl` beyond rollouts of its own: pairs from a pool or a file, controls, schedules; and what it leaves to others."""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from breadth.config import ConfigError, RunSettings, build_settings
from breadth.data_settings import PreferenceSettings
from breadth.plugins.trl.altered_rewards import AlteredReward
from breadth.plugins.trl.pools import Answered, after_prompt, choose, rows_of_file

warnings.simplefilter("ignore")


def settings(kind="dpo", **sections) -> RunSettings:
    data = {
        "task": {"kind": "object:words"},
        "objective": {"kind": kind},
        "train": {"steps": 2, "prompts": 2, "group_size": 4, "learning_rate": 1e-3},
        "measure": {"every": 1, "sets": 2, "samples_per_set": 4},
    }
    for name, changes in sections.items():
        data[name] = {**data.get(name, {}), **changes}
    return build_settings(RunSettings, data, where="test")


def values(count):
    return [None if i == 3 else float(i) for i in range(count)]


def altered(step=0, rows=6, updates=1, prior=None, **sections):
    def given(completions, **columns):
        return values(len(completions))

    reward = AlteredReward(given, settings("grpo", **sections), prior_rewards=prior, updates=updates)
    return reward(completions=["x"] * rows, trainer_state=SimpleNamespace(global_step=step))


def test_a_shuffled_reward_is_the_same_numbers_and_a_batch_has_its_own_order():
    first, second = (altered(step, control={"reward": "shuffled"}) for step in (0, 1))
    assert first[3] is None and Counter(first) == Counter(values(6)) == Counter(second)
    assert first == altered(0, control={"reward": "shuffled"}) != second


def test_a_random_reward_ignores_the_answers():
    assert set(altered(control={"reward": "random"}, prior=np.array([7.0]))) == {7.0, None}
    coins = altered(rows=400, control={"reward": "random", "reward_mean": 0.25})
    assert set(coins) == {0.0, 1.0, None} and sum(v for v in coins if v) / 399 == pytest.approx(0.25, abs=0.07)


@pytest.mark.parametrize(("step", "updates", "factor"), [(0, 1, 1.0), (3, 1, 0.25), (3, 2, 0.5)])
def test_a_linear_schedule_falls_with_the_batches(step, updates, factor):
    found = altered(step, updates=updates, train={"steps": 4, "reward_schedule": "linear"})
    assert found == [None if v is None else v * factor for v in values(6)]


@pytest.mark.parametrize(("how", "expected"), [("half", 2.0), ("double", 8.0), ("square", 16.0), ("root", 2.0)])
def test_transforms(how, expected):
    assert altered(train={"reward_transform": how})[4] == expected


def pool(texts, reward):
    n = len(texts)
    return Answered(texts, ["p"] * n, np.zeros(n, dtype=int), np.array(reward), np.arange(n, dtype=float))


def test_divpo_takes_the_rarest_of_the_good_and_the_commonest_of_the_bad():
    from breadth import catalogue

    task = SimpleNamespace(
        key=lambda texts, prompts: list(texts), distance_within=lambda texts, prompt: 1 - np.eye(len(texts))
    )
    drawn = pool(["a", "a", "b", "no", "no", "nay"], [1, 1, 1, 0, 0, 0])
    found = choose(drawn, catalogue.objective("divpo"), PreferenceSettings(), task, seed=0)
    assert [(drawn.texts[a], drawn.texts[b]) for a, b in found] == [("b", "no")]
    by_surprise = choose(drawn, catalogue.objective("divpo"), PreferenceSettings(diversity="surprisal"), task, seed=0)
    assert by_surprise.tolist() == [[2, 3]]


def test_matched_pairs_are_right_over_wrong_and_unscored_answers_take_no_part():
    from breadth import catalogue

    drawn = pool(["a", "b", "c", "d"], [1, math.nan, 0, 0])
    assert {a for a, _ in choose(drawn, catalogue.objective("dpo"), PreferenceSettings(), None, seed=0).tolist()} == {0}


def test_a_file_of_pairs_names_the_row_that_is_none(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prompt": "p", "chosen": "a", "rejected": "b"}\n{"prompt": "p", "chosen": "a"}\n')
    with pytest.raises(
        ConfigError, match="row 2: expected texts under prompt, chosen, rejected, got none under rejected"
    ):
        rows_of_file(str(path))


class Words:
    """A tokenizer that splits at spaces; or, by bytes, one that does not care."""

    def __init__(self, split):
        self.split = split

    def __call__(self, text, add_special_tokens):
        return {"input_ids": text.split() if self.split else list(text)}


def test_an_answer_follows_its_prompt_so_that_the_prompt_keeps_its_tokens():
    assert after_prompt(Words(True), "1 2 -> 3 :", "1 + 2") == " 1 + 2"
    assert after_prompt(Words(True), "1 2 -> 3 : ", "1 + 2") == "1 + 2"
    assert after_prompt(Words(False), "1 2 -> 3 :", " 1 + 2") == " 1 + 2"
    assert after_prompt(Words(False), "1 2 -> 3 :", "1 + 2") == "1 + 2"


# With TRL itself


@pytest.fixture(scope="module")
def trl(tmp_path_factory):
    pytest.importorskip("trl", reason="TRL is not installed: pip install 'breadth[trl]'")
    import trl_tiny as tiny

    from breadth.plugins.trl import train_with_trl

    folder = tmp_path_factory.mktemp("trl")
    model = tiny.folder(folder)

    def train(name, kind="dpo", **sections):
        sections = {"prior": {"path": model}, **sections}
        return train_with_trl(settings(kind, **sections), folder / name, task=tiny.words(), on_note=lambda text: None)

    return folder, train


PAIRS = {"preference": {"prompts": 6, "samples": 8, "batch": 4}, "train": {"steps": 2}}


def test_a_pool_of_the_models_own_answers_becomes_pairs_and_stays_on_continuing(trl):
    folder, train = trl
    run = train("qempo", "qempo_pairs", **PAIRS)
    assert run.steps == [0, 1, 2] and run.settings["preference"]["samples"] == 8 and run.label == "qempo_pairs"
    file = folder / "qempo" / "examples" / "round-0000.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) > 4 and all(row["chosen_reward"] > row["rejected_reward"] for row in rows)
    assert all(len(row["chosen"].split()) % 2 and not len(row["rejected"].split()) % 2 for row in rows)
    before = file.read_bytes()
    again = train("qempo", "qempo_pairs", **{**PAIRS, "train": {"steps": 3}})
    assert again.steps == [0, 1, 2, 3] and again.rows[: len(run.rows)] == run.rows and file.read_bytes() == before


@pytest.mark.nightly
def test_pairs_of_a_file_with_a_reference(trl, tmp_path):
    rows = [{"prompt": f"p{i}", "chosen": "a b c", "rejected": "a b"} for i in range(8)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = trl[1](
        "file", "qempo_kl_pairs", preference={"path": str(tmp_path / "pairs.jsonl"), "batch": 4}, train={"steps": 1}
    )
    assert run.steps == [0, 1] and "kl_prior" in run.metrics and not (trl[0] / "file" / "examples").exists()


def test_a_random_reward_and_one_prompt_are_controls_here_too(trl):
    folder, train = trl
    run = train(
        "control", "dr_grpo", control={"reward": "random", "reward_mean": 1.0, "prompts": 1}, train={"steps": 1}
    )
    assert [row["reward"] for row in run.training()] == [1.0] and run.settings["control"]["prompts"] == 1
    assert run.settings["control"]["reward"] == "random"


@pytest.mark.nightly
def test_a_random_reward_drawn_from_the_starting_models_own(trl):
    run = trl[1](
        "drawn",
        "darling",
        control={"reward": "random", "reward_samples": 16},
        partition={"backend": "rouge1"},
        train={"steps": 1},
    )
    assert (8 * run.training()[0]["reward"]).is_integer()  # eight draws of zeros and ones
    assert run.settings["partition"]["backend"] == "rouge1"


def test_what_trl_does_not_do_names_who_does(trl):
    native = "breadth's own loop does it: leave --engine out"
    cases = {
        f"learns from one set of pairs; new pools on the way: {native}": ("dpo", {"preference": {"refresh": 2}}),
        f"a batch of pairs is one optimiser step; several: {native}": ("dpo", {"train": {"minibatches": 2}}),
        f"control.reward, train.reward_schedule, train.reward_transform: for pairs {native}": ("dpo", {"control": {"reward": "shuffled"}}),
        "preference.batch: expected a multiple of per_device_train_batch_size × processes = 3 × 1, got 64": (
            "dpo", {"trl": {"per_device_train_batch_size": 3}}),
        "trl.use_vllm: unknown argument of TRL's DPOConfig": ("dpo", {"trl": {"use_vllm": True}}),
        f"'sft' learns from examples; {native}, or use sft_loss in TRL's SFTTrainer": ("sft", {}),
        "'grpo' learns from its own rollouts and reads neither; remove them": ("grpo", {"preference": {}}),
        f"partition.learn_pairs: {native}; or fit a classifier first": ("darling", {"partition": {"learn_pairs": 200}}),
        f"'quality_target' remembers rewards, in TRL changed ones (reward_schedule, reward_transform): {native}": (
            "quality_target", {"train": {"reward_schedule": "linear"}, "objective": {"target": 0.5}}),
        "the pool of 4 answers (2 prompts, 2 each; rewards": ("dpo", {"preference": {"prompts": 2, "samples": 2, "margin": 5.0}}),
    }  # fmt: skip
    for i, (text, (kind, sections)) in enumerate(cases.items()):
        with pytest.raises(ConfigError) as error:
            trl[1](f"bad{i}", kind, **sections)
        assert text in " ".join(str(error.value).split()), str(error.value)
