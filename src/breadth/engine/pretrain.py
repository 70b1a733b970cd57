"""Pre-training of a prior on a task's corpus: next-token likelihood, AdamW, cosine; interrupted, it continues bit for bit.

Source: the recipe of the quality-diversity law paper (AdamW β 0.9/0.95, weight decay 0.1, cosine, 1 % warm-up). Departures:
batches are drawn from length buckets, so that short texts do not pay for long ones.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from breadth.config import EngineSettings, ModelSettings, PriorSettings
from breadth.engine.checkpoint import load_checkpoint, save_checkpoint, step_folder, steps_on_disk, write_model_folder
from breadth.engine.gpt import GPT, GPTShape
from breadth.engine.machine import Machine
from breadth.engine.run_frame import append_step, force_to_disk, learning_rate
from breadth.ledger.rows import commit_folder, keep_rows
from breadth.seeds import derive_seed, numpy_generator
from breadth.tasks.protocol import Task
from breadth.tasks.vocabulary import Vocabulary

BUCKET_BATCHES = 50  # texts of this many batches are sorted by length together
LOG_EVERY = 20


class TokenCorpus:
    """Encoded texts in one flat array; row i has start token, tokens, and the end token where the task has one.

    A text may be a pair (prompt, completion): the prompt's tokens are read, and only those of the completion are learnt.

    Raises
    ------
    ValueError
        Where the corpus is empty, or a text is longer than the context: names the text and both numbers.
    """

    def __init__(self, texts: Sequence[str | tuple[str, str]], vocabulary: Vocabulary, *, end_token: bool, context: int) -> None:
        if not len(texts):
            raise ValueError(
                "the corpus is empty: pre-training needs at least one text; check the path and what was filtered out"
            )
        tail = [vocabulary.eos_id] if end_token else []
        asked = {p: vocabulary.encode(p) for p in {t[0] for t in texts if isinstance(t, tuple)}}
        pairs = [([], t) if isinstance(t, str) else (asked[t[0]], t[1]) for t in texts]
        rows = [[vocabulary.bos_id, *prompt, *vocabulary.encode(text), *tail] for prompt, text in pairs]
        self.learnt_from = np.array([1 + len(prompt) for prompt, _ in pairs], dtype=np.int32)
        self.lengths = np.array([len(r) for r in rows], dtype=np.int32)
        # The last token is only predicted, never read: a row may be one longer than the context.
        if self.lengths.max() > context + 1:
            worst = int(self.lengths.argmax())
            raise ValueError(
                f"corpus: {str(texts[worst])[:80]!r} has {self.lengths[worst] - 1} tokens to predict, the model's context is {context}: set "
                "model.n_positions higher, or filter long texts out of the corpus"
            )
        small = np.uint8 if len(vocabulary) < 256 else np.int32
        self.flat = np.concatenate([np.array(r, dtype=small) for r in rows])
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        self.pad_id = vocabulary.pad_id

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return tokens (n, L) int64 padded on the right, and which of them are learnt (n, L) bool."""
        lengths = self.lengths[rows]
        columns = np.arange(lengths.max())
        mask = columns < lengths[:, None]  # (n, L)
        index = np.where(mask, self.starts[rows][:, None] + columns, 0)
        tokens = np.where(mask, self.flat[index], self.pad_id)
        learnt = mask & (columns >= self.learnt_from[rows][:, None])
        return torch.from_numpy(tokens.astype(np.int64)), torch.from_numpy(learnt)

    def epoch(self, number: int, *, batch_size: int, seed: int) -> list[np.ndarray]:
        """Return the batches of an epoch: shuffled, sorted by length inside buckets, buckets' batches shuffled again."""
        generator = numpy_generator(seed, "epoch", number)
        order = generator.permutation(len(self))
        if len(order) <= batch_size:
            return [order]
        bucket = batch_size * BUCKET_BATCHES
        batches = []
        for start in range(0, len(order), bucket):
            part = order[start : start + bucket]
            part = part[np.argsort(self.lengths[part], kind="stable")]
            batches += [
                part[i : i + batch_size] for i in range(0, len(part), batch_size) if i + batch_size <= len(part)
            ]
        return [batches[i] for i in generator.permutation(len(batches))]


def model_shape(model: ModelSettings, vocabulary: Vocabulary, *, max_tokens: int, prompt_tokens: int = 1) -> GPTShape:
    """Return the sizes of a model for a task; the context defaults to one start token, the prompt and the completion."""
    return GPTShape(
        vocab_size=len(vocabulary),
        n_positions=model.n_positions or max_tokens + prompt_tokens,
        n_embd=model.n_embd,
        n_layer=model.n_layer,
        n_head=model.n_head,
        n_inner=model.n_inner,
        dropout=model.dropout,
        tie_word_embeddings=model.tie_word_embeddings,
    )


