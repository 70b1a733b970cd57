"""The figures as descriptions: what is drawn, what is not and why, in colours that can be told apart."""

from __future__ import annotations

import json
from dataclasses import replace

import plotly.graph_objects as go
import pytest
from synthetic_study import OBJECTIVES, make_study

from breadth.experiments.evidence import read_evidence
from breadth.experiments.plots import frontier_figure, laws_figure, steps_figure, training_figure
from breadth.experiments.traces import PALETTE, looks, resolve

FIGURES = (steps_figure, laws_figure, frontier_figure, training_figure)
BACKGROUNDS = ("#FFFFFF", "#14171B")  # of the light and the dark page


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return read_evidence(folder, make_study(folder))


def changed(evidence, change):
    """Return the evidence with a deep copy of its summary, changed in place by ``change``."""
    summary = json.loads(json.dumps(evidence.summary))
    change(summary)
    return replace(evidence, summary=summary)


def roles(figure, panel="x"):
    return [trace["meta"]["role"] for trace in figure.data if trace["xaxis"] == panel]


@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize("dark", [False, True])
def test_a_figure_is_valid_plotly_and_holds_no_token_once_resolved(evidence, draw, dark):
    figure = draw(evidence)
    resolved = resolve(figure.description(), dark)
    go.Figure(data=resolved["data"], layout=resolved["layout"])  # plotly refuses an unknown name or value
    assert '"@' not in json.dumps(resolved)
    assert '"@' in json.dumps(figure.description())
    assert figure.title and figure.caption and len(figure.names) == figure.panels


def test_steps_have_a_thin_line_per_seed_and_a_bold_mean(evidence):
    figure = steps_figure(evidence)
    for panel in ("x", "x2", "x3"):
        assert roles(figure, panel) == ["seed 0", "seed 1", "seed 2", "mean of 3 seeds"] * 4
    first = figure.data[:4]
    at = first[3]["x"].index(100)
    assert first[3]["y"][at] == pytest.approx(sum(trace["y"][at] for trace in first[:3]) / 3)
    assert [trace["line"]["width"] for trace in first] == [1, 1, 1, 2.6]
    assert "3 seeds" in figure.caption and "1,000 fresh samples in 10 sets" in figure.caption


def test_only_complete_runs_enter_the_mean(evidence):
    runs = tuple(replace(run, complete=run.seed != 1) for run in evidence.runs)
    first = steps_figure(replace(evidence, runs=runs)).data[:4]
    assert first[3]["meta"]["role"] == "mean of 2 seeds"
    assert first[3]["y"][5] == pytest.approx((first[0]["y"][5] + first[2]["y"][5]) / 2)
    alone = steps_figure(replace(evidence, runs=tuple(replace(run, complete=False) for run in evidence.runs)))
    assert not any(role.startswith("mean") for role in roles(alone))
    shown = [trace["name"] for trace in alone.data if trace["showlegend"]]
    assert shown == [title for title, *_ in OBJECTIVES.values()]


def test_a_law_is_solid_where_it_holds_dashed_where_not_and_absent_where_the_data_cannot_tell(evidence):
    figure = laws_figure(evidence)
    drawn = {t["name"]: t["line"]["dash"] for t in figure.data if t["xaxis"] == "x" and t["meta"]["role"][:3] == "fit"}
    assert drawn == {"Dr. GRPO": "dash", "RLHF": "solid", "DARLING": "solid"}
    assert figure.notes == ("R–D: no curve, the data cannot tell (why: see the fits): QEMPO",)
    assert roles(figure, "x2").count("band") == 4


def test_a_fit_without_a_band_is_named_and_not_drawn(evidence):
    def drop(summary):
        for objective in summary["objectives"].values():
            del objective["fits"]["R-D"]["band"]
            objective["fits"]["R-H"] = None

    figure = laws_figure(changed(evidence, drop))
    assert not any(role.startswith("fit") for role in roles(figure, "x") + roles(figure, "x2"))
    assert "R–D: no curve, the summary holds none: Dr. GRPO, RLHF, DARLING" in figure.notes
    assert "R–H: no curve, not fitted: Dr. GRPO, RLHF, DARLING, QEMPO" in figure.notes


def test_the_frontier_shows_mean_seeds_band_checkpoints_and_last_checkpoints(evidence):
    found = roles(frontier_figure(evidence))
    assert found.count("mean") == 4 and found.count("band") == 4
    assert found.count("checkpoint") == 4 and found.count("last checkpoint") == 4
    assert [found.count(f"seed {k}") for k in range(3)] == [4, 4, 4]
    last = [trace for trace in frontier_figure(evidence).data if trace["meta"]["role"] == "last checkpoint"]
    assert [len(trace["x"]) for trace in last] == [3, 3, 3, 3]


def test_the_frontier_bears_nulls_and_its_own_absence(evidence):
    def empty(summary):
        curve = summary["frontier"]["curves"]["qempo"]
        for key in ("diversity", "low", "high"):
            curve[key] = [None] * len(curve["quality"])
        del curve["seeds"], summary["frontier"]["curves"]["rlhf"]

    figure = frontier_figure(changed(evidence, empty))
    assert len(figure.notes) == 2 and "QEMPO: no frontier" in figure.notes[1]
    assert roles(figure).count("band") == 2
    bare = frontier_figure(changed(evidence, lambda summary: summary.pop("frontier")))
    assert set(roles(bare)) == {"checkpoint", "last checkpoint"}
    assert any(trace["showlegend"] for trace in bare.data)


def test_a_statistic_that_never_moves_is_named_and_not_drawn(evidence):
    figure = training_figure(evidence)
    assert figure.names == ("reward", "loss", "grad_norm", "inv_lambda", "kl_prior")
    assert figure.notes == ("The same at every step of every run: learning_rate = 0.002, length = 12, n_unscored = 0",)
    only = {trace["name"] for trace in figure.data if trace["xaxis"] == "x4"}
    assert only == {"QEMPO"}
    assert max(len(trace["x"]) for trace in figure.data) <= 100 and "a mean over 3 steps" in figure.caption


def test_names_cannot_become_markup_or_templates(evidence):
    hostile = "<b>%{x}</b><script>alert(1)</script>"
    steps = tuple(replace(run, steps=({"step": 1, hostile: 1.0}, {"step": 2, hostile: 2.0})) for run in evidence.runs)
    figure = training_figure(replace(evidence, runs=steps, names=dict.fromkeys(evidence.names, hostile)))
    assert figure.data[0]["name"] == "&lt;b&gt;%{x}&lt;/b&gt;&lt;script&gt;alert(1)&lt;/script&gt;"
    for trace in figure.data:
        assert "<b>" not in trace["hovertemplate"] and "&lt;b&gt;%{x}" not in trace["hovertemplate"]
    assert "<" not in figure.layout["annotations"][0]["text"]


def test_every_colour_stands_out_from_both_pages():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for pair in PALETTE:
        for colour, background in zip(pair, BACKGROUNDS, strict=True):
            low, high = sorted((luminance(colour), luminance(background)))
            assert (high + 0.05) / (low + 0.05) >= 3, (colour, background)  # WCAG's least contrast of graphics


def test_two_dozen_objectives_look_different():
    assert len({looks(i) for i in range(24)}) == 24
