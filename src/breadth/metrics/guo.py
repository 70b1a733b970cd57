"""Semantic and syntactic diversity of Guo, Shang and Clavel 2024, and all three of theirs per prompt or pooled."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from breadth.metrics.averages import SetValue, mean_over_sets
from breadth.metrics.conditions import TextMeasurement, with_conditions
from breadth.metrics.dependency_trees import DependencyTree, read_conllu, tree_similarity
from breadth.metrics.lexical import lexical_diversity
from breadth.metrics.overlap import mean_cosine

SCOPES = ("within_prompt", "pooled")


def semantic_diversity(
    embeddings: np.ndarray,
    *,
    scope: str,
    group: Sequence[Hashable] | None = None,
    sample: int | None = 2000,
    seed: int = 0,
) -> TextMeasurement:
    """Return the mean over pairs of (1 − cos)/2 of sentence embeddings, in [0, 1].

    Parameters
    ----------
    embeddings : (n, d) array
        One row for each SENTENCE (the published numbers are of sentences, not of whole answers), any scale.
    scope : "within_prompt" or "pooled"
        Pairs inside each ``group``, averaged over groups; or pairs of everything. They differ by a factor of up to two,
        and published tables do not always say which they are.
    group : n labels, optional
        Which prompt. Needed for "within_prompt".
    sample : int, optional
        Rows drawn without replacement (of each group, or of all); None: all. The identity of
        :func:`breadth.metrics.overlap.mean_pairwise_cosine` makes all of them cheap.
    seed : int

    Returns
    -------
    TextMeasurement
        ``value`` None without two rows to compare. "pooled": ``error`` is the jackknife over rows. "within_prompt":
        standard error over groups, and ``sets`` holds each group's value.

    Raises
    ------
    ValueError
        An unknown scope, "within_prompt" without ``group``, lengths that differ, ``sample`` below 2, rows of zeros.

    Source: Guo, Shang and Clavel 2024, arXiv 2412.10271, semantic diversity (all-mpnet-base-v2, 2000 sentences).
    Departures: 1. the scope is explicit. 2. Errors over rows or groups; there the n(n−1) pairs count as independent, which
    makes intervals far too narrow.

    Examples
    --------
    >>> semantic_diversity(np.eye(3), scope="pooled").value
    0.5
    """
    embeddings = np.asarray(embeddings, dtype=float)

    def of(members: np.ndarray) -> SetValue:
        similarity, error = mean_cosine(embeddings[members])
        return None if similarity is None else (1 - similarity) / 2, None if error is None else error / 2, members.size

    return _by_scope("semantic_diversity", len(embeddings), of, scope, group, sample, seed)


def syntactic_diversity(
    trees: Sequence[DependencyTree] | str | Sequence[str],
    *,
    scope: str,
    group: Sequence[Hashable] | None = None,
    parse: Callable[[str], str] | None = None,
    n_iter: int = 2,
    sample: int | None = 3000,
    seed: int = 0,
) -> TextMeasurement:
    """Return 1 − the mean normalised Weisfeiler–Lehman kernel over pairs of dependency trees, in [0, 1].

    Parameters
    ----------
    trees : n DependencyTree, a CoNLL-U text, or n sentences with ``parse``
        See :func:`breadth.metrics.dependency_trees.read_conllu`.
    scope, group, sample, seed
        As :func:`semantic_diversity`; ``group`` has a label for each tree.
    parse : callable, optional
        Maps one text to CoNLL-U (a parser that you have: Stanza, spaCy, UDPipe); its first sentence is taken.
    n_iter : int
        Rounds of the kernel.

    Returns
    -------
    TextMeasurement
        As :func:`semantic_diversity`.

    Raises
    ------
    ValueError
        As :func:`semantic_diversity`, for CoNLL-U that cannot be read, and where ``parse`` finds no sentence.
    TypeError
        Sentences without ``parse``.

    Source: Guo, Shang and Clavel 2024, arXiv 2412.10271, syntactic diversity (Stanza, 3000 sentences, n_iter = 2).
    Departures: as :func:`semantic_diversity`; the value is equal to GraKeL's.

    Examples
    --------
    >>> a, b = DependencyTree(("NOUN", "VERB"), (1, -1)), DependencyTree(("X",), (-1,))
    >>> syntactic_diversity([a, a], scope="pooled").value, syntactic_diversity([a, b], scope="pooled").value > 0.5
    (0.0, True)
    """
    given = _trees(trees, parse)

    def of(members: np.ndarray) -> SetValue:
        similarity, error = tree_similarity([given[i] for i in members.tolist()], n_iter=n_iter)
        return None if similarity is None else 1 - similarity, error, members.size

    return _by_scope("syntactic_diversity", len(given), of, scope, group, sample, seed)


def lexical_diversity_by_scope(
    texts: Sequence[str], *, scope: str, group: Sequence[Hashable] | None = None, sample: int = 40_000, seed: int = 0
) -> TextMeasurement:
    """Return :func:`breadth.metrics.lexical.lexical_diversity` of all texts, or its mean over prompts.

    Within prompts every prompt gives the same number of n-grams: the smallest that any prompt has, at most ``sample``.

    Parameters and errors as :func:`semantic_diversity`; ``budget`` is the number of n-grams drawn of each order.

    Examples
    --------
    >>> row = lexical_diversity_by_scope(["a b c d", "a b c", "x y z"], scope="within_prompt", group=[0, 0, 1])
    >>> row.budget, len(row.sets)
    (1, 2)
    """
    if scope == "pooled":
        return lexical_diversity(texts, sample=sample, seed=seed)
    places = _places(len(texts), scope, group)
    pools = [[texts[i] for i in members.tolist()] for members in places]
    measured = [lexical_diversity(pool, sample=sample, seed=seed) for pool in pools]
    drawn = min((row.budget or 0 for row in measured if row.value is not None), default=0)
    rows = [lexical_diversity(pool, sample=drawn, seed=seed) if drawn else row for pool, row in zip(pools, measured, strict=True)]
    found = mean_over_sets("lexical_diversity", [(row.value, None, row.n) for row in rows], 0, "share")
    note = f"{drawn} n-grams of each order from every prompt"
    return with_conditions(found, tokenizer=rows[0].tokenizer, budget=drawn, seed=seed, scope=scope, note=note)


def _trees(
    trees: Sequence[DependencyTree] | str | Sequence[str], parse: Callable[[str], str] | None
) -> list[DependencyTree]:
    if isinstance(trees, str):
        return read_conllu(trees)
    found: list[DependencyTree] = []
    given: Sequence[DependencyTree | str] = trees
    for place, tree in enumerate(given):
        if isinstance(tree, str):
            if parse is None:
                raise TypeError("trees: expected trees, one CoNLL-U text, or sentences with parse=...; got sentences alone")
            parsed = read_conllu(parse(tree), name=f"parse of text {place}")
            if not parsed:
                raise ValueError(f"parse: found no sentence in text {place}: {tree[:60]!r}; leave such texts out")
            tree = parsed[0]
        found.append(tree)
    return found


def _places(n: int, scope: str, group: Sequence[Hashable] | None) -> list[np.ndarray]:
    """Return the members of each set that is compared within itself."""
    if scope not in SCOPES:
        raise ValueError(f"scope: unknown {scope!r}; known: {', '.join(SCOPES)}")
    if scope == "pooled":
        return [np.arange(n)]
    if group is None:
        raise ValueError("group: expected a label for each row where scope is 'within_prompt', got none")
    if len(group) != n:
        raise ValueError(f"group: expected {n} labels, one for each row, got {len(group)}")
    places: dict[Hashable, list[int]] = {}
    for place, label in enumerate(group):
        places.setdefault(label, []).append(place)
    return [np.array(members) for members in places.values()]


def _by_scope(
    metric: str,
    n: int,
    of: Callable[[np.ndarray], SetValue],
    scope: str,
    group: Sequence[Hashable] | None,
    sample: int | None,
    seed: int,
) -> TextMeasurement:
    if sample is not None and sample < 2:
        raise ValueError(f"sample: expected at least 2 to compare, or None, got {sample}")
    generator = np.random.default_rng(seed)
    values, drawn = [], False
    for members in _places(n, scope, group):
        if sample is not None and members.size > sample:
            members, drawn = np.sort(generator.choice(members, sample, replace=False)), True
        values.append(of(members))
    row = mean_over_sets(metric, values, 0, "distance")
    return with_conditions(
        row,
        sets=row.sets if scope == "within_prompt" else (),
        budget=sample if drawn else None,
        seed=seed if drawn else None,
        scope=scope,
    )
