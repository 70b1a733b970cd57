"""The site without its builder: the nav names pages that are there, every page is in it, links that leave docs/ are led somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

import breadth

ROOT = Path(__file__).resolve().parents[1]
yaml = pytest.importorskip("yaml", reason="reading mkdocs.yml needs PyYAML: pip install 'breadth[test]'")


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hooks():
    return script("site_hooks")


@pytest.fixture(scope="module")
def settings():
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def named(nav) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [page for entry in (nav.values() if isinstance(nav, dict) else nav) for page in named(entry)]


def test_the_nav_holds_every_page_once_and_no_other(hooks, settings):
    pages = hooks.all_pages()
    listed = named(hooks.expanded(settings["nav"], pages))
    assert sorted(listed) == sorted(set(listed)), "a page stands twice in the nav of mkdocs.yml"
    assert sorted(listed) == pages, f"only in one of nav and docs/: {sorted(set(listed) ^ set(pages))}; see mkdocs.yml"


def test_patterns_of_the_nav_take_what_is_left(hooks):
    nav = [{"A": ["a/*"]}, {"F": ["findings*"]}, {"B": ["x.md", "*"]}]
    pages = ["a/one.md", "a/two.md", "x.md", "y.md"]
    assert hooks.expanded(nav, pages) == [{"A": ["a/one.md", "a/two.md"]}, {"F": []}, {"B": ["x.md", "y.md"]}]
    assert hooks.expanded(nav, [*pages, "findings.md"])[1:] == [{"F": ["findings.md"]}, {"B": ["x.md", "y.md"]}]


def test_the_api_has_every_public_name_and_room(hooks):
    assert set(hooks.public_names()) == set(breadth.__all__) - {"__version__"}
    pages = hooks.api_pages()
    for name, path in hooks.public_names().items():
        block = f"::: {path}\n    options:\n      heading: breadth.{name}\n"
        assert (
            block in pages["api/index.md"]
            or f"## breadth.{name}\n\nAll of it: [{name}]({name}.md)" in pages["api/index.md"]
        )
    for module in ("breadth.laws.fit", "breadth.metrics.measure", "breadth.tasks.oracles.qed", "breadth.seeds"):
        assert f"::: {module}\n" in pages[f"api/{module.split('.')[1]}.md"]
    assert "api/__main__.md" not in pages


def test_links_out_of_docs_are_led_to_the_site_or_become_words(hooks):
    def moved(text: str, page: str = "tasks/math.md") -> str:
        return hooks.moved(text, ROOT / "docs" / Path(page).parent, page)

    assert moved("[log](../../LOG.md#a)") == "[log](../log.md#a)"
    assert moved("[laws](../laws.md)") == "[laws](../laws.md)"
    assert (
        moved("[the study](../../src/breadth/studies/circle.toml)") == "the study (`src/breadth/studies/circle.toml`)"
    )
    assert moved("[all](../objectives/)") == "[all](../objectives/index.md)"
    assert moved("[far](https://arxiv.org/abs/2504.15266) ![picture](../gallery/house.svg)") == (
        "[far](https://arxiv.org/abs/2504.15266) ![picture](../gallery/house.svg)"
    )
    assert moved("```\n[a](../../LOG.md)\n```") == "```\n[a](../../LOG.md)\n```"


def test_every_link_of_the_site_has_a_page_or_a_file(hooks):
    pages, generated = hooks.all_pages(), hooks.generated()
    for page in pages:
        path = ROOT / "docs" / page
        text = generated.get(page) or hooks.moved(path.read_text(), path.parent, page)
        for words, target, _ in hooks.LINK.findall(re.sub(hooks.FENCED, "", text)):
            if page.startswith("api/"):
                continue  # docstrings are laid out by the builder
            place = (Path("/") / Path(page).parent / target).resolve().relative_to("/").as_posix()
            assert place in pages or (ROOT / "docs" / place).is_file(), f"{page}: [{words}]({target})"


def test_the_site_asks_nothing_of_the_network(settings):
    assert settings["theme"]["font"] is False
    assert [p if isinstance(p, str) else next(iter(p)) for p in settings["plugins"]] == ["search", "mkdocstrings"]


def test_pages_of_metrics_and_laws_are_what_the_catalogue_says():
    """Numbers may differ in a last digit between machines; words may not."""
    reference = script("make_reference")
    number = re.compile(r"-?\d+\.\d+(e-?\d+)?|-?\d+")
    for path, text in reference.pages().items():
        if text is not None:
            there = (ROOT / "docs" / path).read_text()
            assert number.sub("#", there) == number.sub("#", text), f"docs/{path}: run python docs/make_reference.py"


def test_the_decision_page_is_written_from_what_is_kept_of_the_studies():
    decision = script("make_decision")
    page = decision.page()
    assert (ROOT / "docs" / "which-objective.md").read_text() == page, "run python docs/make_decision.py"
    study = decision.kept("objectives")
    for label, found in study["objectives"].items():
        value = found["final"]["quality"]["value"]
        assert f"](objectives/{label}.md) | {found['learning_rate']:g} | {value:.3f}" in page
    with pytest.raises(SystemExit, match="the page says that the moon is cheese; the kept studies do not"):
        decision.check(False, "the moon is cheese")
