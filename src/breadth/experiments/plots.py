"""The figures of a report, as plain Plotly descriptions: nothing here draws, asks a device or knows the page."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from breadth.experiments.checkpoints import with_spread
from breadth.experiments.evidence import Evidence, RunEvidence
from breadth.experiments.notation import interval_kinds, is_number, plural, significant
from breadth.experiments.tilt_trace import published_traces, tilt_traces
from breadth.experiments.traces import bundle, cloud, curve, layout_of, staircase

TRAINING_POINTS = 100  # the most points of one training curve; beyond that, means over equal stretches of steps


@dataclass(frozen=True)
class Figure:
    """A figure: what is drawn, and the words without which it should not be looked at."""

    id: str
    title: str
    caption: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    panels: int = 1
    columns: int = 1  # beside each other on a wide page; a narrow page stacks them
    panel_height: int = 340
    notes: tuple[str, ...] = ()  # what is not drawn, and why
    names: tuple[str, ...] = ()  # of the panels

    def description(self) -> dict[str, Any]:
        """Return what the page's script needs to draw it."""
        return {
            "data": self.data,
            "layout": self.layout,
            "panels": self.panels,
            "columns": self.columns,
            "panel_height": self.panel_height,
        }


def steps_figure(evidence: Evidence) -> Figure:
    """Return R, D and H over training steps: a thin line per seed, a bold one for the mean over complete seeds."""
    roles = {"quality": "R, quality", "diversity": "D, diversity", "entropy": "H, policy entropy (nats per token)"}
    data: list[dict[str, Any]] = []
    for panel, (role, words) in enumerate(roles.items(), start=1):
        for i, label in enumerate(evidence.labels):
            lines = [(run, _values(run, evidence.metric(role))) for run in evidence.of(label)]
            data += bundle(lines, i, evidence.names[label], panel, words.partition(",")[0])
    n, sets = evidence.sample_sizes()
    return Figure(
        id="steps",
        title="Quality, diversity and entropy over training steps",
        caption=f"Thin: one run each ({_seeds(evidence)}). Bold: mean over complete runs. Step 0: the shared prior. "
        f"Each point rests on {plural(n, 'fresh sample')}{f' in {sets} sets' if sets else ''}.",
        data=data,
        layout=layout_of({"x": ["training step"] * 3, "y": list(roles.values())}),
        panels=3,
        columns=3,
        names=tuple(roles.values()),
    )


def laws_figure(evidence: Evidence) -> Figure:
    """Return R against D and R against H, each checkpoint a point, with the pooled fits where there is one to show."""
    panels = (("R-D", "diversity", "D, diversity"), ("R-H", "entropy", "H, policy entropy (nats per token)"))
    data: list[dict[str, Any]] = []
    without: dict[str, list[str]] = {}
    for panel, (law, role, _) in enumerate(panels, start=1):
        for i, label in enumerate(evidence.labels):
            data += cloud(evidence, label, i, panel, x_role=role, y_role="quality", opacity=0.6)
            fit = (evidence.summary["objectives"][label].get("fits") or {}).get(law)
            traces, note = curve(fit, i, evidence.names[label], panel)
            data += traces
            if note:
                without.setdefault(f"{law.replace('-', '–')}: no curve, {note}", []).append(evidence.names[label])
    tilt = tilt_traces(evidence, x="diversity", y="quality")
    published = published_traces(evidence, x="diversity", y="quality")
    data += [*tilt, *published]
    return Figure(
        id="laws",
        title="Quality against diversity, and quality against entropy",
        caption=f"Points: checkpoints of all runs ({_seeds(evidence)}). Curves: the law fitted to all checkpoints of "
        "an objective; solid where it holds, dashed where it does not, none where the data cannot tell. "
        f"Bands: 95 % interval of the curve, {interval_kinds(evidence.summary)}."
        + (" Dotted: the corpus tilted towards quality, what known molecules attain." if tilt else "")
        + (" Dash-dotted: the law as it was published for this oracle." if published else ""),
        data=data,
        layout=layout_of({"x": [words for _, _, words in panels], "y": ["R, quality"] * 2}),
        panels=2,
        columns=2,
        panel_height=400,
        notes=tuple(f"{why}: {', '.join(names)}" for why, names in without.items()),
        names=tuple(words for _, _, words in panels),
    )


