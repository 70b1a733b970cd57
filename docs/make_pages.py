"""Write what the pages of objectives generate, between their markers:  python docs/make_pages.py --study FOLDER ...

Each page of docs/objectives gets its row of the frontier table, from the last of the named study folders that holds the
objective, beside the row of that study's baseline; pages that none of them holds keep the row that they have. What a page says of TRL
and verl ends in lines from the catalogue, and docs/support.md is printed from it.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breadth import catalogue
from breadth.engine.streams import trainable
from breadth.experiments.notation import shown
from breadth.experiments.table import baseline
from breadth.objectives.support import TRL, VERL, support

PAGES = Path(__file__).resolve().parent / "objectives"
SUPPORT = Path(__file__).resolve().parent / "support.md"
HEAD, FOOT = "<!-- frontier-row -->", "<!-- /frontier-row -->"
HOSTS_HEAD, HOSTS_FOOT = "<!-- hosts -->", "<!-- /hosts -->"
HOSTS_SECTION = "## TRL and verl"
QUALITIES = (0.9, 0.95)
NOTHING_YET = "No study that comes with breadth has a row for it."


def cell(estimate: Mapping[str, Any] | None, digits: int = 3) -> str:
    """Return a number over seeds with half of its 95 % interval, or a dash."""
    found = shown(estimate, digits=digits)
    return f"{found.text} {found.plus_minus}".strip()


def row_of(summary: Mapping[str, Any], label: str) -> str:
    """Return the row of one objective: quality and diversity at the end, diversity at equal quality, and what it took."""
    entry = summary["objectives"][label]
    final, at = entry["final"], {round(found["quality"], 6): found for found in entry["at_quality"] or ()}
    seconds = [run["seconds"] for run in entry["runs"] if run.get("seconds") is not None]
    time = f"{sum(seconds) / len(seconds):.0f}" if seconds else "–"
    verdicts = [
        f"{found['verdict']} at {found['at'].replace('>=', '≥')}"
        for found in summary["comparisons"]
        if found["a"] == label and round(found["quality"] or 0, 6) in QUALITIES
    ]
    cells = [
        f"`{label}`",
        cell(final.get("quality")),
        cell(final.get("diversity")),
        *(cell(at.get(quality)) for quality in QUALITIES),
        cell(final.get("distinct_valid"), 0),
        time,
        "; ".join(verdicts) or ("baseline" if label == baseline(summary) else "–"),
    ]
    return "| " + " | ".join(cells) + " |"


def frontier_row(summary: Mapping[str, Any], label: str) -> str:
    """Return the block of a page: the table of two rows, and what a reader needs to repeat it."""
    reference = baseline(summary)
    at = " | ".join(f"D at R ≥ {quality:.2f}" for quality in QUALITIES)
    lines = [
        f"| objective | R | D | {at} | distinct valid in 1,000 | seconds a run | D against {reference} |",
        "|---|---:|---:|" + "---:|" * len(QUALITIES) + "---:|---:|---|",
        row_of(summary, label),
        *([row_of(summary, reference)] if reference not in (None, label) else []),
    ]
    entry = summary["objectives"][label]
    train = entry["settings"]["train"]
    seeds = ", ".join(str(run["seed"]) for run in entry["runs"])
    numbers = ", ".join(f"{name} {value}" for name, value in chosen(entry).items())
    about = (
        f"`breadth study {summary['study']}`: seeds {seeds}, {train['steps']} steps of {train['prompts'] * train['group_size']} rollouts at "
        f"learning rate {train['learning_rate']:g}{f', {numbers}' if numbers else ''}; last checkpoint, ± is half of the 95 % interval "
        f"over seeds; task `{summary['task']['name']}`."
    )
    return "\n".join([*lines, "", about])


def chosen(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an objective that the study set otherwise than their default."""
    default = catalogue.objective(entry["kind"]).settings
    return {name: value for name, value in entry["settings"]["objective"].items() if default.get(name) != value}


def with_row(page: str, block: str) -> str:
    """Return a page with the block between its markers; where it has none yet they take the place of its last line on results."""
    marked = f"{HEAD}\n{block}\n{FOOT}"
    if HEAD in page:
        return re.sub(f"{HEAD}.*?{FOOT}", lambda _: marked, page, flags=re.S)
    page = re.sub(r"\n+Results[^\n]*: see the README table\.\s*$", "\n", page).rstrip("\n")
    return f"{page}\n\n## Result\n\n{marked}\n"


