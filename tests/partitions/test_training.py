"""Training, calibration and evaluation of the shipped classifier."""

import gzip
import json

import numpy as np
import pytest

import breadth
from breadth.partitions.agreement import adjusted_rand_index
from breadth.partitions.calibration import choose_threshold, fit_calibration, grouped_folds, verdict_value
from breadth.partitions.classifier import Classifier, load_classifier
from breadth.partitions.evaluation import auroc, evaluate, expected_calibration_error
from breadth.partitions.features import FEATURES, Rarity, pair_features
from breadth.partitions.protocol import Answers
from breadth.partitions.training import cross_validate, train_classifier

STORIES = [
    "the fox ran far into the green forest",
    "a ship sailed slowly across the wide sea",
    "two robots built a house of glass",
]


def make_pairs(n=24):
    return [
        {
            "prompt": f"Tell story number {i}",
            "generation_0": STORIES[i % 3],
            "generation_1": f"once {STORIES[i % 3] if i % 2 else STORIES[(i + 1) % 3]}",
            "similar": i % 2,
        }
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def human_pairs(shared_data):
    path = shared_data / "equivalence_train.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no {path.name}")
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


def test_word_features_reach_the_stated_quality(human_pairs):
    probability = cross_validate(human_pairs)
    same = np.array([pair["similar"] for pair in human_pairs])
    record = load_classifier().record
    assert auroc(probability, same) == pytest.approx(record["auroc"], abs=2e-3)  # the optimiser's last digits
    assert record["auroc"] >= 0.79 and record["auroc_low"] <= record["auroc"] <= record["auroc_high"]
    assert record["n"] == len(human_pairs)
    prompts = [pair["prompt"] for pair in human_pairs]
    found = evaluate(probability, same, threshold=load_classifier().threshold, prompts=prompts, n_boot=100)
    assert found.ece.value < 0.06 and found.balanced_accuracy.value > 0.73


def test_the_shipped_model_agrees_with_the_classes_of_noveltybench(shared_data):
    path = shared_data / "noveltybench_gemini15pro_curated_scored.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"no {path.name}")
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        rows = [json.loads(line) for line in handle][:40]
    texts = [text for row in rows for text in row["generations"]]
    prompts = [row["prompt"] for row in rows for _ in row["generations"]]
    kinds = breadth.partition("classifier")(texts, group=np.repeat(np.arange(len(rows)), 10), prompts=prompts)
    agreement = [adjusted_rand_index(kinds[10 * i : 10 * i + 10], row["partition"]) for i, row in enumerate(rows)]
    assert np.mean(agreement) > 0.5


def test_a_trained_model_is_saved_read_and_used(tmp_path):
    model = train_classifier(make_pairs(), data="made up", licence="none", n_folds=3, date="2026-01-01")
    assert model.record["n_prompts"] == 24 and model.record["date"] == "2026-01-01" and model.record["auroc"] > 0.9
    model.save(tmp_path / "model.json")
    again = load_classifier(tmp_path / "model.json")
    texts = [STORIES[0], f"once upon a time {STORIES[0]}", STORIES[1]]
    for a, b in zip(Classifier(model).blocks([Answers("Tell", tuple(texts))]),
                    Classifier(tmp_path / "model.json").blocks([Answers("Tell", tuple(texts))]), strict=True):  # fmt: skip
        np.testing.assert_allclose(a, b, atol=1e-5)  # eight decimals in the file
    assert again.record == model.record
    assert breadth.partition("classifier", model=str(tmp_path / "model.json"))(texts).tolist() == [0, 0, 1]


def test_the_same_pairs_give_the_same_model():
    a, b = (train_classifier(make_pairs(), n_folds=2) for _ in range(2))
    np.testing.assert_array_equal(a.coefficient, b.coefficient)
    swapped = [{**p, "generation_0": p["generation_1"], "generation_1": p["generation_0"]} for p in make_pairs()]
    np.testing.assert_allclose(train_classifier(swapped, n_folds=2).coefficient, a.coefficient, atol=1e-4)


def test_features_are_symmetric_and_finite_for_anything():
    texts = ("", "?!", "🎵", "one", "A Fox. Met 3 Foxes\n- **Big**: one", "x" * 5000)
    table = pair_features(Answers("", texts), Rarity(1, {}, 0.5))
    assert table.shape == (6, 6, len(FEATURES)) and np.isfinite(table).all()
    np.testing.assert_allclose(table, table.transpose(1, 0, 2), atol=1e-12)
    overlaps = table[..., : FEATURES.index("headings") + 1]
    assert overlaps.min() >= 0 and overlaps.max() <= 1 + 1e-6


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"similar": 2}, r"pairs\[1\]: expected 0 or 1 in 'similar', got 2"),
        ({"prompt": None}, r"pairs\[1\]: expected text in 'prompt', got NoneType"),
    ],
)
def test_bad_pairs_are_named(change, text):
    pairs = make_pairs()
    pairs[1] = {**pairs[1], **change}
    with pytest.raises(ValueError, match=text):
        train_classifier(pairs)
    del pairs[1]["similar"]
    with pytest.raises(ValueError, match=r"pairs\[1\]: expected the fields prompt, .*, got no 'similar'"):
        train_classifier(pairs)


