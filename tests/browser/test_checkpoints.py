"""A point of a figure leads to its checkpoint: by mouse, by keyboard, with the ledger's numbers and the samples as text."""

from __future__ import annotations

import json
import re

import pytest
from synthetic_samples import picture, write_samples
from synthetic_study import STEPS, make_study

from breadth.experiments.report import build_report

HOSTILE = "<img src=x onerror='window.hit=1'> </script><script>window.hit=2</script> end"
TITLE = "document.getElementById('checkpoint-title').textContent"
OPEN = "document.getElementById('checkpoint').open"
# where the last point of the first trace of checkpoints stands in the window
POINT = """(() => {
  const plot = document.querySelector('#figure-frontier .plot');
  plot.scrollIntoView({ block: 'center' });
  const trace = plot.data.findIndex(t => t.meta.role === 'last checkpoint');
  const { xaxis, yaxis } = plot._fullLayout;
  const box = plot.getBoundingClientRect();
  return { x: box.left + xaxis._offset + xaxis.d2p(plot.data[trace].x[0]), y: box.top + yaxis._offset + yaxis.d2p(plot.data[trace].y[0]) };
})()"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    summary = make_study(folder, seeds=2, labels=("dr_grpo", "darling"))
    run = folder / "runs/dr_grpo/seed-0"
    write_samples(run / "samples/step-000000.parquet", 0, 3, 0.3, 0.98)
    write_samples(
        run / "samples/step-000120.parquet",
        120,
        0,
        1.0,
        1.0,
        texts=["the cat sat on the mat", "the cat lay on the mat", HOSTILE],
    )
    return folder, build_report(folder, summary, out=folder / "report.html", picture=picture)


def mouse(chrome, kind, at):
    button = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
    chrome.send("Input.dispatchMouseEvent", type=kind, **at, **button)


def press(chrome, key, code):
    text = {"text": "\r"} if key == "Enter" else {}
    for kind in ("keyDown", "keyUp"):
        chrome.send(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            windowsVirtualKeyCode=code,
            **(text if kind == "keyDown" else {}),
        )


def settled(chrome):
    chrome.run("new Promise(done => setTimeout(done, 150))")


def choose(chrome, run, step):
    chrome.run(
        f"(() => {{ const [r, s] = ['run', 'step'].map(n => document.getElementById('picker-' + n)); r.value = '{run}';"
        f" r.dispatchEvent(new Event('change')); s.value = [...s.options].find(o => o.text.split(' ')[0] === '{step}').value;"
        " document.getElementById('picker-show').click(); })()"
    )


def test_hover_tells_and_a_click_opens_the_checkpoint(chrome, study):
    folder, page = study
    chrome.open(page)
    at = chrome.run(POINT)
    mouse(chrome, "mouseMoved", at)
    settled(chrome)
    words = chrome.run("document.querySelector('#figure-frontier .hoverlayer').textContent")
    named = re.match(r"Dr\. GRPO, seed [01], step \d+(?=R )", words)  # one of the last ones: they stand close together
    assert named, words
    assert re.search(r"R 0\.\d{3} \(0\.\d{3} to [01]\.\d{3}\)D .*H .*n = 1,000", words), words
    mouse(chrome, "mousePressed", at)
    mouse(chrome, "mouseReleased", at)
    settled(chrome)
    assert chrome.run(OPEN) and chrome.run(TITLE) == named[0]
    press(chrome, "Escape", 27)
    choose(chrome, 0, 250)
    assert chrome.run("[...document.querySelectorAll('#checkpoint-body img')].length") > 4
    heads = chrome.run("[...document.querySelectorAll('#checkpoint-body h4')].map(h => h.textContent)")
    assert heads[0].startswith("Clusters") and {"Best by quality", "Typical"} <= set(heads)
    assert chrome.errors == []


def test_its_numbers_are_the_ledgers_and_lead_there(chrome, study):
    folder, page = study
    chrome.open(page)
    choose(chrome, 0, 120)
    rows = [json.loads(line) for line in (folder / "runs/dr_grpo/seed-0/ledger.jsonl").read_text().splitlines()]
    there = {row["metric"]: row["value"] for row in rows if row["step"] == 120}
    shown = chrome.run("[...document.querySelectorAll('#checkpoint-body data')].map(d => Number(d.value))")
    names = ("quality", "diversity", "diversity_valid", "policy_entropy")
    assert shown == pytest.approx([there[name] for name in names], rel=1e-5)
    chrome.run("document.querySelector('#checkpoint-body data').parentElement.click()")
    assert not chrome.run(OPEN)
    found = chrome.run("[...document.querySelectorAll('#numbers-rows tbody tr')].map(r => r.innerText)")
    assert len(found) == 1 and found[0].split("\t")[2:4] == ["120", "quality"]


def test_the_keyboard_opens_walks_and_closes(chrome, study):
    chrome.open(study[1])
    chrome.run("document.getElementById('picker-show').focus()")
    press(chrome, "Enter", 13)
    assert chrome.run(TITLE) == "Dr. GRPO, seed 0, step 250"
    press(chrome, "ArrowLeft", 37)
    assert chrome.run(TITLE) == "Dr. GRPO, seed 0, step 240"
    assert "were not kept (kept: step 0, 120, 250)" in chrome.run(
        "document.querySelector('#checkpoint-body .note').textContent"
    )
    assert chrome.run("document.activeElement.id") == "checkpoint-title"
    press(chrome, "Escape", 27)
    assert not chrome.run(OPEN)
    assert chrome.run("document.activeElement.id") == "picker-show"  # the browser gives the focus back


def test_samples_stay_text_and_differences_are_marked(chrome, study):
    chrome.open(study[1])
    choose(chrome, 0, 120)
    settled(chrome)
    texts = chrome.run("[...document.querySelectorAll('#checkpoint-body .sample')].map(s => s.textContent)")
    assert HOSTILE in texts and chrome.run("window.hit === undefined")
    marked = chrome.run(
        "[...document.querySelectorAll('#checkpoint-body .cards:first-of-type mark')].map(m => m.textContent)"
    )
    first, second = texts[:2]
    assert ("lay" in marked) != ("sat" in marked), (
        first,
        second,
        marked,
    )  # whichever was less frequent is marked, and only it
    assert "cat" not in marked
    assert chrome.errors == [] and chrome.requests == [study[1].resolve().as_uri()]


def test_the_dialog_fits_a_narrow_window(chrome, study):
    chrome.open(study[1], width=400)
    choose(chrome, 0, 250)
    assert chrome.run("document.getElementById('checkpoint').getBoundingClientRect().width") <= 392
    assert chrome.run("document.documentElement.scrollWidth") <= 400
    assert chrome.run(
        "document.getElementById('checkpoint').scrollWidth <= document.getElementById('checkpoint').clientWidth"
    )


def test_what_does_not_fit_is_left_out_and_said(tmp_path, monkeypatch, chrome):
    from breadth.experiments import checkpoints

    monkeypatch.setattr(checkpoints, "SAMPLE_BYTES", 10)
    summary = make_study(tmp_path, seeds=1, labels=("darling",))
    page = build_report(tmp_path, summary, out=tmp_path / "report.html")
    chrome.open(page)
    choose(chrome, 0, STEPS)
    note = chrome.run("document.querySelector('#checkpoint-body .note').textContent")
    assert note.startswith(
        f"Its samples lie in runs/darling/seed-0/samples/step-{STEPS:06d}.parquet; they are left out"
    )
