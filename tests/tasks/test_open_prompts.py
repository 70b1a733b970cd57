"""Open prompts: chat files, templates, scorers by name, a learned partition as diversity, and a run from a model folder."""

import json
import math

import numpy as np
import pytest

import breadth
from breadth.metrics import measure_sets
from breadth.tasks.chat_template import ChatTemplate, messages_of
from breadth.tasks.scoring import score_batch

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] not in ['system', 'user', 'assistant'] %}{{ raise_exception('role') }}{% endif %}"
    "<|{{ m['role'] }}|>\n{{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def length(texts, prompts):
    """A scorer: the number of letters."""
    return [float(len(text)) for text in texts]


class Shorter:
    """A scorer with settings: how much shorter than ``most`` characters, None for a text that says to fail."""

    def __init__(self, most):
        self.most = most

    def __call__(self, texts, prompts):
        return [None if "fail" in text else self.most - len(text) for text in texts]


@pytest.fixture
def chat(tmp_path):
    path = tmp_path / "chat.jsonl"
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Write a line about bird {i}."},
                {"role": "assistant", "content": "…"},
            ]
        }
        for i in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def template(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": TEMPLATE, "bos_token": {"content": "<s>"}})
    )
    return str(tmp_path)


def task_of(path, **settings):
    return breadth.task(
        "prompts", **{"path": path, "quality": length, "held_out": 0.2, "partition": "rouge1", **settings}
    )


def test_prompts_are_split_and_rendered(chat, template):
    task = task_of(chat)
    assert all(p.startswith("Write a line about bird") for p in task.prompts(10, seed=0))
    assert not set(task.prompts(30, seed=0)) & set(task.prompts(5, seed=0, split="valid"))
    dressed = task_of(chat, template=template, system="Be brief.")
    (prompt,) = dressed.prompts(1, seed=0)
    assert prompt.startswith("<|system|>\nBe brief.\n<|user|>\nWrite a line") and prompt.endswith("<|assistant|>\n"), (
        "no second start token"
    )
    assert dressed.shown(prompt).startswith("Write a line") and task_of(chat, template=template, show_raw=False).shown(
        prompt.split("\n", 2)[2]
    ).startswith("<|user|>")


def test_only_the_first_turn(tmp_path):
    talk = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "two"},
    ]
    path = tmp_path / "talk.json"
    path.write_text(
        json.dumps(
            [{"conversation": [*talk[:1], {"role": "user", "content": f"one {i}"}, *talk[2:]]} for i in range(20)]
        )
    )
    long, short = task_of(str(path)), task_of(str(path), first_turn=True)
    assert "assistant: a" in long.prompts(1, seed=0)[0] and long.shown(long.prompts(1, seed=0)[0]) == "two"
    assert "two" not in short.prompts(1, seed=0)[0] and short.shown(short.prompts(1, seed=0)[0]).startswith("one")


def test_template_is_that_of_transformers(template):
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models

    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi\n  there "}]
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"a": 0})), bos_token="<s>"
    )
    text = theirs.apply_chat_template(messages, chat_template=TEMPLATE, tokenize=False, add_generation_prompt=True)
    assert text == "<s>" + ChatTemplate(template)(messages)


def test_a_template_cannot_reach_out(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": "{{ messages.__class__.__mro__[1].__subclasses__() }}"})
    )
    with pytest.raises(ValueError, match="template of .*unsafe"):
        ChatTemplate(tmp_path)([{"role": "user", "content": "x"}])
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(ValueError, match="has no chat template: leave template out"):
        ChatTemplate(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected a model folder with tokenizer_config.json"):
        ChatTemplate(tmp_path / "none")


def test_scorers_by_function_and_name(chat):
    asked = task_of(chat).prompts(1, seed=0) * 4
    texts = ["one", "three", "", "fail"]
    assert task_of(chat).score(texts, asked).tolist() == [3, 5, 0, 4]
    named = task_of(chat, quality=f"{__name__}:Shorter", quality_settings={"most": 10})
    assert np.array_equal(named.score(texts, asked), [7, 5, 0, np.nan], equal_nan=True)
    assert score_batch(named.score, texts, asked).n_unscored == 1
    assert task_of(chat, quality="breadth.tasks.open_prompts:word_count").score(["a b"], asked[:1]).tolist() == [2]


def test_a_learned_partition_is_the_diversity(chat):
    task = task_of(chat, partition="classifier", partition_settings={"clustering": "greedy"})
    asked = task.prompts(2, seed=0)
    texts = ["A robin sings at dawn in the old oak tree.", "At dawn a robin sings in the old oak tree.", "Penguins waddle over blue ice.",
             "A robin sings at dawn in the old oak tree."]  # fmt: skip
    kinds = task.kinds(texts, [asked[0]] * 3 + [asked[1]], group=[0, 0, 0, 1])
    assert kinds[0] == kinds[1] != kinds[2] and kinds[3] == 0
    rows = {r.metric: r for r in measure_sets(task, [texts[:3]], prompts=[[asked[0]] * 3])}
    assert rows["diversity"].value == pytest.approx(2 / 3) and 0 < rows["diversity_probability"].value < 1
    assert rows["correct_share"].value == 0 and task.describe().correct_at == math.inf, (
        "a reward model has no mark of its own"
    )
    assert list(task_of(chat, partition_settings={"clustering": "soft"}).describe().distances) == ["probability"]


def test_a_reward_model_folder_scores_the_conversation(chat, tmp_path):
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[PAD]", "[UNK]", "Write", "a", "line", "about", "bird", "robin", "owl", "."]
    library = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=library, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(tmp_path / "rm")
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=1,
        pad_token_id=0,
    )
    model = transformers.BertForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path / "rm", safe_serialization=True)
    task = task_of(chat, quality="reward_model", quality_settings={"folder": str(tmp_path / "rm")})
    asked = task.prompts(2, seed=0)
    scores = task.score(["a robin .", "an owl", " "], [asked[0], asked[1], asked[0]])
    import torch

    read = transformers.AutoTokenizer.from_pretrained(tmp_path / "rm")
    with torch.no_grad():
        expected = model(**read(asked[0], "a robin .", return_tensors="pt")).logits.item()
    assert scores[0] == pytest.approx(expected, abs=1e-5) and scores[1] != scores[0] and scores[2] == 0
    with pytest.raises(
        TypeError, match="quality_settings: reward_model cannot be called with .*missing a required argument: 'folder'"
    ):
        task_of(chat, quality="reward_model")


