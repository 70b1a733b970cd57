"""A cross-encoder as judge: any sequence-classification model of transformers reads both answers together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from breadth.partitions.protocol import Pair

if TYPE_CHECKING:
    import torch


class CrossEncoder:
    """P(equivalent) of a sequence-classification model, both orders averaged; the backend ``"cross_encoder"``.

    Parameters
    ----------
    model : str or model
        Name or path for ``AutoModelForSequenceClassification``, loaded when first used; or a loaded model, with its
        ``tokenizer``.
    tokenizer : tokenizer, optional
        Of a loaded model; of the name or path where absent.
    positive_label : int
        Which output means "equivalent"; with one output its logistic is taken and this is ignored.
    use_prompt : bool
        Put the prompt before the first answer. Off by default: the released models were trained without it.
    max_length : int
        Tokens of a pair, the longer answer cut first.
    batch_size : int
        Sequences in a batch, at most.
    tokens_per_batch : int
        Tokens in a batch with its padding, at most (one sequence always fits); pairs are bucketed by length.
    threshold : float
        Default of the partition; depends on the model (0.102 for NoveltyBench's DeBERTa as they use it). Calibrate it.
    device : str
        For torch.

    Raises
    ------
    ValueError
        A value out of range; a checkpoint without all weights of the classification head (it would judge at random); a
        model without the positive label.
    ImportError
        transformers is not installed (when first used).

    Source: NoveltyBench (Zhang et al. 2025, arXiv 2504.05228), DARLING (Li et al. 2025, arXiv 2509.02534).
    Departures: both orders are asked (they ask i < j only); cut by tokens of the pair, not by words of each answer.
    """

    name = "cross_encoder"

    def __init__(
        self, model: Any, *, tokenizer: Any = None, positive_label: int = 1, use_prompt: bool = False,
        max_length: int = 1024, batch_size: int = 64, tokens_per_batch: int = 32_768, threshold: float = 0.5,
        device: str = "cpu",
    ) -> None:  # fmt: skip
        for name, value in (
            ("max_length", max_length),
            ("batch_size", batch_size),
            ("tokens_per_batch", tokens_per_batch),
        ):
            if value < 1:
                raise ValueError(f"{name}: expected 1 or more, got {value}")
        if not isinstance(model, str) and tokenizer is None:
            raise ValueError("tokenizer: a model that is handed over needs its tokenizer")
        self.model, self.tokenizer, self.device = model, tokenizer, device
        self.positive_label, self.use_prompt, self.threshold = positive_label, use_prompt, threshold
        self.max_length, self.batch_size, self.tokens_per_batch = max_length, batch_size, tokens_per_batch
        self.n_batches = 0  # since the start
        self._ready = False

    def score_pairs(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, float]]:
        """Yield (position, probability) of each pair once both orders are known; see :class:`PairBackend`."""
        self._load()
        left = [self._first(pair.prompt, pair.a) for pair in pairs] + [
            self._first(pair.prompt, pair.b) for pair in pairs
        ]
        right = [pair.b for pair in pairs] + [pair.a for pair in pairs]
        if not pairs:
            return
        encoded = self.tokenizer(left, right, truncation="longest_first", max_length=self.max_length)
        lengths = [len(ids) for ids in encoded["input_ids"]]
        half: dict[int, float] = {}  # pair -> probability in the order that came first
        for batch in self._buckets(lengths):
            rows = self.tokenizer.pad({k: [encoded[k][i] for i in batch] for k in encoded}, return_tensors="pt")
            for i, probability in zip(batch, self._probabilities(rows), strict=True):
                position = i % len(pairs)
                if position in half:
                    yield position, (half.pop(position) + probability) / 2
                else:
                    half[position] = probability

    def _first(self, prompt: str, text: str) -> str:
        return f"{prompt}\n\n{text}" if self.use_prompt and prompt else text

    def _buckets(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Yield batches of positions, short sequences first, each within both limits."""
        batch: list[int] = []
        for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
            if batch and (len(batch) == self.batch_size or (len(batch) + 1) * lengths[i] > self.tokens_per_batch):
                yield batch
                batch = []
            batch.append(i)
        yield batch

    def _probabilities(self, rows: Any) -> list[float]:
        import torch

        self.n_batches += 1
        with torch.inference_mode():
            logits: torch.Tensor = self.model(
                **{k: v.to(self.device) for k, v in rows.items()}
            ).logits.double()  # (B, K)
        n_labels = logits.shape[-1]
        if n_labels == 1:
            return torch.sigmoid(logits[:, 0]).tolist()
        if not 0 <= self.positive_label < n_labels:
            raise ValueError(
                f"positive_label: expected 0 to {n_labels - 1} for a model of {n_labels} labels, got {self.positive_label}"
            )
        return torch.softmax(logits, dim=-1)[:, self.positive_label].tolist()

    def _load(self) -> None:
        if self._ready:
            return
        if isinstance(self.model, str):
            try:
                from transformers import AutoModelForSequenceClassification, AutoTokenizer
            except ImportError as error:
                raise ImportError(
                    "the partition 'cross_encoder' needs transformers: pip install transformers"
                ) from error
            name = self.model
            self.model, report = AutoModelForSequenceClassification.from_pretrained(name, output_loading_info=True)
            missing = sorted(report["missing_keys"])
            if missing:
                raise ValueError(
                    f"{name}: the checkpoint lacks {len(missing)} weights ({', '.join(missing[:3])}, …), it would judge at "
                    "random; give a model that was trained to compare answers"
                )
            self.tokenizer = self.tokenizer or AutoTokenizer.from_pretrained(name)
        self.model = self.model.to(self.device).eval()
        self._ready = True
