"""Questions about runs on disk: what is refused, with the hashes; one curve for many; a run that was resumed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from breadth.commands import law_tables
from breadth.commands.law_tables import fit_notes
from breadth.experiments.beside import beside_runs
from breadth.experiments.compare import compare_frontiers, compare_runs, fit_runs
from breadth.experiments.law_questions import both_axes, claims_about_ends, pool_runs
from breadth.ledger.run import Run

STEPS = list(range(0, 260, 10))
MEASURE = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}


def run(
    label,
    seed,
    *,
    prior="aaaa",
    gain=0.0,
    measure=MEASURE,
    metrics=("quality", "diversity", "diversity_valid", "policy_entropy"),
):
    generator = np.random.default_rng([seed, len(label)])
    d = np.linspace(0.9, 0.2, 26) + 0.002 * generator.standard_normal(26)
    r = 1.023 - 0.0109 * np.exp(5.024 * d) + 0.004 * generator.standard_normal(26)
    values = {"quality": r, "diversity": d, "diversity_valid": d + gain, "policy_entropy": 0.518 * (d - 0.118) + 0.1}
    settings = {
        "label": label, "seed": seed, "study": "made", "task": {"kind": "circle"}, "objective": {"kind": label},
        "train": {"steps": 250, "prompts": 1, "group_size": 8}, "measure": dict(measure),
    }  # fmt: skip
    rows = [
        {"step": s, "metric": m, "value": float(values[m][i]), "error": 0.01, "sets": [float(values[m][i])] * 4, "n": 40,
         "n_unscored": 0, "unit": "", "checkpoint": prior if s == 0 else f"{seed}-{s}"}
        for i, s in enumerate(STEPS)
        for m in metrics
    ]  # fmt: skip
    return Run(Path(f"runs/{label}/seed-{seed}"), settings, rows)


def study(**about):
    return {label: [run(label, seed, **about) for seed in range(3)] for label in ("darling", "grpo")}


def test_priors_are_never_pooled_or_compared_in_silence():
    mixed = study()
    mixed["grpo"][1] = run("grpo", 1, prior="bbbb")
    words = r"these runs start from different priors and cannot be compared: \S+ from aaaa, \S+ from bbbb"
    for ask in (compare_runs, compare_frontiers, fit_runs):
        with pytest.raises(ValueError, match=words):
            ask(mixed)
    for by in ("seeds", "objectives"):
        with pytest.raises(ValueError, match=words):
            pool_runs(mixed, by, n_boot=0)
    with pytest.raises(ValueError, match=words):
        claims_about_ends(mixed, 1.0, n_boot=0)


def test_measurements_at_another_temperature_are_refused():
    mixed = study()
    mixed["grpo"] = [run("grpo", seed, measure={**MEASURE, "temperature": 0.7}) for seed in range(3)]
    with pytest.raises(
        ValueError, match=r"measured at different measure.temperature, .*grpo/seed-0 0.7; measure one of them again"
    ):
        compare_runs(mixed)


def test_a_metric_that_one_run_does_not_have_is_named():
    mixed = study()
    mixed["grpo"][2] = run("grpo", 2, metrics=("quality", "diversity"))
    with pytest.raises(ValueError, match="no metric 'diversity_valid'; measured: quality, diversity"):
        compare_runs(mixed)
    with pytest.raises(ValueError, match="no metric 'policy_entropy'; measured: quality, diversity"):
        fit_runs(mixed, n_boot=0)


def test_a_resumed_run_fits_as_the_uninterrupted_one():
    whole = run("grpo", 0)
    torn = replace(
        whole, rows=[row for row in whole.rows if row["step"] > 120] + [row for row in whole.rows if row["step"] <= 120]
    )
    one, other = (fit_runs({"grpo": [r]}, n_boot=50) for r in (whole, torn))
    assert [row["fit"] for row in one] == [row["fit"] for row in other]


def test_one_curve_serves_seeds_and_methods_of_one_law():
    rows = pool_runs(study(), "seeds", n_boot=50)
    assert {(row["objective"], row["law"]) for row in rows} == {
        (o, w) for o in ("darling", "grpo") for w in ("R-D", "R-H", "H-D")
    }
    law = next(row["pooled"] for row in rows if row["law"] == "R-D")
    assert (law.verdict, law.groups) == ("holds", ("seed 0", "seed 1", "seed 2"))
    (over,) = [row["pooled"] for row in pool_runs(study(), "objectives", n_boot=50) if row["law"] == "R-D"]
    assert over.groups == ("darling", "grpo") and over.verdict == "holds"
    with pytest.raises(ValueError, match="pool: expected one of seeds, objectives; got 'runs'"):
        pool_runs(study(), "runs")
    with pytest.raises(ValueError, match="pool: two seeds are needed, grpo has one: seed 0"):
        pool_runs({"grpo": [run("grpo", 0)]}, "seeds")


def test_claims_and_corrections_reach_the_user():
    claims = claims_about_ends(study(), 1.0121, n_boot=100)
    assert {row["endpoint"].verdict for row in claims if row["law"] == "R-D"} == {"holds"}
    three = {**study(), "qempo": [run("qempo", seed, gain=0.1) for seed in range(3)]}
    tests = compare_frontiers(three, baseline="grpo")
    assert [t.a for t in tests] == ["darling", "qempo"] and tests[0].budget == 250 * 8
    assert tests[1].area.verdict == "bought" and tests[1].area.p_holm == pytest.approx(2 * tests[1].area.p)
    lifts = compare_runs(three, baseline="grpo")
    assert all(lift.verdict_holm is not None for lift in lifts)


def test_a_run_that_has_only_begun_and_has_no_partner_does_not_move_the_comparison():
    begun = run("darling", 7)
    more = study()
    more["darling"].append(replace(begun, rows=[row for row in begun.rows if row["step"] == 0]))
    plain, lifts = compare_runs(study(), baseline="grpo"), compare_runs(more, baseline="grpo")
    assert [lift.at for lift in lifts] == [lift.at for lift in plain]
    assert [lift.value for lift in lifts] == pytest.approx([lift.value for lift in plain])


def test_the_lines_below_a_table_of_fits_give_reasons_ranks_and_the_composed_law():
    rows = fit_runs({"grpo": [run("grpo", seed) for seed in range(2)]}, n_boot=100)
    lines = fit_notes(rows)
    law = next(row["fit"] for row in rows if row["seed"] is None and row["law"] == "R-D")
    assert f"grpo, all seeds, R-D: holds: {law.reason}" in lines
    ranks = lines[lines.index(f"grpo, all seeds, R-D: holds: {law.reason}") + 1]
    assert ranks.startswith("  forms, best first (ΔAICc; error on left-out blocks): exponential (0; 0.00")
    assert "linear (+" in ranks and ranks.index("power") < ranks.index("linear")
    composed = next(line for line in lines if line.startswith("grpo, all seeds: R-H and H-D imply a "))
    assert f"fitted directly a {law.params['a'].value:.3g}, b {law.params['b'].value:.3g}" in composed
    assert "of R over the measured D" in composed
    # another form has no composition, and a law without numbers no ranks
    few = fit_runs({"grpo": [run("grpo", 0)]}, form="power", n_boot=0)
    assert not any("imply" in line for line in fit_notes(few))


def test_both_axes_needs_errors():
    pytest.importorskip("odrpack", reason="errors in both axes: pip install 'breadth[laws]'")
    found = both_axes(study(), n_boot=0)
    assert found[0]["both_axes"].converged and found[0]["both_axes"].n == 78
    bare = study()
    for row in bare["grpo"][0].rows + bare["grpo"][1].rows + bare["grpo"][2].rows:
        row["error"] = None
    with pytest.raises(ValueError, match="grpo: no checkpoint has standard errors of both 'quality' and 'diversity'"):
        both_axes(bare, n_boot=0)


def test_the_own_law_stands_beside_the_policies_without_draws():
    rows = beside_runs(study(), qualities=(0.8,)).rows
    assert [row.own_law for row in rows] == [pytest.approx(np.log((1.023 - 0.8) / 0.0109) / 5.024, abs=0.01)] * 2
    fits = fit_runs(study())
    assert {row["fit"].interval for row in fits} == {"profile"}
    assert law_tables.fits_table(fits).title == "Laws, 95 % intervals (profile)"
    mixed = law_tables.fits_table(fit_runs({"grpo": study()["grpo"][:1]}, form="falling_logistic", n_boot=20)).title
    assert mixed == "Laws, 95 % intervals (R-D, R-H: bootstrap; H-D: profile)"
