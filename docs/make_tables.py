"""Write the generated tables of the README between their markers:  python docs/make_tables.py

Objectives come from the catalogue. The table of the circle study comes from a study's folder, if one is named:
python docs/make_tables.py runs/circle
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from breadth import catalogue
from breadth.experiments.table import markdown_table

README = Path(__file__).resolve().parents[1] / "README.md"


def objectives_table() -> str:
    """Return the catalogue's objectives as Markdown."""
    lines = ["| name | method | family | what it does | source |", "|---|---|---|---|---|"]
    for entry in catalogue.entries("objective").values():
        cells = [f"[`{entry.name}`](docs/objectives/{entry.name}.md)", entry.title, entry.family, entry.summary, entry.source]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def circle_table(folder: Path) -> str:
    """Return a study's short table and verdict as Markdown, with what a reader needs to repeat it."""
    summary = json.loads((folder / "summary.json").read_text())
    seconds = summary["seconds"]
    about = (
        f"Seeds {', '.join(map(str, summary['settings']['study']['seeds']))}; 1,000 samples per checkpoint in 10 sets; commit {summary['commit']}; "
        f"`{summary['command']}`; {seconds['total_this_time']:.0f} s on {summary['machine']['cores']} cores ({summary['machine']['processor']})."
    )
    return f"{markdown_table(summary)}\n{summary['verdict']}\n\n{about}"


def between(text: str, name: str, table: str) -> str:
    """Return text with what stands between ``<!-- name -->`` and ``<!-- /name -->`` replaced."""
    return re.sub(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda m: f"{m[1]}{table}\n{m[2]}", text, flags=re.S)


def main() -> None:
    text = between(README.read_text(), "objectives-table", objectives_table())
    if len(sys.argv) > 1:
        text = between(text, "circle-table", circle_table(Path(sys.argv[1])))
    README.write_text(text)


if __name__ == "__main__":
    main()
