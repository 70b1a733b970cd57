"""Tables of laws and comparisons. Numbers that are not known are dashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from breadth.commands.output import verdict, with_interval
from breadth.experiments.compare import compose
from breadth.laws.envelope import EnvelopeLift
from breadth.records import Estimate, FrontierTest, LawFit, Lift

if TYPE_CHECKING:
    from breadth.experiments.beside import Beside


def fits_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return fits, one line each; :func:`fit_notes` says why."""
    table = Table(title=f"Laws, 95 % intervals ({_kinds(rows)})", title_justify="left")
    for name in ("objective", "seed", "law", "parameters", "R²", "RMSE in y, in x", "verdict"):
        table.add_column(name, overflow="fold")
    for row in rows:
        f = row["fit"]
        table.add_row(
            row["objective"],
            "all" if row["seed"] is None else str(row["seed"]),
            row["law"],
            _parameters(f.params),
            "–" if f.r2 is None else f"{f.r2:.3f}",
            ", ".join("–" if v is None else f"{v:.3g}" for v in (f.rmse, f.rmse_x)),
            verdict(f.verdict),
        )
    return table


def _kinds(rows: Sequence[Mapping[str, Any]]) -> str:
    """How intervals were made: one word, or one for each law where they differ."""
    kinds: dict[str, list[str]] = {}
    for row in rows:
        kinds.setdefault(row["fit"].interval, []).append(row["law"])
    if len(kinds) <= 1:
        return "".join(kinds)
    return "; ".join(f"{', '.join(dict.fromkeys(laws))}: {kind}" for kind, laws in kinds.items())


def fit_notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return why each verdict is what it is, how the forms rank, and what R-H and H-D imply for R-D: one line each."""
    lines: list[str] = []
    by_group: dict[str, dict[str, LawFit]] = {}
    for row in rows:
        seed, fit = row["seed"], row["fit"]
        who = f"{row['objective']}, {'all seeds' if seed is None else f'seed {seed}'}"
        by_group.setdefault(who, {})[row["law"]] = fit
        lines.append(f"{who}, {row['law']}: {fit.verdict}: {fit.reason}")
        if fit.rivals and row["law"] != "H-D":
            lines.append(f"  forms, best first (ΔAICc; error on left-out blocks): {_ranking(fit)}")
    for who, fits in by_group.items():
        found = compose(fits) if {"R-D", "R-H", "H-D"} <= set(fits) else None
        if found is not None and found.a is not None:
            direct = ", ".join("–" if found.direct[k] is None else f"{k} {found.direct[k]:.3g}" for k in "abc")
            apart = "" if found.gap is None else f"; they differ by up to {found.gap:.3f} of R over the measured D"
            weak = [f"{law}: {fits[law].verdict}" for law in ("R-H", "H-D") if fits[law].verdict != "holds"]
            lines.append(
                f"{who}: R-H and H-D imply a {found.a:.3g}, b {found.b:.3g}, c {found.c:.3g} for R-D, fitted directly {direct}"
                + apart
                + (f" (arithmetic, not evidence: {', '.join(weak)})" if weak else "")
            )
    return lines


def notes(rows: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """Return the reason of each row's ``pooled`` or ``endpoint``, one line each."""
    return [f"{row['objective'] or 'all'}, {row['law']}: {row[key].verdict}: {row[key].reason}" for row in rows]


def _ranking(fit: LawFit) -> str:
    """Every form with its ΔAICc to the one that was fitted, best first, and its error on left-out blocks."""
    gains = {fit.form: 0.0, **fit.rivals}
    parts = []
    for form in sorted(gains, key=gains.__getitem__):
        error = fit.out_of_sample.get(form)
        parts.append(f"{form.replace('_', ' ')} ({'0' if form == fit.form else f'{gains[form]:+.1f}'}; {'–' if error is None else f'{error:.2g}'})")
    return ", ".join(parts)


def pooled_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return whether one curve serves, one line each; :func:`notes` says why."""
    over = rows[0]["pooled_over"] if rows else "groups"
    how = ", ".join(dict.fromkeys(row["pooled"].together.interval for row in rows))
    table = Table(title=f"Does one curve serve all {over}? 95 % intervals of the one curve ({how})", title_justify="left")
    for name in (
        "objective",
        "law",
        "one curve",
        "mean over groups, partly pooled",
        "between groups",
        "verdict",
    ):
        table.add_column(name, overflow="fold")
    for row in rows:
        p = row["pooled"]
        table.add_row(
            row["objective"] or "all",
            row["law"],
            _parameters(p.together.params),
            _parameters({k: v.mean for k, v in p.params.items()}),
            "\n".join(
                f"{k}: "
                + ("–" if v.spread is None else f"× {2.718281828**v.spread:.3g}" if v.logged else f"± {v.spread:.2g}")
                for k, v in p.params.items()
            ),
            verdict(p.verdict),
        )
    return table


def endpoints_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the endpoint claims, one line each; :func:`notes` says why."""
    how = f", 95 % intervals ({rows[0]['endpoint'].interval})" if rows else ""
    table = Table(title=f"R where diversity or entropy is gone, all seeds{how}", title_justify="left")
    for name in ("objective", "law", "R_max", "claimed", "verdict"):
        table.add_column(name, overflow="fold")
    for row in rows:
        e = row["endpoint"]
        value = with_interval(e.r_max.value, e.r_max.low, e.r_max.high)
        table.add_row(row["objective"], row["law"], value, f"{e.claimed:g}", verdict(e.verdict))
    return table


