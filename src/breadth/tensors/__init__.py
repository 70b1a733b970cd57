"""Arithmetic on tensors: masked aggregation, log-probabilities, reductions by group. No names of papers here."""
