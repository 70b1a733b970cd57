"""One small run: swept, looked into, forecast while it trains, stopped at a floor, and shown on the page."""

from __future__ import annotations

import json
import os
import shutil
import tomllib

import numpy as np
import pytest

from breadth.config import RunSettings, build_settings
from breadth.experiments.assemble import CHECKS
from breadth.experiments.decoding import compare_envelopes, conditions, read_sweep, sweep_run, swept
from breadth.experiments.decoding_plot import decoding_figure
from breadth.experiments.ensemble import ensemble
from breadth.experiments.evidence import read_evidence
from breadth.experiments.front import train_settings
from breadth.experiments.where import read_where, where_run
from breadth.experiments.where_panel import where_section
from breadth.ledger.rows import read_rows
from breadth.ledger.run import load_run
from tests.small import SMALL


def settings(**sections):
    data = tomllib.loads(SMALL)
    for name, values in sections.items():
        data[name] = {**data.get(name, {}), **values} if isinstance(values, dict) else values
    return build_settings(RunSettings, data, where="test", checks=CHECKS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A study folder with one run of two objectives."""
    cache = tmp_path_factory.mktemp("cache")
    old = os.environ.get("BREADTH_CACHE")
    os.environ["BREADTH_CACHE"] = str(cache)
    out = tmp_path_factory.mktemp("runs")
    for kind in ("dr_grpo", "darling"):
        train_settings(settings(objective={"kind": kind}), out / kind / "seed-0")
    yield out
    os.environ.pop("BREADTH_CACHE") if old is None else os.environ.__setitem__("BREADTH_CACHE", old)


def test_a_sweep_at_the_runs_own_conditions_gives_its_own_ledger_rows(runs):
    run = load_run(runs / "dr_grpo" / "seed-0")
    rows = sweep_run(run.path, conditions([1.0]), steps=[8])
    ledger = run.at(8)
    for row in rows:
        assert (row["value"], row["sets"]) == (ledger[row["metric"]]["value"], ledger[row["metric"]]["sets"]), row[
            "metric"
        ]


def test_cold_sampling_is_surer_and_what_was_swept_is_kept(runs, tmp_path):
    folder = shutil.copytree(
        runs / "dr_grpo" / "seed-0", tmp_path / "run", ignore=shutil.ignore_patterns("sweep.jsonl")
    )
    before = (folder / "ledger.jsonl").read_bytes()
    wanted = conditions([0.01, 1.0], min_ps=[0.99])
    rows = sweep_run(folder, wanted)
    entropy = {(r["temperature"], r["min_p"]): r["value"] for r in rows if r["metric"] == "policy_entropy"}
    assert max(entropy[0.01, 0.0], entropy[1.0, 0.99]) < entropy[1.0, 0.0] - 0.1
    again: list[str] = []
    assert sweep_run(folder, wanted, on_point=again.append) == rows and not again
    assert len(read_sweep(folder)) == len(rows) and (folder / "ledger.jsonl").read_bytes() == before
    file = folder / "sweep.jsonl"
    file.write_bytes(file.read_bytes() + b'{"step"')  # a torn write
    assert sweep_run(folder, wanted) == rows
    assert swept(load_run(folder)).n_conditions == 3
    with pytest.raises(ValueError, match="no checkpoint at step 5; there are"):
        sweep_run(folder, wanted, steps=[5])


def test_the_envelope_of_a_baseline_needs_its_sweep(runs):
    loaded = {kind: [load_run(runs / kind / "seed-0")] for kind in ("dr_grpo", "darling")}
    with pytest.raises(ValueError, match="no decoding sweep .* run breadth sweep"):
        compare_envelopes(loaded, baseline="darling", at_quality=[0.05])
    sweep_run(loaded["dr_grpo"][0].path, conditions([0.5]))
    found = compare_envelopes(loaded, baseline="dr_grpo", at_quality=[0.05])
    assert found[0].verdict in ("nothing was bought", "cannot tell")  # one seed


@pytest.mark.parametrize("wrong", [{"temperatures": [0.0]}, {"top_ps": [1.2]}, {"min_ps": [1.0]}, {"top_ks": [-1]}])
def test_conditions_that_cannot_be(wrong):
    with pytest.raises(ValueError, match="expected"):
        conditions(**wrong)


def test_where_adds_up_and_repeats(runs, tmp_path):
    folder = runs / "dr_grpo" / "seed-0"
    found = where_run(folder, n_answers=64)
    assert [row["step"] for row in found["steps"]] == [0, 4, 8, 12]
    assert found == read_where(folder) == where_run(folder, n_answers=64, write=False)
    for row in found["steps"]:
        assert sum(kind["per_answer"] for kind in row["kl_by_class"].values()) == pytest.approx(row["kl"], abs=1e-9)
        tokens = sum(p["n"] for p in row["positions"])
        mean = sum(p["entropy"] * p["n"] for p in row["positions"]) / tokens
        assert mean == pytest.approx(row["token_entropy"])
        forks = row["forks"]
        assert forks["n"] == int(np.ceil(0.2 * tokens)) and forks["mean"] >= row["token_entropy"] >= forks["mean_rest"]
    # no answer of this run is right, so nothing moves: what is left is rounding
    assert [row["kl"] for row in found["steps"]] == pytest.approx([0, 0, 0, 0], abs=1e-6)
    assert found["steps"][0]["by_solved"] is None  # one prompt
    summary = {"objectives": {"dr_grpo": {"runs": [{"path": str(folder), "seed": 0, "complete": True}]}}}
    words = where_section(read_evidence(tmp_path, summary), None)
    assert words is not None and all(figure.data for figure in words["figures"])


def test_live_forecasts_are_written_and_a_floor_stops_a_run_that_then_goes_on(runs, tmp_path):
    folder, straight = tmp_path / "run", load_run(runs / "darling" / "seed-0")
    floor = {"stop_at_diversity": 2.0, "target_quality": 0.5}
    train_settings(settings(forecast=floor), folder)
    assert json.loads((folder / "stopped.json").read_text())["step"] == 0
    assert load_run(folder).steps == [0] and not load_run(folder).complete
    train_settings(settings(forecast=floor), folder)  # the same command stops there again
    assert load_run(folder).steps == [0]
    train_settings(settings(forecast={"stop_at_diversity": None, "target_quality": 0.5}), folder)
    assert not (folder / "stopped.json").exists() and load_run(folder).complete
    assert (folder / "ledger.jsonl").read_bytes() == (straight.path / "ledger.jsonl").read_bytes()
    made = read_rows(folder / "forecasts.jsonl")
    assert [row["at_step"] for row in made] == [0, 4, 8, 12] and all(row["live"] for row in made)
    assert "stopped" in [row["event"] for row in read_rows(folder / "events.jsonl")]


def test_a_mixture_of_a_run_with_itself_is_the_run_and_of_two_lies_between(runs):
    one, other = (str(runs / kind / "seed-0") for kind in ("dr_grpo", "darling"))
    found = ensemble([one, other], sets=3, samples_per_set=20)
    rows = {row.metric: row.value for row in found.rows}
    quality = [member.value("quality") for member in found.members]
    assert found.n_answers == 60 and min(quality) - 0.2 <= rows["quality"] <= max(quality) + 0.2
    assert "token_entropy" not in rows and found.sentence.startswith("The mixture of 2 has R")
    alone = ensemble([one, other], [1.0, 0.0], sets=3, samples_per_set=20)
    by = {row.metric: row.value for row in alone.rows}
    for member_row in alone.members[0].rows:  # all weight on one member: that member, to the last digit
        assert by[member_row.metric] == pytest.approx(member_row.value, abs=1e-9), member_row.metric
    with pytest.raises(ValueError, match="expected two members"):
        ensemble([one])


def test_the_page_draws_a_sweep(runs, tmp_path):
    folder = shutil.copytree(runs, tmp_path / "study")
    sweep_run(folder / "dr_grpo" / "seed-0", conditions([0.3, 0.6]), steps=[0, 12])
    entry = {k: {"runs": [{"path": f"{k}/seed-0", "seed": 0, "complete": True}]} for k in ("dr_grpo", "darling")}
    evidence = read_evidence(folder, {"objectives": entry, "metrics": {"frontier_diversity": "diversity"}})
    figure = decoding_figure(evidence)
    roles = [trace["meta"]["role"] for trace in figure.data]
    assert {"checkpoint under a condition", "envelope", "frontier as measured"} == set(roles)
    assert len(figure.data[0]["x"]) >= 4
    assert any("not swept" in note for note in figure.notes) or (folder / "darling/seed-0/sweep.jsonl").exists()
