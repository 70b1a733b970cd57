"""Sampling on a GPU in steps of fixed shapes over memory that stays where it is, so that one captured CUDA graph makes a token of every row.

With one token a row a GPU waits for launches: hundreds of small ones a token. A captured graph is one. It replays the same kernels at the same
addresses, so nothing in a step may ask the host, or have a shape that depends on what was drawn: the number of the token is a tensor, keys and
values are written by index, attention looks over the whole room with a mask, rows that have ended go on unheard, and every few tokens the
host looks whether all have ended. The weights of a step are the model's own, read where they lie; in bfloat16 they are copies, written anew
before each batch. The room stays taken as long as the model lives.

Capture and replay have run on no GPU yet; the arithmetic of a step is held on a CPU (`tests/engine/test_graph_sampling.py`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from breadth.engine import rollout
from breadth.engine.gpt import GPT, Projection
from breadth.engine.kv_cache import KeyValues
from breadth.engine.tokenizer import Tokenizer, banned_tokens

LOOK_EVERY = 8  # tokens between looks at whether all rows have ended: each waits for the device
ROOM = 64  # positions: the room for keys and values is a multiple, so prompts of other widths need no new capture, and masks are aligned
KEPT = 2  # captured steps a model: one for training, one for measuring
WARM_UP = 3  # runs before a capture, so that libraries have chosen their kernels and taken their memory

Step = Callable[[], None]


def captured(step: Step) -> Step:
    """Return what replays a step as one CUDA graph; the step has run a few times then, on a stream of its own.

    Raises
    ------
    RuntimeError
        Where torch sees no CUDA device, or the step does what cannot be captured.
    """
    if not torch.cuda.is_available():
        raise RuntimeError("graph sampling: expected a CUDA device, torch sees none: set engine.cuda_graphs = false")
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may use the device meanwhile
        step()
    return graph.replay


def eagerly(step: Step) -> Step:
    """Return a step as it is: the same arithmetic on any device, launch by launch."""
    return step


class Drawn(NamedTuple):
    """What was drawn for N rows; as many columns as an answer may have tokens, whether or not one has."""

    tokens: Tensor  # (N, room) int64, padding behind the end
    mask: Tensor  # (N, room) bool, True = a sampled token
    logp: Tensor  # (N, room) float32, 0 where the mask is False
    logp_sampled: Tensor  # (N, room) float32
    entropy: Tensor  # (N, room) float32
    ended: Tensor  # (N,) bool


class GraphSampling:
    r"""The captured steps of models, for :func:`~breadth.engine.rollout.sample`; each goes when its model goes.

    Parameters
    ----------
    capture : callable, optional
        Step to its replay: :func:`captured`, or :func:`eagerly` where no graph is wanted.

    Examples
    --------
    >>> from breadth.engine.gpt import GPTShape
    >>> from breadth.tasks.vocabulary import Vocabulary
    >>> words = Vocabulary(["a", "b"], pattern=r"\S+", joiner=" ")
    >>> model, how = GPT(GPTShape(len(words), 8, 8, 1, 2), seed=0), rollout.Sampling(4, end_token=False)
    >>> random = torch.Generator().manual_seed(0)
    >>> answers = rollout.sample(model, ["a"] * 3, words, how, generator=random, graphs=GraphSampling(eagerly))
    >>> tuple(answers.tokens.shape)
    (3, 4)
    """

    def __init__(self, capture: Callable[[Step], Step] = captured) -> None:
        self._capture = capture
        self._plans: weakref.WeakKeyDictionary[GPT, dict[tuple, Plan]] = weakref.WeakKeyDictionary()

    @torch.no_grad()
    def plan(self, model: GPT, rows: int, width: int, sampling: rollout.Sampling, tokenizer: Tokenizer) -> Plan:
        """Return the step for so many rows and prompts of ``width`` tokens: the one there is, or a new one.

        A new one is made where rows, the room for keys and values, the way of sampling, the type to compute in, or the weights' places
        have changed.

        Raises
        ------
        TypeError
            ``model`` is not a :class:`GPT` itself: its weights alone would not say what it computes.
        """
        if type(model) is not GPT:
            what = f"expected a model of class GPT, got {type(model).__name__}"
            raise TypeError(f"graph sampling: {what}: set engine.cuda_graphs = false")
        room = -(-(width + sampling.max_tokens - 1) // ROOM) * ROOM
        device, dtype = model.head_weight.device.type, model.head_weight.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        ids = (tokenizer.pad_id, tokenizer.eos_id, *banned_tokens(tokenizer, end_token=sampling.end_token))
        places = tuple(parameter.data_ptr() for parameter in model.parameters())  # a graph reads addresses
        key = (rows, room, sampling, dtype, torch.get_float32_matmul_precision(), ids, places)
        plans = self._plans.setdefault(model, {})
        found = plans.pop(key, None)
        if found is None:
            while len(plans) >= KEPT:
                plans.pop(next(iter(plans)))  # its memory first
            found = Plan(model, rows, room, sampling, tokenizer, dtype, self._capture)
        plans[key] = found  # the newest last
        return found


@dataclass(frozen=True)
class _Layer:
    """One layer's weights in the type to compute in; norms stay as they are."""

    norms: tuple[torch.nn.LayerNorm, torch.nn.LayerNorm]
    qkv: tuple[Tensor, Tensor]  # weight (in, out), bias
    out: tuple[Tensor, Tensor]
    rise: tuple[Tensor, Tensor]
    fall: tuple[Tensor, Tensor]


