"""The page: its numbers are the study's, what is missing is said, and nothing in it can become code."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from synthetic_samples import picture, write_samples
from synthetic_study import STEPS, make_study

from breadth.experiments.embedding import unpack
from breadth.experiments.evidence import read_evidence
from breadth.experiments.examples import PictureBook, gallery
from breadth.experiments.report import build_report
from breadth.ledger.rows import LedgerError

HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """The parts of a page that its tests look at, found by a parser and not by eye."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.scripts: list[tuple[dict, str]] = []
        self.text: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)
        elif self._inside != "style":
            self.text.append(data)

    def embedded(self, name: str):
        return next(unpack(attrs["type"], text) for attrs, text in self.scripts if attrs.get("id") == name)

    @property
    def values(self) -> set[float]:
        return {float(attrs["value"]) for tag, attrs in self.tags if tag == "data"}

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    @property
    def sections(self) -> list[str]:
        return [attrs["id"] for tag, attrs in self.tags if tag == "section"]


def report_of(folder, summary, **options):
    path = build_report(folder, summary, out=folder / "pages" / "report.html", **options)
    return Page(path.read_text(encoding="utf-8")), path


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    summary = make_study(folder)
    page, path = report_of(folder, summary, picture=picture)
    return folder, summary, page, path


@pytest.fixture
def small(tmp_path):
    return tmp_path, make_study(tmp_path, seeds=1, labels=("dr_grpo", "darling"))


def test_the_page_has_every_section_and_stays_small(study):
    _, summary, page, path = study
    rooms = "overview steps frontier comparisons laws fits examples training costs settings numbers"
    assert page.sections == rooms.split()
    assert path.stat().st_size < 8_000_000
    assert summary["verdict"] in page.words
    assert all(f"[{name}]" not in page.words for name in ("None", "nan"))
    assert " None " not in page.words and " nan " not in page.words and "Undefined" not in page.words


def test_the_numbers_on_the_page_are_the_summarys(study):
    _, summary, page, _ = study
    for objective in summary["objectives"].values():
        for metric in ("quality", "diversity", "policy_entropy"):
            assert objective["final"][metric]["value"] in page.values
            assert all(run["final"][metric]["value"] in page.values for run in objective["runs"])
        for row in objective["at_quality"]:
            assert row["value"] in page.values
        for source in (objective, *objective["runs"]):
            for fit in source["fits"].values():
                assert {estimate["value"] for estimate in fit["params"].values()} <= page.values
    for row in summary["comparisons"]:
        assert row["value"] in page.values and row["sentence"] in page.words


def test_every_ledger_row_is_on_the_page_with_its_line(study):
    folder, _, page, _ = study
    table = page.embedded("numbers-data")
    at = {name: i for i, name in enumerate(table["columns"])}
    assert len(table["rows"]) == 4 * 3 * 26 * 19
    for row in table["rows"][::97]:
        path, line = row[at["row"]].rsplit(":", 1)
        there = json.loads((folder / path).read_text().splitlines()[int(line) - 1])
        assert (there["metric"], there["step"]) == (row[at["metric"]], row[at["step"]])
        assert there["value"] == pytest.approx(row[at["value"]], rel=1e-5)  # the page holds six digits


def test_nothing_is_loaded_from_outside(study):
    _, _, page, _ = study
    assert not [tag for tag, _ in page.tags if tag in ("link", "iframe", "object", "embed", "base", "form")]
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "action", "poster"):
            assert re.match(r"#|$", attrs.get(name) or ""), (tag, attrs)
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy and "http" not in policy


def test_the_policy_lets_exactly_the_pages_scripts_run(study):
    _, _, page, _ = study
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    running = [text for attrs, text in page.scripts if not attrs]
    hashes = {f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}" for text in running}
    assert len(running) == 2 and hashes == set(re.findall(r"sha256-[\w+/=]+", policy))


def test_captions_state_n_seeds_and_what_the_intervals_are(study):
    words = study[2].words
    assert "1,000 fresh samples in 10 sets" in words and "3 seeds" in words
    assert "95 % Student-t interval" in words and "block bootstrap" not in words
    assert words.count("profile of the sum of squares at the effective number of points") == 2  # band of the figure, table of the fits


def test_hostile_text_is_escaped_wherever_it_comes_from(small):
    folder, summary = small
    write_samples(
        folder / f"runs/darling/seed-0/samples/step-{STEPS:06d}.parquet", STEPS, 0, 1, 1, [HOSTILE, "</script>"]
    )
    clean = len(report_of(folder, summary)[0].scripts)
    text = json.dumps(summary).replace("DARLING", HOSTILE).replace("lack of fit", HOSTILE).replace("circle", HOSTILE)
    summary = json.loads(text)
    summary |= {"verdict": HOSTILE, "command": HOSTILE, "commit": HOSTILE, "settings": {HOSTILE: {HOSTILE: HOSTILE}}}
    page, path = report_of(folder, summary, picture=lambda text: f"<svg>{HOSTILE}</svg>")
    assert "<script>alert" not in path.read_text(encoding="utf-8")
    assert len(page.scripts) == clean and not [1 for tag, _ in page.tags if tag == "svg"]
    assert page.words.count(HOSTILE) > 8
    assert page.embedded("pictures")["p0"] == f'<svg xmlns="http://www.w3.org/2000/svg">{HOSTILE}</svg>'


