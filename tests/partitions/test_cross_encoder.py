"""The cross-encoder backend on a tiny model built from a config."""

import subprocess
import sys

import numpy as np
import pytest

import breadth
from breadth.partitions.cross_encoder import CrossEncoder
from breadth.partitions.protocol import Pair

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
WORDS = "red blue fox ship sea runs sails on the a prompt".split()  # noqa: SIM905


def make_tokenizer():
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate([*special, *WORDS])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special, strict=True))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def make_model(n_labels: int = 2):
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        num_labels=n_labels, initializer_range=0.5,
    )  # fmt: skip
    return transformers.BertForSequenceClassification(config)


def judge(**settings):
    return CrossEncoder(make_model(), tokenizer=make_tokenizer(), **settings)


def scores(backend, pairs):
    found = dict(backend.score_pairs(pairs))
    return np.array([found[i] for i in range(len(pairs))])


PAIRS = [
    Pair("prompt", a, b)
    for a, b in [("red fox", "blue ship"), ("a fox runs on the sea", "red"), ("ship", "ship sails")]
]


def test_both_orders_are_averaged():
    backend = judge()
    swapped = [Pair(pair.prompt, pair.b, pair.a) for pair in PAIRS]
    np.testing.assert_allclose(scores(backend, PAIRS), scores(backend, swapped), rtol=1e-6)
    rows = backend.tokenizer([PAIRS[0].a, PAIRS[0].b], [PAIRS[0].b, PAIRS[0].a], return_tensors="pt")
    with torch.inference_mode():
        one_order = torch.softmax(backend.model(**rows).logits, -1)[:, 1]
    assert abs(one_order[0] - one_order[1]) > 1e-3, "the model itself is not blind to the order"
    assert scores(backend, PAIRS)[0] == pytest.approx(one_order.mean().item(), rel=1e-5)


def test_batches_do_not_change_the_scores():
    alone = judge(batch_size=1)
    few = judge(tokens_per_batch=24)
    together = judge()
    np.testing.assert_allclose(scores(alone, PAIRS), scores(together, PAIRS), rtol=1e-4)  # float32 with padding
    np.testing.assert_allclose(scores(few, PAIRS), scores(together, PAIRS), rtol=1e-4)
    assert alone.n_batches == 6 and together.n_batches == 2 and 1 < few.n_batches < 6
    assert scores(together, []).shape == (0,)


def test_the_prompt_is_used_when_asked_for():
    assert not np.allclose(scores(judge(use_prompt=True), PAIRS), scores(judge(), PAIRS))


def test_one_output_is_a_logistic_and_labels_are_checked():
    single = CrossEncoder(make_model(1), tokenizer=make_tokenizer())
    assert ((scores(single, PAIRS) > 0) & (scores(single, PAIRS) < 1)).all()
    with pytest.raises(ValueError, match="positive_label: expected 0 to 1 for a model of 2 labels, got 2"):
        scores(judge(positive_label=2), PAIRS)


def test_long_answers_are_cut():
    assert scores(judge(max_length=16), [Pair("", "red " * 500, "blue " * 500)]).shape == (1,)


def test_a_saved_model_is_loaded_and_partitions(tmp_path):
    make_model().save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    same = breadth.partition("cross_encoder", model=str(tmp_path), clustering="components")
    kinds = same(["red fox", "blue ship", "red fox"])
    assert kinds[0] == kinds[2] and same.cost.n_asked == 1
    assert same.probability(a="red fox", b="blue ship") == pytest.approx(scores(judge(), PAIRS)[0], rel=1e-5)


def test_a_checkpoint_without_its_head_is_refused(tmp_path):
    make_model().bert.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"the checkpoint lacks .* weights \(classifier.bias, .* it would judge at random"
    ):
        breadth.partition("cross_encoder", model=str(tmp_path))(["red", "blue"])


def test_bad_settings():
    with pytest.raises(ValueError, match="batch_size: expected 1 or more, got 0"):
        judge(batch_size=0)
    with pytest.raises(ValueError, match="a model that is handed over needs its tokenizer"):
        CrossEncoder(make_model())


def test_building_it_loads_no_transformers():
    code = "import sys, breadth; breadth.partition('cross_encoder', model='x'); sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_without_transformers_the_pip_line_is_shown(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"pip install .breadth\[text\]"):
        breadth.partition("cross_encoder", model="x")(["a", "b"])