def pretrain(
    task: Task,
    *,
    model: ModelSettings,
    prior: PriorSettings,
    engine: EngineSettings,
    work: Path,
    target: Path,
    on_step: Callable[[dict[str, Any]], None] = lambda row: None,
    probe: Callable[[GPT, int], dict[str, Any]] | None = None,
    probe_every: int = 500,
) -> dict[str, Any]:
    """Train a prior and write it as a GPT-2 folder.

    Parameters
    ----------
    work : folder
        Checkpoints and ``steps.jsonl`` of the training; an interrupted training continues from there. Its checkpoints are
        removed at the end.
    target : folder
        Appears whole when training is done.
    probe : function of the model and the step, optional
        Looks at the model before the first step, every ``probe_every`` steps and after the last one; what it returns is a row of
        ``curve.jsonl``. It changes nothing in the training.

    Returns
    -------
    dict
        ``parameters``, ``steps``, ``loss`` (last logged, nats per token), ``n_texts``.
    """
    work.mkdir(parents=True, exist_ok=True)
    machine = Machine(engine)
    description = task.describe()
    vocabulary = task.vocabulary()
    shape = model_shape(
        model, vocabulary, max_tokens=description.max_tokens, prompt_tokens=1 + description.max_prompt_tokens
    )
    net = GPT(shape, seed=derive_seed(prior.seed, "weights")).to(machine.device)
    optimizer = torch.optim.AdamW(
        net.parameters(),
        lr=prior.learning_rate,
        betas=(prior.beta1, prior.beta2),
        weight_decay=prior.weight_decay,
        fused=True,
    )
    root, log, curve = work / "checkpoints", work / "steps.jsonl", work / "curve.jsonl"
    done = steps_on_disk(root)
    start, loss_sum = 0, 0.0
    if done:
        start = done[-1]
        _, state = load_checkpoint(step_folder(root, start), net, optimizer)
        loss_sum = float(state.get("loss_sum", 0.0))
    for rows in (log, curve):
        keep_rows(rows, lambda row: row["step"] <= start, on_repair=lambda text: None)

    def look(step: int) -> None:
        if probe is not None and (step % probe_every == 0 or step == prior.steps):
            append_step(curve, {"step": step, **probe(net, step)})

    on_step({"step": start, "phase": "corpus"})
    texts = task.corpus(prior.corpus_size or prior.steps * prior.batch_size, seed=prior.seed)
    corpus = TokenCorpus(texts, vocabulary, end_token=description.end_token, context=shape.n_positions)

    forward = torch.compile(net, dynamic=True) if engine.compile else net
    warmup = max(1, round(prior.warmup_share * prior.steps))
    batches: list[np.ndarray] = corpus.epoch(0, batch_size=prior.batch_size, seed=prior.seed)
    per_epoch, epoch = len(batches), 0
    row: dict[str, Any] = {}
    if start == 0:
        look(0)
    for step in range(start, prior.steps):
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            batches = corpus.epoch(epoch, batch_size=prior.batch_size, seed=prior.seed)
        rate = learning_rate(step, prior.steps, prior.learning_rate, warmup, "cosine", prior.final_rate_share)
        for group in optimizer.param_groups:
            group["lr"] = rate
        tokens, mask = (x.to(machine.device) for x in corpus.batch(batches[step % per_epoch]))
        torch.manual_seed(derive_seed(prior.seed, "dropout", step))  # dropout draws from the global stream
        net.train()
        with machine.autocast():
            logits = net.logits(forward(tokens[:, :-1]))  # (n, L-1, V)
        losses = F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="none")
        loss = losses[mask[:, 1:].flatten()].mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), prior.clip_norm)
        if not bool(torch.isfinite(norm)):
            raise FloatingPointError(
                f"pre-training step {step}: the gradient is not finite (loss {float(loss.detach()):g}): lower prior.learning_rate "
                f"(now {prior.learning_rate:g}) and run again"
            )
        optimizer.step()
        loss_sum += float(loss.detach())
        if (step + 1) % LOG_EVERY == 0 or step + 1 == prior.steps:
            count = LOG_EVERY if (step + 1) % LOG_EVERY == 0 else (step + 1) % LOG_EVERY
            row = {"step": step + 1, "loss": loss_sum / count, "grad_norm": float(norm), "learning_rate": rate}
            loss_sum = 0.0
            append_step(log, row)
            on_step({**row, "phase": "train"})
        look(step + 1)
        if (step + 1) % prior.checkpoint_every == 0 and step + 1 < prior.steps:
            force_to_disk(log)
            force_to_disk(curve)
            save_checkpoint(root, step=step + 1, model=net, optimizer=optimizer, tokenizer=None, state={"loss_sum": loss_sum}, keep="last")

    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    write_model_folder(temporary, net, vocabulary)
    for rows in (log, curve):
        if rows.exists():
            shutil.copy(rows, temporary / rows.name)
    facts: dict[str, Any] = {"parameters": net.n_parameters, "steps": prior.steps, "loss": row.get("loss"), "n_texts": len(corpus)}
    learnt_from = task.corpus_facts()
    facts |= {} if learnt_from is None else {"corpus": learnt_from}
    (temporary / "breadth.json").write_text(json.dumps(facts, indent=1) + "\n")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    commit_folder(temporary, target)
    shutil.rmtree(root, ignore_errors=True)
    return facts


def seconds_left(started: float, done: int, total: int) -> float | None:
    """Return the estimated seconds that remain, or None before anything was done."""
    return None if done <= 0 else (time.perf_counter() - started) / done * (total - done)
