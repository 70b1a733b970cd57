"""A prior on its own: what is watched, what the report says, and that an interrupted one goes on as if it had not been."""

from __future__ import annotations

import json
import math
import re
from collections import Counter

import numpy as np
import pytest

from breadth.config import ConfigError, build_settings
from breadth.engine.gpt import GPT, GPTShape
from breadth.experiments.distribution import PROPERTIES, distribution_report, scaffold_cosine, standardised_distance
from breadth.experiments.pretraining import (
    PRESETS,
    PretrainSettings,
    parameter_counts,
    pretrain_checks,
    run_pretraining,
)
from breadth.experiments.pretraining_page import write_page

CIRCLE = {
    "task": {"kind": "circle", "vertices": 8, "edges": 4},
    "model": {"n_layer": 1, "n_head": 2, "n_embd": 32},
    "prior": {"steps": 60, "batch_size": 32, "checkpoint_every": 20},
    "check": {"every": 20, "curve_samples": 32, "valid_texts": 64, "samples": 50},
}


def settings_of(data) -> PretrainSettings:
    return build_settings(PretrainSettings, data, where="here", checks=(pretrain_checks,))


def test_presets_have_the_published_counts():
    # 6.37, 21.38 and 50.55 million in the paper's table
    ours, theirs = parameter_counts(43), parameter_counts(108)
    assert [round(ours[n]["untied"] / 1e6, 2) for n in PRESETS] == [6.37, 21.38, 50.55]
    assert [theirs[n]["untied_without_positions"] for n in PRESETS] == [6_373_888, 21_377_280, 50_549_760]
    assert [round(ours[n]["tied"] / 1e6, 2) for n in PRESETS] == [6.36, 21.36, 50.53]  # the tied head does not fit
    model = PRESETS["small"]["model"]
    shape = {k: v for k, v in model.items() if k != "dropout"}
    assert GPT(GPTShape(vocab_size=43, **shape)).n_parameters == ours["small"]["untied"]
    assert GPT(GPTShape(vocab_size=43, **{**shape, "tie_word_embeddings": True})).n_parameters == ours["small"]["tied"]


def test_a_prior_is_watched_judged_and_continued_bit_for_bit(tmp_path, monkeypatch):
    whole = run_pretraining(settings_of(CIRCLE), tmp_path / "whole")
    assert [row["step"] for row in whole["curve"]] == [0, 20, 40, 60]
    assert whole["curve"][0]["valid_loss"] > whole["curve"][-1]["valid_loss"] == pytest.approx(whole["valid_loss"])
    assert 0 < whole["validity"] <= 1 and whole["novelty"] is None and "distribution" not in whole

    class PowerCut(BaseException):
        pass

    def cut(row):
        if row["phase"] == "train" and row["step"] == 40:
            raise PowerCut

    with pytest.raises(PowerCut):
        run_pretraining(settings_of(CIRCLE), tmp_path / "cut", on_step=cut)
    assert not (tmp_path / "cut" / "report.json").exists()
    seen = []
    again = run_pretraining(settings_of(CIRCLE), tmp_path / "cut", on_step=lambda row: seen.append(row["step"]))
    assert seen[0] == 20  # from the checkpoint
    assert again == whole
    for name in ("model.safetensors", "curve.jsonl", "steps.jsonl"):
        assert (tmp_path / "cut/model" / name).read_bytes() == (tmp_path / "whole/model" / name).read_bytes()
    monkeypatch.setattr("breadth.experiments.pretraining.pretrain", lambda *a, **k: pytest.fail("it was trained again"))
    assert run_pretraining(settings_of(CIRCLE), tmp_path / "whole") == whole
    changed = {**CIRCLE, "prior": {**CIRCLE["prior"], "learning_rate": 1e-3}}
    with pytest.raises(
        ConfigError, match="prior.learning_rate: the run that lies here has 0.005, now 0.001 is asked for"
    ):
        run_pretraining(settings_of(changed), tmp_path / "whole")