def test_too_little_to_learn_from():
    with pytest.raises(ValueError, match=r"n_folds: expected 2 to 1 \(the number of distinct prompts\), got 5"):
        train_classifier([{**pair, "prompt": "p"} for pair in make_pairs()])
    with pytest.raises(ValueError, match="expected both labels among the pairs, got 0 same of 24"):
        train_classifier([{**pair, "similar": 0} for pair in make_pairs()])
    with pytest.raises(ValueError, match="features: unknown 'rouge9'"):
        train_classifier(make_pairs(), features=["rouge9"])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"format": "x"}, "expected a JSON object with format 'breadth-pair-classifier'"),
        ({"version": 9}, "expected version 1, got 9; train it again"),
        ({"features": {"smell": {}}}, "unknown feature 'smell'; known: rouge1"),
        ({"intercept": float("nan")}, "expected finite numbers and positive deviations"),
    ],
)
def test_bad_files_are_named(tmp_path, change, text):
    path = tmp_path / "model.json"
    load_classifier().save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=text):
        load_classifier(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="not a JSON file"):
        load_classifier(path)


def test_calibration_curves():
    draw = np.random.default_rng(0)
    scores = draw.random(4000)
    same = draw.random(4000) < 1 / (1 + np.exp(-(6 * scores - 3)))
    for method in ("platt", "isotonic"):
        curve = fit_calibration(scores, same, method=method)
        grid = curve(np.linspace(-1, 2, 50))
        assert (np.diff(grid) >= 0).all() and grid.min() >= 0 and grid.max() <= 1
        assert abs(curve(np.array([0.5]))[0] - 0.5) < 0.08
        assert (
            expected_calibration_error(curve(scores), same) < 0.03 < expected_calibration_error(1 - curve(scores), same)
        )
    assert fit_calibration(scores, same).knots == pytest.approx((6, -3), abs=0.5)
    with pytest.raises(ValueError, match="method: expected 'platt' or 'isotonic', got 'beta'"):
        fit_calibration(scores, same, method="beta")


def test_folds_keep_prompts_together():
    prompts = [f"p{i % 7}" for i in range(50)]
    fold = grouped_folds(prompts, 3, seed=1)
    for prompt in set(prompts):
        assert len({int(f) for f, p in zip(fold, prompts, strict=True) if p == prompt}) == 1


@pytest.mark.parametrize("objective", ["accuracy", "balanced_accuracy", "f1", "count"])
def test_a_threshold_is_chosen_without_the_fold_that_it_is_judged_on(objective):
    draw = np.random.default_rng(0)
    scores, same = draw.random(300), (draw.random(300) < 0.4).astype(float)
    found = choose_threshold(scores, same, [str(i) for i in range(300)], objective=objective)
    assert found.held_out <= found.in_sample + 0.02, "pure noise looks better on the pairs that chose the cut"
    assert found.in_sample == pytest.approx(verdict_value(scores > found.value, same, objective))
    with pytest.raises(
        ValueError, match="objective: expected one of accuracy, balanced_accuracy, f1, count, precision, got 'recall'"
    ):
        choose_threshold(scores, same, ["p"] * 300, objective="recall")


def test_evaluation_by_hand():
    probability, same = np.array([0.9, 0.8, 0.4, 0.3]), np.array([1, 0, 1, 0])
    found = evaluate(probability, same, threshold=0.5, parts={"length": ["a", "a", "b", "b"]}, n_boot=50)
    assert (found.auroc.value, found.accuracy.value, found.f1.value) == (0.75, 0.5, 0.5)
    assert found.ece.value == pytest.approx((0.1 + 0.8 + 0.6 + 0.3) / 4)
    assert set(found.parts) == {"length: a", "length: b"} and found.parts["length: a"].n == 2
    alone = evaluate(probability, same, threshold=0.5, parts={"x": ["a", "b", "c", "d"]}, n_boot=10).parts["x: a"]
    assert alone.auroc.value is None and alone.accuracy.value == 1
    assert found.accuracy.low <= found.accuracy.value <= found.accuracy.high
    with pytest.raises(ValueError, match=r"parts\['x'\]: expected 4 labels, got 1"):
        evaluate(probability, same, threshold=0.5, parts={"x": ["a"]})
    with pytest.raises(ValueError, match=r"probability: expected numbers in \[0, 1\]"):
        evaluate(probability * 2, same, threshold=0.5)


def test_rand_index_is_that_of_scikit_learn():
    # values of sklearn.metrics.adjusted_rand_score 1.9
    assert adjusted_rand_index([0, 0, 1, 2], [0, 0, 1, 1]) == pytest.approx(0.5714285714)
    assert adjusted_rand_index([0, 0, 0, 0], [0, 1, 2, 3]) == 0
    assert adjusted_rand_index([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(-0.5)
    assert (
        adjusted_rand_index([0, 1, 2], [5, 6, 7])
        == adjusted_rand_index([], [])
        == adjusted_rand_index([0, 0], [1, 1])
        == 1
    )
    with pytest.raises(ValueError, match="kinds and truth: expected equal lengths"):
        adjusted_rand_index([0], [0, 1])
