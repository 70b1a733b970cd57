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
        self.blocks = like.new_empty((-(-room // self.block), 2, n, n_head, self.block, width))
        self._seen: list[tuple[Tensor, Tensor]] = []

    @property
    def keys(self) -> Tensor:
        """Return the keys, (blocks, N, heads, block, width)."""
        return self.blocks[:, 0]

    @property
    def values(self) -> Tensor:
        """Return the values, (blocks, N, heads, block, width)."""
        return self.blocks[:, 1]

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
            return self._attend(query, length, allowed)

    def _attend(self, query: Tensor, length: int, allowed: Tensor | None) -> Tensor:
        if length < FUSED_BELOW and query.dtype != torch.bfloat16:
            keys, values = self.read(length)
            return F.scaled_dot_product_attention(query.to(keys.dtype), keys, values, attn_mask=allowed)
        return self._over_blocks(query, length, allowed)

    def extend(self, qkv: Tensor, start: int, allowed: Tensor | None) -> Tensor:
        """Put one more position of each row in, and return what :meth:`attend` gives for it, (N, heads·width).

        To be called where no autocast is on.

        Parameters
        ----------
        qkv : (N, 3, heads, width)
            Queries, keys and values of position ``start``.
        allowed : (N, 1, 1, start + 1) bool, optional
        """
        block, place = divmod(start, self.block)
        one = self.blocks.select(0, block)  # (2, N, heads, block, width)
        if place == 0:
            one.zero_()  # what is not written yet is read, and left out by its weight of 0
        one.select(3, place).copy_(qkv.narrow(1, 1, 2).transpose(0, 1))
        query, length = qkv.select(1, 0).unsqueeze(2), start + 1
        n, heads, _, width = query.shape
        return self._attend(query, length, allowed).reshape(n, heads * width)

    def _turned(self, n_blocks: int) -> list[tuple[Tensor, Tensor]]:
        """Return keys (N·heads, width, block) and values (N·heads, block, width) of each block: views, made once for the rows there are."""
        while len(self._seen) < n_blocks:
            keys, values = self.blocks[len(self._seen)].flatten(1, 2)
            self._seen.append((keys.transpose(1, 2), values))
        return self._seen[:n_blocks]

    def _over_blocks(self, query: Tensor, length: int, allowed: Tensor | None) -> Tensor:
        n, heads, _, width = query.shape
        q = (query.to(self.keys.dtype) * width**-0.5).reshape(n * heads, 1, width)
        blocks = self._turned(-(-length // self.block))
        scores = [torch.bmm(q, keys) for keys, _ in blocks]
        score = torch.cat(scores, dim=-1) if len(scores) > 1 else scores[0]  # (N·heads, 1, blocks·block)
        if length % self.block:
            score[..., length:] = -torch.inf
        if allowed is not None:
            score.view(n, heads, 1, -1)[..., :length].masked_fill_(~allowed, -torch.inf)
        first, *rest = score.softmax(-1).split(self.block, dim=-1)
        out = torch.bmm(first, blocks[0][1])
        for weight, (_, values) in zip(rest, blocks[1:], strict=True):
            out.baddbmm_(weight, values)
        return out.view(n, heads, 1, width)

    def take(self, other: KeyValues, rows: Tensor, length: int) -> None:
        """Put what another one holds of its first ``length`` positions into this: its ``rows`` (N,), in that order."""
        keys, values = other.read(length)
        self.write(keys[rows], values[rows], 0)

    def close_up(self, holes: Tensor, movers: Tensor, n_keep: int, length: int) -> None:
        """Move rows ``movers`` into the places ``holes`` and keep the first ``n_keep`` rows, in the same memory."""
        used = self.blocks[: -(-length // self.block)]
        if used.is_cuda:
            used[:, :, holes] = used[:, :, movers]
        else:  # a third of the time: rows are copied whole, not number by number
            for hole, mover in zip(holes.tolist(), movers.tolist(), strict=True):
                used[:, :, hole] = used[:, :, mover]
        self.blocks, self._seen = self.blocks[:, :, :n_keep], []
