"""Random forests on fingerprints as a few packed arrays: read without unpickling, walked without scikit-learn.

A tree over binary features needs three numbers a node: the bit that is asked, how far away the child for a set bit is
(the child for a bit that is not set stands next), and the share of actives where it ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from breadth.tasks.fingerprints import N_BITS, pack_fingerprints
from breadth.tasks.oracles.forest_walk import Walk, as_bits

FORMAT = 1  # of the files that are written here; those without a number have the same four arrays
_ARRAYS = ("feature", "right", "leaf", "roots")


def ecfp4(smiles: Sequence[str]) -> np.ndarray:
    """Return the ECFP4 of SMILES texts as packed bytes, (n, 256) uint8: Morgan radius 2, 2048 binary bits, no chirality.

    Bit i of a fingerprint is bit i % 8 (from the lowest) of byte i // 8.

    Raises
    ------
    ValueError
        A text cannot be parsed; the message names the first.

    Source: Rogers and Hahn, J. Chem. Inf. Model. 50, 742 (2010), as RDKit's Morgan generator. Departures: none.

    Examples
    --------
    >>> packed = ecfp4(["CCO"])
    >>> packed.shape, int(np.unpackbits(packed).sum())
    ((1, 256), 6)
    """
    return pack_fingerprints(smiles).view(np.uint8).reshape(len(smiles), N_BITS // 8)


@dataclass(frozen=True, eq=False)
class Forest:
    """A forest over 2048 binary bits whose score is the mean, over trees, of the share of actives in a leaf.

    Parameters
    ----------
    feature : (nodes,) int16
        Bit that a node asks for; -1 in a leaf. The trees stand one behind the other, each in depth-first order.
    right : (nodes,) unsigned
        Offset from a node to its child for a set bit; the child for a bit that is not set is the next node. 0 in a leaf.
    leaf : (nodes,) float32
        Share of actives in a leaf; 0 elsewhere.
    roots : (trees,) int32
        First node of each tree.
    about : dict
        What it was made from, where that is known: table, its SHA-256, rows, figures on held-out molecules.

    Raises
    ------
    ValueError
        Arrays that are no forest: the message names the first node that leads outside its tree.
    """

    feature: np.ndarray
    right: np.ndarray
    leaf: np.ndarray
    roots: np.ndarray
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problem = _problem(self.feature, self.right, self.leaf, self.roots)
        if problem:
            raise ValueError(f"forest: {problem}")

    @property
    def n_trees(self) -> int:
        return len(self.roots)

    @property
    def n_nodes(self) -> int:
        return len(self.feature)

    @cached_property
    def sha256(self) -> str:
        """Hash of the arrays: equal forests have equal hashes, whatever file they lie in."""
        digest = hashlib.sha256()
        for array, dtype in ((self.feature, "<i2"), (self.right, "<u4"), (self.leaf, "<f4"), (self.roots, "<i4")):
            digest.update(np.ascontiguousarray(array, dtype=dtype).tobytes())
        return digest.hexdigest()

    def predict(self, fingerprints: np.ndarray, *, engine: str = "auto") -> np.ndarray:
        """Return the score of each fingerprint, (n,) float64 in [0, 1]: the mean over trees of P(active) in the leaf.

        Parameters
        ----------
        fingerprints : (n, 2048) bool or 0/1, (n, 256) uint8 packed as by :func:`ecfp4`, or (n, 32) uint64 packed
        engine : {"auto", "numpy", "numba"}
            ``"auto"`` takes numba where it is installed. Both give the same bits.

        Raises
        ------
        ValueError
            Another shape, or values other than 0 and 1.
        ImportError
            ``engine="numba"`` without numba.

        Source: Breiman, Machine Learning 45, 5 (2001), with the averaged leaf shares of scikit-learn's ``predict_proba``.
        Departures: leaf shares are kept in float32 (1e-7); the sum over trees is float64.
        """
        return self._walk(as_bits(fingerprints), engine=engine)

    @cached_property
    def _walk(self) -> Walk:
        return Walk(self.feature, self.right, self.leaf.astype(np.float64), self.roots)

    def save(self, path: str | os.PathLike) -> None:
        """Write a compressed ``.npz``: the four arrays, a format number and ``about`` as JSON; whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp.npz")
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        np.savez_compressed(temporary, format=np.int32(FORMAT), about=np.array(json.dumps(self.about)), **arrays)
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Forest:
        """Return the forest of an ``.npz`` file; nothing in it is unpickled.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            No ``.npz``, damaged, arrays missing or pickled, or arrays that are no forest.
        """
        path = Path(path).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"forest {path}: no such file: `breadth oracle fit NAME --table FILE` makes one from an activity table"
            )
        try:
            with np.load(path, allow_pickle=False) as file:
                missing = [name for name in _ARRAYS if name not in file.files]
                if missing:
                    raise ValueError(f"expected the arrays {list(_ARRAYS)}, got {file.files}")
                version = int(file["format"]) if "format" in file.files else FORMAT
                if version > FORMAT:
                    raise ValueError(f"expected format {FORMAT} or older, got {version}: a newer breadth wrote it")
                about = json.loads(str(file["about"])) if "about" in file.files else {}
                return cls(*(file[name] for name in _ARRAYS), about=about)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError, TypeError) as error:
            what = str(error).removeprefix("forest: ")
            raise ValueError(f"forest {path}: not a forest that can be read ({what})") from error


