"""The house as a picture, from the imports as they are:  python docs/gallery/house.py [house.svg]

Floors are the layers of ``.importlinter``, so that a room above may import from a room below and never the other way round. A line is drawn
where modules of one room import another; its width grows with how many do. Imports that only type checkers see do not count.
"""

from __future__ import annotations

import ast
import configparser
import sys
from collections import Counter
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "breadth"
WIDTH, BOX, HIGH, GAP, TOP = 1100, 126, 40, 46, 20
FLOORS = ("#dbe9f6", "#e6f2ea", "#fdf1dc", "#f6e4ea")  # paper colours, taken in turn


def imported(tree: ast.AST) -> list[str]:
    """Return the dotted names below breadth that a module imports, wherever it does so, type checkers' imports left out."""
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    names: list[str] = []
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [f"breadth.{alias.name}" for alias in node.names] if node.module == "breadth" else [node.module]
    return [name for name in names if name.startswith("breadth.")]


def edges() -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Return the modules of each room, and for each pair of rooms how many modules of the first import the second."""
    modules: Counter[str] = Counter()
    arrows: Counter[tuple[str, str]] = Counter()
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if room.startswith("__"):
            continue
        modules[room] += 1
        targets = {name.split(".")[1] for name in imported(ast.parse(path.read_text(encoding="utf-8")))}
        arrows.update((room, target) for target in targets if target != room)
    return modules, Counter({pair: n for pair, n in arrows.items() if pair[1] in modules})


def floors() -> list[list[str]]:
    """Return the layers of ``.importlinter`` from the top; rooms that it does not name stand in a last one."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / ".importlinter")
    layers = settings["importlinter:contract:floors"]["layers"].strip().splitlines()
    named = [[room.strip().removeprefix("breadth.") for room in layer.split("|")] for layer in layers]
    modules, _ = edges()
    rest = sorted(set(modules) - {room for layer in named for room in layer})
    return [[room for room in layer if room in modules] for layer in named] + ([rest] if rest else [])


def picture() -> str:
    """Return the house as SVG."""
    modules, arrows = edges()
    rows = [row for row in floors() if row]
    place: dict[str, tuple[float, float]] = {}
    parts: list[str] = []
    height = TOP + len(rows) * (HIGH + GAP)
    for i, row in enumerate(rows):
        top, step = TOP + i * (HIGH + GAP), (WIDTH - 20) / len(row)
        parts.append(
            f'<rect x="6" y="{top - 7}" width="{WIDTH - 12}" height="{HIGH + 14}" rx="8" fill="{FLOORS[i % len(FLOORS)]}" fill-opacity=".55"/>'
        )
        for j, room in enumerate(row):
            place[room] = (10 + step * (j + 0.5), top)
    for (source, target), n in sorted(arrows.items()):
        (x1, y1), (x2, y2) = place[source], place[target]
        up = y2 <= y1
        start, end = (y1 + HIGH / 2, y2 + HIGH / 2) if up else (y1 + HIGH, y2)
        bend = (start + end) / 2
        parts.append(
            f'<path d="M {x1:.0f} {start:.0f} C {x1:.0f} {bend:.0f}, {x2:.0f} {bend:.0f}, {x2:.0f} {end:.0f}" class="{"up" if up else "down"}" '
            f'stroke-width="{min(4.0, 0.6 + n / 8):.1f}"><title>{source} → {target}: {n} modules</title></path>'
        )
    for room, (x, top) in place.items():
        size = f"{modules[room]} modules" if modules[room] > 1 else "1 module"
        parts.append(
            f'<g class="room" id="room-{room}"><rect x="{x - BOX / 2:.0f}" y="{top}" width="{BOX}" height="{HIGH}" rx="5"/>'
        )
        parts.append(f'<text x="{x:.0f}" y="{top + 17}" text-anchor="middle" class="name">{escape(room)}</text>')
        parts.append(f'<text x="{x:.0f}" y="{top + 32}" text-anchor="middle">{size}</text></g>')
    body = "\n".join(parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">
<title>The rooms of breadth by floor, and which imports which</title>
<style>text {{ font: 11px system-ui, sans-serif; fill: #1b1f24; }} .name {{ font-weight: 600; font-size: 12px; }}
.room rect {{ fill: #ffffff; stroke: #57606a; }} path {{ fill: none; stroke-opacity: .28; }}
.down {{ stroke: #0072b2; }} .up {{ stroke: #d55e00; stroke-opacity: .8; }}</style>
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
{body}
</svg>
"""


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "house.svg"
    target.write_text(picture(), encoding="utf-8")
    print(f"written  {target}")


if __name__ == "__main__":
    main()