def test_one_seed_says_that_there_is_no_interval(small):
    page, _ = report_of(*small)
    titles = {attrs.get("title") for tag, attrs in page.tags if tag == "abbr"}
    assert "one seed: no interval over seeds" in titles
    assert "1 seed" in page.words


def test_an_objective_without_complete_runs_is_shown_with_dashes(small):
    folder, summary = small
    entry = summary["objectives"]["darling"]
    entry["runs"][0] |= {"complete": False, "final": None, "at_quality": [], "fits": None, "composition": None}
    entry |= {"final": None, "at_quality": [], "fits": None, "composition": None}
    summary["comparisons"] = []
    page, _ = report_of(folder, summary)
    assert "0 of 1 runs complete" in page.words
    assert {"no complete run"} <= {attrs.get("title") for tag, attrs in page.tags if tag == "abbr"}
    assert "comparisons" not in page.sections


def test_a_study_without_samples_steps_or_ledgers_leaves_those_sections_out(tmp_path):
    summary = make_study(tmp_path, seeds=1, labels=("dr_grpo",), samples=False)
    assert "examples" not in report_of(tmp_path, summary)[0].sections
    for path in tmp_path.glob("runs/*/*/*.jsonl"):
        path.unlink()
    summary |= {"frontier": None, "comparisons": [], "prior": None, "seconds": None, "task": None, "commit": None}
    page, _ = report_of(tmp_path, summary)
    assert {"overview", "fits", "settings"} <= set(page.sections)
    assert not {"steps", "training", "numbers"} & set(page.sections)


def test_null_everywhere_in_the_summary_becomes_dashes(small):
    folder, summary = small
    numbers = re.compile(r'("(?:value|low|high|error|r2|rmse|rmse_x|n_effective|a|b|c|r_max|margin)": )-?[\d.e-]+')
    page, _ = report_of(folder, json.loads(numbers.sub(r"\1null", json.dumps(summary))))
    assert page.values == set() and page.words.count("–") > 40


def test_half_a_last_line_is_left_out_and_other_damage_is_refused(small):
    folder, summary = small
    ledger = folder / "runs/darling/seed-0/ledger.jsonl"
    whole = ledger.read_text()
    ledger.write_text(whole + '{"study": "cir')
    assert len(read_evidence(folder, summary).runs[1].rows) == 26 * 19
    lines = whole.splitlines(keepends=True)
    ledger.write_text("".join([*lines[:3], "not json\n", *lines[3:]]))
    with pytest.raises(LedgerError, match=r"ledger\.jsonl, line 4: expected a JSON object, got 'not json'"):
        report_of(folder, summary)


def test_what_went_wrong_on_the_way_is_told_even_from_a_torn_event_log(small):
    folder, summary = small
    log = folder / "runs/darling/seed-0/events.jsonl"
    log.write_text('{"event": "sta\n' + log.read_text())
    page, _ = report_of(folder, summary)
    assert "Updates refused: 2 in 2 runs; the first: the loss is not finite" in page.words
    assert "torch 2.8.0" in page.words and "a processor, 2 cores" in page.words


def test_examples_come_by_cluster_and_by_quality(study):
    folder, summary, page, _ = study
    run = next(run for run in read_evidence(folder, summary).runs if run.label == "dr_grpo" and run.seed == 0)
    shelf = gallery(run, "Dr. GRPO", PictureBook(picture))
    assert (shelf.n, shelf.step, shelf.seed) == (1000, STEPS, 0)
    assert shelf.clusters[0].count > 900 and shelf.clusters[0].share == shelf.clusters[0].count / 1000
    assert sum(c.count for c in shelf.clusters) + round(1000 * shelf.rest_share) == 1000
    assert [e.quality for e in shelf.best] == [1.0] * 4 and all(e.quality == 0 for e in shelf.invalid)
    assert all((e.picture is None) != e.parsable for e in (*shelf.best, *shelf.invalid))
    assert shelf.clusters[0].text in page.words


def test_pictures_stop_at_their_budget_and_that_is_said(study):
    folder, summary, *_ = study
    book = PictureBook(picture, budget=3000)
    run = read_evidence(folder, summary).runs[0]
    gallery(run, "", book)
    assert 0 < len(book.pictures) < 6 and book.n_left_out > 0
    assert sum(map(len, book.pictures.values())) < 3600  # the budget, and the name space that is put in
    assert book("1 2") == book("1 2")  # drawn once


def test_long_and_empty_samples_are_cut_and_named(small):
    folder, summary = small
    write_samples(folder / f"runs/darling/seed-0/samples/step-{STEPS:06d}.parquet", STEPS, 0, 1, 1, ["a" * 5000, ""])
    page, _ = report_of(folder, summary)
    assert "5,000 characters, cut" in page.words and "(empty)" in page.words
    assert "a" * 401 not in page.words
