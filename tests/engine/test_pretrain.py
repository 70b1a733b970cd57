"""Pre-training: batches, bits after an interruption, and the cache."""

import numpy as np
import pytest

from breadth.config import EngineSettings, ModelSettings, PriorSettings
from breadth.engine.pretrain import TokenCorpus, pretrain
from breadth.tasks.graphs import CircleTask
from breadth.tasks.vocabulary import Vocabulary

WORDS = Vocabulary(list("abc"), pattern=r"\S", joiner="")
MODEL = ModelSettings(n_layer=1, n_head=2, n_embd=16, dropout=0.1)
PRIOR = PriorSettings(steps=60, batch_size=16, checkpoint_every=20, learning_rate=1e-2)


class Stop(BaseException):
    pass


def go(tmp_path, name, on_step=lambda row: None):
    task = CircleTask(vertices=6, edges=3)
    folder = tmp_path / name
    pretrain(task, model=MODEL, prior=PRIOR, engine=EngineSettings(), work=folder / "work", target=folder / "prior", on_step=on_step)
    return folder / "prior"


def test_an_interrupted_training_ends_with_the_same_bits(tmp_path):
    straight = go(tmp_path, "straight")

    def stop(row):
        if row.get("step", 0) >= 40 and row["phase"] == "train":
            raise Stop

    with pytest.raises(Stop):
        go(tmp_path, "stopped", stop)
    assert not (tmp_path / "stopped/prior").exists()
    continued = go(tmp_path, "stopped")
    for name in ("model.safetensors", "steps.jsonl", "config.json", "tokenizer.json"):
        assert (continued / name).read_bytes() == (straight / name).read_bytes(), name


def test_batches_hold_whole_texts_and_every_text_once():
    texts = ["a" * n for n in (1, 5, 2, 9, 3, 3, 7, 1)] * 40
    corpus = TokenCorpus(texts, WORDS, end_token=True, context=16)
    batches = corpus.epoch(0, batch_size=16, seed=3)
    rows = np.concatenate(batches)
    assert len(rows) == len(set(rows.tolist())) == 320
    tokens, mask = corpus.batch(batches[0])
    assert tokens.shape == mask.shape and (tokens[:, 0] == WORDS.bos_id).all()
    for row, text in zip(tokens.tolist(), [texts[i] for i in batches[0]], strict=True):
        assert WORDS.decode(row[1:]) == text and row[len(text) + 1] == WORDS.eos_id
    spread = np.mean([np.ptp(corpus.lengths[b]) for b in batches])
    assert spread < 3, "a batch holds texts of nearly one length"
    assert [b.tolist() for b in corpus.epoch(0, batch_size=16, seed=3)] == [b.tolist() for b in batches]
    assert [b.tolist() for b in corpus.epoch(1, batch_size=16, seed=3)] != [b.tolist() for b in batches]


def test_exploding_rates_are_named(tmp_path):
    task = CircleTask(vertices=6, edges=3)
    prior = PRIOR.model_copy(update={"learning_rate": 1e30, "clip_norm": 1e30})
    with pytest.raises(FloatingPointError, match=r"pre-training step \d+: the gradient is not finite .*: lower prior.learning_rate \(now 1e\+30\)"):
        pretrain(task, model=MODEL, prior=prior, engine=EngineSettings(), work=tmp_path / "w", target=tmp_path / "p")
