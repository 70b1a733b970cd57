"""A file of generations to the same file with rewards: equal answers are scored once, and what is done is kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breadth.ledger.generations import Generation, read_generations
from breadth.ledger.rows import append_rows, read_rows
from breadth.scoring.item import Item, Score, Scorer, asked, conversation

_WINDOW = 4096  # answers that are looked at together; bounds memory
_SECONDS = 1.0  # between two writes of what is scored
_TELLING = 20  # answers tried before a share of failures says something


@dataclass(frozen=True, slots=True)
class Scored:
    """What :func:`score_file` did. ``mean`` is over the scored answers."""

    n: int
    n_unscored: int
    n_asked: int  # of distinct answers, this time
    mean: float | None
    reasons: Mapping[str, int]  # of unscored answers


def score_file(
    path: str | Path, scorer: Scorer, out: str | Path, *, base: str | Path | None = None, fields: Mapping[str, str] | None = None,
    format: str | None = None, most_unscored: float = 0.5, on_progress: Callable[[int], None] | None = None,
) -> Scored:  # fmt: skip
    """Write the answers of a file with their scores as ``reward``; an unscored one has null and its reason.

    Parameters
    ----------
    path : path
        See :func:`breadth.ledger.generations.describe_source`.
    scorer : Scorer
    out : path
        JSON lines. Scores, with what a judge said, are kept in ``OUT.scores`` (JSON lines) as they come: the same call goes on
        from there and asks about nothing twice; answers that stayed unscored are tried again.
    base : path, optional
        Of a pairwise judge: the i-th answer to a question here is compared with the i-th answer to it there.
    fields, format
        See :func:`breadth.ledger.generations.describe_source`.
    most_unscored : float
        Above this share of failures among at least 20 answers that were tried, the call stops: something is wrong.
    on_progress : callable, optional
        Answers looked at.

    Returns
    -------
    Scored

    Raises
    ------
    ValueError
        Too many unscored; ``OUT.scores`` of another scorer; a base without a question of the file.
    ConnectionError
        A server that went down; what was done is kept.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    kept = out.with_name(f"{out.name}.scores")
    known = _known(kept, scorer.settings)
    others = _others(base, fields, format) if base is not None else None
    n_asked = n_failed = n_seen = 0
    reasons_of: dict[str, str] = {}
    for rows in _windows(path, fields, format, others):
        todo: dict[str, Item] = {}
        for _, item in rows:
            name = _name(item)
            if name not in known and name not in reasons_of:
                todo[name] = item
        names = list(todo)
        scores = scorer.score(list(todo.values()))
        for place, score in _kept_in(kept, scores, names, scorer.settings):
            n_asked += 1
            if score.value is None:
                n_failed += 1
                reasons_of[names[place]] = score.reason
                if n_asked >= _TELLING and n_failed > most_unscored * n_asked:
                    raise ValueError(
                        f"{path}: {n_failed} of {n_asked} answers could not be scored, more than {most_unscored:.0%}; the last: "
                        f"{score.reason}. What was scored is kept in {kept}"
                    )
                continue
            known[names[place]] = score.value
        n_seen += len(rows)
        if on_progress is not None:
            on_progress(n_seen)
    return _write(path, scorer, out, kept, known, reasons_of, others, fields, format, n_asked)