def _problem(feature: np.ndarray, right: np.ndarray, leaf: np.ndarray, roots: np.ndarray) -> str:
    """Return what is wrong with the arrays, or ""; a walk over arrays that pass always ends, inside its tree."""
    n = len(feature)
    for name, array, kind in zip(_ARRAYS, (feature, right, leaf, roots), ("i", "iu", "f", "iu"), strict=True):
        if array.ndim != 1 or array.dtype.kind not in kind:
            return f"{name}: expected one dimension of kind {kind!r}, got {array.dtype} {array.shape}"
    if not (len(right) == len(leaf) == n):
        return f"expected arrays of one length, got feature {n}, right {len(right)}, leaf {len(leaf)}"
    if not len(roots) or roots[0] != 0 or (np.diff(roots.astype(np.int64)) <= 0).any() or roots[-1] >= n:
        return f"roots: expected rising node numbers from 0 below {n}, got {len(roots)} of them"
    if feature.max() >= N_BITS or feature.min() < -1:
        return f"feature: expected bits 0 .. {N_BITS - 1}, or -1 in a leaf, got {feature.min()} .. {feature.max()}"
    if not (np.isfinite(leaf).all() and leaf.min() >= 0 and leaf.max() <= 1):
        return "leaf: expected shares in [0, 1]"
    ends = np.repeat(np.append(roots[1:], n).astype(np.int64), np.diff(np.append(roots, n).astype(np.int64)))
    step = right.astype(np.int64)
    inner = feature >= 0
    astray = np.where(inner, (step < 1) | (np.arange(n) + np.maximum(step, 1) >= ends), step != 0)
    return f"right: node {int(astray.argmax())} leads outside its tree" if astray.any() else ""


def fit_forest(
    fingerprints: np.ndarray,
    labels: Sequence[int] | np.ndarray,
    *,
    n_trees: int = 100,
    seed: int = 0,
    n_jobs: int = 1,
    about: dict[str, Any] | None = None,
) -> Forest:
    """Return the forest that scikit-learn grows from fingerprints and labels; its scores are scikit-learn's.

    Parameters
    ----------
    fingerprints : as in :meth:`Forest.predict`
    labels : (n,) 0 or 1
        1 = active.
    n_trees : int
        Trees, each grown to pure leaves on a bootstrap sample, with √2048 bits tried at each split.
    seed : int
        scikit-learn's ``random_state``. The same seed and release of scikit-learn give the same forest, whatever
        ``n_jobs`` is.
    n_jobs : int
        Trees grown at a time.

    Raises
    ------
    ValueError
        Labels that are not 0 and 1, only one of the two classes, or another number of labels than fingerprints.
    ImportError
        scikit-learn is absent; it is needed to fit, not to score.

    Source: Breiman, Machine Learning 45, 5 (2001); 100 trees on ECFP4 with binary bits as the JNK3 and GSK3β oracles of
    Jin et al., arXiv 2002.03244. Departures: none; the bits are handed over as a sparse matrix, which grows the same trees in a
    tenth of the time.
    """
    try:
        from sklearn.ensemble import RandomForestClassifier
    except ImportError as error:
        raise ImportError(
            'fitting a forest needs scikit-learn, which is not installed:\npip install "breadth[oracles]"'
        ) from error
    from scipy.sparse import csr_matrix

    bits, labels = as_bits(fingerprints), np.asarray(labels)
    if labels.shape != (len(bits),):
        raise ValueError(f"labels: expected one for each of {len(bits)} fingerprints, got shape {labels.shape}")
    found = sorted(set(labels.tolist()))
    if found != [0, 1]:
        raise ValueError(f"labels: expected both classes, 0 (inactive) and 1 (active), got {found[:5]}")
    trees = RandomForestClassifier(n_trees, random_state=seed, n_jobs=n_jobs).fit(
        csr_matrix(bits.astype(np.float32)), labels.astype(np.int64)
    )
    return _pack([tree.tree_ for tree in trees.estimators_], dict(about or {}))


def _pack(trees: Sequence[Any], about: dict[str, Any]) -> Forest:
    """Return scikit-learn's trees packed: it stores depth-first, the left child behind its parent, thresholds in (0, 1)."""
    features, rights, leaves, sizes = [], [], [], []
    for tree in trees:
        node = np.arange(tree.node_count)
        inner = tree.children_left >= 0
        if (tree.children_left[inner] != node[inner] + 1).any() or not (
            (tree.threshold[inner] >= 0) & (tree.threshold[inner] < 1)
        ).all():
            raise ValueError("scikit-learn's trees are laid out in a new way: breadth needs another release of it")
        share = tree.value[:, 0, 1] / tree.value[:, 0, :].sum(axis=1)
        features.append(np.where(inner, tree.feature, -1).astype(np.int16))
        rights.append(np.where(inner, tree.children_right - node, 0))
        leaves.append(np.where(inner, 0.0, share).astype(np.float32))
        sizes.append(tree.node_count)
    right = np.concatenate(rights)
    return Forest(
        np.concatenate(features),
        right.astype(np.uint16 if right.max() < 2**16 else np.uint32),
        np.concatenate(leaves),
        np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32),
        about,
    )
