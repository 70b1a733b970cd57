"""Dependency trees from CoNLL-U, and their Weisfeiler–Lehman features in linear time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_COLUMNS = 10  # of a CoNLL-U word line


@dataclass(frozen=True, slots=True)
class DependencyTree:
    """One parsed sentence: word i (from 0) has part of speech ``upos[i]`` and hangs on word ``head[i]``, −1 = the root."""

    upos: tuple[str, ...]
    head: tuple[int, ...]


def read_conllu(text: str, *, name: str = "CoNLL-U") -> list[DependencyTree]:
    """Return the sentences of a CoNLL-U text as trees.

    Parameters
    ----------
    text : str
        Ten tab-separated columns a word, a blank line after each sentence, ``#`` comments. Multiword ranges (``1-2``) and
        empty nodes (``1.1``) are skipped, as they have no place in the tree.
    name : str
        What an error calls the text (a path, say).

    Returns
    -------
    list of DependencyTree
        Empty for a text without words.

    Raises
    ------
    ValueError
        A line without ten columns, an id out of order, a head that is not there; names the line.

    Source: Universal Dependencies, CoNLL-U format. Departures: none.

    Examples
    --------
    >>> line = "{}\\t{}\\t_\\t{}\\t_\\t_\\t{}\\t_\\t_\\t_"
    >>> read_conllu("\\n".join([line.format(1, "Birds", "NOUN", 2), line.format(2, "sing", "VERB", 0)]))
    [DependencyTree(upos=('NOUN', 'VERB'), head=(1, -1))]
    """
    trees: list[DependencyTree] = []
    upos: list[str] = []
    head: list[int] = []

    def close(number: int) -> None:
        if upos:
            wrong = [place for place, above in enumerate(head) if not -1 <= above < len(upos)]
            if wrong:
                raise ValueError(
                    f"{name}, sentence before line {number}: expected heads between 0 and {len(upos)}, got "
                    f"{head[wrong[0]] + 1} for word {wrong[0] + 1}"
                )
            trees.append(DependencyTree(tuple(upos), tuple(head)))
        upos.clear()
        head.clear()

    number = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            close(number)
            continue
        if line.startswith("#"):
            continue
        columns = line.split("\t")
        if len(columns) != _COLUMNS:
            raise ValueError(f"{name}, line {number}: expected {_COLUMNS} tab-separated columns, got {len(columns)}")
        if "-" in columns[0] or "." in columns[0]:
            continue
        if columns[0] != str(len(upos) + 1) or not (columns[6].isdecimal() and len(columns[6]) < 10):
            raise ValueError(
                f"{name}, line {number}: expected word {len(upos) + 1} with a head number, got id {columns[0]!r:.40} and head "
                f"{columns[6]!r:.40}"
            )
        upos.append(columns[3])
        head.append(int(columns[6]) - 1)
    close(number + 1)
    return trees


def read_conllu_documents(path: str | Path) -> dict[int, list[DependencyTree]]:
    """Return the trees of a CoNLL-U file by document: number -> its sentences.

    Parameters
    ----------
    path : path
        A comment ``# newdoc id = 7`` begins document 7, as Universal Dependencies has it. A file without such comments holds
        one sentence a document, numbered from 0.

    Raises
    ------
    ValueError
        An id that is no whole number or comes twice; else as :func:`read_conllu`.

    Examples
    --------
    >>> import tempfile
    >>> line = "1\\tBirds\\t_\\tNOUN\\t_\\t_\\t0\\t_\\t_\\t_\\n\\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.conllu").write_text("# newdoc id = 3\\n" + line + line)
    ...     {k: len(v) for k, v in read_conllu_documents(Path(folder) / "a.conllu").items()}
    {3: 2}
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text ({error.reason} at byte {error.start})") from None
    parts: list[tuple[str, int, list[str]]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("# newdoc"):
            parts.append((line.partition("=")[2].strip(), number, []))
        elif parts:
            parts[-1][2].append(line)
    if not parts:
        return {i: [tree] for i, tree in enumerate(read_conllu(text, name=str(path)))}
    found: dict[int, list[DependencyTree]] = {}
    for name, number, lines in parts:
        whole = name.isdecimal() and len(name) < 19
        if not whole or int(name) in found:
            why = "every id once" if whole else "a whole number"
            raise ValueError(f"{path}, line {number}: expected {why} in '# newdoc id =', got {name!r:.40}")
        found[int(name)] = read_conllu("\n".join(lines), name=f"{path}, document {name}")
    return found


def tree_similarity(trees: Sequence[DependencyTree], *, n_iter: int = 2) -> tuple[float | None, float | None]:
    """Return the mean normalised Weisfeiler–Lehman kernel over pairs of trees, and its jackknife error.

    A tree's features are counts of node labels after 0, 1, .. ``n_iter`` rounds in which each node takes the sorted labels
    of its neighbours into its own; the kernel of two trees is the cosine of their features. With unit features φ the mean
    over pairs is (‖Σφ‖² − n)/(n(n−1)): linear in the number of words, no n × n matrix.

    Parameters
    ----------
    trees : n DependencyTree
    n_iter : int
        Rounds, at least 0.

    Returns
    -------
    similarity, error : float or None
        None for n < 2; the error for n < 3.

    Raises
    ------
    ValueError
        ``n_iter`` below 0.

    Source: Shervashidze et al. 2011, JMLR 12, with a vertex histogram; the graphs as Guo et al. 2024, arXiv 2412.10271,
    build them: undirected edges without labels, nodes labelled by part of speech, a root node "none".
    Departures: none; equal to GraKeL's WeisfeilerLehman(n_iter, normalize=True).

    Examples
    --------
    >>> tree = DependencyTree(("NOUN", "VERB"), (1, -1))
    >>> tree_similarity([tree, tree])[0]
    1.0
    """
    if n_iter < 0:
        raise ValueError(f"n_iter: expected at least 0 rounds, got {n_iter}")
    if len(trees) < 2:
        return None, None
    names: dict[Hashable, int] = {}
    columns, weights, sizes = [], [], []
    for tree in trees:
        counts = _features(tree, n_iter, names)
        weight = np.array(list(counts.values()), dtype=float)
        columns.append(np.array(list(counts), dtype=np.int64))
        weights.append(weight / np.linalg.norm(weight))
        sizes.append(weight.size)
    column, weight = np.concatenate(columns), np.concatenate(weights)
    total = np.bincount(column, weights=weight)  # Σφ
    row = np.add.reduceat(weight * total[column], np.r_[0, np.cumsum(sizes)[:-1]]) - 1  # (n,) Σ over the others

    from breadth.metrics.overlap import mean_from_row_sums

    return mean_from_row_sums(row)


def _features(tree: DependencyTree, n_iter: int, names: dict[Hashable, int]) -> Counter[int]:
    """Return how often each label stands in the tree, over all rounds; new labels get the next number."""
    n = len(tree.upos)
    beside: list[list[int]] = [[] for _ in range(n + 1)]  # node n is the root "none"
    for word, above in enumerate(tree.head):
        over = above if above >= 0 else n
        beside[word].append(over)
        beside[over].append(word)
    label = [names.setdefault((0, part), len(names)) for part in (*tree.upos, "none")]
    counts: Counter[int] = Counter(label)
    for turn in range(1, n_iter + 1):
        label = [
            names.setdefault((turn, label[node], tuple(sorted(label[other] for other in beside[node]))), len(names))
            for node in range(n + 1)
        ]
        counts.update(label)
    return counts
