"""The tokenizer of a model folder: our own vocabulary, or a Hugging Face ``tokenizer.json`` beside GPT-2 weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from breadth.tasks.vocabulary import Vocabulary


class Tokenizer(Protocol):
    """What the engine needs of a tokenizer; :class:`breadth.tasks.vocabulary.Vocabulary` is one."""

    pad_id: int
    bos_id: int
    eos_id: int

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


class FileTokenizer:
    """A Hugging Face ``tokenizer.json``, read by the tokenizers library.

    Start, end and padding tokens are those of the folder's ``config.json``; GPT-2 has one token for all three.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from tokenizers import Tokenizer as Library
        except ImportError:
            raise ImportError(f"{folder}: reading its tokenizer.json needs the tokenizers library: pip install tokenizers") from None
        self.folder = folder
        config = json.loads((folder / "config.json").read_text())
        self.eos_id = config.get("eos_token_id")
        if self.eos_id is None:
            raise ValueError(f"{folder / 'config.json'}: expected eos_token_id, found none: say which token ends a completion")
        self.bos_id = self.eos_id if config.get("bos_token_id") is None else config["bos_token_id"]
        self.pad_id = self.eos_id if config.get("pad_token_id") is None else config["pad_token_id"]
        self._library = Library.from_file(str(folder / "tokenizer.json"))
        self._library.no_padding()
        self._library.no_truncation()

    def encode(self, text: str) -> list[int]:
        """Return token numbers, without special tokens."""
        return self._library.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text up to the first end token."""
        ids = list(ids)
        end = ids.index(self.eos_id) if self.eos_id in ids else len(ids)
        return self._library.decode(ids[:end], skip_special_tokens=True)


def load_vocabulary(folder: Path) -> Vocabulary | None:
    """Return the vocabulary that a model folder of ours carries, or None."""
    path = Path(folder) / "vocabulary.json"
    return Vocabulary.from_dict(json.loads(path.read_text())) if path.is_file() else None


def load_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a model folder.

    Raises
    ------
    FileNotFoundError
        Where it has neither ``vocabulary.json`` nor ``tokenizer.json``.
    """
    folder = Path(folder)
    vocabulary = load_vocabulary(folder)
    if vocabulary is not None:
        return vocabulary
    if not (folder / "tokenizer.json").is_file():
        raise FileNotFoundError(f"{folder}: expected vocabulary.json or tokenizer.json beside the weights: text cannot be read without one")
    return FileTokenizer(folder)


def banned_tokens(tokenizer: Tokenizer, *, end_token: bool) -> list[int]:
    """Return the tokens that a policy can never emit: padding, start, and the end token where lengths are fixed.

    They take no probability mass, in sampling and in the loss. Where one token has several offices and ends completions, it stays.
    """
    banned = {tokenizer.pad_id, tokenizer.bos_id}
    return sorted(banned - {tokenizer.eos_id} if end_token else banned | {tokenizer.eos_id})
