"""What docs/make_pages.py writes: the support matrix is the catalogue's, every page has its row, rows are made and not typed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

import breadth
from breadth import catalogue
from breadth.engine.streams import trainable
from breadth.objectives.support import TRL, VERL, host_clip, support

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("make_pages", ROOT / "docs" / "make_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_support_page_is_printed_from_the_catalogue(tool):
    assert tool.SUPPORT.read_text() == tool.support_page(), "run: python docs/make_pages.py"


def test_every_page_has_its_row(tool):
    for name in catalogue.entries("objective"):
        block = re.search(f"{tool.HEAD}\n(.*?)\n{tool.FOOT}", (tool.PAGES / f"{name}.md").read_text(), re.S)
        assert block, f"{name}: run python docs/make_pages.py"
        assert block[1] == tool.NOTHING_YET or re.search(rf"^\| `{name}(_\w+)?` \|", block[1], re.M), name


def test_every_page_links_the_pages_of_trl_and_verl(tool):
    for name in catalogue.entries("objective"):
        page = (tool.PAGES / f"{name}.md").read_text()
        section = page.partition(f"\n{tool.HOSTS_SECTION}\n")[2].partition("\n## ")[0]
        assert f"{tool.HOSTS_HEAD}\n{tool.hosts_block(name)}\n{tool.HOSTS_FOOT}" in section, f"{name}: run python docs/make_pages.py"
        assert "](../trl.md" in section and "](../verl.md" in section
    with pytest.raises(ValueError, match="expected a section '## TRL and verl', found none"):
        tool.with_hosts("# A page", "x")


@pytest.mark.parametrize("name", list(catalogue.entries("objective")))
def test_the_rule_speaks_of_every_objective(name):
    objective = catalogue.objective(name)
    found = support(objective)
    assert found["native"] == (trainable(objective) is None)
    assert found["trl"] in {"", *TRL} and found["verl"] in {"", *VERL}
    if objective.family == "group":
        assert found["verl"] == "" and found["trl"] in ("loss", "")
    if objective.family == "pair":
        assert (found["trl"], found["verl"]) == ("pairs", "")
    if found["trl"] == "advantages":
        assert host_clip(objective)


@pytest.mark.parametrize(
    ("name", "settings", "trl", "verl"),
    [
        ("dr_grpo", {}, "advantages", "estimator"),
        ("darling", {}, "advantages", "trainer"),
        ("qempo", {}, "advantages", "trainer"),
        ("gspo", {}, "loss", "estimator"),
        ("forking_tokens", {}, "loss", ""),
        ("ppo", {}, "", "verl's own"),
        ("rnd", {}, "", ""),
        ("reinvent", {}, "loss", ""),
        ("reinvent", {"replay_size": 5}, "", ""),
        ("trajectory_balance", {"log_z": "learned"}, "", ""),
        ("reinvent_filter", {"replay_size": 5}, "", ""),
        ("ucb", {}, "advantages", "trainer"),
    ],
)
def test_settings_count(name, settings, trl, verl):
    found = support(breadth.objective(name, **settings))
    assert found == {"native": True, "trl": trl, "verl": verl}


SUMMARY = {
    "study": "s",
    "task": {"name": "circle"},
    "baseline": "dr_grpo",
    "objectives": {
        label: {
            "kind": label,
            "settings": {
                "objective": {"clip_low": 0.2, "clip_high": high},
                "train": {"steps": 9, "prompts": 1, "group_size": 8, "learning_rate": 2e-3},
            },
            "runs": [{"seed": 0, "seconds": 10.0}, {"seed": 4, "seconds": 20.0}],
            "final": {"quality": {"value": 0.5, "low": 0.4, "high": 0.6}, "diversity": {"value": None}},
            "at_quality": [{"quality": 0.9, "value": 0.25, "low": 0.2, "high": 0.3, "n_seeds": 2}],
        }
        for label, high in (("dr_grpo", 0.2), ("grpo", 0.3))
    },
    "comparisons": [{"at": "R >= 0.90", "quality": 0.9, "a": "grpo", "b": "dr_grpo", "verdict": "lost", "value": -0.1}],
}


def test_a_row_by_hand(tool):
    row = tool.row_of(SUMMARY, "grpo")
    assert row == "| `grpo` | 0.500 ± 0.100 | – | 0.250 ± 0.050 | – | – | 15 | lost at R ≥ 0.90 |"
    assert tool.row_of(SUMMARY, "dr_grpo").endswith("| 15 | baseline |")
    block = tool.frontier_row(SUMMARY, "grpo")
    assert "seeds 0, 4, 9 steps of 8 rollouts at learning rate 0.002, clip_high 0.3;" in block
    assert block.count("| `") == 2 and tool.frontier_row(SUMMARY, "dr_grpo").count("| `") == 1


def test_rows_are_replaced_and_not_piled_up(tool):
    page = "# A\n\ntext\n\nResults: see the README table.\n"
    once = tool.with_row(page, "one")
    assert once == f"# A\n\ntext\n\n## Result\n\n{tool.HEAD}\none\n{tool.FOOT}\n"
    assert tool.with_row(once, "one") == once
    assert tool.with_row(once, r"two \1") == once.replace("\none\n", "\ntwo \\1\n")
