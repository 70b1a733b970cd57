"""Answers as vectors: TF-IDF of their words, or the embeddings of a sentence encoder."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from breadth.partitions.classifier import load_classifier
from breadth.partitions.features import rare_word_cosines
from breadth.partitions.overlap import settle_short
from breadth.partitions.protocol import Answers
from breadth.partitions.short_answers import SHORT_WORDS

Encode = Callable[[list[str]], np.ndarray]


class TfIdf:
    """Cosine of word vectors (1 + ln count)·rarity; the backend ``"tfidf"``.

    Parameters
    ----------
    drop_prompt : bool
        Leave out function words and the words of the prompt, which every answer to it shares.
    short_words : int
        Two answers of at most this many words are compared by :func:`short_score`; 0 = never.

    Source: Salton and Buckley 1988. Departures: rarities come from a fixed collection (that of the shipped classifier),
    not from the group, so that a pair's score does not depend on its siblings.

    Examples
    --------
    >>> TfIdf(short_words=0).blocks([Answers("", ("red fox", "red fox", "blue owl"))])[0].round(3).tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    name = "tfidf"
    threshold = 0.3  # mean number of classes nearest to NoveltyBench's own on 100 prompts × 10 answers

    def __init__(self, *, drop_prompt: bool = False, short_words: int = SHORT_WORDS) -> None:
        self.drop_prompt = drop_prompt
        self.short_words = short_words
        self.rarity = load_classifier().rarity

    def blocks(self, groups: Sequence[Answers]) -> list[np.ndarray]:
        """Return for each group the scores of all pairs, (n, n) float64; see :class:`BlockBackend`."""
        found = []
        for group in groups:
            block = np.clip(rare_word_cosines(group, self.rarity, own=self.drop_prompt), 0.0, 1.0)
            settle_short(block, group, self.short_words)
            found.append(block)
        return found


class Embedding:
    """Cosine of sentence embeddings, n encodes for n answers; the backend ``"embedding"``.

    Parameters
    ----------
    model : str, optional
        Name or path of a sentence-transformers model, loaded when it is first used.
    encode : callable, optional
        In the place of ``model``: from a list of M texts to (M, d) floats.
    drop_prompt : bool
        Remove the direction of the prompt's embedding, which all answers to it share.
    words_per_window : int
        A longer text is the mean of its windows, since encoders cut what is beyond their limit.
    batch_size : int
        Windows per call.
    cache_size : int
        Embeddings kept from step to step.
    device : str, optional
        As sentence-transformers takes it.

    Raises
    ------
    ValueError
        Neither or both of ``model`` and ``encode``; an encoder that returns the wrong number of vectors or numbers that
        are not finite.
    ImportError
        sentence-transformers is not installed (when first used).

    Source: Reimers and Gurevych 2019 for the cosine. Departures: prompt direction removed.

    Examples
    --------
    >>> encode = lambda texts: np.array([[len(text), 1.0] for text in texts])
    >>> Embedding(encode=encode, drop_prompt=False).blocks([Answers("", ("aa", "bb"))])[0].round(3).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """

    name = "embedding"
    threshold = 0.7  # a starting point for MiniLM-like models without the prompt's direction; calibrate it

    def __init__(
        self, model: str | None = None, *, encode: Encode | None = None, drop_prompt: bool = True,
        words_per_window: int = 180, batch_size: int = 64, cache_size: int = 100_000, device: str | None = None,
    ) -> None:  # fmt: skip
        if (model is None) == (encode is None):
            raise ValueError("embedding: expected either model (a name or a path) or encode (a function), and not both")
        if words_per_window < 1 or batch_size < 1:
            raise ValueError(
                f"words_per_window and batch_size: expected 1 or more, got {words_per_window} and {batch_size}"
            )
        self.model, self.encode, self.device = model, encode, device
        self.drop_prompt, self.words_per_window, self.batch_size = drop_prompt, words_per_window, batch_size
        self.cache_size = cache_size
        self.n_encoded = 0  # windows, since the start
        self._kept: OrderedDict[bytes, np.ndarray] = OrderedDict()

    def blocks(self, groups: Sequence[Answers]) -> list[np.ndarray]:
        """Return for each group the cosines of all pairs, negative ones as 0; see :class:`BlockBackend`."""
        wanted = [text for group in groups for text in group.texts]
        if self.drop_prompt:
            wanted += [group.prompt for group in groups if group.prompt]
        vectors = self._vectors(wanted)
        found = []
        for group in groups:
            table = np.stack([vectors[text] for text in group.texts])  # (n, d)
            if self.drop_prompt and group.prompt:
                direction = vectors[group.prompt]
                table = table - np.outer(table @ direction, direction)
            length = np.linalg.norm(table, axis=1, keepdims=True)
            table = np.divide(table, length, out=np.zeros_like(table), where=length > 1e-9)
            block = np.clip(table @ table.T, 0.0, 1.0)
            np.fill_diagonal(block, 1.0)
            found.append(block)
        return found

    def _vectors(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Return a vector of length 1 (or 0) for every distinct text."""
        names = {
            text: hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts
        }
        found = {text: self._kept[name] for text, name in names.items() if name in self._kept}
        missing = [text for text in names if text not in found]
        windows, owner = [], []
        for i, text in enumerate(missing):
            words = text.split()
            pieces = [text]
            if len(words) > self.words_per_window:
                starts = range(0, len(words), self.words_per_window)
                pieces = [" ".join(words[at : at + self.words_per_window]) for at in starts]
            windows += pieces
            owner += [i] * len(pieces)
        if windows:
            rows = _unit(self._encode(windows))
            total = np.zeros((len(missing), rows.shape[1]))
            np.add.at(total, np.array(owner), rows)
            for text, row in zip(missing, _unit(total), strict=True):
                found[text] = self._kept[names[text]] = row
        for text in texts:
            if names[text] in self._kept:
                self._kept.move_to_end(names[text])
        while len(self._kept) > self.cache_size:
            self._kept.popitem(last=False)
        return found

    def _encode(self, windows: list[str]) -> np.ndarray:
        if self.encode is None:
            self.encode = _load_encoder(str(self.model), self.device)
        order = sorted(range(len(windows)), key=lambda i: len(windows[i]))  # equal lengths together: little padding
        rows: dict[int, np.ndarray] = {}
        for at in range(0, len(order), self.batch_size):
            chosen = order[at : at + self.batch_size]
            made = np.asarray(self.encode([windows[i] for i in chosen]), dtype=float)
            if made.ndim != 2 or len(made) != len(chosen) or not np.isfinite(made).all():
                raise ValueError(f"encode: expected ({len(chosen)}, d) finite numbers, got shape {made.shape}")
            self.n_encoded += len(chosen)
            for i, row in zip(chosen, made, strict=True):
                rows[i] = row
        return np.stack([rows[i] for i in range(len(windows))])


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)


def _load_encoder(model: str, device: str | None) -> Encode:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ImportError(
            "the partition 'embedding' needs sentence-transformers: pip install sentence-transformers, "
            "or pass encode=, a function from texts to vectors"
        ) from error
    loaded = SentenceTransformer(model, device=device)
    return lambda texts: loaded.encode(texts, batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True)