def test_a_judge_behind_an_endpoint_scores_and_its_silence_is_unscored(chat):
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"data": []}')

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked = json.dumps(body["messages"])
            said = "I cannot say." if "silence" in asked else "Rating: [[9]]" if "robin" in asked else "Rating: [[2]]"
            reply = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/v1"
        task = task_of(chat, quality="judge", quality_settings={"url": url, "model": "j", "n_tries": 2, "pause": 0.01})
        asked = task.prompts(1, seed=0) * 3
        assert np.array_equal(task.score(["a robin", "an owl", "silence"], asked), [9, 2, np.nan], equal_nan=True)
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"quality": "no colon"}, ValueError, "quality: expected reward_model, judge, 'module:name' of a scorer"),
        ({"quality": "breadth.nowhere:f"}, ImportError, "quality: cannot load breadth.nowhere:f"),
        ({"quality": "breadth.tasks.open_prompts:COLUMNS"}, TypeError, "quality: expected a function of .* got tuple"),
        (
            {"quality": Shorter, "quality_settings": {"least": 1}},
            TypeError,
            "quality_settings: .* cannot be called with",
        ),
        ({"quality": 3}, TypeError, "quality: expected a function of .* got int"),
        ({"prompt": "text"}, ValueError, "expected a column 'text' for prompt, got the columns"),
        ({"partition": "guess"}, ValueError, "partition: unknown backend 'guess'"),
        ({"held_out": 1.0}, ValueError, "held_out: expected a share"),
        ({"limit": 0}, ValueError, "limit: expected at least 1 row"),
    ],
)
def test_bad_settings(chat, settings, error, words):
    with pytest.raises(error, match=words):
        task_of(chat, **settings)


def test_bad_calls(chat):
    task = task_of(chat, quality=lambda texts, prompts: [1.0])
    asked = task.prompts(1, seed=0) * 2
    with pytest.raises(ValueError, match="the scorer returned 1 values for 2 texts"):
        task.score(["a", "b"], asked)
    with pytest.raises(ValueError, match="expected the prompts beside the texts"):
        task.score(["a"])
    for value, words in (
        ("  ", "got an empty text"),
        ([{"role": "user"}], "role and content"),
        ([{"role": "assistant", "content": "x"}], "the user speaks"),
        (3, "a text or a list"),
    ):
        with pytest.raises(ValueError, match=words):
            messages_of(value, where="row 1")


def test_a_run_from_a_model_folder(chat, tmp_path):
    """The whole recipe at the smallest size: prompts of a file, a byte-pair tokenizer, a scorer by name, the classifier's classes in DARLING."""
    tokenizers = pytest.importorskip("tokenizers")
    from tokenizers import decoders, models, pre_tokenizers, trainers

    from breadth.engine.gpt import GPT, GPTShape, save_gpt2

    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.train_from_iterator(
        ["Write a line about bird 0123456789."] * 20,
        trainers.BpeTrainer(special_tokens=["<|endoftext|>"], vocab_size=120),
    )
    folder = tmp_path / "gpt2"
    save_gpt2(
        GPT(GPTShape(vocab_size=library.get_vocab_size(), n_positions=64, n_embd=16, n_layer=1, n_head=2), seed=0),
        folder,
    )
    library.save(str(folder / "tokenizer.json"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "bos_token_id": 0, "eos_token_id": 0}))
    settings = tmp_path / "darling.toml"
    settings.write_text(
        f"""
[task]
kind = "prompts"
path = "{chat}"
quality = "breadth.tasks.open_prompts:word_count"
partition = "classifier"
max_tokens = 12
held_out = 0.2
[prior]
path = "{folder}"
[objective]
kind = "darling"
[train]
steps = 2
prompts = 3
group_size = 4
[measure]
every = 2
sets = 2
samples_per_set = 4
"""
    )
    from breadth.config import RunSettings, build_settings, read_toml
    from breadth.experiments.assemble import CHECKS
    from breadth.experiments.front import train_settings

    run = train_settings(
        build_settings(RunSettings, read_toml(settings), where=str(settings), checks=CHECKS), tmp_path / "run"
    )
    assert run.complete and run.at(2)["quality"]["value"] is not None and run.at(2)["diversity"]["value"] is not None
    assert len(run.at(0)["quality"]["sets"]) == 2
