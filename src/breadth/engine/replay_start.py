"""Known answers of a file put into a replay memory before the first step: a run that does not have to find them first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from breadth.engine.run_frame import stable_id
from breadth.engine.tokenizer import Tokenizer
from breadth.ledger.generations import read_generations
from breadth.tasks.corpus_files import kind_of, read_rows
from breadth.tasks.corpus_store import file_sha256
from breadth.tasks.protocol import Task
from breadth.tasks.scoring import ScoreFunction, score_batch

if TYPE_CHECKING:
    from breadth.objectives.replaying import Replay

BATCH = 1024  # answers scored in one call


@dataclass(frozen=True)
class Started:
    """What came of a file: how many answers it has, how many the memory holds now, and why the others are not there."""

    path: str
    sha256: str
    n: int
    n_stored: int
    left_out: dict[str, int]


def start_memory(
    replay: Replay,
    path: str | Path,
    *,
    task: Task,
    tokenizer: Tokenizer,
    max_tokens: int,
    reward: ScoreFunction | None = None,
    timeout: float | None = None,
) -> Started:
    """Score the answers of a file and store the best of them, as if the policy had given them.

    Parameters
    ----------
    replay : Replay
        Its memory keeps what it would keep of answers of its own: the best, distinct, so many a bucket.
    path : path
        ``.jsonl`` or ``.json``: answers with their prompts, in any format that ``breadth measure`` reads. ``.smi``, ``.txt``, ``.csv``,
        ``.tsv``, ``.parquet`` (also ``.gz``): molecules, for a task without prompts.
    task : Task
        Scores the answers and names their keys and buckets. An answer is learned from in the spelling of the file.
    max_tokens : int
        Longest answer, the end token included; longer ones are left out.
    reward, timeout
        As in training.

    Returns
    -------
    Started
        Left out are answers that the task cannot parse, that could not be scored, with a token outside the vocabulary, too long ones,
        and what the memory had no room for (a repeat, a full bucket, a worse reward).

    Raises
    ------
    FileNotFoundError, ValueError
        No such file, or one that cannot be read; none of its answers can be learned from, with the reasons and how often each.

    Source: inception of REINVENT (Olivecrona et al. 2017, arXiv 1704.07555; REINVENT 4 reads such a file too). Departures: rewards are those of
    the run's own task, never numbers of the file.
    """
    memory, left, n = replay.memory, Counter[str](), 0
    before = 0
    for prompts, texts in _batches(path, task):
        n += len(texts)
        keys = task.key(texts, prompts)
        scored = score_batch(reward or task.reward, texts, prompts, vectors=reward is not None, timeout=timeout)
        buckets = task.bucket_key(texts) if replay.buckets else [None] * len(texts)
        tokens: list[list[int]] = []
        usable = []
        for text, key, value in zip(texts, keys, scored.values.tolist(), strict=True):
            ids, why = _tokens(text, tokenizer, max_tokens)
            why = "cannot be parsed" if key is None else "not scored" if value != value else why
            left.update([why] if why else [])
            usable.append(not why)
            tokens.append(ids)
        before += sum(usable)
        memory.update(
            [stable_id(prompt) for prompt in prompts],
            keys,
            torch.tensor(usable),
            reward=torch.as_tensor(scored.values, dtype=torch.float32),
            tokens=tokens,
            bucket_keys=buckets if replay.buckets else None,
        )
    stored = sum(len(entries) for entries in memory.state_dict()["stored"].values())
    if not stored:
        reasons = ", ".join(f"{count} {why}" for why, count in left.most_common()) or "it is empty"
        raise ValueError(
            f"train.replay_from {str(path)!r}: expected answers to learn from, got none of {n} that can be used: {reasons}"
        )
    if before > stored:
        left["a repeat, a full bucket or no room"] = before - stored
    return Started(str(path), file_sha256(path), n, stored, dict(left))


def _batches(path: str | Path, task: Task) -> Iterator[tuple[list[str], list[str]]]:
    """Yield prompts and texts, at most ``BATCH`` at a time."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"train.replay_from {str(path)!r}: there is no such file")
    if kind_of(file) in (".jsonl", ".json"):
        rows = ((one.prompt, one.response) for one in read_generations(file))
    else:
        if any(task.prompts(2, seed=0)):
            raise ValueError(
                f"train.replay_from {str(path)!r}: the task {task.name!r} has prompts, so each answer needs its own: give a .jsonl file "
                "with prompt and response"
            )
        rows = (("", row.text) for row in read_rows(file))
    prompts, texts = [], []
    for prompt, text in rows:
        prompts.append(prompt)
        texts.append(text)
        if len(texts) == BATCH:
            yield prompts, texts
            prompts, texts = [], []
    if texts:
        yield prompts, texts


def _tokens(text: str, tokenizer: Tokenizer, max_tokens: int) -> tuple[list[int], str]:
    """Return an answer's tokens with the end token, and "" or why it cannot be learned from."""
    try:
        ids = [*tokenizer.encode(text), tokenizer.eos_id]
    except ValueError:
        return [], "with a token outside the vocabulary"
    return ids, "" if len(ids) <= max_tokens else f"longer than {max_tokens} tokens"
