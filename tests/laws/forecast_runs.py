"""Runs with known trends and a known law, for the tests of forecasts."""

import numpy as np


def law(d):
    return 1.023 - 0.0109 * np.exp(5.024 * np.asarray(d))


class Run:
    """D falls from 0.85 to ``floor`` with time scale ``time``; R by the law, both with noise."""

    def __init__(self, floor=0.3, time=90.0, noise=0.0, last=250, seed=0, quality=None, diversity=None, steps=None):
        self.label, self.seed = "grpo", seed
        self.step = np.arange(0, last + 1, 10) if steps is None else np.array(steps)
        generator = np.random.default_rng(seed)
        true_d = floor + (0.85 - floor) * np.exp(-self.step / time)
        shock = noise * generator.standard_normal((2, self.step.size))
        self.d = true_d + shock[0] if diversity is None else diversity
        self.r = law(true_d) + shock[1] if quality is None else quality

    def series(self, metric):
        values = {"quality": self.r, "diversity": self.d}.get(metric, [])
        return [
            {"step": int(s), "value": None if v is None else float(v), "error": 0.01, "sets": []}
            for s, v in zip(self.step, values, strict=False)
        ]
