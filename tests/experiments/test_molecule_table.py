"""One table of a study on molecules: D at equal R beside laws and corpus, counts, and what was found per oracle call."""

from __future__ import annotations

import json
import math

import pytest

pytest.importorskip("rdkit")

from breadth.experiments.equal_quality import levels, read_tilt, tilt_diversity
from breadth.experiments.evidence import read_evidence
from breadth.experiments.markdown_report import markdown_report
from breadth.experiments.molecule_table import molecule_table
from breadth.experiments.plots import frontier_figure, laws_figure
from breadth.experiments.report import build_report
from breadth.laws.published import diversity_on_law, law_from_text, published_law

TILT = {
    "points": [
        {"quality": q, "diversity": d, "beta": b, "effective": 900.0, "error": 0.001, "method": "sum"}
        for q, d, b in ((0.85, 0.83, 10.0), (0.05, 0.88, 0.0), (0.95, 0.81, 15.0))
    ]
}
FOUND = [("CCO", 0.2), ("c1ccccc1O", 0.9), ("CCCCCCCCCC", 0.8), ("CC(=O)Oc1ccccc1C(=O)O", None), ("CCN", 0.5)]


@pytest.fixture
def study(tmp_path):
    from synthetic_study import make_study

    summary = make_study(tmp_path, seeds=2, samples=False)
    summary["task"] |= {"name": "molecules", "correct_at": 0.75}
    summary["settings"]["task"] = {"kind": "molecules", "oracle": "jnk3"}
    for label in summary["objectives"]:
        for seed in range(2):
            home = tmp_path / f"runs/{label}/seed-{seed}"
            with open(home / "ledger.jsonl", "a") as file:
                for step in range(0, 251, 10):
                    for metric, value in (("circles", 100 + step), ("hits", step), ("diverse_hits", 7 + seed)):
                        file.write(
                            json.dumps(
                                {
                                    "step": step,
                                    "metric": metric,
                                    "value": value,
                                    "error": None,
                                    "n": 1000,
                                    "n_unscored": 0,
                                }
                            )
                            + "\n"
                        )
    for seed, rows in enumerate((FOUND, FOUND[:4])):
        with open(tmp_path / f"runs/darling/seed-{seed}/calls.jsonl", "w") as file:
            file.writelines(json.dumps({"step": 1, "key": key, "quality": q}) + "\n" for key, q in rows)
    return tmp_path, summary


def test_the_published_law_solved_for_d():
    law = published_law("molecules", "jnk3")
    assert diversity_on_law(0.95, a=law.a, b=law.b, c=law.c) == pytest.approx(math.log((1.023 - 0.95) / 0.0109) / 5.024)
    assert round(diversity_on_law(0.95, a=law.a, b=law.b, c=law.c), 2) == 0.38
    for q in (0.3, 0.9, 1.0):
        d = diversity_on_law(q, a=law.a, b=law.b, c=law.c)
        assert law.b - law.a * math.exp(law.c * d) == pytest.approx(q)
    assert diversity_on_law(1.013, a=law.a, b=law.b, c=law.c) is None  # above what the law has at D = 0
    assert published_law("molecules", "qed") is None and published_law("molecules", print) is None
    assert law_from_text("0.0109,1.023,5.024").b == 1.023
    for text in ("1,2", "a,b,c", "-1,1,1", "1,1,0", "nan,1,1"):
        with pytest.raises(ValueError, match="expected a,b,c of R"):
            law_from_text(text)


