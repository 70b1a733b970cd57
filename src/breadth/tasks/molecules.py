"""The task of writing molecules: quality by an oracle, diversity by fingerprints."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from breadth.records import Measurement, TaskDescription
from breadth.seeds import numpy_generator
from breadth.tasks.fingerprints import N_WORDS, mean_tanimoto_distance, tanimoto_distance_matrix
from breadth.tasks.molecule_cache import MoleculeCache
from breadth.tasks.molecule_picture import draw_molecule
from breadth.tasks.oracles import Oracle, make_oracle
from breadth.tasks.oracles.components import Components
from breadth.tasks.protocol import Task
from breadth.tasks.smiles import random_spelling, require_rdkit, smiles_vocabulary

if TYPE_CHECKING:
    from breadth.tasks.molecule_corpus import Corpus
    from breadth.tasks.vocabulary import Vocabulary

_DISTANCES = {"tanimoto": "1 - Tanimoto similarity of ECFP4 fingerprints (Morgan radius 2, 2048 binary bits)"}


class MoleculesTask(Task):
    """Molecules as SMILES, written from one empty prompt.

    Parameters
    ----------
    oracle : str or callable
        What quality is: a name of ``breadth.tasks.oracles.ORACLES`` (``"qed"`` if left out, ``"jnk3"``, ``"similarity"``, ...), of a
        forest that ``breadth oracle fit`` made, ``"module:function"``, or a function from a list of canonical SMILES to one float
        each (NaN, or an exception, leaves a molecule unscored). Values are kept per molecule: it should always give the same.
    table, forest, target, targets, fingerprint, formula, element, command, components, mean
        Settings of the oracle, where it has them: see docs/tasks/molecules.md. ``components`` alone means
        ``oracle="components"``.
    workers, timeout : int, float, optional
        Run the oracle in this many processes (one if only a timeout is given), with so many seconds (60) for a molecule; one
        that takes longer is unscored.
    invalid_reward : float, optional
        What training gives for a text that cannot be parsed; quality stays 0. None: 0 in training too.
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
    randomise : int
        How many random spellings of each molecule stand beside the canonical one in what a prior is trained on. They use
        the tokens of the canonical ones, and stay within ``max_tokens``.
    column, canonical, bad_share, fragments, n_grafts, exclude
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
    logs_calls = True

    def __init__(
        self,
        oracle: str | Oracle | None = None,
        *,
        table: str | os.PathLike | None = None,
        forest: str | os.PathLike | None = None,
        target: str | None = None,
        targets: Sequence[str] | None = None,
        fingerprint: str | None = None,
        formula: str | None = None,
        element: str | None = None,
        command: str | Sequence[str] | None = None,
        components: Sequence[Mapping[str, Any]] | None = None,
        mean: str | None = None,
        workers: int | None = None,
        timeout: float | None = None,
        invalid_reward: float | None = None,
        randomise: int = 0,
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
        exclude: str | os.PathLike | None = None,
        cache_size: int = 100_000,
    ) -> None:
        require_rdkit()
        if max_tokens < 2:
            raise ValueError(f"max_tokens: expected at least 2 (one token and the end token), got {max_tokens}")
        if not math.isfinite(correct_at):
            raise ValueError(f"correct_at: expected a finite number, got {correct_at}")
        if randomise < 0:
            raise ValueError(f"randomise: expected a number of spellings >= 0, got {randomise}")
        if invalid_reward is not None and not math.isfinite(invalid_reward):
            raise ValueError(f"invalid_reward: expected a finite number, got {invalid_reward}")
        if oracle is None:
            oracle = "qed" if components is None else "components"
        self.oracle_name = oracle if isinstance(oracle, str) else getattr(oracle, "__name__", type(oracle).__name__)
        settings = {
            "table": table, "forest": forest, "target": target, "targets": targets, "fingerprint": fingerprint,
            "formula": formula, "element": element, "command": command, "components": components, "mean": mean,
        }  # fmt: skip
        given = {name: value for name, value in settings.items() if value is not None}
        self._oracle = make_oracle(oracle, given, workers=workers, timeout=timeout)
        self.max_tokens, self.isomeric, self.correct_at = max_tokens, isomeric, correct_at
        self.invalid_reward, self.randomise = invalid_reward, randomise
        self._rewarded: tuple[list[str], np.ndarray | None] = ([], None)
        self._source = corpus
        self._corpus_settings = {
            "isomeric": isomeric, "max_tokens": max_tokens - 1, "limit": limit, "column": column,
            "canonical": canonical, "bad_share": bad_share, "fragments": fragments, "n_grafts": n_grafts, "exclude": exclude,
        }  # fmt: skip
        self._corpus: Corpus | None = None
        self.molecules = MoleculeCache(self._oracle.score, isomeric=isomeric, size=cache_size)

    def describe(self) -> TaskDescription:
        """Say what quality, parsable, valid and the distance mean here."""
        form = "isomeric" if self.isomeric else "flat (stereo marks left out)"
        notes = [f"molecules are told apart by RDKit's canonical SMILES, {form}"]
        if self.invalid_reward is not None:
            notes.append(f"in training a text that cannot be parsed is worth {self.invalid_reward:g}")
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
            notes=tuple(notes),
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
        (asked, scores), self._rewarded = self._rewarded, ([], None)
        return scores if scores is not None and asked == list(texts) else self.molecules.score(texts)

    def reward(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        """Return what training maximises, (n,): the score, with ``invalid_reward`` where a text cannot be parsed.

        The quality of the same texts, when it is asked for next, does not bother an oracle that failed on some of them again.
        """
        score = self.score(texts, prompts)
        self._rewarded = (list(texts), score)
        if self.invalid_reward is None:
            return score.copy()
        return np.where([key is None for key in self.key(texts)], self.invalid_reward, score)

    def reward_names(self) -> tuple[str, ...]:
        """Return the names of the components; empty where the oracle is a single one."""
        oracle = self._oracle.score
        return tuple(c.name for c in oracle.components) if isinstance(oracle, Components) else ()

    def reward_vector(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        """Return the transformed components of each text, (n, K) float64: 0 where unparsable, NaN where one failed.

        Raises
        ------
        NotImplementedError
            The oracle has no components.
        """
        if not self.reward_names():
            return super().reward_vector(texts, prompts)
        keys = self.key(texts)
        values = np.zeros((len(keys), len(self.reward_names())))
        parsed = [i for i, key in enumerate(keys) if key is not None]
        if parsed:
            values[parsed] = self._oracle.score.values([keys[i] for i in parsed])
        return values

    def key(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> list[str | None]:
        """Return canonical SMILES; None where a text cannot be parsed."""
        del prompts
        return [None if entry is None else entry.canonical for entry in self.molecules.look_up(texts)]

    def bucket_key(self, texts: Sequence[str]) -> list[str | None]:
        """Return Murcko scaffolds as canonical SMILES; None where a text cannot be parsed or has no ring."""
        from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

        return [key and (MurckoScaffoldSmiles(key) or None) for key in self.key(texts)]

    def respell(self, texts: Sequence[str], *, seed: tuple[int, ...]) -> list[str | None]:
        """Return a random spelling of each molecule; None where a text cannot be parsed."""
        keys = self.key(texts)
        return [key and random_spelling(key, seed=(*seed, place), max_tokens=self.max_tokens - 1) for place, key in enumerate(keys)]

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

    def more_measurements(
        self,
        texts: Sequence[str],
        prompts: Sequence[str] | None,
        *,
        group: np.ndarray,
        scores: np.ndarray,
        keys: Sequence[str | None],
    ) -> list[Measurement]:
        """Return ``circles``, ``hits``, ``diverse_hits`` and ``scaffolds`` over all texts together."""
        from breadth.tasks.molecule_measures import molecule_measurements

        del prompts, group, keys
        return molecule_measurements(self.molecules.look_up(texts), scores, correct_at=self.correct_at)

    def step_statistics(self, texts: Sequence[str]) -> dict[str, float]:
        """Return ``diversity``, the exact D over the step's parsable rollouts; nothing for fewer than two of them."""
        entries = [entry for entry in self.molecules.look_up(texts) if entry is not None]
        return {"diversity": mean_tanimoto_distance(np.stack([e.fingerprint for e in entries]))} if len(entries) > 1 else {}

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
        """Return n molecules of a split ("train" or "valid"): whole shuffled passes over it, the last one cut short.

        With ``randomise`` = k, a pass over the training molecules holds k random spellings of each beside the canonical one.
        """
        rows = self.load_corpus().split(split)
        spellings = 1 + (self.randomise if split == "train" else 0)
        generator = numpy_generator(seed, "corpus", split)
        length = len(rows) * spellings
        order = [generator.permutation(length) for _ in range(-(-n // length))]
        if not order:
            return []
        numbers = np.concatenate(order)[:n].tolist()
        if spellings == 1:
            return [rows[i] for i in numbers]
        known = set(self.load_corpus().tokens)
        return [self._spell(rows[i // spellings], i % spellings, seed, known) for i in numbers]

    def _spell(self, text: str, number: int, seed: int, known: set[str]) -> str:
        """Return spelling ``number`` of a molecule; 0, and where none of five draws fits, is the canonical one."""
        if number == 0:
            return text
        return random_spelling(text, seed=(seed, number), known=known, max_tokens=self.max_tokens - 1) or text

    def corpus_identity(self) -> str:
        """Return a hash of the training molecules, the vocabulary and the length limit: not of the path they came by."""
        corpus = self.load_corpus()
        head = [str(self.max_tokens)] + ([f"randomise {self.randomise}"] if self.randomise else [])
        text = "\n".join([*head, *corpus.tokens, "", *corpus.split("train")])
        return hashlib.sha256(text.encode()).hexdigest()

    def corpus_facts(self) -> dict[str, Any]:
        """Return the corpus by name and hashes, and what ``exclude`` took out of it: for the folder of a prior."""
        from breadth.tasks.corpus_exclusion import EXCLUDED
        from breadth.tasks.corpus_store import file_sha256

        report, exclude = self.load_corpus().report, self._corpus_settings["exclude"]
        return {
            "source": report.source,
            "sha256": report.sha256,
            "n_train": report.n_train,
            "n_valid": report.n_valid,
            "identity": self.corpus_identity(),
            "exclude": None
            if exclude is None
            else {"source": str(exclude), "sha256": file_sha256(exclude), "n": report.dropped.get(EXCLUDED, 0)},
        }

    def picture(self, text: str) -> str | None:
        """Return an SVG drawing on a white card, 180 × 140, or None where the text cannot be parsed."""
        return draw_molecule(text)
