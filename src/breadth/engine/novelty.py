"""Models of novelty, trained beside the policy: what they fail to predict of a rollout's states is what an objective pays for.

They read the reference policy's final hidden states, which do not move while the policy learns. Each has an Adam of its own;
its weights, its optimiser and its running statistics go into every checkpoint, so that a resumed run has the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from breadth.engine.gpt import GPT
from breadth.engine.policy import completion_ranks, micro_batches, transition_states
from breadth.records import Rollouts

if TYPE_CHECKING:
    from breadth.objectives.novelty import NoveltySettings

OBSERVATION_LIMIT = 5.0  # Burda et al. 2018, section 2.4: whitened observations are clipped to [-5, 5]
_ADAM = ("step", "exp_avg", "exp_avg_sq")


def layers(widths: list[int], generator: torch.Generator) -> nn.Sequential:
    """Return linear layers with ReLU between them, uniform in ±1/√(inputs), drawn from ``generator`` alone."""
    out: list[nn.Module] = []
    for i, (n_in, n_out) in enumerate(zip(widths, widths[1:], strict=False)):
        layer = nn.utils.skip_init(nn.Linear, n_in, n_out)
        with torch.no_grad():
            for tensor in (layer.weight, layer.bias):
                tensor.uniform_(-(n_in**-0.5), n_in**-0.5, generator=generator)
        out += [nn.ReLU(), layer] if i else [layer]
    return nn.Sequential(*out)


class ForwardDynamics(nn.Module):
    """f(φ(h_t), e_t) against φ(h_{t+1}): features φ and forward model f are trained together on the error itself.

    Parameters
    ----------
    width : int
        Of hidden states and token embeddings.
    features, inner : int
        Widths of φ's output and of f's hidden layers.

    Source: Sun et al. 2025 (CD-RLHF), arXiv 2501.11463, and its released code: φ has hidden layers of twice the width, f
    two of the model's inner width; no inverse model. Departures: none.
    """

    def __init__(self, width: int, *, features: int, inner: int, generator: torch.Generator) -> None:
        super().__init__()
        self.encoder = layers([width, 2 * width, 2 * width, features], generator)
        self.forward_model = layers([features + width, inner, inner, features], generator)

    def error(self, before: Tensor, action: Tensor, after: Tensor) -> Tensor:
        """Return ½‖φ(h') − f(φ(h), e)‖, (M,), from (M, width) each: the norm itself, as released, not its square."""
        expected = self.forward_model(torch.cat([self.encoder(before), action], dim=-1))  # (M, features)
        return 0.5 * (self.encoder(after) - expected).norm(dim=-1)


class RandomDistillation(nn.Module):
    """A predictor of a fixed random network's output at a state: its error falls where states were seen often.

    Source: Burda et al. 2018, arXiv 1810.12894, sections 2.2 and 2.4. Departures: small dense networks on hidden states;
    there convolutions on images. The predictor is the deeper of the two, as there.
    """

    def __init__(self, width: int, *, features: int, inner: int, generator: torch.Generator) -> None:
        super().__init__()
        self.target = layers([width, inner, features], generator).requires_grad_(False)
        self.predictor = layers([width, inner, inner, features], generator)
        # of observations: count, mean, sum of squared distances; of errors: the same, all over the steps so far
        self.register_buffer("observed", torch.zeros(1 + 2 * width, dtype=torch.float64))
        self.register_buffer("erred", torch.zeros(3, dtype=torch.float64))

    def error(self, before: Tensor, action: Tensor, after: Tensor) -> Tensor:
        """Return the mean squared distance of the two networks at h', (M,)."""
        del before, action
        count, rest = self.observed[0], self.observed[1:]
        mean, squares = rest.chunk(2)
        if float(count) > 0:
            deviation = (squares / count).sqrt().clamp(min=1e-8)
            after = ((after.double() - mean) / deviation).clamp(-OBSERVATION_LIMIT, OBSERVATION_LIMIT).to(after.dtype)
        return (self.predictor(after) - self.target(after)).square().mean(-1)


class Novelty:
    """The model that an objective's ``novelty`` asks for, its optimiser, and what it has seen.

    :meth:`look` before a batch is shaped, :meth:`learn` after its update: a batch is judged by what was learned before it.

    Parameters
    ----------
    settings : NoveltySettings
    model : GPT
        The reference policy.
    seed : int
        Decides the first weights.
    """

    def __init__(self, settings: NoveltySettings, model: GPT, *, seed: int) -> None:
        width = model.shape.n_embd
        generator = torch.Generator().manual_seed(seed)
        numbers = {"features": settings.features or width, "inner": settings.inner or 4 * width, "generator": generator}
        kind = {"forward": ForwardDynamics, "distillation": RandomDistillation}[settings.kind]
        self.settings, self.reference = settings, model
        self.model = kind(width, **numbers).to(model.head_weight.device)
        self.trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.Adam(self.trained.values(), lr=settings.learning_rate)
        self._pending: dict[str, Tensor] = {}
        self._loss = 0.0

    def look(self, policy: GPT, rollouts: Rollouts, *, banned: list[int], micro_batch: int) -> dict[str, Tensor]:
        """Return ``prediction_error`` (N, T) and, for a forward model, ``in_top_k`` (N, T); gradients wait for :meth:`learn`.

        Errors of a distillation are divided by their running deviation over all steps before this one (at the first step by
        that of its own errors).
        """
        mask = rollouts.mask
        error = torch.zeros_like(rollouts.logp_old)  # (N, T)
        first_choices = torch.zeros_like(mask)
        n = mask.sum()
        self.optimizer.zero_grad(set_to_none=True)
        seen: list[Tensor] = []
        self._loss = 0.0
        forward = self.settings.kind == "forward"
        embedding = policy.transformer["wte"].weight.detach()  # the policy's own, as released
        for rows in micro_batches(mask.sum(-1), micro_batch):
            with torch.no_grad():
                states, kept = transition_states(self.reference, rollouts, rows)  # (n, T'+1, width), (n, T')
                if forward:
                    rank = completion_ranks(policy, rollouts, rows, banned=banned)  # (n, T')
                    first_choices[rows, : kept.shape[1]] = (rank < self.settings.top_k) & kept
            tokens = rollouts.tokens[rows, : kept.shape[1]]
            before, after = states[:, :-1][kept].float(), states[:, 1:][kept].float()  # (M, width)
            with torch.autocast(states.device.type, enabled=False), torch.enable_grad():
                found = self.model.error(before, embedding[tokens[kept]].float(), after)  # (M,)
                loss = found.sum() / n
            loss.backward()
            self._loss += float(loss.detach())
            whole = torch.zeros(kept.shape, dtype=error.dtype, device=error.device)
            whole[kept] = found.detach().to(error.dtype)
            error[rows, : kept.shape[1]] = whole
            if not forward:
                seen.append(_moments(after.double()))
        if forward:
            return {"prediction_error": error, "in_top_k": first_choices}
        self._pending = {"observed": _joined(*seen), "erred": _moments(error[mask].double()[:, None])}
        known = self.model.erred if float(self.model.erred[0]) > 0 else self._pending["erred"]
        deviation = (known[2] / known[0]).sqrt()
        return {"prediction_error": error / torch.where(deviation > 0, deviation, 1.0).to(error.dtype)}

    def learn(self) -> dict[str, float]:
        """Take the step that :meth:`look` prepared, and return ``novelty_loss``, the mean error before it."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        for name, fresh in self._pending.items():
            known = getattr(self.model, name)
            known.copy_(_joined(known, fresh))
        self._pending = {}
        return {"novelty_loss": self._loss}

    def tensors(self) -> dict[str, Tensor]:
        """Return all that a checkpoint must hold: weights, running statistics, optimiser."""
        out = {name: value.detach().cpu().contiguous() for name, value in self.model.state_dict().items()}
        for name, parameter in self.trained.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                out[f"{name}:{key}"] = torch.as_tensor(value).detach().cpu().contiguous()
        return out

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`tensors` returned.

        Raises
        ------
        ValueError
            Tensors of another model.
        """
        own = self.model.state_dict()
        shapes = {name: tuple(value.shape) for name, value in tensors.items() if ":" not in name}
        expected = {name: tuple(value.shape) for name, value in own.items()}
        if shapes != expected:
            raise ValueError(f"novelty model: expected tensors {expected}, got {shapes}: they belong to other settings")
        self.model.load_state_dict({name: tensors[name] for name in own})
        for name, parameter in self.trained.items():
            if f"{name}:step" in tensors:
                state = {key: tensors[f"{name}:{key}"] for key in _ADAM}
                self.optimizer.state[parameter] = {
                    key: value.clone() if key == "step" else value.to(parameter.device, copy=True)
                    for key, value in state.items()
                }


def _moments(values: Tensor) -> Tensor:
    """Return count, mean and sum of squared distances from it, (1 + 2W,), of (M, W)."""
    mean = values.mean(0)
    return torch.cat([mean.new_tensor([len(values)]), mean, (values - mean).square().sum(0)])


def _joined(first: Tensor, *others: Tensor) -> Tensor:
    """Return the moments of several sets of values together (Chan et al. 1979)."""
    for other in others:
        (a, b), ((mean_a, square_a), (mean_b, square_b)) = (
            (first[0], other[0]),
            (x[1:].chunk(2) for x in (first, other)),
        )
        n, shift = a + b, mean_b - mean_a
        mean = mean_a + shift * b / n
        first = torch.cat([n[None], mean, square_a + square_b + shift.square() * a * b / n])
    return first
