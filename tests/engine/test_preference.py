"""Native training on pairs: every objective of the family improves a policy, resumes with the same bits, and bad input says what to do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from breadth.config import ConfigError, RunSettings, StudySettings, build_settings
from breadth.engine.run_frame import RunStopped
from breadth.experiments.assemble import CHECKS
from breadth.ledger.rows import read_rows
from breadth.ledger.run import load_run
from tests.engine.digits import TINY, Digits, train

PAIRS = {
    "dpo": {"beta": 0.1},
    "ipo": {"tau": 0.5},
    "simpo": {},
    "cpo": {},
    "spl": {},
    "qempo_pairs": {"inv_lambda": 0.1},
    "qempo_kl_pairs": {"inv_lambda1": 0.1},
    "divpo": {"n_pairs": 8},
}
POOL = {"prompts": 64, "samples": 32, "batch": 64}


pytestmark = pytest.mark.usefixtures("module_cache")


@pytest.mark.parametrize("kind", PAIRS)
def test_each_objective_on_pairs_improves_the_prior(tmp_path, kind):
    run = train(
        tmp_path / "run",
        kind,
        numbers=PAIRS[kind],
        train={"steps": 60, "learning_rate": 3e-3},
        measure={"every": 60},
        preference=POOL,
    )
    before, after = (run.at(step)["quality"]["value"] for step in (0, 60))
    rows = run.training()
    assert after > before + 0.1, (before, after)
    assert rows[-1]["accuracy"] > 0.6 and rows[-1]["loss"] < rows[0]["loss"]
    assert all(row["n_refused"] == 0 for row in rows)
    needs_reference = {"dpo", "ipo", "spl", "qempo_kl_pairs", "divpo"}
    line = json.loads((tmp_path / "run" / "examples" / "round-0000.jsonl").read_text().splitlines()[0])
    assert ("ref_chosen" in line) == (kind in needs_reference), (
        "the reference is there where it is read, and only there"
    )
    assert line["chosen_reward"] > line["rejected_reward"]


def test_the_reference_is_the_prior_itself(tmp_path):
    """At the first step policy and reference are one: the implicit reward of every answer is 0, the loss log 2."""
    run = train(tmp_path / "run", "dpo", train={"steps": 1}, preference=POOL)
    first = run.training()[0]
    assert first["loss"] == pytest.approx(np.log(2), abs=1e-5)
    assert first["chosen_reward"] == pytest.approx(0, abs=1e-5) and first["rejected_reward"] == pytest.approx(
        0, abs=1e-5
    )


def test_micro_batches_change_nothing_but_memory(tmp_path):
    whole, parts = (
        train(tmp_path / str(size), "simpo", train={"steps": 2, "micro_batch": size}, preference=POOL).training()
        for size in (128, 7)
    )
    for key in ("loss", "grad_norm", "accuracy", "margin", "length"):
        assert whole[0][key] == pytest.approx(parts[0][key], rel=2e-4, abs=1e-6), key


class Crash(BaseException):
    """Stands for the loss of power: nothing catches it."""


def fingerprint(run: Path, step: int) -> dict[str, bytes]:
    names = [run / "ledger.jsonl", run / "steps.jsonl", *sorted((run / "examples").iterdir())]
    return {p.name: p.read_bytes() for p in [*names, *sorted((run / "checkpoints" / f"step-{step:06d}").iterdir())]}


@pytest.mark.parametrize("kind", ["dpo", "gem"])
@pytest.mark.parametrize("refresh", [None, 3])
def test_a_crash_at_a_write_costs_nothing(tmp_path, monkeypatch, kind, refresh):
    """The process dies at one rename after the other, and is started again until it gets through."""
    pool = {"prompts": 8, "samples": 16, "batch": 16, "refresh": refresh}
    section = "preference" if kind in PAIRS else "sft"
    wanted = {"train": {"steps": 8}, "measure": {"every": 4}, section: pool}
    train(tmp_path / "straight", kind, **wanted)
    real, survives = os.replace, 1
    for _ in range(30):
        count = 0

        def dies(*args, limit=survives, **kwargs):
            nonlocal count
            count += 1
            if count > limit:
                raise Crash
            return real(*args, **kwargs)

        monkeypatch.setattr(os, "replace", dies)
        try:
            train(tmp_path / "run", kind, **wanted)
        except Crash:
            survives += 2
        else:
            break
        finally:
            monkeypatch.setattr(os, "replace", real)
    assert survives > 4, "it never died"
    assert fingerprint(tmp_path / "run", 8) == fingerprint(tmp_path / "straight", 8)


def test_a_run_made_longer_and_damage_to_its_examples(tmp_path):
    longer = {"train": {"steps": 8}, "measure": {"every": 4}, "preference": POOL}
    train(tmp_path / "straight", "dpo", **longer)
    train(tmp_path / "run", "dpo", **{**longer, "train": {"steps": 4}})
    file = tmp_path / "run" / "examples" / "round-0000.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b'"chosen"', b'"chosen" ', 1))
    with pytest.raises(
        RunStopped, match=r"round-0000.jsonl: changed since the run wrote it: put it back, or delete the run"
    ):
        train(tmp_path / "run", "dpo", **longer)
    file.unlink()
    with pytest.raises(RunStopped, match=r"round-0000.jsonl: gone, and the run learns from it"):
        train(tmp_path / "run", "dpo", **longer)
    file.write_bytes(whole)
    train(tmp_path / "run", "dpo", **longer)
    straight = fingerprint(tmp_path / "straight", 8)
    assert {k: v for k, v in fingerprint(tmp_path / "run", 8).items() if "parquet" not in k} == straight


def test_a_run_s_examples_are_a_file_of_pairs_for_another(tmp_path):
    """Given as a file, the same pairs give the same losses."""
    first = train(tmp_path / "pool", "dpo", train={"steps": 3}, preference=POOL)
    path = tmp_path / "pool" / "examples" / "round-0000.jsonl"
    second = train(tmp_path / "file", "dpo", train={"steps": 3}, preference={"path": str(path), "batch": 64})
    assert [r["loss"] for r in first.training()] == [r["loss"] for r in second.training()]
    assert second.training()[0]["reward"] is None, "nobody judged the answers of a file"


def test_a_new_pool_every_few_steps_comes_from_the_policy(tmp_path):
    table = {"prompts": 8, "samples": 32, "refresh": 10}
    run = train(tmp_path / "run", "qempo_pairs", train={"steps": 30}, preference=table)
    rows = run.training()
    assert [rows[i]["round"] for i in (0, 9, 10, 29)] == [0, 0, 1, 2]
    assert rows[29]["reward"] > rows[0]["reward"] + 0.1, "the third pool is drawn from a better policy"
    assert len(list((run.path / "examples").iterdir())) == 3
    said = [e for e in read_rows(run.path / "events.jsonl") if e["event"] == "examples"]
    assert [e["round"] for e in said] == [0, 1, 2] and said[0]["pool"] == 256


def test_graded_rewards_make_pairs_by_a_margin(tmp_path):
    graded = lambda texts, prompts: [int(text[0]) / 5 for text in texts]  # noqa: E731
    run = train(tmp_path / "run", "dpo", reward=graded, train={"steps": 2}, preference={**POOL, "margin": 0.3})
    rows = [json.loads(line) for line in (run.path / "examples" / "round-0000.jsonl").read_text().splitlines()]
    gaps = [row["chosen_reward"] - row["rejected_reward"] for row in rows]
    assert (
        min(gaps) > 0.3 and len({row["chosen_reward"] for row in rows} | {row["rejected_reward"] for row in rows}) > 2
    )


@pytest.mark.parametrize("diversity", ["class_share", "distance", "surprisal"])
def test_divpo_joins_rare_right_answers_with_common_wrong_ones(tmp_path, diversity):
    table = {**POOL, "diversity": diversity}
    run = train(tmp_path / "run", "divpo", numbers={"n_pairs": 2}, train={"steps": 1}, preference=table)
    lines = (run.path / "examples" / "round-0000.jsonl").read_text().splitlines()
    assert 0 < len(lines) <= 2 * 64
    if diversity == "surprisal":  # rare = unlikely under the policy that drew it, here the reference
        rows = [json.loads(line) for line in lines]
        means = [np.mean([row[name] for row in rows]) for name in ("ref_chosen", "ref_rejected")]
        everything = train(tmp_path / "all", "dpo", train={"steps": 1}, preference=POOL)
        pairs = [json.loads(x) for x in (everything.path / "examples" / "round-0000.jsonl").read_text().splitlines()]
        assert means[0] < np.mean([p["ref_chosen"] for p in pairs]) and means[1] > np.mean(
            [p["ref_rejected"] for p in pairs]
        )


# Bad input.


def test_a_pool_without_a_right_answer_says_so(tmp_path):
    with pytest.raises(RunStopped) as caught:
        train(tmp_path / "run", "dpo", reward=lambda texts, prompts: [0.0] * len(texts), preference=POOL)
    assert "the pool of 2048 answers (64 prompts, 32 each) gives no pair: all rewards are 0" in str(caught.value)
    assert "preference.samples" in str(caught.value)
    assert load_run(tmp_path / "run").steps == [0], "what was measured before stays"


def test_a_margin_that_no_pair_has_says_so(tmp_path):
    with pytest.raises(
        RunStopped,
        match=r"rewards lie between 0 and 1, but inside no group do two differ by more than preference.margin = 1",
    ):
        train(tmp_path / "run", "dpo", preference={**POOL, "margin": 1.0})


GOOD = {"prompt": "0", "chosen": "0 1 2 3", "rejected": "4 1 2 3"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{}"], "line 1: 1 problem\n  - expected texts under prompt, chosen, rejected, got none under prompt, chosen, rejected"),
        ([json.dumps(GOOD), '{"prompt": "0", "chosen": "1"}'], "line 2: .*none under rejected .* has: prompt, chosen"),
        (["[1]"], "line 1: .*the line has: list"),
        (["{nonsense"], "line 1: 1 problem\n  - not JSON"),
        ([json.dumps({**GOOD, "rejected": GOOD["chosen"]})], "line 1: .*chosen and rejected are the same text: '0 1 2 3'"),
        ([json.dumps({**GOOD, "rejected": "4 1 2 99"})], "line 1: .*token '99' of '4 1 2 99' is not in the vocabulary"),
        ([json.dumps({**GOOD, "rejected": "0 1"})], "line 1: .*rejected: answers have exactly 4 tokens here, this one has 2"),
        ([""], "pairs.jsonl: 1 problem\n  - holds no example; expected JSON Lines with prompt, chosen, rejected"),
    ],
)  # fmt: skip
def test_a_bad_file_of_pairs_is_named_with_its_line(tmp_path, lines, message):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        train(tmp_path / "run", "dpo", preference={"path": str(path)})


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(
        ConfigError,
        match=r"preference.path: .*no.jsonl: no such file; expected JSON Lines with prompt, chosen, rejected",
    ):
        train(tmp_path / "run", "dpo", preference={"path": str(tmp_path / "no.jsonl")})
    assert not (tmp_path / "run").exists(), "said before a prior is trained for nothing"


@pytest.mark.parametrize(
    ("objective", "tables", "message"),
    [
        ("dpo", {"sft": {"source": "correct"}}, "sft: no objective here learns from it: dpo; remove .sft."),
        ("dr_grpo", {"preference": {"batch": 8}}, "preference: no objective here learns from it: dr_grpo"),
        ("sft", {"sft": {"source": "internet"}}, "sft.source: expected 'corpus', 'correct', 'diverse' or 'file', got 'internet'"),
        ("sft", {"sft": {"source": "file"}}, 'sft: source = "file" needs sft.path'),
        ("sft", {"sft": {"path": "x.jsonl"}}, "sft.path is only read with source = \"file\", got 'correct'"),
        ("dpo", {"preference": {"pol": 3}}, "preference.pol: unknown key"),
        ("dpo", {"preference": {"refreshh": 3}}, "preference.refreshh: unknown key; did you mean 'refresh'?"),
        ("dpo", {"control": {"reward_mean": 0.5}}, "control.reward_mean is only read with reward = \"random\", got 'task'"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together(objective, tables, message):
    data = {**TINY, "task": {"kind": "circle"}, "objective": {"kind": objective}, **tables}
    with pytest.raises(ConfigError, match=message):
        build_settings(RunSettings, data, where="x.toml", checks=CHECKS)


def test_a_study_gives_each_objective_its_own_source():
    data = {**TINY, "task": {"kind": "circle"}, "name": "s", "preference": {"prompts": 4}, "objectives": {
        "dr_grpo": {}, "dpo": {"preference": {"samples": 8}}, "plain": {"kind": "sft", "sft": {"source": "diverse"}},
        "random": {"kind": "dr_grpo", "control": {"reward": "random"}},
    }}  # fmt: skip
    study = build_settings(StudySettings, data, where="s.toml", checks=CHECKS)
    assert (study.run_settings("dpo", 0).preference.prompts, study.run_settings("dpo", 0).preference.samples) == (4, 8)
    assert study.run_settings("plain", 0).sft.source == "diverse"
    assert (
        study.run_settings("random", 0).control.reward == "random" and study.run_settings("dr_grpo", 0).control is None
    )
    data["objectives"]["dpo"] = {"preference": {"samples": "many", "batch": 0}}
    data["objectives"]["plain"]["sft"] = {"sauce": "x"}
    data["objectives"]["dr_grpo"] = {"sft": {"batch": 3}}
    with pytest.raises(ConfigError) as caught:
        build_settings(StudySettings, data, where="s.toml", checks=CHECKS)
    text = str(caught.value)
    assert (
        "objectives.dpo.preference.samples: expected a valid integer" in text
        and "objectives.dpo.preference.batch:" in text
    )
    assert "objectives.plain.sft.sauce: unknown key" in text
    assert "objectives.dr_grpo.sft: 'dr_grpo' does not learn from it; remove it" in text


def test_the_prior_of_these_tests_is_worth_learning_from(tmp_path):
    """The tests above rest on a prior that is sometimes right and sometimes wrong."""
    assert 0.2 < train(tmp_path / "run", "dr_grpo", train={"steps": 0}).at(0)["quality"]["value"] < 0.5
    assert len(set(Digits().prompts(9, seed=0))) == 3
