"""A corpus without molecules that are known elsewhere: a prior that has never seen its oracle's table."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from breadth.tasks.corpus_files import read_rows
from breadth.tasks.molecule_sets import exclude_known, flat_forms

if TYPE_CHECKING:
    from breadth.tasks.molecule_corpus import Corpus

EXCLUDED = "stands in the excluded file"


def exclude_file(corpus: Corpus, path: str | os.PathLike, *, isomeric: bool = False) -> Corpus:
    """Return the corpus without the molecules of a file, in both splits, and with that in its report.

    Molecules are compared by their flat canonical form: the stereo isomers of an excluded molecule go too. The vocabulary
    stays that of the whole corpus.

    Parameters
    ----------
    corpus : Corpus
        Clean.
    path : path
        An activity table, or any file that a corpus can be read from.
    isomeric : bool
        The corpus keeps stereo marks.

    Raises
    ------
    FileNotFoundError, ValueError
        See :func:`breadth.tasks.corpus_files.read_rows`; or no molecule of the file can be parsed, or nothing is left.
    """
    if not Path(path).expanduser().is_file():
        raise FileNotFoundError(f"exclude {str(path)!r}: no such file")
    known = {form for form in flat_forms(row.text for row in read_rows(path)) if form is not None}
    if not known:
        raise ValueError(f"exclude {str(path)!r}: expected molecules, got no SMILES that RDKit can parse")
    train = exclude_known(corpus.train, known, flat=not isomeric, known_flat=True)
    valid = exclude_known(corpus.valid, known, flat=not isomeric, known_flat=True)
    gone = len(corpus.train) + len(corpus.valid) - len(train) - len(valid)
    if not train:
        raise ValueError(f"exclude {str(path)!r}: nothing is left of the corpus {corpus.report.source}")
    dropped = {**corpus.report.dropped, EXCLUDED: gone}
    return replace(
        corpus,
        train=train,
        valid=valid,
        report=replace(corpus.report, n_train=len(train), n_valid=len(valid), dropped=dropped),
    )
