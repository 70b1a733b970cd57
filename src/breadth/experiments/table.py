"""The short table of a study: one row per objective, for the terminal, for Markdown and for the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from breadth.experiments.notation import DASH, VERDICTS, Shown, display_names, is_number, level, shown

if TYPE_CHECKING:
    from rich.table import Table

LAWS = {"R-D": "R–D", "R-H": "R–H", "H-D": "H–D"}  # key in the summary -> how it is written
STYLES = {"good": "green", "bad": "red", "even": "cyan", "open": "yellow"}


@dataclass(frozen=True, slots=True)
class ResultRow:
    """What one objective came to."""

    label: str
    name: str
    is_baseline: bool
    n_runs: int
    n_complete: int
    final: Mapping[str, Shown]  # "quality" | "diversity" | "entropy"
    at_quality: tuple[Shown, ...]  # in the order of matched_qualities
    laws: Mapping[str, tuple[str, str]]  # "R-D" -> (verdict or a dash, reason)
    comparison: Mapping[str, Any] | None  # against the baseline, at the headline quality
    comparison_reason: str


def baseline(summary: Mapping[str, Any]) -> str | None:
    """Return the label that the others are compared with: ``summary["baseline"]``, else the most frequent ``b``."""
    named = summary.get("baseline")
    if named in summary.get("objectives", {}):
        return named
    counts = Counter(row["b"] for row in summary.get("comparisons", ()))
    return counts.most_common(1)[0][0] if counts else None


def matched_qualities(summary: Mapping[str, Any]) -> list[float]:
    """Return the qualities at which the summary reads diversity, ascending."""
    return sorted(
        {round(row["quality"], 6) for o in summary.get("objectives", {}).values() for row in o.get("at_quality") or ()}
    )


def headline_quality(summary: Mapping[str, Any]) -> float | None:
    """Return the quality of the short table: the highest of those at which most comparisons have a value.

    Where none has one: of those that most runs reach. None where no quality is matched.
    """
    qualities = matched_qualities(summary)
    compared = Counter(
        round(row["quality"], 6)
        for row in summary.get("comparisons", ())
        if row["quality"] is not None and is_number(row["value"])
    )
    entries = summary.get("objectives", {}).values()
    at = [row for entry in entries for q in qualities if is_number((row := _at(entry, q) or {}).get("value"))]
    reached: Counter[float] = Counter()
    for row in at:
        reached[round(row["quality"], 6)] += row.get("n_seeds", 1)
    counts = compared if compared else reached
    return max(qualities, key=lambda q: (counts[q], q), default=None)


def result_rows(summary: Mapping[str, Any]) -> list[ResultRow]:
    """Return one row per objective, in the summary's order."""
    names, reference, at = display_names(summary), baseline(summary), headline_quality(summary)
    metrics = summary.get("metrics") or {"quality": "quality", "diversity": "diversity", "entropy": "policy_entropy"}
    rows = []
    for label, entry in summary.get("objectives", {}).items():
        runs = entry.get("runs") or []
        n_complete = sum(bool(run.get("complete")) for run in runs)
        reason = "" if n_complete else "no complete run"
        final = entry.get("final") or {}
        comparison = _against(summary, label, reference, at)
        rows.append(
            ResultRow(
                label=label,
                name=names[label],
                is_baseline=label == reference,
                n_runs=len(runs),
                n_complete=n_complete,
                final={
                    role: shown(final.get(metrics[role]), reason=reason) for role in ("quality", "diversity", "entropy")
                },
                at_quality=tuple(shown(_at(entry, q), reason=_why_not(entry, q)) for q in matched_qualities(summary)),
                laws={law: _law(entry, law) for law in LAWS},
                comparison=comparison,
                comparison_reason=""
                if comparison
                else "the baseline"
                if label == reference
                else "no comparison was made",
            )
        )
    return rows


def _at(entry: Mapping[str, Any], quality: float) -> Mapping[str, Any] | None:
    return next((row for row in entry.get("at_quality") or () if round(row["quality"], 6) == quality), None)


def _why_not(entry: Mapping[str, Any], quality: float) -> str:
    """Return why an objective has no diversity at a quality: the reasons of its runs, each once."""
    runs = entry.get("runs") or ()
    reasons = [
        row.get("reason") for run in runs for row in run.get("at_quality") or () if round(row["quality"], 6) == quality
    ]
    return "; ".join(dict.fromkeys(r for r in reasons if r)) or ("not reached" if runs else "no complete run")


