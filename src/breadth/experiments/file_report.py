"""One self-contained page about files of generations, in the dress of the study report: it opens offline, all text is hostile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import breadth
from breadth.experiments.collapse import CollapseVerdict, LostPrompt, lost_between
from breadth.experiments.file_plots import curves_figure, plane_figure, plane_measures
from breadth.experiments.generation_measures import headline, measure_named
from breadth.experiments.generation_table import settings_sentence
from breadth.experiments.generations import FileMeasurement
from breadth.experiments.notation import VERDICTS, Shown, number, plural
from breadth.experiments.over_prompts import Difference
from breadth.experiments.report import MOST_ROWS, render_page
from breadth.ledger.rows import write_atomic
from breadth.metrics.conditions import TextMeasurement

COLUMNS = (
    "file",
    "step",
    "metric",
    "value",
    "low",
    "high",
    "error",
    "n",
    "n_unscored",
    "unit",
    "budget",
    "tokenizer",
    "seed",
    "scope",
)
_LONGEST = 1200  # characters of an answer on the page
_WORDS = {"bought": "wider", "lost": "narrower"}


@dataclass(frozen=True, slots=True)
class Part:
    """A section: ``templates/sections/<template>.html.j2`` with its words."""

    id: str
    name: str
    template: str


def build_file_report(
    files: Sequence[FileMeasurement],
    verdicts: Sequence[CollapseVerdict | None],
    differences: Sequence[Sequence[Difference]],
    *,
    out: Path,
    command: Sequence[str] = (),
    margin: float = 0.02,
) -> Path:
    """Write the page about measured files and return its path.

    Parameters
    ----------
    files : FileMeasurements
        The first one is what the others are compared with.
    verdicts : for each file its collapse verdict, or None where it has one step
    differences : for each further file the first minus it
    out : Path
        The HTML file, written in one piece; its folder is made.
    command : words
        What to run again for this page.
    margin : float
        δ of the differences.

    Raises
    ------
    ValueError
        No file.

    Source: this project. Departures: none.
    """
    if not files:
        raise ValueError("files: expected at least one measured file, got none")
    names = file_names(files)
    parts: list[tuple[Part, dict[str, Any] | None]] = [
        (Part("results", "Results", "file_results"), _results(files, names)),
        (Part("plane", "Plane", "plane"), _figure(plane_figure(files, names), _plane_title(files, names))),
        (
            Part("curves", "Step by step", "plane"),
            _figure(curves_figure(files, names), "How the range went, step by step"),
        ),
        (Part("differences", "Differences", "file_differences"), _differences(names, differences, margin)),
        (Part("lost", "Prompts", "lost_prompts"), _lost(files, names, verdicts)),
        (Part("conditions", "Conditions", "file_conditions"), _conditions(files, names, command)),
        (Part("numbers", "All numbers", "file_numbers"), _numbers(files, names)),
    ]
    page = render_page(
        "files.html.j2",
        version=breadth.__version__,
        title=" · ".join(names) if len(names) <= 3 else f"{names[0]} and {len(names) - 1} other files",
        verdict=verdict_of_page(files, names, verdicts, differences),
        parts=[(part, words) for part, words in parts if words is not None],
        pictures={},
        files=[
            {
                "n_rows": one.n_rows,
                "n_steps": len(one.steps),
                "n_groups": len({key for keys in one.values.values() for key in keys}),
            }
            for one in files
        ],
        unit={"prompt": "prompt", "blocks_of_prompts": "block"}.get(files[0].dealt, "block"),
        k=files[0].k,
        command=" ".join(command),
    )
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, page.encode("utf-8", errors="replace"))
    return out


def file_names(files: Sequence[FileMeasurement]) -> list[str]:
    """Return the name of each file, with its folder where two are called alike."""
    labels = [one.label for one in files]
    return [
        label if labels.count(label) == 1 else f"{one.source.files[0].resolve().parent.name}/{label}"
        for label, one in zip(labels, files, strict=True)
    ]


def verdict_of_page(
    files: Sequence[FileMeasurement], names: Sequence[str], verdicts: Sequence[CollapseVerdict | None],
    differences: Sequence[Sequence[Difference]],
) -> str:  # fmt: skip
    """Return what the page says first: whether logs collapse, and how the files differ in the leading measure."""
    said = [
        f"{verdict.sentence}" if len(files) == 1 else f"{name}: {verdict.sentence}"
        for name, verdict in zip(names, verdicts, strict=True)
        if verdict is not None
    ]
    for name, found in zip(names[1:], differences, strict=True):
        shared = [one.metric for one in found if measure_named(one.metric).sign]
        if not shared:
            continue
        lead = next(one for one in found if one.metric == headline(shared))
        word = {
            "bought": f"narrower than {names[0]}", "lost": f"wider than {names[0]}",
            "the same": f"as wide as {names[0]} within {lead.margin:g}", "cannot tell": f"not told apart from {names[0]}",
        }[lead.verdict]  # fmt: skip
        interval = (
            ""
            if lead.low is None or lead.high is None
            else f", 95 % interval {number(0 - lead.high)} to {number(0 - lead.low)}"
        )
        change = number(None if lead.value is None else -lead.value)
        said.append(f"{name} is {word}: {lead.metric} differs by {change}{interval}.")
    if not said:
        lead_name = headline(files[0].metrics)
        row = files[0].series(lead_name)[-1][1]
        said.append(
            f"{lead_name} is {number(row.value)}"
            + ("." if row.low is None else f" ({number(row.low)} to {number(row.high)}).")
        )
    return " ".join(said[:4]) + (f" {len(said) - 4} further files below." if len(said) > 4 else "")


def _results(files: Sequence[FileMeasurement], names: Sequence[str]) -> dict[str, Any]:
    listed = list(dict.fromkeys(name for one in files for name in one.metrics))
    rows = []
    for metric in listed:
        measure = measure_named(metric)
        cells = []
        for one, name in zip(files, names, strict=True):
            if metric not in one.metrics:
                cells.append(Shown(number(None), reason="not measured in this file"))
                continue
            step, row = one.series(metric)[-1]
            cells.append(_cell(row, f"file={_token(name)} step={'null' if step is None else step} metric={metric}"))
        wider = {1: "more is wider", -1: "less is wider"}.get(measure.sign, "")
        rows.append({"name": metric, "summary": measure.summary, "unit": measure.unit, "wider": wider, "cells": cells})
    last = [
        f"{name} at step {one.steps[-1]}" for one, name in zip(files, names, strict=True) if one.steps[-1] is not None
    ]
    return {
        "title": "What the files hold" if len(files) > 1 else "What the file holds",
        "names": names,
        "rows": rows,
        "last": "; ".join(last),
        "unit": {
            "prompt": "prompts",
            "blocks_of_prompts": "blocks of prompts",
            "blocks_of_answers": "blocks of answers",
        }[files[0].dealt],
        "settings": [settings_sentence(one) for one in files],
    }


def _cell(row: TextMeasurement, link: str) -> Shown:
    interval = "" if row.low is None or row.high is None else f"{number(row.low)} to {number(row.high)}"
    reason = "no group of answers allows it" if row.value is None else "fewer than two prompts: no interval"
    return Shown(number(row.value), interval, value=row.value, reason="" if interval else reason, link=link)


def _said(metric: str) -> str:
    return metric.replace("_", " ")


def _token(name: str) -> str:
    return "_".join(name.split())


def _figure(figure: Any, title: str) -> dict[str, Any] | None:
    return None if figure is None else {"title": title, "figure": figure}


def _plane_title(files: Sequence[FileMeasurement], names: Sequence[str]) -> str:
    pair = plane_measures(files)
    if pair is None:
        return ""
    sign = measure_named(pair[1]).sign
    ends: list[tuple[float, float, str]] = []  # of the interval, the wider side second
    for one, name in zip(files, names, strict=True):
        row = one.series(pair[1])[-1][1]
        if row.low is not None and row.high is not None:
            ends.append((*sorted((sign * row.low, sign * row.high)), name))
    if len(ends) >= 2:
        best = max(ends)
        if all(other is best or other[1] < best[0] for other in ends):
            return f"{best[2]} is the {'wider' if len(ends) == 2 else 'widest'} of {plural(len(ends), 'file')} by {_said(pair[1])}"
    return f"{_said(pair[0]).capitalize()} and {_said(pair[1])} on one plane"


def _differences(
    names: Sequence[str], differences: Sequence[Sequence[Difference]], margin: float
) -> dict[str, Any] | None:
    tables = []
    for name, found in zip(names[1:], differences, strict=True):
        rows = []
        for one in found:
            known = bool(measure_named(one.metric).sign)
            # the files are told as "before, after": the change from the first to this one
            turned = {"bought": "lost", "lost": "bought"}.get(one.verdict, one.verdict)
            word = turned if known else {"bought": "higher", "lost": "lower"}.get(turned, turned)
            sign, tone = (
                VERDICTS.get(turned, ("", "open")) if known else ("", "open" if turned == "cannot tell" else "even")
            )
            interval = "" if one.low is None or one.high is None else f"{number(0 - one.high)} to {number(0 - one.low)}"
            change = None if one.value is None else 0 - one.value  # 0 − 0, never −0
            rows.append({
                "metric": one.metric, "summary": measure_named(one.metric).summary, "first": number(one.a), "this": number(one.b),
                "shown": Shown(number(change), interval, value=change, reason="" if interval else "too few prompts"),
                "word": _WORDS.get(word, word) if known else word, "sign": sign, "tone": tone, "n": one.n,
                "how": "paired" if one.paired else "not paired",
            })  # fmt: skip
        tables.append({"name": name, "rows": rows})
    if not tables:
        return None
    return {"title": f"What differs from {names[0]}", "first": names[0], "tables": tables, "margin": f"{margin:g}"}


def _lost(
    files: Sequence[FileMeasurement], names: Sequence[str], verdicts: Sequence[CollapseVerdict | None]
) -> dict[str, Any] | None:
    groups = []
    for name, verdict in zip(names, verdicts, strict=True):
        if verdict is not None and verdict.lost:
            cards = [_lost_card(one, f"step {one.step_before}", f"step {one.step_after}") for one in verdict.lost]
            groups.append({"name": f"{name}, early against late", "metric": verdict.metric, "cards": cards})
    if all(verdict is None for verdict in verdicts):
        for one, name in zip(files[1:], names[1:], strict=True):
            metric = headline([m for m in files[0].metrics if m in one.metrics])
            cards = [_lost_card(lost, names[0], name) for lost in lost_between(files[0], one, metric)]
            if cards:
                groups.append({"name": f"{name} against {names[0]}", "metric": metric, "cards": cards})
    return {"title": "The prompts that lost most, with their answers", "groups": groups} if groups else None


def _lost_card(lost: LostPrompt, before: str, after: str) -> dict[str, Any]:
    return {
        "prompt": _cut(lost.prompt),
        "sides": [
            {"name": before, "value": number(lost.before), "answers": [_cut(text) for text in lost.answers_before]},
            {"name": after, "value": number(lost.after), "answers": [_cut(text) for text in lost.answers_after]},
        ],
    }


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def _conditions(files: Sequence[FileMeasurement], names: Sequence[str], command: Sequence[str]) -> dict[str, Any]:
    listed = [
        {"name": name, "settings": settings_sentence(one), "notes": one.notes, "n": plural(one.n_rows, "answer")}
        for one, name in zip(files, names, strict=True)
    ]
    return {"title": "How it was measured", "files": listed, "command": " ".join(command)}


def _numbers(files: Sequence[FileMeasurement], names: Sequence[str]) -> dict[str, Any]:
    n = sum(len(one.rows) for one in files)
    stride = -(-n // MOST_ROWS)
    rows = []
    for one, name in zip(files, names, strict=True):
        kept = set(one.steps[::-1][::stride])  # counted from the end, so that the last step stays
        for step, row in one.rows:
            if step in kept:
                values = [getattr(row, column) for column in COLUMNS[3:]]
                rows.append([name, step, row.metric, *values])
    return {"title": f"{n:,} numbers", "table": {"columns": COLUMNS, "rows": rows}, "stride": stride, "n": n}