def hosts_block(name: str) -> str:
    """Return what a page says of running its objective inside TRL and verl, with links to the pages that show how."""
    found = support(catalogue.objective(name))
    trainer = f'`BreadthGRPOConfig(objective="{name}")`'
    in_trl = {
        "advantages": ("an-objective", trainer),
        "loss": ("an-objective", trainer),
        "pairs": ("preference-pairs", f'`BreadthDPOConfig(preset="{name}")`'),
        "logits": ("supervised-before-any-reinforcement", f'`sft_loss("{name}")`'),
    }
    if found["trl"]:
        anchor, words = in_trl[found["trl"]]
        trl = f"[In TRL](../trl.md#{anchor}): {words}, {TRL[found['trl']]}."
    else:
        trl = "[In TRL](../trl.md): not carried ([what decides](../support.md))."
    if found["verl"] in ("estimator", "trainer"):
        verl = f"[In verl](../verl.md#two-ways-in): `python -m breadth.plugins.verl {name}` prints its arguments; {VERL[found['verl']]}."
    else:
        verl = f"[In verl](../verl.md): {VERL.get(found['verl'], 'not carried')}" + ("." if found["verl"] else " ([what decides](../support.md)).")
    return f"- {trl}\n- {verl}"


def with_hosts(page: str, block: str) -> str:
    """Return a page with the block at the end of its section on TRL and verl; ValueError where it has no such section."""
    marked = f"{HOSTS_HEAD}\n{block}\n{HOSTS_FOOT}"
    if HOSTS_HEAD in page:
        return re.sub(f"{HOSTS_HEAD}.*?{HOSTS_FOOT}", lambda _: marked, page, flags=re.S)
    before, section, after = page.partition(f"\n{HOSTS_SECTION}\n")
    if not section:
        raise ValueError(f"expected a section {HOSTS_SECTION!r}, found none")
    text, following, rest = after.partition("\n## ")
    return f"{before}{section}{text.rstrip()}\n\n{marked}\n{following}{rest}"


def support_page() -> str:
    """Return docs/support.md: which objective runs where, and what it needs."""
    lines = [
        "# Where each objective runs",
        "",
        "`native` is `breadth train`; the other two are the plug-ins for TRL and verl. What decides is the family of an objective, its",
        "pieces and the streams that it needs, at default settings (`breadth.objectives.support.support(objective)` answers for other",
        "settings: a learned log Z, a replay or a model of novelty keeps an objective native). This page is generated:",
        "`python docs/make_pages.py`.",
        "",
        "| objective | family | native | TRL | verl | needs |",
        "|---|---|---|---|---|---|",
    ]
    for name, entry in catalogue.entries("objective").items():
        objective = catalogue.objective(name)
        found = support(objective)
        assert found["native"] == (trainable(objective) is None), name
        where = ["yes" if found["native"] else "no", found["trl"] or "–", found["verl"] or "–"]
        needs = ", ".join(f"`{stream}`" for stream in objective.needs)
        lines.append("| " + " | ".join([f"[{name}](objectives/{name}.md)", entry.family, *where, needs]) + " |")
    for host, words in (("TRL", TRL), ("verl", VERL)):
        lines += ["", f"{host}:", "", *(f"- **{word}**: {meaning}." for word, meaning in words.items())]
    lines += [
        "",
        "A dash: the plug-in does not carry it. verl's losses run on micro-batches that know neither groups nor entropies, so that group",
        "losses and choices among all tokens of a batch stay out; an objective of the family `group` still has its advantage form",
        "(`objective.advantage(...)`), which pulls the same way on-policy. TRL has no PPO and draws no further groups.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--study",
        type=Path,
        nargs="*",
        default=[],
        help="folders of studies; the last one that holds an objective counts",
    )
    rows: dict[str, str] = {}
    for folder in parser.parse_args().study:
        summary = json.loads((folder / "summary.json").read_text())
        labels = {entry["kind"]: label for label, entry in reversed(summary["objectives"].items())}
        labels |= {label: label for label, entry in summary["objectives"].items() if label == entry["kind"]}
        rows |= {kind: frontier_row(summary, label) for kind, label in labels.items()}
    for name in catalogue.entries("objective"):
        path = PAGES / f"{name}.md"
        page = with_hosts(path.read_text(), hosts_block(name))
        path.write_text(with_row(page, rows.get(name, NOTHING_YET)) if name in rows or HEAD not in page else page)
    SUPPORT.write_text(support_page())


if __name__ == "__main__":
    main()
