"""A GPT-2 folder from elsewhere, with a byte-pair tokenizer whose one special token has three offices, is a prior."""

import json
import os

import pytest

import breadth
from breadth.engine.gpt import GPT, GPTShape, save_gpt2
from breadth.engine.tokenizer import FileTokenizer, banned_tokens, load_tokenizer
from tests.journeys.test_bad_input import small


@pytest.fixture
def folder(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    from tokenizers import decoders, models, pre_tokenizers, trainers

    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(special_tokens=["<|endoftext|>"], vocab_size=60, initial_alphabet=list("0123456789 Ġ"))
    library.train_from_iterator(["0 1 1 2 2 3 3 4 4 5 5 6 6 7 7 0"] * 50, trainer)
    path = tmp_path / "gpt2"
    shape = GPTShape(vocab_size=library.get_vocab_size(), n_positions=40, n_embd=16, n_layer=1, n_head=2)
    save_gpt2(GPT(shape, seed=0), path)
    library.save(str(path / "tokenizer.json"))
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}))
    return path


def test_it_reads_and_writes_text(folder):
    tokenizer = load_tokenizer(folder)
    assert isinstance(tokenizer, FileTokenizer) and (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (0, 0, 0)
    assert tokenizer.decode([*tokenizer.encode("3 4 5 6"), 0, 9]) == "3 4 5 6"
    assert banned_tokens(tokenizer, end_token=True) == [] and banned_tokens(tokenizer, end_token=False) == [0]


def test_a_run_starts_from_it(folder, tmp_path):
    tables = small(train={"steps": 2}, measure={"every": 2}, prior={"path": str(folder)})
    task = breadth.task("circle", vertices=8, edges=4, min_edges=3)
    run = breadth.train(task=task, objective="rlhf", out=tmp_path / "run", **tables)
    assert run.complete and run.series("kl_prior")[0]["value"] == pytest.approx(0.0, abs=1e-5)
    assert (run.path / "checkpoints/step-000002/tokenizer.json").is_file()
    assert breadth.measure(run.path, steps=[0], task=task)  # the prior's own folder is found again
    with pytest.raises(ValueError, match="task 'circle' was an object, not a name: hand it over"):
        breadth.measure(run.path)


def test_what_is_missing_is_said(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": None}))
    with pytest.raises(ValueError, match="expected eos_token_id, found none"):
        load_tokenizer(folder)
    os.unlink(folder / "tokenizer.json")
    with pytest.raises(FileNotFoundError, match="expected vocabulary.json or tokenizer.json beside the weights"):
        load_tokenizer(folder)
