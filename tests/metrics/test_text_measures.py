"""Measures over n-grams: hand counts, oracles, invariants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breadth import metrics
from breadth.metrics.tokens import ngrams, numbered, tokenize, tokenizer_name

TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=8).map(" ".join), min_size=2, max_size=7)


def corpus(n, seed=0, words=60, vocabulary=3000):
    generator = np.random.default_rng(seed)
    return [" ".join(f"w{i}" for i in (generator.pareto(1.0, words) * 5).astype(int) % vocabulary) for _ in range(n)]


def naive_ngrams(texts, n):
    return [tuple(t[i : i + n]) for t in tokenize(texts) for i in range(len(t) - n + 1)]


def test_distinct_n_by_hand_and_its_twin():
    row = metrics.distinct_n(["the cat sat", "the cat ran"], n=2)
    assert row.value == 3 / 4 and (row.n, row.n_tokens, row.tokenizer, row.unit) == (2, 6, "words", "share")
    assert row.value != 4 / 4  # the raw count over itself, as if n-grams of different texts were different
    assert metrics.distinct_n(["a b", "b a"], n=2).value == 1.0  # none crosses the border
    assert metrics.distinct_n(["a", ""], n=2).value is None and metrics.distinct_n([], n=1).value is None


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(1, 5))
def test_ngrams_are_those_of_a_plain_count(texts, n):
    ids, lengths, _ = numbered(tokenize(texts))
    gram, text = ngrams(ids, lengths, n)
    plain = naive_ngrams(texts, n)
    assert gram.size == len(plain) and np.unique(gram).size == len(set(plain))
    assert (np.diff(text) >= 0).all()


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_the_texts_does_not_matter(texts, random):
    turned = list(texts)
    random.shuffle(turned)
    for measure in (metrics.distinct_n, metrics.self_bleu, metrics.mean_pairwise_jaccard, metrics.mean_pairwise_rouge1):
        a, b = measure(texts).value, measure(turned).value
        assert (a is None and b is None) or a == pytest.approx(b, abs=1e-9), measure


def test_ead_is_about_one_for_uniform_draws_of_any_amount():
    generator = np.random.default_rng(0)
    for size in (50, 500, 5000):
        text = [" ".join(map(str, generator.integers(0, 1000, size)))]
        assert metrics.ead(text, vocabulary=1000).value == pytest.approx(1, abs=0.1)
    assert metrics.distinct_n(text, n=1).value < 0.25  # while distinct-1 has fallen
    with pytest.raises(ValueError, match="expected at least the 2 distinct tokens of the texts, got 1"):
        metrics.ead(["a b"], vocabulary=1)


def test_ead_keeps_its_digits_for_a_large_vocabulary():
    exact = 1.0 / (1 - (1 - 1e-9))
    assert metrics.ead(["a"], vocabulary=10**9).value == pytest.approx(1.0, rel=1e-12)
    assert exact != pytest.approx(1e9, rel=1e-8)  # what plain floating point makes of the denominator


def test_compression_ratio_grows_with_repeats():
    assert metrics.compression_ratio(["same words here"] * 100).value > 3 * metrics.compression_ratio(corpus(30)).value
    assert metrics.compression_ratio(["", " "]).value is None
    assert metrics.compression_ratio(["a b"]).value == metrics.compression_ratio(["a b"]).value  # no clock in it


def test_lexical_diversity_by_hand_and_its_small_samples():
    row = metrics.lexical_diversity(["a b c d.", "A b c e!"], sample=4, seed=3)
    assert row.budget == 4 and "only" not in row.note
    everything = metrics.lexical_diversity(["a b c", "a b c"], sample=40_000)
    assert everything.budget == 2 and "only 2 of 40000" in everything.note
    assert metrics.lexical_diversity(["a b"], sample=10).value is None
    texts = corpus(80)
    assert metrics.lexical_diversity(texts, sample=1000, seed=0) == metrics.lexical_diversity(texts, sample=1000, seed=0)
    scoped = metrics.lexical_diversity_by_scope(texts, scope="within_prompt", group=[i % 4 for i in range(80)])
    assert len(scoped.sets) == 4 and scoped.scope == "within_prompt" and scoped.error > 0


def test_novelty_by_hand_within_groups_in_any_order():
    texts = ["a b c d e", "p q r s", "a b c d f", "p q r s"]
    group = np.array([7, 1, 7, 1])
    assert metrics.ngram_novelty(texts, group=group).tolist() == [0.5, 0.0, 0.5, 0.0]
    assert metrics.ngram_novelty(["a a a a a", "x"]).tolist()[0] == 0.5  # one type over two 4-grams
    assert np.isnan(metrics.ngram_novelty(["a b c"])).all()
    assert metrics.ngram_novelty(["a b c d"] * 1).tolist() == [1.0]
    with pytest.raises(ValueError, match=r"group: expected shape \(2,\)"):
        metrics.ngram_novelty(["a", "b"], group=np.zeros(3))


def test_self_bleu_is_the_loop_over_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    texts = [*corpus(12, words=25, vocabulary=40), "w1 w2", "w1", "", "w1 w2 w3 w1 w2 w3 w1 w2 w3"]
    for smooth in ("exp", "none"):
        loop = [
            sacrebleu.sentence_bleu(
                text, texts[:i] + texts[i + 1 :], tokenize="none", smooth_method=smooth, use_effective_order=True
            ).score
            for i, text in enumerate(texts)
        ]
        ours = metrics.self_bleu(texts, smooth=smooth, tokenizer="whitespace")
        assert ours.value == pytest.approx(np.mean(loop), abs=1e-10)
    assert metrics.self_bleu(texts, smooth="none").value < metrics.self_bleu(texts).value


def test_self_bleu_of_thousands_of_texts_rises_with_their_number():
    texts = corpus(3000, words=90)  # a loop over pairs of references would take an hour
    assert metrics.self_bleu(texts).value > metrics.self_bleu(texts[:300]).value > metrics.self_bleu(texts[:30]).value


def test_self_bleu_degenerates():
    assert metrics.self_bleu(["a"]).value is None and metrics.self_bleu([]).value is None
    assert metrics.self_bleu(["", ""]).value == 0.0
    with pytest.raises(ValueError, match="smooth: unknown 'floor'; known: exp, none"):
        metrics.self_bleu(["a", "b"], smooth="floor")


def test_rouge_is_that_of_rouge_score():
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rouge1", "rougeL"])
    texts = corpus(9, words=20, vocabulary=30)
    pairs = [scorer.score(texts[i], texts[j]) for i in range(9) for j in range(i)]
    one = metrics.mean_pairwise_rouge1(texts)
    assert one.value == pytest.approx(1 - np.mean([p["rouge1"].fmeasure for p in pairs]), abs=1e-12)
    pytest.importorskip("rapidfuzz")
    long = metrics.mean_pairwise_rouge_l(texts)
    assert long.value == pytest.approx(1 - np.mean([p["rougeL"].fmeasure for p in pairs]), abs=1e-12)
    assert long.value > one.value  # order counts too


@settings(max_examples=40, deadline=None)
@given(TEXTS)
def test_jaccard_is_the_mean_of_the_pairs(texts):
    sets = [set(t.split()) for t in texts]
    n = len(sets)
    plain = np.array([[1 - (len(a & b) / len(a | b) if a | b else 1) for b in sets] for a in sets])
    value, error = metrics.mean_pairwise(plain)
    row = metrics.mean_pairwise_jaccard(texts, tokenizer="whitespace")
    assert row.value == pytest.approx(value, abs=1e-9) and row.n == n
    assert row.error == (pytest.approx(error, abs=1e-9) if error is not None else None)


def test_dense_and_sparse_overlap_agree(monkeypatch):
    texts = corpus(600, words=15)
    small = [metrics.mean_pairwise_jaccard(texts[:90]), metrics.mean_pairwise_rouge1(texts[:90])]
    import breadth.metrics.overlap as overlap

    monkeypatch.setattr(overlap, "_DENSE", 0)
    again = [metrics.mean_pairwise_jaccard(texts[:90]), metrics.mean_pairwise_rouge1(texts[:90])]
    assert [row.value for row in small] == pytest.approx([row.value for row in again], abs=1e-12)
    assert metrics.mean_pairwise_jaccard(texts).n == 600  # more than one block


def test_cosine_identity_is_the_mean_of_the_pairs():
    features = np.random.default_rng(0).normal(size=(40, 6))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    value, error = metrics.mean_pairwise(1 - unit @ unit.T)
    row = metrics.mean_pairwise_cosine(features * np.arange(1, 41)[:, None])
    assert row.value == pytest.approx(value, abs=1e-12) and row.error == pytest.approx(error, abs=1e-12)
    from scipy.sparse import csr_matrix

    assert metrics.mean_pairwise_cosine(csr_matrix(features)).value == pytest.approx(value, abs=1e-12)
    assert metrics.mean_pairwise_cosine(features[:1]).value is None
    with pytest.raises(ValueError, match="expected rows with a direction, got 1 rows of zeros, first at 1"):
        metrics.mean_pairwise_cosine(np.array([[1.0, 0.0], [0.0, 0.0]]))


def test_tokenizers():
    assert tokenize(["Don't -- stop"], "wordpunct") == [["don", "t", "--", "stop"]]  # "'" is single, "--" is not
    assert tokenize(["C[nH]Brc%11"], "smiles") == [["C", "[nH]", "Br", "c", "%11"]]
    assert tokenizer_name(str.upper) == "builtins.str.upper"
    with pytest.raises(ValueError, match="tokenizer: unknown 'word'; known: words, whitespace"):
        tokenize(["a"], "word")
    with pytest.raises(TypeError, match="got one string; put it into a list"):
        tokenize("a b")
    with pytest.raises(TypeError, match="expected strings, got NoneType at 1"):
        tokenize(["a", None])


def test_a_budget_takes_away_the_length():
    short, long = corpus(40, seed=1, words=20), corpus(40, seed=2, words=200)
    raw = [metrics.distinct_n(texts).value for texts in (short, long)]
    cut = [metrics.distinct_n(metrics.within_budget(texts, 700), tokenizer="whitespace") for texts in (short, long)]
    assert {row.n_tokens for row in cut} == {700}
    assert abs(cut[0].value - cut[1].value) < 0.25 * abs(raw[0] - raw[1])
    assert metrics.within_budget(short, 10_000) is None


def test_intervals_over_texts_cover_and_those_over_pairs_would_not():
    generator = np.random.default_rng(0)
    truth, covered, width = 1.0, 0, []
    for trial in range(60):
        x = list(generator.normal(size=(24, 8)))  # isotropic: the true mean cosine is 0
        found = metrics.interval_over_texts(lambda rows: metrics.mean_pairwise_cosine(np.array(rows)), x, n_boot=60, seed=trial)
        covered += found.low <= truth <= found.high
        width.append(found.high - found.low)
    assert covered >= 50
    with pytest.raises(ValueError, match="at least 20"):
        metrics.interval_over_texts(len, [1, 2, 3, 4], n_boot=3)
    assert metrics.interval_over_texts(lambda x: 1.0, [1, 2]).low is None


def test_nothing_heavy_is_imported_and_every_name_is_there():
    for name in metrics.__all__:
        assert getattr(metrics, name) is not None and name in dir(metrics)
    with pytest.raises(AttributeError, match="public names: .*vendi"):
        _ = metrics.vend
