"""One more token for each row, on a CPU: what :class:`GPT` computes over its caches, with as little as possible around the products.

With one token a row the products are small, and what surrounds them counts: at 128 rows of a 6.4 M model a quarter of sampling was modules
called, views made and weights laid out anew for each product. Here the weights are laid out for oneDNN once a batch, and a layer is a dozen
calls. In float32 the numbers are the model's own, bit for bit (`tests/engine/test_decode.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from breadth.engine.gelu import gelu_and_slope
from breadth.engine.gpt import GPT, Block
from breadth.engine.kv_cache import KeyValues
from breadth.engine.matmul import Ready, ready, type_without_gradient

if TYPE_CHECKING:
    from breadth.engine.activations import Layer

LARGEST = 1 << 28  # numbers of a model up to which its weights are held twice, as they are and laid out


@dataclass(frozen=True)
class _Layer:
    block: Block
    qkv: Ready
    out: Ready
    rise: Ready
    fall: Ready


class Decoder:
    """The layers of a model whose weights stay as they are while rows are sampled; see :func:`decoder`."""

    def __init__(self, model: GPT, dtype: torch.dtype, rows: int) -> None:
        self.dtype = dtype
        self.wte, self.wpe = model.transformer["wte"].weight, model.transformer["wpe"].weight
        self.last, self.n_head, self.n_positions = (
            model.transformer["ln_f"],
            model.shape.n_head,
            model.shape.n_positions,
        )
        self.layers = [
            _Layer(
                block,
                *(
                    ready(one.weight, one.bias, dtype, rows)
                    for one in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj)
                ),
            )
            for block in model.transformer["h"]
        ]

    def step(
        self,
        tokens: Tensor,
        caches: list[KeyValues],
        start: int,
        *,
        positions: Tensor | None = None,
        attend: Tensor | None = None,
        keep: list[Layer] | None = None,
    ) -> Tensor:
        """Return the final hidden states (N, width) after one more token a row, whose keys and values are put into the caches.

        Parameters
        ----------
        tokens : (N,) int64
        start : int
            How many positions the caches hold.
        positions : (N,) int64, optional
            Default ``start``.
        attend : (N, 1, 1, start + 1) bool, optional
            True = may be looked at. Default: everything.
        keep : list of Layer, optional
            Where each layer is to put what it computes, for the way back.
        """
        if start >= self.n_positions:
            raise ValueError(
                f"tokens: {start + 1} positions are needed, the model's context is {self.n_positions}: "
                "shorten the prompt or the completion, or train a model with more n_positions"
            )
        where = self.wpe[start] if positions is None else self.wpe.index_select(0, positions)
        x = self.wte.index_select(0, tokens) + where  # (N, width)
        n, width = x.shape
        with torch.autocast("cpu", enabled=False):  # the type is the layers' own
            if keep is not None:
                x = keep[0].entered.copy_(x)
            for i, (layer, cache) in enumerate(zip(self.layers, caches, strict=True)):
                block = layer.block
                qkv = layer.qkv(_normed(x, block.ln_1))
                y = cache.extend(qkv.view(n, 3, self.n_head, width // self.n_head), start, attend)  # (N, width)
                if keep is None:
                    x += layer.out(y)
                    x += layer.fall(layer.rise(_normed(x, block.ln_2), "gelu"))
                    continue
                own = keep[i]
                own.qkv.copy_(qkv)
                x = torch.add(x, layer.out(y), out=own.between)
                after, _ = gelu_and_slope(layer.rise(_normed(x, block.ln_2)), out=(own.after, own.slope))
                x = torch.add(x, layer.fall(after), out=own.left)
            return _normed(x, self.last)


def decoder(model: GPT, rows: int) -> Decoder | None:
    """Return a decoder for a model, or None where its weights are not float32 on a CPU, oneDNN is off, or it is too large to hold twice.

    Parameters
    ----------
    rows : int
        How many rows are sampled at a time, at the most.
    """
    dtype = type_without_gradient(model.head_weight)
    if dtype is None or model.n_parameters > LARGEST or type(model) is not GPT:
        return None
    return Decoder(model, dtype, rows)


def _normed(x: Tensor, norm: torch.nn.LayerNorm) -> Tensor:
    return torch.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
