"""Measures of files that need more than the texts: classes, vectors, trees, a bar; each against a count by hand or its own definition."""

from __future__ import annotations

import json

import numpy as np
import pytest

from breadth import metrics
from breadth.experiments.generation_answers import sentences
from breadth.experiments.generation_measures import MEASURES, measure_named
from breadth.experiments.generations import compare_measured, measure_file, measure_path
from breadth.metrics.conditions import Sampling

ROWS = [
    # prompt, response, reward, correct, kind, logprob
    ("p", "red fox runs", 1.0, 1, "a", -1.0),
    ("p", "red fox ran", 0.2, 0, "a", -2.0),
    ("p", "blue whale sings", 0.9, 1, "b", -1.5),
    ("p", "blue owl", 0.8, 1, "c", -4.0),
    ("q", "one two", 0.1, 0, "a", -1.0),
    ("q", "one two three", 0.9, 1, "b", -1.0),
    ("q", "one two", 0.7, 0, "a", -1.0),
    ("q", "four", None, None, "c", -1.0),
]


def write(path, rows=ROWS, **more):
    names = ("prompt", "response", "reward", "correct", "kind", "logprob")
    path.write_text("".join(json.dumps({**dict(zip(names, row, strict=True)), **more}) + "\n" for row in rows))
    return path


def values(measured):
    return {row.metric: row.value for _, row in measured.rows}


def encode(texts):
    """(M, 3) vectors: how often a, e and o stand in the text, and one."""
    return np.array([[text.count("a") + 0.5, text.count("e"), text.count("o")] for text in texts], dtype=float)


def test_classes_by_hand(tmp_path):
    found = values(measure_file(write(tmp_path / "a.jsonl"), metrics=["all"], bar=0.75))
    assert (
        found["distinct_k"] == 3 and found["coverage"] == found["pass_at_k"] == 1
    )  # of q only p has four that are scored
    entropy = -(0.5 * np.log(0.5) + 2 * 0.25 * np.log(0.25))
    assert found["semantic_entropy"] == pytest.approx(entropy)
    weights = np.exp([-1.0, -2.0, -1.5, -4.0])
    of_p = np.array([weights[:2].sum(), weights[2], weights[3]]) / weights.sum()
    of_q = np.full(3, 1 / 3)  # "one two" stands there twice and counts once
    by_hand = np.mean([-(x * np.log(x)).sum() for x in (of_p, of_q)])
    assert found["semantic_entropy_logprob"] == pytest.approx(by_hand)
    assert found["utility_k"] == pytest.approx(
        (1 + 0.64 * 0.9 + 0.512 * 0.8) / (1 + 0.8 + 0.64 + 0.512)
    )  # q has an unscored answer
    assert found["distinct_correct_at_k"] == 3  # a, b, c among the right ones of p


def test_above_a_bar_and_weighted_by_goodness(tmp_path):
    path = write(tmp_path / "a.jsonl")
    found = values(measure_file(path, metrics=["all"], bar=0.75))
    assert found["above_bar_share"] == pytest.approx((3 / 4 + 1 / 3) / 2)
    good = metrics.mean_pairwise_rouge1(["red fox runs", "blue whale sings", "blue owl"]).value
    assert (
        found["rouge1_distance_above_bar"] == found["rouge1_distance_correct"] == pytest.approx(good)
    )  # q has one alone
    assert found["effective_distance"] == pytest.approx((good * 6 / 12 + 0) / 2)  # q: one good of three, no pair
    texts, right = [row[1] for row in ROWS[:4]], [1, 0, 1, 1]
    table = np.array([[metrics.mean_pairwise_rouge1([a, b]).value if a != b else 0 for b in texts] for a in texts])
    assert metrics.effective_diversity(table, right).value == pytest.approx(good * 6 / 12)
    assert found["distinct_above_bar_at_k"] == 3
    with pytest.raises(ValueError, match="'above_bar_share' needs a quality bar .bar=, --bar."):
        measure_file(path, metrics=["above_bar_share"])
    assert "effective_distance" in values(measure_file(path)) and "above_bar_share" not in values(measure_file(path))


