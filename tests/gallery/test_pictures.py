"""The pictures of the documentation: each script runs, draws what was measured, and the page that shows it has it."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from breadth import catalogue

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "gallery"
SVG = "{http://www.w3.org/2000/svg}"


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, GALLERY / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def points(text: str) -> list[list[tuple[float, float]]]:
    found = [line.get("points", "") for line in ElementTree.fromstring(text).iter(f"{SVG}polyline")]
    return [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in found]


def test_a_law_is_drawn_from_its_function(tmp_path):
    laws = load("laws")
    assert set(laws.SHOWN) == set(catalogue.entries("law"))
    line = points(laws.picture("linear"))[2]  # slope −0.5: it falls on paper, where y grows downwards
    assert (
        len(line) == 101
        and line[0][1] < line[-1][1]
        and points(laws.picture("linear"))[1][0][1] > points(laws.picture("linear"))[1][-1][1]
    )
    for name in laws.SHOWN:
        assert (GALLERY / "laws" / f"{name}.svg").read_text() == laws.picture(name), (
            f"{name}: run python docs/gallery/laws.py"
        )


@pytest.mark.parametrize("study", ["circle", "objectives", "qed"])
def test_a_frontier_is_drawn_from_what_is_kept_of_its_study(study):
    frontier = load("frontier")
    kept = json.loads((GALLERY / "data" / f"{study}.json").read_text())
    text = frontier.picture(kept)
    assert text == (GALLERY / f"frontier-{study}.svg").read_text(), "run python docs/gallery/frontier.py"
    assert len(points(text)) == len(kept["frontier"])
    first = next(iter(kept["frontier"].values()))
    first["diversity"] = [None if d is None else d - 0.05 for d in first["diversity"]]
    assert frontier.picture(kept) != text  # other numbers, another picture


def test_few_seeds_and_hostile_titles_are_drawn():
    curve = {
        "quality": [0.5, 0.6, 0.7],
        "diversity": [0.9, 0.8, None],
        "low": [None] * 3,
        "high": [None] * 3,
        "n_seeds": [2, 1, 0],
    }
    study = {"study": "s", "title": "<b>", "objectives": {"a": {"title": "<script>"}}, "frontier": {"a": curve}}
    text = load("frontier").picture(study)
    assert "<script>" not in text and len(points(text)[0]) == 1  # the second quality rests on one seed of two


@pytest.mark.parametrize(
    ("script", "picture", "page"), [("collapse", "collapse", "collapsing"), ("two_models", "two-models", "two-models")]
)
def test_small_pictures_are_made_from_their_pages(script, picture, page, tmp_path):
    target = tmp_path / "p.svg"
    done = subprocess.run(
        [sys.executable, GALLERY / f"{script}.py", target], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    shape = re.compile(r"\d+\.\d+")
    assert shape.sub("#", target.read_text()) == shape.sub("#", (GALLERY / f"{picture}.svg").read_text()), (
        f"run python docs/gallery/{script}.py"
    )
    assert f"gallery/{picture}.svg" in (GALLERY.parent / f"{page}.md").read_text()


def test_the_house_is_drawn_with_every_room():
    house = load("house")
    root = ElementTree.fromstring(house.picture())
    rooms = {group.get("id").removeprefix("room-") for group in root.iter(f"{SVG}g")}
    package = house.PACKAGE
    there = {p.stem for p in package.glob("*.py") if not p.stem.startswith("__")} | {
        p.name for p in package.iterdir() if any(p.glob("*.py"))
    }
    assert rooms == there - {"__pycache__"}
    up = [path[0].text for path in root.iter(f"{SVG}path") if path.get("class") == "up"]
    assert [line.split(":")[0] for line in up] == ["records → laws"]  # the one arrow that .importlinter lets go up
    shown = ElementTree.parse(GALLERY / "house.svg").getroot()
    drawn = {group.get("id").removeprefix("room-") for group in shown.iter(f"{SVG}g")}
    assert drawn == rooms, "run python docs/gallery/house.py"
