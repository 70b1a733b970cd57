"""The parts of a page beside its figures: packed data, checkpoints, residuals, costs, forecasts, Markdown."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student
from synthetic_samples import picture, write_samples
from synthetic_study import STEPS, make_study

from breadth.experiments.checkpoints import checkpoint_data, hover_words, interval95, point_key
from breadth.experiments.costs import costs, costs_of
from breadth.experiments.embedding import packed, unpack
from breadth.experiments.evidence import read_evidence
from breadth.experiments.examples import PictureBook
from breadth.experiments.forecast_panel import forecasts_of, forecasts_section
from breadth.experiments.law_residuals import residuals, residuals_figure
from breadth.experiments.markdown_report import markdown_report
from breadth.experiments.plots import frontier_figure


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    summary = make_study(folder, seeds=2, labels=("dr_grpo", "darling"))
    return folder, summary, read_evidence(folder, summary)


def settings(folder, run, **train):
    path = folder / run.path / "config.json"
    path.write_text(json.dumps({"seed": run.seed, "label": run.label, "train": {"steps": STEPS, **train}}))
    return path


def test_data_are_packed_where_they_are_long_and_come_back(study):
    data = {"text": "</script><b>", "numbers": [i / 7 for i in range(5000)], "nothing": None, "lost": math.nan}
    short, long = packed(data, plain_up_to=10**6), packed(data, plain_up_to=10)
    assert (short.type, long.type) == ("application/json", "application/zlib+base64")
    assert "<" not in short.text and "<" not in long.text and len(long.text) < len(short.text) / 1.5
    assert unpack(short.type, short.text) == unpack(long.type, long.text)
    assert unpack(long.type, long.text)["lost"] is None  # what is not finite is missing, not zero
    with pytest.raises(ValueError, match="expected the type 'application/json'"):
        unpack("text/plain", "1")


def test_the_interval_of_a_checkpoint_is_students_over_its_sets():
    values = [0.2, 0.3, 0.25, 0.35]
    error = float(np.std(values, ddof=1) / 2)
    low, high = interval95({"value": float(np.mean(values)), "error": error, "sets": values})
    expected = student.interval(0.95, 3, loc=np.mean(values), scale=error)
    assert (low, high) == pytest.approx(expected)
    assert high - low > 2 * 1.96 * error  # not the normal one
    for row in (
        {"value": 0.1, "error": None, "sets": values},
        {"value": 0.1, "error": 0.1, "sets": [0.1]},
        {"value": 0.1},
    ):
        assert interval95(row) is None


def test_hover_and_points_name_the_checkpoint(study):
    _, _, evidence = study
    run = evidence.runs[1]
    words = hover_words(evidence, run)[120]
    assert [line.split(" ")[0] for line in words.split("<br>")] == ["R", "D", "D,", "H", "n"] and words.endswith(
        "n = 1,000"
    )
    trace = next(t for t in frontier_figure(evidence).data if t["meta"]["role"] == "checkpoint")
    found = next(point for point in trace["customdata"] if point[2] == point_key(evidence, run, 120))
    assert found[:2] == ["seed 1, step 120", words]
    assert point_key(evidence, run, 120) == "1@120"


def test_every_checkpoint_is_told_with_the_ledgers_numbers_and_kept_samples(study):
    _, _, evidence = study
    write_samples(evidence.folder / "runs/darling/seed-0/samples/step-000000.parquet", 0, 1, 0.3, 0.98)
    data = checkpoint_data(evidence, PictureBook(picture))
    assert [(run["label"], run["seed"], len(run["points"])) for run in data["runs"]] == [
        ("dr_grpo", 0, 26), ("dr_grpo", 1, 26), ("darling", 0, 26), ("darling", 1, 26)
    ]  # fmt: skip
    for run, shown in zip(evidence.runs, data["runs"], strict=True):
        for point in shown["points"][::5]:
            assert point["numbers"]["D"]["value"] == run.series("diversity")[point["step"]]["value"]
    assert set(data["samples"]) == {"0@250", "1@250", "2@250", "3@250", "2@0"} and data["n_left_out"] == 0
    shelf = data["samples"]["2@0"]
    assert shelf["n"] == 1000 and sum(c["count"] for c in shelf["clusters"]) + round(1000 * shelf["rest_share"]) == 1000
    (evidence.folder / "runs/darling/seed-0/samples/step-000000.parquet").unlink()


def test_residuals_are_what_the_curve_leaves(study):
    _, summary, evidence = study
    fit = summary["objectives"]["darling"]["fits"]["R-D"]
    a, b, c = (fit["params"][name]["value"] for name in ("a", "b", "c"))
    found = residuals(fit)
    assert len(found) == len(fit["x"])
    for x, y, left in found[::7]:
        assert left == pytest.approx(y - (b - a * math.exp(c * x)), abs=1e-12)
    flipped = {**fit, "params": {**fit["params"], "b": {"value": b + 0.1}}}
    assert residuals(flipped)[0][2] == pytest.approx(found[0][2] - 0.1)
    assert residuals({**fit, "params": {"a": {"value": None}}}) == []
    figure = residuals_figure(evidence)
    points = [t for t in figure.data if t["mode"] == "markers"]
    assert {t["meta"]["role"] for t in points} == {
        "residual of a checkpoint, fit holds",
        "residual of a checkpoint, fit does not hold",
    }
    named = [words for t in points for words in t["customdata"] if words[2]]
    assert len(named) == sum(len(t["x"]) for t in points)  # every residual is a checkpoint that can be opened


def test_laws_that_cannot_be_told_leave_no_residuals_and_are_named(study):
    _, summary, evidence = study
    changed = json.loads(json.dumps(summary))
    for objective in changed["objectives"].values():
        objective["fits"]["R-D"]["verdict"] = "cannot tell"
    figure = residuals_figure(replace(evidence, summary=changed))
    assert (figure.panels, figure.names) == (1, ("H, policy entropy (nats per token)",))  # no empty panel
    assert {t["xaxis"] for t in figure.data} == {"x"}
    assert figure.notes == ("R–D: no fit to take residuals from: Dr. GRPO, DARLING",)


def test_costs_count_rollouts_and_tokens(tmp_path):
    summary = make_study(tmp_path, seeds=1, labels=("dr_grpo", "darling"))
    evidence = read_evidence(tmp_path, summary)
    unknown = costs_of(evidence)[0]
    assert (unknown.rollouts, unknown.tokens, unknown.seconds, unknown.steps) == (None, None, None, STEPS)
    assert "settings do not say" in unknown.reason and unknown.measured == 26 * 1000
    first, second = evidence.runs
    settings(tmp_path, first, prompts=2, group_size=64)
    settings(tmp_path, second, prompts=2, group_size=64)
    with (tmp_path / first.path / "events.jsonl").open("a") as file:
        file.write('{"event": "finished", "seconds": 80.0}\n')
    steps = tmp_path / second.path / "steps.jsonl"
    rows = [json.loads(line) for line in steps.read_text().splitlines()]
    steps.write_text("".join(json.dumps({**row, "groups_drawn": 5.0}) + "\n" for row in rows))
    known, drawn = costs_of(read_evidence(tmp_path, summary))
    assert (known.rollouts, known.tokens, known.seconds) == (STEPS * 128, STEPS * 128 * 12, 80.0)
    assert drawn.rollouts == STEPS * 5 * 64  # dynamic sampling says how many groups it drew
    steps.write_text("".join(json.dumps({**row, "n_examples": 9}) + "\n" for row in rows))
    words = costs(read_evidence(tmp_path, summary), None)
    assert words["rows"][1]["rollouts"].text == "–" and "learns from examples" in words["rows"][1]["rollouts"].reason
    assert words["title"] == "Training took 384,000 tokens of 32,000 rollouts and 1 min 20 s over 1 run"


def test_forecasts_made_live_are_shown_as_they_were_made(study, tmp_path):
    summary = make_study(tmp_path, seeds=1, labels=("darling",))
    evidence = read_evidence(tmp_path, summary)
    assert forecasts_section(evidence, None) is None  # no settings, no forecasts
    run = evidence.runs[0]
    end = run.series("diversity")[STEPS]["value"]
    told = {"value": end, "low80": end - 0.1, "high80": end + 0.1}
    rows = [
        {"at_step": 100, "model": "law", "final_diversity": told, "final_quality": told, "sentence": "<b>ends so</b>"},
        {"at_step": 50, "model": "law", "final_diversity": {**told, "low80": end + 0.05}, "final_quality": told},
    ]
    rows.append(
        {"at_step": STEPS, "model": "measured", "final_diversity": told, "final_quality": told}
    )  # no forecast any more
    (tmp_path / run.path / "forecasts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made, live = forecasts_of(evidence, run)
    assert live and [row["at_step"] for row in made] == [50, 100]
    words = forecasts_section(evidence, None)
    assert [row["inside"] for row in words["rows"]] == [False, True]
    assert words["title"] == "Of 2 forecasts of the last D, 1 held it in their 80 % interval"
    assert words["live"] == ["DARLING, seed 0"]


def test_a_run_without_forecasts_is_forecast_from_what_it_had_by_then(tmp_path):
    summary = make_study(tmp_path, seeds=1, labels=("dr_grpo",))
    evidence = read_evidence(tmp_path, summary)
    settings(tmp_path, evidence.runs[0])
    made, live = forecasts_of(evidence, evidence.runs[0])
    assert not live and [row["at_step"] for row in made] == [20, 50, 70, 120]
    from breadth.laws.forecast import forecast
    from breadth.ledger.run import load_run

    told = forecast(load_run(tmp_path / evidence.runs[0].path), at_step=0.3 * STEPS)
    assert made[2]["final_diversity"]["value"] == told.final_diversity.value


def test_markdown_holds_the_verdicts_and_escapes_what_is_not_ours(study):
    folder, summary, _ = study
    text = markdown_report(folder, {**summary, "title": "a | <b>", "verdict": "[x](y)"})
    assert text.startswith("# a \\| &lt;b&gt;\n\n\\[x\\](y)\n")
    for heading in ("Results", "Comparisons", "Fitted laws", "Each run", "Costs", "Where it comes from"):
        assert f"\n## {heading}\n" in text
    row = next(row for row in summary["comparisons"] if row["at"] == "end of run")
    assert row["verdict"] in text and row["sentence"].split(":")[0] in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("| ")]
    assert len(tables) == 5
    for table in tables:
        widths = {len(line.replace("\\|", "").split("|")) for line in table}
        assert len(widths) == 1, table[0]
