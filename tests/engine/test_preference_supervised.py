"""Supervised training from each source, hill-climb, dynamic sampling and the controls, on a task that is learned in a few steps."""

from __future__ import annotations

import json

import numpy as np
import pytest

import breadth
from breadth.config import ConfigError
from breadth.engine.run_frame import RunStopped
from breadth.ledger.rows import read_rows
from breadth.tasks.few_prompts import distinct_prompts
from breadth.tasks.graphs import CircleTask
from tests.engine.digits import SUITS, Digits, train

POOL = {"prompts": 64, "samples": 32, "batch": 64}
LEARN = {"train": {"steps": 60, "learning_rate": 3e-3, "prompts": 4}, "measure": {"every": 60}}


pytestmark = pytest.mark.usefixtures("module_cache")


def quality(run):
    return [run.at(step)["quality"]["value"] for step in run.steps]


def examples(run):
    return [json.loads(line) for line in (run.path / "examples" / "round-0000.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("objective", "numbers", "sft"),
    [
        ("sft", {}, POOL),
        ("sft", {"label_smoothing": 0.1}, POOL | {"source": "diverse"}),
        ("gem", {"beta": 0.9}, POOL),
        ("hill_climb", {}, None),
    ],
    ids=["correct", "diverse", "gem", "hill_climb"],
)
def test_each_improves_the_prior(tmp_path, objective, numbers, sft):
    run = train(tmp_path / "run", objective, numbers=numbers, **LEARN, **({} if sft is None else {"sft": sft}))
    before, after = quality(run)
    assert after > before + 0.3, (before, after)
    assert all(row["n_refused"] == 0 and row["loss"] is not None for row in run.training())


def test_correct_and_diverse_examples(tmp_path):
    """Correct: all right answers of the pool. Diverse: of each prompt's keys one. per_prompt limits both."""
    once = {"train": {"steps": 1}, "measure": {"every": 1}}
    every, one, few = (
        train(tmp_path / name, "sft", sft={**POOL, **table}, **once)
        for name, table in {"a": {}, "b": {"source": "diverse"}, "c": {"per_prompt": 3}}.items()
    )
    rows = examples(every)
    assert len(rows) == every.training()[0]["n_examples"]
    assert all(row["completion"][0] in SUITS[row["prompt"]] and row["reward"] == 1.0 for row in rows)
    kinds = {(row["prompt"], row["completion"]) for row in rows}
    assert len(kinds) < len(rows), "the pool has answers that come twice"
    distinct = examples(one)
    assert len(distinct) == len(kinds) and {(r["prompt"], r["completion"]) for r in distinct} == kinds
    assert sorted(row["prompt"] for row in examples(few)) == sorted(list(SUITS) * 3)
    said = next(e for e in read_rows(every.path / "events.jsonl") if e["event"] == "examples")
    assert (said["pool_correct"], said["example_keys"]) == (len(rows), len(kinds))


def test_the_corpus_and_a_file_are_sources_too(tmp_path):
    run = train(
        tmp_path / "corpus", "sft", sft={"source": "corpus", "corpus_size": 40, "batch": 64}, train={"steps": 2}
    )
    rows = examples(run)
    assert len(rows) == 40 and {row["prompt"] for row in rows} == set(SUITS)
    assert run.training()[1]["epoch"] == pytest.approx(2.0), "a batch larger than the corpus is the corpus"
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps({"prompt": p, "completion": f"{p} 1 1 1"}) + "\n" for p in SUITS))
    given = train(tmp_path / "file", "sft", sft={"source": "file", "path": str(path)}, **LEARN)
    assert given.training()[-1]["cross_entropy"] < 0.2, "three answers are learned by heart"


