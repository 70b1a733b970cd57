"""From prompts to a file of generations: what is done is kept, and the same call goes on with the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from breadth.generation.prompts import Prompt
from breadth.generation.request import Message, Reply, Request, Sampler
from breadth.generation.verbalized import read_verbalized, verbalized_messages
from breadth.ledger.rows import append_rows, keep_rows, read_rows, write_atomic
from breadth.metrics.conditions import Sampling
from breadth.seeds import derive_seed

_TIMES = 3  # calls for one prompt's verbalized answers in the place of each that would do: models drop some


@dataclass(frozen=True, slots=True)
class Written:
    """What stands in the file now. ``n_failed``: prompts without answers, named with their reasons in ``failures``."""

    n_prompts: int
    n_answers: int
    n_kept: int  # of them from an earlier call
    n_failed: int
    n_short: int  # prompts with fewer answers than asked for
    n_unread: int  # verbalized replies in which no answer was found
    failures: Path | None


def generate_file(
    sampler: Sampler, prompts: Sequence[Prompt], out: str | Path, *, sampling: Sampling, k: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> Written:  # fmt: skip
    """Draw k answers to every prompt and write them as JSON lines, one a line.

    Parameters
    ----------
    sampler : Sampler
    prompts : n Prompt
    out : path
        Answers to a prompt are appended together, as soon as they are there. Where the file exists, what it holds is kept and
        the rest is drawn: with one seed and a local model the finished file is the same as from one call.
    sampling : Sampling
        Stands in every row. ``protocol="two_turn"``: k answers to the first turn, one of them at random as context, k to the
        second. ``verbalized=v``: v answers a reply, ⌈k/v⌉ replies, and up to three times as many where models drop some.
    k : int
    on_progress : callable, optional
        (turns done, turns in all).

    Returns
    -------
    Written
        Prompts that failed stand with their reason (and a reply that could not be read) in ``OUT.failures`` (JSON lines); the next
        call tries them again.

    Raises
    ------
    ValueError
        k below 1; a file that was drawn under other conditions or from other prompts; two turns asked of prompts that have one.
    ConnectionError
        A server that went down; what was done is in the file.

    Source: two_turn: the diversity protocol of the QEMPO paper on MT-Bench. Departures: none known.
    """
    if k < 1:
        raise ValueError(f"k: expected at least 1 answer, got {k}")
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    sampling = replace(sampling, model=sampler.name, template=sampler.template)
    n_turns = 2 if sampling.protocol == "two_turn" else 1
    lacking = [i for i, prompt in enumerate(prompts) if len(prompt.turns) < n_turns]
    if lacking:
        raise ValueError(
            f"protocol: two_turn needs prompts of two turns; {len(lacking)} of {len(prompts)} have one, the first is number {lacking[0]}. "
            'Give them as {"turns": ["…", "…"]}, as MT-Bench does'
        )
    failures = out.with_name(f"{out.name}.failures")
    done, contexts = _resume(out, prompts, sampling, k)
    n_kept, n_unread, failed = sum(done.values()), 0, set()
    failures.unlink(missing_ok=True)
    for turn in range(1, n_turns + 1):
        todo = [i for i in range(len(prompts)) if (i, turn) not in done and (turn == 1 or i in contexts)]
        chats = {i: _conversation(prompts[i], turn, contexts.get(i)) for i in todo}
        requests = [_request(chats[i], i, turn, sampling, k) for i in todo]
        for place, replies in sampler.draw(requests):
            i = todo[place]
            if isinstance(replies, str):
                append_rows(failures, [{"prompt_index": i, "turn": turn, "reason": replies}])
                failed.add(i)
                continue
            answers, unread = _answers(sampler, replies, chats[i], i, turn, sampling, k)
            n_unread += len(unread)
            if unread:
                reason = "no answer found in this reply"
                append_rows(
                    failures, [{"prompt_index": i, "turn": turn, "reason": reason, "reply": reply} for reply in unread]
                )
            if not answers:
                failed.add(i)
                continue
            rows = _rows(prompts[i], i, turn, chats[i], answers, sampling, k)
            append_rows(out, rows)
            done[i, turn] = len(rows)
            if turn < n_turns:
                contexts[i] = _context([row["response"] for row in rows], i, sampling.seed)
            if on_progress is not None:
                on_progress(len(done), len(prompts) * n_turns)
    _sort(out)
    short = sum(n < k for n in done.values())
    return Written(
        len({i for i, _ in done}),
        sum(done.values()),
        n_kept,
        len(failed),
        short,
        n_unread,
        failures if failures.exists() else None,
    )


def _resume(
    out: Path, prompts: Sequence[Prompt], sampling: Sampling, k: int
) -> tuple[dict[tuple[int, int], int], dict[int, str]]:
    """Return what the file holds: (prompt, turn) -> answers, and the chosen context of each first turn."""
    if not out.exists():
        return {}, {}
    groups: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for number, row in enumerate(read_rows(out, on_repair=lambda _: None), start=1):
        place = f"{out}, line {number}"
        try:
            i, turn, drawn = int(row["prompt_index"]), int(row["turn"]), row["sampling"]
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{place}: not written by breadth generate; give another --out") from None
        if drawn != asdict(sampling) or row.get("k") != k:
            raise ValueError(
                f"{place}: drawn under other conditions than these; give another --out, or the same settings to go on"
            )
        if i >= len(prompts) or _last_turn(row["prompt"]) != prompts[i].turns[turn - 1]:
            raise ValueError(f"{place}: answers another prompt than number {i} of the prompts; give another --out")
        groups.setdefault((i, turn), []).append(row)
    # a write that was cut off leaves fewer rows than it began
    torn = {key for key, rows in groups.items() if len(rows) != rows[0]["n_answers"]}
    if torn:
        keep_rows(out, lambda row: (row["prompt_index"], row["turn"]) not in torn, on_repair=lambda _: None)
    whole = {key: rows for key, rows in groups.items() if key not in torn}
    contexts = {
        i: _context([row["response"] for row in sorted(rows, key=lambda row: row["index"])], i, sampling.seed)
        for (i, turn), rows in whole.items()
        if turn == 1
    }
    return {key: len(rows) for key, rows in whole.items()}, contexts


def _context(responses: Sequence[str], i: int, seed: int) -> str:
    return responses[int(np.random.default_rng(derive_seed(seed, "context", i)).integers(len(responses)))]


def _conversation(prompt: Prompt, turn: int, context: str | None) -> tuple[Message, ...]:
    first: Message = {"role": "user", "content": prompt.turns[0]}
    if turn == 1:
        return (first,)
    return first, {"role": "assistant", "content": context or ""}, {"role": "user", "content": prompt.turns[1]}


def _request(chat: tuple[Message, ...], i: int, turn: int, sampling: Sampling, k: int, again: int = 0) -> Request:
    seed = derive_seed(sampling.seed, "generate", i, turn, *([again] if again else []))
    if not sampling.verbalized:
        return Request(chat, k, seed)
    return Request(verbalized_messages(chat, sampling.verbalized), -(-k // sampling.verbalized), seed)


def _answers(
    sampler: Sampler, replies: list[Reply], chat: tuple[Message, ...], i: int, turn: int, sampling: Sampling, k: int
) -> tuple[list[tuple[Reply, float | None]], list[str]]:
    """Return at most k answers with their stated probabilities, and the replies in which none was found."""
    if not sampling.verbalized:
        return [(reply, None) for reply in replies], []
    found: list[tuple[Reply, float | None]] = []
    unread: list[str] = []
    for again in range(_TIMES):
        for reply in replies:
            said = read_verbalized(reply.text, sampling.verbalized)
            if not said.texts:
                unread.append(reply.text)
            found += [
                (Reply(text, finish=reply.finish), chance)
                for text, chance in zip(said.texts, said.probabilities, strict=True)
            ]
        if len(found) >= k or again + 1 == _TIMES:
            break
        more = _request(chat, i, turn, sampling, k - len(found), again + 1)
        drawn = next(iter(sampler.draw([more])))[1]
        if isinstance(drawn, str):
            break
        replies = drawn
    return found[:k], unread


def _rows(
    prompt: Prompt,
    i: int,
    turn: int,
    chat: tuple[Message, ...],
    answers: Sequence[tuple[Reply, float | None]],
    sampling: Sampling,
    k: int,
) -> list[dict[str, Any]]:
    rows = []
    for index, (reply, chance) in enumerate(answers):
        row: dict[str, Any] = {"prompt": chat[0]["content"] if len(chat) == 1 else list(chat), "response": reply.text}
        row |= {"id": prompt.id} if prompt.id else {}
        row |= {"prompt_index": i, "turn": turn, "index": index}
        known = {
            "logprob": reply.logprob,
            "n_tokens": reply.n_tokens,
            "finish": reply.finish or None,
            "probability": chance,
        }
        row |= {name: value for name, value in known.items() if value is not None}
        rows.append({**row, "n_answers": len(answers), "k": k, "sampling": asdict(sampling)})
    return rows


def _last_turn(prompt: Any) -> str:
    return prompt[-1]["content"] if isinstance(prompt, list) else prompt


def _sort(out: Path) -> None:
    """Put the rows into the order of the prompts: a server answers in any order."""
    if not out.exists():
        return
    lines = [(row["prompt_index"], row["turn"], row["index"]) for row in read_rows(out)]
    if lines == sorted(lines):
        return
    text = out.read_bytes().splitlines(keepends=True)
    write_atomic(out, b"".join(text[place] for place in sorted(range(len(lines)), key=lines.__getitem__)))
