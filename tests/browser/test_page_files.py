"""What the browser makes of a page: figures as files, a PDF, and a page that loads itself again while runs go on."""

from __future__ import annotations

import csv
import json
import os
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from synthetic_samples import picture
from synthetic_study import make_study

from breadth.experiments import browser
from breadth.experiments.report import build_report

BASELINES = Path(__file__).parent / "baselines"
# Fonts differ from machine to machine: figures are compared as blocks of 8 by 8 pixels, whose mean grey may differ by at most
# MEAN over the figure and by WORST in the worst hundredth of the blocks (of 255).
SIZE, MEAN, WORST = 480, 2.5, 45.0
COMPARE = """(async (one, other) => {
  const blocks = async (data) => {
    const image = new Image(); image.src = 'data:image/png;base64,' + data; await image.decode();
    const canvas = document.createElement('canvas'); canvas.width = Math.round(image.width / 8); canvas.height = Math.round(image.height / 8);
    const pen = canvas.getContext('2d'); pen.imageSmoothingQuality = 'high'; pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    const { data: px } = pen.getImageData(0, 0, canvas.width, canvas.height);
    return [canvas.width, canvas.height, Array.from({ length: px.length / 4 }, (_, i) => (px[4 * i] + px[4 * i + 1] + px[4 * i + 2]) / 3)];
  };
  const [a, b] = [await blocks(one), await blocks(other)];
  if (a[0] !== b[0] || a[1] !== b[1]) return { sizes: [a.slice(0, 2), b.slice(0, 2)] };
  const gaps = a[2].map((v, i) => Math.abs(v - b[2][i])).sort((x, y) => y - x);
  return { mean: gaps.reduce((s, v) => s + v, 0) / gaps.length, worst: gaps[Math.floor(gaps.length / 100)] };
})"""
FIGURE = """(async (name, change) => {
  const plot = document.querySelector('#figure-' + name + ' .plot');
  const layout = { ...plot.layout, width: SIZE, height: 320, paper_bgcolor: '#ffffff', showlegend: false };
  const data = change ? plot.data.map(t => t.line && t.line.width > 2 ? { ...t, y: t.y.map(v => v === null ? v : 1 - v) } : t) : plot.data;
  return (await Plotly.toImage({ data, layout }, { format: 'png', width: SIZE, height: 320 })).split(',')[1];
})""".replace("SIZE", str(SIZE))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    summary = make_study(folder, seeds=2)
    return folder, summary, build_report(folder, summary, out=folder / "report.html", picture=picture)


def until(chrome, condition):
    """Wait until a condition holds in the page, which may load itself again meanwhile."""
    for _ in range(100):
        time.sleep(0.1)
        try:
            if chrome.run(condition):
                return True
        except browser.BrowserError:  # it was just leaving
            continue
    return False


@pytest.mark.parametrize("name", ["steps", "frontier", "laws"])
def test_figures_look_as_they_did(chrome, study, name):
    import base64

    chrome.open(study[2])
    now = chrome.run(f"{FIGURE}('{name}', false)")
    there = BASELINES / f"{name}.png"
    if os.environ.get("BREADTH_NEW_BASELINES"):
        BASELINES.mkdir(exist_ok=True)
        there.write_bytes(base64.b64decode(now))
    then = base64.b64encode(there.read_bytes()).decode()
    found = chrome.run(f"{COMPARE}({json.dumps(now)}, {json.dumps(then)})")
    assert found.get("mean", 999) <= MEAN and found["worst"] <= WORST, found
    other = chrome.run(f"{FIGURE}('{name}', true)")  # the bold lines upside down: the same test must see that
    changed = chrome.run(f"{COMPARE}({json.dumps(other)}, {json.dumps(then)})")
    assert changed["mean"] > MEAN or changed["worst"] > WORST, changed


def test_every_figure_becomes_three_files(chrome, study, tmp_path):
    folder, summary, page = study
    written = browser.save_figures(page, tmp_path / "figures")
    names = {path.stem for path in written}
    assert {"steps", "frontier", "laws", "residuals", "training"} <= names and len(written) == 3 * len(names)
    for path in written:
        if path.suffix == ".svg":
            root = ElementTree.fromstring(path.read_bytes())
            assert root.tag.endswith("}svg") and not [e for e in root.iter() if e.tag.endswith("}script")]
        elif path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((tmp_path / "figures/steps.csv").read_text().splitlines()))
    last = next(
        r
        for r in rows
        if (r["objective"], r["series"], r["x"], r["y_name"]) == ("DARLING", "seed 1", "250", "R, quality")
    )
    run = next(run for run in summary["objectives"]["darling"]["runs"] if run["seed"] == 1)
    assert float(last["y"]) == pytest.approx(run["final"]["quality"]["value"], rel=1e-5)


def test_a_pdf_is_printed(chrome, study, tmp_path):
    out = browser.print_pdf(study[2], tmp_path / "deep" / "report.pdf")
    data = out.read_bytes()
    assert (
        data.startswith(b"%PDF")
        and data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") + data.count(b"/Type/Page") > 1
    )


def test_without_a_browser_the_error_says_what_to_do(study, tmp_path, monkeypatch):
    monkeypatch.setenv("BREADTH_BROWSER", "/nowhere/chromium")
    with pytest.raises(
        browser.BrowserError,
        match=r"a report as PDF: expected a Chromium or Chrome.*apt-get install chromium.*BREADTH_BROWSER",
    ):
        browser.browser_there("a report as PDF")


def test_a_page_of_runs_that_go_on_loads_itself_again_and_stays_as_it_was(chrome, tmp_path):
    summary = make_study(tmp_path, seeds=1, labels=("dr_grpo",))
    page = build_report(tmp_path, summary, out=tmp_path / "report.html", live=4)
    chrome.open(page)
    assert chrome.run("document.querySelector('.live').textContent").strip().startswith("These runs are going on.")
    chrome.run("document.querySelector('#overview details').open = true")
    chrome.run("window.same = true")
    build_report(tmp_path, {**summary, "title": "later"}, out=page)  # the last one: no longer live
    ready = "document.documentElement.dataset.ready === 'true'"
    assert until(chrome, f"{ready} && document.querySelector('h1').textContent === 'later'")
    assert chrome.run("document.querySelector('h1').textContent") == "later"
    assert chrome.run("window.same === undefined && document.querySelector('.live') === null")
    assert chrome.errors == []


def test_an_open_checkpoint_is_not_taken_away(chrome, tmp_path):
    summary = make_study(tmp_path, seeds=1, labels=("dr_grpo",))
    page = build_report(tmp_path, summary, out=tmp_path / "report.html", live=4)
    chrome.open(page)
    look = "window.same = true, document.querySelector('#overview details').open = true, document.getElementById('picker-show').click(), true"
    assert until(chrome, look)  # in one piece: the page may load itself again between two
    chrome.run("new Promise(done => setTimeout(done, 4600))")
    assert chrome.run("window.same && document.getElementById('checkpoint').open")
    chrome.run("document.getElementById('checkpoint-close').click()")
    assert until(chrome, "window.same === undefined && document.documentElement.dataset.ready === 'true'")
    assert until(chrome, "document.querySelector('#overview details').open")  # as the reader had it
