"""Modules that only hold code for an optional package are not searched for examples where the package is absent."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("numba") else ["src/breadth/tasks/pair_sums_compiled.py"]
