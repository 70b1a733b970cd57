"""The report in a real browser: nothing is loaded, nothing complains, nothing overflows, hostile text stays text."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from synthetic_samples import picture, write_samples
from synthetic_study import STEPS, make_study

from breadth.experiments.report import build_report

PLOTS = "[...document.querySelectorAll('.plot')].filter(p => p.checkVisibility())"  # not those in a folded part
HOSTILE = "<script>window.hit=1</script><img src=x onerror='window.hit=2'></script><b>bold</b>"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return build_report(folder, make_study(folder), out=folder / "report.html", picture=picture)


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    summary = make_study(folder, seeds=1, labels=("dr_grpo", "qempo"))
    path = folder / f"runs/qempo/seed-0/samples/step-{STEPS:06d}.parquet"
    write_samples(path, STEPS, 0, 1.0, 1.0, texts=[HOSTILE, "</script><script>window.hit=3</script>"])
    for ledger in folder.glob("runs/qempo/*/steps.jsonl"):
        rows = [{**json.loads(line), HOSTILE: i} for i, line in enumerate(ledger.read_text().splitlines())]
        ledger.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = json.dumps(summary).replace("QEMPO", json.dumps(HOSTILE)[1:-1])
    summary = json.loads(text)
    summary |= {"study": HOSTILE, "verdict": HOSTILE, "settings": {HOSTILE: HOSTILE}, "command": HOSTILE}
    svg = "<svg xmlns='http://www.w3.org/2000/svg' onload='window.hit=4'><script>window.hit=5</script></svg>"
    return build_report(folder, summary, out=folder / "report.html", picture=lambda text: svg)


@pytest.mark.parametrize("width", [1400, 800, 400])
def test_the_page_fits_its_width_draws_every_figure_and_loads_nothing(chrome, page, width):
    chrome.open(page, width=width)
    assert chrome.run("innerWidth") == width
    assert chrome.run("document.documentElement.scrollWidth") <= width
    drawn = chrome.run(f"{PLOTS}.map(p => p.querySelectorAll('.trace').length)")
    assert len(drawn) == 4 and min(drawn) > 4
    assert chrome.errors == []
    assert chrome.requests == [page.as_uri()]
    if folder := os.environ.get("BREADTH_SCREENSHOTS"):  # continuous integration keeps them
        chrome.send("Emulation.setDeviceMetricsOverride", width=width, height=5200, deviceScaleFactor=1, mobile=False)
        chrome.screenshot(Path(folder) / f"report-{width}.png")


@pytest.fixture(scope="module")
def molecule_page(tmp_path_factory):
    """A study whose answers are molecules, drawn by the task itself."""
    pytest.importorskip("rdkit")
    from breadth.tasks.molecules import MoleculesTask

    folder = tmp_path_factory.mktemp("molecules")
    summary = make_study(folder, seeds=1, labels=("dr_grpo", "qempo"))
    for label, texts in (
        ("qempo", [f"COc1ccc(NC(=O)c2ccc({x})cc2)cc1" for x in ("F", "Cl", "Br", "C")]),
        ("dr_grpo", ["CCO"]),
    ):
        write_samples(folder / f"runs/{label}/seed-0/samples/step-{STEPS:06d}.parquet", STEPS, 0, 1.0, 1.0, texts=texts)
    return build_report(
        folder, {**summary, "study": "qed"}, out=folder / "report.html", picture=MoleculesTask().picture
    )


@pytest.mark.parametrize("width", [1400, 800, 400])
def test_a_page_of_molecules_fits_draws_them_and_loads_nothing(chrome, molecule_page, width):
    chrome.open(molecule_page, width=width)
    assert chrome.run("document.documentElement.scrollWidth") <= width
    chrome.run("document.querySelector('[data-choose=name][value=QEMPO]').click()")
    decode = "Promise.all([...document.querySelectorAll('.gallery:not([hidden]) img')].map(i => i.decode().then(() => i.naturalWidth)))"
    assert len(widths := chrome.run(decode)) >= 8 and min(widths) > 20
    chrome.run("document.getElementById('picker-show').click()")
    assert chrome.run("document.querySelectorAll('#checkpoint-body img').length") >= 1
    assert chrome.run("document.querySelector('#checkpoint-body .sample').textContent") == "CCO"
    assert chrome.errors == [] and chrome.requests == [molecule_page.as_uri()]


def test_every_number_of_a_run_is_the_ledgers(chrome, page):
    chrome.open(page)
    found = chrome.run(
        "[...document.querySelectorAll('[data-find]')].map(a => [a.dataset.find, Number(a.querySelector('data').value)])"
    )
    assert len(found) == 4 * 3 * 3
    for words, value in found:
        wanted = dict(word.split("=") for word in words.split())
        ledger = page.parent / f"runs/{wanted['objective']}/seed-{wanted['seed']}/ledger.jsonl"
        rows = [json.loads(line) for line in ledger.read_text().splitlines()]
        there = [r["value"] for r in rows if (r["metric"], str(r["step"])) == (wanted["metric"], wanted["step"])]
        assert there == [pytest.approx(value, rel=1e-9)]


def test_the_legend_stands_clear_of_the_axes(chrome, page):
    for width in (1400, 400):
        chrome.open(page, width=width)
        gaps = chrome.run(
            f"{PLOTS}.map(p => "
            "p.querySelector('.cartesianlayer .gridlayer').getBoundingClientRect().top "
            "- p.querySelector('.legend').getBoundingClientRect().bottom)"
        )
        assert min(gaps) >= 0, gaps


def test_the_theme_follows_the_system_and_the_button(chrome, page):
    ink = "getComputedStyle(document.querySelector('#figure-steps .legendtext')).fill"
    back = "getComputedStyle(document.body).backgroundColor"
    chrome.open(page, dark=False)
    light = chrome.run(ink), chrome.run(back)
    chrome.open(page, dark=True)
    dark = chrome.run(ink), chrome.run(back)
    assert light[0] != dark[0] and light[1] != dark[1]
    chrome.run("document.getElementById('theme').click()")  # from "as the system" to "light"
    assert (chrome.run(ink), chrome.run(back)) == light
    assert chrome.errors == []


def test_the_table_of_all_numbers_opens_filters_and_is_led_to(chrome, page):
    chrome.open(page)
    assert chrome.run("document.querySelectorAll('#numbers-rows tr').length") == 0
    chrome.run("document.querySelector('[data-find]').click()")
    rows = chrome.run("[...document.querySelectorAll('#numbers-rows tbody tr')].map(r => r.innerText)")
    assert len(rows) == 1
    shown = float(chrome.run("document.querySelector('[data-find] data').value"))
    assert f"{shown:.6g}" in rows[0] and "runs/dr_grpo/seed-0/ledger.jsonl:" in rows[0]
    chrome.run("document.getElementById('numbers-filter').value = 'no such row'")
    chrome.run("document.getElementById('numbers-filter').dispatchEvent(new Event('input'))")
    assert chrome.run("document.getElementById('numbers-count').textContent") == "0 of 0 matching rows shown"


def test_the_chooser_shows_one_run_with_its_pictures(chrome, page):
    chrome.open(page)
    visible = "[...document.querySelectorAll('.gallery')].filter(g => !g.hidden).map(g => g.getAttribute('aria-label'))"
    assert chrome.run(visible) == ["Dr. GRPO, seed 0"]
    chrome.run("document.querySelector('[data-choose=name][value=QEMPO]').click()")
    chrome.run("document.querySelector('[data-choose=seed][value=\"2\"]').click()")
    assert chrome.run(visible) == ["QEMPO, seed 2"]
    decoded = (
        "Promise.all([...document.querySelectorAll('.gallery:not([hidden]) img')].map(i => i.decode().then(() => 1)))"
    )
    assert len(chrome.run(decoded)) > 8
    assert chrome.errors == []


def test_folded_training_curves_are_drawn_when_opened(chrome, page):
    chrome.open(page)
    chrome.run("document.querySelector('#training details').open = true")
    chrome.run("new Promise(done => setTimeout(done, 300))")
    assert chrome.run("document.querySelectorAll('#figure-training .trace').length") > 20


def test_hostile_text_stays_text(chrome, hostile_page):
    chrome.open(hostile_page)
    chrome.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    chrome.run("document.querySelectorAll('[data-choose]').forEach(b => b.click())")
    chrome.run("new Promise(done => setTimeout(done, 300))")
    assert chrome.run("window.hit === undefined")
    assert chrome.run("document.querySelector('h1').textContent") == HOSTILE
    samples = chrome.run("[...document.querySelectorAll('.sample')].map(s => s.textContent)")
    assert HOSTILE in samples
    assert chrome.run("document.querySelectorAll('main b, main script:not([type])').length") == 0
    legend = chrome.run("document.querySelector('#figure-steps .legend').textContent")
    assert "<script>window.hit=1</script>" in legend  # plotly shows it, and takes no tag from it
    assert chrome.errors == []
    assert chrome.requests == [hostile_page.as_uri()]
