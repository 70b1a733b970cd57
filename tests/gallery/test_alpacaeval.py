"""The worked page's script, on a small set of the same form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "gallery" / "alpacaeval.py"


def test_a_small_set_gives_tables_and_a_picture(tmp_path):
    generator = np.random.default_rng(0)
    widths = {"wide": 400, "narrow<b>": 12, "gpt4_1106_preview": 100, "unrated": 50}
    rows = [
        {
            "prompt": f"p{p}",
            "outputs": {m: " ".join(f"w{i}" for i in generator.integers(w, size=40)) for m, w in widths.items()},
        }
        for p in range(40)
    ]
    (tmp_path / "o.jsonl").write_text("\n".join(map(json.dumps, rows)))
    rates = [{"model": m, "length_controlled_winrate": 4.0 + 10 * i} for i, m in enumerate(list(widths)[:3])]
    (tmp_path / "w.jsonl").write_text("\n".join(map(json.dumps, rates)))
    words = [
        tmp_path / "o.jsonl",
        "--winrates",
        tmp_path / "w.jsonl",
        "--svg",
        tmp_path / "p.svg",
        "--metric",
        "distinct_2",
    ]
    done = subprocess.run([sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = {line.split("|")[1].strip(): line.split("|") for line in done.stdout.splitlines() if line.startswith("| ")}
    assert (
        float(lines["wide"][5].split()[0]) > float(lines["narrow<b>"][5].split()[0])
        and lines["unrated"][2].strip() == "–"
    )
    picture = ElementTree.parse(tmp_path / "p.svg").getroot()
    circles = list(picture.iter("{http://www.w3.org/2000/svg}circle"))
    assert [c[0].text for c in circles] == ["wide", "narrow<b>", "gpt4_1106_preview"]
