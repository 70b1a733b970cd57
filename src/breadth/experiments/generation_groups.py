"""A stream of generations as groups: all answers to one prompt at one step, released as soon as the last one is read.

Two passes over the file. The first one counts answers and tokens of each group; so the second one knows when a group is
complete and lets it go. Memory: about 300 bytes a group, plus the texts of the groups that are open: a few where the
answers to a prompt stand together, as logs have them, and all of the file where they are scattered over it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from breadth.ledger.generations import Generation, Source, read_generations
from breadth.metrics.conditions import sampling_sentence
from breadth.metrics.tokens import Tokenizer, tokenize

Key = tuple[int | None, bytes]  # step, and what tells the prompt (or the block of prompts) apart


@dataclass(slots=True)
class Dealer:
    """Says to which group a row belongs; one for each pass over a file.

    ``how``: ``"prompt"``: all answers to a prompt at a step. ``"blocks_of_prompts"``: prompts are dealt into ``n_blocks`` by
    their hash, the same ones at every step and in every file. ``"blocks_of_answers"``: the answers of a step are dealt out in
    turn; for files with one prompt only, where an interval over prompts cannot be had.
    """

    how: str
    n_blocks: int
    dealt: dict[int | None, int] = field(default_factory=dict)

    def key(self, row: Generation) -> Key:
        """Return the step and the group's name in it."""
        if self.how == "blocks_of_answers":
            turn = self.dealt.get(row.step, 0)
            self.dealt[row.step] = turn + 1
            return row.step, (turn % self.n_blocks).to_bytes(2, "big")
        digest = hashlib.blake2b(_asked(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if self.how == "blocks_of_prompts":
            digest = (int.from_bytes(digest, "big") % self.n_blocks).to_bytes(2, "big")
        return row.step, digest


def _asked(row: Generation) -> str:
    """Return what tells a prompt apart: its text; under the two-turn protocol the user's turns, because the first answer
    between them is the model's own and would leave no prompt that two files share."""
    if row.messages and row.sampling and row.sampling.get("protocol") == "two_turn":
        return "\0".join(str(message["content"]) for message in row.messages if message.get("role") == "user")
    return row.prompt


@dataclass(frozen=True, slots=True)
class Group:
    """All answers to one prompt at one step, or of one block of them (:class:`Dealer`), in the order of the file."""

    step: int | None
    key: bytes
    rows: tuple[Generation, ...]


@dataclass(slots=True)
class Census:
    """What the first pass counted."""

    n_rows: int = 0
    n_empty: int = 0
    n_unscored: int = 0  # rows without a reward in a file that has rewards
    first_empty: str = ""
    fields: set[str] = field(default_factory=set)
    conditions: dict[str, int] = field(default_factory=dict)  # how answers were drawn -> how many of them
    unscored: dict[int | None, int] = field(default_factory=dict)  # the same by step
    sizes: dict[Key, int] = field(default_factory=dict)
    tokens: dict[Key, int] = field(default_factory=dict)

    @property
    def steps(self) -> list[int | None]:
        """Steps in ascending order; [None] where the file has none."""
        return sorted({step for step, _ in self.sizes}, key=lambda step: -1 if step is None else step)

    @property
    def one_prompt(self) -> bool:
        """True where no step has a second group."""
        return len(self.sizes) == len(self.steps)

    def usual_size(self) -> int:
        """Return the most frequent group size of at least two (the larger one on a tie); 1 where there is none."""
        counts = Counter(size for size in self.sizes.values() if size > 1)
        return max(counts, key=lambda size: (counts[size], size), default=1)

    def token_budget(self, least_size: int) -> int:
        """Return the largest budget that nine in ten groups of every step can fill, over groups of at least this size."""
        by_step: dict[int | None, list[int]] = {}
        for key, size in self.sizes.items():
            if size >= least_size:
                by_step.setdefault(key[0], []).append(self.tokens[key])
        return int(min((np.quantile(counts, 0.1) for counts in by_step.values()), default=0))


def take_census(source: Source, dealer: Dealer, tokenizer: Tokenizer) -> Census:
    """Return the counts of a first pass."""
    census = Census()
    for row in read_generations(source):
        key = dealer.key(row)
        census.n_rows += 1
        census.sizes[key] = census.sizes.get(key, 0) + 1
        census.tokens[key] = census.tokens.get(key, 0) + len(tokenize([row.response], tokenizer)[0])
        if not row.response.strip():
            census.n_empty += 1
            census.first_empty = census.first_empty or f"{row.path}, line {row.line}"
        for name in ("reward", "correct", "logprob", "kind", "valid"):
            if getattr(row, name) is not None:
                census.fields.add(name)
        if row.reward is None:
            census.n_unscored += 1
            census.unscored[row.step] = census.unscored.get(row.step, 0) + 1
        if row.sampling:
            how = sampling_sentence(row.sampling)
            census.conditions[how] = census.conditions.get(how, 0) + 1
    if "reward" not in census.fields:
        census.n_unscored = 0
        census.unscored.clear()
    return census


def read_groups(source: Source, census: Census, dealer: Dealer) -> Iterator[Group]:
    """Yield each group once its last answer is read.

    Raises
    ------
    ValueError
        Where the file has changed since the census.
    """
    waiting: dict[Key, list[Generation]] = {}
    for row in read_generations(source):
        key = dealer.key(row)
        members = waiting.setdefault(key, [])
        members.append(row)
        if len(members) == census.sizes.get(key):
            yield Group(*key, tuple(waiting.pop(key)))
    if waiting:
        raise ValueError(f"{source.files[0]}: the file has changed while it was read; measure it again when it is complete")
