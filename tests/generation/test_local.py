"""A local model: the conditions do what they say, and the log-probability is that of the model itself."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from breadth.generation.prompts import Prompt, read_prompts
from breadth.generation.request import Request
from breadth.generation.writing import generate_file
from breadth.ledger.generations import GenerationsError, describe_source, read_generations
from breadth.metrics.conditions import Sampling
from tests.tiny_models import causal_folder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from breadth.generation.local import LocalSampler  # noqa: E402

ASK = ({"role": "user", "content": "w1 w2"},)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return causal_folder(tmp_path_factory.mktemp("model"), scale=0.6)


@pytest.fixture(scope="module")
def chat_folder(tmp_path_factory):
    return causal_folder(tmp_path_factory.mktemp("chat"), chat=True, scale=0.6)


def draw(folder, n=8, seed=0, batch_size=16, **conditions):
    sampler = LocalSampler(folder, Sampling(**{"max_tokens": 6, **conditions}), batch_size=batch_size)
    ((place, replies),) = sampler.draw([Request(ASK, n, seed)])
    assert place == 0
    return sampler, replies


def first_token_law(sampler):
    """Return P(first token | prompt) of the model itself, (V,)."""
    with torch.inference_mode():
        logits = sampler.model(torch.tensor([sampler.prompt_ids(ASK)])).logits[0, -1]
    return torch.softmax(logits.double(), -1).numpy()


@pytest.mark.parametrize("conditions", [{}, {"temperature": 1.7, "min_p": 0.05}, {"temperature": 0}])
def test_logprob_is_that_of_a_forward_pass(folder, conditions):
    sampler = LocalSampler(folder, Sampling(max_tokens=6, **conditions))
    prompt = sampler.prompt_ids(ASK)
    sampler.tokenizer.decode = lambda ids, **_: " ".join(map(str, ids))  # the tokens themselves, special ones too
    ((_, replies),) = sampler.draw([Request(ASK, 8, 0)])
    for reply in replies:
        ids = [int(part) for part in reply.text.split()] + ([2] if reply.finish == "stop" else [])
        assert len(ids) == reply.n_tokens
        with torch.inference_mode():
            logp = torch.log_softmax(sampler.model(torch.tensor([prompt + ids])).logits[0].double(), -1)
        each = [float(logp[len(prompt) - 1 + t, token]) for t, token in enumerate(ids)]
        assert reply.logprob == pytest.approx(sum(each), abs=1e-4)  # float32 model, float32 cache
        assert reply.logprob != pytest.approx(sum(each[:-1]), abs=1e-4)  # its twin without the last token


def test_first_tokens_follow_the_law_of_the_conditions(folder):
    law_of = {
        "plain": ({}, lambda p: p),
        "hot": ({"temperature": 2.0}, lambda p: p**0.5),
        "nucleus": (
            {"top_p": 0.5},
            lambda p: np.where(np.cumsum(np.sort(p)[::-1])[np.argsort(np.argsort(-p))] - p < 0.5, p, 0),
        ),
        "min-p": ({"min_p": 0.3}, lambda p: np.where(p >= 0.3 * p.max(), p, 0)),
    }
    for name, (conditions, change) in law_of.items():
        sampler, replies = draw(folder, n=1500, batch_size=500, max_tokens=1, **conditions)
        wanted = change(first_token_law(sampler))
        wanted = wanted / wanted.sum()
        names = Counter("<eos>" if reply.finish == "stop" else reply.text for reply in replies)
        seen = np.zeros(25)
        for text, count in names.items():
            # <pad> and <unk> decode to nothing: they share a cell
            seen[sampler.tokenizer.convert_tokens_to_ids(text) if text else 0] += count / 1500
        special = [0, 1, 3, 4]
        merged = [np.r_[x[special].sum(), np.delete(x, special)] for x in (seen, wanted)]
        assert np.abs(merged[0] - merged[1]).sum() / 2 < 0.07, name
        if name in ("nucleus", "min-p"):
            assert (merged[0][merged[1] == 0] == 0).all(), name


def test_what_the_folder_wishes_is_not_followed(folder):
    _, replies = draw(folder, n=400, batch_size=400, max_tokens=1)
    assert len({reply.text for reply in replies}) > 5  # its generation_config says top_k=3


def test_greedy_is_one_answer_and_seeds_tell_draws_apart(folder):
    assert len({reply.text for reply in draw(folder, temperature=0)[1]}) == 1
    assert draw(folder, seed=1)[1] == draw(folder, seed=1)[1] != draw(folder, seed=2)[1]
    assert draw(folder, batch_size=3)[1] != [] and len(draw(folder, n=7, batch_size=3)[1]) == 7


def test_templates(folder, chat_folder):
    plain, chat = (LocalSampler(f, Sampling()) for f in (folder, chat_folder))
    assert (plain.template, chat.template) == ("plain", "chat")
    assert chat.tokenizer.decode(chat.prompt_ids(ASK)) == "<user> w1 w2 <eos> <assistant>"
    assert plain.tokenizer.decode(plain.prompt_ids((*ASK, {"role": "assistant", "content": "w3"}))) == "w1 w2 w3"
    with pytest.raises(ValueError, match="has no chat template; use plain"):
        LocalSampler(folder, Sampling(), template="chat")


def test_bad_folders_and_settings(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder with config.json, .* nothing is downloaded"):
        LocalSampler(tmp_path / "none", Sampling())
    with pytest.raises(ValueError, match="template: unknown 'x'; known: auto, chat, plain"):
        LocalSampler(folder, Sampling(), template="x")
    for name, value, text in (
        ("temperature", -1, "0 .greedy. or more"),
        ("top_p", 0, "a share in"),
        ("verbalized", 1, "at least 2"),
    ):
        with pytest.raises(ValueError, match=f"{name}: expected .*{text}"):
            Sampling(**{name: value})
    long = Request(({"role": "user", "content": "w1 " * 70},), 2, 0)
    assert "exceed the model's 64 positions" in next(iter(LocalSampler(folder, Sampling()).draw([long])))[1]


def test_a_file_is_the_same_in_one_go_and_resumed(folder, tmp_path):
    prompts = [Prompt((f"w{i} w{i + 1}", f"w{i}"), id=str(i)) for i in range(4)]
    sampling = Sampling(max_tokens=4, protocol="two_turn", seed=3)
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    found = generate_file(LocalSampler(folder, sampling), prompts, whole, sampling=sampling, k=5)
    assert (found.n_prompts, found.n_answers, found.n_kept, found.failures) == (4, 40, 0, None)
    lines = whole.read_text().splitlines(keepends=True)
    parts.write_text(
        "".join(lines[:12]) + lines[12][:30]
    )  # five and five rows whole, two of the third prompt, a torn line
    again = generate_file(LocalSampler(folder, sampling), prompts, parts, sampling=sampling, k=5)
    assert again.n_kept == 10 and parts.read_text() == whole.read_text()
    rows = [json.loads(line) for line in lines]
    second = [row for row in rows if row["turn"] == 2]
    assert len(second) == 20 and all(len(row["prompt"]) == 3 for row in second)
    firsts = {row["prompt_index"]: [] for row in rows}
    for row in rows:
        if row["turn"] == 1:
            firsts[row["prompt_index"]].append(row["response"])
    assert all(row["prompt"][1]["content"] in firsts[row["prompt_index"]] for row in second)
    assert len({row["prompt"][1]["content"] for row in second if row["prompt_index"] == 0}) == 1  # one context for all
    with pytest.raises(ValueError, match="line 1: drawn under other conditions than these"):
        generate_file(LocalSampler(folder, Sampling(seed=4)), prompts, whole, sampling=Sampling(seed=4), k=5)
    with pytest.raises(ValueError, match="line 1: answers another prompt than number 0"):
        generate_file(LocalSampler(folder, sampling), prompts[::-1], whole, sampling=sampling, k=5)
    source = describe_source(whole)
    assert source.format.name == "breadth_generations"
    answer = next(read_generations(source))
    assert answer.sampling["protocol"] == "two_turn" and answer.logprob < 0
    with pytest.raises(ValueError, match="two_turn needs prompts of two turns; 1 of 1 have one"):
        generate_file(LocalSampler(folder, sampling), [Prompt(("w1",))], tmp_path / "x.jsonl", sampling=sampling, k=2)


def test_prompts_of_many_kinds(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    assert [p.turns for p in read_prompts(tmp_path / "a.txt")] == [("one",), ("two",)]
    (tmp_path / "a.jsonl").write_text('{"question_id": 81, "turns": ["a", "b"]}\n{"prompt": [{"role": "system", "content": "s"}, '
                                      '{"role": "user", "content": "u"}]}\n')  # fmt: skip
    assert read_prompts(tmp_path / "a.jsonl") == [Prompt(("a", "b"), "81"), Prompt(("u",))]
    assert len(read_prompts(tmp_path / "a.jsonl", limit=1)) == 1
    (tmp_path / "b.jsonl").write_text('{"q": "x"}\n')
    with pytest.raises(GenerationsError, match="line 1: expected a column one of turns, prompt.* --column"):
        read_prompts(tmp_path / "b.jsonl")
    assert read_prompts(tmp_path / "b.jsonl", column="q") == [Prompt(("x",))]
    (tmp_path / "c.jsonl").write_text('{"prompt": 3}\n')
    with pytest.raises(GenerationsError, match="expected text, or a list of texts, in 'prompt', got 3"):
        read_prompts(tmp_path / "c.jsonl")
    (tmp_path / "d.txt").write_bytes(b"caf\xe9")
    with pytest.raises(GenerationsError, match="expected UTF-8, got the byte 0xe9"):
        read_prompts(tmp_path / "d.txt")