def _law(entry: Mapping[str, Any], law: str) -> tuple[str, str]:
    fit = (entry.get("fits") or {}).get(law)
    return (str(fit["verdict"]), str(fit.get("reason") or "")) if fit else (DASH, "not fitted")


def _against(
    summary: Mapping[str, Any], label: str, reference: str | None, at: float | None
) -> Mapping[str, Any] | None:
    """Return the comparison with the baseline at the headline quality, else at the highest quality there is."""
    rows = [row for row in summary.get("comparisons", ()) if row["a"] == label and row["b"] == reference]
    return max(
        rows, key=lambda row: ((q := row.get("quality")) is not None and round(q, 6) == at, q or 0.0), default=None
    )


def _columns(summary: Mapping[str, Any]) -> list[str]:
    at, reference = headline_quality(summary), baseline(summary)
    return [
        "objective",
        "R",
        "D",
        "H",
        "D at matched R" if at is None else f"D at R ≥ {level(at)}",
        "R–D law",
        "R–H law",
        f"vs {reference}" if reference else "comparison",
    ]


def _cells(summary: Mapping[str, Any], row: ResultRow) -> list[tuple[str, str]]:
    """Return the (text, tone) of each column of a row."""
    at, qualities = headline_quality(summary), matched_qualities(summary)
    # the label, not the title: it is what --objectives takes, and short
    name = (
        row.label if row.n_complete == row.n_runs else f"{row.label} ({row.n_complete} of {row.n_runs} runs complete)"
    )
    numbers = [*row.final.values(), row.at_quality[qualities.index(at)] if at is not None else Shown(DASH)]
    verdict = str(row.comparison["verdict"]) if row.comparison else "baseline" if row.is_baseline else DASH
    verdicts = [row.laws["R-D"][0], row.laws["R-H"][0], verdict]
    return [
        (name, ""),
        *((f"{n.text} {n.plus_minus}".strip(), "") for n in numbers),
        *((v, VERDICTS.get(v, ("", ""))[1]) for v in verdicts),
    ]


def _caption(summary: Mapping[str, Any]) -> str:
    n_seeds = max((len(entry.get("runs") or ()) for entry in summary.get("objectives", {}).values()), default=0)
    spread = "± is half of the 95 % Student-t interval over seeds" if n_seeds > 1 else "one seed: no interval"
    return f"R quality, D diversity, H policy entropy (nats per token), last checkpoint; {spread}; {DASH} not known"


def study_table(summary: Mapping[str, Any]) -> Table:
    """Return the short table that a study prints: R, D, H at the end, D at matched R, the laws, the comparison.

    Parameters
    ----------
    summary : mapping
        A study's ``summary.json``. Numbers that are missing become dashes.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    # Text, not markup: a label such as "[red]" is shown as it is
    title, caption = Text(f"study {summary.get('study', '')}", style="bold"), Text(_caption(summary))
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.title_justify = table.caption_justify = "left"
    rows = result_rows(summary)
    longest = max((len(line) for row in rows for line in _folded(row.label).splitlines()), default=9)
    for i, column in enumerate(_columns(summary)):
        heading = Text(column.replace(" at R", "\nat R").replace(" law", "\nlaw").replace("vs ", "vs\n"))
        is_number_column = 0 < i < 5
        least = (
            min(max(longest, 9), 10) if i == 0 else 7 if is_number_column else 8
        )  # "± 0.010", "does not", "baseline"
        table.add_column(heading, justify="right" if is_number_column else "left", min_width=least, overflow="fold")
    for row in rows:
        # the spread stands under its number, so that the table fits into 80 columns
        table.add_row(*(Text(_folded(text), style=STYLES.get(tone, "")) for text, tone in _cells(summary, row)))
    return table


def _folded(text: str) -> str:
    """Return a cell with its spread on a line of its own, and a long label broken behind an underscore."""
    head, underscore, tail = text.rpartition("_")
    if underscore and len(text) > 10 and " " not in text:
        return f"{head}_\n{tail}"
    return text.replace(" ±", "\n±")


def markdown_table(summary: Mapping[str, Any]) -> str:
    """Return the same table as GitHub-flavoured Markdown, ending in its caption."""
    lines = [[escape_markdown(column) for column in _columns(summary)]]
    lines.append(["---", *["---:"] * 4, "---", "---", "---"])
    lines += [[escape_markdown(text) for text, _ in _cells(summary, row)] for row in result_rows(summary)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + f"\n\n{_caption(summary)}\n"


def escape_markdown(text: str) -> str:
    """Return text that a Markdown reader takes for text: no cell, tag, link or emphasis is opened by it."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\|`*_[]":
        text = text.replace(mark, "\\" + mark)
    return text
