"""What is handed out: the wheel holds templates, studies and data, the metadata says what it is, and typed callers are served."""

from __future__ import annotations

import email
import re
import tomllib
import zipfile
from pathlib import Path

import pytest

import breadth

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    wheel = pytest.importorskip(
        "hatchling.builders.wheel", reason="building the wheel needs hatchling: pip install 'breadth[test]'"
    )
    made = next(
        wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"])
    )
    return zipfile.ZipFile(made)


def test_the_wheel_holds_all_that_runs_need(wheel):
    names = set(wheel.namelist())
    package = ROOT / "src" / "breadth"
    skipped = ("__pycache__", ".pyc")
    there = {
        f"breadth/{p.relative_to(package).as_posix()}"
        for p in package.rglob("*")
        if p.is_file() and not any(s in str(p) for s in skipped)
    }
    assert there <= names, f"not in the wheel: {sorted(there - names)}"
    for kind in ("breadth/studies/circle.toml", "breadth/py.typed"):
        assert kind in names
    assert any(n.startswith("breadth/experiments/templates/") for n in names) and any(
        n.startswith("breadth/partitions/data/") for n in names
    )
    outside = {name.split("/")[0] for name in names} - {"breadth", f"breadth-{breadth.__version__}.dist-info"}
    assert not outside, f"the wheel installs more than breadth: {outside}"


def test_the_metadata_says_what_it_is(wheel):
    name = next(n for n in wheel.namelist() if n.endswith("/METADATA"))
    said = email.message_from_bytes(wheel.read(name))
    assert (said["Name"], said["Version"], said["License-Expression"]) == ("breadth", breadth.__version__, "Apache-2.0")
    assert "Typing :: Typed" in said.get_all("Classifier") and said["Requires-Python"] == ">=3.11"
    assert any(n.endswith("/licenses/LICENSE") for n in wheel.namelist())
    assert {"docs", "molecules", "test", "text"} <= set(said.get_all("Provides-Extra"))
    points = wheel.read(next(n for n in wheel.namelist() if n.endswith("/entry_points.txt"))).decode()
    assert "breadth = breadth.commands.app:main" in points


def test_the_citation_has_the_package_s_version_and_licence():
    text = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.*)$", text, re.M)[1] == breadth.__version__
    assert re.search(r"^license: (.*)$", text, re.M)[1] == PROJECT["project"]["license"]


def test_issue_templates_are_forms_that_ask_something():
    yaml = pytest.importorskip("yaml")
    for path in sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")):
        form = yaml.safe_load(path.read_text())
        if path.name != "config.yml":
            assert (
                form["name"]
                and form["description"]
                and any(part.get("validations", {}).get("required") for part in form["body"])
            ), path.name
            ids = [part["id"] for part in form["body"] if "id" in part]
            assert len(ids) == len(set(ids))


def test_what_is_type_checked_is_there():
    for name in PROJECT["tool"]["mypy"]["files"]:
        assert (ROOT / name).exists(), f"tool.mypy.files: {name} is gone"
