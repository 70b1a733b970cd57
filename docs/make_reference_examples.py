"""One worked call for each metric of the catalogue; docs/make_reference.py runs them and writes what they gave.

Each entry: what is prepared once, and an expression that is evaluated for ``narrow`` and for ``wide``. A metric that has no entry here is
an error of the generator: no page without a number that was computed.
"""

from __future__ import annotations

TEXTS = """from breadth import metrics

narrow = ["A quokka.", "A quokka!", "The quokka.", "A quokka."]
wide = ["A quokka.", "An otter by the river.", "The red panda.", "A heron at dawn."]
"""
CLASSES = """from breadth import metrics

narrow, wide = [0, 0, 0, 1], [0, 1, 2, 3]  # classes of four answers, from a partition
"""
VECTORS = """import numpy as np
from breadth import metrics

narrow = np.array([[1.0, 0.0], [0.98, 0.2], [1.0, 0.05], [0.99, 0.1]])  # embeddings of four answers
wide = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
"""
DISTANCES = """import numpy as np
from breadth import metrics

narrow, wide = 0.2 * (1 - np.eye(4)), 1 - np.eye(4)  # distances between four answers
score = [1.0, 0.9, 0.8, 0.1]
"""
CIRCLES = """import breadth
import numpy as np
from breadth.metrics import measure_sets

task = breadth.task("circle", vertices=4, edges=3)
narrow = ["0 1 1 2 2 0", "1 2 2 0 0 1", "0 1 1 2 2 0", "0 1 1"]  # twice the same circle, once more rotated, and half of one
wide = ["0 1 1 2 2 0", "0 2 2 3 3 0", "1 3 3 2 2 1", "0 3 3 1 1 0"]
logp = {"narrow": np.full(4, -1.2), "wide": np.full(4, -6.0)}  # log-probabilities of the texts, nats
prior = np.full(4, -7.0)


def row(texts, name, metric):
    rows = measure_sets(
        task, [texts], seq_logp=logp[name], seq_logp_prior=prior, lengths=np.full(4, 6), entropy_sum=-logp[name]
    )
    return next(r for r in rows if r.metric == metric)
"""
MOLECULES = """import breadth
from breadth.metrics import measure_sets

task = breadth.task("molecules", correct_at=0.5)
narrow = ["CC(=O)Oc1ccccc1C(=O)O", "CC(=O)Oc1ccccc1C(=O)OC", "CC(=O)Oc1ccccc1C(=O)O", "C(("]
wide = ["CC(=O)Oc1ccccc1C(=O)O", "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "CN1CCC[C@H]1c1cccnc1", "O=C(O)c1cc2ccccc2[nH]1"]


def row(texts, metric):
    return next(r for r in measure_sets(task, [texts]) if r.metric == metric)
"""
TREES = """from breadth import metrics
from breadth.metrics import DependencyTree

chain, fork = DependencyTree(("NOUN", "VERB", "NOUN"), (1, -1, 1)), DependencyTree(("DET", "NOUN", "VERB", "ADV"), (1, 2, -1, 2))
narrow, wide = [chain, chain, chain, fork], [chain, fork, DependencyTree(("X",), (-1,)), DependencyTree(("VERB", "ADP"), (-1, 0))]
"""
TRIES = """from breadth import metrics

problem = ["p"] * 4 + ["q"] * 4
narrow = [1, 1, 1, 1, 0, 0, 0, 0]  # right answers: all to one problem
wide = [1, 0, 1, 0, 0, 1, 0, 1]
"""
COUNTDOWN = """import breadth
from breadth.metrics import measure_sets

task = breadth.task("game24")
prompt = task.prompts(1, seed=0)[0]
solutions = task.solutions(prompt)
narrow, wide = [solutions[0]] * 4, solutions[:4]


def row(texts, metric):
    return next(r for r in measure_sets(task, [texts], prompts=[[prompt] * 4]) if r.metric == metric)
"""

LEDGER = (
    "quality", "quality_parsable", "parsable_share", "valid_share", "unique_share", "correct_share", "diversity",
    "diversity_valid", "diversity_unique", "distinct_valid", "policy_entropy", "token_entropy", "sequence_entropy",
    "kl_prior", "length",
)  # fmt: skip

#: metric -> (what is prepared, expression in ``x`` and ``name``)
EXAMPLES: dict[str, tuple[str, str]] = {
    **{name: (CIRCLES, f'row(x, name, "{name}").value') for name in LEDGER},
    **{name: (MOLECULES, f'row(x, "{name}").value') for name in ("circles", "hits", "diverse_hits", "scaffolds")},
    "distinct_n": (TEXTS, "metrics.distinct_n(x, n=2).value"),
    "ead": (TEXTS, "metrics.ead(x, vocabulary=50).value"),
    "compression_ratio": (TEXTS, "metrics.compression_ratio(x).value"),
    "self_bleu": (TEXTS, "metrics.self_bleu(x).value"),
    "mean_pairwise_jaccard": (TEXTS, "metrics.mean_pairwise_jaccard(x).value"),
    "mean_pairwise_rouge1": (TEXTS, "metrics.mean_pairwise_rouge1(x).value"),
    "mean_pairwise_rouge_l": (TEXTS, "metrics.mean_pairwise_rouge_l(x).value"),
    "lexical_diversity": (TEXTS, "metrics.lexical_diversity(x, sample=4).value"),
    "ngram_novelty": (TEXTS, "metrics.mean_ngram_novelty(x, n=2).value"),
    "mean_pairwise_cosine": (VECTORS, "metrics.mean_pairwise_cosine(x).value"),
    "semantic_diversity": (VECTORS, 'metrics.semantic_diversity(x, scope="pooled").value'),
    "vendi": (VECTORS, "metrics.vendi(features=x)"),
    "syntactic_diversity": (TREES, 'metrics.syntactic_diversity(x, scope="pooled").value'),
    "semantic_entropy": (CLASSES, "metrics.semantic_entropy(x)"),
    "effective_number": (CLASSES, "metrics.effective_number(x)"),
    "distinct_k": (CLASSES, "metrics.distinct_k(x, k=2)"),
    "utility_k": (CLASSES, "metrics.utility_k(partition=x, score=[8, 8, 6, 9], patience=0.8)"),
    "pass_at_k": (TRIES, "metrics.pass_at_k(8, sum(x), 2)"),
    "coverage": (TRIES, "metrics.coverage(x, problem, k=2).value"),
    "distinct_correct_at_k": (TRIES, "metrics.distinct_correct_at_k(x, [0, 0, 0, 0, 1, 2, 3, 4], problem, k=4).value"),
    "solution_coverage": (COUNTDOWN, 'row(x, "solution_coverage").value'),
    "diversity_above_bar": (DISTANCES, "metrics.diversity_above_bar(x, score, bar=0.5).value"),
    "effective_diversity": (DISTANCES, "metrics.effective_diversity(x, score).value"),
}
