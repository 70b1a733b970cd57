"""A reward model as scorer: any sequence-classification folder of transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from breadth.scoring.item import Item, Score


class RewardModel:
    """Output of a sequence-classification head on prompt and answer.

    Parameters
    ----------
    folder : path
        With safetensors weights and a tokenizer; nothing is downloaded, no code of the folder is run.
    label : int, optional
        Which output is the reward. None: the only one; a head with several needs it.
    template : "auto", "chat" or "plain"
        "auto": prompt and answer through the tokenizer's chat template where it has one, as reward models are trained; "plain":
        as a pair of texts.
    max_length : int, optional
        Tokens; longer inputs are cut at their beginning, so that the end of the answer stays. None: what the model holds.
    batch_size, tokens_per_batch : int
        Limits of a batch, the second with its padding; inputs are bucketed by length.
    device : str

    Raises
    ------
    FileNotFoundError, ImportError
    ValueError
        A checkpoint without all weights of the head (it would judge at random), several outputs without ``label``, a value out of
        range.

    Source: none. Departures: the raw output is the score: no sigmoid, no scaling.
    """

    def __init__(
        self, folder: str | Path, *, label: int | None = None, template: str = "auto", max_length: int | None = None,
        batch_size: int = 32, tokens_per_batch: int = 32_768, device: str = "cpu",
    ) -> None:  # fmt: skip
        if template not in ("auto", "chat", "plain"):
            raise ValueError(f"template: unknown {template!r}; known: auto, chat, plain")
        for name, value in (
            ("max_length", max_length),
            ("batch_size", batch_size),
            ("tokens_per_batch", tokens_per_batch),
        ):
            if value is not None and value < 1:
                raise ValueError(f"{name}: expected 1 or more, got {value}")
        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(
                f"{folder}: expected a folder with config.json, model.safetensors and a tokenizer, got none; nothing is downloaded"
            )
        try:
            from transformers import AutoModelForSequenceClassification, AutoTokenizer
        except ImportError as error:
            raise ImportError("a reward model needs transformers: pip install 'breadth[text]'") from error
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.tokenizer.truncation_side = "left"
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        missing = sorted(report["missing_keys"])
        if missing:
            raise ValueError(
                f"{folder}: the checkpoint lacks {len(missing)} weights ({', '.join(missing[:3])}, …), it would judge at random; give "
                "a model that was trained to score answers"
            )
        n_labels = model.config.num_labels
        if label is None and n_labels != 1:
            raise ValueError(
                f"label: {folder} has {n_labels} outputs; say which one is the reward, 0 to {n_labels - 1}"
            )
        if label is not None and not 0 <= label < n_labels:
            raise ValueError(f"label: expected 0 to {n_labels - 1}, got {label}")
        if model.config.pad_token_id is None:  # a decoder's head reads the last token that is not padding
            model.config.pad_token_id = self.tokenizer.pad_token_id
        if self.tokenizer.pad_token_id is None:
            batch_size = 1
        has_template = bool(getattr(self.tokenizer, "chat_template", None))
        if template == "chat" and not has_template:
            raise ValueError(f"template: {folder} has no chat template; use plain")
        self.template = "chat" if has_template and template != "plain" else "plain"
        positions = getattr(model.config, "max_position_embeddings", None)
        room = [n for n in (max_length, positions, self.tokenizer.model_max_length) if n]
        self.max_length = int(min(room)) if room else None
        self.model, self.label, self.device = model.to(device).eval(), label or 0, device
        self.batch_size, self.tokens_per_batch = batch_size, tokens_per_batch
        self.n_cut = 0  # inputs that were longer than max_length
        self.settings: dict[str, Any] = {
            "scorer": "reward_model", "model": folder.resolve().name, "label": self.label, "template": self.template,
            "max_length": self.max_length,
        }  # fmt: skip

    def score(self, items: Sequence[Item]) -> Iterator[tuple[int, Score]]:
        """Yield (position, score), short inputs first; a number that is not finite leaves its answer unscored."""
        import torch

        encoded = [self._encode(item) for item in items]
        for batch in self._batches([len(row["input_ids"]) for row in encoded]):
            rows = [encoded[i] for i in batch]
            made: Any = (
                self.tokenizer.pad(rows, return_tensors="pt")
                if len(rows) > 1
                else {k: torch.tensor([v]) for k, v in rows[0].items()}
            )
            with torch.inference_mode():
                logits = (
                    self.model(**{k: v.to(self.device) for k, v in made.items()}).logits[:, self.label].double()
                )  # (B,)
            for i, value in zip(batch, logits.tolist(), strict=True):
                fine = value == value and abs(value) != float("inf")
                yield i, Score(value) if fine else Score(None, f"the reward model gave {value}")

    def _encode(self, item: Item) -> dict[str, list[int]]:
        if self.template == "chat":
            chat = [*item.messages, {"role": "assistant", "content": item.response}]
            text = self.tokenizer.apply_chat_template(chat, tokenize=False)
            found = self.tokenizer(text, add_special_tokens=False)
        else:
            found = self.tokenizer("\n\n".join(str(m["content"]) for m in item.messages), item.response)
        cut = {name: list(ids) for name, ids in found.items()}
        size = len(cut["input_ids"])
        if self.max_length is not None and size > self.max_length:
            self.n_cut += 1
            if self.template == "chat":
                return {name: ids[-self.max_length :] for name, ids in cut.items()}
            pair = ("\n\n".join(str(m["content"]) for m in item.messages), item.response)
            short = self.tokenizer(*pair, truncation="longest_first", max_length=self.max_length)
            return {name: list(ids) for name, ids in short.items()}
        return cut

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
            if batch and (len(batch) == self.batch_size or (len(batch) + 1) * lengths[i] > self.tokens_per_batch):
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch
