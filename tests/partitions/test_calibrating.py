"""Thresholds and curves for a stated objective, found by cross-validation and kept in a plain file."""

import json

import numpy as np
import pytest

import breadth
from breadth.partitions.agreement import adjusted_rand_index, evaluate_partitions
from breadth.partitions.calibrating import calibrate_groups, calibrate_pairs, choose_group_threshold
from breadth.partitions.calibration import Calibration, choose_threshold, fit_calibration, verdict_value
from breadth.partitions.calibration_file import CalibrationFile, load_calibration
from breadth.partitions.evaluation import evaluate, length_parts


def make_pairs(n=60):
    draw = np.random.default_rng(0)
    words = [f"word{i}" for i in range(200)]
    a, b, same = [], [], []
    for i in range(n):
        first = list(draw.choice(words, 20, replace=False))
        kept = draw.integers(10, 20) if i % 2 else draw.integers(0, 11)
        second = first[:kept] + list(draw.choice(words, 20 - kept, replace=False))
        a.append(" ".join(first))
        b.append(" ".join(second))
        same.append(i % 2)
    return a, b, [f"p{i // 2}" for i in range(n)], np.array(same)


@pytest.mark.parametrize("objective", ["accuracy", "balanced_accuracy", "f1", "count", "precision"])
@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_pairs_to_a_file_and_back(tmp_path, objective, method):
    a, b, prompts, same = make_pairs()
    tell = breadth.partition("rouge1")
    found = calibrate_pairs(
        tell, a=a, b=b, prompts=prompts, same=same, objective=objective, method=method, data="made up"
    )
    found.save(tmp_path / "c.json")
    again = load_calibration(tmp_path / "c.json")
    assert again == found and json.loads((tmp_path / "c.json").read_text())["record"]["data"] == "made up"
    assert found.record["ece_held_out"] < found.record["ece_score"], "raw overlaps are no probabilities"
    calibrated = breadth.partition("rouge1", calibration=tmp_path / "c.json")
    assert calibrated.threshold == found.threshold and calibrated.calibration == found.curve
    assert breadth.partition("rouge1", calibration=tmp_path / "c.json", threshold=0.2).threshold == 0.2
    raw = calibrated.pair_scores(a, b, calibrated=False)
    np.testing.assert_allclose(calibrated.pair_scores(a, b), found.curve(raw))
    np.testing.assert_allclose(calibrated.probability(a=a[0], b=b[0]), found.curve(raw[:1])[0])


def test_precision_at_a_recall_by_hand():
    scores, same = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), np.array([1, 1, 0, 1, 0, 0])
    prompts = list("abcdef")
    all_found = choose_threshold(scores, same, prompts, objective="precision", least_recall=1.0, n_folds=2)
    assert 0.5 < all_found.value < 0.6 and all_found.in_sample == 0.75
    two = choose_threshold(scores, same, prompts, objective="precision", least_recall=0.6, n_folds=2)
    assert 0.7 < two.value < 0.8 and two.in_sample == 1.0 and two.held_out_recall is not None
    assert (
        verdict_value(np.zeros(6, bool), same, "precision") == verdict_value(np.ones(6, bool), same * 0, "recall") == 0
    )
    with pytest.raises(ValueError, match=r"least_recall: expected a number in \(0, 1\], got 0"):
        choose_threshold(scores, same, prompts, objective="precision", least_recall=0, n_folds=2)


def test_isotonic_curves_keep_only_the_ends_of_their_levels():
    draw = np.random.default_rng(0)
    scores = draw.random(3000)
    same = draw.random(3000) < scores
    curve = fit_calibration(scores, same, method="isotonic")
    assert len(curve.knots) < 300
    assert abs(curve(np.linspace(0.1, 0.9, 9)) - np.linspace(0.1, 0.9, 9)).max() < 0.1
    levels, n_each = np.unique(curve.values, return_counts=True)
    assert n_each.max() <= 2


def make_groups(n=8):
    """Groups of 6 in 3 classes: answers of a class share 15 of 20 words."""
    draw = np.random.default_rng(1)
    texts, kinds = [], []
    for g in range(n):
        topics = [[f"g{g}t{t}w{i}" for i in range(15)] for t in range(3)]
        kind = draw.permutation([0, 0, 1, 1, 2, 2])
        texts.append([" ".join(topics[k] + [f"x{draw.integers(10**6)}" for _ in range(5)]) for k in kind])
        kinds.append(kind.tolist())
    return texts, [f"p{g}" for g in range(n)], kinds


@pytest.mark.parametrize("objective", ["ari", "distinct"])
@pytest.mark.parametrize("clustering", ["greedy", "components", "average", "correlation"])
def test_groups_to_a_threshold(objective, clustering):
    texts, prompts, kinds = make_groups()
    found = calibrate_groups(
        breadth.partition("rouge1", clustering=clustering),
        texts=texts,
        prompts=prompts,
        kinds=kinds,
        objective=objective,
    )
    assert 0.05 < found.threshold < 0.75 and found.curve is None
    assert found.record["held_out"] == (1.0 if objective == "ari" else 0.0)
    tell = breadth.partition("rouge1", clustering=clustering, calibration=found)
    assert all(adjusted_rand_index(tell(group), kind) == 1 for group, kind in zip(texts, kinds, strict=True))


def test_what_groups_need():
    texts, prompts, kinds = make_groups()
    tell = breadth.partition("rouge1")
    with pytest.raises(ValueError, match="objective: expected one of ari, distinct for partitions, got 'f1'"):
        calibrate_groups(tell, texts=texts, prompts=prompts, kinds=kinds, objective="f1")
    with pytest.raises(ValueError, match="group 0: expected 6 classes, one for each answer, got 2"):
        calibrate_groups(tell, texts=texts, prompts=prompts, kinds=[[0, 1]] * 8)
    with pytest.raises(ValueError, match="'soft' makes no classes"):
        calibrate_groups(breadth.partition("rouge1", clustering="soft"), texts=texts, prompts=prompts, kinds=kinds)
    with pytest.raises(ValueError, match="expected groups of two or more answers, got none"):
        choose_group_threshold([np.eye(1)], [[0]], ["p"])


def test_a_calibration_is_of_one_backend(tmp_path):
    found = CalibrationFile("rouge1", "rouge1, short_words=5", 0.5, None, {})
    found.save(tmp_path / "c.json")
    with pytest.raises(ValueError, match="it is of the backend 'rouge1', not of 'jaccard'; calibrate that one"):
        breadth.partition("jaccard", calibration=tmp_path / "c.json")
    with pytest.raises(ValueError, match="it is of another 'rouge1'"):
        breadth.partition("rouge1", short_words=0, calibration=str(tmp_path / "c.json"))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"format": "x"}, "expected a JSON object with format 'breadth-partition-calibration'"),
        ({"version": 2}, "expected version 1, got 2; calibrate again"),
        ({"threshold": 1.5}, r"expected a threshold in \[0, 1\), got 1.5"),
        ({"threshold": "x"}, "a field is missing or of the wrong kind"),
        (
            {"curve": {"method": "isotonic", "knots": [0.2, 0.1], "values": [0, 1]}},
            "expected a Platt curve of two numbers",
        ),
        (
            {"curve": {"method": "isotonic", "knots": [0.1, 0.2], "values": [1, 0]}},
            "expected a Platt curve of two numbers",
        ),
        ({"curve": {"method": "beta", "knots": [1, 2], "values": []}}, "expected a Platt curve of two numbers"),
    ],
)
def test_bad_files_are_named(tmp_path, change, text):
    path = tmp_path / "c.json"
    CalibrationFile("rouge1", None, 0.5, Calibration("platt", (2.0, -1.0), ()), {}).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=text):
        load_calibration(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="not a JSON file"):
        load_calibration(path)


def test_agreement_by_hand():
    found = evaluate_partitions([[0, 0, 1], [0, 1, 2], [0, 0, 0]], [[1, 1, 0], [0, 0, 1], [2, 2, 2]], n_boot=200)
    assert found.ari.value == pytest.approx((1 + 0 + 1) / 3)
    assert (found.distinct.value, found.distinct_true.value) == (2.0, pytest.approx(5 / 3))
    assert found.distinct_error.value == found.distinct_absolute_error.value == pytest.approx(1 / 3)
    assert found.ari.low <= found.ari.value <= found.ari.high and (found.n_groups, found.n_answers) == (3, 9)
    joined = evaluate_partitions([[0, 0], [0, 1]], [[0, 0], [0, 0]], prompts=["p", "p"], n_boot=50)
    assert joined.ari.low == joined.ari.high == joined.ari.value, "one prompt, nothing to resample"
    for bad, text in (
        (lambda: evaluate_partitions([], []), "equal numbers of groups, at least 1, got 0 and 0"),
        (lambda: evaluate_partitions([[]], [[]]), "group 0: expected answers, got none"),
        (lambda: evaluate_partitions([[0]], [[0]], prompts=[]), "prompts: expected 1, one for each group, got 0"),
    ):
        with pytest.raises(ValueError, match=text):
            bad()


def test_rand_index_against_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    draw = np.random.default_rng(0)
    for n in (2, 5, 40):
        a, b = draw.integers(4, size=n), draw.integers(3, size=n)
        assert adjusted_rand_index(a, b) == pytest.approx(metrics.adjusted_rand_score(b, a), abs=1e-12)
        assert (
            metrics.adjusted_rand_score(b, a) != pytest.approx(adjusted_rand_index(a, np.arange(n)), abs=1e-12)
            or n == 2
        )


def test_calibration_error_is_of_the_probabilities_and_the_cut_of_the_scores():
    scores, same = np.array([0.6, 0.7, 0.2, 0.3]), np.array([1, 1, 0, 0])
    found = evaluate(scores, same, threshold=0.5, probability=same.astype(float), n_boot=10)
    assert found.ece.value == 0 and found.accuracy.value == 1
    assert evaluate(scores, same, threshold=0.5, n_boot=10).ece.value == pytest.approx(0.3)


def test_lengths_in_thirds():
    found = length_parts(["x"] * 9, [" ".join("y" * k) for k in range(1, 10)])
    assert [name[0] for name in found] == list("111222333") and found[0].endswith("up to 4 words")
    assert length_parts([], []) == []