class _OneBlock(KeyValues):
    """Keys and values of all positions in one block that is never moved, on every device."""

    def __init__(self, n: int, n_head: int, room: int, width: int, *, like: Tensor) -> None:
        self.block, self._seen = room, []
        self.blocks = like.new_zeros((1, 2, n, n_head, room, width))


class Plan:
    """One step for a fixed number of rows, and the memory that it reads and writes; see :class:`GraphSampling`."""

    def __init__(
        self,
        model: GPT,
        rows: int,
        room: int,
        sampling: rollout.Sampling,
        tokenizer: Tokenizer,
        dtype: torch.dtype,
        capture: Callable[[Step], Step],
    ) -> None:
        shape, head, most = model.shape, model.head_weight, sampling.max_tokens
        self.sampling, self.pad, self.eos, self.dtype = sampling, tokenizer.pad_id, tokenizer.eos_id, dtype
        self.n_head, self.device = shape.n_head, head.device
        self._copies: list[tuple[Tensor, Tensor]] = []  # in the type to compute in, and the weight itself
        trunk = model.transformer
        self._wte, self._wpe, self._last = trunk["wte"].weight, trunk["wpe"].weight, trunk["ln_f"]
        self._head = self._own(head) if head.is_cuda else head  # as GPT.logits has it
        self._layers = [
            _Layer((h.ln_1, h.ln_2), *map(self._both, (h.attn.c_attn, h.attn.c_proj, h.mlp.c_fc, h.mlp.c_proj)))
            for h in trunk["h"]
        ]
        like, each = model.new_caches(1, 1)[0].blocks, shape.n_embd // shape.n_head
        self.caches: list[KeyValues] = [_OneBlock(rows, shape.n_head, room, each, like=like) for _ in self._layers]

        def new(*size: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.zeros(size, dtype=dtype, device=head.device)

        self._t = new(1) + 1  # which token is drawn next; at 1 the warm-up begins
        self._width = new(1) + 1  # tokens of a prompt
        self._damaged = new(1)  # the first token that had no finite probabilities
        self._token, self._length, self._ended = new(rows), new(rows), new(rows, dtype=torch.bool)
        self._real = ~new(rows, room, dtype=torch.bool)  # False = padding of a prompt
        self._place = torch.arange(room, device=head.device)
        self._uniform = new(most, rows, dtype=torch.float64)
        self._tokens, self._mask = new(most, rows), new(most, rows, dtype=torch.bool)
        self._logp, self._logp_sampled, self._entropy = (new(most, rows, dtype=torch.float32) for _ in range(3))
        self._banned = new(shape.vocab_size, dtype=torch.bool)
        for token in banned_tokens(tokenizer, end_token=sampling.end_token):
            self._banned[token] = True

        def step() -> None:
            self._t.clamp_(max=most - 1)  # of no effect but in a capture's warm-up
            self._record(self._read())

        self._step: Step | None = None
        if most > 1:
            with self._exactly():
                self._refresh()
                self._step = capture(step)

    def _both(self, one: Projection) -> tuple[Tensor, Tensor]:
        return self._own(one.weight), self._own(one.bias)

    def _own(self, weight: Tensor) -> Tensor:
        """Return a weight to compute with: itself, or a copy in the type to compute in."""
        weight = weight.detach()  # the same memory
        if weight.dtype == self.dtype:
            return weight
        self._copies.append((weight.to(self.dtype), weight))
        return self._copies[-1][0]

    def _refresh(self) -> None:
        """Write the copies of the weights anew, where they lie."""
        for narrow, weight in self._copies:
            narrow.copy_(weight)

    def _exactly(self) -> torch.autocast:
        """Return the context of a step: types are its own, and autocast's store of rounded weights must not be captured."""
        return torch.autocast(self.device.type, enabled=False, cache_enabled=False)

    @torch.no_grad()
    def draw(self, hidden: Tensor, prompt_mask: Tensor, uniform: Tensor) -> Drawn:
        """Return the answers to prompts that :attr:`caches` hold.

        Parameters
        ----------
        hidden : (N, width)
            The final hidden states of the prompts' last tokens.
        prompt_mask : (N, S) bool
            True = a real token; padding is on the left.
        uniform : (N, room) float64 in [0, 1)

        Raises
        ------
        ValueError
            A probability is not finite.
        """
        most, width = self.sampling.max_tokens, prompt_mask.shape[1]
        with self._exactly():
            self._refresh()
            for counter, value in ((self._t, 0), (self._width, width), (self._damaged, most), (self._token, 0)):
                counter.fill_(value)
            self._length.copy_(prompt_mask.sum(-1))
            self._real.fill_(True)
            self._real[:, :width] = prompt_mask
            self._uniform.copy_(uniform.t())
            for record in (self._ended, self._mask, self._logp, self._logp_sampled, self._entropy):
                record.zero_()
            self._tokens.fill_(self.pad)
            self._record(hidden)
            for t in range(1, most):
                if self.sampling.end_token and t % LOOK_EVERY == 0 and self._over():
                    break
                assert self._step is not None
                self._step()
        first_bad = int(self._damaged)
        if first_bad < most:
            raise ValueError(rollout.DAMAGED.format(t=first_bad))
        records = (self._tokens, self._mask, self._logp, self._logp_sampled, self._entropy)
        return Drawn(*(record.t().contiguous() for record in records), self._ended.clone())

    def _over(self) -> bool:
        """Return whether all rows have ended, or a probability was not finite: the only look at the device on the way."""
        return bool(self._ended.all() | (self._damaged < self.sampling.max_tokens))

    def _read(self) -> Tensor:
        """Read each row's latest token, put its keys and values into the caches, and return the final hidden states (N, width)."""
        before = self._t - 1  # (1,) how many tokens of an answer the caches hold
        place = self._width + before
        x = self._wte.index_select(0, self._token) + self._wpe.index_select(0, self._length + before)  # (N, width)
        n, width = x.shape
        like = self.caches[0].blocks
        unseen = ~self._real | (self._place > place)  # (N, room)
        bias = torch.zeros(unseen.shape, dtype=like.dtype, device=like.device).masked_fill_(unseen, -torch.inf)
        bias = bias[:, None, None]  # (N, 1, 1, room), made once for all layers
        for layer, cache in zip(self._layers, self.caches, strict=True):
            qkv = torch.addmm(layer.qkv[1], self._normed(x, layer.norms[0]), layer.qkv[0])
            parts = qkv.view(n, 3, self.n_head, 1, width // self.n_head).to(like.dtype)
            q, k, v = parts.unbind(1)  # (N, heads, 1, width/heads)
            keys, values = (whole[0].index_copy_(2, place, new) for whole, new in ((cache.keys, k), (cache.values, v)))
            y = F.scaled_dot_product_attention(q, keys, values, attn_mask=bias)
            x = x + torch.addmm(layer.out[1], y.reshape(n, width).to(self.dtype), layer.out[0])
            inner = torch.addmm(layer.rise[1], self._normed(x, layer.norms[1]), layer.rise[0])
            x = x + torch.addmm(layer.fall[1], F.gelu(inner, approximate="tanh"), layer.fall[0])
        return torch.layer_norm(x, self._last.normalized_shape, self._last.weight, self._last.bias, self._last.eps)

    def _normed(self, x: Tensor, norm: torch.nn.LayerNorm) -> Tensor:
        return torch.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps).to(self.dtype)

    def _record(self, hidden: Tensor) -> None:
        """Draw the next token of each row from the final hidden states (N, width), write down what is asked for, and count on."""
        logits = F.linear(hidden.to(self._head.dtype), self._head).float()  # (N, V)
        logits = logits.masked_fill(self._banned, -torch.inf)
        policy = logits.log_softmax(-1)
        bad = (~torch.isfinite(policy.amax(-1)) & ~self._ended).any()
        self._damaged.copy_(torch.minimum(self._damaged, self._t + self.sampling.max_tokens * ~bad))
        how, behaviour = self.sampling, policy
        if not how.plain:
            numbers = {"temperature": how.temperature, "top_k": how.top_k, "top_p": how.top_p, "min_p": how.min_p}
            behaviour = rollout.truncate(logits, **numbers).log_softmax(-1)
        chosen = rollout.draw(behaviour, self._uniform.index_select(0, self._t)[0])  # (N,)
        pick = chosen.unsqueeze(1)
        entropy = -(policy.exp() * policy).masked_fill(policy == -torch.inf, 0.0).sum(-1)
        for record, value, silent in (
            (self._tokens, chosen, self.pad),
            (self._logp, policy.gather(1, pick)[:, 0], 0.0),
            (self._logp_sampled, behaviour.gather(1, pick)[:, 0], 0.0),
            (self._entropy, entropy, 0.0),
        ):
            record.index_copy_(0, self._t, value.masked_fill(self._ended, silent)[None])
        self._mask.index_copy_(0, self._t, ~self._ended[None])
        self._token.copy_(chosen)
        if how.end_token:
            self._ended.logical_or_(chosen == self.eos)
        self._t.add_(1)
