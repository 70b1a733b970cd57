"""The catalogue: what it says is what the objectives are, names are helped, plug-ins are loud."""

import inspect
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import breadth
from breadth import catalogue
from breadth.objectives.card import PAIR_INVARIANTS, SELECTION_INVARIANTS, SFT_INVARIANTS, Card
from breadth.objectives.composition import INVARIANTS, Objective

OBJECTIVES = list(catalogue.entries("objective"))


def test_importing_it_loads_no_torch():
    code = "import sys, breadth.catalogue as c; c.entries('objective'); c.entries('law'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_line_says_what_the_objective_is(name):
    entry, objective = catalogue.lookup("objective", name), breadth.objective(name)
    assert isinstance(objective, Objective if entry.family in ("policy", "actor_critic", "group") else Card)
    for attribute in ("name", "title", "family", "needs", "invariants", "source"):
        assert getattr(entry, attribute) == getattr(objective, attribute), attribute
    known = {"pair": PAIR_INVARIANTS, "sft": SFT_INVARIANTS, "selection": SELECTION_INVARIANTS}
    assert set(objective.invariants) <= set(known.get(entry.family, INVARIANTS))
    assert entry.summary


@pytest.mark.parametrize("name", OBJECTIVES)
def test_settings_rebuild_the_objective_and_are_complete(name):
    objective = breadth.objective(name)
    parameters = inspect.signature(catalogue.resolve(catalogue.lookup("objective", name))).parameters
    assert set(objective.settings) == set(parameters)
    assert str(breadth.objective(name, **objective.settings)) == str(objective)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_has_a_page_with_its_settings(name):
    page = (Path(__file__).parents[1] / "docs" / "objectives" / f"{name}.md").read_text()
    for setting in breadth.objective(name).settings:
        assert f"`{setting}`" in page, setting
    for part in ("## Formula", "## Departures", "## Settings", "## Logged", "## TRL and verl", "## Run it"):
        assert part in page, part


@pytest.mark.parametrize("kind", ["law", "metric"])
def test_targets_can_be_loaded(kind):
    for entry in catalogue.entries(kind).values():
        catalogue.resolve(entry)


def test_laws_are_the_curves():
    from breadth.laws.curves import CURVES

    assert list(catalogue.entries("law")) == list(CURVES)


def test_metrics_are_those_of_the_formats_page():
    page = (Path(__file__).parents[1] / "docs" / "formats.md").read_text()
    for name in catalogue.entries("metric"):
        assert f"`{name}`" in page, name


def test_tasks_are_built():
    assert breadth.task("circle", vertices=15, edges=6).name == "circle"
    assert breadth.task("line").name == "line"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: breadth.objective("darlin"),
            ValueError,
            "unknown objective 'darlin', did you mean 'darling'?; known: rei",
        ),
        (
            lambda: breadth.task("cirle"),
            ValueError,
            "unknown task 'cirle', did you mean 'circle'?; known: circle, line",
        ),
        (lambda: catalogue.entries("objectiv"), ValueError, "unknown 'objectiv', did you mean 'objective'?"),
        (
            lambda: breadth.objective("darling", flor=0.1),
            TypeError,
            "objective 'darling': unknown setting 'flor', did you mean 'floor'?; settings: floor, measure",
        ),
        (
            lambda: breadth.objective("rloo", beta=1),
            TypeError,
            "objective 'rloo': unknown setting 'beta'; settings: none",
        ),
        (lambda: breadth.task("circle", vertice=15), TypeError, "unknown setting 'vertice', did you mean 'vertices'?"),
    ],
)
def test_names_are_helped(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def plug_in(monkeypatch, *points):
    def fake(group):
        return [point for point in points if point.group == group]

    monkeypatch.setattr(catalogue, "entry_points", fake)


def test_an_entry_point_adds_a_name(monkeypatch):
    plug_in(monkeypatch, EntryPoint("mine", "breadth.objectives.grpo:grpo", "breadth.objectives"))
    assert list(catalogue.entries("objective"))[-1] == "mine"
    assert breadth.objective("mine", eps=0.5).settings["eps"] == 0.5
    assert "mine" not in catalogue.entries("task")


def test_a_name_taken_twice_is_an_error(monkeypatch):
    plug_in(monkeypatch, EntryPoint("grpo", "other.package:make", "breadth.objectives"))
    with pytest.raises(
        ValueError, match="two objectives are called 'grpo': breadth.objectives.grpo:grpo and other.pack"
    ):
        breadth.objective("darling")


@pytest.mark.parametrize("target", ["no_such_package:make", "breadth.objectives.grpo:make"])
def test_a_plug_in_that_fails_raises(monkeypatch, target):
    plug_in(monkeypatch, EntryPoint("mine", target, "breadth.objectives"))
    with pytest.raises(ImportError, match=r"objective 'mine' \(plug-in of unknown package\): cannot load"):
        breadth.objective("mine")
