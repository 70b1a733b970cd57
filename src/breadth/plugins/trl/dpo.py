"""TRL's DPO trainer with the whole implicit-reward family: a·log π − b·log π_ref, and no reference at all where b = 0.

TRL's sigmoid loss at β = a is −log σ(a·(Δ log π − (b/a)·Δ log π_ref)) once the reference's log-probabilities are scaled by b/a. They are
scaled when the loss is computed, never where they are cached: TRL's cache of reference log-probabilities knows the data set and the
model and no b, so that scaled values in it would come back under another b.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from breadth.catalogue import objective as make_objective
from breadth.objectives.pair_objective import PairObjective, pair_objective
from breadth.plugins.trl.callback import attach
from breadth.plugins.trl.versions import check_trl

check_trl()
from trl import DPOConfig, DPOTrainer  # noqa: E402

#: short names; every other pair objective of the catalogue goes by its own
PRESETS = {"qempo": "qempo_pairs", "qempo_kl": "qempo_kl_pairs"}


@dataclass
class BreadthDPOConfig(DPOConfig):
    """TRL's ``DPOConfig`` and which implicit reward is matched to the pairs: a preset, or the weights ``a`` and ``b`` themselves.

    ``beta``, ``loss_type`` and ``label_smoothing`` follow from it: another value for one of them is refused.
    """

    preset: str | None = field(default=None, metadata={"help": "qempo, qempo_kl, spl, dpo, simpo, cpo, ipo, divpo."})
    preset_settings: dict[str, Any] | str | None = field(default=None, metadata={"help": "Its numbers, by name."})
    a: float | None = field(default=None, metadata={"help": "Weight of log π; instead of a preset."})
    b: float | None = field(default=None, metadata={"help": "Weight of log π_ref; 0: no reference is built or run."})

    def __post_init__(self) -> None:
        if isinstance(self.preset_settings, str):
            import json

            self.preset_settings = json.loads(self.preset_settings)
        made = self.make_objective()
        ours = {"beta": made.piece.settings["a"], "loss_type": ["sigmoid"], "label_smoothing": 0.0}
        defaults = {
            f.name: f.default_factory() if callable(f.default_factory) else f.default for f in fields(DPOConfig)
        }
        for key, value in ours.items():
            given = getattr(self, key)
            if given not in (defaults[key], value, value[0] if isinstance(value, list) else value):
                raise ValueError(
                    f"BreadthDPOConfig: {key}={given!r} contradicts {made.name!r}, which has {value!r}: leave it out; numbers go into "
                    "preset_settings={...}, or into a and b"
                )
            setattr(self, key, value)
        if not made.piece.settings["b"]:
            if self.sync_ref_model:
                raise ValueError(
                    f"BreadthDPOConfig: sync_ref_model needs a reference, and {made.name!r} has none (b = 0)"
                )
            self.precompute_ref_log_probs = True  # to TRL: no reference is to be kept; ours: none is computed either
        super().__post_init__()

    def make_objective(self) -> PairObjective:
        """Return the pair objective of these settings."""
        weights = {"a": self.a, "b": self.b}
        if (self.preset is None) == (self.a is None and self.b is None):
            raise ValueError(
                f"BreadthDPOConfig: expected a preset, or both a and b, got preset={self.preset!r}, a={self.a!r}, b={self.b!r}"
            )
        if self.preset is None:
            if None in weights.values():
                raise ValueError(f"BreadthDPOConfig: expected both a and b, got a={self.a!r}, b={self.b!r}")
            return pair_objective(
                name="pairs", title="pairs", source="a·log π − b·log π_ref", settings=weights, **weights
            )
        made = make_objective(PRESETS.get(self.preset, self.preset), **(self.preset_settings or {}))
        made = getattr(made, "pairs", made)  # of a selection: divpo
        if made.family != "pair":
            raise ValueError(
                f"BreadthDPOConfig: preset {self.preset!r} is of the family {made.family!r}; pairs are learnt by dpo, spl, qempo, …"
            )
        return made


class BreadthDPOTrainer(DPOTrainer):
    """TRL's ``DPOTrainer`` with a loss of :func:`breadth.losses.implicit.pair_loss`.

    Where TRL has the loss (sigmoid, sums of log-probabilities) it is TRL's, on scaled reference log-probabilities: what is logged as
    ``rewards/…`` is then the implicit reward itself. For length normalisation, margins, IPO, label smoothing and CPO's likelihood term
    the loss is ours, on the log-probabilities of the same forward pass.

    Parameters
    ----------
    As TRL's; ``args`` is a :class:`BreadthDPOConfig`.

    Raises
    ------
    ValueError
        An option of TRL that the loss would ignore, a reference for b = 0, a model in memory whose reference TRL cannot load.

    Source: arXiv 2305.18290 eq. 7, 2511.08594, 2602.15894 eq. 6 and 7, 2405.14734 eq. 6. Departures: those of the preset's page.
    """

    def __init__(
        self, model: Any, ref_model: Any = None, args: BreadthDPOConfig | None = None, *rest: Any, **others: Any
    ) -> None:
        if not isinstance(args, BreadthDPOConfig):
            raise TypeError(f"args: expected a BreadthDPOConfig, which names the loss, got {type(args).__name__}")
        self.objective = args.make_objective()
        numbers, name = self.objective.piece.settings, f"objective {self.objective.name!r}"
        self.a, self.b = float(numbers["a"]), float(numbers["b"])
        self._ours = (
            bool(set(numbers) - {"a", "b"})
            or bool(self.objective.likelihood)
            or "chosen_length" in self.objective.needs
        )
        if not self.b and ref_model is not None:
            raise ValueError(f"ref_model: {name} has no reference (b = 0): leave it out")
        ignored = {
            "use_weighting": args.use_weighting,
            "ld_alpha": args.ld_alpha is not None,
            "f_divergence_type": str(getattr(args.f_divergence_type, "value", args.f_divergence_type)) != "reverse_kl",
        }
        if self._ours and any(ignored.values()):
            raise ValueError(
                f"{name} is computed by breadth, which would ignore {', '.join(key for key, on in ignored.items() if on)}: leave it out"
            )
        in_memory = not isinstance(model, str) and ref_model is None and others.get("peft_config") is None
        if self.b and in_memory and not hasattr(model, "peft_config") and not args.precompute_ref_log_probs:
            folder = getattr(model.config, "_name_or_path", "")
            if not folder or (folder.count("/") > 1 and not os.path.isdir(folder)):
                raise ValueError(
                    f"{name} needs a reference policy, which TRL loads from the model's folder, and this model lies in memory only: "
                    "model.save_pretrained(folder) and pass the folder (or a hub name) as model, or pass ref_model"
                )
        super().__init__(model, ref_model, args, *rest, **others)
        if self._ours and getattr(self, "aux_loss_enabled", False):
            raise ValueError(f"{name} is computed by breadth, which would ignore router_aux_loss_coef: set it to 0")

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        return super()._precompute_ref_logps(dataset, name, batch_size) if self.b else dataset

    def train(self, *rest: Any, **others: Any) -> Any:
        """TRL's ``train``; a :class:`BreadthCallback` among the callbacks learns whose trainer it measures."""
        attach(self)
        return super().train(*rest, **others)

    def evaluate(self, eval_dataset: Any = None, *rest: Any, **others: Any) -> dict[str, float]:
        """TRL's ``evaluate``; without a reference a new data set may be evaluated at any time."""
        if self.b:
            return super().evaluate(eval_dataset, *rest, **others)
        kept, self.precompute_ref_logps = (
            self.precompute_ref_logps,
            False,
        )  # it only asks whether a reference is still to be had
        try:
            return super().evaluate(eval_dataset, *rest, **others)
        finally:
            self.precompute_ref_logps = kept

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False) -> Any:
        given = (inputs.get("ref_chosen_logps"), inputs.get("ref_rejected_logps"))
        n = len(inputs["input_ids"]) // 2
        if not self.b:
            reference = (torch.zeros(n, device=inputs["input_ids"].device),) * 2
        elif self.precompute_ref_logps:
            reference = given
        else:
            reference = self.compute_ref_log_probs(model if self.ref_model is None else self.ref_model, inputs)
        scaled = [self.b / self.a * values for values in reference]
        kept, self.precompute_ref_logps = (
            self.precompute_ref_logps,
            True,
        )  # the reference stands in the batch from here on
        watched = _Watched(model)
        try:
            out = super()._compute_loss(
                watched, {**inputs, "ref_chosen_logps": scaled[0], "ref_rejected_logps": scaled[1]}, return_outputs
            )
        finally:
            self.precompute_ref_logps = kept
        if not self._ours:
            return out
        loss = self._own_loss(watched.outputs, inputs, reference)
        return (loss, out[1]) if return_outputs else loss

    def _own_loss(self, outputs: Any, inputs: dict[str, Any], reference: Any) -> Tensor:
        mask = inputs["completion_mask"][..., 1:]
        logp = getattr(outputs, "log_probs", None)
        if logp is None:  # TRL before 1.15 takes them from the logits
            per_token = torch.log_softmax(outputs.logits[:, :-1].float(), dim=-1)  # (2B, T, V)
            logp = per_token.gather(-1, inputs["input_ids"][:, 1:, None])[..., 0]
        chosen, rejected = (logp[:, -mask.size(1) :] * mask).sum(1).chunk(2)
        chosen_length, rejected_length = mask.sum(1).chunk(2)
        streams = {
            "ref_chosen": reference[0],
            "ref_rejected": reference[1],
            "chosen_length": chosen_length,
            "rejected_length": rejected_length,
        }
        loss = self.objective.loss(
            chosen=chosen, rejected=rejected, **{k: v for k, v in streams.items() if k in self.objective.needs}
        )
        mode = "train" if self.model.training else "eval"
        for name, value in loss.stats.items():
            self._metrics[mode][f"objective/{name}"].append(value)
        return loss.value


class _Watched:
    """A model whose last outputs can be looked at: the policy's own, since the reference's stand in the batch."""

    def __init__(self, model: Any) -> None:
        self._model, self.outputs = model, None

    def __call__(self, *rest: Any, **others: Any) -> Any:
        self.outputs = self._model(*rest, **others)
        return self.outputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)
