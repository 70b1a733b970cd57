"""Molecules to pre-train on: from a file, a hub data set or nothing at all, cleaned once and kept in the cache."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from breadth.tasks.corpus_cleaning import UNPARSABLE, Cleaner, CorpusReport
from breadth.tasks.corpus_files import Row, read_rows
from breadth.tasks.corpus_store import file_sha256, read_store, store_place, write_store
from breadth.tasks.smiles import quiet_rdkit, require_rdkit

log = logging.getLogger(__name__)

VALID_EVERY = 50  # 2 % of the molecules, by hash, are kept out of training
_VALID_NAMES = {"valid", "validation", "val", "dev"}


@dataclass(frozen=True)
class Corpus:
    """A clean set of molecules: canonical, distinct, short enough, in two splits, and how it came about."""

    train: list[str]
    valid: list[str]
    report: CorpusReport

    @property
    def tokens(self) -> list[str]:
        """All tokens of both splits, sorted."""
        return self.report.tokens

    def split(self, name: str) -> list[str]:
        """Return the molecules of ``"train"`` or ``"valid"``.

        Raises
        ------
        ValueError
            Another name, or a split without a molecule.
        """
        if name not in ("train", "valid"):
            raise ValueError(f"split: expected 'train' or 'valid', got {name!r}")
        rows = self.train if name == "train" else self.valid
        if not rows:
            n = self.report.n_lines
            raise ValueError(f"corpus {self.report.source}: the split {name!r} is empty ({n} lines read)")
        return rows


def load_corpus(
    source: str | os.PathLike | None = None,
    *,
    isomeric: bool = False,
    max_tokens: int = 99,
    limit: int | None = None,
    column: str | None = None,
    canonical: bool = False,
    bad_share: float = 0.05,
    fragments: str = "drop",
    n_grafts: int = 60_000,
    exclude: str | os.PathLike | None = None,
    cache: bool = True,
) -> Corpus:
    """Return the clean corpus of a file, a hub data set or the zero-data default.

    Each line is parsed by RDKit and written in its canonical form; dropped are empty and unparsable lines, duplicates,
    several fragments, isotopes, elements outside B C N O F P S Cl Br I, molecules that are too long, and tokens that
    fewer than one molecule in 20,000 has (the elements are those of the published ChEMBL priors). A column ``split`` of
    the file is followed (train, valid; test is left out); elsewhere one molecule in 50 is valid: those whose SHA-1,
    first 8 hex digits, divides by 50.

    Parameters
    ----------
    source : str, path or None
        See :func:`breadth.tasks.corpus_files.read_rows`; None or ``"default"``: molecules inside the RDKit wheel, and
        grafts of their fragments.
    isomeric : bool
        Keep stereo marks.
    max_tokens : int
        Longest molecule in tokens, without the end token.
    limit : int, optional
        Read only this many lines: those with the smallest SHA-1, so a sorted file gives a fair sample.
    column : str, optional
        Column of the SMILES where its name is not a usual one.
    canonical : bool
        True: trust that the lines are canonical. About 2,000 of them, evenly spaced, are parsed, the others only split
        into tokens (thirty times faster); the report says so.
    bad_share : float
        Largest share of unparsable lines, of those that are not empty.
    fragments : {"drop", "largest"}
        Lines with several fragments (salts): drop them, or keep the fragment with most heavy atoms.
    n_grafts : int
        Grafts in the zero-data default.
    exclude : path, optional
        A file whose molecules are taken out of both splits, stereo isomers too: the oracle's activity table, so that what
        a policy finds is not what its prior remembers.
    cache : bool
        Keep the result in the user's cache folder, under the SHA-256 of the file and the settings.

    Raises
    ------
    ValueError
        No molecule is left; more than ``bad_share`` of the lines cannot be parsed; the file is damaged or binary;
        ``canonical`` is not true.
    FileNotFoundError, ImportError
        No such file; RDKit (or, for a hub data set, ``datasets``) is absent.
    """
    require_rdkit()
    if exclude is not None:
        given = {
            "isomeric": isomeric, "max_tokens": max_tokens, "limit": limit, "column": column, "canonical": canonical,
            "bad_share": bad_share, "fragments": fragments, "n_grafts": n_grafts,
        }  # fmt: skip
        return _without(load_corpus(source, cache=cache, **given), exclude, given, cache)
    if fragments not in ("drop", "largest"):
        raise ValueError(f"fragments: expected 'drop' or 'largest', got {fragments!r}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit: expected at least 1 line, got {limit}")
    if source is None or str(source) == "default":
        return _default(n_grafts, limit, isomeric, max_tokens, cache)
    settings = {
        "isomeric": isomeric, "max_tokens": max_tokens, "limit": limit, "column": column, "canonical": canonical,
        "bad_share": bad_share, "fragments": fragments,
    }  # fmt: skip
    digest = file_sha256(source) if Path(source).expanduser().is_file() else ""
    place = store_place({**settings, "sha256": digest}) if cache and digest else None

    def make() -> Corpus:
        return clean_rows(
            _limited(list(read_rows(source, column=column)), limit), source=str(source), sha256=digest,
            isomeric=isomeric, max_tokens=max_tokens, canonical=canonical, bad_share=bad_share, fragments=fragments,
        )  # fmt: skip

    return _say(_cached(place, str(source), make))


def _without(corpus: Corpus, exclude: str | os.PathLike, settings: dict, cache: bool) -> Corpus:
    """Return the corpus without the molecules of a file, kept under the hashes of both."""
    from breadth.tasks.corpus_exclusion import exclude_file

    there = cache and Path(exclude).expanduser().is_file()
    hashes = {"sha256": corpus.report.sha256, "exclude": file_sha256(exclude)} if there else {}
    place = store_place({**settings, **hashes}) if there else None
    return _cached(place, corpus.report.source, lambda: exclude_file(corpus, exclude, isomeric=settings["isomeric"]))


def clean_rows(
    rows: Sequence[Row],
    *,
    source: str,
    sha256: str = "",
    isomeric: bool = False,
    max_tokens: int = 99,
    canonical: bool = False,
    bad_share: float = 0.05,
    fragments: str = "drop",
) -> Corpus:
    """Return the clean corpus of rows; arguments and errors as in :func:`load_corpus`."""
    cleaner = Cleaner(isomeric, max_tokens, canonical, fragments)
    with quiet_rdkit() as messages:
        try:
            cleaner.clean(rows)
        except ValueError as error:
            raise ValueError(f"corpus {source}: {error}") from error
    _refuse(cleaner, rows, source, bad_share)
    cleaner.drop_rare_tokens()
    train, valid = _split(cleaner)
    n = len(cleaner.molecules)
    if not n:
        raise ValueError(f"corpus {source}: no molecule is left of {len(rows):,} lines ({_counts(cleaner)})")
    every = f"every one of the {cleaner.n_parsed:,} lines was parsed"
    some = f"canonical=True: {cleaner.n_parsed:,} of {len(rows):,} lines were parsed, the others only split into tokens"
    report = CorpusReport(
        source=source,
        sha256=sha256,
        n_lines=len(rows),
        n_train=len(train),
        n_valid=len(valid),
        checked=some if canonical else every,
        dropped=dict(cleaner.dropped),
        examples=cleaner.examples,
        tokens=cleaner.tokens(),
        length_mean=cleaner.n_tokens / n,
        length_max=cleaner.longest,
        n_rdkit_messages=messages.n,
        details={reason: dict(counts) for reason, counts in cleaner.details.items()},
    )
    return Corpus(train, valid, report)


def _refuse(cleaner: Cleaner, rows: Sequence[Row], source: str, bad_share: float) -> None:
    n = len(rows) - cleaner.dropped["empty line"]
    if n <= 0:
        raise ValueError(f"corpus {source}: expected molecules, got no line with text ({len(rows):,} lines)")
    bad = cleaner.dropped[UNPARSABLE]
    if bad > bad_share * n:
        shown = "; ".join(f"line {line}: {text[:80]!r}" for line, text in cleaner.examples[UNPARSABLE])
        raise ValueError(
            f"corpus {source}: {bad:,} of {n:,} lines ({bad / n:.1%}) are not SMILES that RDKit can parse, more than "
            f"bad_share={bad_share:.1%}. The first: {shown}. Mend the file, name its column with column=..., or "
            "raise bad_share"
        )


def _counts(cleaner: Cleaner) -> str:
    return ", ".join(f"{reason}: {n:,}" for reason, n in cleaner.dropped.most_common()) or "nothing was read"


def _split(cleaner: Cleaner) -> tuple[list[str], list[str]]:
    train, valid = [], []
    for text, row in cleaner.molecules.items():
        name = row.split.lower()
        if name in _VALID_NAMES or (name != "train" and int(_sha1(text)[:8], 16) % VALID_EVERY == 0):
            valid.append(text)
        else:
            train.append(text)
    if not valid and len(train) > 1:  # a very small set: take the molecule with the smallest hash
        valid.append(min(train, key=_sha1))
        train.remove(valid[0])
    return train, valid


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _limited(rows: list[Row], limit: int | None) -> list[Row]:
    if limit is None or limit >= len(rows):
        return rows
    return sorted(sorted(rows, key=lambda row: _sha1(row.text))[:limit])


def _default(n_grafts: int, limit: int | None, isomeric: bool, max_tokens: int, cache: bool) -> Corpus:
    from breadth.tasks.brics import wheel_and_grafts

    settings = {"n_grafts": n_grafts, "limit": limit, "isomeric": isomeric, "max_tokens": max_tokens}
    place = store_place({**settings, "source": "default"}) if cache else None
    source = f"zero-data default (molecules of the RDKit wheel and {n_grafts:,} grafts)"

    def make() -> Corpus:
        rows = wheel_and_grafts(n_grafts=n_grafts, limit=limit)
        # bad_share 1: a few lines of the wheel's own files are refused by RDKit itself, and nobody could mend them.
        return clean_rows(
            rows, source=source, isomeric=isomeric, max_tokens=max_tokens, bad_share=1.0, fragments="largest"
        )  # fmt: skip

    return _cached(place, source, make)


def _say(corpus: Corpus) -> Corpus:
    """Log how many lines could not be parsed, with the first of them."""
    report = corpus.report
    if n := report.dropped.get(UNPARSABLE):
        shown = "; ".join(f"line {line}: {text[:80]!r}" for line, text in report.examples[UNPARSABLE][:3])
        log.warning("corpus %s: %s of %s lines dropped, %s (%s)", report.source, n, report.n_lines, UNPARSABLE, shown)
    return corpus


def _cached(place: Path | None, source: str, make: Callable[[], Corpus]) -> Corpus:
    """Return the corpus kept at ``place``, or make it and keep it; a lock lets parallel runs wait for the first."""
    if place is None:
        return make()
    if (kept := read_store(place)) is not None:
        return _unpack(*kept, source)
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_suffix(".lock")):
        if (kept := read_store(place)) is not None:
            return _unpack(*kept, source)
        corpus = make()
        write_store(place, *_pack(corpus))
    return corpus


def _pack(corpus: Corpus) -> tuple[list[str], dict]:
    return corpus.train + corpus.valid, asdict(corpus.report)


def _unpack(smiles: list[str], report: dict, source: str) -> Corpus:
    report["examples"] = {reason: [tuple(e) for e in shown] for reason, shown in report["examples"].items()}
    n_train = report["n_train"]  # train stands first
    # The file as it is named now: the same bytes may have had another name when they were cleaned.
    return Corpus(smiles[:n_train], smiles[n_train:], CorpusReport(**{**report, "source": source}))
