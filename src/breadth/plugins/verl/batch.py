"""From a batch in verl's TransferQueue to the streams of an objective: rewards, groups, texts, log-probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from breadth.objectives.composition import Objective
from breadth.plugins.trl.answers import Distinguish, stable_number
from breadth.plugins.verl.estimators import group_of
from breadth.plugins.verl.settings import Settings, load_function

#: streams that are made of texts
_TEXT = {"kind", "distance", "key", "bucket_key", "parsable", "prompt_id"}
#: stream -> the field of verl's batch behind it
_LOGP = {
    "seq_logp": "old_log_probs",
    "logp_old": "old_log_probs",
    "seq_logp_ref": "ref_log_prob",
    "logp_ref": "ref_log_prob",
}


@dataclass(frozen=True)
class Rows:
    """Which rows of a batch an objective sees: the last of each session, none of verl's padding.

    ``seen`` (M,) are their places in the batch; ``source`` (N,) says for each row of the batch which of them gives it its advantage,
    −1 = none, advantage 0.
    """

    seen: Tensor
    source: Tensor

    def spread(self, values: Tensor) -> Tensor:
        """Return (N,) from the (M,) advantages of the rows that were seen."""
        padded = torch.cat([values, values.new_zeros(1)])  # (M + 1,), the last one for −1
        return padded[self.source]


def rows_of(keys: Sequence[str], tags: Sequence[Mapping[str, Any]]) -> Rows:
    """Return which rows count, from verl's keys ``uid_session_output`` and its tags.

    An agent that answers in several outputs has one row for each; the reward stands in all of them, and only the last is a member of
    the group, as in verl's own GRPO. The others get its advantage.

    Raises
    ------
    ValueError
        A key of another form.

    Examples
    --------
    >>> rows = rows_of(["a_0_0", "a_0_1", "a_1_0", "p_0_0"], [{}, {}, {}, {"is_padding": True}])
    >>> rows.seen.tolist(), rows.spread(torch.tensor([0.5, -0.5])).tolist()
    ([1, 2], [0.5, 0.5, -0.5, 0.0])
    """
    last: dict[tuple[str, str], tuple[int, int]] = {}
    sessions: list[tuple[str, str] | None] = []
    for row, (key, tag) in enumerate(zip(keys, tags, strict=True)):
        parts = key.rsplit("_", 2)
        if len(parts) != 3 or not parts[2].isdigit():
            raise ValueError(f"expected keys uid_session_output from verl, got {key!r}")
        if tag.get("is_padding", False):
            sessions.append(None)
            continue
        session, output = (parts[0], parts[1]), int(parts[2])
        sessions.append(session)
        if session not in last or last[session][0] < output:
            last[session] = (output, row)
    place = {session: i for i, session in enumerate(last)}
    seen = torch.tensor([row for _, row in last.values()], dtype=torch.int64)
    return Rows(
        seen, torch.tensor([-1 if session is None else place[session] for session in sessions], dtype=torch.int64)
    )


@dataclass(frozen=True)
class Reader:
    """What an objective wants of a batch, and how to make it."""

    objective: Objective
    settings: Settings
    distinguish: Distinguish

    @classmethod
    def of(cls, objective: Objective, settings: Settings) -> Reader:
        """Return the reader of an objective.

        Raises
        ------
        ValueError
            The objective needs what neither verl's batch nor the settings give; the message says what to set.
        """
        functions = {
            name: load_function(path, f"algorithm.breadth.{name}")
            for name, path in (("key", settings.key), ("bucket_key", settings.bucket_key))
            if path is not None
        }
        reader = cls(objective, settings, Distinguish(_partition(settings.partition), **functions))
        able = {
            "reward",
            "group",
            "scored",
            "correct",
            "length",
            "mask",
            "prompt_id",
            *_LOGP,
            *reader.distinguish.supplied,
        }
        able |= {"reward_vector"} if settings.reward_keys else set()
        able |= {"count", "bucket_count"}  # from the objective's own memory
        absent = [name for name in objective.advantage_needs if name not in able]
        if absent:
            how = {
                "kind": "+algorithm.breadth.partition=classifier (or rouge1, {backend: canonical, key: words}, {backend: remote, url: …}, another)",
                "distance": "+algorithm.breadth.partition=classifier (or rouge1, or another backend with distances)",
                "key": "+algorithm.breadth.key=module:function of (texts, prompts), None where an answer cannot be parsed",
                "parsable": "+algorithm.breadth.key=module:function of (texts, prompts), None where an answer cannot be parsed",
                "bucket_key": "+algorithm.breadth.bucket_key=module:function of (texts, prompts)",
                "reward_vector": "+algorithm.breadth.reward_keys=[…], names that the reward function returns beside the score",
            }
            said = "; ".join(dict.fromkeys(how.get(name, f"{name}: verl does not have it") for name in absent))
            raise ValueError(f"objective {objective.name!r} needs {', '.join(absent)}: {said}")
        return reader

    @property
    def wanted(self) -> tuple[str, ...]:
        """Streams that the advantage of the objective needs or can use."""
        objective = self.objective
        pieces = (*objective.shape_rewards, objective.baseline, *objective.shape_advantages)
        takes = [name for piece in pieces for name in piece.takes]
        memory = getattr(objective, "memory", None)
        return tuple(dict.fromkeys([*objective.advantage_needs, *takes, *(memory.takes if memory is not None else ())]))

    @property
    def fields(self) -> list[str]:
        """Fields of verl's batch that are needed."""
        wanted = self.wanted
        out = ["uid", "response_mask", "rm_scores", *(_LOGP[name] for name in wanted if name in _LOGP)]
        out += ["prompts", "responses"] if _TEXT & set(wanted) else []
        out += ["extra_fields"] if "reward_vector" in wanted else []
        return list(dict.fromkeys(out))

    def streams(self, data: Any, rows: Rows, tokenizer: Any) -> dict[str, Any]:
        """Return the streams of the rows that count, (M,) each.

        Parameters
        ----------
        data : TensorDict
            What TransferQueue gave for :attr:`fields`: jagged tensors, lists of labels.
        rows : Rows
        tokenizer
            Of the policy, to read prompts and answers.

        Raises
        ------
        ValueError
            A field that is not there, with what makes verl compute it.
        """
        absent = [name for name in self.fields if name not in data.keys()]  # noqa: SIM118 (a TensorDict)
        if absent:
            raise ValueError(
                f"objective {self.objective.name!r}: verl's batch lacks {', '.join(absent)}: {_remedy(absent)}"
            )
        seen, wanted = rows.seen.tolist(), self.wanted
        mask = _picked(data["response_mask"], seen, "response_mask")
        reward = torch.stack([row.sum() for row in _picked(data["rm_scores"], seen, "rm_scores")]).float()  # (M,)
        uids = _labels(data["uid"])
        streams: dict[str, Any] = {
            "reward": reward,
            "group": group_of([uids[i] for i in seen]),
            "scored": ~reward.isnan(),
            "correct": reward >= self.settings.correct_at,  # NaN compares False
        }
        if {"length", "mask"} & set(wanted):
            streams["length"] = torch.stack([row.bool().sum() for row in mask])
            streams["mask"] = _padded(mask).bool()
        for name in (name for name in wanted if name in _LOGP):
            logp = _picked(data[_LOGP[name]], seen, _LOGP[name])
            kept = [values.float().masked_fill(~row.bool(), 0.0) for values, row in zip(logp, mask, strict=True)]
            streams[name] = torch.stack([row.sum() for row in kept]) if name.startswith("seq_") else _padded(kept)
        if _TEXT & set(wanted):
            answers = [
                row[keep.bool()].tolist()
                for row, keep in zip(_picked(data["responses"], seen, "responses"), mask, strict=True)
            ]
            asked = [row.tolist() for row in _picked(data["prompts"], seen, "prompts")]
            texts, prompts = (tokenizer.batch_decode(ids, skip_special_tokens=True) for ids in (answers, asked))
            streams["prompt_id"] = torch.tensor([stable_number(text) for text in prompts])
            streams |= self.distinguish.streams(texts, prompts, streams["group"].numpy(), wanted)
        if "reward_vector" in wanted:
            streams["reward_vector"] = self._vector(_labels(data["extra_fields"]), seen)
        return streams

    def _vector(self, extra: list[Any], seen: list[int]) -> Tensor:
        out = []
        for i in seen:
            info = (extra[i] or {}).get("reward_extra_info", {})
            lacking = [name for name in self.settings.reward_keys if name not in info]
            if lacking:
                raise ValueError(
                    f"algorithm.breadth.reward_keys: the reward function returned no {', '.join(lacking)} for row {i}; it returned "
                    f"{', '.join(info) or 'nothing beside the score'}"
                )
            out.append([float(info[name]) for name in self.settings.reward_keys])
        return torch.tensor(out)  # (M, K)


