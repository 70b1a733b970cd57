"""Our GPT against the reference implementation, both ways through files."""

import json

import pytest
import torch

from breadth.engine.gpt import GPT, GPTShape, load_gpt2, save_gpt2

transformers = pytest.importorskip("transformers")


@pytest.mark.parametrize("tied", [True, False])
def test_a_saved_model_gives_equal_logits_in_transformers(tmp_path, tied):
    model = GPT(
        GPTShape(vocab_size=19, n_positions=24, n_embd=32, n_layer=3, n_head=4, tie_word_embeddings=tied), seed=3
    ).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    save_gpt2(model, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    tokens = torch.randint(0, 19, (5, 24), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model.logits(model(tokens)), theirs(tokens).logits, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_a_transformers_model_is_loaded_with_equal_logits(tmp_path, tied):
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=31, n_positions=16, n_embd=24, n_layer=2, n_head=3, tie_word_embeddings=tied
    )
    theirs = transformers.GPT2LMHeadModel(config).eval()
    theirs.save_pretrained(tmp_path)
    ours = load_gpt2(tmp_path).eval()
    tokens = torch.randint(0, 31, (4, 16))
    with torch.no_grad():
        torch.testing.assert_close(ours.logits(ours(tokens)), theirs(tokens).logits, atol=2e-5, rtol=1e-5)
    assert ours.n_parameters == theirs.num_parameters()


def test_a_round_trip_keeps_every_bit(tmp_path):
    model = GPT(GPTShape(vocab_size=11, n_positions=8, n_embd=16, n_layer=1, n_head=2), seed=0)
    save_gpt2(model, tmp_path)
    back = load_gpt2(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), back.state_dict().values(), strict=True))
    assert back.shape == model.shape


def test_a_cache_gives_what_the_whole_sequence_gives():
    model = GPT(GPTShape(vocab_size=11, n_positions=12, n_embd=16, n_layer=2, n_head=2), seed=0).eval()
    tokens = torch.randint(0, 11, (3, 9), generator=torch.Generator().manual_seed(0))
    whole = model(tokens)
    caches = model.new_caches(3, 12)
    parts = [model(tokens[:, :4], caches=caches)] + [
        model(tokens[:, t : t + 1], caches=caches, start=t) for t in range(4, 9)
    ]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-6, rtol=1e-5)


def test_errors_name_numbers_and_remedies(tmp_path):
    with pytest.raises(ValueError, match=r"n_embd must be a multiple of n_head; got n_embd=10, n_head=4"):
        GPTShape(vocab_size=5, n_positions=4, n_embd=10, n_head=4)
    model = GPT(GPTShape(vocab_size=5, n_positions=4, n_embd=8, n_layer=1, n_head=2), seed=0)
    with pytest.raises(ValueError, match=r"5 positions are needed, the model's context is 4"):
        model(torch.zeros((1, 5), dtype=torch.int64))
    with pytest.raises(FileNotFoundError, match=r"config.json: not found"):
        load_gpt2(tmp_path)
    save_gpt2(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "llama"}))
    with pytest.raises(ValueError, match=r"expected model_type 'gpt2', got 'llama'"):
        load_gpt2(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "n_layer": 2}))
    with pytest.raises(ValueError, match=r"does not fit config.json: missing transformer.h.1"):
        load_gpt2(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match=r"is a pickle and is not read"):
        load_gpt2(tmp_path)
