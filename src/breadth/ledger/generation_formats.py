"""Who wrote this file: the columns by which each tool's log is known, and where its fields stand.

A format of your own needs no code: ``fields={"prompt": "question", "response": "answer"}``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

FIELDS = ("prompt", "response", "reward", "correct", "logprob", "step", "kind")

# names under which the fields are commonly written, the likelier first
ALIASES: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "instruction", "input", "query"),
    "response": (
        "response", "responses", "completion", "completions", "generation", "generations", "output", "outputs", "answer", "text",
    ),
    "reward": ("reward", "rewards", "score", "scores", "generation_scores", "quality"),
    "correct": ("correct", "is_correct", "acc"),
    "logprob": ("logprob", "logprobs", "seq_logp", "log_prob"),
    "step": ("step", "global_step"),
    "kind": ("kind", "partition", "class"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Format:
    """Where the fields stand. ``fields``: field -> column; ``needs``: columns by which the format is known."""

    name: str
    title: str
    needs: frozenset[str]
    fields: Mapping[str, str]
    rewards: tuple[str, ...] = ()  # columns that are added up to the reward
    note: str = ""


FORMATS = (
    Format(
        "trl", "TRL completions", frozenset({"step", "prompt", "completion", "advantage"}),
        {"prompt": "prompt", "response": "completion", "step": "step"},
    ),
    Format(
        "verl", "verl rollout dump", frozenset({"input", "output", "score", "step"}),
        {"prompt": "input", "response": "output", "reward": "score", "correct": "acc", "step": "step"},
    ),
    Format(
        "lm_eval", "lm-eval samples", frozenset({"doc_id", "arguments", "resps"}),
        {"prompt": "arguments", "response": "resps"},
        note="All repeats of a question are read; a question that stands there once for each filter is read once.",
    ),
    Format(
        "reinvent4", "REINVENT 4 staged-learning CSV", frozenset({"Agent", "Prior", "Score", "SMILES", "SMILES_state", "step"}),
        {"response": "SMILES", "reward": "Score", "logprob": "Agent", "step": "step"},
        note="One empty prompt; log-probability is minus the column Agent (a negative log-likelihood).",
    ),
    Format(
        "breadth", "samples of a breadth run", frozenset({"step", "set", "index", "prompt", "text", "quality"}),
        {"prompt": "prompt", "response": "text", "reward": "quality", "logprob": "seq_logp", "step": "step"},
    ),
    Format(
        "breadth_generations", "generations of breadth", frozenset({"prompt", "response", "sampling"}),
        {name: name for name in (*FIELDS, "sampling")},
    ),
)  # fmt: skip

# columns of a TRL table that are no reward
_TRL_OTHERS = {"step", "prompt", "completion", "advantage", "mode", "image", "images", "\0table"}


def recognise(
    row: Mapping[str, Any], given: Mapping[str, str], name: str | None, place: str, fail: Callable[[str], Exception]
) -> Format:
    """Return the format of a file from its first row; ``given`` (field -> column) goes before what is found.

    Raises
    ------
    fail
        Unknown names in ``given`` or ``name``, a column that is not there, or neither prompt nor response found.
    """
    columns = [column for column in row if column != "\0table"]
    wrong = [field for field in given if field not in FIELDS]
    if wrong:
        raise fail(f"fields: unknown field {wrong[0]!r}; known: {', '.join(FIELDS)}")
    lacking = [column for column in given.values() if column not in row]
    if lacking:
        raise fail(f"{place}: no column {lacking[0]!r}; columns: {', '.join(columns)}")
    if name is not None and name not in {known.name for known in FORMATS}:
        raise fail(f"format: unknown {name!r}; known: {', '.join(known.name for known in FORMATS)}")
    found = next((f for f in FORMATS if (f.name == name if name else f.needs <= row.keys())), None)
    if found is None:
        found = _by_names(row)
    fields = {**{field: column for field, column in found.fields.items() if column in row}, **given}
    if found.name == "trl" and "reward" not in fields:
        found = _trl(found, row)
    if "\0table" in row:
        found = replace(found, title=f"{found.title}, exported as a wandb table")
    missing = [field for field in ("prompt", "response") if field not in fields]
    if found.name == "reinvent4":
        missing = [field for field in missing if field != "prompt"]
    if missing:
        raise fail(
            f"{place}: expected columns for {' and '.join(missing)}, got {', '.join(columns) or 'no columns'}; name them, "
            f"e.g. fields={{{missing[0]!r}: {(columns or ['column'])[0]!r}}}"
        )
    return replace(found, fields=fields)


def spread(
    row: Mapping[str, Any], format: Format, state: dict[str, Any], place: str, fail: Callable[[str], Exception]
) -> Iterator[dict[str, Any]]:
    """Yield the fields of each answer in a row, checked; ``state`` is the format's memory of earlier rows.

    Raises
    ------
    fail
        A field missing in this row, a response that is not text, a number that is none; the message starts with ``place``.
    """
    values: dict[str, Any] = {}
    for field, column in format.fields.items():
        if column not in row:
            if field in ("prompt", "response"):
                raise fail(f"{place}: missing field {column!r} ({field}); the row has {', '.join(row) or 'nothing'}")
            continue
        values[field] = row[column]
    if format.rewards:
        parts = [_number(row.get(column), column, place, fail) for column in format.rewards]
        # a reward function that does not apply to a row leaves null; TRL adds up the others
        known = [part for part in parts if part is not None]
        values["reward"] = sum(known) if known else None
    if format.name == "lm_eval":
        seen = state.setdefault("seen", {})
        name = row.get("filter", "")
        if seen.setdefault("filter", name) != name:
            return
        values = _lm_eval(row, values)
    if format.name == "reinvent4":
        values.setdefault("prompt", "")
        agent = _number(values.get("logprob"), "Agent", place, fail)
        values["logprob"] = None if agent is None else -agent
        values["valid"] = str(row.get("SMILES_state", "")).strip() not in ("0", "INVALID", "SmilesState.INVALID")
    if format.name == "trl" and str(row.get("mode", "train")) == "eval":
        return
    yield from _answers(values, format, place, fail)


def _answers(
    values: dict[str, Any], format: Format, place: str, fail: Callable[[str], Exception]
) -> Iterator[dict[str, Any]]:
    """Yield one set of fields for each response of a row."""
    prompt = _text(values["prompt"], format.fields.get("prompt", "prompt"), "prompt", place, fail)
    messages = values["prompt"] if isinstance(values["prompt"], list) else None
    step = _number(values.get("step"), format.fields.get("step", "step"), place, fail)
    if step is not None and step != int(step):
        raise fail(f"{place}: expected a whole number in {format.fields['step']!r} (step), got {step}")
    responses = values["response"]
    several = isinstance(responses, list) and not (responses and isinstance(responses[0], Mapping))
    listed = responses if several else [responses]
    for i, response in enumerate(listed):
        found: dict[str, Any] = {
            "prompt": prompt,
            "response": _text(response, format.fields["response"], "response", place, fail),
            "step": None if step is None else int(step),
            "messages": messages,
        }
        for field in ("reward", "correct", "logprob"):
            value = values.get(field)
            if several and isinstance(value, list):
                value = _item(value, i, len(listed), format.fields.get(field, field), place, fail)
            found[field] = _number(value, format.fields.get(field, field), place, fail)
        kind = values.get("kind")
        if several and isinstance(kind, list):
            kind = _item(kind, i, len(listed), format.fields["kind"], place, fail)
        found["kind"] = None if kind is None else str(kind)
        if "valid" in values:
            found["valid"] = values["valid"]
        if isinstance(values.get("sampling"), Mapping):
            found["sampling"] = values["sampling"]
        yield found


def _item(value: list[Any], i: int, n: int, column: str, place: str, fail: Callable[[str], Exception]) -> Any:
    if len(value) != n:
        raise fail(f"{place}: expected {n} entries in {column!r}, one for each response, got {len(value)}")
    return value[i]


def _text(value: Any, column: str, field: str, place: str, fail: Callable[[str], Exception]) -> str:
    """Return a text; a chat (list of messages) becomes its contents with the roles before them."""
    if isinstance(value, str):
        return _writable(value)
    if isinstance(value, list) and value and all(isinstance(part, Mapping) and "content" in part for part in value):
        said = [(str(part.get("role", "")), part["content"]) for part in value]
        texts = [content if isinstance(content, str) else json.dumps(content, ensure_ascii=False) for _, content in said]
        if len(texts) == 1:
            return _writable(texts[0])
        return _writable("\n".join(f"{role}: {text}" for (role, _), text in zip(said, texts, strict=True)))
    raise fail(f"{place}: expected text in {column!r} ({field}), got {'null' if value is None else type(value).__name__}")


def _writable(text: str) -> str:
    """Return a text that UTF-8 can hold: JSON may name half of a surrogate pair (a character cut in two), which becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _number(value: Any, column: str, place: str, fail: Callable[[str], Exception]) -> float | None:
    """Return a number, or None where it is null, empty or NaN."""
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "nan", "none", "null")):
        return None
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return float(value.strip().lower() == "true")
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise fail(f"{place}: expected a number in {column!r}, got {value!r:.60}") from None
    except OverflowError:  # a whole number of more than 308 digits
        found = math.inf
    if math.isinf(found):
        raise fail(f"{place}: expected a finite number in {column!r}, got {found}")
    return None if math.isnan(found) else found


