"""Tiny transformers folders with random weights and a word tokenizer, made on the spot."""

from __future__ import annotations

WORDS = [f"w{i}" for i in range(20)]
CHAT = "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} <eos> {% endfor %}{% if add_generation_prompt %}<assistant> {% endif %}"


def tokenizer(transformers, *, chat=False):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    special = ["<pad>", "<unk>", "<eos>", "<user>", "<assistant>"]
    made = Tokenizer(WordLevel({word: i for i, word in enumerate([*special, *WORDS])}, unk_token="<unk>"))
    made.pre_tokenizer = WhitespaceSplit()
    found = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>"
    )
    if chat:
        found.chat_template = CHAT
    return found


def causal_folder(folder, *, chat=False, seed=0, positions=64, scale=1.0):
    """A GPT-2 of one layer; a larger ``scale`` of its weights makes its distributions less even."""
    import torch
    import transformers

    torch.manual_seed(seed)
    made = tokenizer(transformers, chat=chat)
    config = transformers.GPT2Config(
        vocab_size=25, n_positions=positions, n_embd=16, n_layer=1, n_head=2, initializer_range=scale, eos_token_id=2, bos_token_id=2,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config)
    # what a folder may bring along and a measurement must not pick up
    model.generation_config.update(top_k=3, repetition_penalty=1.5, do_sample=True)
    model.save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


def reward_folder(folder, *, chat=False, labels=1, seed=0):
    """A GPT-2 with a sequence-classification head."""
    import torch
    import transformers

    torch.manual_seed(seed)
    made = tokenizer(transformers, chat=chat)
    config = transformers.GPT2Config(
        vocab_size=25, n_positions=64, n_embd=16, n_layer=1, n_head=2, initializer_range=0.5, num_labels=labels, pad_token_id=0,
        eos_token_id=2, bos_token_id=2,
    )  # fmt: skip
    transformers.GPT2ForSequenceClassification(config).save_pretrained(folder)
    made.save_pretrained(folder)
    return folder