def both_axes_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return fits with errors in both axes beside least squares, one line each."""
    how = rows[0]["both_axes"].plain.interval if rows else "profile"
    table = Table(
        title=f"R over D, all seeds: errors in R alone ({how}), and in both axes (t); 95 % intervals", title_justify="left"
    )
    for name in ("objective", "errors in R", "errors in both", "scatter (1 = as the errors say)", "n"):
        table.add_column(name, overflow="fold")
    for row in rows:
        b = row["both_axes"]
        table.add_row(
            row["objective"],
            _parameters(b.plain.params),
            _parameters(b.params) + ("" if b.converged else "\nnot converged"),
            "–" if b.scatter is None else f"{b.scatter:.2f}",
            str(b.n) + (f" ({b.n_dropped} without an error or a value)" if b.n_dropped else ""),
        )
    return table


def lifts_table(lifts: Sequence[Lift]) -> Table:
    """Return comparisons, one line each."""
    table = Table(title="Diversity against the baseline, 95 % intervals paired over seeds", title_justify="left")
    for name in ("method", "baseline", "at", "ΔD", "seeds", "verdict", "p (Holm)", "after Holm"):
        table.add_column(name, overflow="fold")
    for lift in lifts:
        table.add_row(
            lift.a,
            lift.b,
            lift.at,
            with_interval(lift.value, lift.low, lift.high),
            str(lift.n_seeds),
            verdict(lift.verdict),
            _p(lift),
            verdict(lift.verdict_holm or "–"),
        )
    return table


def envelopes_table(found: Sequence[EnvelopeLift]) -> Table:
    """Return methods against the envelope of the baseline's decoding sweep, one line each."""
    table = Table(title="Against the envelope of the baseline's decoding sweep", title_justify="left")
    for name in ("method", "baseline", "at", "plain ΔD", "ΔD to the envelope", "verdict"):
        table.add_column(name, overflow="fold")
    colours = {"survives": "bought", "does not survive": "lost", "cannot tell": "cannot tell"}
    for one in found:
        cells = (with_interval(lift.value, lift.low, lift.high) for lift in (one.plain, one.against_envelope))
        word = verdict(colours.get(one.verdict, "the same")).style
        table.add_row(one.plain.a, one.plain.b, one.plain.at, *cells, Text(one.verdict, style=word))
    return table


def frontiers_table(tests: Sequence[FrontierTest]) -> Table:
    """Return the tests of whole frontiers, one line each."""
    table = Table(
        title="Attainment frontier against the baseline's, at equal rollouts, paired over seeds", title_justify="left"
    )
    for name in (
        "method",
        "baseline",
        "area ΔD",
        "verdict",
        "p (Holm)",
        "after Holm",
        "hypervolume",
        "seeds for δ",
    ):
        table.add_column(name, overflow="fold")
    for test in tests:
        area, volume = test.area, test.hypervolume
        if area is None or volume is None:
            table.add_row(test.a, test.b, "–", verdict("cannot tell"), "–", "–", "–", "–")
            continue
        needed = "–" if area.seeds_for_margin is None else f"{area.seeds_for_margin} for {area.margin:g}"
        table.add_row(
            test.a,
            test.b,
            with_interval(area.value, area.low, area.high),
            verdict(area.verdict),
            _p(area),
            verdict(area.verdict_holm or "–"),
            f"{with_interval(volume.value, volume.low, volume.high)} {volume.verdict}",
            needed,
        )
    return table


def beside_table(found: Beside) -> Table:
    """Return D at equal quality beside laws and tilted corpus, one line for each objective and quality; below a dash its reason."""
    table = Table(title="D at equal quality, beside laws and corpus", title_justify="left")
    for name in ("objective", "R ≥", "D policy", "D its own law", f"D {found.law or 'published law'}", "D tilted corpus"):
        table.add_column(name, overflow="fold")
    for row in found.rows:
        own, tilted = _or_why(row.own_law, row.own_law_reason), _or_why(row.tilt, row.tilt_reason)
        policy = row.policy_reason or with_interval(row.policy["value"], row.policy["low"], row.policy["high"])
        table.add_row(row.label, f"{row.quality:g}", policy, own, _or_why(row.published), tilted)
    return table


def _or_why(value: float | None, reason: str = "") -> str:
    return f"{value:.3f}" if value is not None else f"–\n{reason}".rstrip()


def _p(lift: Lift) -> str:
    if lift.p is None:
        return "–"
    return f"{lift.p:.2g}" + ("" if lift.p_holm is None else f" ({lift.p_holm:.2g})")


def _parameters(params: Mapping[str, Estimate]) -> str:
    return "\n".join(f"{name} {_estimate(e)}" for name, e in params.items())


def _estimate(e: Estimate) -> str:
    """A parameter with its interval; one that nothing limits has two open ends, not none."""
    known = with_interval(e.value, e.low, e.high)
    return known if e.value is None or (e.low, e.high) != (None, None) else f"{known} [–, –]"
