"""Keys and values of the tokens that a model has read, for one layer: blocks of a few positions, each block contiguous.

With one query a row, attention is a product of a vector and a matrix for each row and head. The BLAS makes many of them at once, two to four
times faster where the matrices lie without gaps than where each is the beginning of a longer one (`docs/speed.md`): hence the blocks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK_NUMBERS = 512  # positions × width of a head in a block, on a CPU
SMALLEST_BLOCK = 16
FUSED_BELOW = 12  # positions up to which float32 queries go to the fused kernel: its last bits are those of runs already made


class KeyValues:
    """Room for ``room`` positions of N rows.

    Parameters
    ----------
    like : tensor
        Type and device of what will be written.
    """

    def __init__(self, n: int, n_head: int, room: int, width: int, *, like: Tensor) -> None:
        self.block = room if like.is_cuda else min(room, max(SMALLEST_BLOCK, BLOCK_NUMBERS // width))
        size = (-(-room // self.block), n, n_head, self.block, width)
        self.keys, self.values = like.new_empty(size), like.new_empty(size)

    def write(self, keys: Tensor, values: Tensor, start: int) -> None:
        """Put keys and values (N, heads, L, width) at positions ``start`` onwards."""
        for whole, new in ((self.keys, keys), (self.values, values)):
            done = 0
            while done < new.shape[2]:
                block, first = divmod(start + done, self.block)
                if first == 0:
                    whole[block] = 0.0  # what is not written yet is read, and left out by its weight of 0
                n = min(self.block - first, new.shape[2] - done)
                whole[block][:, :, first : first + n] = new[:, :, done : done + n]
                done += n

    def read(self, length: int) -> tuple[Tensor, Tensor]:
        """Return keys and values of the first ``length`` positions, (N, heads, length, width) each."""
        n = -(-length // self.block)
        keys, values = (torch.cat(list(x[:n]), dim=2) if n > 1 else x[0] for x in (self.keys, self.values))
        return keys[:, :, :length], values[:, :, :length]

    def attend(self, query: Tensor, length: int, allowed: Tensor | None) -> Tensor:
        """Return softmax(q·kᵀ/√width)·v over the first ``length`` positions, (N, heads, 1, width) float32 or wider.

        Parameters
        ----------
        query : (N, heads, 1, width)
        allowed : (N, 1, 1, length) bool, optional
            True = may be looked at; at least one in each row.
        """
        with torch.autocast("cpu", enabled=False):
            if length < FUSED_BELOW and query.dtype != torch.bfloat16:
                keys, values = self.read(length)
                return F.scaled_dot_product_attention(query.to(keys.dtype), keys, values, attn_mask=allowed)
            return self._over_blocks(query, length, allowed)

    def extend(self, qkv: Tensor, start: int, allowed: Tensor | None) -> Tensor:
        """Put one more position of each row in, and return what :meth:`attend` gives for it, (N, heads·width).

        Parameters
        ----------
        qkv : (N, 3, heads, width)
            Queries, keys and values of position ``start``.
        allowed : (N, 1, 1, start + 1) bool, optional
        """
        block, place = divmod(start, self.block)
        for whole, new in ((self.keys, qkv.select(1, 1)), (self.values, qkv.select(1, 2))):
            one = whole.select(0, block)
            if place == 0:
                one.zero_()  # what is not written yet is read, and left out by its weight of 0
            one.select(2, place).copy_(new)
        query, length = qkv.select(1, 0).unsqueeze(2), start + 1
        n, heads, _, width = query.shape
        return self.attend(query, length, allowed).reshape(n, heads * width)

    def _over_blocks(self, query: Tensor, length: int, allowed: Tensor | None) -> Tensor:
        n, heads, _, width = query.shape
        q = (query.to(self.keys.dtype) * width**-0.5).reshape(n * heads, 1, width)
        blocks = range(-(-length // self.block))
        keys = [self.keys[b].view(n * heads, self.block, width) for b in blocks]
        values = [self.values[b].view(n * heads, self.block, width) for b in blocks]
        scores = [torch.bmm(q, k.transpose(1, 2)) for k in keys]
        score = torch.cat(scores, dim=-1) if len(scores) > 1 else scores[0]  # (N·heads, 1, blocks·block)
        score[..., length:] = -torch.inf
        if allowed is not None:
            score.view(n, heads, 1, -1)[..., :length].masked_fill_(~allowed, -torch.inf)
        weight = score.softmax(-1)
        out = torch.bmm(weight[..., : self.block], values[0])
        for b in blocks[1:]:
            out.baddbmm_(weight[..., b * self.block : (b + 1) * self.block], values[b])
        return out.view(n, heads, 1, width)

    def take(self, other: KeyValues, rows: Tensor, length: int) -> None:
        """Put what another one holds of its first ``length`` positions into this: its ``rows`` (N,), in that order."""
        keys, values = other.read(length)
        self.write(keys[rows], values[rows], 0)

    def close_up(self, holes: Tensor, movers: Tensor, n_keep: int, length: int) -> None:
        """Move rows ``movers`` into the places ``holes`` and keep the first ``n_keep`` rows, in the same memory."""
        blocks = -(-length // self.block)
        for whole in (self.keys, self.values):
            for b in range(blocks):
                whole[b][holes] = whole[b][movers]
        self.keys, self.values = self.keys[:, :n_keep], self.values[:, :n_keep]
