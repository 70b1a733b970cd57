"""The lines of the catalogue: name, title, where it lives, what it does, its source. Plain words: importing it loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from breadth.objectives.catalogue_lines import LINES


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the catalogue. ``target`` is ``"module:attribute"``, imported when it is used."""

    kind: str
    name: str
    title: str
    target: str
    summary: str
    source: str = ""
    family: str = ""  # objectives: policy, actor_critic, group, pair, selection, sft
    needs: tuple[str, ...] = ()  # objectives: streams, at default settings
    invariants: tuple[str, ...] = ()  # objectives: what the advantages keep, at default settings


_ALL = ("shift_blind", "order_blind", "group_of_one_zero", "all_equal_zero", "zero_sum", "group_local")
_RG = ("reward", "group")


def _objective(
    name: str, title: str, summary: str, source: str, needs: tuple[str, ...], invariants: tuple[str, ...], **more: Any
) -> Entry:
    target = f"breadth.objectives.{name}:{name}"
    return Entry("objective", name, title, target, summary, source, more.get("family", "policy"), needs, invariants)


_OBJECTIVES = (
    _objective(
        "reinforce", "REINFORCE", "reward minus the batch's mean, plain policy gradient", "Williams 1992",
        _RG, ("shift_blind", "order_blind"),
    ),
    _objective(
        "grpo", "GRPO", "reward standardised in the group, clipped ratio",
        "Shao et al. 2024, arXiv 2402.03300, eq. 3", _RG, _ALL,
    ),
    _objective(
        "dr_grpo", "Dr. GRPO", "reward minus the group's mean, clipped ratio, tokens summed",
        "Liu et al. 2025, arXiv 2503.20783, section 3", _RG, _ALL,
    ),
    _objective(
        "rloo", "RLOO", "reward minus the mean of the other members of the group",
        "Ahmadian et al. 2024, arXiv 2402.14740", _RG, _ALL,
    ),
    _objective(
        "rlhf", "RLHF (KL to the prior)", "quality with a KL pull towards the prior",
        "Ziegler et al. 2019, arXiv 1909.08593, eq. 2", (*_RG, "seq_logp", "seq_logp_ref"),
        tuple(name for name in _ALL if name != "all_equal_zero"),
    ),
    _objective(
        "ppo_clip", "PPO-clip (no critic)", "several clipped steps on each batch, advantages scaled by their deviation",
        "Schulman et al. 2017, arXiv 1707.06347, eq. 7", _RG, tuple(name for name in _ALL if name != "group_local"),
    ),
    _objective(
        "ppo", "PPO (value head, GAE)", "clipped steps against a learned value of every prefix",
        "Schulman et al. 2017, arXiv 1707.06347, eq. 7 and 9; 2015, arXiv 1506.02438, eq. 16",
        (*_RG, "value_old", "mask", "value", "value_target"), ("order_blind",), family="actor_critic",
    ),
    _objective(
        "reinvent", "REINVENT", "the policy's likelihood follows the prior's, augmented by the score",
        "Olivecrona et al. 2017, arXiv 1704.07555, augmented likelihood", (*_RG, "seq_logp", "seq_logp_ref"),
        ("order_blind", "group_local"), family="group",
    ),
    _objective(
        "darling", "DARLING", "reward times the share of siblings that say something else",
        "Li et al. 2025, arXiv 2509.02534, eq. 4, 5 and 6", (*_RG, "kind"),
        ("order_blind", "group_of_one_zero", "zero_sum"),
    ),
    _objective(
        "qempo", "QEMPO", "quality plus the entropy among correct answers",
        "arXiv 2602.15894, eq. 9", (*_RG, "correct", "seq_logp"),
        ("shift_blind", "order_blind", "group_of_one_zero", "zero_sum"),
    ),
    _objective(
        "qempo_kl", "QEMPO-KL", "quality plus entropy, with a pull towards the prior",
        "arXiv 2602.15894, eq. 8", (*_RG, "correct", "seq_logp", "seq_logp_ref"),
        ("shift_blind", "order_blind", "group_of_one_zero", "zero_sum"),
    ),
    _objective(
        "gapo", "GAPO", "reward for an answer whose frequency in the group is near uniform",
        "arXiv 2511.12596, frequency-aware reward", (*_RG, "kind", "correct"),
        tuple(name for name in _ALL if name != "all_equal_zero"),
    ),
    _objective(
        "unlikeliness", "Unlikeliness reward", "correct siblings that the policy finds likely earn less",
        "He et al. 2025, arXiv 2506.02355, unlikeliness reward", (*_RG, "seq_logp", "logp_ref"),
        tuple(name for name in _ALL if name != "shift_blind"),
    ),
    _objective(
        "vpo", "Vector policy optimisation (leave-one-out)", "what a rollout adds to the best of its group, any preference",
        "Bahlous-Boldi et al. 2026, arXiv 2605.22817, set reward", (*_RG, "reward_vector"),
        tuple(name for name in _ALL if name != "all_equal_zero"),
    ),
    _objective(
        "curiosity", "Curiosity reward (CD-RLHF)", "bonus for tokens whose consequences a forward model did not foresee",
        "Sun et al. 2025, arXiv 2501.11463",
        (*_RG, "prediction_error", "in_top_k", "mask", "seq_logp", "seq_logp_ref"),
        ("shift_blind", "order_blind", "group_of_one_zero", "zero_sum"),
    ),
    _objective(
        "rnd", "Random network distillation", "bonus for rollouts whose states a predictor has not yet learned",
        "Burda et al. 2018, arXiv 1810.12894, sections 2.2 to 2.4", (*_RG, "prediction_error", "mask"),
        tuple(name for name in _ALL if name != "all_equal_zero"),
    ),
    _objective(
        "reinvent_filter", "REINVENT with a diversity filter", "an answer that was rewarded often enough is rewarded no more",
        "REINVENT 4, Loeffler et al. 2024, J. Cheminform. 16:20, code: memories",
        (*_RG, "seq_logp", "seq_logp_ref", "prompt_id", "key"), (),
    ),
    _objective(
        "augmented_memory", "Augmented memory", "REINVENT with a filter, rehearsing batch and memory in other spellings",
        "Guo and Schwaller 2023, arXiv 2305.16160",
        (*_RG, "seq_logp", "seq_logp_ref", "prompt_id", "key", "bucket_key", "tokens", "mask"), (),
    ),
    _objective(
        "niching", "Niching", "the likelihood target with rewards shared in a niche, and replay spread over buckets",
        "ours; fitness sharing of Goldberg and Richardson 1987 in the target of Olivecrona et al. 2017",
        (*_RG, "distance", "seq_logp", "seq_logp_ref", "prompt_id", "key", "tokens", "mask"),
        ("shift_blind", "order_blind", "group_of_one_zero", "zero_sum", "group_local"),
    ),
    _objective(
        "pass_at_k", "Pass@k training", "advantage of a set of k rollouts of which one must be right",
        "Chen et al. 2025, arXiv 2508.10751, analytic advantage", (*_RG, "correct"), _ALL,
    ),
    _objective(
        "psr", "PSR", "only correct rollouts count, pushed up",
        "Zhu et al. 2025, arXiv 2506.01347, PSR", (*_RG, "correct"), ("shift_blind", "order_blind", "group_local"),
    ),
    _objective(
        "nsr", "NSR", "only wrong rollouts count, pushed down",
        "Zhu et al. 2025, arXiv 2506.01347, NSR", (*_RG, "correct"), ("shift_blind", "order_blind", "group_local"),
    ),
    _objective(
        "w_reinforce", "W-REINFORCE", "wrong rollouts pushed down, right ones up at a tenth",
        "Zhu et al. 2025, arXiv 2506.01347, W-REINFORCE", (*_RG, "correct"),
        ("shift_blind", "order_blind", "group_local"),
    ),
    _objective(
        "ucpo", "UCPO", "GRPO whose positive mass goes rather to rare correct answers",
        "Lochab, Li and Zhang 2026, arXiv 2605.00365, redistribution", (*_RG, "correct", "seq_logp", "length"), _ALL,
    ),
    _objective(
        "ucb", "UCB exploration", "bonus for answers that the prompt has rarely seen in all of training",
        "Song, Kempe and Munos 2025, arXiv 2509.06941, UCB, UCB-Mean, UCB-Con", (*_RG, "prompt_id", "key"),
        ("shift_blind", "order_blind", "group_local"),
    ),
    _objective(
        "batch_exploration", "Batch exploration", "penalty for saying what siblings say",
        "Song, Kempe and Munos 2025, arXiv 2509.06941, Batch", (*_RG, "kind"),
        ("shift_blind", "order_blind", "group_of_one_zero", "group_local"),
    ),
)  # fmt: skip

