"""A report as Markdown: its verdicts and tables, for a terminal, a pull request or a notebook. Curves stand on the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from breadth.experiments.costs import costs
from breadth.experiments.evidence import Evidence, read_evidence
from breadth.experiments.forecast_panel import forecasts_section
from breadth.experiments.molecule_table import molecule_table
from breadth.experiments.notation import DASH, VERDICTS, Shown
from breadth.experiments.report import comparisons, fits, overview
from breadth.experiments.table import escape_markdown, markdown_table

PROSE = ("in words", "reason", "held")  # columns of words


def markdown_report(folder: Path, summary: Mapping[str, Any], *, tilt: Path | None = None) -> str:
    """Return a study's report as GitHub-flavoured Markdown; every text in it that is not ours is escaped.

    Parameters
    ----------
    folder : Path
        Holds the runs that the summary names.
    summary : mapping
        As ``report.json`` or a study's ``summary.json`` holds it. Numbers that are missing become dashes.
    tilt : Path, optional
        A saved corpus tilt; default: the folder's own, if it is there.
    """
    evidence = read_evidence(folder, summary, tilt=tilt)
    title = summary.get("title") or summary.get("study") or "study"
    parts = [
        f"# {escape_markdown(str(title))}",
        escape_markdown(str(summary.get("verdict") or "No verdict was reached.")),
    ]
    parts += ["## Results", markdown_table(summary).strip()]
    for heading, table in (
        ("At equal quality", _molecules(evidence)),
        ("Comparisons", _comparisons(evidence)),
        ("Fitted laws", _fits(evidence)),
        ("Forecasts", _forecasts(evidence)),
        ("Each run", _runs(evidence)),
        ("Costs", _costs(evidence)),
    ):
        if table:
            parts += [f"## {heading}", table]
    parts += ["## Where it comes from", _provenance(summary)]
    return "\n\n".join(parts) + "\n"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """Return a table; the first ``left`` columns and those of ``PROSE`` are words, the others numbers."""
    marks = ["---" if i < left or column in PROSE else "---:" for i, column in enumerate(columns)]
    lines = [[escape_markdown(column) for column in columns], marks]
    body = [[escape_markdown(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines + body) if body else ""


def _cell(cell: Shown | str | None) -> str:
    if cell is None or isinstance(cell, str):
        return cell or ""
    return f"{cell.text} ({cell.interval})" if cell.interval else cell.text


def _verdict(verdict: str | None) -> str:
    return f"{VERDICTS[verdict][0]} {verdict}" if verdict in VERDICTS else verdict or DASH


def _comparisons(evidence: Evidence) -> str:
    found = comparisons(evidence, None)  # type: ignore[arg-type]
    if found is None:
        return ""
    rows = [
        (
            _verdict(row["verdict"]),
            row["name_a"],
            row["name_b"],
            row["at"].replace(">=", "≥"),
            _cell(row["shown"]),
            str(row["n_seeds"]),
            row["sentence"],
        )
        for row in found["rows"]
    ]
    return _table(("verdict", "A", "B", "read", "D of A − D of B", "seeds", "in words"), rows, left=4)


def _molecules(evidence: Evidence) -> str:
    found = molecule_table(evidence, None)
    if found is None:
        return ""
    columns = (
        "objective", "R ≥", "D policy", "D its own law", "D published law", "D tilted corpus", *found["counts"],
        f"AUC top-{found['top']}", "diverse hits per calls",
    )  # fmt: skip
    rows = [
        (
            row["name"], row["quality"],
            *(_cell(row[key]) for key in ("policy", "own_law", "published", "tilt")),
            *map(_cell, row["counts"]), _cell(row["auc"]), _cell(row["call_hits"]),
        )
        for row in found["rows"]
    ]  # fmt: skip
    calls = f"The last two columns: {found['budget']:,} distinct molecules a run." if found["budget"] else "No run kept a log of its oracle calls."
    return f"{escape_markdown(found['title'])}.\n\n{_table(columns, rows)}\n\n{calls}"


def _fits(evidence: Evidence) -> str:
    found = fits(evidence, None)  # type: ignore[arg-type]
    if found is None:
        return ""
    rows = [
        (
            line["name"],
            f"{line['law']}: {line['form']}",
            _verdict(line["verdict"]),
            *map(_cell, line["params"]),
            line["r2"],
            line["n"],
            line["reason"],
        )
        for group in found["pooled"]
        for line in group["list"]
        if line["verdict"] is not None
    ]
    table = _table(("objective", "law", "verdict", "a", "b", "c", "R²", "n", "reason"), rows, left=3)
    return f"{table}\n\n95 % intervals: {found['how']}."


def _forecasts(evidence: Evidence) -> str:
    found = forecasts_section(evidence, None)
    if found is None:
        return ""
    rows = [
        (
            row["name"],
            str(row["seed"]),
            row["step"],
            row["end"],
            row["came"],
            DASH if row["inside"] is None else "yes" if row["inside"] else "no",
        )
        for row in found["rows"]
    ]
    words = ("objective", "seed", "told at step", "last D, told (80 %)", "last D, came", "held")
    return f"{escape_markdown(found['title'])}.\n\n{_table(words, rows)}"


def _runs(evidence: Evidence) -> str:
    found = overview(evidence, None)  # type: ignore[arg-type]
    columns = ("objective", "seed", "steps", "R", "D", "H", *(f"D at R ≥ {q}" for q in found["qualities"]), "time")
    rows = []
    for row in found["seeds"]:
        numbers = [f"{n.text} {n.plus_minus}".strip() for n in row["numbers"]]
        rows.append(
            (row["name"], str(row["seed"]), row["state"], *numbers, *(n.text for n in row["at"]), row["seconds"])
        )
    return _table(columns, rows)


def _costs(evidence: Evidence) -> str:
    found = costs(evidence, None)
    if found is None:
        return ""
    rows = [
        (
            row["name"],
            str(row["seed"]),
            row["seconds"].text,
            row["rollouts"].text,
            row["tokens"].text,
            row["pace"],
            row["unscored"],
            row["measured"],
        )
        for row in found["rows"]
    ]
    columns = (
        "objective",
        "seed",
        "time",
        "rollouts",
        "tokens",
        "tokens per second",
        "not scored",
        "samples to measure",
    )
    return f"{escape_markdown(found['title'])}.\n\n{_table(columns, rows)}"


def _provenance(summary: Mapping[str, Any]) -> str:
    prior = summary.get("prior") or {}
    facts = {
        "study": summary.get("study"),
        "command": summary.get("command"),
        "commit": summary.get("commit"),
        "breadth": summary.get("breadth"),
        "prior": prior.get("hash"),
    }
    return "\n".join(f"- {name}: {escape_markdown(str(value)) if value else DASH}" for name, value in facts.items())
