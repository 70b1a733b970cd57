"""Right answers for a judge, from a file of questions as MT-Bench has them."""

from __future__ import annotations

from pathlib import Path

from breadth.ledger.generations import GenerationsError, read_rows


def read_references(path: str | Path) -> dict[tuple[str, ...], str]:
    """Return the questions of the user so far (a tuple) -> the right answer to the last of them.

    Parameters
    ----------
    path : path
        Rows with ``turns`` (texts) or ``prompt``, and ``reference`` (a text, or one for each turn; null where there is none).

    Raises
    ------
    GenerationsError
        A row without questions, or more references than turns; names the line.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "q.jsonl").write_text('{"turns": ["1+1?", "times 3?"], "reference": ["2", "6"]}')
    ...     read_references(Path(folder) / "q.jsonl")
    {('1+1?',): '2', ('1+1?', 'times 3?'): '6'}
    """
    found: dict[tuple[str, ...], str] = {}
    for place, row in read_rows(path):
        turns = row.get("turns", row.get("prompt"))
        turns = [turns] if isinstance(turns, str) else turns
        if not isinstance(turns, list) or not turns or not all(isinstance(turn, str) for turn in turns):
            raise GenerationsError(f"{place}: expected texts in 'turns' or a text in 'prompt', got {turns!r:.60}")
        known = row.get("reference")
        known = [known] if isinstance(known, str) else known or []
        if len(known) > len(turns):
            raise GenerationsError(
                f"{place}: expected at most {len(turns)} references, one for each turn, got {len(known)}"
            )
        for place_of, text in enumerate(known):
            if text:
                found[tuple(turns[: place_of + 1])] = str(text)
    return found