def _by_names(row: Mapping[str, Any]) -> Format:
    """Return a format made of the first column of each field that has one of its usual names."""
    fields: dict[str, str] = {}
    for field, names in ALIASES.items():
        column = next((name for name in names if name in row and name not in fields.values()), None)
        if column is not None:
            fields[field] = column
    return Format("plain", "rows of prompt and response", frozenset(), fields)


def _trl(found: Format, row: Mapping[str, Any]) -> Format:
    """Return the format with its reward columns: every other column that holds a number."""
    others = [column for column in row if column not in _TRL_OTHERS]
    rewards = tuple(c for c in others if row[c] is None or (isinstance(row[c], int | float) and not isinstance(row[c], bool)))
    if not rewards:
        return found
    names = " + ".join(rewards)
    weights = " (the log does not hold their weights)" if len(rewards) > 1 else ""
    return replace(found, rewards=rewards, note=f"Reward is {names}{weights}.")


def _lm_eval(row: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return prompt, responses and correctness of an lm-eval sample, of old and of new versions."""
    arguments, responses = values["prompt"], values["response"]
    if isinstance(arguments, Mapping):  # {"gen_args_0": {"arg_0": prompt, ...}}
        first: Any = next(iter(arguments.values()), {})
        arguments = first.get("arg_0") if isinstance(first, Mapping) else first
    while isinstance(arguments, list) and arguments:  # [[prompt, settings]]
        arguments = arguments[0]
    if isinstance(responses, list) and responses and isinstance(responses[0], list):
        responses = responses[0]
    found = {**values, "prompt": arguments, "response": responses}
    listed = row.get("metrics")
    names = listed if isinstance(listed, list) and listed else ("exact_match", "acc", "pass@1")
    name = next((n for n in names if isinstance(n, str) and isinstance(row.get(n), int | float | list)), None)
    score = row.get(name) if name else None
    n = len(responses) if isinstance(responses, list) else 1
    # one number for several repeats is that of the filter's answer, and says nothing of the others
    if score is not None and "correct" not in found and (n == 1 or isinstance(score, list)):
        found["correct"] = score[0] if n == 1 and isinstance(score, list) and score else score
    return found
