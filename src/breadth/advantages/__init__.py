"""A2: baselines. A3: shaping of the advantage after the baseline."""
