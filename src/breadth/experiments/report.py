"""One self-contained page about a study: opens offline, loads nothing, and treats every text in it as hostile.

A section is a function that turns the evidence into the words of its template, and a line in ``SECTIONS``. The page
carries a content security policy that lets only its own scripts run (by their hashes) and nothing be fetched.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breadth.experiments import headlines
from breadth.experiments.checkpoints import checkpoint_data
from breadth.experiments.costs import costs
from breadth.experiments.decoding_plot import decoding_figure, decoding_title
from breadth.experiments.embedding import Embedded, packed
from breadth.experiments.evidence import Evidence, read_evidence
from breadth.experiments.examples import Picture, PictureBook, galleries
from breadth.experiments.forecast_panel import forecasts_section
from breadth.experiments.law_residuals import residuals_figure
from breadth.experiments.molecule_panels import molecules
from breadth.experiments.molecule_table import molecule_table
from breadth.experiments.notation import (
    DASH,
    VERDICTS,
    Shown,
    duration,
    interval_kinds,
    level,
    number,
    plural,
    shown,
    significant,
)
from breadth.experiments.pass_curves import passes_figure
from breadth.experiments.plots import Figure, frontier_figure, laws_figure, steps_figure, training_figure
from breadth.experiments.provenance import provenance, settings_by_objective
from breadth.experiments.table import LAWS, baseline, matched_qualities, result_rows
from breadth.experiments.traces import theme_colours
from breadth.experiments.where_panel import where_section
from breadth.ledger.rows import write_atomic

SCRIPTS = ("page_data.js", "report.js", "checkpoints.js", "page_life.js")  # parts of one script, in this order
COMPOSED = ("a", "b", "c", "r_max")
MOST_ROWS = 12_000  # of the table of all numbers: about 1 MB of the page
NUMBER_COLUMNS = (
    "objective",
    "seed",
    "step",
    "metric",
    "value",
    "error",
    "n",
    "n_unscored",
    "unit",
    "checkpoint",
    "row",
)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: ``templates/sections/<id>.html.j2`` with what ``build`` returns; None leaves it out."""

    id: str
    name: str  # in the page's contents
    build: Callable[[Evidence, PictureBook], dict[str, Any] | None]


def build_report(
    study_folder: Path,
    summary: Mapping[str, Any],
    *,
    out: Path,
    picture: Picture | None = None,
    live: int | None = None,
    tilt: Path | None = None,
) -> Path:
    """Write a study's report and return its path.

    Parameters
    ----------
    study_folder : Path
        Holds the runs that the summary names (``docs/formats.md``). What a run did not write is left out and said.
    summary : mapping
        The study's ``summary.json``.
    out : Path
        The HTML file to write, in one piece; its folder is made.
    picture : callable, optional
        ``picture(text)`` gives an SVG drawing of an answer, or None: a task's own ``picture``.
    live : int, optional
        For runs that go on: the page loads itself again every so many seconds.
    tilt : Path, optional
        A corpus tilt that ``breadth tilt`` saved; default: the study folder's own, if it is there.

    Raises
    ------
    LedgerError
        Where a file of rows is damaged; names file and line.
    """
    evidence = read_evidence(Path(study_folder), summary, tilt=tilt)
    book = PictureBook(picture)
    parts = [(section, section.build(evidence, book)) for section in SECTIONS]
    page = _render(evidence, [(section, words) for section, words in parts if words is not None], book, live)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, page.encode("utf-8", errors="replace"))
    return out


def overview(evidence: Evidence, _: PictureBook) -> dict[str, Any]:
    """The short table of results, per objective and per seed."""
    summary = evidence.summary
    rows = result_rows(summary)
    reference = baseline(summary)
    return {
        "title": "What each objective paid",
        "rows": rows,
        "qualities": [level(q) for q in matched_qualities(summary)],
        "baseline": evidence.names.get(reference, reference) if reference else None,
        "seeds": [
            _seed_row(evidence, label, run) for label, o in summary["objectives"].items() for run in o.get("runs") or ()
        ],
        "task": summary.get("task") or {},
    }


