"""Fine-tuning of a cross-encoder on tiny models built from a config."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import breadth
from breadth.partitions.cross_encoder import RECORD, CrossEncoder
from breadth.partitions.fine_tuning import _both_orders, _held_out, fine_tune
from breadth.partitions.protocol import Pair

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from safetensors.torch import load_file  # noqa: E402

from tests.partitions.tiny_models import one_thread, save_bert, save_modernbert  # noqa: E402

COLOURS = ("red", "blue")


@pytest.fixture(autouse=True)
def alone():
    with one_thread():
        yield


def make_pairs(n=48):
    """Answers are the same if they name the same colour."""
    draw = np.random.default_rng(0)
    pairs = []
    for i in range(n):
        first = COLOURS[draw.integers(2)]
        second = first if i % 2 else COLOURS[1 - COLOURS.index(first)]
        pairs.append(
            {
                "prompt": f"prompt {i // 2}",
                "generation_0": f"a {first} fox",
                "generation_1": f"the {second} ship",
                "similar": i % 2,
            }
        )
    return pairs


SETTINGS = {"epochs": 10, "learning_rate": 1e-2, "batch_size": 8, "max_length": 24, "patience": 10, "device": "cpu"}


def test_it_learns_stops_and_is_an_ordinary_folder(tmp_path):
    start = save_bert(tmp_path / "start")
    found = fine_tune(make_pairs(), model=start, out=tmp_path / "out", data="made up", use_prompt=True, **SETTINGS)
    assert found.record["auroc"] > 0.9 and max(found.record["held_out_auroc_by_epoch"]) == pytest.approx(
        found.record["auroc"], abs=1e-4
    )
    assert found.record["n"] == 48 and 0 < found.record["n_held_out"] < 24
    assert {p.name for p in found.folder.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json", RECORD}
    same = breadth.partition("cross_encoder", model=str(found.folder))
    assert (same.threshold, same.backend.use_prompt, same.backend.max_length) == (found.threshold, True, 24)
    assert same.backend.record["data"] == "made up"
    assert same(["a red fox", "the red ship", "the blue ship"], prompts=["prompt 90"] * 3).tolist() == [0, 0, 1]
    given = CrossEncoder(str(found.folder), threshold=0.9, max_length=8, use_prompt=False)
    assert (given.threshold, given.max_length, given.use_prompt) == (0.9, 8, False), "the caller's word counts more"
    assert given.fingerprint != same.backend.fingerprint


def test_the_best_epoch_is_kept_and_patience_ends_it(tmp_path):
    start = save_bert(tmp_path / "start")
    settings = SETTINGS | {"learning_rate": 1e-6, "patience": 1, "epochs": 9}
    found = fine_tune(make_pairs(24), model=start, out=tmp_path / "out", **settings)
    assert found.record["epochs"] < 9
    assert found.record["auroc"] == pytest.approx(max(found.record["held_out_auroc_by_epoch"]), abs=1e-4)


def test_a_modernbert_is_fine_tuned_as_well_and_equal_seeds_give_equal_weights(tmp_path):
    start = save_modernbert(tmp_path / "start")
    settings = SETTINGS | {"epochs": 1}
    a, b = (fine_tune(make_pairs(16), model=start, out=tmp_path / name, **settings) for name in "ab")
    pairs = [Pair("", "a red fox", "the blue ship")]
    one, other = (dict(CrossEncoder(str(found.folder)).score_pairs(pairs)) for found in (a, b))
    assert one == other and 0 < one[0] < 1


def test_pickled_weights_are_not_read(tmp_path):
    start = Path(save_bert(tmp_path / "start"))
    weights = load_file(start / "model.safetensors")
    torch.save(weights, start / "pytorch_model.bin")
    (start / "model.safetensors").unlink()
    with pytest.raises(OSError, match="safetensors"):
        fine_tune(make_pairs(), model=str(start), out=tmp_path / "out", data="made up", **SETTINGS)
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_templates_of_a_foreign_tokenizer_are_not_written(tmp_path):
    start = Path(save_bert(tmp_path / "start"))
    settings = json.loads((start / "tokenizer_config.json").read_text())
    settings["chat_template"] = [{"name": "default", "template": "x"}, {"name": "../../outside", "template": "x"}]
    (start / "tokenizer_config.json").write_text(json.dumps(settings))
    fine_tune(
        make_pairs(), model=str(start), out=tmp_path / "a" / "b" / "out", data="made up", **SETTINGS | {"epochs": 1}
    )
    assert not list(tmp_path.rglob("outside*"))


def test_both_orders_by_hand():
    logits = np.array([[0.0, 0.0], [0.0, np.log(3)], [1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(_both_orders(logits), [(0.5 + 0.75) / 2, 1 / (1 + np.e)])


def test_the_split_is_by_prompt():
    prompts = [f"p{i % 10}" for i in range(40)]
    held = _held_out(prompts, 0.3, seed=1)
    assert held.sum() == 12 and len({p for p, h in zip(prompts, held, strict=True) if h}) == 3


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"epochs": 0}, "epochs: expected a positive number, got 0"),
        ({"held_out_share": 1.0}, r"held_out_share: expected a share in \(0, 1\), got 1.0"),
        ({"pairs": make_pairs(2)}, "expected both labels among the pairs"),
    ],
)
def test_bad_settings(tmp_path, change, text):
    with pytest.raises(ValueError, match=text):
        fine_tune(**{"pairs": make_pairs(), "model": "none", "out": tmp_path, **change})


def test_a_bad_record_is_named(tmp_path):
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(ValueError, match=r"breadth_pairs.json: not a JSON file"):
        CrossEncoder(str(tmp_path))
    (tmp_path / RECORD).write_text(json.dumps({"format": "x"}))
    with pytest.raises(ValueError, match="expected format 'breadth-cross-encoder', version 1"):
        CrossEncoder(str(tmp_path))


def test_without_transformers_the_pip_line_is_shown(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"pip install 'breadth\[text\]'"):
        fine_tune(make_pairs(), model="none", out=tmp_path)


def test_importing_it_loads_no_transformers():
    code = "import sys, breadth.partitions.fine_tuning; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