def frontier_figure(evidence: Evidence) -> Figure:
    """Return the attainment frontier of every objective: the diversity that is left once quality q is asked for."""
    frontier = evidence.summary.get("frontier") or {}
    curves = frontier.get("curves") or {}
    data: list[dict[str, Any]] = []
    notes: list[str] = []
    for i, label in enumerate(evidence.labels):
        name, curve = evidence.names[label], curves.get(label)
        if curve:
            data += staircase(curve, i, name, [run.seed for run in evidence.of(label)])
        if not curve or not any(map(is_number, curve.get("diversity") or ())):
            notes.append(f"{name}: no frontier (no quality was read for it)")
        data += cloud(
            evidence, label, i, 1, x_role="quality", y_role="frontier_diversity", opacity=0.28, legend=not curve
        )
        data += _last_points(evidence, label, i)
    tilt = tilt_traces(evidence, x="quality", y="diversity")
    published = published_traces(evidence, x="quality", y="diversity")
    data += [*tilt, *published]
    seeds = max((n or 0 for curve in curves.values() for n in curve.get("n_seeds") or ()), default=0)
    layout = layout_of({"x": ["q, least quality asked for"], "y": ["D among valid answers"]})
    # an interval over few seeds is far wider than D itself can be: the band must not set the scale
    heights = [y for trace in data if trace["meta"]["role"] != "band" for y in trace["y"] if is_number(y)]
    if heights:
        spare = 0.05 * (max(heights) - min(heights) or 1.0)
        layout["yaxis"]["range"] = [min(heights) - spare, max(heights) + spare]
    return Figure(
        id="frontier",
        title="Attainment frontier: diversity among valid answers at quality q or better",
        caption="At each q: the highest D among a run's checkpoints with R ≥ q, the checkpoint chosen on one half of "
        f"the sample sets and read on the other. Bold: mean over up to {plural(seeds, 'seed')}; thin: single seeds; "
        "band: 95 % Student-t interval over seeds. Faint points: checkpoints; large points: last checkpoints."
        + (" Dotted: the corpus tilted to mean quality q, which no policy was trained for." if tilt else "")
        + (" Dash-dotted: the law as it was published for this oracle." if published else ""),
        data=data,
        layout=layout,
        panel_height=460,
        notes=tuple(notes),
        names=("frontier",),
    )


def training_figure(evidence: Evidence) -> Figure:
    """Return what was logged while training, a panel per statistic that moves; the others are named."""
    seen: dict[str, set[float]] = {}
    for row in (row for run in evidence.runs for row in run.steps):
        for name, value in row.items():
            if is_number(value) and name not in ("line", "step", "reward_error"):
                seen.setdefault(name, set()).add(value)
    first = [name for name in ("reward", "loss", "grad_norm", "length") if name in seen]
    moving = [name for name in first + sorted(set(seen) - set(first)) if len(seen[name]) > 1]
    still = sorted(f"{name} = {significant(next(iter(values)))}" for name, values in seen.items() if len(values) == 1)
    data: list[dict[str, Any]] = []
    for panel, name in enumerate(moving, start=1):
        for i, label in enumerate(evidence.labels):
            lines = [(run, _logged(run, name)) for run in evidence.of(label)]
            data += bundle(lines, i, evidence.names[label], panel, name, markers=False)
    longest = max((len(run.steps) for run in evidence.runs), default=0)
    thinned = f" Each point: a mean over {-(-longest // TRAINING_POINTS)} steps." if longest > TRAINING_POINTS else ""
    return Figure(
        id="training",
        title="Training statistics over steps",
        caption=f"Thin: one run each ({_seeds(evidence)}). Bold: mean over complete runs.{thinned} "
        "A panel shows only the objectives that log its statistic.",
        data=data,
        layout=layout_of({"x": ["training step"] * len(moving), "y": [""] * len(moving)}, headings=moving),
        panels=len(moving),
        columns=3,
        panel_height=240,
        notes=(f"The same at every step of every run: {', '.join(still)}",) if still else (),
        names=tuple(moving),
    )


def _values(run: RunEvidence, metric: str) -> dict[int, tuple[float, str]]:
    """Return step -> (value, words for the hover)."""
    return {
        step: (row["value"], f"{with_spread(row)}, n = {row.get('n') or 0:,}")
        for step, row in run.series(metric).items()
    }


def _logged(run: RunEvidence, statistic: str) -> dict[int, tuple[float, str]]:
    """Return step -> (value, "") of a training statistic, as means over stretches where there are too many steps."""
    rows = [(int(row["step"]), row[statistic]) for row in run.steps if is_number(row.get(statistic))]
    width = max(1, -(-len(run.steps) // TRAINING_POINTS))
    parts = [rows[i : i + width] for i in range(0, len(rows), width)]
    return {round(fmean(s for s, _ in part)): (fmean(v for _, v in part), "") for part in parts}


def _last_points(evidence: Evidence, label: str, index: int) -> list[dict[str, Any]]:
    traces = cloud(evidence, label, index, 1, x_role="quality", y_role="frontier_diversity", opacity=1, legend=False)
    last = {
        f"seed {run.seed}, step {max(run.series(evidence.metric('quality')), default=-1)}" for run in evidence.of(label)
    }
    for trace in traces:
        kept = [i for i, words in enumerate(trace["customdata"]) if words[0] in last]
        for key in ("x", "y", "customdata"):
            trace[key] = [trace[key][i] for i in kept]
        trace["marker"] = {**trace["marker"], "size": 12, "line": {"color": "@ink", "width": 1}}
        trace["meta"] = {"role": "last checkpoint"}
    return traces


def _seeds(evidence: Evidence) -> str:
    return plural(len({run.seed for run in evidence.runs}), "seed") + " per objective"
