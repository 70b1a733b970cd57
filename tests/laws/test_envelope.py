"""The envelope of a decoding sweep: unbiased readings, and the verdict on what a method bought."""

from __future__ import annotations

import numpy as np
import pytest

from breadth.laws.envelope import PLAIN, Swept, correct_envelopes, envelope_lifts
from breadth.laws.frontier import diversity_at_quality
from breadth.laws.runs import run_sets


class Run:
    """One checkpoint: step 0, R 0.95, some D."""

    def __init__(self, label, seed, d, r=0.95):
        self.label, self.seed = label, seed
        self.rows = [
            {"step": 0, "metric": name, "value": value, "sets": [value] * 4, "error": 0.0, "checkpoint": "w"}
            for name, value in (("quality", r), ("diversity_valid", d))
        ]

    def series(self, metric):
        return [row for row in self.rows if row["metric"] == metric]


def sweep(r, d, checkpoint="w", **conditions):
    return [
        {"step": 0, "metric": name, "value": v, "sets": [v] * 4, "checkpoint": checkpoint, **PLAIN, **conditions}
        for name, v in (("quality", r), ("diversity_valid", d))
    ]


METHOD = [Run("method", s, 0.8 + s / 500) for s in range(3)]


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        ((0.95, 0.6), "survives"),
        ((0.95, 0.9), "does not survive"),
        ((0.85, 0.99), "survives"),
        ((0.95, 0.801), "does not survive"),
    ],
)
def test_bought_is_held_against_the_best_condition_that_reaches_the_quality(free, expected):
    base = [Swept(Run("base", s, 0.3), sweep(*free, temperature=0.5)) for s in range(3)]
    found = envelope_lifts(METHOD, base, [0.9])[0]
    assert found.plain.verdict == "bought" and found.verdict == expected
    assert found.both is None and expected in found.sentence.replace("survives the", "survives the")
    if free[1] > 0.3 and free[0] >= 0.9:
        assert found.baseline_points[0] == "seed 0: step 0, temperature 0.5"


def test_nothing_bought_has_nothing_to_survive():
    base = [Swept(Run("base", s, 0.8 + s / 500), sweep(0.95, 0.1, temperature=0.5)) for s in range(3)]
    assert envelope_lifts(METHOD, base, [0.9])[0].verdict == "nothing was bought"


def test_the_correction_for_many_methods_decides_the_verdict():
    noisy = [Run("method", s, d) for s, d in enumerate((0.35, 0.31, 0.38))]
    base = [Swept(Run("base", s, 0.3), sweep(0.95, 0.3, temperature=0.5)) for s in range(3)]
    one = envelope_lifts(noisy, base, [0.9])[0]
    p = one.plain.p
    assert p is not None
    many = correct_envelopes([one] * 20)
    assert many[0].plain.p_holm == pytest.approx(min(1.0, 20 * p))
    assert many[0].verdict == "nothing was bought"


def test_the_envelope_has_no_winners_curse():
    """Fifty conditions that are all the same: their best reading must not lie above the truth."""
    rng = np.random.default_rng(0)
    readings = []
    for _ in range(60):
        run = Run("base", 0, 0.5)
        run.rows[1]["sets"] = list(0.5 + 0.05 * rng.standard_normal(10))
        run.rows[0]["sets"] = [0.95] * 10
        rows = []
        for i in range(50):
            point = sweep(0.95, 0.5, temperature=0.5 + i / 100)
            point[0]["sets"], point[1]["sets"] = [0.95] * 10, list(0.5 + 0.05 * rng.standard_normal(10))
            rows += point
        steps, r, d = run_sets(Swept(run, rows))
        readings.append(diversity_at_quality(r, d, 0.9, steps).value)
    error = np.std(readings, ddof=1) / np.sqrt(len(readings))
    assert abs(np.mean(readings) - 0.5) < 3 * error
    # the flipped twin: chosen and read on the same sets, it would lie far above
    assert 0.5 + 0.05 / np.sqrt(5) * 2 > np.mean(readings) + 3 * error


def test_a_sweep_of_other_weights_is_refused():
    with pytest.raises(ValueError, match="made from weights other, the ledger has w"):
        Swept(Run("base", 0, 0.3), sweep(0.95, 0.6, checkpoint="other"))
    with pytest.raises(ValueError, match="lacks min_p"):
        Swept(Run("base", 0, 0.3), [{k: v for k, v in row.items() if k != "min_p"} for row in sweep(0.95, 0.6)])
    with pytest.raises(TypeError, match="expected swept runs"):
        envelope_lifts(METHOD, METHOD, [0.9])


def test_conditions_stand_under_numbers_that_no_checkpoint_has():
    class Run:
        label, seed, rows = "grpo", 0, ({"step": 100, "checkpoint": "a"},)

    common = {"metric": "quality", "value": 1.0, "sets": [1.0], "checkpoint": "a", "step": 100, **PLAIN}
    swept = Swept(Run(), [{**common, "temperature": heat} for heat in (0.5, 0.7, 0.5)])
    assert swept.n_conditions == 2
    assert [swept.point(number) for number in (101, 102)] == ["step 100, temperature 0.5", "step 100, temperature 0.7"]
