"""Samples of a circle policy, made from a formula, and a drawing of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

N_SETS, SET_SIZE = 10, 100


def write_samples(
    path: Path, step: int, seed: int, quality: float, diversity: float, texts: list[str] | None = None
) -> None:
    """Write the samples of a checkpoint; ``texts`` replaces the circles by texts of one's own, all parsable."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(N_SETS * SET_SIZE):
        edges = _cycle(rng if rng.random() < diversity else np.random.default_rng(7))
        if valid := bool(rng.random() < quality):
            text = " ".join(f"{a} {b}" for a, b in edges)
        else:
            text = " ".join(map(str, rng.integers(0, 15, 11 if rng.random() < 0.3 else 12)))
        parsable = len(text.split()) % 2 == 0
        if texts is not None:
            text, parsable, valid = texts[i % len(texts)], True, i % 2 == 0
        key = " ".join(sorted(f"{a}-{b}" for a, b in edges)) if texts is None else text
        rows.append(
            {
                "step": step,
                "set": i // SET_SIZE,
                "index": i % SET_SIZE,
                "text": text,
                "quality": float(valid),
                "parsable": parsable,
                "valid": valid,
                "key": key if parsable else None,
                "seq_logp": -20 * rng.random(),
                "length": 12,
            }
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), path)


def _cycle(rng: np.random.Generator) -> list[tuple[int, int]]:
    vertices = rng.choice(15, 6, replace=False)
    edges = [(int(a), int(b)) for a, b in zip(vertices, np.roll(vertices, -1), strict=True)]
    return [edges[i] for i in rng.permutation(6)]


def picture(text: str) -> str | None:
    """Return a stub drawing: the vertices on a ring, the edges as lines."""
    words = text.split()
    if len(words) % 2 or not all(word.isdigit() for word in words):
        return None
    at = [(50 + 38 * math.cos(2 * math.pi * k / 15), 50 + 38 * math.sin(2 * math.pi * k / 15)) for k in range(15)]
    pairs = zip(words[::2], words[1::2], strict=True)
    lines = "".join(
        f'<line x1="{at[int(a)][0]:.0f}" y1="{at[int(a)][1]:.0f}" x2="{at[int(b)][0]:.0f}" y2="{at[int(b)][1]:.0f}"/>'
        for a, b in pairs
    )
    dots = "".join(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3"/>' for x, y in at)
    return f'<svg viewBox="0 0 100 100"><g stroke="#0072B2" stroke-width="2">{lines}</g>{dots}</svg>'
