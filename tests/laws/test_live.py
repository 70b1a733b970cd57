"""What a live forecast says, warns of, and when it stops a run."""

from __future__ import annotations

import json

import numpy as np
import pytest

from breadth.laws.forecast import forecast
from breadth.laws.live import live_forecast


class Run:
    label, seed = "grpo", 0

    def __init__(self, d, r, steps=None):
        self.d, self.r = d, r
        self.steps = steps or list(range(0, 10 * len(d), 10))

    def series(self, metric):
        values = {"diversity": self.d, "quality": self.r}.get(metric)
        if values is None:
            return []
        return [{"step": s, "value": v, "sets": [], "error": None} for s, v in zip(self.steps, values, strict=True)]


FALLING = [0.9 - 0.6 * (1 - np.exp(-t / 6)) for t in range(8)]
RISING = [1.02 - 0.011 * np.exp(4.5 * d) for d in FALLING]


def test_the_sentence_is_the_forecast_in_words():
    run = Run(FALLING, RISING)
    made, plain = live_forecast(run, 0.95, final_step=300), forecast(run, 0.95, final_step=300)
    at = plain.diversity_at_target
    assert made.forecast == plain
    assert made.sentence.startswith(
        f"step 70: at this pace R = 0.95 leaves D = {at.value:.2f} ± {(at.high80 - at.low80) / 2:.2f}"
    )
    assert made.stop is None and made.warnings == ()
    assert json.loads(json.dumps(made.row(), allow_nan=False))["at_step"] == 70


@pytest.mark.parametrize(
    ("floor", "stops"), [(0.3, False), (FALLING[-1], True), (FALLING[-1] - 1e-6, False), (0.8, True)]
)
def test_it_stops_on_the_measured_diversity_only(floor, stops):
    made = live_forecast(Run(FALLING, RISING), 0.95, final_step=300, stop_at_diversity=floor)
    assert (made.stop is not None) is stops


def test_a_floor_that_will_be_passed_is_warned_of():
    made = live_forecast(Run(FALLING, RISING), 0.99, final_step=3000, stop_at_diversity=0.35)
    assert any("lies at or below the floor 0.35" in text for text in made.warnings)
    assert made.stop is None


def test_too_early_and_reached():
    assert "too early" in live_forecast(Run([0.9, 0.8], [0.3, 0.4]), 0.9, final_step=100).sentence
    assert (
        "is reached; it left D = "
        in live_forecast(Run([0.9, 0.8, 0.7], [0.3, 0.92, 0.95]), 0.9, final_step=100).sentence
    )
    stuck = live_forecast(Run([0.9] * 12, [0.3] * 12), 0.9, final_step=120)
    assert "not reached" in stuck.sentence or any("not likely" in text for text in stuck.warnings)
