"""The page about files in a real browser: it fits, draws, loads nothing, and hostile text stays text."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

from test_file_report import HOSTILE, build, write  # noqa: E402

PLOTS = "[...document.querySelectorAll('.plot')].map(p => p.querySelectorAll('.trace').length)"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    paths = [
        write(folder / "a.jsonl", [90, 60, 20, 4], hostile=HOSTILE),
        write(folder / "b<i>.jsonl", [90, 80, 70, 70], 1),
    ]
    build(paths, folder / "page.html")
    return folder / "page.html"


@pytest.mark.parametrize("width", [1400, 400])
def test_the_page_fits_draws_and_loads_nothing(chrome, page, width):
    chrome.open(page, width=width)
    assert chrome.run("document.documentElement.scrollWidth") <= width
    drawn = chrome.run(PLOTS)
    assert len(drawn) == 2 and min(drawn) >= 4
    assert chrome.errors == [] and chrome.requests == [page.as_uri()]
    assert chrome.run("window.hit === undefined") is True


def test_a_number_leads_to_its_row(chrome, page):
    chrome.open(page)
    chrome.run("document.querySelector('[data-find]').click()")
    rows = chrome.run("[...document.querySelectorAll('#numbers-rows tbody tr')].map(r => r.innerText)")
    assert len(rows) == 1
    shown = float(chrome.run("document.querySelector('[data-find] data').value"))
    assert float(rows[0].split("\t")[3]) == pytest.approx(shown, rel=1e-5)
    assert chrome.errors == []
