"""Semantic and syntactic diversity: scopes, CoNLL-U, and GraKeL's kernel."""

from __future__ import annotations

import numpy as np
import pytest

from breadth import metrics
from breadth.metrics.dependency_trees import tree_similarity

Tree = metrics.DependencyTree


def random_trees(n, seed=0):
    generator = np.random.default_rng(seed)
    trees = []
    for _ in range(n):
        size = int(generator.integers(1, 9))
        head = [-1, *(int(generator.integers(0, i)) for i in range(1, size))]
        trees.append(Tree(tuple(generator.choice(["NOUN", "VERB", "DET", "ADJ"], size).tolist()), tuple(head)))
    return trees


@pytest.mark.parametrize("n_iter", [0, 1, 2])
def test_the_kernel_is_that_of_grakel(n_iter):
    kernels = pytest.importorskip("grakel.kernels")
    grakel = pytest.importorskip("grakel")
    trees = random_trees(40)
    graphs = []
    for tree in trees:
        n = len(tree.upos)
        edges = {(i, h if h >= 0 else n) for i, h in enumerate(tree.head)}
        labels = {**dict(enumerate(tree.upos)), n: "none"}
        graphs.append(grakel.Graph(list(edges | {(b, a) for a, b in edges}), node_labels=labels))
    if n_iter == 0:
        kernel = kernels.VertexHistogram(normalize=True).fit_transform(graphs)
    else:
        kernel = kernels.WeisfeilerLehman(
            n_iter=n_iter, normalize=True, base_graph_kernel=kernels.VertexHistogram
        ).fit_transform(graphs)
    value, error = metrics.mean_pairwise(1 - kernel)
    found = metrics.syntactic_diversity(trees, scope="pooled", n_iter=n_iter)
    assert found.value == pytest.approx(value, abs=1e-12) and found.error == pytest.approx(error, abs=1e-10)


def test_syntax_by_hand():
    noun, verb = Tree(("NOUN",), (-1,)), Tree(("VERB",), (-1,))
    # labels: word and "none", one of two shared; after the first round none is
    assert tree_similarity([noun, verb], n_iter=0)[0] == pytest.approx(1 / 2)
    assert tree_similarity([noun, verb], n_iter=1)[0] == pytest.approx(1 / 4)
    assert tree_similarity([noun])[0] is None


CONLLU = """# a comment
1-2\tdel\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\tde\tADP\t_\t_\t2\tcase\t_\t_
2\tel\tel\tDET\t_\t_\t0\troot\t_\t_
2.1\t_\t_\tVERB\t_\t_\t_\t_\t_\t_

1\tyes\tyes\tINTJ\t_\t_\t0\troot\t_\t_"""


def test_conllu_and_a_parser_of_the_user():
    trees = metrics.read_conllu(CONLLU)
    assert trees == [Tree(("ADP", "DET"), (1, -1)), Tree(("INTJ",), (-1,))]
    assert metrics.syntactic_diversity(CONLLU, scope="pooled").n == 2
    parsed = metrics.syntactic_diversity(["x", "y", "z"], scope="pooled", parse=lambda text: CONLLU)
    assert parsed.value == pytest.approx(0, abs=1e-12)
    with pytest.raises(TypeError, match="or sentences with parse="):
        metrics.syntactic_diversity(["x"], scope="pooled")
    with pytest.raises(ValueError, match="found no sentence in text 0: 'x'"):
        metrics.syntactic_diversity(["x"], scope="pooled", parse=lambda text: "")
    for text, message in (
        ("1\ta", "CoNLL-U, line 1: expected 10 tab-separated columns, got 2"),
        ("2\ta\t_\tX\t_\t_\t0\t_\t_\t_", "line 1: expected word 1 with a head number, got id '2'"),
        ("1\ta\t_\tX\t_\t_\t5\t_\t_\t_", "expected heads between 0 and 1, got 5 for word 1"),
    ):
        with pytest.raises(ValueError, match=message):
            metrics.read_conllu(text)


def test_scopes_are_said_and_differ():
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(10, 8)) * 3
    embeddings = np.concatenate([centre + generator.normal(size=(6, 8)) for centre in centres])
    group = np.repeat(np.arange(10), 6).tolist()
    within = metrics.semantic_diversity(embeddings, scope="within_prompt", group=group)
    pooled = metrics.semantic_diversity(embeddings, scope="pooled")
    assert within.value < 0.5 * pooled.value and len(within.sets) == 10 and pooled.sets == ()
    assert (within.scope, pooled.scope) == ("within_prompt", "pooled")
    drawn = metrics.semantic_diversity(embeddings, scope="pooled", sample=20, seed=5)
    assert (drawn.n, drawn.budget, drawn.seed) == (20, 20, 5)
    with pytest.raises(ValueError, match="scope: unknown 'all'; known: within_prompt, pooled"):
        metrics.semantic_diversity(embeddings, scope="all")
    with pytest.raises(ValueError, match="group: expected a label for each row where scope"):
        metrics.semantic_diversity(embeddings, scope="within_prompt")
    with pytest.raises(ValueError, match="group: expected 60 labels"):
        metrics.semantic_diversity(embeddings, scope="within_prompt", group=[0])