def test_sft_is_the_mean_over_tokens_by_hand(tmp_path):
    """The first loss is the mean surprisal of the batch under the prior, per token."""
    run = train(
        tmp_path / "run",
        "sft",
        sft={"source": "corpus", "corpus_size": 16, "batch": 16},
        train={"steps": 1},
        measure={"every": 1},
    )
    import torch

    from breadth.engine.examples import SINGLE, from_bytes
    from breadth.engine.gpt import load_gpt2
    from breadth.engine.policy import score_completions
    from breadth.engine.tokenizer import banned_tokens, load_vocabulary

    prior = run.path / "prior"
    vocabulary = load_vocabulary(prior)
    answers = from_bytes((run.path / "examples" / "round-0000.jsonl").read_bytes(), SINGLE).rollouts(
        vocabulary, torch.device("cpu")
    )
    logp = score_completions(load_gpt2(prior, dropout=0.0), answers, banned=banned_tokens(vocabulary, end_token=False))
    assert run.training()[0]["loss"] == pytest.approx(-float(logp.sum() / answers.mask.sum()), abs=1e-5)


# Dynamic sampling.


def test_dynamic_sampling_learns_from_mixed_groups_only(tmp_path):
    # Groups of 2 are often all right or all wrong: several rounds fill a step.
    numbers = {"of": {"kind": "dr_grpo"}, "max_rounds": 20}
    few = {"train": {"steps": 3, "prompts": 6, "group_size": 2}, "measure": {"every": 3}}
    run = train(tmp_path / "run", "dynamic_sampling", numbers=numbers, **few)
    for row in run.training():
        assert row["groups_kept"] == row["groups_wanted"] == 6 and row["sampling_rounds"] > 1
        assert row["groups_drawn"] == 6 * row["sampling_rounds"] and row["zero_advantage_share"] == 0
    again = train(
        tmp_path / "again", "dynamic_sampling", numbers=numbers, **{**few, "train": {**few["train"], "steps": 2}}
    )
    assert again.complete
    again = train(tmp_path / "again", "dynamic_sampling", numbers=numbers, **few)
    assert (again.path / "steps.jsonl").read_bytes() == (run.path / "steps.jsonl").read_bytes()


def test_dynamic_sampling_that_finds_nothing_says_so_and_goes_on(tmp_path):
    """Every answer right: nothing to learn, no step taken, and the log says why."""
    run = train(
        tmp_path / "run",
        "dynamic_sampling",
        numbers={"of": "grpo", "max_rounds": 2},
        task=AllRight(),
        train={"steps": 2, "prompts": 3, "group_size": 4},
        measure={"every": 2},
    )
    assert [row["groups_kept"] for row in run.training()] == [0, 0] and run.complete
    said = [e for e in read_rows(run.path / "events.jsonl") if e["event"] == "short batch"]
    assert said[0]["reason"] == "0 of 3 groups were mixed after 2 rounds (objective.max_rounds)"


class AllRight(Digits):
    def score(self, texts, prompts=None):
        return np.ones(len(texts))


def test_every_group_mixed_is_the_objective_inside(tmp_path):
    """Where the first round already fills the step, dynamic sampling is the objective that it is made of, bit for bit."""
    same = {"train": {"steps": 2, "prompts": 2, "group_size": 64}, "measure": {"every": 2}}
    inside = train(tmp_path / "a", "grpo", **same)
    around = train(tmp_path / "b", "dynamic_sampling", numbers={"of": "grpo"}, **same)
    assert [r["loss"] for r in inside.training()] == [r["loss"] for r in around.training()]
    assert [r["value"] for r in inside.rows] == [r["value"] for r in around.rows]


# Controls.


def test_a_random_reward_teaches_nothing_and_has_the_prior_s_mean(tmp_path):
    batch = {"prompts": 6, "group_size": 32, "learning_rate": 3e-3}
    table = {"train": {"steps": 60, **batch}, "measure": {"every": 60}}
    real = train(tmp_path / "real", "dr_grpo", **table)
    random = train(tmp_path / "random", "dr_grpo", control={"reward": "random"}, **table)
    prior = quality(real)[0]
    assert quality(real)[1] > prior + 0.3
    assert quality(random)[1] < prior + 0.15
    mean = np.mean([row["reward"] for row in random.training()])
    assert mean == pytest.approx(1 / 3, abs=0.04), "60 × 192 draws from the prior's own rewards"
    fixed = train(
        tmp_path / "fixed", "dr_grpo", control={"reward": "random", "reward_mean": 0.8}, train={"steps": 3, **batch}
    )
    assert np.mean([row["reward"] for row in fixed.training()]) == pytest.approx(0.8, abs=0.08)


