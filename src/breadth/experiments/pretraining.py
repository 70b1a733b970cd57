"""A prior on its own: trained on a corpus, watched on the validation split, judged by what it writes."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from breadth.config import ConfigError, EngineSettings, Kind, ModelSettings, PriorSettings, Settings
from breadth.engine.checkpoint import WEIGHTS
from breadth.engine.gpt import GPT, load_gpt2
from breadth.engine.machine import Machine
from breadth.engine.pretrain import TokenCorpus, pretrain
from breadth.engine.rollout import Sampling, sample
from breadth.engine.tokenizer import load_vocabulary
from breadth.experiments.assemble import task_of
from breadth.experiments.runner import FolderLock, claim_folder
from breadth.ledger.rows import read_rows, write_atomic
from breadth.seeds import derive_seed
from breadth.tasks.protocol import Task
from breadth.tasks.vocabulary import Vocabulary

MAX_ROWS = 1024  # samples drawn together; bounds memory

#: Sizes of the source paper's models (Table 1) and its recipe: AdamW 0.9 / 0.95, weight decay 0.1, learning rate 1e-3, cosine, 1 % warm-up;
#: context 128. The head is untied, for which the counts fit (6.37, 21.38, 50.55 million with the 43 tokens of flat ChEMBL). Batch and
#: length of training are not in the paper: ten passes over half a million molecules.
PRESETS: dict[str, dict[str, Any]] = {
    name: {
        "task": {"kind": "molecules", "max_tokens": 128},
        "model": {"n_layer": layers, "n_head": layers, "n_embd": width, "n_positions": 128, "dropout": 0.1,
                  "tie_word_embeddings": False},
        "prior": {
            "steps": 38_000, "batch_size": 128, "learning_rate": 1e-3, "final_rate_share": 0.0, "checkpoint_every": 1000,
        },
    }
    for name, layers, width in (("small", 8, 256), ("base", 12, 384), ("large", 16, 512))
}  # fmt: skip

Count = Annotated[int, Field(ge=1)]


class CheckSettings(Settings):
    """What is looked at while a prior is trained, and at its end."""

    every: Count = Field(500, description="steps between two points of the learning curve")
    curve_samples: Count = Field(200, description="samples for validity and uniqueness at each point")
    valid_texts: Count = Field(2000, description="texts of the validation split for its loss")
    samples: Count = Field(1000, description="samples that the trained prior is judged by")
    reference: Count = Field(
        5000, description="molecules of each split that properties and scaffolds are compared with"
    )
    seed: int = 0


class PretrainSettings(Settings):
    """One prior: the file of ``breadth pretrain``."""

    task: Kind
    model: ModelSettings = ModelSettings()
    prior: PriorSettings = PriorSettings()
    engine: EngineSettings = EngineSettings()
    check: CheckSettings = CheckSettings()


def pretrain_checks(settings: PretrainSettings) -> list[str]:
    """Return the problems that only show when two settings are looked at together."""
    problems = []
    try:
        task_of(settings)
    except (ValueError, TypeError, ImportError, AttributeError, KeyError, OSError) as error:
        problems.append(f"task: {error.args[0] if isinstance(error, KeyError) and error.args else error}")
    model = settings.model
    if model.n_embd % model.n_head:
        problems.append(f"model.n_embd = {model.n_embd} is not a multiple of model.n_head = {model.n_head}")
    if settings.prior.path is not None:
        problems.append("prior.path: names a model that is trained already; leave it out to train one")
    return problems


def run_pretraining(
    settings: PretrainSettings,
    folder: Path,
    *,
    on_step: Callable[[dict[str, Any]], None] = lambda row: None,
    task: Task | None = None,
) -> dict[str, Any]:
    """Train a prior in a folder, or go on with it, and return the report on it.

    The folder holds ``config.json``, ``model/`` (what ``prior.path`` names), ``curve.jsonl`` and ``steps.jsonl`` inside it, and
    ``report.json``. The same settings on the same folder continue an interrupted training bit for bit.

    Returns
    -------
    dict
        ``parameters``, ``valid_loss``, ``validity``, ``uniqueness``, ``novelty``, ``curve`` and, for molecules,
        ``distribution`` as :func:`breadth.experiments.distribution.distribution_report`.

    Raises
    ------
    ConfigError
        The folder holds a prior with other settings.
    RuntimeError
        Another process is at work in it.
    """
    with FolderLock(folder):
        claim_folder(settings, folder)
        done = folder / "report.json"
        if done.is_file():
            return json.loads(done.read_text())
        task = task or task_of(settings)
        probe = _Probe(settings, task)
        target = folder / "model"
        if not (target / WEIGHTS).is_file():
            pretrain(
                task,
                model=settings.model,
                prior=settings.prior,
                engine=settings.engine,
                work=folder / "work",
                target=target,
                on_step=on_step,
                probe=probe,
                probe_every=settings.check.every,
            )
        on_step({"step": settings.prior.steps, "phase": "report"})
        report = judge_prior(settings, task, target, probe)
        write_atomic(done, (json.dumps(report, indent=1, allow_nan=False) + "\n").encode())
        shutil.rmtree(folder / "work", ignore_errors=True)
        return report


def judge_prior(settings: PretrainSettings, task: Task, model: Path, probe: _Probe) -> dict[str, Any]:
    """Return the report on a trained prior; see :func:`run_pretraining`."""
    net = load_gpt2(model, dropout=0.0).to(probe.machine.device)
    vocabulary = load_vocabulary(model)
    if vocabulary is None:
        raise ConfigError(str(model), ["expected vocabulary.json in the model folder: it was not trained here"])
    texts = probe.sample(net, vocabulary, settings.check.samples, step=settings.prior.steps, purpose="report")
    keys = task.key(texts)
    parsed = [key for key in keys if key is not None]
    known = _training_keys(task)
    report: dict[str, Any] = {
        "parameters": net.n_parameters,
        "parameters_without_positions": net.n_parameters - net.shape.n_positions * net.shape.n_embd,
        "vocabulary": len(vocabulary),
        "tied_head": net.shape.tie_word_embeddings,
        "steps": settings.prior.steps,
        "valid_loss": probe.loss(net, vocabulary),
        "samples": len(texts),
        "validity": len(parsed) / len(texts),
        "uniqueness": len(set(parsed)) / len(parsed) if parsed else None,
        "novelty": None if known is None or not parsed else sum(k not in known for k in set(parsed)) / len(set(parsed)),
        "curve": read_rows(model / "curve.jsonl", on_repair=lambda text: None),
    }
    if hasattr(task, "load_corpus"):
        from breadth.experiments.distribution import distribution_report

        corpus = task.load_corpus()
        report["corpus"] = str(corpus.report)
        if corpus.valid:
            report["distribution"] = distribution_report(
                parsed, corpus.train, corpus.valid, reference=settings.check.reference, seed=settings.check.seed
            )
    return report


def _training_keys(task: Task) -> set[str] | None:
    """Return the keys of all training texts where the task has a corpus that can be gone through, else None."""
    return set(task.load_corpus().train) if hasattr(task, "load_corpus") else None


class _Probe:
    """Looks at a model in training: loss on the validation split, validity and uniqueness of a few samples."""

    def __init__(self, settings: PretrainSettings, task: Task) -> None:
        self.settings, self.task = settings, task
        self.about = task.describe()
        self.machine = Machine(settings.engine)
        self._valid: TokenCorpus | None = None

    def __call__(self, net: GPT, step: int) -> dict[str, Any]:
        vocabulary = self.task.vocabulary()
        texts = self.sample(net, vocabulary, self.settings.check.curve_samples, step=step, purpose="curve")
        parsed = [key for key in self.task.key(texts) if key is not None]
        return {
            "valid_loss": self.loss(net, vocabulary),
            "validity": len(parsed) / len(texts),
            "uniqueness": len(set(parsed)) / len(parsed) if parsed else None,
        }

    def sample(self, net: GPT, vocabulary: Vocabulary, n: int, *, step: int, purpose: str) -> list[str]:
        """Return n texts sampled without truncation at temperature 1."""
        check = self.settings.check
        prompts = self.task.prompts(n, seed=derive_seed(check.seed, purpose, step), split="valid")
        sampling = Sampling(max_tokens=self.about.max_tokens, end_token=self.about.end_token)
        texts: list[str] = []
        for first in range(0, n, MAX_ROWS):
            generator = torch.Generator().manual_seed(derive_seed(check.seed, purpose, step, first))
            with self.machine.autocast():
                texts += sample(net, prompts[first : first + MAX_ROWS], vocabulary, sampling, generator=generator).text
        return texts

    @torch.no_grad()
    def loss(self, net: GPT, vocabulary: Vocabulary) -> float:
        """Return the mean negative log-likelihood of a token of the validation split, in nats, end tokens included."""
        if self._valid is None:
            texts = self.task.corpus(self.settings.check.valid_texts, seed=self.settings.check.seed, split="valid")
            texts = _distinct(texts)
            self._valid = TokenCorpus(
                texts, vocabulary, end_token=self.about.end_token, context=net.shape.n_positions
            )  # fmt: skip
        was_training = net.training
        net.eval()
        total, count = 0.0, 0
        batch = self.settings.prior.batch_size
        order = np.argsort(self._valid.lengths, kind="stable")
        for first in range(0, len(order), batch):
            tokens, mask = (x.to(self.machine.device) for x in self._valid.batch(order[first : first + batch]))
            with self.machine.autocast():
                logits = net.logits(net(tokens[:, :-1]))  # (n, L-1, V)
            losses = F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="none")
            learnt = mask[:, 1:].flatten()
            total += float(losses[learnt].double().sum())
            count += int(learnt.sum())
        net.train(was_training)
        return total / count if count else math.nan


def _distinct(texts: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys(texts))


def parameter_counts(vocabulary: int) -> dict[str, dict[str, int]]:
    """Return how many parameters each preset has with a vocabulary of this size, special tokens included.

    ``tied``: head and embedding shared; ``untied``: a head of its own. Both count the position table; ``untied_without_positions`` is
    the count that fits the paper's figures with 108 tokens.

    Examples
    --------
    >>> parameter_counts(108)["small"]["untied_without_positions"]
    6373888
    """
    counts: dict[str, dict[str, int]] = {}
    for name, preset in PRESETS.items():
        model: Mapping[str, int] = preset["model"]
        width, layers = model["n_embd"], model["n_layer"]
        block = 12 * width**2 + 13 * width  # attention 4w² + 4w, feed-forward 8w² + 5w, two norms 4w
        trunk, table, places = layers * block + 2 * width, vocabulary * width, model["n_positions"] * width
        counts[name] = {
            "tied": trunk + table + places,
            "untied": trunk + 2 * table + places,
            "untied_without_positions": trunk + 2 * table,
        }
    return counts
