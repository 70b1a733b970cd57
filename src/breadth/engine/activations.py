"""What sampling computed of each token, kept for the update that learns from it: its gradient needs no forward pass of its own.

Until a step's first update the weights are those that sampled, so what the update's forward pass would compute is known already. Kept are, for
each token and layer, what the layer was given, queries, keys and values, what stood between attention and feed-forward layer, and what gelu
gave with its slope; the cheap rest (layer norms, attention over a text) is worked out again on the way back, a few texts at a time.
Log-probabilities are then those of the very pass that drew the tokens: on-policy ratios are 1 to rounding in bfloat16 too.

On a CPU, where :mod:`breadth.engine.decode` samples. Gradients equal those of the whole pass within rounding (`tests/engine/test_activations.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from breadth.engine.attention import self_attention
from breadth.engine.decode import Decoder
from breadth.engine.gelu import gelu_and_slope
from breadth.engine.gpt import GPT, Block, Projection
from breadth.engine.matmul import product, rounded, turned_product, unchanged
from breadth.records import Rollouts

NARROWEST = 256  # width of a model: below, a step gains 4 % at most (`docs/speed.md`), which is not worth the last bits of runs already made
LARGEST = 1 << 31  # bytes that are kept at the most; a batch that needs more goes through the model again


class Layer(NamedTuple):
    """Of one layer, flat over tokens: the prompts first, then step after step the rows that were left."""

    entered: Tensor  # (tokens, width) float32, before the first layer norm
    qkv: Tensor  # (tokens, 3·width)
    between: Tensor  # (tokens, width) float32, before the second layer norm
    after: Tensor  # (tokens, inner), behind gelu
    slope: Tensor  # (tokens, inner), of gelu where it was
    left: Tensor  # (tokens, width) float32, what the layer gave: the next one's ``entered``


class Activations:
    """What one call of :func:`~breadth.engine.rollout.sample` computed; good until the weights change or it is given to another call.

    Its memory is used again from call to call: to take gigabytes from the system anew costs as much as half of what they save.
    """

    def __init__(self) -> None:
        self._memory: dict[str, Tensor] = {}
        self.layers: list[Layer] = []
        self.rollouts: Rollouts | None = None

    def begin(self, model: GPT, decoder: Decoder | None, which: Tensor, prompt_mask: Tensor, room: int) -> bool:
        """Make room for what will be sampled, and return whether it is kept.

        It is not where no decoder samples, by narrow models (``NARROWEST``), where the update's pass has dropout, or for more than ``LARGEST`` bytes.

        Parameters
        ----------
        decoder : Decoder, optional
            What samples.
        which : (N,) int64
            The prompt of each row, among the distinct ones.
        prompt_mask : (prompts, S) bool
            Real tokens of the distinct prompts, padded on the left.
        room : int
            Tokens of an answer, at the most.
        """
        shape, self.rollouts = model.shape, None
        if decoder is None or shape.dropout or shape.n_embd < NARROWEST:
            return False
        n_prompts, self.width = prompt_mask.shape
        tokens, wide = n_prompts * self.width + len(which) * (room - 1), shape.n_embd  # the last token of an answer is never read
        sizes = {"entered": wide, "qkv": 3 * wide, "between": wide, "after": shape.inner, "slope": shape.inner}
        types = {name: torch.float32 if name in ("entered", "between") else decoder.dtype for name in sizes}
        if tokens * shape.n_layer * sum(n * types[name].itemsize for name, n in sizes.items()) > LARGEST:
            return False
        self.model, self.decoder = model, decoder
        self._all = {name: self._room(name, (shape.n_layer + (name == "entered"), tokens, n), types[name]) for name, n in sizes.items()}
        self.layers = self.at(slice(0, tokens))
        self.filled = n_prompts * self.width
        prompts = which.unsqueeze(1) * self.width + torch.arange(self.width)  # (N, S)
        self.where = torch.cat([prompts, prompts.new_full((len(which), room - 1), -1)], dim=1)  # (N, S+room-1)
        return True

    def _room(self, name: str, size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        held, n = self._memory.get(name), math.prod(size)
        if held is None or held.dtype != dtype or held.numel() < n:
            held = self._memory[name] = torch.empty(n, dtype=dtype)
        return held[:n].view(size)

    def at(self, place: slice) -> list[Layer]:
        """Return what the layers keep of the tokens at some places."""
        entered, *others = (whole[:, place].unbind() for whole in self._all.values())
        return [Layer(*parts) for parts in zip(entered, *others, entered[1:], strict=False)]

    def more(self, rows: Tensor, t: int) -> list[Layer]:
        """Return where the layers are to keep what they compute of the t-th token of these rows, in this order."""
        first, self.filled = self.filled, self.filled + len(rows)
        self.where[rows, self.width + t] = torch.arange(first, self.filled)
        return self.at(slice(first, self.filled))

    @contextmanager
    def reading_prompts(self) -> Iterator[None]:
        """Keep what one pass of the model over the distinct prompts computes."""
        found: list[Tensor] = []
        model, n = self.model, self.filled
        blocks = list(model.transformer["h"])
        norms = [norm for block in blocks for norm in (block.ln_1, block.ln_2)] + [model.transformer["ln_f"]]
        hooks = [norm.register_forward_pre_hook(lambda _, given: found.append(given[0])) for norm in norms]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
        for i, (kept, layer) in enumerate(zip(self.layers, self.decoder.layers, strict=True)):
            kept.entered[:n] = found[2 * i].flatten(0, 1)
            kept.between[:n] = found[2 * i + 1].flatten(0, 1)
            with torch.autocast("cpu", enabled=False):
                kept.qkv[:n] = layer.qkv(_norm(kept.entered[:n], layer.block.ln_1)[0])
                gelu_and_slope(layer.rise(_norm(kept.between[:n], layer.block.ln_2)[0]), out=(kept.after[:n], kept.slope[:n]))
        self.layers[-1].left[:n] = found[-1].flatten(0, 1)

    def finish(self, rollouts: Rollouts) -> None:
        """Take the answers, and put the rows' places as their tokens stand without padding."""
        prompt = rollouts.prompt_mask.sum(-1, keepdim=True)  # (N, 1)
        last = prompt + rollouts.mask.sum(-1, keepdim=True) - 2  # the last token that was read
        position = torch.minimum(torch.arange(self.where.shape[1]).expand_as(self.where), last)
        self.where = self.where.gather(1, position + self.width - prompt)  # behind a text stands its last token again
        self.rollouts = rollouts

    def of(self, rollouts: Rollouts) -> bool:
        """Return whether these are the answers whose activations are kept."""
        return rollouts is self.rollouts

    def hidden(self, passes: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, ...]:
        """Return what the model gives for the first L tokens of some rows, (n, L, width), pass by pass, with its gradient.

        Parameters
        ----------
        passes : rows (n,) int64 and their tokens (n, L) int64, prompt and answer without padding between them
            As many as a layer works on at a time on the way back.
        """
        read = [_Read(self.where[rows, : tokens.shape[1]], tokens) for rows, tokens in passes]
        return _Hidden.apply(self, read, *self.model.transformer.parameters())