# the implicit-reward family, token weights, selection and supervised losses stand in a file of their own
_MORE_OBJECTIVES = tuple(
    _objective(line.name, line.title, line.summary, line.source, line.needs, line.invariants, family=line.family)
    for line in LINES
)

_TASKS = (
    Entry("task", "circle", "Circle construction", "breadth.tasks.graphs:CircleTask",
          "write one simple cycle over exactly N distinct vertices", "Nagarajan et al. 2025, arXiv 2504.15266"),
    Entry("task", "line", "Line construction", "breadth.tasks.graphs:LineTask",
          "write one simple directed path", "Nagarajan et al. 2025, arXiv 2504.15266"),
    Entry("task", "molecules", "Molecules", "breadth.tasks.molecules:MoleculesTask",
          "write SMILES; quality is drug-likeness (QED), predicted activity, or an oracle of yours", "Bickerton et al. 2012 (QED)"),
    Entry("task", "countdown", "Countdown", "breadth.tasks.countdown:CountdownTask",
          "make a target from given numbers; all solutions of a puzzle can be listed", "Gandhi et al. 2024, arXiv 2404.03683"),
    Entry("task", "game24", "Game of 24", "breadth.tasks.countdown:game24",
          "make 24 from four numbers", "Yao et al. 2023, arXiv 2305.10601"),
    Entry("task", "math", "Mathematics", "breadth.tasks.mathematics:MathTask",
          "answer questions of a file or hub data set; the final answer is checked", "Cobbe et al. 2021, arXiv 2110.14168 (GSM8K)"),
    Entry("task", "prompts", "Open prompts", "breadth.tasks.open_prompts:PromptsTask",
          "answer chat prompts; a reward model or judge scores, a learned partition tells answers apart", "Li et al. 2025, arXiv 2509.02534"),
)  # fmt: skip

