"""The report's panel on where the diversity went: what ``breadth where`` wrote beside the runs, drawn; nothing is sampled here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from breadth.experiments.evidence import Evidence, RunEvidence
from breadth.experiments.examples import PictureBook
from breadth.experiments.notation import is_number, number, plural
from breadth.experiments.plots import Figure
from breadth.experiments.traces import bundle, layout_of, looks
from breadth.experiments.where import read_where
from breadth.experiments.where_tokens import TOKEN_CLASSES

Row = Mapping[str, Any]
SERIES: dict[str, tuple[str, Callable[[Row], float | None]]] = {
    "token entropy": ("nats per token", lambda row: row["token_entropy"]),
    "entropy of forking tokens": ("nats per token, top fifth", lambda row: row["forks"]["mean"]),
    "entropy of the other tokens": ("nats per token", lambda row: row["forks"]["mean_rest"]),
    "answer entropy": ("nats per prompt", lambda row: row["answer_entropy"]),
    "mass on the likeliest answer": ("share of a prompt's answers", lambda row: row["top_mass"]),
    "share of the commonest format": ("share of answers", lambda row: row["formats"]["top"][0]["share"]),
    "KL to the prior": ("nats per answer", lambda row: row["kl"]),
}


def where_section(evidence: Evidence, _: PictureBook) -> dict[str, Any] | None:
    """Return the words of the section; None where ``breadth where`` was never run on these runs."""
    found = [(run, data) for run in evidence.runs if (data := read_where(evidence.folder / run.path)) is not None]
    if not found:
        return None
    groups = [_lost(evidence, run, data) for run, data in found]
    return {
        "title": "Where the diversity went",
        "figures": [_over_steps(evidence, found), _inside(evidence, found)],
        "groups": [group for group in groups if group["cards"]],
        "solved": [row for run, data in found for row in _solved(evidence, run, data)],
    }


def _over_steps(evidence: Evidence, found: list[tuple[RunEvidence, dict[str, Any]]]) -> Figure:
    data: list[dict[str, Any]] = []
    for panel, (name, (_, read)) in enumerate(SERIES.items(), start=1):
        for i, label in enumerate(evidence.labels):
            lines = [(run, _line(where["steps"], read)) for run, where in found if run.label == label]
            data += bundle(lines, i, evidence.names[label], panel, name)
    sizes = sorted({(where["prompts"], where["answers"]) for _, where in found})
    n = "; ".join(f"{plural(prompts, 'prompt')}, {plural(answers, 'answer')} each" for prompts, answers in sizes)
    return Figure(
        id="where",
        title="Entropy of tokens and of answers",
        caption=f"Fresh samples of each checkpoint ({n}). Forking tokens: the fifth of all sampled tokens with the most entropy. Answer "
        "entropy is that of the samples' distinct answers, so at most the logarithm of their number. Thin: one run each; bold: mean over "
        "complete runs.",
        data=data,
        layout=layout_of(
            {"x": ["training step"] * len(SERIES), "y": [unit for unit, _ in SERIES.values()]}, headings=list(SERIES)
        ),
        panels=len(SERIES),
        columns=3,
        panel_height=250,
        names=tuple(SERIES),
    )


def _inside(evidence: Evidence, found: list[tuple[RunEvidence, dict[str, Any]]]) -> Figure:
    """Return entropy by position at the first and the last checkpoint, and the KL of an answer by kind of token."""
    data: list[dict[str, Any]] = []
    names = ("token entropy by position", "KL to the prior by kind of token")
    for run, where in found:
        i = evidence.labels.index(run.label)
        colour, dash, _ = looks(i)
        shared = {"type": "scatter", "name": escape(evidence.names[run.label]), "legendgroup": f"o{i}"}
        first_of_label = next(other for other, _ in found if other.label == run.label) is run
        for row, style, legend in ((where["steps"][0], "dot", False), (where["steps"][-1], dash, first_of_label)):
            data.append(
                {
                    **shared,
                    "xaxis": "x",
                    "yaxis": "y",
                    "mode": "lines",
                    "x": [p["position"] + 1 for p in row["positions"]],
                    "y": [p["entropy"] for p in row["positions"]],
                    "line": {"color": colour, "width": 1.6, "dash": style},
                    "showlegend": legend,
                    "meta": {"role": f"seed {run.seed}, step {row['step']}"},
                    "hovertemplate": f"%{{fullData.name}}, seed {run.seed}, step {row['step']}<br>token %{{x}}: "
                    "%{y:.4g} nats<extra></extra>",
                }
            )
        kl = where["steps"][-1]["kl_by_class"]
        kinds = [kind for kind in TOKEN_CLASSES if kind in kl]
        data.append(
            {
                **shared,
                "type": "bar",
                "xaxis": "x2",
                "yaxis": "y2",
                "x": kinds,
                "y": [kl[kind]["per_answer"] for kind in kinds],
                "marker": {"color": f"{colour}/0.6"},
                "showlegend": False,
                "meta": {"role": f"seed {run.seed}"},
                "hovertemplate": f"%{{fullData.name}}, seed {run.seed}<br>%{{x}}: %{{y:.4g}} nats per answer<extra></extra>",
            }
        )
    return Figure(
        id="where-inside",
        title="Inside the answers: entropy by position, KL by kind of token",
        caption="Left: mean next-token entropy over the answers that are still going at a position, at the first checkpoint (dotted) and the "
        "last. Right: what each kind of token adds to the KL of an answer from the prior, at the last checkpoint; the bars of a run add "
        "up to it.",
        data=data,
        layout=layout_of({"x": ["token of the answer", ""], "y": ["nats", "nats per answer"]}, headings=names),
        panels=2,
        columns=2,
        panel_height=300,
        names=names,
    )


def _line(rows: list[Row], read: Callable[[Row], float | None]) -> dict[int, tuple[float, str]]:
    values = {row["step"]: read(row) for row in rows}
    return {step: (value, "") for step, value in values.items() if is_number(value)}


def _lost(evidence: Evidence, run: RunEvidence, where: dict[str, Any]) -> dict[str, Any]:
    ends = [where["steps"][i]["step"] for i in (0, -1)]
    cards = [
        {
            "prompt": one["prompt"],
            "note": f"{one['n_lost']} of {plural(one['n_modes'], 'mode')} gone, which were {one['lost_mass']:.0%} of its answers",
            "sides": [
                {"name": f"step {step}", "answers": [(a["text"], f"{a['share']:.0%}") for a in one[side]]}
                for step, side in zip(ends, ("before", "after"), strict=True)
            ],
        }
        for one in where["lost"]
    ]
    return {"name": f"{evidence.names[run.label]}, seed {run.seed}", "cards": cards}


def _solved(evidence: Evidence, run: RunEvidence, where: dict[str, Any]) -> list[dict[str, str]]:
    """Return the lines of the table on solved and unsolved prompts; none for a task with one prompt."""
    sides = where["steps"][-1]["by_solved"] or {}
    return [
        {
            "name": f"{evidence.names[run.label]}, seed {run.seed}",
            "which": which,
            "n": str(side["n"]),
            "before": number(side["before"]),
            "after": number(side["after"]),
            "change": number(side["change"]) + ("" if side["error"] is None else f" ± {number(side['error'])} s.e."),
        }
        for which, side in sides.items()
    ]
