"""Likelihoods over whole padded rows: what comes of an answer's likelihood where nothing masks the tokens after its end."""

from __future__ import annotations

from dataclasses import replace

import torch

from breadth.records import Rollouts


def padded_rows(rollouts: Rollouts, *, end: int) -> Rollouts:
    """Return the rollouts with end tokens behind every answer up to the batch's longest, all of them counted.

    log π(row) = log π(answer) + Σ_{t after the end} log π(end | what stands before): a sum that depends on how long the batch's longest
    answer is, and that a policy raises by learning to repeat the end token. Log-probabilities of the moment of sampling are not known for the added
    tokens; they are 0 there, as no objective that takes whole answers reads them.

    Parameters
    ----------
    rollouts : Rollouts
        (N, T).
    end : int
        The end token.

    Source: the code of MolRL-MGPT (Hu et al., NeurIPS 2023), which masks nothing. Departures: the row is padded by end tokens.
    """
    tokens = torch.where(rollouts.mask, rollouts.tokens, rollouts.tokens.new_tensor(end))  # (N, T)
    return replace(rollouts, tokens=tokens, mask=torch.ones_like(rollouts.mask))