_MEASURE = "breadth.metrics.measure"


def _metric(name: str, summary: str) -> Entry:
    return Entry("metric", name, name.replace("_", " "), _MEASURE, summary)


def _text_metric(name: str, module: str, summary: str, source: str) -> Entry:
    return Entry("metric", name, name.replace("_", " "), f"breadth.metrics.{module}:{name}", summary, source)


def _molecule_metric(name: str, summary: str, source: str) -> Entry:
    target = "breadth.tasks.molecule_measures:molecule_measurements"
    return Entry("metric", name, name.replace("_", " "), target, f"molecules: {summary}", source)


_METRICS = (
    _metric("quality", "R: mean quality over all scored samples, unparsable = 0"),
    _metric("quality_parsable", "mean quality over the parsable samples"),
    _metric("parsable_share", "share of samples that can be parsed"),
    _metric("valid_share", "share of samples that are valid"),
    _metric("unique_share", "distinct canonical keys over samples"),
    _metric("correct_share", "share of samples that count as correct"),
    _metric("diversity", "D of the law: mean pairwise distance over parsable samples, no de-duplication"),
    _metric("diversity_valid", "D of the frontier: the same over valid samples"),
    _metric("diversity_unique", "mean pairwise distance over distinct keys"),
    _metric("distinct_valid", "number of distinct valid answers"),
    _metric("policy_entropy", "H of the law: −E[(1/|x|) Σ log π(x_t)], nats per token"),
    _metric("token_entropy", "mean next-token entropy over sampled positions, nats"),
    _metric("sequence_entropy", "−E[Σ log π(x_t)], nats per sequence"),
    _metric("kl_prior", "E[Σ log π − log π_prior], nats per sequence"),
    _metric("length", "mean completion tokens"),
    _molecule_metric("circles", "molecules that are pairwise further apart than 0.75", "Xie et al. 2023, arXiv 2112.12542"),
    _molecule_metric("hits", "distinct molecules with quality of correct_at or more", ""),
    _molecule_metric("diverse_hits", "hits that are pairwise further apart than 0.7", "Renz et al. 2024, J. Chem. Inf. Model. 64, 5756"),
    _molecule_metric("scaffolds", "distinct Murcko scaffolds", "Bemis and Murcko 1996, J. Med. Chem. 39, 2887"),
    _text_metric("distinct_n", "lexical", "distinct n-grams over n-grams", "Li et al. 2016, arXiv 1510.03055"),
    _text_metric("ead", "lexical", "distinct-n over what uniform draws would show", "Liu et al. 2022, arXiv 2202.13587"),
    _text_metric("compression_ratio", "lexical", "bytes over gzip bytes; lower is wider", "Shaib et al. 2024, arXiv 2403.00553"),
    _text_metric("self_bleu", "bleu", "BLEU against all other texts, exact; lower is wider", "Zhu et al. 2018, arXiv 1802.01886"),
    _text_metric("mean_pairwise_jaccard", "overlap", "mean pairwise distance of token sets", "Jaccard 1912"),
    _text_metric("mean_pairwise_rouge1", "overlap", "mean pairwise 1 − ROUGE-1 F", "Lin 2004"),
    _text_metric("mean_pairwise_rouge_l", "overlap", "mean pairwise 1 − ROUGE-L F", "Lin 2004"),
    _text_metric("mean_pairwise_cosine", "overlap", "mean pairwise 1 − cosine of vectors, linear time", ""),
    _text_metric("lexical_diversity", "lexical", "type/token ratio of 1- to 3-grams", "Guo et al. 2024, arXiv 2412.10271"),
    _text_metric("semantic_diversity", "guo", "mean pairwise (1 − cosine)/2 of sentences", "Guo et al. 2024, arXiv 2412.10271"),
    _text_metric("syntactic_diversity", "guo", "1 − mean kernel of dependency trees", "Guo et al. 2024, arXiv 2412.10271"),
    _text_metric("vendi", "vendi_score", "effective number of things under a similarity", "Friedman and Dieng 2022, arXiv 2210.02410"),
    _text_metric("semantic_entropy", "classes", "entropy over classes of answers, nats", "Kuhn et al. 2023, arXiv 2302.09664"),
    _text_metric("effective_number", "classes", "Hill number of the classes of answers", "Hill 1973"),
    _text_metric("distinct_k", "classes", "classes among k answers", "Zhang et al. 2025, arXiv 2504.05228"),
    _text_metric("utility_k", "classes", "what k answers are worth to a patient reader", "Zhang et al. 2025, arXiv 2504.05228"),
    _text_metric("ngram_novelty", "lexical", "n-grams that no sibling has", "Li et al. 2025, arXiv 2509.02534, code"),
    _text_metric("pass_at_k", "success", "chance of a correct answer among k", "Chen et al. 2021, arXiv 2107.03374, eq. 1"),
    _text_metric("coverage", "success", "mean pass@k over problems", "Brown et al. 2024, arXiv 2407.21787"),
    _text_metric("distinct_correct_at_k", "success", "different correct answers among k", ""),
    Entry("metric", "solution_coverage", "solution coverage", "breadth.tasks.verifiable:success_rows",
          "share of all solutions of a prompt that its answers found (countdown, game24)"),
    _text_metric("diversity_above_bar", "above_bar", "mean distance among outputs above a quality bar", "Shypula et al. 2025, arXiv 2504.12522"),
    _text_metric("effective_diversity", "above_bar", "mean distance weighted by validity", "after Shypula et al. 2025, arXiv 2504.12522"),
)


