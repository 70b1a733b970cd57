"""A decoder-only GPT whose weights are GPT-2's, name by name and shape by shape.

``save_gpt2`` writes ``config.json`` and ``model.safetensors`` that ``transformers.AutoModelForCausalLM.from_pretrained``
loads with equal logits; ``load_gpt2`` takes any such folder, GPT-2 to GPT-2 XL.

Source: Radford et al. 2019 (GPT-2). Departures: attention through the fused kernel of the library, on a CPU in bfloat16
through products (`attention.py`); dropout inside attention is applied in the kernel.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from breadth.engine.attention import attention, self_attention
from breadth.engine.feed_forward import feed_forward
from breadth.engine.kv_cache import KeyValues
from breadth.engine.matmul import linear


@dataclass(frozen=True)
class GPTShape:
    """Sizes of a model. ``n_inner`` is the width of the feed-forward layer, ``n_positions`` the context."""

    vocab_size: int
    n_positions: int
    n_embd: int = 64
    n_layer: int = 3
    n_head: int = 4
    n_inner: int | None = None
    dropout: float = 0.0
    layer_norm_epsilon: float = 1e-5
    tie_word_embeddings: bool = True
    bos_token_id: int | None = 1
    eos_token_id: int | None = 2
    pad_token_id: int | None = 0

    def __post_init__(self) -> None:
        if self.n_embd % self.n_head:
            raise ValueError(
                f"n_embd must be a multiple of n_head; got n_embd={self.n_embd}, n_head={self.n_head}: "
                f"choose a width such as {self.n_head * max(1, round(self.n_embd / self.n_head))}"
            )

    @property
    def inner(self) -> int:
        return self.n_inner or 4 * self.n_embd

    def to_gpt2(self) -> dict:
        """Return the ``config.json`` of a Hugging Face GPT-2 with these sizes."""
        return {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "activation_function": "gelu_new",
            "attn_pdrop": self.dropout,
            "embd_pdrop": self.dropout,
            "resid_pdrop": self.dropout,
            "initializer_range": 0.02,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "n_embd": self.n_embd,
            "n_head": self.n_head,
            "n_inner": self.n_inner,
            "n_layer": self.n_layer,
            "n_positions": self.n_positions,
            "vocab_size": self.vocab_size,
            "tie_word_embeddings": self.tie_word_embeddings,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": self.eos_token_id,
            "pad_token_id": self.pad_token_id,
            "torch_dtype": "float32",
        }

    @classmethod
    def from_gpt2(cls, data: dict, *, where: str = "config.json") -> GPTShape:
        """Return the sizes that a GPT-2 ``config.json`` states; refuse what this model does not compute."""
        if data.get("model_type") != "gpt2":
            raise ValueError(
                f"{where}: expected model_type 'gpt2', got {data.get('model_type')!r}: the native engine runs GPT-2 shapes only"
            )
        expected = {
            "activation_function": "gelu_new",
            "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False,
            "reorder_and_upcast_attn": False,
            "add_cross_attention": False,
        }
        wrong = {k: data[k] for k, v in expected.items() if k in data and data[k] != v}
        if wrong:
            raise ValueError(
                f"{where}: expected { ({k: expected[k] for k in wrong}) }, got {wrong}: this variant of GPT-2 is not supported"
            )
        return cls(
            vocab_size=data["vocab_size"],
            n_positions=data.get("n_positions", data.get("n_ctx", 1024)),
            n_embd=data["n_embd"],
            n_layer=data["n_layer"],
            n_head=data["n_head"],
            n_inner=data.get("n_inner"),
            dropout=data.get("resid_pdrop", 0.1),
            layer_norm_epsilon=data.get("layer_norm_epsilon", 1e-5),
            tie_word_embeddings=data.get("tie_word_embeddings", True),
            bos_token_id=data.get("bos_token_id"),
            eos_token_id=data.get("eos_token_id"),
            pad_token_id=data.get("pad_token_id"),
        )


class Projection(nn.Module):
    """x·W + b with W stored (in, out), as GPT-2's files have it."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class Attention(nn.Module):
    """Causal self-attention over the whole sequence, or over a cache that it extends."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.n_head = shape.n_head
        self.dropout = shape.dropout
        self.c_attn = Projection(shape.n_embd, 3 * shape.n_embd)
        self.c_proj = Projection(shape.n_embd, shape.n_embd)

    def forward(self, x: Tensor, cache: KeyValues | None, start: int, attend: Tensor | None) -> Tensor:
        n, length, width = x.shape
        qkv = self.c_attn(x).view(n, length, 3, self.n_head, width // self.n_head)
        dropout = self.dropout if self.training else 0.0
        if cache is None and attend is None:
            return self.c_proj(self_attention(qkv, dropout=dropout))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (N, heads, L, width/heads)
        if cache is not None:
            cache.write(k, v, start)
        if cache is not None and length == 1 and not q.is_cuda:
            y = cache.attend(q, start + 1, attend)
        else:
            if cache is not None and start:
                k, v = cache.read(start + length)
            y = attention(q, k.to(q.dtype), v.to(q.dtype), attend=attend, dropout=dropout)
        return self.c_proj(y.transpose(1, 2).reshape(n, length, width))


class FeedForward(nn.Module):
    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.c_fc = Projection(shape.n_embd, shape.inner)
        self.c_proj = Projection(shape.inner, shape.n_embd)

    def forward(self, x: Tensor) -> Tensor:
        return feed_forward(x, self.c_fc.weight, self.c_fc.bias, self.c_proj.weight, self.c_proj.bias)


class Block(nn.Module):
    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(shape.n_embd, eps=shape.layer_norm_epsilon)
        self.attn = Attention(shape)
        self.ln_2 = nn.LayerNorm(shape.n_embd, eps=shape.layer_norm_epsilon)
        self.mlp = FeedForward(shape)
        self.dropout = shape.dropout

    def forward(self, x: Tensor, cache: KeyValues | None, start: int, attend: Tensor | None) -> Tensor:
        x = x + F.dropout(self.attn(self.ln_1(x), cache, start, attend), self.dropout, self.training)
        return x + F.dropout(self.mlp(self.ln_2(x)), self.dropout, self.training)


class GPT(nn.Module):
    """GPT-2 of any size. Parameters carry GPT-2's names (``transformer.h.0.attn.c_attn.weight``, ...)."""

    def __init__(self, shape: GPTShape, *, seed: int | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(shape.vocab_size, shape.n_embd),
                "wpe": nn.Embedding(shape.n_positions, shape.n_embd),
                "h": nn.ModuleList(Block(shape) for _ in range(shape.n_layer)),
                "ln_f": nn.LayerNorm(shape.n_embd, eps=shape.layer_norm_epsilon),
            }
        )
        if not shape.tie_word_embeddings:
            self.lm_head = nn.Linear(shape.n_embd, shape.vocab_size, bias=False)
        if seed is not None:
            self._initialise(seed)

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        """GPT-2's initialisation: N(0, 0.02), residual projections smaller by sqrt(2·layers)."""
        generator = torch.Generator().manual_seed(seed)
        residual = 0.02 / (2 * self.shape.n_layer) ** 0.5
        for name, parameter in self.named_parameters():
            if name.endswith(".bias"):
                parameter.zero_()
            elif ".ln_" in name:
                parameter.fill_(1.0)
            else:
                parameter.normal_(0.0, residual if name.endswith("c_proj.weight") else 0.02, generator=generator)

    @property
    def n_parameters(self) -> int:
        """Number of trainable numbers; a tied head counts once, the position table counts."""
        return sum(p.numel() for p in self.parameters())

    @property
    def head_weight(self) -> Tensor:
        return self.transformer["wte"].weight if self.shape.tie_word_embeddings else self.lm_head.weight

    def forward(
        self,
        tokens: Tensor,
        *,
        positions: Tensor | None = None,
        caches: list[KeyValues] | None = None,
        start: int = 0,
        attend: Tensor | None = None,
    ) -> Tensor:
        """Return the final hidden states.

        Parameters
        ----------
        tokens : (N, L) int64
        positions : (N, L) or (L,) int64, optional
            Default ``start, start + 1, ...``.
        caches : list of KeyValues, optional
            One a layer; written at ``start`` onwards, and read up to there.
        start : int
            How many positions the caches already hold.
        attend : (N, 1, L, start + L) bool, optional
            True = may be looked at. Default: causal.

        Returns
        -------
        (N, L, width) float32
        """
        length = tokens.shape[1]
        if start + length > self.shape.n_positions:
            raise ValueError(
                f"tokens: {start + length} positions are needed, the model's context is {self.shape.n_positions}: "
                "shorten the prompt or the completion, or train a model with more n_positions"
            )
        where = torch.arange(start, start + length, device=tokens.device) if positions is None else positions
        x = self.transformer["wte"](tokens) + self.transformer["wpe"](where)  # (N, L, width)
        x = F.dropout(x, self.shape.dropout, self.training)
        for i, block in enumerate(self.transformer["h"]):
            x = block(x, caches[i] if caches is not None else None, start, attend)
        return self.transformer["ln_f"](x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return next-token logits (…, vocabulary) of hidden states (…, width); on a CPU in float32 whatever the precision."""
        if hidden.device.type != "cpu":
            return F.linear(hidden, self.head_weight)
        with torch.autocast("cpu", enabled=False):
            return linear(hidden.to(self.head_weight.dtype), self.head_weight, transposed=True)

    def new_caches(self, n: int, room: int) -> list[KeyValues]:
        """Return empty key/value caches for n rows and ``room`` positions, one a layer."""
        weight = self.head_weight
        kind, shape = weight.device.type, self.shape
        cast = torch.is_autocast_enabled(kind) and kind != "cpu"  # on a CPU single queries are float32
        like = weight.new_empty((), dtype=torch.get_autocast_dtype(kind) if cast else weight.dtype)
        return [KeyValues(n, shape.n_head, room, shape.n_embd // shape.n_head, like=like) for _ in range(shape.n_layer)]


def save_gpt2(model: GPT, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` of a GPT-2 folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(model.shape.to_gpt2(), indent=1) + "\n")
    tensors = {name: p.detach().to("cpu", torch.float32).contiguous() for name, p in model.state_dict().items()}
    save_tensors(tensors, folder / "model.safetensors")


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a safetensors file; a full disk is an ``OSError`` as everywhere else, not the library's own error."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        if f"os error {errno.ENOSPC}" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise


def load_gpt2(folder: Path, *, dropout: float | None = None) -> GPT:
    """Return the model of a GPT-2 folder (``config.json`` + ``model.safetensors``), in float32 on the CPU.

    ``dropout`` replaces the one in the file. Nothing is unpickled: a folder with only ``pytorch_model.bin`` is refused.
    """
    from dataclasses import replace

    from safetensors.torch import load_file

    folder = Path(folder)
    config_path, weights_path = folder / "config.json", folder / "model.safetensors"
    for path in (config_path, weights_path):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: not found: a model folder holds config.json and model.safetensors"
                + (
                    " (pytorch_model.bin is a pickle and is not read: convert it to safetensors)"
                    if (folder / "pytorch_model.bin").exists()
                    else ""
                )
            )
    shape = GPTShape.from_gpt2(json.loads(config_path.read_text()), where=str(config_path))
    if dropout is not None:
        shape = replace(shape, dropout=dropout)
    model = GPT(shape)
    found = load_file(weights_path)
    # Older GPT-2 files have no "transformer." prefix, and carry causal-mask buffers.
    tensors = {}
    for name, tensor in found.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        full = name if name.startswith(("transformer.", "lm_head.")) else f"transformer.{name}"
        if full == "lm_head.weight" and shape.tie_word_embeddings:
            continue
        tensors[full] = tensor.float()
    own = model.state_dict()
    problems = [f"missing {n}" for n in own if n not in tensors] + [f"unexpected {n}" for n in tensors if n not in own]
    problems += [
        f"{n}: expected shape {tuple(own[n].shape)}, got {tuple(tensors[n].shape)}"
        for n in own
        if n in tensors and own[n].shape != tensors[n].shape
    ]
    if problems:
        raise ValueError(f"{weights_path}: does not fit {config_path.name}: " + "; ".join(problems[:8]))
    model.load_state_dict(tensors)
    return model
