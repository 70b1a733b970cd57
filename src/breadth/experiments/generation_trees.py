"""Where the dependency trees of an answer come from: a CoNLL-U file, or a parser that the user has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from breadth.experiments.generation_answers import Trees, sentences
from breadth.ledger.generations import Generation
from breadth.metrics.dependency_trees import DependencyTree, read_conllu, read_conllu_documents


def trees_source(conllu: str | Path | None, parse: Callable[[str], str] | None) -> Trees | None:
    """Return a function from an answer to its trees; None where neither is given.

    Raises
    ------
    ValueError
        Both are given; later: an answer with words that the file has no document for, or CoNLL-U that cannot be read.
    """
    if conllu is not None and parse is not None:
        raise ValueError("conllu, parse: expected one of the two, got both")
    if parse is not None:

        def parsed(row: Generation) -> list[DependencyTree]:
            return [
                tree
                for sentence in sentences(row.response)
                for tree in read_conllu(parse(sentence), name=_place(row))[:1]
            ]

        return parsed
    if conllu is None:
        return None
    documents = read_conllu_documents(conllu)

    def found(row: Generation) -> list[DependencyTree]:
        if row.index not in documents and row.response.strip():
            raise ValueError(
                f"{conllu}: no document {row.index} for {_place(row)} ({row.response[:40]!r}); expected '# newdoc id = {row.index}' "
                "before its sentences"
            )
        return documents.get(row.index, [])

    return found


def _place(row: Generation) -> str:
    return f"the answer in {row.path}, line {row.line}"
