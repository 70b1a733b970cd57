"""A cross-encoder as judge: any sequence-classification model of transformers reads both answers together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breadth.partitions.encoder import weights_hash
from breadth.partitions.protocol import Pair

if TYPE_CHECKING:
    import torch

RECORD = "breadth_pairs.json"  # in the folder of a model that was fine-tuned here: how it has to be asked
FORMAT = "breadth-cross-encoder"
VERSION = 1
_MAX_LENGTH = 1024  # tokens of a pair, where neither the caller nor the folder says


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
    use_prompt : bool, optional
        Put the prompt before the first answer. Where absent as the model was fine-tuned here, else not: the released models
        were trained without it.
    max_length : int, optional
        Tokens of a pair, the longer answer cut first. Where absent as it was fine-tuned here, else 1024.
    batch_size : int
        Sequences in a batch, at most.
    tokens_per_batch : int
        Tokens in a batch with its padding, at most (one sequence always fits); pairs are bucketed by length.
    threshold : float, optional
        Default of the partition; depends on the model (0.102 for NoveltyBench's DeBERTa as they use it). Where absent as
        found when it was fine-tuned here, else 0.5: calibrate it.
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
        self, model: Any, *, tokenizer: Any = None, positive_label: int = 1, use_prompt: bool | None = None,
        max_length: int | None = None, batch_size: int = 64, tokens_per_batch: int = 32_768, threshold: float | None = None,
        device: str = "cpu",
    ) -> None:  # fmt: skip
        said = _fine_tuned(model)
        self.record: dict[str, Any] = said.get("record", {})  # of its training, where it was fine-tuned here
        max_length = int(said.get("max_length", _MAX_LENGTH)) if max_length is None else max_length
        use_prompt = bool(said.get("use_prompt", False)) if use_prompt is None else use_prompt
        threshold = float(said.get("threshold", 0.5)) if threshold is None else threshold
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
        self._fingerprint: str | None = None
        self._named = model if isinstance(model, str) else None

    @property
    def fingerprint(self) -> str | None:
        """What decides a verdict: the weights and how they are asked; None of a model that was handed over."""
        if self._fingerprint is None and self._named is not None:
            known = weights_hash(self._named) if Path(self._named).is_dir() else self._named
            asked = f"use_prompt={self.use_prompt}, max_length={self.max_length}, positive_label={self.positive_label}"
            self._fingerprint = f"{known}, {asked}"
        return self._fingerprint

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
                    "the partition 'cross_encoder' needs transformers: pip install 'breadth[text]'"
                ) from error
            name = self.model
            self.model, report = AutoModelForSequenceClassification.from_pretrained(
                name, output_loading_info=True, use_safetensors=True
            )
            missing = sorted(report["missing_keys"])
            if missing:
                raise ValueError(
                    f"{name}: the checkpoint lacks {len(missing)} weights ({', '.join(missing[:3])}, …), it would judge at "
                    "random; give a model that was trained to compare answers"
                )
            self.tokenizer = self.tokenizer or AutoTokenizer.from_pretrained(name)
        self.model = self.model.to(self.device).eval()
        self._ready = True


def _fine_tuned(model: Any) -> dict[str, Any]:
    """Return what the folder of a fine-tuned model says about how it has to be asked; empty where it says nothing."""
    path = Path(model) / RECORD if isinstance(model, str) else None
    if path is None or not path.is_file():
        return {}
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not a JSON file ({error}); fine-tune the model again") from error
    if not isinstance(said, dict) or said.get("format") != FORMAT or said.get("version") != VERSION:
        raise ValueError(f"{path}: expected format {FORMAT!r}, version {VERSION}; fine-tune the model again")
    return said
