"""A small untrained model whose answers differ: token embeddings four times as large, and biases that are not 0."""

from __future__ import annotations

import torch

from breadth.engine.gpt import GPT, GPTShape
from breadth.tasks.vocabulary import Vocabulary

WORDS = Vocabulary(list("abcdefgh"), pattern=r"\S+", joiner=" ")


def sharp(width: int, *, seed: int = 0, positions: int = 64, **shape) -> GPT:
    """Return a model of two layers and four heads over ``WORDS``."""
    net = GPT(GPTShape(len(WORDS), positions, width, 2, 4, **shape), seed=seed).eval()
    with torch.no_grad():
        net.transformer["wte"].weight.mul_(4.0)
        for name, parameter in net.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(len(name)))
    return net