def _seed_row(evidence: Evidence, label: str, run: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's final numbers, each with the words that find its ledger row."""
    final = run.get("final") or {}
    numbers = []
    for role in ("quality", "diversity", "entropy"):
        metric = evidence.metric(role)
        cell = shown(final.get(metric), reason="" if run.get("complete") else "the run is not complete")
        words = f"objective={'_'.join(label.split())} seed={run['seed']} step={final.get('step')} metric={metric}"
        numbers.append(Shown(cell.text, cell.interval, cell.plus_minus, cell.value, cell.reason, words))
    matched = {round(row["quality"], 6): row for row in run.get("at_quality") or ()}
    at = [
        shown((matched.get(q) or {}).get("diversity"), reason=(matched.get(q) or {}).get("reason") or "not reached")
        for q in matched_qualities(evidence.summary)
    ]
    state = f"{run.get('steps', 0):,}" if run.get("complete") else f"{run.get('steps', 0):,}, not complete"
    return {
        "name": evidence.names[label],
        "seed": run["seed"],
        "state": state,
        "numbers": numbers,
        "at": at,
        "seconds": duration(run.get("seconds")),
    }


def _figure_section(
    draw: Callable[[Evidence], Figure], title: Callable[[Evidence], str]
) -> Callable[..., dict[str, Any] | None]:
    """Return a section of one figure; it is left out where the evidence holds nothing to draw."""

    def build(evidence: Evidence, _: PictureBook) -> dict[str, Any] | None:
        figure = draw(evidence)
        return {"title": title(evidence), "figure": figure} if figure.data else None

    return build


def laws(evidence: Evidence, _: PictureBook) -> dict[str, Any] | None:
    """The laws over their checkpoints, and what they leave over."""
    figure, left = laws_figure(evidence), residuals_figure(evidence)
    title = headlines.of_laws(result_rows(evidence.summary))
    return {"title": title, "figure": figure, "residuals": left if left.data else None} if figure.data else None


def fits(evidence: Evidence, _: PictureBook) -> dict[str, Any] | None:
    """Every fitted law, over all seeds of an objective and per seed, with what the composed law predicts below them."""
    pooled, single = [], []
    for label, entry in evidence.summary["objectives"].items():
        name = evidence.names[label]
        pooled += _fit_group(name, "all seeds", entry)
        for run in entry.get("runs") or ():
            single += _fit_group(name, f"seed {run['seed']}", run)
    how = interval_kinds(evidence.summary)
    return {"title": "The fits in numbers", "how": how, "pooled": pooled, "single": single} if pooled or single else None


def _fit_group(name: str, scope: str, source: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows that belong together, as one group, or nothing where nothing was fitted."""
    rows = [_fit_cells(LAWS.get(law, law), fit) for law, fit in (source.get("fits") or {}).items() if fit]
    if source.get("composition"):
        rows.append(_composition_cells(source["composition"]))
    lines = len(rows) + sum(bool(row["reason"]) for row in rows)  # a reason has a line of its own
    return [{"list": [{"name": name, "scope": scope, **row} for row in rows], "rows": lines}] if rows else []


def _fit_cells(law: str, fit: Mapping[str, Any]) -> dict[str, Any]:
    estimates = fit.get("params") or {}
    return {
        "law": law,
        "form": fit["formula"],
        "params": [
            shown(estimates[k], reason=fit.get("reason") or "", write=significant) if k in estimates else None
            for k in ("a", "b", "c")
        ],
        "r_max": None,
        "r2": number(fit.get("r2")),
        "rmse": number(fit.get("rmse")),
        "rmse_x": number(fit.get("rmse_x")),
        "n": str(fit.get("n", 0)),
        "n_effective": number(fit.get("n_effective"), 1),
        "verdict": fit["verdict"],
        "reason": fit.get("reason") or "",
    }


def _composition_cells(composed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of the law that R(H) and H(D) imply."""
    note = composed.get("note") or ""
    numbers = {
        k: Shown(
            significant(composed.get(k)), value=composed.get(k), reason="" if composed.get(k) is not None else note
        )
        for k in COMPOSED
    }
    return {
        "law": "R–D",
        "form": "composed of R–H and H–D",
        "params": [numbers["a"], numbers["b"], numbers["c"]],
        "r_max": numbers["r_max"],
        **dict.fromkeys(("r2", "rmse", "rmse_x", "n", "n_effective"), ""),
        "verdict": None,
        "reason": note,
    }


def comparisons(evidence: Evidence, _: PictureBook) -> dict[str, Any] | None:
    """Every comparison as a sentence, with its value and verdict."""
    if not evidence.summary.get("comparisons"):
        return None
    rows = [
        {
            **row,
            "name_a": evidence.names.get(row["a"], row["a"]),
            "name_b": evidence.names.get(row["b"], row["b"]),
            "shown": shown(row, reason=row["sentence"]),
            "margin": number(row.get("margin")),
        }
        for row in evidence.summary["comparisons"]
    ]
    return {
        "title": headlines.of_comparisons(evidence.summary, evidence.names),
        "rows": rows,
        "same_b": len({row["name_b"] for row in rows}) == 1,  # then its column would say the same in every row
        "same_margin": len({row["margin"] for row in rows}) == 1,
    }


def examples(evidence: Evidence, book: PictureBook) -> dict[str, Any] | None:
    """The samples of every run's last checkpoint."""
    shelves = galleries(evidence, book)
    title = "What the policies wrote at their last checkpoint"
    return {"title": title, "galleries": shelves, "n_left_out": book.n_left_out} if shelves else None


def settings(evidence: Evidence, _: PictureBook) -> dict[str, Any]:
    """Where the study comes from and how it was set."""
    return {"title": "Settings and provenance", **provenance(evidence), "by_objective": settings_by_objective(evidence)}


def numbers(evidence: Evidence, _: PictureBook) -> dict[str, Any] | None:
    """Every ledger row; of a very large study every k-th checkpoint, which is said."""
    rows = [
        [run.label, run.seed, *(row.get(c) for c in NUMBER_COLUMNS[2:-1]), f"{run.path}/ledger.jsonl:{row['line']}"]
        for run in evidence.runs
        for row in run.rows
    ]
    if not rows:
        return None
    stride = -(-len(rows) // MOST_ROWS)
    steps = sorted({row[2] for row in rows})
    kept = set(steps[::-1][::stride])  # counted from the end, so that the last checkpoint stays
    return {
        "title": headlines.of_numbers(evidence),
        "table": {"columns": NUMBER_COLUMNS, "rows": [row for row in rows if row[2] in kept]},
        "stride": stride,
        "n": len(rows),
    }


SECTIONS = (
    Section("overview", "Results", overview),
    Section(
        "steps", "Over training", _figure_section(steps_figure, lambda e: headlines.of_steps(result_rows(e.summary)))
    ),
    Section(
        "frontier",
        "Frontier",
        _figure_section(frontier_figure, lambda e: headlines.of_frontier(e.summary, result_rows(e.summary))),
    ),
    Section("decoding", "Decoding", _figure_section(decoding_figure, decoding_title)),
    Section("passes", "Pass@k", _figure_section(passes_figure, headlines.of_passes)),
    Section("molecule_table", "At equal quality", molecule_table),
    Section("comparisons", "Comparisons", comparisons),
    Section("laws", "Laws", laws),
    Section("fits", "Fits", fits),
    Section("forecasts", "Forecasts", forecasts_section),
    Section("examples", "Examples", examples),
    Section("molecules", "Molecules", molecules),
    Section("where", "Where it went", where_section),
    Section("training", "Training", _figure_section(training_figure, lambda _: "What was logged while training")),
    Section("costs", "Costs", costs),
    Section("settings", "Settings", settings),
    Section("numbers", "All numbers", numbers),
)


def _render(evidence: Evidence, parts: list[tuple[Section, dict[str, Any]]], book: PictureBook, live: int | None) -> str:
    seconds = evidence.summary.get("seconds") or {}
    return render_page(
        "report.html.j2",
        version=evidence.summary.get("breadth"),
        verdict=evidence.summary.get("verdict"),
        summary=evidence.summary,
        title=evidence.summary.get("title") or evidence.summary.get("study") or "study",
        names=evidence.names,
        parts=parts,
        checkpoints=checkpoint_data(evidence, book),
        live=live,
        pictures=book.pictures,
        n_seeds=len({run.seed for run in evidence.runs}),
        seconds=duration(seconds.get("total", seconds.get("total_this_time"))),
    )


def render_page(template: str, **words: Any) -> str:
    """Return a page from a template that is, or extends, ``report.html.j2``: its scripts, style, policy and themes.

    ``words`` need title, verdict, version, parts (pairs of :class:`Section` and its words) and pictures (name to SVG).
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    loader = PackageLoader("breadth.experiments", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["data"] = lambda value, id="": _data_element(packed(value), id)
    environment.filters["plural"] = plural
    environment.filters["number"] = number
    parts = [loader.get_source(environment, name)[0] for name in SCRIPTS]
    scripts = [get_plotlyjs(), "(async () => {\n" + "\n".join(parts) + "})();\n"]
    for script in scripts:
        if "</script" in script.lower() or "<!--" in script:
            raise ValueError(
                "report: a script of the page holds '</script' or '<!--', which would end or hide it inside HTML"
            )
    return environment.get_template(template).render(
        policy=_policy(scripts),
        scripts=[Markup(script) for script in scripts],
        style=Markup(loader.get_source(environment, "report.css")[0]),
        themes={"light": theme_colours(False), "dark": theme_colours(True)},
        verdicts=VERDICTS,
        dash=DASH,
        **words,
    )


def _data_element(data: Embedded, id: str) -> Any:
    from markupsafe import Markup

    named = Markup(' id="{}"').format(id) if id else ""
    return Markup('<script type="{}"{}>{}</script>').format(data.type, named, Markup(data.text))


def _policy(scripts: list[str]) -> str:
    """Return the content security policy: these scripts by their hashes, the page's own pictures, nothing fetched."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    rest = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {hashes}; {rest}"
