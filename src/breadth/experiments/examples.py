"""What the policies wrote: samples of a last checkpoint by cluster and by quality. Model output is hostile text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from breadth.experiments.evidence import Evidence, RunEvidence
from breadth.experiments.notation import is_number

Picture = Callable[[str], str | None]

LONGEST_TEXT = 400  # characters of one sample on the page
LONGEST_PROMPT = 240
PICTURE_BYTES = 1_500_000  # of all pictures together: the page stays below 8 MB beside 4.8 MB of Plotly


@dataclass(frozen=True, slots=True)
class Example:
    """One sample as it is shown."""

    text: str
    n_characters: int
    parsable: bool
    quality: float | None
    seq_logp: float | None
    count: int  # how often this very text was sampled (in a cluster: how often its key was)
    share: float  # count over all samples of the checkpoint
    picture: str | None  # its name in the picture book
    prompt: str = ""  # what it answers, where the checkpoint's samples answer more than one


@dataclass(frozen=True, slots=True)
class Gallery:
    """The examples of one run's last checkpoint."""

    label: str
    name: str
    seed: int
    step: int
    n: int
    n_parsable: int
    n_valid: int
    n_keys: int  # distinct keys among the parsable samples
    clusters: tuple[Example, ...]
    rest_share: float  # of samples in no shown cluster, the unparsable ones included
    best: tuple[Example, ...]
    typical: tuple[Example, ...]
    invalid: tuple[Example, ...]


class PictureBook:
    """Draws every distinct text once, and stops when the page has had its share of pictures.

    The page shows a picture only as the source of an ``<img>``: there no script in it runs and nothing is loaded,
    whatever the text was.
    """

    def __init__(self, draw: Picture | None, *, budget: int = PICTURE_BYTES) -> None:
        self._draw = draw
        self._left = budget
        self._of_text: dict[str, str | None] = {}
        self.pictures: dict[str, str] = {}  # name -> SVG
        self.n_left_out = 0

    def __call__(self, text: str) -> str | None:
        """Return the name of a text's picture; None where the task draws none or the budget is spent."""
        if self._draw is None:
            return None
        if text not in self._of_text:
            svg = self._draw(text)
            self._of_text[text] = self._keep(svg) if svg else None
        return self._of_text[text]

    def add(self, key: str, draw: Callable[[], str | None]) -> str | None:
        """Return the name of a picture that is drawn in a way of its own, once for each ``key``; None as above."""
        if key not in self._of_text:
            svg = draw()
            self._of_text[key] = self._keep(svg) if svg else None
        return self._of_text[key]

    def _keep(self, svg: str) -> str | None:
        if len(svg.encode()) > self._left:
            self.n_left_out += 1
            return None
        self._left -= len(svg.encode())
        name = f"p{len(self.pictures)}"
        start = svg.find("<svg")
        if start >= 0 and "xmlns=" not in svg:  # an <img> draws nothing without the name space
            svg = f'{svg[: start + 4]} xmlns="http://www.w3.org/2000/svg"{svg[start + 4 :]}'
        self.pictures[name] = svg
        return name


def galleries(evidence: Evidence, book: PictureBook) -> list[Gallery]:
    """Return the examples of every run that left samples; first seeds first, so that they get their pictures."""
    runs = sorted((run for run in evidence.runs if run.samples), key=lambda run: run.seed)
    made = [gallery(run, evidence.names[run.label], book) for run in runs]
    return sorted(made, key=lambda g: (evidence.labels.index(g.label), g.seed))


def gallery(run: RunEvidence, name: str, book: PictureBook, *, n_clusters: int = 8, n_examples: int = 4) -> Gallery:
    """Return the examples of one run's last checkpoint.

    Clusters: parsable samples by canonical key (and prompt, where there are several), most frequent first, each shown by its
    first sample. Best: highest quality, ties in the order of sampling. Typical: quality nearest to the median of the parsable
    samples, then log-probability nearest to its median. Best and typical are taken from the valid samples, where there are any.
    Not valid: most frequent text first. No list shows a key (not valid: a text) twice.
    """
    import pyarrow.parquet as parquet

    rows = parquet.read_table(run.samples).to_pylist()
    parsable = [row for row in rows if row["parsable"]]
    keys = Counter((row.get("prompt"), row["key"]) for row in parsable)
    texts = Counter((row.get("prompt"), row["text"]) for row in rows)
    first = {(row.get("prompt"), row["key"]): row for row in reversed(parsable)}
    several = len({row.get("prompt") for row in rows}) > 1

    def example(row: dict[str, Any], count: int) -> Example:
        text = row["text"]
        kept = _cut(text, LONGEST_TEXT)
        picture = book(text) if row["parsable"] else None
        return Example(
            text=kept,
            n_characters=len(text),
            parsable=bool(row["parsable"]),
            quality=row["quality"],
            seq_logp=row["seq_logp"],
            count=count,
            share=count / len(rows),
            picture=picture,
            prompt=_cut(str(row["prompt"]), LONGEST_PROMPT) if several and row.get("prompt") else "",
        )

    shown = keys.most_common(n_clusters)
    scored = [row for row in parsable if is_number(row["quality"])]
    quality = _median([row["quality"] for row in scored])
    logp = _median([row["seq_logp"] for row in scored if is_number(row["seq_logp"])])
    scored = [row for row in scored if row["valid"]] or scored
    best = sorted(scored, key=lambda row: -row["quality"])
    typical = sorted(scored, key=lambda row: (abs(row["quality"] - quality), abs((row["seq_logp"] or 0.0) - logp)))
    invalid = sorted((row for row in rows if not row["valid"]), key=lambda row: -texts[row.get("prompt"), row["text"]])
    return Gallery(
        label=run.label,
        name=name,
        seed=run.seed,
        step=int(rows[0]["step"]) if rows else 0,
        n=len(rows),
        n_parsable=len(parsable),
        n_valid=sum(bool(row["valid"]) for row in rows),
        n_keys=len(keys),
        clusters=tuple(example(first[key], count) for key, count in shown),
        rest_share=1 - sum(count for _, count in shown) / len(rows) if rows else 0.0,
        best=tuple(example(row, texts[row.get("prompt"), row["text"]]) for row in _distinct(best, "key", n_examples)),
        typical=tuple(example(row, texts[row.get("prompt"), row["text"]]) for row in _distinct(typical, "key", n_examples)),
        invalid=tuple(example(row, texts[row.get("prompt"), row["text"]]) for row in _distinct(invalid, "text", n_examples)),
    )


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length] + "…"


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def _distinct(rows: list[dict[str, Any]], by: str, n: int) -> list[dict[str, Any]]:
    """Return the first n rows with distinct ``row[by]``."""
    seen: dict[Any, dict[str, Any]] = {}
    for row in rows:
        seen.setdefault(row[by], row)
        if len(seen) == n:
            break
    return list(seen.values())