def test_watching_changes_nothing_in_the_training(tmp_path):
    from breadth.engine.pretrain import pretrain
    from breadth.experiments.assemble import task_of

    s = settings_of({**CIRCLE, "model": {**CIRCLE["model"], "dropout": 0.1}})
    run_pretraining(s, tmp_path / "watched")
    pretrain(task_of(s), model=s.model, prior=s.prior, engine=s.engine, work=tmp_path / "w", target=tmp_path / "alone")
    assert (tmp_path / "alone/model.safetensors").read_bytes() == (
        tmp_path / "watched/model/model.safetensors"
    ).read_bytes()
    assert not (tmp_path / "alone/curve.jsonl").exists()


def test_a_prior_of_molecules_is_compared_with_its_corpus(tmp_path, own_cache, chembl):
    pytest.importorskip("rdkit")
    corpus = tmp_path / "a.smi"
    corpus.write_text("\n".join(chembl[:600]))
    data = {
        **CIRCLE,
        "task": {"kind": "molecules", "corpus": str(corpus), "max_tokens": 60},
        "prior": {"steps": 40, "batch_size": 16, "learning_rate": 5e-3},
        "check": {**CIRCLE["check"], "samples": 30, "reference": 60, "every": 40},
    }
    report = run_pretraining(settings_of(data), tmp_path / "prior")
    assert report["corpus"].startswith(f"{corpus}: ") and report["distribution"]["n_train"] == 60
    assert set(report["distribution"]["properties"]) == set(PROPERTIES)
    assert (report["novelty"] is None) == (report["validity"] == 0)
    page = write_page(report, tmp_path / "report.html").read_text()
    assert "validation split" in page and not re.search(r'<script[^>]+src="http', page)
    json.dumps(report, allow_nan=False)


def test_distances_by_hand():
    normal = np.random.default_rng(0).normal(size=20_000)
    assert standardised_distance(normal + 1, normal) == pytest.approx(1.0, abs=0.02)
    assert standardised_distance(3 * normal + 3, 3 * normal) == pytest.approx(1.0, abs=0.02)  # blind to units
    assert standardised_distance(normal, normal) == 0.0
    assert math.isnan(standardised_distance(np.array([np.nan]), normal))
    assert (
        standardised_distance(np.ones(2), np.ones(3)) == 0.0
        and standardised_distance(np.zeros(2), np.ones(3)) == math.inf
    )
    assert scaffold_cosine(Counter("aab"), Counter("aab")) == pytest.approx(1.0)
    assert scaffold_cosine(Counter("aa"), Counter("b")) == 0.0 and math.isnan(scaffold_cosine(Counter(), Counter("b")))


def test_a_draw_of_the_corpus_is_nearer_to_it_than_something_else(chembl):
    pytest.importorskip("rdkit")
    near = distribution_report(chembl[:120], chembl[200:500], chembl[500:700])
    far = distribution_report(["CCO", "CCN", "CCCC"] * 40, chembl[200:500], chembl[500:700])
    for name in PROPERTIES:
        assert near["properties"][name]["distance"] < 0.5 < far["properties"][name]["distance"]
        assert near["properties"][name]["floor"] < 0.5
        assert sum(near["properties"][name]["samples"]) == 120
    assert far["scaffolds"]["known_share"] is None and far["scaffolds"]["cosine"] is None
    assert 0 <= near["scaffolds"]["known_share"] <= 1
    nothing = distribution_report([], chembl[200:300], chembl[300:400])
    assert nothing["properties"]["mw"]["distance"] is None and nothing["properties"]["mw"]["mean_samples"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"n_head": 3, "n_embd": 32}}, "model.n_embd = 32 is not a multiple of model.n_head = 3"),
        ({"prior": {"path": "x"}}, "prior.path: names a model that is trained already"),
        ({"task": {"kind": "molecules", "oracle": "qde"}}, "task: oracle: expected one of"),
        ({"check": {"evry": 5}}, r"check.evry: unknown key; did you mean 'every'\?"),
    ],
)
def test_settings_that_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        settings_of({**CIRCLE, **change})