def _law(name: str, formula: str, summary: str, source: str) -> Entry:
    return Entry("law", name, formula, f"breadth.laws.curves:{name}", summary, source)


_LAWS = (
    _law("exponential", "R = -a·exp(c·D) + b", "quality falls ever faster as diversity grows",
         "quality-diversity law paper, eq. 1 and 2"),
    _law("unit_exponential", "R = -a·exp(D) + b", "the same with c = 1", "Cui et al. 2025, arXiv 2505.22617"),
    _law("linear", "R = a·D + b", "a straight line; the form of H over D", "quality-diversity law paper"),
    _law("power", "R = -a·D^c + b", "a power with an offset", ""),
    _law("power_origin", "y = b1·x^b2", "a power through the origin", "NIST StRD DanWood"),
    _law("saturating", "y = b1·(1 − exp(−b2·x))", "rises to a plateau", "NIST StRD Misra1a, BoxBOD"),
    _law("logistic", "y = b1/(1 + exp(b2 − b3·x))", "rises between two plateaus", "NIST StRD Rat42"),
    _law("falling_logistic", "R = b1/(1 + exp(b3·D − b2))", "falls between two plateaus: a rival", ""),
    _law("theory", "R = R_max − (λ/c)·(exp(c·D) − 1)", "the exponential with R_max fixed; c = 1 − η",
         "quality-diversity law paper"),
)  # fmt: skip


def _partition(name: str, title: str, summary: str, source: str = "") -> Entry:
    return Entry("partition", name, title, "breadth.partitions.front:partition", summary, source)


_PARTITIONS = (
    _partition("canonical", "Canonical keys", "the same exactly when a key (words, final answer, your function) is equal"),
    _partition("rouge1", "ROUGE-1", "common words, each as often as it stands in both", "Lin 2004"),
    _partition("rougeL", "ROUGE-L", "longest common subsequence of words", "Lin 2004"),
    _partition("jaccard", "Jaccard", "common distinct words over all distinct words"),
    _partition("tfidf", "TF-IDF", "cosine of words weighted by rarity", "Salton and Buckley 1988"),
    _partition("embedding", "Sentence embeddings", "cosine of a sentence encoder, the prompt's direction removed",
               "Reimers and Gurevych 2019"),
    _partition("classifier", "Shipped classifier", "calibrated logistic model on cheap features, reads the prompt",
               "human labels of Zhang et al. 2025, arXiv 2504.05228"),
    _partition("cross_encoder", "Cross-encoder", "a sequence-classification model reads both answers, in both orders",
               "Zhang et al. 2025, arXiv 2504.05228"),
    _partition("endpoint", "Judge behind an endpoint", "a chat model says SAME or DIFFERENT, the prompt shown"),
    _partition("remote", "Served partition", "what `breadth partition serve` runs in a process of its own"),
)  # fmt: skip

BUILT_IN = (*_OBJECTIVES, *_MORE_OBJECTIVES, *_TASKS, *_METRICS, *_LAWS, *_PARTITIONS)