def _write(
    path: str | Path, scorer: Scorer, out: Path, kept: Path, known: Mapping[str, float], reasons_of: Mapping[str, str],
    others: Mapping[tuple, list] | None, fields: Mapping[str, str] | None, format: str | None, n_asked: int,
) -> Scored:  # fmt: skip
    n = n_unscored = 0
    total, reasons = 0.0, {}
    temporary = out.with_name(f".{out.name}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        for rows in _windows(path, fields, format, others):
            for row, item in rows:
                name = _name(item)
                value = known.get(name)
                n += 1
                if value is None:
                    n_unscored += 1
                    reason = reasons_of.get(name, "not asked")
                    reasons[reason] = reasons.get(reason, 0) + 1
                else:
                    total += value
                written = _scored_row(row, value, reasons_of.get(name, ""), scorer.settings)
                file.write(json.dumps(written, ensure_ascii=False, allow_nan=False) + "\n")
    temporary.replace(out)
    return Scored(n, n_unscored, n_asked, total / (n - n_unscored) if n > n_unscored else None, reasons)


def _kept_in(
    kept: Path, scores: Iterator[tuple[int, Score]], names: Sequence[str], settings: Mapping[str, Any]
) -> Iterator[tuple[int, Score]]:
    """Yield the scores; write them down once a second, and whatever happens at the end."""
    waiting: list[dict[str, Any]] = []
    last = time.monotonic()
    try:
        for place, score in scores:
            if score.value is not None:
                waiting.append(_record(names[place], score, settings))
            if waiting and time.monotonic() - last > _SECONDS:
                append_rows(kept, waiting)
                waiting, last = [], time.monotonic()
            yield place, score
    finally:
        if waiting:
            append_rows(kept, waiting)


def _scored_row(row: Generation, value: float | None, reason: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "prompt": list(row.messages) if row.messages else row.prompt, "response": row.response, "reward": value,
        "reward_status": "scored" if value is not None else f"unscored: {reason or 'not asked'}",
    }  # fmt: skip
    before = {
        "reward_before": row.reward,
        "correct": row.correct,
        "logprob": row.logprob,
        "step": row.step,
        "kind": row.kind,
    }
    found |= {name: seen for name, seen in before.items() if seen is not None}
    return {**found, "sampling": dict(row.sampling or {}), "scorer": dict(settings)}


def _windows(
    path: str | Path, fields: Mapping[str, str] | None, format: str | None, others: Mapping[tuple, list] | None
) -> Iterator[list[tuple[Generation, Item]]]:
    """Yield the answers of a file in parts, each with what the scorer is asked."""
    turn: dict[tuple, int] = {}
    part: list[tuple[Generation, Item]] = []
    for row in read_generations(path, fields=fields, format=format):
        messages = conversation(row)
        item = Item(messages, row.response)
        if others is not None:
            key = asked(messages)
            place = turn.get(key, 0)
            turn[key] = place + 1
            there = others.get(key)
            if there is None:
                raise ValueError(
                    f"{row.path}, line {row.line}: the base has no answer to this question ({key[-1][:60]!r})"
                )
            # more answers here than there: the base's answers are gone through again
            other_messages, other = there[place % len(there)]
            item = Item(messages, row.response, other, other_messages)
        part.append((row, item))
        if len(part) == _WINDOW:
            yield part
            part = []
    if part:
        yield part


def _others(base: str | Path, fields: Mapping[str, str] | None, format: str | None) -> dict[tuple, list]:
    found: dict[tuple, list] = {}
    for row in read_generations(base, fields=fields, format=format):
        messages = conversation(row)
        found.setdefault(asked(messages), []).append((messages, row.response))
    return found


def _known(kept: Path, settings: Mapping[str, Any]) -> dict[str, float]:
    if not kept.exists():
        return {}
    found = {}
    for number, row in enumerate(read_rows(kept, on_repair=lambda _: None), start=1):
        if row.get("scorer") != dict(settings):
            raise ValueError(f"{kept}, line {number}: scores of another scorer; delete the file, or give another --out")
        found[str(row["key"])] = float(row["reward"])
    return found


def _record(name: str, score: Score, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": name,
        "reward": score.value,
        **({"said": score.said} if score.said else {}),
        "scorer": dict(settings),
    }


def _name(item: Item) -> str:
    """Return a name of what is asked, equal for equal questions."""
    parts: Sequence[Any] = (item.messages, item.response, item.other, item.other_messages)
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True, default=dict)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
