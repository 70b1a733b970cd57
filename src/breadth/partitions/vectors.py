"""Answers as vectors: TF-IDF of their words, or the embeddings of a sentence encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from breadth.partitions.classifier import load_classifier
from breadth.partitions.encoder import Encode
from breadth.partitions.features import rare_word_cosines
from breadth.partitions.overlap import settle_short
from breadth.partitions.protocol import Answers
from breadth.partitions.short_answers import SHORT_WORDS
from breadth.partitions.store import Store
from breadth.partitions.vector_cache import VectorCache, without_direction


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
        self.fingerprint = f"tfidf, drop_prompt={drop_prompt}, short_words={short_words}"
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
        Name or path of a sentence-transformers model, loaded when it is first used; see :func:`load_encoder`.
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
        For torch.

    Raises
    ------
    ValueError
        Neither or both of ``model`` and ``encode``; an encoder that returns the wrong number of vectors or numbers that
        are not finite.
    ImportError
        transformers or sentence-transformers is not installed (when first used).

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
        self.model, self.drop_prompt = model, drop_prompt
        self.vectors = VectorCache(
            encode or str(model),
            words_per_window=words_per_window,
            batch_size=batch_size,
            cache_size=cache_size,
            device=device,
        )

    @property
    def fingerprint(self) -> str | None:
        """What decides a score; None for a function."""
        return self.vectors.fingerprint and f"{self.vectors.fingerprint}, drop_prompt={self.drop_prompt}"

    @property
    def n_encoded(self) -> int:
        """Windows encoded since the start."""
        return self.vectors.n_encoded

    def keep_on_disk(self, store: Store | None) -> None:
        """Keep vectors in ``store`` as well, and look for them there."""
        self.vectors.keep_on_disk(store)

    def blocks(self, groups: Sequence[Answers]) -> list[np.ndarray]:
        """Return for each group the cosines of all pairs, negative ones as 0; see :class:`BlockBackend`."""
        wanted = [text for group in groups for text in group.texts]
        if self.drop_prompt:
            wanted += [group.prompt for group in groups if group.prompt]
        vectors = self.vectors.of(wanted)
        found = []
        for group in groups:
            table = np.stack([vectors[text] for text in group.texts])  # (n, d)
            if self.drop_prompt and group.prompt:
                table = without_direction(table, vectors[group.prompt])
            block = np.clip(table @ table.T, 0.0, 1.0)
            np.fill_diagonal(block, 1.0)
            found.append(block)
        return found
