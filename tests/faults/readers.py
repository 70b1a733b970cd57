"""Every reader of something from elsewhere, with cases for it: what it may say, and what it must keep of what it took.

A reader is given a case and may refuse it with an error that it promises (which names the file, where there is one). Anything else
that it raises, and any result that breaks its word, is a fault.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import breadth
from breadth.config import ConfigError, apply_overrides, build_settings
from breadth.engine.checkpoint import CheckpointError, verify
from breadth.ledger.generations import read_generations
from breadth.ledger.rows import LedgerError, read_rows
from breadth.ledger.run import load_run
from breadth.partitions.chat import Malformed

Check = Callable[[Any], None]
FOLDER = tempfile.TemporaryDirectory(prefix="breadth-readers-")


def place_of(name: str, data: bytes) -> Path:
    path = Path(FOLDER.name) / f"{os.getpid()}-{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def file_reader(read: Callable[[Path], Any], *suffixes: str, refuses: type[Exception] = ValueError) -> Check:
    """Return a check of (suffix, bytes): the reader takes the file, or refuses it by its name."""

    def check(case: tuple[int, bytes]) -> None:
        path = place_of(f"case{suffixes[case[0] % len(suffixes)]}", case[1])
        try:
            read(path)
        except refuses as error:
            assert path.name in str(error), f"does not name the file: {error!r:.300}"

    return check


def rows(path: Path) -> None:
    assert all(isinstance(row, dict) for row in read_rows(path))


def run_folder(case: tuple[bytes, bytes]) -> None:
    config = place_of("run/config.json", case[0])
    place_of("run/ledger.jsonl", case[1]).rename(config.with_name("ledger.jsonl"))
    config = config.rename(config.with_name("config.json"))
    try:
        run = load_run(config.parent)
    except LedgerError as error:
        assert config.parent.name in str(error)
    else:
        assert len({(r["study"], r["objective"], r["seed"], r["step"], r["metric"]) for r in run.rows}) == len(run.rows)


def generations(path: Path) -> None:
    for row in read_generations(path):
        assert isinstance(row.prompt, str) and isinstance(row.response, str)
        row.response.encode()  # what is read can be written
        for value in (row.reward, row.correct, row.logprob):
            assert value is None or math.isfinite(value)


def settings_of(kind: type) -> Check:
    def check(value: object) -> None:
        with contextlib.suppress(ConfigError):
            build_settings(kind, value, where="f")

    return check


def override(text: str) -> None:
    with contextlib.suppress(ConfigError):
        apply_overrides({"train": {"steps": 3}, "study": "x"}, [text])


def manifest(value: bytes) -> None:
    path = place_of("step-000001", b"")
    path.unlink()
    path.mkdir(exist_ok=True)
    (path / "manifest.json").write_bytes(value)
    try:
        verify(path)
    except CheckpointError as error:
        assert path.name in str(error)
    else:
        raise AssertionError("a checkpoint without weights was taken")
    finally:
        (path / "manifest.json").unlink()
        path.rmdir()


@cache
def tasks() -> tuple[Any, ...]:
    named = [
        ("circle", {}),
        ("circle", {"encoding": "walk"}),
        ("circle", {"reward_form": "graded"}),
        ("line", {}),
        ("countdown", {}),
        ("game24", {}),
    ]
    return tuple(breadth.task(name, **settings) for name, settings in named)


def answers(text: str) -> None:
    for task in tasks():
        (prompt,) = task.prompts(1, seed=0)
        (score,) = task.score([text], [prompt])
        assert 0 <= score <= 1
        task.key([text], [prompt])
        task.diversity([text, "0 1", text])


@cache
def molecules() -> Any:
    return breadth.task("molecules", oracle="qed")


def molecule(text: str) -> None:
    from breadth.tasks.smiles import canonical_smiles, split_smiles

    (score,) = molecules().score([text])
    assert 0 <= score <= 1
    molecules().key([text])
    tokens, form = split_smiles(text), canonical_smiles(text)
    assert tokens is None or "".join(tokens) == text
    assert form is None or canonical_smiles(form) is not None


def expression(text: str) -> None:
    from breadth.partitions.expressions import canonical_expression, read_expression

    found, form = read_expression(text), canonical_expression(text)
    if found is not None and form is not None:
        again = read_expression(form)
        assert again is None or (again.key, again.value) == (form, found.value) or found.value is None


def mathematics(text: str) -> None:
    from breadth.tasks.math_answers import canonical_answer, final_answer

    said = final_answer(text)
    for one in (text, said or ""):
        form = canonical_answer(one)
        assert form is None or isinstance(form, str)


def spoken(text: str) -> None:
    from breadth.generation.verbalized import read_verbalized
    from breadth.partitions.keys import final_answer_key, words_key
    from breadth.scoring.judge import read_rating, read_verdict

    found = read_verbalized(text, 3)
    assert len(found.texts) <= 3 and all(p is None or 0 <= p <= 1 for p in found.probabilities)
    words_key(text), final_answer_key(text)
    for read in (read_rating, read_verdict):
        with contextlib.suppress(Malformed):
            assert 0 <= read(text) <= 10


def replies(data: bytes) -> None:
    from breadth.generation.remote import _replies
    from breadth.partitions.chat import first_choice
    from breadth.partitions.remote import _about, _scores

    for read in (_replies, first_choice, _about, lambda d: _scores(d, 2)):
        with contextlib.suppress(Malformed):
            read(data)


def corpus(path: Path) -> None:
    from breadth.tasks.corpus_files import read_rows as read

    assert all(isinstance(row.text, str) for row in read(path))


def lazily(dotted: str) -> Callable[[Path], Any]:
    """Return a reader that is imported when it is first used, so that this list needs no extra."""

    def read(path: Path) -> Any:
        from importlib import import_module

        module, _, name = dotted.rpartition(".")
        if name in ("load",):
            module, _, holder = module.rpartition(".")
            return getattr(getattr(import_module(module), holder), name)(path)
        return getattr(import_module(module), name)(path)

    return read


def judged(path: Path) -> None:
    from breadth.commands.partition_options import are_groups, read_groups
    from breadth.commands.partition_options import read_rows as read

    found = read(path)
    if are_groups(found):
        read_groups(found, path)


def examples(path: Path) -> None:
    from breadth.engine.examples import read_examples
    from breadth.engine.rollout import Sampling
    from breadth.tasks.vocabulary import Vocabulary

    words = Vocabulary(["a", "b", "c"], pattern=r"\S+", joiner=" ")
    for sides in (("completion",), ("chosen", "rejected")):
        with contextlib.suppress(ConfigError):
            read_examples(
                path, sides=sides, tokenizer=words, sampling=Sampling(max_tokens=4, end_token=True), context=16
            )
