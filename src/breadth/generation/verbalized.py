"""Verbalized sampling: several answers with their probabilities in one reply, and a reader of what models make of that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from breadth.generation.request import Message

_LISTS = ("answers", "responses", "samples", "outputs", "candidates")
_TEXTS = ("text", "answer", "response", "content", "output")
_CHANCES = ("probability", "prob", "p", "likelihood", "confidence")
_TAGGED = re.compile(r"<(response|answer|sample)>(.*?)(?:</\1>|(?=<\1>)|\Z)", re.S | re.I)
_TAG = {name: re.compile(rf"<{name}>(.*?)(?:</{name}>|\Z)", re.S | re.I) for name in ("text", "probability")}
_ITEM = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s+(.*\S)\s*$")
_CHANCE = re.compile(r"[\s\-–|,;:(\[]*(?:probability|prob\.?|p)\s*[:=]?\s*([\d.]+\s*%?)\s*[)\]]?\s*$", re.I)
_NUMBER = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*$")


@dataclass(frozen=True, slots=True)
class Verbalized:
    """The answers of one reply. ``probabilities``: None for one that gives none or no number in [0, 1].

    ``how`` it was read: "json", "damaged json" (cut off, say: the whole entries of it), "tags", "list" or "nothing".
    ``n_extra``: answers beyond those that were asked for, left out; ``n_missing``: how many are lacking.
    """

    texts: tuple[str, ...]
    probabilities: tuple[float | None, ...]
    how: str
    n_extra: int
    n_missing: int


def verbalized_messages(messages: Sequence[Message], n: int) -> tuple[Message, ...]:
    """Return the conversation with the last turn asking for n answers and their probabilities at once.

    Source: Zhang et al. 2025, arXiv 2510.01171 (verbalized sampling). Departures: the wording is our own; JSON is asked for.

    Examples
    --------
    >>> verbalized_messages([{"role": "user", "content": "Name an animal."}], 3)[0]["content"].splitlines()[0]
    'Name an animal.'
    """
    *before, last = messages
    ask = (
        f"{last['content']}\n\nGive {n} answers to this, each complete in itself, as if drawn at random from everything that you might "
        "answer. Reply with one JSON object and nothing else:\n"
        '{"answers": [{"text": "…", "probability": 0.0}, …]}\n'
        "where probability is your estimate of how likely you would be to give that answer."
    )
    return (*before, {**last, "content": ask})


def read_verbalized(reply: str, n: int) -> Verbalized:
    """Return the answers that a reply holds, at most n; never raises.

    Read are, in this order: JSON (bare, fenced or inside other words; an object with a list, a list, texts alone; the whole
    entries of one that is cut off), ``<response><text>…</text><probability>…</probability></response>``, and numbered or
    bulleted lines with or without a probability at their end.

    Parameters
    ----------
    reply : str
    n : int
        Answers that were asked for.

    Examples
    --------
    >>> read_verbalized('Sure! [{"text": "otter", "probability": "20%"}, {"text": "newt"}]', 3)
    Verbalized(texts=('otter', 'newt'), probabilities=(0.2, None), how='json', n_extra=0, n_missing=1)
    """
    for how, read in (("json", _whole_json), ("damaged json", _entries), ("tags", _tags), ("list", _lines)):
        found = [(text.strip(), chance) for text, chance in read(reply) if text.strip()]
        if found:
            kept = found[:n]
            return Verbalized(
                tuple(text for text, _ in kept),
                tuple(chance for _, chance in kept),
                how,
                len(found) - len(kept),
                n - len(kept),
            )
    return Verbalized((), (), "nothing", 0, n)


def _whole_json(reply: str) -> Iterator[tuple[str, float | None]]:
    """Yield the entries of the first JSON value that holds a list of answers."""
    for match in re.finditer(r"[\[{]", reply):
        try:
            value, _ = json.JSONDecoder(strict=False).raw_decode(reply, match.start())
        except RecursionError:  # no answers stand that deep, and every bracket of it would be tried again
            return
        except ValueError:
            continue
        if isinstance(value, dict):
            value = next((value[name] for name in _LISTS if isinstance(value.get(name), list)), None)
        if not isinstance(value, list):
            return  # a single entry: what follows is read entry by entry
        found = [entry for entry in map(_entry, value) if entry is not None]
        if found:
            yield from found
            return


def _entries(reply: str) -> Iterator[tuple[str, float | None]]:
    """Yield every whole JSON object with a text, wherever it stands."""
    at = 0
    while (at := reply.find("{", at)) >= 0:
        try:
            value, end = json.JSONDecoder(strict=False).raw_decode(reply, at)
        except RecursionError:
            return
        except ValueError:
            at += 1
            continue
        entry = _entry(value)
        if entry is not None:
            yield entry
        at = end


def _entry(value: Any) -> tuple[str, float | None] | None:
    if isinstance(value, str):
        return value, None
    if not isinstance(value, dict):
        return None
    text = next((value[name] for name in _TEXTS if isinstance(value.get(name), str)), None)
    if text is None:
        return None
    return text, _chance(next((value[name] for name in _CHANCES if name in value), None))


def _tags(reply: str) -> Iterator[tuple[str, float | None]]:
    for match in _TAGGED.finditer(reply):
        text, chance = (_TAG[name].search(match[2]) for name in ("text", "probability"))
        yield (text[1] if text else _TAG["probability"].sub("", match[2])), _chance(chance[1] if chance else None)


def _lines(reply: str) -> Iterator[tuple[str, float | None]]:
    for line in reply.splitlines():
        if (item := _ITEM.match(line)) is not None:
            chance = _CHANCE.search(item[1])
            yield (item[1][: chance.start()] if chance else item[1]), _chance(chance[1] if chance else None)


def _chance(value: Any) -> float | None:
    """Return a probability from a number, "0.2" or "20 %"; None for anything else or outside [0, 1]."""
    if isinstance(value, str):
        match = _NUMBER.match(value)
        value = None if match is None else float(match[1]) / (100 if match[2] else 1)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        return None
    return float(value)
