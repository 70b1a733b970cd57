"""Sentence encoders out of a folder, features of aligned sentences, and the classifier that reads them."""

import gzip
import json
import os
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import breadth
from breadth.partitions.calibration import grouped_folds
from breadth.partitions.classifier import load_classifier
from breadth.partitions.encoder import load_encoder, weights_hash
from breadth.partitions.encoder_features import encoder_features, split_sentences
from breadth.partitions.evaluation import auroc
from breadth.partitions.protocol import Answers
from breadth.partitions.training import cross_validate, train_classifier
from breadth.partitions.vector_cache import VectorCache

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from tests.partitions.tiny_models import TEXTS, save_encoder  # noqa: E402


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_those_of_the_layers_one_by_one(tmp_path, pooling):
    folder = save_encoder(tmp_path, pooling=pooling)
    found = load_encoder(folder)([*TEXTS, "a red fox " * 30])
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for text, row in zip([*TEXTS, "a red fox " * 30], found, strict=True):
        ids = torch.tensor([tokenizer(text, truncation=True, max_length=16)["input_ids"]])
        with torch.inference_mode():
            hidden = model(input_ids=ids).last_hidden_state[0].double().numpy()  # (T, d), no padding
        expected = hidden[0] if pooling == "cls" else hidden.mean(axis=0)
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected), atol=1e-6)  # float32 layers


def test_both_layouts_of_pooling_are_read_and_prompts_are_left_to_others(tmp_path, monkeypatch):
    folder = Path(save_encoder(tmp_path))
    before = load_encoder(str(folder))(TEXTS)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"embedding_dimension": 32, "pooling_mode": "mean"}))
    np.testing.assert_array_equal(load_encoder(str(folder))(TEXTS), before)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"embedding_dimension": 32, "pooling_mode": "cls"}))
    assert np.abs(load_encoder(str(folder))(TEXTS) - before).max() > 1e-3
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"default_prompt_name": "query"}))
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match="pip install sentence-transformers"):
        load_encoder(str(folder))


def test_they_are_those_of_sentence_transformers(tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder = save_encoder(tmp_path)
    theirs = sentence_transformers.SentenceTransformer(folder, device="cpu").encode(TEXTS)
    np.testing.assert_allclose(load_encoder(folder)(TEXTS), theirs, atol=1e-6)


def test_the_embedding_backend_takes_a_folder(tmp_path):
    same = breadth.partition("embedding", model=save_encoder(tmp_path), threshold=0.999)
    assert same(["a red fox", "the ship", "a red fox"]).tolist() == [0, 1, 0]
    assert weights_hash(tmp_path) in same.backend.fingerprint


def test_a_folder_without_weights_or_of_another_kind(tmp_path, monkeypatch):
    folder = Path(save_encoder(tmp_path))
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(
        json.dumps([*modules, {"path": "3_Dense", "type": "sentence_transformers.models.Dense"}])
    )
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(
        ImportError, match="no folder that transformers alone can read .* pip install sentence-transformers"
    ):
        load_encoder(str(folder))
    (folder / "modules.json").write_text(json.dumps(modules))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"pip install 'breadth\[text\]'"):
        load_encoder(str(folder))
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="expected a folder with model.safetensors"):
        weights_hash(folder)


class Directions:
    """Every word has a direction of its own; a text is the sum of its words."""

    def __init__(self):
        self.words, self.seen = {}, []

    def __call__(self, texts):
        self.seen += texts
        rows = np.zeros((len(texts), 64))
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().strip(".").split():
                row[self.words.setdefault(word, len(self.words))] += 1
        return rows


def slow_alignment(a, b):
    """The best of all ordered one-to-one alignments, by trying them."""
    cosines = np.maximum(a @ b.T, 0)
    best = 0.0
    for k in range(1, min(cosines.shape) + 1):
        for rows in combinations(range(len(a)), k):
            best = max(best, *(cosines[rows, columns].sum() for columns in combinations(range(len(b)), k)))
    return 2 * best / (len(a) + len(b))


def test_alignment_is_the_best_of_all_ordered_ones():
    draw = np.random.default_rng(0)
    vectors = {f"s {i}": draw.normal(size=5) for i in range(14)} | {"p q": draw.normal(size=5)}
    names = [name for name in vectors if name != "p q"]
    texts = tuple("\n".join(draw.choice(names, size=n)) for n in (1, 2, 3, 4, 4))
    cache = VectorCache(lambda some: np.array([vectors[text] for text in some]))
    for prompt in ("", "p q"):
        found = encoder_features([Answers(prompt, texts)], cache)[0][..., 0]
        unit = {name: v / np.linalg.norm(v) for name, v in vectors.items()}
        if prompt:
            rest = {name: v - (v @ unit[prompt]) * unit[prompt] for name, v in unit.items()}
            unit = {name: v / np.linalg.norm(v) for name, v in rest.items() if name != prompt}
        rows = [np.stack([unit[s] for s in text.split("\n")]) for text in texts]
        np.testing.assert_allclose(found, [[slow_alignment(a, b) for b in rows] for a in rows], atol=1e-10)
        np.testing.assert_array_equal(found, found.T)


