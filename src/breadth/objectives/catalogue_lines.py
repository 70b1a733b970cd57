"""The catalogue's lines for the implicit-reward family, the token weights, selection and supervised losses.

Plain words, so that the catalogue can be printed without torch. A test compares every line with the objective it names.
"""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """One line: what :class:`breadth.catalogue.Entry` says of an objective of this folder."""

    name: str
    family: str  # policy, actor_critic, group, pair, selection, sft
    title: str
    summary: str
    source: str
    needs: tuple[str, ...]  # at default settings
    invariants: tuple[str, ...]  # at default settings


_REFERRED = ("chosen", "rejected", "ref_chosen", "ref_rejected")
_RG = ("reward", "group")
_CENTRED = ("shift_blind", "order_blind", "group_of_one_zero", "zero_sum", "group_local")
_ALL = ("shift_blind", "order_blind", "group_of_one_zero", "all_equal_zero", "zero_sum", "group_local")

LINES = (
    # family policy
    Line(
        "dapo", "policy", "DAPO",
        "a wider upper clip, every token equal, overlong answers punished softly",
        "Yu et al. 2025, arXiv 2503.14476, eq. 8 to 13",
        _RG, _ALL,
    ),
    Line(
        "quality_target", "policy", "Quality target",
        "maximum entropy at a quality that is met: the multiplier is driven, not set",
        "arXiv 2602.15894, Proposition 5 (the constrained problem)",
        (*_RG, "correct", "seq_logp"), ("shift_blind", "order_blind", "group_of_one_zero", "zero_sum", "group_local"),
    ),
    Line(
        "gspo", "policy", "GSPO",
        "one ratio a sequence, the geometric mean of its tokens', tightly clipped",
        "Zheng et al. 2025, arXiv 2507.18071, eq. 5 to 7",
        _RG, _ALL,
    ),
    Line(
        "cispo", "policy", "CISPO",
        "the capped ratio only weighs the gradient, no token is switched off",
        "MiniMax 2025, arXiv 2506.13585, eq. 4 and 5",
        _RG, _ALL,
    ),
    Line(
        "forking_tokens", "policy", "Forking tokens (80/20)",
        "policy gradient on the fifth of all tokens whose next token is most open",
        "Wang et al. 2025, arXiv 2506.01939, policy gradient on forking tokens",
        (*_RG, "entropy"), _ALL,
    ),
    Line(
        "clip_cov", "policy", "Clip-Cov",
        "a few random tokens of high covariance lose their gradient",
        "Cui et al. 2025, arXiv 2505.22617, Clip-Cov",
        (*_RG, "seed"), _ALL,
    ),
    Line(
        "kl_cov", "policy", "KL-Cov",
        "the tokens of highest covariance are held back by a penalty",
        "Cui et al. 2025, arXiv 2505.22617, KL-Cov",
        _RG, _ALL,
    ),
    Line(
        "entropy_bonus", "policy", "Entropy bonus",
        "a fixed price on next-token entropy",
        "Mnih et al. 2016, arXiv 1602.01783, section 4",
        (*_RG, "entropy"), _ALL,
    ),
    Line(
        "adaptive_entropy", "policy", "Adaptive entropy",
        "a price on next-token entropy that holds it at a target",
        "He et al. 2025, arXiv 2505.22312, adaptive entropy control",
        (*_RG, "entropy"), _ALL,
    ),
    Line(
        "hill_climb", "policy", "Hill-climb",
        "maximum likelihood of the best answers of each batch",
        "Brown et al. 2019, arXiv 1811.09621, SMILES LSTM baseline",
        _RG, ("shift_blind", "order_blind"),
    ),
    # family group
    Line(
        "gvpo", "group", "GVPO",
        "implicit reward fitted to the reward by least squares inside the group",
        "arXiv 2504.19599, group-centred squares",
        (*_RG, "seq_logp", "seq_logp_ref"), _CENTRED,
    ),
    Line(
        "qempo_squares", "group", "QEMPO (squares)",
        "quality plus entropy as group-centred squares, right off-policy",
        "arXiv 2602.15894, eq. 9 as squares",
        (*_RG, "seq_logp"), _CENTRED,
    ),
    Line(
        "qempo_kl_squares", "group", "QEMPO-KL (squares)",
        "quality plus entropy with a pull to the prior, as group-centred squares",
        "arXiv 2602.15894, eq. 8 as squares",
        (*_RG, "seq_logp", "seq_logp_ref"), _CENTRED,
    ),
    Line(
        "flowrl", "group", "FlowRL",
        "the whole reward distribution matched with a learned log Z",
        "Zhu et al. 2025, arXiv 2509.15207, length-normalised trajectory balance",
        (*_RG, "seq_logp", "seq_logp_ref", "log_z", "length"), ("shift_blind", "order_blind", "group_local"),
    ),
    Line(
        "trajectory_balance", "group", "Trajectory balance",
        "log Z + log π − log π_ref = r/β by squares",
        "Malkin et al. 2022, arXiv 2201.13259, trajectory balance; Bartoldson et al. 2025, arXiv 2503.18929",
        (*_RG, "seq_logp", "seq_logp_ref"), _CENTRED,
    ),
    Line(
        "ahc", "group", "Augmented hill-climb",
        "REINVENT's square on the best half of the batch",
        "Thomas et al. 2022, J. Cheminformatics 14:68",
        (*_RG, "seq_logp", "seq_logp_ref"), ("order_blind",),
    ),
    Line(
        "molrl_mgpt", "group", "MolRL-MGPT",
        "REINVENT for several agents, each pushed from those before it",
        "Hu et al., NeurIPS 2023 (MolRL-MGPT)",
        (*_RG, "seq_logp", "seq_logp_ref", "prompt_id", "key", "tokens", "mask"), ("order_blind", "group_local"),
    ),
    # family pair
    Line(
        "dpo", "pair", "DPO",
        "pairs, each side measured against the reference",
        "Rafailov et al. 2023, arXiv 2305.18290, eq. 7",
        _REFERRED, ("order_blind", "pair_local", "shift_blind", "reference_zero", "length_blind"),
    ),
    Line(
        "ipo", "pair", "IPO",
        "pairs by least squares",
        "Azar et al. 2023, arXiv 2310.12036, eq. 17",
        _REFERRED, ("order_blind", "pair_local", "shift_blind", "reference_zero", "length_blind"),
    ),
    Line(
        "simpo", "pair", "SimPO",
        "pairs per token of length with a margin, no reference",
        "Meng et al. 2024, arXiv 2405.14734, eq. 6",
        ("chosen", "rejected", "chosen_length", "rejected_length"), ("order_blind", "pair_local", "reference_blind"),
    ),
    Line(
        "cpo", "pair", "CPO",
        "pairs without a reference, plus the likelihood of the chosen answer",
        "Xu et al. 2024, arXiv 2401.08417, eq. 3",
        ("chosen", "rejected"), ("order_blind", "pair_local", "reference_blind", "length_blind"),
    ),
    Line(
        "spl", "pair", "SPL",
        "pairs, entropy and pull to the reference weighed apart",
        "Slocum et al. 2025, arXiv 2511.08594, offline loss",
        _REFERRED, ("order_blind", "pair_local", "shift_blind", "length_blind"),
    ),
    Line(
        "qempo_pairs", "pair", "QEMPO (pairs)",
        "pairs, the implicit reward is the log-probability itself",
        "arXiv 2602.15894, eq. 7",
        ("chosen", "rejected"), ("order_blind", "pair_local", "shift_blind", "reference_blind", "length_blind"),
    ),
    Line(
        "qempo_kl_pairs", "pair", "QEMPO-KL (pairs)",
        "pairs, SPL's loss in other letters",
        "arXiv 2602.15894, eq. 6",
        _REFERRED, ("order_blind", "pair_local", "shift_blind", "length_blind"),
    ),
    # family sft
    Line(
        "sft", "sft", "SFT",
        "maximum likelihood of given answers, or of the policy's own correct ones",
        "maximum likelihood; Yuan et al. 2023, arXiv 2308.01825, for samples that are kept if correct",
        ("logits", "labels", "mask"), ("order_blind", "shift_blind", "token_blind"),
    ),
    Line(
        "gem", "sft", "GEM",
        "supervised training that keeps the spread of the model",
        "Li et al. 2025, arXiv 2408.16673, loss of the released code",
        ("logits", "labels", "mask"), ("order_blind", "shift_blind", "token_blind"),
    ),
    # family selection
    Line(
        "dynamic_sampling", "selection", "Dynamic sampling",
        "learn only from groups that are neither all right nor all wrong",
        "Yu et al. 2025, arXiv 2503.14476, eq. 11",
        ("correct", "group"), ("order_blind", "shift_blind", "group_local"),
    ),
    Line(
        "divpo", "selection", "DivPO",
        "pairs of the rarest good and the commonest bad answer, then DPO",
        "Lanchantin et al. 2025, arXiv 2501.18101, section 3",
        (*_RG, "diversity"), ("order_blind", "shift_blind", "group_local"),
    ),
)  # fmt: skip