def _partition(given: str | Mapping[str, Any] | None) -> Any:
    if given is None:
        return None
    from breadth.partitions.front import partition

    if isinstance(given, str):
        return partition(given)
    if "backend" not in given:
        raise ValueError(f"algorithm.breadth.partition: expected a name or {{backend: …, …}}, got {dict(given)!r}")
    return partition(**given)


def _remedy(absent: list[str]) -> str:
    how = {
        "uid": "its agent loop has to put one label a row, equal for the answers to one prompt",
        "rm_scores": "a reward function (reward.custom_reward_function) or a reward model has to score every answer",
        "ref_log_prob": "actor_rollout_ref.actor.use_kl_loss=true computes it (with kl_loss_coef=0 without adding a penalty)",
        "old_log_probs": "the trainer computes them before the advantages",
        "extra_fields": "a reward function that returns a dictionary fills it",
    }
    return "; ".join(how.get(name, f"{name} comes from the rollout") for name in absent)


def _labels(values: Any) -> list[Any]:
    found = values.tolist() if hasattr(values, "tolist") else list(values)
    return [getattr(value, "data", value) if type(value).__name__ == "NonTensorData" else value for value in found]


def _picked(values: Any, rows: Sequence[int], name: str) -> list[Tensor]:
    """Return some rows of a jagged or padded tensor, each in its own length."""
    every = list(values.unbind(0)) if isinstance(values, Tensor) else list(values)
    if rows and max(rows) >= len(every):
        raise ValueError(f"{name}: expected at least {max(rows) + 1} rows, got {len(every)}")
    return [every[i] for i in rows]


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)  # (M, T)
