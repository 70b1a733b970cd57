"""Fine-tune a cross-encoder on labelled pairs with transformers' Trainer, and keep how it has to be asked."""

from __future__ import annotations

import datetime
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from breadth.partitions.calibration import choose_threshold
from breadth.partitions.cross_encoder import FORMAT, RECORD, VERSION
from breadth.partitions.evaluation import auroc, evaluate
from breadth.partitions.training import pairs_digest, read_pairs

if TYPE_CHECKING:
    import torch

INSTALL = "fine-tuning a cross-encoder needs transformers: pip install 'breadth[text]'"


@dataclass(frozen=True)
class FineTuned:
    """What came out: the folder, the threshold, and the training record (AUROC on prompts that were held out, …)."""

    folder: Path
    threshold: float
    record: Mapping[str, Any]


def fine_tune(
    pairs: Sequence[Mapping[str, Any]],
    *,
    model: str | Path,
    out: str | Path,
    epochs: float = 5.0,
    learning_rate: float = 2e-5,
    batch_size: int = 16,
    max_length: int = 1024,
    use_prompt: bool = False,
    weigh_classes: bool = True,
    held_out_share: float = 0.2,
    patience: int = 2,
    objective: str = "balanced_accuracy",
    device: str | None = None,
    seed: int = 0,
    data: str = "",
    licence: str = "",
    date: str | None = None,
) -> FineTuned:
    """Return a cross-encoder fine-tuned on labelled pairs, saved as an ordinary folder of transformers.

    Every pair is shown in both orders. A share of the prompts is held out: after each epoch the AUROC there (both orders
    averaged) is measured, training stops when it has not risen for ``patience`` epochs, and the best weights are kept. The
    threshold is chosen on the held-out pairs, by cross-validation by prompt. The folder also holds ``breadth_pairs.json``,
    from which the backend ``cross_encoder`` takes the threshold, the length and whether the prompt is shown.

    Parameters
    ----------
    pairs : see :func:`read_pairs`
    model : str or Path
        Name or folder for ``AutoModelForSequenceClassification``; a head that it lacks is made new, with two outputs.
    out : str or Path
        Folder; made where absent, its files of the same names replaced.
    epochs : float
        At most.
    learning_rate : float
        Of AdamW; a tenth of the steps warm up, then it falls linearly to 0.
    batch_size : int
        Ordered pairs.
    max_length : int
        Tokens of a pair, the longer answer cut first.
    use_prompt : bool
        Put the prompt before the first answer.
    weigh_classes : bool
        Weigh the loss of each label by the inverse of its share.
    held_out_share : float
        In (0, 1), of the prompts.
    patience : int
        Epochs.
    objective : str
        Of the threshold; see :func:`choose_threshold`.
    device : str, optional
        ``cpu`` keeps it off the accelerator; transformers' choice where absent.
    seed : int
    data, licence, date : str
        For the record.

    Raises
    ------
    ValueError
        Pairs that cannot be read (see :func:`read_pairs`), a value out of range, a split without both labels on both
        sides.
    ImportError
        transformers is not installed.

    Source: NoveltyBench (Zhang et al. 2025, arXiv 2504.05228) and DARLING (Li et al. 2025, arXiv 2509.02534), which train
    on both orders with class weights.
    Departures: (1) the split is by prompt, and stopping and threshold rest on it, never on a test set. (2) both orders are
    averaged when it is asked. (3) seeds are fixed.
    """
    for name, value in (("epochs", epochs), ("learning_rate", learning_rate), ("batch_size", batch_size),
                        ("max_length", max_length), ("patience", patience)):  # fmt: skip
        if value <= 0:
            raise ValueError(f"{name}: expected a positive number, got {value}")
    if not 0 < held_out_share < 1:
        raise ValueError(f"held_out_share: expected a share in (0, 1), got {held_out_share}")
    groups, same = read_pairs(pairs)
    held = _held_out([group.prompt for group in groups], held_out_share, seed)
    for side, rows in (("held out", held), ("trained on", ~held)):
        if len(set(same[rows].tolist())) < 2:
            raise ValueError(
                f"held_out_share: expected both labels among the pairs {side}, got {int(same[rows].sum())} same of {int(rows.sum())}"
            )
    try:
        import torch
        from transformers import (
            AutoModelForSequenceClassification,
            AutoTokenizer,
            DataCollatorWithPadding,
            EarlyStoppingCallback,
            PrinterCallback,
            Trainer,
            TrainingArguments,
            set_seed,
        )
    except ImportError as error:
        raise ImportError(INSTALL) from error

    set_seed(seed)  # the new head is drawn from it
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = None  # its names become files where it is saved, unchecked before transformers 5.10
    network = AutoModelForSequenceClassification.from_pretrained(model, num_labels=2, use_safetensors=True)
    texts = {
        side: [(group.prompt, *group.texts) for group, h in zip(groups, held, strict=True) if h == (side == "held")]
        for side in ("held", "trained")
    }
    weight = torch.ones(2)
    if weigh_classes:
        share = same[~held].mean()
        weight = torch.tensor([0.5 / (1 - share), 0.5 / share], dtype=torch.float32)

    class PairTrainer(Trainer):
        """Cross-entropy with a weight for each label."""

        def compute_loss(  # type: ignore[override]  # arguments that newer versions add are taken by name
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any
        ) -> torch.Tensor | tuple[torch.Tensor, Any]:
            labels = inputs.pop("labels")
            outputs = model(**inputs)
            loss = torch.nn.functional.cross_entropy(
                outputs.logits.float(), labels, weight=weight.to(outputs.logits.device)
            )
            return (loss, outputs) if return_outputs else loss

    def measured(prediction: Any) -> dict[str, float]:
        return {"auroc": auroc(_both_orders(prediction.predictions), np.asarray(prediction.label_ids)[0::2])}

    held_out: Any = _Ordered(tokenizer, texts["held"], same[held], max_length, use_prompt)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = PairTrainer(
            model=network,
            args=TrainingArguments(
                output_dir=scratch,
                num_train_epochs=epochs,
                learning_rate=learning_rate,
                lr_scheduler_type="linear",
                warmup_steps=max(1, int(0.1 * epochs * 2 * int((~held).sum()) / batch_size)),
                per_device_train_batch_size=batch_size,
                per_device_eval_batch_size=batch_size,
                eval_strategy="epoch",
                save_strategy="epoch",
                save_total_limit=1,
                load_best_model_at_end=True,
                metric_for_best_model="auroc",
                greater_is_better=True,
                report_to=[],
                seed=seed,
                disable_tqdm=True,
                use_cpu=device == "cpu",
                logging_strategy="no",
                dataloader_pin_memory=False,
            ),  # fmt: skip
            train_dataset=_Ordered(tokenizer, texts["trained"], same[~held], max_length, use_prompt),
            eval_dataset=held_out,
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=measured,
            callbacks=[EarlyStoppingCallback(early_stopping_patience=patience)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        probability = _both_orders(trainer.predict(held_out).predictions)
        history = [round(row["eval_auroc"], 4) for row in trainer.state.log_history if "eval_auroc" in row]
    prompts = [group.prompt for group, h in zip(groups, held, strict=True) if h]
    n_folds = min(5, len(set(prompts)))
    cut = choose_threshold(probability, same[held], prompts, objective=objective, n_folds=n_folds, seed=seed)
    found = evaluate(probability, same[held], threshold=cut.value, prompts=prompts, seed=seed)
    record = {
        "data": data, "licence": licence, "date": date or datetime.date.today().isoformat(), "model": str(Path(model).name),
        "pairs_digest": pairs_digest(pairs), "n": len(groups), "n_same": int(same.sum()), "n_held_out": int(held.sum()),
        "split": f"by prompt, share {held_out_share}, seed {seed}", "epochs": len(history), "held_out_auroc_by_epoch": history,
        "auroc": found.auroc.value, "auroc_low": found.auroc.low, "auroc_high": found.auroc.high,
        "objective": objective, "held_out_objective": round(cut.held_out, 4), "learning_rate": learning_rate,
        "batch_size": batch_size, "weigh_classes": weigh_classes,
    }  # fmt: skip
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    network.config.id2label, network.config.label2id = {0: "different", 1: "same"}, {"different": 0, "same": 1}
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    document = {
        "format": FORMAT, "version": VERSION, "threshold": cut.value, "max_length": max_length, "use_prompt": use_prompt,
        "positive_label": 1, "record": record,
    }  # fmt: skip
    (folder / RECORD).write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return FineTuned(folder, cut.value, record)


class _Ordered:
    """Each pair as two rows, (a, b) and then (b, a); tokens are made when a row is asked for."""

    def __init__(
        self, tokenizer: Any, texts: Sequence[tuple[str, ...]], same: np.ndarray, max_length: int, use_prompt: bool
    ) -> None:  # fmt: skip
        self.tokenizer, self.texts, self.same = tokenizer, texts, same
        self.max_length, self.use_prompt = max_length, use_prompt

    def __len__(self) -> int:
        return 2 * len(self.texts)

    def __getitem__(self, row: int) -> dict[str, Any]:
        prompt, a, b = self.texts[row // 2]
        first, second = (a, b) if row % 2 == 0 else (b, a)
        if self.use_prompt and prompt:
            first = f"{prompt}\n\n{first}"
        encoded = self.tokenizer(first, second, truncation="longest_first", max_length=self.max_length)
        return {**encoded, "labels": int(self.same[row // 2])}


def _both_orders(logits: Any) -> np.ndarray:
    """Return the probability of "same" of each pair, the mean of its two rows, (M,) float64."""
    table = np.asarray(logits[0] if isinstance(logits, tuple) else logits, dtype=float)  # (2M, 2)
    p = 0.5 * (1 + np.tanh((table[:, 1] - table[:, 0]) / 2))
    return (p[0::2] + p[1::2]) / 2


def _held_out(prompts: Sequence[str], share: float, seed: int) -> np.ndarray:
    """Return which pairs are held out, (M,) bool, equal prompts on the same side."""
    names, number = np.unique(np.asarray(list(prompts), dtype=object).astype(str), return_inverse=True)
    n_held = min(max(1, round(share * len(names))), len(names))
    chosen = np.random.default_rng(seed).permutation(len(names))[:n_held]
    return np.isin(number, chosen)