def test_vectors_and_their_twins(tmp_path):
    path = write(tmp_path / "a.jsonl")
    found = values(measure_file(path, encoder=encode, order=2))
    texts = {name: [row[1] for row in ROWS if row[0] == name] for name in "pq"}
    cosine = np.mean([metrics.mean_pairwise_cosine(encode(texts[name])).value for name in "pq"])
    assert found["cosine_distance"] == pytest.approx(cosine)
    assert found["semantic_diversity"] == pytest.approx(cosine / 2)  # answers of one sentence
    assert found["vendi"] == pytest.approx(np.mean([metrics.vendi(features=encode(texts[name]), q=2) for name in "pq"]))
    assert found["vendi"] < values(measure_file(path, encoder=encode, order=0.5))["vendi"]
    note = " ".join(measure_file(path, encoder=encode, order=2).notes)
    assert "Vendi scores are of order 2." in note
    with pytest.raises(ValueError, match=r"encoder: expected \(\d+, d\) finite numbers, got shape \(0,\)"):
        measure_file(path, encoder=lambda texts: [])
    with pytest.raises(ValueError, match="'vendi' needs a sentence encoder"):
        measure_file(path, metrics=["vendi"])


def test_words_give_a_vendi_score_too(tmp_path):
    rows = [("p", text, 1.0, 1, "a", -1.0) for text in ("a b", "a b", "c d", "c d")]
    assert values(measure_file(write(tmp_path / "a.jsonl", rows), metrics=["vendi_words"]))[
        "vendi_words"
    ] == pytest.approx(2)
    rows = [("p", text, 1.0, 1, "a", -1.0) for text in ("", "", "c d", "e f")]
    found = values(measure_file(write(tmp_path / "b.jsonl", rows), metrics=["vendi_words"]))["vendi_words"]
    assert found == pytest.approx(np.exp(1.5 * np.log(2)))  # two empty answers are one thing


def conllu(text):
    words = text.split()
    return (
        "\n".join(
            f"{i}\t{w}\t_\t{'VERB' if w.endswith('s') else 'NOUN'}\t_\t_\t{i - 1}\t_\t_\t_"
            for i, w in enumerate(words, 1)
        )
        + "\n\n"
    )


def test_trees_from_a_file_and_from_a_parser_agree(tmp_path):
    path = write(tmp_path / "a.jsonl")
    parsed = values(measure_file(path, parse=conllu, metrics=["syntactic_diversity"]))["syntactic_diversity"]
    by_hand = np.mean([
        metrics.syntactic_diversity("".join(conllu(row[1]) for row in ROWS if row[0] == name), scope="pooled").value for name in "pq"
    ])  # fmt: skip
    assert parsed == pytest.approx(by_hand) and parsed > 0
    (tmp_path / "a.conllu").write_text("".join(f"# newdoc id = {i}\n{conllu(row[1])}" for i, row in enumerate(ROWS)))
    read = measure_file(path, conllu=tmp_path / "a.conllu")
    assert values(read)["syntactic_diversity"] == pytest.approx(parsed)
    (tmp_path / "b.conllu").write_text("".join(conllu(row[1]) for row in ROWS))  # one sentence each, in order
    assert values(measure_file(path, conllu=tmp_path / "b.conllu"))["syntactic_diversity"] == pytest.approx(parsed)
    (tmp_path / "c.conllu").write_text(f"# newdoc id = 0\n{conllu('red fox')}")
    with pytest.raises(ValueError, match="no document 1 for the answer in .*a.jsonl, line 2 .*'# newdoc id = 1'"):
        measure_file(path, conllu=tmp_path / "c.conllu")
    (tmp_path / "d.conllu").write_text("# newdoc id = x\n")
    with pytest.raises(ValueError, match="d.conllu, line 1: expected a whole number in '# newdoc id =', got 'x'"):
        measure_file(path, conllu=tmp_path / "d.conllu")
    with pytest.raises(ValueError, match="expected one of the two, got both"):
        measure_file(path, conllu=tmp_path / "a.conllu", parse=conllu)


def test_guo_and_ead_rest_on_equal_amounts(tmp_path):
    generator = np.random.default_rng(0)
    rows = [
        (f"p{p}", " ".join(generator.choice([f"w{i}" for i in range(60)], n)), 1.0, 1, "a", -1.0)
        for p in range(6)
        for n in (20, 20, 80)
    ]
    measured = measure_file(
        write(tmp_path / "a.jsonl", rows), metrics=["lexical_diversity", "ead"], vocabulary=1000, token_budget=60
    )
    by_name = {row.metric: row for _, row in measured.rows}
    assert by_name["lexical_diversity"].budget == by_name["ead"].budget == 60 and by_name["ead"].n == 6
    assert any("lexical_diversity rests on 30 n-grams of each order" in note for note in measured.notes)
    texts = [row[1] for row in rows[:3]]
    cut = metrics.within_budget(texts, 60)
    assert measured.values[None][next(iter(measured.values[None]))].size == 2
    ead = {key: value[1] for key, value in measured.values[None].items()}
    assert metrics.ead(cut, vocabulary=1000, tokenizer="whitespace").value in [pytest.approx(v) for v in ead.values()]


def test_measures_at_a_number_of_their_own(tmp_path):
    path = write(tmp_path / "a.jsonl")
    measured = measure_file(
        path, metrics=["pass_at_1", "pass_at_3", "distinct_at_2", "distinct_correct_at_2", "quality"]
    )
    found, budgets = values(measured), {row.metric: row.budget for _, row in measured.rows}
    assert found["pass_at_1"] == pytest.approx((3 / 4 + 1 / 3) / 2) and found["pass_at_3"] == 1
    assert budgets["pass_at_3"] == 3 and budgets["distinct_at_2"] == 2 and budgets["quality"] is None
    pairs = (1 * 0 + 1) / 6  # one of the six pairs is of one class
    assert found["distinct_at_2"] == pytest.approx(2 - pairs)
    assert measure_named("pass_at_8").summary == "chance that 8 answers hold a correct one"
    for name in ("pass_at_0", "distinct_at_", "best_of_4"):
        with pytest.raises(ValueError, match="metrics: unknown"):
            measure_named(name)


def test_pooled_is_another_number_and_says_so(tmp_path):
    generator = np.random.default_rng(1)
    rows = [
        (f"p{p}", f"about{p} " * 6 + str(generator.integers(9)), 0.5, 1, str(p), -1.0)
        for p in range(60)
        for _ in range(4)
    ]
    path = write(tmp_path / "a.jsonl", rows)
    within, pooled = (measure_file(path, scope=scope, encoder=encode) for scope in ("within_prompt", "pooled"))
    assert values(pooled)["rouge1_distance"] > values(within)["rouge1_distance"] + 0.3
    assert {row.scope for _, row in pooled.rows} == {"pooled"} and any("Pooled" in note for note in pooled.notes)
    seen = []

    def one_class(texts, *, group, prompts):
        seen.append(prompts)
        return np.zeros(len(texts), dtype=int)

    assert values(measure_file(path, scope="pooled", partition=one_class))["distinct_k"] == 1 and seen[0] is None
    with pytest.raises(ValueError, match="partition: expected 240 classes, one for each text, got 1"):
        measure_file(path, partition=lambda texts, **_: [0])


def test_how_answers_were_drawn_is_part_of_the_number(tmp_path):
    hot = write(tmp_path / "hot.jsonl", sampling={"temperature": 1.5, "min_p": 0.1, "model": "base"})
    measured = measure_file(hot)
    assert measured.conditions == ("base, temperature 1.5, min-p 0.1",)
    assert all(row.conditions == "base, temperature 1.5, min-p 0.1" for _, row in measured.rows)
    assert "Drawn with base, temperature 1.5, min-p 0.1." in measured.notes
    (tmp_path / "both.jsonl").write_text(
        hot.read_text() + write(tmp_path / "x.jsonl", sampling={"temperature": 1.0}).read_text()
    )
    assert any("drawn in 2 ways" in note for note in measure_file(tmp_path / "both.jsonl").notes)
    assert Sampling(verbalized=4, protocol="two_turn").sentence.startswith(
        "protocol two_turn, temperature 1, 4 verbalized answers a reply"
    )


def test_measured_files_are_compared_at_equal_budgets_only(tmp_path):
    a, b = measure_path([write(tmp_path / "a.jsonl"), write(tmp_path / "b.jsonl", ROWS[:6])])
    assert a.k == b.k and {one.metric for one in compare_measured(a, b)} == set(a.metrics)
    other = measure_file(tmp_path / "a.jsonl", k=2)
    with pytest.raises(ValueError, match="expected equal k and token budget, got 2 and"):
        compare_measured(other, a)


def test_every_measure_is_described_and_sentences_are_cut():
    assert all(m.summary and m.unit and m.sign in (-1, 0, 1) for m in MEASURES.values())
    assert sentences("A dog. (It barks!)  Why?\n\nNo end") == ["A dog.", "(It barks!)", "Why?", "No end"]
    assert sentences("3.5 is no end") == ["3.5 is no end"]
