"""Data inside a page: JSON that cannot end its element, packed where it is long."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from typing import Any

from breadth.experiments.evidence import plain

PLAIN_UP_TO = 20_000  # characters of JSON that stand in the page as they are; longer data are packed


@dataclass(frozen=True, slots=True)
class Embedded:
    """What stands inside a ``<script>`` element that is not run: its type, and its text."""

    type: str
    text: str


def embed(value: Any) -> str:
    """Return JSON that may stand inside a ``<script>`` element: no character of it can end the element or begin a tag.

    Examples
    --------
    >>> embed(["</script>"])
    '["\\\\u003c/script\\\\u003e"]'
    """
    return _json(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def packed(value: Any, *, plain_up_to: int = PLAIN_UP_TO) -> Embedded:
    """Return data for the page: JSON, or for long data the base64 of its zlib stream, which browsers unpack by themselves.

    Equal data give equal text.

    Examples
    --------
    >>> packed({"a": 1})
    Embedded(type='application/json', text='{"a":1}')
    >>> long = packed(list(range(9000)))
    >>> long.type, unpack(long.type, long.text)[-1]
    ('application/zlib+base64', 8999)
    """
    text = _json(value)
    if len(text) <= plain_up_to:
        return Embedded("application/json", embed(value))
    return Embedded("application/zlib+base64", base64.b64encode(zlib.compress(text.encode(), 9)).decode())


def unpack(kind: str, text: str) -> Any:
    """Return the data of an element by its type and text, as the page's own script reads them."""
    if kind == "application/json":
        return json.loads(text)
    if kind == "application/zlib+base64":
        return json.loads(zlib.decompress(base64.b64decode(text)))
    raise ValueError(f"page data: expected the type 'application/json' or 'application/zlib+base64', got {kind!r}")


def _json(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
