"""The task of writing molecules: quality by an oracle, diversity by fingerprints."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from breadth.records import TaskDescription
from breadth.seeds import numpy_generator
from breadth.tasks.fingerprints import N_WORDS, tanimoto_distance_matrix
from breadth.tasks.molecule_cache import MoleculeCache
from breadth.tasks.molecule_picture import draw_molecule
from breadth.tasks.oracles import Oracle, find_oracle
from breadth.tasks.protocol import Task
from breadth.tasks.smiles import require_rdkit, smiles_vocabulary

if TYPE_CHECKING:
    from breadth.tasks.molecule_corpus import Corpus
    from breadth.tasks.vocabulary import Vocabulary

_DISTANCES = {"tanimoto": "1 - Tanimoto similarity of ECFP4 fingerprints (Morgan radius 2, 2048 binary bits)"}


class MoleculesTask(Task):
    """Molecules as SMILES, written from one empty prompt.

    Parameters
    ----------
    oracle : str or callable
        What quality is: ``"qed"``, or a function from a list of canonical SMILES to one float each (NaN, or an
        exception, leaves a molecule unscored). Values are kept per molecule: a function should always give the same.
    corpus : str, path or None
        What a prior is trained on: a ``.smi``, ``.txt``, ``.csv``, ``.tsv`` or ``.parquet`` file (also ``.gz``), the
        name of a Hugging Face hub data set, or None for the zero-data default (molecules inside the RDKit wheel and
        grafts of their fragments). Read when it is first needed.
    max_tokens : int
        Completion tokens, the end token included. Longer molecules are left out of the corpus. 100 holds 99.8 % of
        half a million molecules of ChEMBL.
    isomeric : bool
        False (flat): stereo marks and isotopes are left out of the canonical form, so stereo isomers are one answer.
    limit : int, optional
        Use at most this many lines of the corpus, drawn by hash.
    correct_at : float
        Quality from which a molecule counts as correct. 0.9 because the frontier is read at R = 0.90: an objective that
        rewards correct molecules alike must be able to reach it. (The largest QED of known molecules is 0.948.)
    column, canonical, bad_share, fragments, n_grafts
        Passed on to :func:`breadth.tasks.molecule_corpus.load_corpus`.
    cache_size : int
        Molecules whose fingerprint and score are kept.

    Raises
    ------
    ImportError
        RDKit is absent.
    ValueError
        An unknown oracle or a setting out of range. What is wrong with a corpus is said when it is read.

    Examples
    --------
    >>> task = MoleculesTask("qed")
    >>> task.score(["CC(=O)Oc1ccccc1C(=O)O", "C(("]).round(4).tolist()
    [0.5501, 0.0]
    >>> task.key(["OCC", "C(("])
    ['CCO', None]
    """

    name = "molecules"

    def __init__(
        self,
        oracle: str | Oracle = "qed",
        *,
        corpus: str | os.PathLike | None = None,
        max_tokens: int = 100,
        isomeric: bool = False,
        limit: int | None = None,
        correct_at: float = 0.9,
        column: str | None = None,
        canonical: bool = False,
        bad_share: float = 0.05,
        fragments: str = "drop",
        n_grafts: int = 60_000,
        cache_size: int = 100_000,
    ) -> None:
        require_rdkit()
        if max_tokens < 2:
            raise ValueError(f"max_tokens: expected at least 2 (one token and the end token), got {max_tokens}")
        if not math.isfinite(correct_at):
            raise ValueError(f"correct_at: expected a finite number, got {correct_at}")
        self.oracle_name = oracle if isinstance(oracle, str) else getattr(oracle, "__name__", type(oracle).__name__)
        self._oracle = find_oracle(oracle)
        self.max_tokens, self.isomeric, self.correct_at = max_tokens, isomeric, correct_at
        self._source = corpus
        self._corpus_settings = {
            "isomeric": isomeric, "max_tokens": max_tokens - 1, "limit": limit, "column": column,
            "canonical": canonical, "bad_share": bad_share, "fragments": fragments, "n_grafts": n_grafts,
        }  # fmt: skip
        self._corpus: Corpus | None = None
        self.molecules = MoleculeCache(self._oracle.score, isomeric=isomeric, size=cache_size)

    def describe(self) -> TaskDescription:
        """Say what quality, parsable, valid and the distance mean here."""
        form = "isomeric" if self.isomeric else "flat (stereo marks left out)"
        return TaskDescription(
            name=self.name,
            summary=f"Write molecules as SMILES; quality is {self.oracle_name}.",
            quality=self._oracle.summary,
            parsable="RDKit reads the SMILES (syntax, valences, aromaticity) and it has at least one atom",
            valid="the same as parsable",
            distances=dict(_DISTANCES),
            correct_at=self.correct_at,
            max_tokens=self.max_tokens,
            end_token=True,
            source=self._oracle.source,
            notes=(f"molecules are told apart by RDKit's canonical SMILES, {form}",),
        )

    def prompts(self, n: int, *, seed: int = 0, split: str = "train") -> list[str]:
        """Return n empty prompts."""
        del seed, split
        return [""] * n

    def score(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        """Return the oracle's value of each text, (n,) float64: 0 where unparsable, NaN where the oracle failed.

        ``self.molecules.failures`` counts the failures and holds the reasons.
        """
        del prompts
        return self.molecules.score(texts)

    def key(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> list[str | None]:
        """Return canonical SMILES; None where a text cannot be parsed."""
        del prompts
        return [None if entry is None else entry.canonical for entry in self.molecules.look_up(texts)]

    def bucket_key(self, texts: Sequence[str]) -> list[str | None]:
        """Return Murcko scaffolds as canonical SMILES; None where a text cannot be parsed or has no ring."""
        from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

        return [key and (MurckoScaffoldSmiles(key) or None) for key in self.key(texts)]

    def distance(self, texts: Sequence[str], *, kind: str | None = None) -> np.ndarray:
        """Return pairwise Tanimoto distances of ECFP4 fingerprints, (n, n) float64.

        A text that cannot be parsed is at distance 1 from every other.

        Source: the quality-diversity law paper, eq. 5. Departures: none.

        Raises
        ------
        ValueError
            An unknown kind.
        """
        if kind not in (None, *_DISTANCES):
            raise ValueError(f"kind: expected one of {list(_DISTANCES)}, got {kind!r}")
        entries = self.molecules.look_up(texts)
        parsed = [i for i, entry in enumerate(entries) if entry is not None]
        inner = tanimoto_distance_matrix(np.array([entries[i].fingerprint for i in parsed]).reshape(-1, N_WORDS))
        if len(parsed) == len(entries):
            return inner
        distance = 1.0 - np.eye(len(entries))
        distance[np.ix_(parsed, parsed)] = inner
        return distance

    def load_corpus(self) -> Corpus:
        """Return the cleaned corpus with its report; read once."""
        if self._corpus is None:
            from breadth.tasks.molecule_corpus import load_corpus

            self._corpus = load_corpus(self._source, **self._corpus_settings)
        return self._corpus

    def vocabulary(self) -> Vocabulary:
        """Return the atom-wise tokens of the corpus (both splits)."""
        return smiles_vocabulary(self.load_corpus().tokens)

    def corpus(self, n: int, *, seed: int = 0, split: str = "train") -> list[str]:
        """Return n molecules of a split ("train" or "valid"): whole shuffled passes over it, the last one cut short."""
        rows = self.load_corpus().split(split)
        generator = numpy_generator(seed, "corpus", split)
        order = [generator.permutation(len(rows)) for _ in range(-(-n // len(rows)))]
        return [rows[i] for i in np.concatenate(order)[:n].tolist()] if order else []

    def corpus_identity(self) -> str:
        """Return a hash of the training molecules, the vocabulary and the length limit: not of the path they came by."""
        corpus = self.load_corpus()
        text = "\n".join([str(self.max_tokens), *corpus.tokens, "", *corpus.split("train")])
        return hashlib.sha256(text.encode()).hexdigest()

    def picture(self, text: str) -> str | None:
        """Return an SVG drawing on a white card, 180 × 140, or None where the text cannot be parsed."""
        return draw_molecule(text)
