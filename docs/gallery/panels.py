"""What the small pictures of this folder share: the python blocks of a page, run in an empty folder, and a plain SVG frame."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
BLUE, ORANGE = "#0072b2", "#d55e00"  # Okabe and Ito: told apart by the colour-blind


@contextmanager
def first_block_of(page: str) -> Iterator[Path]:
    """Run the first python block of a page in an empty folder, which is the working folder inside the ``with``."""
    code = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S)[0]
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            exec(compile(code, page, "exec"), {})
            yield Path(folder)
        finally:
            os.chdir(before)


def framed(title: str, width: int, height: int, parts: list[str]) -> str:
    """Return an SVG with a title for readers of screens, light paper in any theme."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
            f"<title>{title}</title>",
            "<style>text { font: 12px system-ui, sans-serif; fill: #1b1f24; } .grid { stroke: #e4e7eb; } .zero { stroke: #8b949e; }",
            ".line { fill: none; stroke-width: 2; } .bar { stroke-width: 2; stroke-opacity: .5; }</style>",
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        ]
    )
