"""The page about files: what it says is what was measured, and every text in it stays text."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from breadth.experiments.collapse import collapse_verdict, lost_between
from breadth.experiments.embedding import unpack
from breadth.experiments.file_report import build_file_report, file_names
from breadth.experiments.generations import compare_measured, measure_path
from breadth.experiments.notation import number

HOSTILE = "<script>window.hit=1</script><img src=x onerror=window.hit=2>"


def write(path, widths, seed=0, hostile="", n_prompts=8):
    generator = np.random.default_rng(seed)
    rows = []
    for step, width in enumerate(widths):
        for p in range(n_prompts):
            for _ in range(4):
                text = " ".join(f"w{i}" for i in generator.integers(width, size=8)) + hostile
                row = {"prompt": f"prompt {p}{hostile}", "response": text, "reward": float(generator.random())}
                rows.append(
                    {**row, "step": step}
                    if len(widths) > 1
                    else {**row, "sampling": {"temperature": 1.0, "model": f"m{hostile}"}}
                )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def build(paths, out):
    files = measure_path(paths)
    verdicts = [collapse_verdict(one) if len(one.steps) > 1 else None for one in files]
    differences = [compare_measured(files[0], other) for other in files[1:]]
    return (
        files,
        differences,
        build_file_report(files, verdicts, differences, out=out, command=["breadth", "measure"]).read_text(),
    )


def test_a_log_gets_curves_a_verdict_and_its_prompts(tmp_path):
    files, _, page = build([write(tmp_path / "log.jsonl", [100, 100, 20, 4])], tmp_path / "out" / "page.html")
    verdict = collapse_verdict(files[0])
    assert verdict.sentence in page and 'id="figure-curves"' in page and 'id="figure-plane"' in page
    assert verdict.lost[0].prompt in page and verdict.lost[0].answers_after[0] in page
    table = unpack(*re.search(r'<script type="([^"]*)" id="numbers-data">(.*?)</script>', page, re.S).groups())
    assert len(table["rows"]) == len(files[0].rows)
    value = files[0].series("rouge1_distance")[-1][1]
    assert f'<data value="{value.value}">{number(value.value)}</data>' in page
    # nothing is fetched: the library itself names addresses, the page's own words do not
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert not re.search(r"https?://|<link|<iframe", own)


def test_two_files_are_set_against_each_other_the_right_way_round(tmp_path):
    paths = [write(tmp_path / "base.jsonl", [100]), write(tmp_path / "tuned.jsonl", [6], seed=1)]
    files, (found,), page = build(paths, tmp_path / "page.html")
    lead = next(one for one in found if one.metric == "rouge1_distance")
    assert lead.verdict == "bought"  # base − tuned: base is the wider one
    assert "tuned.jsonl is narrower than base.jsonl: rouge1_distance differs by \u2212" in page
    assert "narrower</span>" in page and "tuned.jsonl is wider" not in page
    assert "temperature 1" in page and "base.jsonl is the wider of 2 files by rouge1 distance" in page
    lost = lost_between(*files, "rouge1_distance")
    assert lost[0].before - lost[0].after >= lost[-1].before - lost[-1].after > 0
    assert lost[0].answers_before[0] in page and lost[0].answers_after[0] in page
    _, _, back = build(paths[::-1], tmp_path / "back.html")
    assert "base.jsonl is wider than tuned.jsonl: rouge1_distance differs by 0." in back


def test_equal_names_and_one_file_without_quality(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        write(tmp_path / name / "x.jsonl", [50])
    files = measure_path([tmp_path / "a" / "x.jsonl", tmp_path / "b" / "x.jsonl"])
    assert file_names(files) == ["a/x.jsonl", "b/x.jsonl"]
    bare = tmp_path / "bare.jsonl"
    bare.write_text("".join(json.dumps({"prompt": "p", "response": f"w{i}"}) + "\n" for i in range(4)))
    _, _, page = build([bare], tmp_path / "page.html")
    assert 'id="figure-plane"' not in page and "rouge1_distance is 1.000." in page and "no interval" in page
    with pytest.raises(ValueError, match="expected at least one measured file"):
        build_file_report([], [], [], out=tmp_path / "x.html")


def test_hostile_text_stays_text(tmp_path):
    folder = tmp_path / HOSTILE.replace("/", "-")[:40]
    folder.mkdir()
    paths = [
        write(folder / f"{name}.jsonl", [40], seed, hostile=HOSTILE)
        for seed, name in enumerate(("a<b>", "</title>b".replace("/", "")))
    ]
    _, _, page = build(paths, tmp_path / "page.html")
    assert "<script>window.hit" not in page and "<img src=x" not in page and "&lt;script&gt;window.hit=1" in page
    assert "<title>a&lt;b&gt;.jsonl" in page
