"""Files of generations to tables, differences and a verdict on collapse."""

from __future__ import annotations

import json

import numpy as np
import pytest
from rich.console import Console

from breadth.experiments.collapse import collapse_verdict
from breadth.experiments.generation_table import difference_table, markdown, measurement_table, verdict_text
from breadth.experiments.generations import compare_files, measure_file, measure_path
from breadth.experiments.over_prompts import bootstrap_mean, difference
from breadth.ledger.generations import GenerationsError

WORDS = [f"w{i}" for i in range(200)]


def log(path, widths, *, n_prompts=12, g=6, seed=0, fresh=False, length=12, order=None):
    """Write a log whose step s draws each word from the first ``widths[s]`` words; ``fresh``: no prompt comes twice."""
    generator = np.random.default_rng(seed)
    rows = []
    for step, width in enumerate(widths):
        for p in range(n_prompts):
            for _ in range(g):
                text = " ".join(generator.choice(WORDS[:width], length))
                name = f"prompt {p} of {step}" if fresh else f"prompt {p}"
                rows.append({"prompt": name, "response": text, "reward": step / 10, "correct": int(generator.random() < 0.5), "step": step})
    if order is not None:
        rows = [rows[i] for i in np.random.default_rng(order).permutation(len(rows))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def shown(table):
    console = Console(width=220, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return console.export_text()


def test_a_collapse_is_said_with_the_prompts_that_lost_most(tmp_path):
    measured = measure_file(log(tmp_path / "a.jsonl", [200, 200, 150, 80, 20, 6, 3, 3]))
    found = collapse_verdict(measured)
    assert found.answer == "Yes" and found.metric == "rouge1_distance"
    assert found.sentence.startswith("Yes, the run is collapsing: rouge1_distance goes from 0.9")
    assert "12 prompts, paired" in found.sentence and "Half of the loss had happened by step" in found.sentence
    assert "Meanwhile quality goes from 0.050 to 0.650." in found.sentence
    assert len(found.lost) == 3 and found.lost[0].before - found.lost[0].after >= found.lost[2].before - found.lost[2].after
    assert found.lost[0].step_before == 0 and found.lost[0].step_after == 7 and len(found.lost[0].answers_after) == 3
    text = verdict_text(found).plain
    assert "Is my run collapsing? Yes" in text and found.lost[0].prompt in text and "step 7" in text
    table = shown(measurement_table(measured, metrics=["quality", "rouge1_distance"]))
    assert "rouge1" in table and "0.700" in table


def test_a_run_that_does_not_collapse(tmp_path):
    still = collapse_verdict(measure_file(log(tmp_path / "a.jsonl", [100] * 8, n_prompts=40)))
    assert still.answer == "No" and "stays the same within 0.02" in still.sentence
    wider = collapse_verdict(measure_file(log(tmp_path / "b.jsonl", [10, 10, 50, 200])))
    assert wider.answer == "No" and "the range grows" in wider.sentence
    one = collapse_verdict(measure_file(log(tmp_path / "c.jsonl", [10])))
    assert one.answer == "Cannot tell" and "one step" in one.sentence
    with pytest.raises(ValueError, match="metric: expected a measure of diversity, got 'quality'"):
        collapse_verdict(measure_file(tmp_path / "a.jsonl"), metric="quality")


def test_prompts_that_never_come_back(tmp_path):
    found = collapse_verdict(measure_file(log(tmp_path / "a.jsonl", [200, 100, 10, 3], fresh=True)))
    assert found.answer == "Yes" and "not the same ones early and late" in found.sentence
    assert found.lost and found.lost[0].before is None and found.lost[0].answers_before == ()


def test_the_order_of_the_rows_does_not_matter(tmp_path):
    straight = measure_file(log(tmp_path / "a.jsonl", [50, 20]), metrics=["rouge1_distance", "quality", "length"])
    mixed = measure_file(log(tmp_path / "b.jsonl", [50, 20], order=1), metrics=["rouge1_distance", "quality", "length"])
    for (_, row), (_, other) in zip(straight.rows, mixed.rows, strict=True):
        assert row.value == pytest.approx(other.value, abs=1e-12) and row.low == pytest.approx(other.low, abs=1e-12)


def test_a_table_says_its_conditions(tmp_path):
    measured = measure_file(log(tmp_path / "a.jsonl", [50]), seed=4)
    rows = {row.metric: row for _, row in measured.rows}
    assert (rows["unique_share"].budget, rows["unique_share"].seed, rows["quality"].budget) == (6, 4, None)
    assert rows["distinct_2"].budget == measured.token_budget == 72
    assert rows["rouge1_distance"].low < rows["rouge1_distance"].value < rows["rouge1_distance"].high
    assert all(row.tokenizer == "words" for row in rows.values()) and rows["length"].n == 12
    assert measured.notes[0].startswith("Read as rows of prompt and response (1 file): prompt from 'prompt'")
    assert any("Give a partition to count meanings" in note for note in measured.notes)
    assert "| rouge1_distance |" in markdown(measured) and "12" in shown(measurement_table(measured))


def test_longer_answers_are_no_collapse_at_a_token_budget(tmp_path):
    a, b = log(tmp_path / "a.jsonl", [60], length=12), log(tmp_path / "b.jsonl", [60], length=60, seed=1)
    budgeted = {one.metric: one for one in compare_files(a, b)}
    assert budgeted["distinct_2"].verdict != "bought" and abs(budgeted["distinct_2"].value) < 0.05
    alone = [measure_file(p, metrics=["distinct_2"], token_budget=t) for p, t in ((a, 72), (b, 360))]
    assert alone[0].rows[0][1].value - alone[1].rows[0][1].value > 0.02  # what the raw numbers would say


def test_a_partition_counts_meanings(tmp_path):
    path = log(tmp_path / "a.jsonl", [50])

    def parity(texts, *, group, prompts):
        assert len(prompts) == len(group) == len(texts)
        return [int(text.split()[0][1:]) % 2 for text in texts]

    rows = {row.metric: row for _, row in measure_file(path, partition=parity).rows}
    assert 1 <= rows["distinct_k"].value <= 2 and rows["distinct_correct_at_k"].value <= rows["distinct_k"].value
    with pytest.raises(ValueError, match="'distinct_k' needs kind, which the file does not have"):
        measure_file(path, metrics=["distinct_k"])
    with pytest.raises(ValueError, match="metrics: unknown 'bleu'; known: quality"):
        measure_file(path, metrics=["bleu"])


def test_two_files_are_paired_over_prompts(tmp_path):
    a, b = log(tmp_path / "a.jsonl", [100]), log(tmp_path / "b.jsonl", [8], seed=1)
    found = {one.metric: one for one in compare_files(a, b)}
    assert found["rouge1_distance"].verdict == "bought" and found["rouge1_distance"].paired
    assert found["quality"].verdict == "the same" and found["quality"].value == 0
    back = {one.metric: one for one in compare_files(b, a)}
    assert back["rouge1_distance"].verdict == "lost"
    assert back["rouge1_distance"].value == pytest.approx(-found["rouge1_distance"].value)
    text = shown(difference_table(list(found.values()), a="a", b="b"))
    assert "bought" in text and "paired over up to 12 prompts" in text
    with pytest.raises(ValueError, match="step: a.jsonl has no step 7; steps: 0 to 0"):
        compare_files(a, b, step=7)
    with pytest.raises(ValueError, match="expected at least one file"):
        measure_path([])


def test_bad_files_are_told_apart(tmp_path):
    lonely = log(tmp_path / "a.jsonl", [50, 5], g=1, n_prompts=200)
    with pytest.raises(GenerationsError, match="one response for each of 400 prompts .* scope='pooled'"):
        measure_file(lonely)
    pooled = measure_file(lonely, scope="pooled")
    assert collapse_verdict(pooled).answer == "Yes" and "blocks of prompts" in collapse_verdict(pooled).sentence
    assert all(row.scope == "pooled" and row.n <= 20 for _, row in pooled.rows)
    mixed = tmp_path / "b.jsonl"
    rows = [("p", "a b"), ("p", ""), ("p", "a c"), ("q", "x"), ("r", "y z"), ("r", "y y"), ("r", "z")]
    mixed.write_text("".join(json.dumps({"prompt": p, "response": r}) + "\n" for p, r in rows))
    measured = measure_file(mixed)
    assert measured.k == 3
    notes = " ".join(measured.notes)
    assert "Group sizes differ (1 to 3): measures at k rest on 3 answers; 1 of 3 groups have fewer" in notes
    assert "1 of 7 responses are empty (first: " in notes and "line 2)" in notes
    assert {row.metric: row.n for _, row in measured.rows}["rouge1_distance"] == 2


def test_a_reinvent_log_has_one_prompt_and_gets_blocks(tmp_path):
    path = tmp_path / "staged.csv"
    smiles = ["CCO", "CCN", "c1ccccc1", "CC(=O)O", "CCCl", "C(", "CCCC", "CNC"]
    lines = ["Agent,Prior,Target,Score,SMILES,SMILES_state,step"]
    for step in range(4):
        pool = smiles if step < 2 else ["CCO", "CCO", "CCN"]
        for i in range(48):
            text = pool[(i // 8 + i) % len(pool)]
            lines.append(f"{20 - step},20,1,{step / 4},{text},{int(text != 'C(')},{step}")
    path.write_text("\n".join(lines))
    measured = measure_file(path)
    assert measured.tokenizer == "smiles" and measured.dealt == "blocks_of_answers"
    assert "valid_share" in measured.metrics and "sequence_entropy" in measured.metrics
    found = collapse_verdict(measured)
    assert found.answer == "Yes" and "blocks of answers" in found.sentence and found.lost == ()
    pytest.importorskip("rdkit")
    assert found.metric == "tanimoto_distance"


def test_bootstrap_over_prompts_covers():
    generator = np.random.default_rng(0)
    for n, least in ((5, 170), (30, 182)):  # at 5 prompts about 90 % of the nominal 95 %
        inside = 0
        for trial in range(200):
            found = bootstrap_mean(generator.normal(size=n), n_boot=300, seed=trial)
            inside += found.low <= 0 <= found.high
        assert inside >= least, n
    many = generator.normal(size=3000)
    assert bootstrap_mean(many).high - many.mean() == pytest.approx(1.96 * many.std(ddof=1) / 3000**0.5, rel=1e-3)


def test_differences_turn_round_and_say_when_they_cannot_tell():
    generator = np.random.default_rng(1)
    a = {bytes([i]): float(v) for i, v in enumerate(generator.normal(0.5, 0.3, 10))}
    b = {bytes([i]): float(v) for i, v in enumerate(generator.normal(0.5, 0.3, 10))}
    assert difference("d", a, b).verdict == "cannot tell"
    lower_is_wider = difference("self_bleu", {k: v - 5 for k, v in a.items()}, a, sign=-1)
    assert lower_is_wider.verdict == "bought"
    assert difference("d", {}, a).value is None and difference("d", {b"x": 1.0}, a).low is None
    assert not difference("d", a, b, pair=False).paired
