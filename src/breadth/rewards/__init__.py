"""A1: shaping of the reward before the baseline."""