def test_every_sentence_is_encoded_once_and_nothing_is_a_text_too():
    encode = Directions()
    group = Answers("say it", ("It rains. We stay.", "", "We stay. It rains.", "It rains."))
    table = encoder_features([group, group], VectorCache(encode))[0]
    assert sorted(encode.seen) == ["It rains.", "We stay.", "say it"]
    assert np.isfinite(table).all() and table[1, 0, 0] == 0
    assert table[0, 2, 0] == pytest.approx(0.5), "the order of sentences counts"
    assert table[0, 3, 0] == pytest.approx(2 / 3)
    assert len(split_sentences("one two. " * 500)) == 64


def make_pairs(n=24):
    stories = ["A fox ran home. It slept.", "A ship sailed out. It sank.", "Two robots met. They sang."]
    return [{"prompt": f"tell story {i}", "generation_0": stories[i % 3], "generation_1": stories[(i + i % 2) % 3] + " End of it.",
             "similar": 1 - i % 2} for i in range(n)]  # fmt: skip


def test_a_classifier_with_an_encoder_is_trained_saved_and_asked(tmp_path):
    folder = save_encoder(tmp_path / "encoder")
    model = train_classifier(make_pairs(), n_folds=2, encoder=folder, disk_cache=tmp_path / "kept")
    assert model.features[-1] == "ordered_own" and model.encoder == {"name": "encoder", "sha256": weights_hash(folder)}
    assert (tmp_path / "kept" / "vectors.sqlite").is_file()
    model.save(tmp_path / "model.json")
    texts = [
        "A fox ran home. It slept.",
        "A ship sailed out. It sank and was lost.",
        "A fox ran home, the end. It slept.",
    ]
    same = breadth.partition("classifier", model=tmp_path / "model.json", encoder=folder)
    assert same(texts).tolist() == [0, 1, 0]
    other = save_encoder(tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match="was fitted with encoder .* and .*other has weights .* fit one with it"):
        breadth.partition("classifier", model=tmp_path / "model.json", encoder=other)
    with pytest.raises(ValueError, match="was fitted with encoder; name its folder"):
        breadth.partition("classifier", model=tmp_path / "model.json")
    with pytest.raises(ValueError, match="was fitted with all-MiniLM-L6-v2"):
        breadth.partition("classifier", encoder=folder)
    with pytest.raises(ValueError, match="this classifier was fitted without one"):
        breadth.partition("classifier", model=load_classifier(), encoder=folder)


def test_a_function_as_encoder():
    model = train_classifier(make_pairs(), n_folds=2, encoder=Directions())
    assert model.encoder == {"name": None, "sha256": None}
    same = breadth.partition("classifier", model=model, encoder=Directions())
    p = same.probability(prompt="tell", a="A fox ran home. It slept.", b="A fox ran home. It slept. The end.")
    assert 0 < p < 1


@pytest.fixture(scope="module")
def minilm():
    named = os.environ.get("BREADTH_TEST_ENCODER")
    if not named or not Path(named).is_dir():
        pytest.skip("no sentence encoder: set BREADTH_TEST_ENCODER to a folder with all-MiniLM-L6-v2")
    if weights_hash(named) != load_classifier(with_encoder=True).encoder["sha256"]:
        pytest.skip(f"{named} holds another encoder than the shipped classifier was fitted with")
    return named


def test_the_shipped_classifier_runs_with_its_encoder(minilm):
    same = breadth.partition("classifier", encoder=minilm)
    texts = ["Paris is the capital of France. It lies on the Seine.", "The capital of France is Paris, a city on the Seine.",
             "Use a hash map: look up the complement of each number as you go."]  # fmt: skip
    assert same(texts, prompts=["What is the capital of France?"] * 3).tolist() == [0, 0, 1]


def test_the_record_of_the_shipped_classifier():
    model, words = load_classifier(with_encoder=True), load_classifier()
    assert model.record["auroc"] >= 0.81 and model.record["pairs_digest"] == words.record["pairs_digest"]
    assert model.record["auroc"] - words.record["auroc"] == pytest.approx(model.record["auroc_above_words"], abs=1e-3)
    assert model.encoder["name"] == "all-MiniLM-L6-v2" and len(model.encoder["sha256"]) == 64


@pytest.mark.nightly
def test_an_encoder_reaches_the_stated_quality(minilm, shared_data):
    """Encodes 37,000 sentences: some ten minutes on one core, once; they are kept in the user's cache folder."""
    path = shared_data / "equivalence_train.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no {path.name}")
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        pairs = [json.loads(line) for line in handle]
    same = np.array([pair["similar"] for pair in pairs])
    fold = grouped_folds([pair["prompt"] for pair in pairs], 5)
    assert len(set(zip((pair["prompt"] for pair in pairs), fold.tolist(), strict=True))) == 1000
    model = train_classifier(pairs, encoder=minilm, disk_cache=True)
    record = load_classifier(with_encoder=True).record
    assert model.record["auroc"] == pytest.approx(record["auroc"], abs=2e-3) and model.record["auroc"] >= 0.81
    assert auroc(cross_validate(pairs), same) < model.record["auroc"]
