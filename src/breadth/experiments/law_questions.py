"""What runs on disk say beyond one fit: one curve for many, the endpoint claim, errors in both axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from breadth.experiments.compare import Metrics, check_comparable, check_same_start, columns_of, fit_group
from breadth.laws.both_axes import fit_both_axes
from breadth.laws.endpoint import endpoint
from breadth.laws.pooling import pool_fits
from breadth.ledger.run import Run

POOLS = ("seeds", "objectives")
DEFAULT = Metrics()


def pool_runs(
    runs: Mapping[str, Sequence[Run]],
    by: str,
    metrics: Metrics = DEFAULT,
    *,
    form: str = "exponential",
    n_boot: int = 1000,
    interval: str | None = None,
) -> list[dict[str, Any]]:
    """Return, as rows, whether one curve serves: over the seeds of each objective, or over all objectives.

    Raises
    ------
    ValueError
        For an unknown ``by``, fewer than two groups, or runs of different priors or tasks (with their hashes).
    """
    if by not in POOLS:
        raise ValueError(f"pool: expected one of {', '.join(POOLS)}; got {by!r}")
    many: dict[str | None, list[tuple[str, Run]]]
    if by == "objectives":
        check_comparable(dict(runs))  # type: ignore[arg-type]
        many = {None: [(label, run) for label, members in runs.items() for run in members]}
    else:
        many = {label: [(f"seed {run.seed}", run) for run in members] for label, members in runs.items()}
    rows = []
    for label, members in many.items():
        names = list(dict.fromkeys(name for name, _ in members))
        if len(names) < 2:
            raise ValueError(
                f"pool: two {by} are needed, {label or 'these runs'} {'has' if label else 'have'} one: {names[0]}"
            )
        check_same_start([run for _, run in members])
        q, d, h, number, step = columns_of([run for _, run in members], metrics)
        about: dict[str, Any] = {
            "group": [members[i][0] for i in number],
            "run": number,
            "step": step,
            "n_boot": n_boot,
            "interval": interval,
        }
        for law, pooled in {
            "R-D": pool_fits(q, d, form=form, **about),
            "R-H": pool_fits(q, h, form=form, x_name="H", **about),
            "H-D": pool_fits(h, d, form="linear", y_name="H", **about),
        }.items():
            rows.append({"objective": label, "pooled_over": by, "law": law, "pooled": pooled})
    return rows


def claims_about_ends(
    runs: Mapping[str, Sequence[Run]],
    r_max: float,
    metrics: Metrics = DEFAULT,
    *,
    n_boot: int = 1000,
    interval: str | None = None,
) -> list[dict[str, Any]]:
    """Return, as rows, whether R–D and R–H of each objective (all seeds) end at ``r_max`` where D and H are 0."""
    rows = []
    for label, members in runs.items():
        fits = fit_group(list(members), metrics, n_boot=n_boot, interval=interval)
        rows += [{"objective": label, "law": law, "endpoint": endpoint(fits[law], r_max)} for law in ("R-D", "R-H")]
    return rows


def both_axes(
    runs: Mapping[str, Sequence[Run]],
    metrics: Metrics = DEFAULT,
    *,
    form: str = "exponential",
    n_boot: int = 1000,
    interval: str | None = None,
) -> list[dict[str, Any]]:
    """Return, as rows, R–D of each objective (all seeds) with the ledger's standard errors of both axes.

    Raises
    ------
    ImportError
        Where odrpack is missing.
    ValueError
        Where no row has an error, or runs differ in prior or task.
    """
    rows = []
    for label, members in runs.items():
        check_same_start(list(members))
        q, d, _, number, step = columns_of(members, metrics)
        errors = columns_of(members, metrics, "error")
        # an error of 0 says that all sets agreed, not that nothing was missed: such rows cannot be weighed
        sq, sd = ([None if e is None or e <= 0 else e for e in column] for column in errors[:2])
        if not any(a is not None and b is not None for a, b in zip(sq, sd, strict=True)):
            raise ValueError(
                f"{label}: no checkpoint has standard errors of both {metrics.quality!r} and {metrics.diversity!r}"
            )
        found = fit_both_axes(q, d, sq, sd, form=form, n_boot=n_boot, interval=interval, run=number, step=step)
        rows.append({"objective": label, "law": "R-D", "both_axes": found})
    return rows
