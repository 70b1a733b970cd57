"""A tokenizer trained on the spot and models built from a config, saved as ordinary folders."""

from __future__ import annotations

import contextlib
import json

TEXTS = [
    "a red fox runs through the wood", "the blue ship sails on the sea", "the red fox sleeps", "a ship of glass", "robots build houses",
]  # fmt: skip


def make_tokenizer(texts=TEXTS, size=120):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names)


def small(vocabulary, **more):
    return {"vocab_size": vocabulary, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 32, "max_position_embeddings": 128, **more}  # fmt: skip


def save_bert(folder, seed=0, texts=TEXTS):
    """A sequence-classification model, as NoveltyBench's is one."""
    import torch
    import transformers

    tokenizer = make_tokenizer(texts)
    torch.manual_seed(seed)
    config = transformers.BertConfig(**small(len(tokenizer), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def save_modernbert(folder, seed=0, texts=TEXTS):
    """A sequence-classification model of DARLING's kind."""
    import torch
    import transformers

    tokenizer = make_tokenizer(texts)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    torch.manual_seed(seed)
    ids = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    config = transformers.ModernBertConfig(**small(len(tokenizer), **ids))
    transformers.ModernBertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def save_encoder(folder, seed=0, pooling="mean"):
    """A sentence encoder in the layout of sentence-transformers."""
    import torch
    import transformers

    tokenizer = make_tokenizer()
    torch.manual_seed(seed)
    transformers.BertModel(transformers.BertConfig(**small(len(tokenizer)))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (path, name) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{name}": name.startswith(pooling) for name in ("cls_token", "mean_tokens", "max_tokens")}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **modes}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 16, "do_lower_case": False}))
    return str(folder)


@contextlib.contextmanager
def one_thread():
    """Tiny models on many threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
