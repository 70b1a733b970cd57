"""What can be said of a set of answers in one number. Imports no torch.

:func:`measure_sets` makes the rows of a study's ledger; :func:`mean_pairwise` is the spread that they rest on.
"""

from breadth.metrics.measure import measure_sets
from breadth.metrics.pairwise import mean_pairwise

__all__ = ["mean_pairwise", "measure_sets"]
