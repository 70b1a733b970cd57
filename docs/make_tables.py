"""Write the generated tables of the README between their markers:  python docs/make_tables.py

Objectives come from the catalogue. The tables of studies come from their folders, where they are named:
python docs/make_tables.py --circle runs/circle --frontier runs/objectives
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from breadth import catalogue
from breadth.experiments.table import markdown_table
from breadth.experiments.verdict import verdict_sentence

README = Path(__file__).resolve().parents[1] / "README.md"


def objectives_table() -> str:
    """Return the catalogue's objectives as Markdown."""
    lines = ["| name | method | family | what it does | source |", "|---|---|---|---|---|"]
    for entry in catalogue.entries("objective").values():
        cells = [f"[`{entry.name}`](docs/objectives/{entry.name}.md)", entry.title, entry.family, entry.summary, entry.source]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def study_result(folder: Path) -> str:
    """Return a study's short table and verdict as Markdown, with what a reader needs to repeat it."""
    summary = json.loads((folder / "summary.json").read_text())
    seconds, tuning = summary["seconds"], summary.get("tuning")
    searched = ""
    if tuning:
        rates = ", ".join(f"{name} {rate:g}" for name, rate in tuning["chosen"].items())
        searched = f" Tuning: {tuning['budget']}; chosen: {rates}."
    machine, seeds = summary["machine"], ", ".join(map(str, summary["settings"]["study"]["seeds"]))
    about = (
        f"Seeds {seeds}; 1,000 samples per checkpoint in 10 sets; commit {summary['commit']}; `breadth study {summary['study']}`; "
        f"{seconds['total_this_time']:.0f} s on {machine['cores']} cores ({machine['processor']}).{searched}"
    )
    return f"{markdown_table(summary)}\n{verdict_sentence(summary)}\n\n{about}"


def between(text: str, name: str, table: str) -> str:
    """Return text with what stands between ``<!-- name -->`` and ``<!-- /name -->`` replaced."""
    return re.sub(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda m: f"{m[1]}{table}\n{m[2]}", text, flags=re.S)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--circle", type=Path, help="folder of the study whose table opens the README")
    arguments.add_argument("--frontier", type=Path, help="folder of the study that compares objectives")
    given = arguments.parse_args()
    text = between(README.read_text(), "objectives-table", objectives_table())
    for name, folder in (("circle-table", given.circle), ("frontier-table", given.frontier)):
        if folder is not None:
            text = between(text, name, study_result(folder))
    README.write_text(text)


if __name__ == "__main__":
    main()
