"""TRL's GRPO trainer with our objectives: four overrides, everything else TRL's own.

``_calculate_rewards`` remembers what TRL already gathered; ``_generate_and_score_completions`` replaces the advantages;
``_prepare_inputs`` puts groups together again after TRL's shuffling, for losses on groups; ``_compute_loss`` is ours for losses that TRL
does not have. Tests hold their signatures.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from breadth.catalogue import objective as make_objective
from breadth.losses.aggregation import to_scalar
from breadth.objectives.composition import Objective
from breadth.plugins.trl import grpo_settings as rules
from breadth.plugins.trl.answers import Distinguish, KeyFunction, stable_number, text_of
from breadth.plugins.trl.callback import attach
from breadth.plugins.trl.gathering import everywhere
from breadth.plugins.trl.group_reward import GroupReward
from breadth.plugins.trl.grpo_state import ObjectiveState, restore_objective
from breadth.plugins.trl.regroup import regroup
from breadth.plugins.trl.versions import check_trl

check_trl()
from trl import GRPOConfig, GRPOTrainer  # noqa: E402

OWN = "breadth_"  # before the names of our streams in TRL's batches
#: streams that the trainer itself has, besides those that a partition and keys make
_TRAINER = frozenset(
    {"reward", "group", "scored", "correct", "prompt_id", "seq_logp", "logp_old", "length", "mask", "entropy", "seed"}
)


@dataclass
class BreadthGRPOConfig(GRPOConfig):
    """TRL's ``GRPOConfig`` and which objective is trained.

    The objective decides ``loss_type``, ``epsilon``, ``epsilon_high``, ``delta``, ``beta``, ``scale_rewards`` and
    ``importance_sampling_level``: another value for one of them is refused, since it would be another method. ``disable_dropout`` is True
    here and False in TRL.
    """

    objective: str = field(default="dr_grpo", metadata={"help": "Name in the catalogue; `breadth list objectives`."})
    objective_settings: dict[str, Any] | str | None = field(default=None, metadata={"help": "Its numbers, by name."})
    correct_at: float = field(default=1.0, metadata={"help": "Reward from which an answer counts as correct."})
    disable_dropout: bool = field(
        default=True,
        metadata={"help": "TRL's is False; dropout shifts the log-probabilities that objectives on sequences live on."},
    )
    max_unscored_share: float = field(
        default=0.5, metadata={"help": "Training stops above this share of unscored answers in a batch."}
    )

    def __post_init__(self) -> None:
        if isinstance(self.objective_settings, str):
            import json

            self.objective_settings = json.loads(self.objective_settings)
        made = self.make_objective()
        ours = rules.loss_settings(made)
        defaults = {f.name: f.default for f in fields(GRPOConfig)}
        for key, value in rules.settle({key: getattr(self, key) for key in ours}, defaults, ours, made.name).items():
            setattr(self, key, value)
        super().__post_init__()

    def make_objective(self) -> Objective:
        """Return a fresh objective of these settings."""
        return make_objective(self.objective, **(self.objective_settings or {}))


class BreadthGRPOTrainer(GRPOTrainer):
    """TRL's ``GRPOTrainer`` whose advantages, and where needed whose loss, are an objective's.

    Parameters
    ----------
    model, reward_funcs, args, … : as TRL's
        ``reward_funcs`` give raw quality; their weighted sum is the reward that the objective shapes.
    partition : Partition or str, optional
        For objectives that need ``kind`` or ``distance``.
    key, bucket_key : functions, optional
        (texts, prompts) -> labels, for objectives that need them.
    correct : function, optional
        (texts, prompts) -> bools, where ``args.correct_at`` on the reward does not say who is correct.

    Raises
    ------
    ValueError
        An objective that TRL cannot carry or that lacks what it needs, a batch that does not hold whole groups, a reference that cannot
        be built.

    Source: the objective's page. Departures: those of its page; on several processes the advantages are those of the whole batch.
    """

    def __init__(
        self, model: Any, reward_funcs: Any, args: BreadthGRPOConfig, *rest: Any, partition: Any = None, key: KeyFunction | None = None,
        bucket_key: KeyFunction | None = None, correct: KeyFunction | None = None, **others: Any,
    ) -> None:  # fmt: skip
        if not isinstance(args, BreadthGRPOConfig):
            raise TypeError(f"args: expected a BreadthGRPOConfig, which names the objective, got {type(args).__name__}")
        self.objective = args.make_objective()
        self.carried = rules.carried(self.objective)
        self.distinguish = Distinguish(partition, key, bucket_key, correct)
        self._check(model, reward_funcs, args, peft=others.get("peft_config") is not None)
        self._penalty = args.beta
        if rules.needs_reference(self.objective) and not args.beta:
            args.beta = (
                1.0  # TRL builds and runs a reference only at beta != 0; its own penalty is kept out in _compute_loss
            )
        super().__init__(model, reward_funcs, args, *rest, **others)
        args.beta = self._penalty
        self._regrouped: Any = None
        self.add_callback(ObjectiveState(self.objective))

    def _check(self, model: Any, reward_funcs: Any, args: BreadthGRPOConfig, *, peft: bool) -> None:
        objective, name = self.objective, f"objective {self.objective.name!r}"
        functions = reward_funcs if isinstance(reward_funcs, list) else [reward_funcs]
        if any(isinstance(function, GroupReward) and function.steps for function in functions):
            raise ValueError(
                "reward_funcs: a GroupReward with shaping would be shaped again by the objective: pass the quality function itself"
            )
        reason = self.distinguish.missing(objective.needs, name)
        if reason is not None:
            raise ValueError(reason)
        several = {"reward_vector"} if len(functions) > 1 else set()
        absent = sorted(set(objective.needs) - _TRAINER - self.distinguish.supplied - rules.REFERENCE - several)
        if absent:
            how = "; reward_vector: pass several reward_funcs" if "reward_vector" in absent else ""
            raise ValueError(f"{name} needs {', '.join(absent)}, which this trainer does not have{how}")
        g, b = args.num_generations, args.per_device_train_batch_size
        if rules.needs_whole_groups(objective) and b % g:
            raise ValueError(
                f"{name} has a loss on whole groups: expected per_device_train_batch_size to be a multiple of num_generations = {g}, got {b}; "
                f"set it to {max(g, b // g * g)} and make up for it with gradient_accumulation_steps"
            )
        updates = args.num_iterations > 1 or args.steps_per_generation > args.gradient_accumulation_steps
        if rules.needs_coupling(objective) and updates:
            raise ValueError(
                f"{name} chooses among all tokens or answers of a batch at the weights of the moment: expected one update for each batch of "
                f"completions (num_iterations=1, steps_per_generation=gradient_accumulation_steps), got {args.num_iterations} and "
                f"{args.steps_per_generation} for {args.gradient_accumulation_steps}"
            )
        if (
            rules.needs_reference(objective)
            and not isinstance(model, str)
            and not peft
            and not hasattr(model, "peft_config")
        ):
            folder = getattr(model.config, "_name_or_path", "")
            if not folder or (folder.count("/") > 1 and not os.path.isdir(folder)):
                raise ValueError(
                    f"{name} needs a reference policy, which TRL loads from the model's folder, and this model lies in memory only: "
                    "model.save_pretrained(folder), and pass the folder (or a hub name) as model"
                )

    # Rewards and advantages

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Tensor:
        rewards = super()._calculate_rewards(
            inputs, prompts, completions, completion_ids_list
        )  # (N, K) of all processes
        self._seen = (inputs, prompts, completions, rewards)
        return rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        training = self.model.training
        streams, mine = self._streams(output, training)
        shaped = {}
        if self.objective.family != "group":
            advantage, stats = self.objective.shape(**streams)
            self._report(stats)
            shaped = {"advantage": advantage}
            output["advantages"] = advantage[mine].to(output["advantages"])
        if self.carried == "loss":
            output |= self._for_loss(output, {**streams, **shaped}, mine)
        if training:  # read before, written after: nobody reads again before the update
            self.objective.observe(**streams)
        self._seen = None
        return output

    def _streams(self, output: dict[str, Any], training: bool) -> tuple[dict[str, Any], slice]:
        """Return the streams of all processes' rows, the same on every process, and which of them are this process's."""
        inputs, prompts, completions, rewards = self._seen
        device, n_own = rewards.device, len(completions)
        wanted = rules.wanted_streams(self.objective)
        parts = everywhere(
            lambda: {
                "text": [text_of(turns) for turns in completions],
                "prompt": [text_of(turns) for turns in prompts],
                "name": [row.get("uid", text_of(row.get("prompt", ""))) for row in inputs],
            }
        )
        rows = {name: [value for part in parts for value in part[name]] for name in parts[0]}
        unscored = rewards.isnan().all(1)
        reward = (rewards * self.reward_weights.to(device)).nansum(1).masked_fill(unscored, torch.nan)  # (N,)
        self._check_rewards(reward)
        size = self.num_generations if training else self.num_generations_eval
        group = torch.arange(len(reward), device=device) // size  # TRL lays the members of a group side by side
        streams: dict[str, Any] = {
            "reward": reward,
            "group": group,
            "scored": ~unscored,
            "correct": reward >= self.args.correct_at,  # NaN compares False
            "prompt_id": torch.tensor([stable_number(name) for name in rows["name"]], device=device),
            "seed": int(self.state.global_step),
        }
        if rewards.shape[1] > 1:
            streams["reward_vector"] = rewards
        streams |= self._of_tokens(output, wanted)
        made = self.distinguish.streams(rows["text"], rows["prompt"], group.cpu().numpy(), wanted)
        streams |= {name: value.to(device) if isinstance(value, Tensor) else value for name, value in made.items()}
        first = self.accelerator.process_index * n_own
        return streams, slice(first, first + n_own)

    def _check_rewards(self, reward: Tensor) -> None:
        n, unscored = len(reward), int(reward.isnan().sum())
        if bool(reward.isinf().any()):
            raise ValueError(
                f"reward_funcs: {int(reward.isinf().sum())} of {n} rewards are infinite: return None where an answer cannot be scored"
            )
        if unscored > self.args.max_unscored_share * n:
            raise RuntimeError(
                f"reward_funcs: {unscored} of {n} answers could not be scored (limit {self.args.max_unscored_share:.0%}, max_unscored_share): "
                "mend the reward functions; they returned None or NaN for them"
            )

    def _of_tokens(self, output: dict[str, Any], wanted: tuple[str, ...]) -> dict[str, Tensor]:
        """Return the streams made of log-probabilities, for the rows of all processes."""
        mask = output["completion_mask"].bool()  # (n, T)
        token = {"mask": mask}
        policy = {"seq_logp", "logp_old", "entropy"} & set(wanted)
        if policy or rules.needs_coupling(self.objective):
            token |= self._forward(output, entropy="entropy" in wanted)
        if "ref_per_token_logps" in output and rules.needs_reference(self.objective):
            token["logp_ref"] = output["ref_per_token_logps"]
        width = {"mask", "logp_old", "logp_ref", "entropy"} & set(wanted) or rules.needs_coupling(self.objective)
        sums = {"length": mask.sum(-1)}
        sums |= {
            new: (token[old] * mask).sum(-1)
            for new, old in (("seq_logp", "logp_old"), ("seq_logp_ref", "logp_ref"))
            if old in token
        }
        out = {name: self.accelerator.gather(value) for name, value in sums.items()}
        if width or self.carried == "loss":
            for name, value in token.items():
                padded = self.accelerator.pad_across_processes(value, dim=1, pad_index=0)
                out[name] = self.accelerator.gather(padded)  # (N, T) of the longest
        return out

    def _forward(self, output: dict[str, Any], *, entropy: bool) -> dict[str, Tensor]:
        found = output.get("old_per_token_logps")
        if found is not None and not entropy:
            return {"logp_old": found}
        with torch.no_grad():
            logp, entropies, _ = self._get_per_token_logps_and_entropies(
                self.model,
                *_sequences(output),
                batch_size=self.args.per_device_train_batch_size,
                compute_entropy=entropy,
            )
        return {"logp_old": logp, **({"entropy": entropies} if entropy else {})}

    def _report(self, stats: dict[str, float]) -> None:
        mode = "train" if self.model.training else "eval"
        for name, value in stats.items():
            self._metrics[mode][f"objective/{name}"].append(value)

    # Losses that TRL does not have

    def _for_loss(self, output: dict[str, Any], streams: dict[str, Any], mine: slice) -> dict[str, Any]:
        """Return what our loss needs of this process's rows, as tensors that live through TRL's shuffling."""
        objective, width = self.objective, output["completion_mask"].shape[1]
        denominator = objective.denominator(**streams)
        extra = objective.coupling(logp=streams["logp_old"], **streams) if rules.needs_coupling(objective) else {}
        names = (
            "group",
            "reward",
            "scored",
            "correct",
            "kind",
            "length",
            "seq_logp",
            "seq_logp_ref",
            "prompt_id",
            "parsable",
        )
        kept = {name: streams[name] for name in names if name in streams} | extra
        local = {name: value[mine] for name, value in kept.items()}
        local = {name: value[:, :width] if value.ndim == 2 else value for name, value in local.items()}
        denominators = torch.full(
            (len(local["group"]),), float(denominator), dtype=torch.float64, device=local["group"].device
        )
        return {OWN + name: value for name, value in {**local, "denominator": denominators}.items()}

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        inputs = super()._prepare_inputs(generation_batch)
        if not (self.model.training and rules.needs_whole_groups(self.objective)):
            return inputs
        if self._regrouped is not self._buffered_inputs:  # TRL has just shuffled new completions
            self._buffered_inputs = self._regrouped = regroup(
                self._buffered_inputs, OWN + "group", self.num_generations
            )
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        kept, self.beta = self.beta, self._penalty
        try:
            return (
                super()._compute_loss(model, inputs) if self.carried == "advantages" else self._own_loss(model, inputs)
            )
        finally:
            self.beta = kept

    def _own_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        objective, mask = self.objective, inputs["completion_mask"].bool()
        logp, entropy, _ = self._get_per_token_logps_and_entropies(model, *_sequences(inputs), compute_entropy=True)
        streams = {
            name.removeprefix(OWN): value
            for name, value in inputs.items()
            if name.startswith(OWN) and value is not None
        }
        denominator = float(streams.pop("denominator")[0])
        if "ref_per_token_logps" in inputs:
            streams["logp_ref"] = inputs["ref_per_token_logps"]
        if objective.family != "group":
            streams |= {"advantage": inputs["advantages"], "entropy": entropy, "seed": int(self.state.global_step)}
        # TRL neither averages over processes nor over accumulation for us: gradients of processes are averaged, those of micro-batches added
        share = self.accelerator.num_processes
        if self.model.training:
            denominator = denominator * self.current_gradient_accumulation_steps / self.args.steps_per_generation
        loss = objective.loss(
            logp=logp, mask=mask, logp_old=inputs.get("old_per_token_logps"), denominator=denominator / share, **streams
        )
        self._report({"loss_" + name if name in ("advantage",) else name: value for name, value in loss.stats.items()})
        self._metrics["train" if self.model.training else "eval"]["entropy"].append(
            float((entropy.detach() * mask).sum() / mask.sum())
        )
        ratio = inputs.get("importance_sampling_ratio")
        if ratio is not None and loss.matrix.ndim == 2:  # vLLM's probabilities differ from the trainer's
            return to_scalar(loss.matrix * ratio, mask, objective.aggregation.mode, denominator / share)
        return loss.value

    # Memory in checkpoints

    def train(self, resume_from_checkpoint: str | bool | None = None, **others: Any) -> Any:
        """TRL's ``train``; on resuming, the objective's memory (counts, buckets, the multiplier of a quality target) comes back too."""
        attach(self)
        restore_objective(self.objective, resume_from_checkpoint, self.args.output_dir)
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **others)


def _sequences(batch: dict[str, Any]) -> tuple[Tensor, Tensor, int]:
    """Return tokens and attention mask of prompts and completions, and the width of the completions."""
    return (
        torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
        torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
        batch["completion_ids"].size(1),
    )