class _Read(NamedTuple):
    """What one pass reads."""

    where: Tensor  # (n, L) places of the tokens
    tokens: Tensor  # (n, L)


class _Hidden(torch.autograd.Function):
    @staticmethod
    def forward(ctx, kept: Activations, read: list[_Read], *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.kept, ctx.read = kept, read
        left, norm = kept.layers[-1].left, kept.model.transformer["ln_f"]
        return tuple(_norm(left.index_select(0, one.where.flatten()), norm)[0].view(*one.where.shape, -1) for one in read)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *gradients: Tensor):
        with torch.autocast("cpu", enabled=False), unchanged():
            found = _WayBack(ctx.kept).all(ctx.read, gradients)
        return None, None, *(found[p] for p in ctx.kept.model.transformer.parameters())


class _WayBack:
    """Gradients of all weights but the head's, layer by layer, and in each layer pass by pass: a layer's weights and sums stay in the cache."""

    def __init__(self, kept: Activations) -> None:
        self.trunk, self.layers = kept.model.transformer, kept.layers
        self.found: dict[Tensor, Tensor] = {}

    def all(self, read: Sequence[_Read], gradients: Sequence[Tensor]) -> dict[Tensor, Tensor]:
        """Return the gradient of each weight, from those of the final hidden states, (n, L, width) a pass."""
        last, places = self.trunk["ln_f"], [one.where.flatten() for one in read]
        back = []  # (m, width) a pass
        for where, gradient in zip(places, gradients, strict=True):
            left = self.layers[-1].left.index_select(0, where)
            back.append(self._norm(gradient.reshape(left.shape), left, last, _norm(left, last)[1:]))
        for block, layer in zip(reversed(self.trunk["h"]), reversed(self.layers), strict=True):
            for one, where, g in zip(read, places, back, strict=True):
                g += self._feed_forward(g, where, layer, block)
                g += self._attention(g, where, one.where.shape[1], layer, block)
        wte, wpe = self.trunk["wte"].weight, self.trunk["wpe"].weight
        self.found |= {wte: torch.zeros_like(wte), wpe: torch.zeros_like(wpe)}
        for one, g in zip(read, back, strict=True):
            self.found[wte].index_add_(0, one.tokens.flatten(), g)
            self.found[wpe][: one.tokens.shape[1]] += g.view(*one.tokens.shape, -1).sum(0)
        return self.found

    def _feed_forward(self, g: Tensor, where: Tensor, layer: Layer, block: Block) -> Tensor:
        """Return the gradient of what stands between, (m, width), through gelu and the two products around it."""
        rise, fall, dtype = block.mlp.c_fc, block.mlp.c_proj, layer.after.dtype
        between = layer.between.index_select(0, where)
        normed, *statistics = _norm(between, block.ln_2)
        after, slope = layer.after.index_select(0, where), layer.slope.index_select(0, where)
        inner = self._product(g, after, fall, dtype).mul_(slope)  # (m, inner)
        return self._norm(self._product(inner, normed, rise, dtype), between, block.ln_2, statistics)

    def _attention(self, g: Tensor, where: Tensor, length: int, layer: Layer, block: Block) -> Tensor:
        """Return the gradient of what entered, (m, width), through attention and the two products around it."""
        attention, dtype = block.attn, layer.qkv.dtype
        entered = layer.entered.index_select(0, where)
        normed, *statistics = _norm(entered, block.ln_1)
        width = entered.shape[1]
        qkv = layer.qkv.index_select(0, where).view(-1, length, 3, attention.n_head, width // attention.n_head)
        with torch.enable_grad():
            attended = self_attention(qkv.requires_grad_())  # (n, L, width)
        inner = self._product(g, attended.detach().reshape(-1, width), attention.c_proj, dtype)  # (m, width)
        (inner,) = torch.autograd.grad(attended, qkv, inner.view_as(attended).to(attended.dtype))
        to_normed = self._product(inner.reshape(-1, 3 * width), normed, attention.c_attn, dtype)
        return self._norm(to_normed, entered, block.ln_1, statistics)

    def _product(self, g: Tensor, x: Tensor, by: Projection, dtype: torch.dtype) -> Tensor:
        """Return the gradient of x, (m, in), in ``x·W + b``, from that of the product, and add up those of W and b."""
        narrow = g.to(dtype)
        self._add(by.weight, turned_product(x.to(dtype), narrow))
        self._add(by.bias, g.sum(0))
        return product(narrow, rounded(by.weight, dtype))

    def _norm(self, g: Tensor, x: Tensor, norm: nn.LayerNorm, statistics: Sequence[Tensor]) -> Tensor:
        """Return the gradient of a layer norm's input, and add up those of its weights."""
        to_x, to_weight, to_bias = torch.ops.aten.native_layer_norm_backward(
            g.float(), x, norm.normalized_shape, *statistics, norm.weight, norm.bias, [True, True, True]
        )
        self._add(norm.weight, to_weight)
        self._add(norm.bias, to_bias)
        return to_x

    def _add(self, weight: Tensor, gradient: Tensor) -> None:
        if weight in self.found:
            self.found[weight] += gradient
        else:
            self.found[weight] = gradient.float()


def _norm(x: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Tensor, Tensor]:
    """Return a layer norm with the means and inverse deviations that its way back needs."""
    return torch.native_layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