def test_the_tilt_between_its_points(tmp_path):
    (tmp_path / "t.json").write_text(json.dumps(TILT))
    points = read_tilt(tmp_path / "t.json")
    assert [p["quality"] for p in points] == [0.05, 0.85, 0.95]
    assert tilt_diversity(points, 0.85)[0] == 0.83
    assert tilt_diversity(points, 0.9)[0] == pytest.approx(0.82)
    assert tilt_diversity(points, 0.97) == (
        None,
        "the last tilted point has R 0.950: add it by `breadth tilt --target 0.97`",
    )
    assert tilt_diversity(points, 0.01)[1] == "the corpus as it is has R 0.050"
    assert tilt_diversity([], 0.9)[0] is None
    for text in ("{}", "[1]", "no", '{"points": [{}]}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ValueError, match="not what `breadth tilt` writes"):
            read_tilt(tmp_path / "bad.json")
    with pytest.raises(FileNotFoundError, match="no such file: `breadth tilt STUDY"):
        read_tilt(tmp_path / "none.json")


def test_own_laws_and_what_is_missing():
    fit = {
        "form": "exponential",
        "verdict": "holds",
        "reason": "",
        "params": {k: {"value": v} for k, v in (("a", 0.01), ("b", 1.0), ("c", 5.0))},
    }
    entries = {
        "a": {
            "at_quality": [{"quality": 0.9, "value": 0.7, "low": 0.6, "high": 0.8, "n_seeds": 3}],
            "fits": {"R-D": fit},
        },
        "b": {"at_quality": [], "fits": {"R-D": {**fit, "verdict": "cannot tell", "reason": "c at its bound"}}},
        "c": {"at_quality": [], "fits": {}},
    }
    first, second, third = levels(entries, [0.9])
    assert first.own_law == pytest.approx(math.log(0.1 / 0.01) / 5) and first.policy["value"] == 0.7
    assert (second.own_law, second.own_law_reason) == (None, "its law: cannot tell (c at its bound)")
    assert second.policy["value"] is None and second.policy_reason == "no seed reaches R 0.90"
    assert third.own_law_reason == "no exponential law was fitted" and third.published is None


def test_the_table(study):
    folder, summary = study
    (folder / "tilt.json").write_text(json.dumps(TILT))
    found = molecule_table(read_evidence(folder, summary), None)
    rows = {(row["name"], row["quality"]): row for row in found["rows"]}
    assert len(rows) == 4 * 3
    row = rows["DARLING", "0.9"]
    assert row["policy"].value == pytest.approx(
        next(a["value"] for a in summary["objectives"]["darling"]["at_quality"] if a["quality"] == 0.9)
    )
    assert row["published"].text == "0.482" and row["tilt"].text == "0.820"
    steps = [
        next(a["step"] for a in run["at_quality"] if a["quality"] == 0.9)
        for run in summary["objectives"]["darling"]["runs"]
    ]
    assert row["counts"][0].value == 100 + sum(steps) / 2  # circles at each run's own checkpoint
    assert row["counts"][2].value == 7.5
    assert found["budget"] == 4 and found["n_runs"] == 2
    # after every call the mean of what the calls so far found; the fourth, which the oracle failed on, is spent and changes no mean
    means = [0.0, 0.2, (0.2 + 0.9) / 2, *[(0.2 + 0.9 + 0.8) / 3] * 2]
    by_hand = sum((a + b) / 2 for a, b in zip(means, means[1:], strict=False)) / 4
    assert row["auc"].value == pytest.approx(by_hand)
    assert row["call_hits"].value == 2  # phenol and decane, both of 0.75 or more and far apart
    none = rows["Dr. GRPO", "0.9"]
    assert none["auc"].text == "–" and "no log of its oracle calls" in none["auc"].reason
    assert found["title"].startswith("At R ≥ 0.95, ") and "tilted corpus 0.810" in found["title"]


def test_another_study_has_no_such_table_and_a_named_tilt_comes_before_the_folders(study, tmp_path):
    folder, summary = study
    assert molecule_table(read_evidence(folder, {**summary, "task": {"name": "circle"}}), None) is None
    bare = molecule_table(read_evidence(folder, summary), None)
    assert all(row["tilt"].text == "–" and "no corpus was tilted" in row["tilt"].reason for row in bare["rows"])
    other = folder / "other.json"
    other.write_text(
        json.dumps({"points": [{**TILT["points"][0], "quality": q, "diversity": 0.5} for q in (0.1, 0.99)]})
    )
    (folder / "tilt.json").write_text(json.dumps(TILT))
    named = molecule_table(read_evidence(folder, summary, tilt=other), None)
    assert {row["tilt"].text for row in named["rows"]} == {"0.500"}


def test_page_markdown_and_figures_hold_them(study):
    folder, summary = study
    (folder / "tilt.json").write_text(json.dumps(TILT))
    evidence = read_evidence(folder, summary)
    for figure in (laws_figure(evidence), frontier_figure(evidence)):
        drawn = {trace["meta"]["role"]: trace for trace in figure.data}
        assert {"corpus tilt", "published law"} <= set(drawn)
        assert "Dotted" in figure.caption and "Dash-dotted" in figure.caption
    trace = drawn["published law"]
    law = published_law("molecules", "jnk3")
    assert all(
        law.b - law.a * math.exp(law.c * d) == pytest.approx(q) for q, d in zip(trace["x"], trace["y"], strict=True)
    )
    page = build_report(folder, summary, out=folder / "r.html").read_text()
    assert "At equal quality" in page and "the quality-diversity law paper" in page
    text = markdown_report(folder, summary)
    assert "## At equal quality" in text and "| DARLING | 0.9 |" in text and "4 distinct molecules a run" in text
    assert "composed of R–H and H–D" in page  # the composition check stands with the fits, as for every task
