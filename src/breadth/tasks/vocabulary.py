"""Text to token numbers and back, for models that are trained from nothing; exports a Hugging Face tokenizer.json."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence

BOS, EOS, PAD = "<bos>", "<eos>", "<pad>"


class Vocabulary:
    """A fixed list of tokens and the pattern that splits a text into them.

    Token numbers: ``<pad>`` 0, ``<bos>`` 1, ``<eos>`` 2, then ``tokens`` in the order given.

    Parameters
    ----------
    tokens : sequence of str
        All tokens, without the three special ones; no duplicates, none empty.
    pattern : str
        Regular expression of one token.
    joiner : str
        What stands between two tokens in a text: ``" "`` for words, which white space separates and the pattern must
        match whole; ``""`` for SMILES, where the matches of the pattern must cover the text without a gap.

    Raises
    ------
    ValueError
        Names tokens that occur twice, are special or empty, or hold white space between which a joiner could not tell.

    Examples
    --------
    >>> vocabulary = Vocabulary(["0", "1", "2"], pattern=r"\\S+", joiner=" ")
    >>> vocabulary.encode("2 0")
    [5, 3]
    >>> vocabulary.decode([5, 3, 2, 0])
    '2 0'
    """

    def __init__(self, tokens: Sequence[str], *, pattern: str, joiner: str) -> None:
        tokens = list(tokens)
        double = sorted({t for t, n in Counter([*tokens, BOS, EOS, PAD]).items() if n > 1})
        if double:
            raise ValueError(f"tokens: expected distinct tokens without the special ones, got more than once: {double}")
        odd = [t for t in tokens if not t or (joiner and t.split() != [t])]
        if odd:
            raise ValueError(f"tokens: expected non-empty tokens{' without white space' if joiner else ''}, got {odd}")
        self.tokens = tokens
        self.pattern = pattern
        self.joiner = joiner
        self.all_tokens = [PAD, BOS, EOS, *tokens]
        self._ids = {token: i for i, token in enumerate(self.all_tokens)}
        self._regex = re.compile(pattern)

    pad_id, bos_id, eos_id = 0, 1, 2

    def __len__(self) -> int:
        return len(self.all_tokens)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((tuple(self.tokens), self.pattern, self.joiner))

    def split(self, text: str) -> list[str]:
        """Return the tokens of a text; ``ValueError`` where the pattern leaves something over, naming it."""
        found = _split(text, self._regex, self.joiner)
        if self.joiner:
            rest = " ".join(word for word in found if not self._regex.fullmatch(word))
        else:
            rest = "" if "".join(found) == text else self._regex.sub("", text)
        if rest:
            raise ValueError(f"cannot split {text!r} into tokens: {rest!r} does not match the token pattern")
        return found

    def encode(self, text: str) -> list[int]:
        """Return token numbers, without special tokens.

        Raises
        ------
        ValueError
            Names the unknown token, the text and the remedy.
        """
        ids = []
        for token in self.split(text):
            number = self._ids.get(token)
            if number is None:
                raise ValueError(
                    f"token {token!r} of {text!r} is not in the vocabulary of {len(self.tokens)} tokens: drop or "
                    "rewrite this text, or build the vocabulary (and train the prior) from a corpus that holds it"
                )
            ids.append(number)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text up to the first end token; padding and start tokens are left out.

        Numbers at or beyond the vocabulary's size (a model with spare rows can produce them) become ``\\ufffd``.
        """
        words = []
        for number in ids:
            if number == self.eos_id:
                break
            if number in (self.pad_id, self.bos_id):
                continue
            words.append(self.all_tokens[number] if 0 <= number < len(self.all_tokens) else "\ufffd")
        return self.joiner.join(words)

    def to_dict(self) -> dict:
        """Return what :meth:`from_dict` needs to build an equal vocabulary."""
        return {"tokens": self.tokens, "pattern": self.pattern, "joiner": self.joiner}

    @classmethod
    def from_dict(cls, data: dict) -> Vocabulary:
        """Return the vocabulary that :meth:`to_dict` described."""
        return cls(data["tokens"], pattern=data["pattern"], joiner=data["joiner"])

    @classmethod
    def from_texts(cls, texts: Iterable[str], *, pattern: str, joiner: str) -> Vocabulary:
        """Return the vocabulary of all tokens that occur in ``texts``, sorted."""
        regex = re.compile(pattern)
        tokens: set[str] = set()
        for text in texts:
            tokens.update(_split(text, regex, joiner))
        return cls(sorted(tokens), pattern=pattern, joiner=joiner)

    def to_tokenizers_json(self) -> str:
        """Return a Hugging Face ``tokenizer.json`` with the same token numbers and a decoder that restores the text.

        It never refuses: a token that :meth:`encode` would name in an error becomes ``<pad>`` there.
        """
        plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        special = [{"id": i, "content": t, **plain} for i, t in enumerate((PAD, BOS, EOS))]
        pre_tokenizer = (
            {"type": "WhitespaceSplit"}
            if self.joiner
            else {"type": "Split", "pattern": {"Regex": self.pattern}, "behavior": "Isolated", "invert": False}
        )
        document = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": special,
            "normalizer": None,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": None,
            "decoder": {"type": "Fuse"} if not self.joiner else None,
            "model": {"type": "WordLevel", "vocab": dict(self._ids), "unk_token": PAD},
        }
        return json.dumps(document, ensure_ascii=False, indent=1)


def _split(text: str, regex: re.Pattern[str], joiner: str) -> list[str]:
    """Return the words of a text, or the matches of the pattern where nothing stands between tokens."""
    if joiner:
        return text.split()
    return regex.findall(text) if regex.groups == 0 else [match.group() for match in regex.finditer(text)]