def test_shuffled_rewards_keep_every_batch_s_mean(tmp_path):
    table = {"train": {"steps": 1, "prompts": 4, "group_size": 16}, "measure": {"every": 1}}
    real, shuffled = (
        train(tmp_path / n, "dr_grpo", control={"reward": n}, **table).training()[0] for n in ("task", "shuffled")
    )
    assert real["reward"] == shuffled["reward"] and real["grad_norm"] != shuffled["grad_norm"]


def test_a_random_reward_makes_random_pairs_and_examples(tmp_path):
    run = train(
        tmp_path / "run", "sft", sft=POOL, control={"reward": "random"}, train={"steps": 1}, measure={"every": 1}
    )
    share = np.mean([row["completion"][0] in SUITS[row["prompt"]] for row in examples(run)])
    assert share < 0.5, "what counts as correct follows the random reward"


def test_one_training_prompt(tmp_path):
    run = train(tmp_path / "run", "sft", sft=POOL, control={"prompts": 1}, train={"steps": 1}, measure={"every": 1})
    assert len({row["prompt"] for row in examples(run)}) == 1
    both = train(tmp_path / "two", "sft", sft=POOL, control={"prompts": 2}, train={"steps": 1}, measure={"every": 1})
    assert len({row["prompt"] for row in examples(both)}) == 2
    assert distinct_prompts(CircleTask(vertices=8, edges=4), 5, seed=0) == [""], "a task may have fewer than asked for"


# Bad input.


def test_no_correct_answer_in_the_pool(tmp_path):
    said = r"sft: no answer of the pool of 64 \(8 prompts, 8 each\) is correct: draw more \(sft.prompts, sft.samples\)"
    with pytest.raises(RunStopped, match=said):
        train(tmp_path / "run", "sft", task=Unreachable(), sft={"prompts": 8, "samples": 8})


class Unreachable(Digits):
    def score(self, texts, prompts=None):
        return np.zeros(len(texts))


def test_a_file_without_completions(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"prompt": "0", "answer": "1 1 1 1"}\n')
    with pytest.raises(
        ConfigError, match=r"line 1: 1 problem\n  - expected texts under prompt, completion, got none under completion"
    ):
        train(tmp_path / "run", "sft", sft={"source": "file", "path": str(path)})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"of": "dpo"}, "of: expected an objective of the families policy, actor_critic or group, got 'dpo' of the family 'pair'"),
        ({"of": "gropo"}, "of: unknown objective 'gropo', did you mean 'grpo'?"),
        ({"max_rounds": 0}, "max_rounds: expected an integer >= 1, got 0"),
        ({"of": {"kind": "grpo", "eps": -1}}, "eps"),
    ],
)  # fmt: skip
def test_dynamic_sampling_around_nothing(settings, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        breadth.objective("dynamic_sampling", **settings)
    assert message in str(caught.value)


def test_answers_of_many_lengths_keep_their_end_token(tmp_path):
    """Where answers end by themselves: tokens are those of the text and the end token, and the reference is what sampling said."""
    from breadth.engine.tokenizer import load_vocabulary

    task = CircleTask(vertices=4, edges=3, min_edges=2)
    graded = lambda texts, prompts: [len(text.split()) / 6 for text in texts]  # noqa: E731
    pool = {"prompts": 2, "samples": 32, "batch": 8}
    run = train(
        tmp_path / "run", "dpo", task=task, reward=graded, preference=pool, train={"steps": 2}, measure={"every": 2}
    )
    vocabulary, rows = load_vocabulary(run.path / "prior"), examples(run)
    ends = [row for row in rows if len(row["chosen_tokens"]) < 7]
    assert ends and len({len(row["rejected_tokens"]) for row in rows}) > 1
    for row in ends:
        assert row["chosen_tokens"] == [*vocabulary.encode(row["chosen"]), vocabulary.eos_id]
    assert all(row["ref_chosen"] < 0 for row in rows)
    assert run.training()[0]["loss"] == pytest.approx(np.log(2), abs=1e-5)
