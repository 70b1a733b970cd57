"""The pieces that several methods share, with what they report for the log."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from breadth.advantages.baseline import centre
from breadth.advantages.entropy import centred_term, resolve_weight
from breadth.advantages.reference import shape_by_reference_kl
from breadth.losses.tokens import check_clip, ppo_clip_loss, reference_penalty
from breadth.objectives.composition import Piece
from breadth.rewards.diversity import diversity_factor, map_quality

Streams = Mapping[str, Any]
Settings = Mapping[str, Any]

#: |correlation| of the entropy term with length from which on it counts as a bonus for length
LENGTH_R_LIMIT = 0.9


def centre_piece() -> Piece:
    """Return A2: reward minus the group's mean."""
    return Piece("A2", centre, takes=("scored",))


def clip_piece(clip_low: float, clip_high: float, dual_clip: float | None = None) -> Piece:
    """Return the PPO-clip loss; ``dual_clip`` appears only where it is on."""
    check_clip(clip_low, clip_high, dual_clip)
    numbers = {"clip_low": clip_low, "clip_high": clip_high}
    return Piece("loss", ppo_clip_loss, {**numbers, "dual_clip": dual_clip} if dual_clip is not None else numbers)


def penalty_pieces(beta: float) -> tuple[Piece, ...]:
    """Return the k3 penalty towards the reference in the loss, or nothing at β = 0."""
    if not beta >= 0:
        raise ValueError(f"beta: expected a number >= 0, got {beta}")
    return (Piece("penalty", reference_penalty, {"beta": beta}, needs=("logp_ref",)),) if beta else ()


def reference_piece(beta: float, *, centred: bool = True) -> Piece:
    """Return A3: the pull towards the reference in the advantage."""
    if not beta >= 0:
        raise ValueError(f"beta: expected a number >= 0, got {beta}")
    settings = {"beta": beta} if centred else {"beta": beta, "centred": False}
    return Piece("A3", shape_by_reference_kl, settings, ("seq_logp", "seq_logp_ref"), ("scored",), report_kl_prior)


def report_kl_prior(before: Tensor, after: Tensor | None, streams: Streams, settings: Settings) -> dict[str, float]:
    """Return ``kl_prior``: mean of s − s_ref over scored rollouts, nats per sequence."""
    del after, settings
    seq_logp = streams.get("seq_logp", before)  # a loss on sequences hands its own over
    gap = (seq_logp - streams["seq_logp_ref"])[streams["scored"]]
    return {"kl_prior": float(gap.mean())} if len(gap) else {}


def report_diversity(before: Tensor, after: Tensor, streams: Streams, settings: Settings) -> dict[str, float]:
    """Return the mean diversity factor, the share at the floor, and whether rewards had to be mapped."""
    del after
    scored = streams["scored"]
    if not bool(scored.any()):
        return {}
    names = ("measure", "neighbours", "floor")
    given = {name: streams[name] for name in ("kind", "distance", "correct") if name in streams}
    numbers = {name: settings[name] for name in names}
    factor = diversity_factor(streams["group"], scored=scored, **given, **numbers)[scored]
    names = ("quality_map", "quality_mean", "quality_deviation")
    quality = map_quality(before, **{name: settings[name] for name in names})
    return {
        "diversity_factor": float(factor.mean()),
        "diversity_floor_share": float((factor <= settings["floor"]).to(factor.dtype).mean()),
        "quality_mapped": float(not torch.equal(quality[scored], before[scored])),
    }


def report_entropy(before: Tensor, after: Tensor, streams: Streams, settings: Settings) -> dict[str, float]:
    """Return the weight in use, the spread of the entropy term, who took part, and how far it follows length."""
    del after
    scored = streams["scored"]
    if not bool(scored.any()):
        return {}
    options = {name: streams[name] for name in ("correct", "scored", "length") if name in streams}
    term = centred_term(
        streams["seq_logp"],
        streams["group"],
        **options,
        mask=settings["mask"],
        length_norm=settings["length_norm"],
    )
    name = "inv_lambda1" if "inv_lambda1" in settings else "inv_lambda"
    took_part = term != 0
    stats = {
        name: resolve_weight(name, settings[name], before, term, scored),
        "entropy_term_deviation": float(term[scored].std(correction=0)),
        "entropy_term_share": float(took_part[scored].to(term.dtype).mean()),
    }
    if "length" in streams and int(took_part.sum()) > 2:
        pair = torch.stack([term[took_part], streams["length"][took_part].to(term.dtype)])  # (2, M)
        if bool((pair.std(dim=1) > 0).all()):
            r = float(torch.corrcoef(pair)[0, 1])
            stats["entropy_term_length_r"] = r
            stats["entropy_term_follows_length"] = float(abs(r) > LENGTH_R_LIMIT)
            if abs(r) > LENGTH_R_LIMIT and settings["length_norm"] == "none":
                # no number in the text: the same text is shown once, not at every step
                warnings.warn(
                    f"the entropy term follows length (|r| > {LENGTH_R_LIMIT}, see entropy_term_length_r): it is in effect a "
                    'bonus for longer or shorter answers; use length_norm="per_token"',
                    stacklevel=2,
                )
    return stats
