"""pass@k beside the prior's: values by hand, the crossing, intervals, the command, and the panel of the report."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from breadth.experiments.pass_curves import crossing, crossing_words, curve_of, over_seeds, pass_curves
from breadth.ledger.run import load_run


def rows(before, after, step=10, coverage=None):
    out = []
    for at, values in ((0, before), (step, after)):
        out += [{"metric": f"pass_at_{k}", "step": at, "value": v, "checkpoint": "x"} for k, v in values.items()]
    for at, value in (coverage or {}).items():
        out.append({"metric": "solution_coverage", "step": at, "value": value, "checkpoint": "x"})
    return out


def test_curve_and_crossing_by_hand():
    a = rows({1: 0.2, 4: 0.5, 16: 0.9}, {1: 0.4, 4: 0.6, 16: 0.8}, coverage={0: 0.5, 10: 0.25})
    b = rows({1: 0.2, 4: 0.4, 16: 0.9}, {1: 0.6, 4: 0.6, 16: 0.7}, coverage={0: 0.7, 10: 0.35})
    found = curve_of("x", [(0, a), (1, b)], "pass_at")
    assert found.k == (1, 4, 16) and [e.value for e in found.value] == pytest.approx([0.5, 0.6, 0.75])
    assert [e.value for e in found.prior] == pytest.approx([0.2, 0.45, 0.9])
    gap = [0.3, 0.15, -0.15]
    assert [e.value for e in found.difference] == pytest.approx(gap)
    assert found.crossing == pytest.approx(8.0)  # half way between 4 and 16 on a logarithmic scale
    assert found.crossings == (pytest.approx(8.0), pytest.approx(4 * 4 ** (0.2 / 0.4)))
    half = stats.t.ppf(0.975, 1) * np.std([0.2, 0.4], ddof=1) / math.sqrt(2)
    assert (found.difference[0].low, found.difference[0].high) == pytest.approx((0.3 - half, 0.3 + half))
    assert found.coverage[0].value == pytest.approx(0.3) and found.coverage[1].value == pytest.approx(0.6)


def test_what_is_not_known_is_not_a_number():
    found = curve_of("x", [(0, rows({1: 0.2}, {1: 0.5}))], "pass_at")
    assert (
        found.value[0].value == 0.5 and found.value[0].low is None and found.coverage is None and found.crossing is None
    )
    assert over_seeds([0.1, float("nan")]).value is None and over_seeds([]).value is None
    assert crossing([1, 2, 4], [0.1, -0.1, 0.1]) is None, "ahead again at the end"
    assert crossing([1, 2, 4], [-0.1, 0.1, -0.1]) == pytest.approx(math.sqrt(8))
    assert (
        crossing_words(curve_of("x", [(0, rows({1: 0.5, 2: 0.6}, {1: 0.4, 2: 0.5}))], "pass_at"))
        == "behind the prior at every k"
    )


TINY = """
study = "tiny"
[task]
kind = "countdown"
numbers = 2
max_number = 9
max_target = 20
held_out = 0.2
corruption = 0.5
[model]
n_layer = 1
n_head = 2
n_embd = 32
[prior]
steps = 120
batch_size = 64
[objective]
kind = "KIND"
[train]
steps = 4
prompts = 4
group_size = 8
[measure]
every = 2
sets = 6
samples_per_set = 8
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two runs of countdown with two numbers, from one prior trained on pairs of a prompt and an answer."""
    import tomllib

    from breadth.config import RunSettings, build_settings
    from breadth.experiments.assemble import CHECKS
    from breadth.experiments.front import train_settings

    folder = tmp_path_factory.mktemp("countdown")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BREADTH_CACHE", str(folder / "cache"))
        for kind in ("dr_grpo", "darling"):
            settings = build_settings(
                RunSettings, tomllib.loads(TINY.replace("KIND", kind)), where="tiny", checks=CHECKS
            )
            train_settings(settings, folder / kind)
    return folder


def test_a_run_measures_the_same_held_out_prompts_at_every_checkpoint(trained):
    run = load_run(trained / "darling")
    assert {"pass_at_1", "pass_at_8", "distinct_correct_at_4", "solution_coverage"} <= set(run.metrics)
    assert run.at(0)["pass_at_1"]["value"] == pytest.approx(run.at(0)["quality"]["value"])
    assert run.at(0)["pass_at_1"]["value"] > 0.1, "the prior has learnt to answer"
    import pyarrow.parquet

    asked = [
        set(pyarrow.parquet.read_table(path)["prompt"].to_pylist())
        for path in sorted((run.path / "samples").glob("*.parquet"))
    ]
    assert len(asked) == 2 and asked[0] == asked[1] and len(asked[0]) == 6


def test_the_command(trained, capsys):
    from typer.testing import CliRunner

    from breadth.commands.app import app

    runner = CliRunner()
    shown = runner.invoke(app, ["passk", str(trained), "--json"])
    assert shown.exit_code == 0, shown.output
    curves = json.loads(shown.output)
    assert [c["label"] for c in curves] == ["darling", "dr_grpo"] and curves[0]["k"] == [1, 2, 4, 8]
    table = runner.invoke(app, ["passk", str(trained), "--distinct"])
    assert table.exit_code == 0 and "prior" in table.output and "k = 8" in table.output
    with pytest.raises(ValueError, match="family: expected one of pass, distinct"):
        pass_curves({}, family="mean")


def test_runs_without_it_say_which_tasks_have_it(trained, tmp_path):
    run = load_run(trained / "darling")
    bare = type(run)(run.path, run.settings, [row for row in run.rows if not row["metric"].startswith("pass_at")])
    with pytest.raises(
        ValueError, match=r"no pass_at_k, or none of them has come to its end: it is measured for tasks with prompts and right answers \(countdown"
    ):
        pass_curves({"darling": [bare]})


def test_the_report_has_a_panel(trained):
    from breadth.experiments.front import report_runs

    _, page = report_runs([trained], out=trained / "report.html")
    text = page.read_text()
    assert (
        'id="passes"' in text
        and "Success over the number of tries" in text
        and "behind the prior within 8 tries" in text
    )
