"""Sixteen models on one quality–diversity plane: one answer of each to 150 prompts of AlpacaEval.

    python docs/gallery/alpacaeval.py alpacaeval_outputs_16models.jsonl.gz --winrates alpacaeval_model_winrates.jsonl.gz --svg plane.svg

The files: rows of {"prompt", "outputs": {model: text}}, and rows of {"model", "length_controlled_winrate"}. What comes out is
explained in docs/alpacaeval.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

from breadth import metrics
from breadth.experiments.generations import measure_path
from breadth.experiments.notation import number
from breadth.metrics.conditions import TextMeasurement
from breadth.metrics.tokens import tokenize
from breadth.records import Estimate

FIRST = 30  # tokens of each answer: equal lengths for all models
MEASURES = {"distinct_2": metrics.distinct_n, "rouge1_distance": metrics.mean_pairwise_rouge1}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 480, 64, 150, 18, 48


def read_lines(path: Path) -> list[dict]:
    """Return the rows of a JSONL file, plain or gzip."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def as_they_are(rows: list[dict], folder: Path) -> dict[str, dict[str, TextMeasurement]]:
    """Return each model's answers measured whole, pooled over prompts; one file a model is written to the folder."""
    models = sorted(rows[0]["outputs"])
    paths = []
    for model in models:
        paths.append(folder / f"{model}.jsonl")
        lines = [json.dumps({"prompt": row["prompt"], "response": row["outputs"][model]}) for row in rows]
        paths[-1].write_text("\n".join(lines), encoding="utf-8")
    found = measure_path(paths, scope="pooled", metrics=["length", "rouge1_distance"])
    return {model: {row.metric: row for _, row in one.rows} for model, one in zip(models, found, strict=True)}


def openings(rows: list[dict], n: int = FIRST) -> dict[str, list[str]]:
    """Return the first n tokens of each model's answers to the prompts that every model answered with at least n."""
    cut = [dict(zip(row["outputs"], tokenize(list(row["outputs"].values())), strict=True)) for row in rows]
    long_enough = [row for row in cut if min(map(len, row.values())) >= n]
    return {model: [" ".join(row[model][:n]) for row in long_enough] for model in sorted(cut[0])}


def at_equal_length(texts: list[str], metric: str) -> Estimate:
    """Return a measure with its interval over prompts (half-samples of them)."""
    return metrics.interval_over_texts(lambda some: MEASURES[metric](some, tokenizer="whitespace"), texts)


def difference(a: list[str], b: list[str], metric: str) -> Estimate:
    """Return measure(a) − measure(b) with its interval, the same half of the prompts on both sides each time."""

    def minus(places: list[int]) -> float:
        one, other = (MEASURES[metric]([side[i] for i in places], tokenizer="whitespace").value for side in (a, b))
        return one - other

    return metrics.interval_over_texts(minus, list(range(len(a))))


def rank_correlation(a: list[float], b: list[float]) -> float:
    """Return Spearman's correlation."""
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)


def between_models(rows: list[dict], folder: Path) -> TextMeasurement:
    """Return the word distance between the models' answers to one prompt: all sixteen taken for one policy."""
    path = folder / "all.jsonl"
    lines = [json.dumps({"prompt": row["prompt"], "response": list(row["outputs"].values())}) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return measure_path(path, metrics=["rouge1_distance"])[0].rows[0][1]


def shown(row: TextMeasurement | Estimate) -> str:
    ends = "" if row.low is None or row.high is None else f" ({number(row.low)} to {number(row.high)})"
    return number(row.value) + ends


def plane(found: dict[str, Estimate], quality: dict[str, float], metric: str) -> str:
    """Return the plane as an SVG picture: win rate on a logarithmic axis, diversity with its 95 % interval."""
    rows = {name: row for name, row in found.items() if name in quality}
    low, high = min(r.low or r.value or 0 for r in rows.values()), max(r.high or r.value or 0 for r in rows.values())
    left, right = math.log(min(quality.values()) * 0.9), math.log(max(quality.values()) * 1.1)

    def x(value: float) -> float:
        return LEFT + (math.log(value) - left) / (right - left) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        spare = 0.04 * (high - low)
        return HEIGHT - BOTTOM - (value - low + spare) / (high - low + 2 * spare) * (HEIGHT - TOP - BOTTOM)

    step = 10 ** math.floor(math.log10((high - low) / 3))
    step *= next(s for s in (1, 2, 5, 10) if (high - low) / (s * step) <= 7)
    parts = []
    for tick in (5, 10, 20, 50):
        parts.append(f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="grid"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick}</text>')
    tick = math.ceil(low / step) * step
    while tick <= high:
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.2f}</text>')
        tick += step
    points = {name: (x(quality[name]), y(row.value or 0)) for name, row in rows.items()}
    taken = [(at - 6, at + 6, up - 6, up + 6) for at, up in points.values()]  # left, right, top, bottom
    for name, (at, up) in sorted(points.items(), key=lambda item: item[1]):
        row = rows[name]
        if row.low is not None and row.high is not None:
            parts.append(
                f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y(row.low):.1f}" y2="{y(row.high):.1f}" class="bar"/>'
            )
        parts.append(f'<circle cx="{at:.1f}" cy="{up:.1f}" r="4.5"><title>{escape(name)}</title></circle>')
        width = 6.6 * len(name)
        # the nearest free place beside the point, on either side, up or down
        near = sorted((abs(d) + (at_left and 4), at_left, d) for d in range(-80, 81, 4) for at_left in (False, True))
        for _, at_left, d in near:
            left_end = at - 9 - width if at_left else at + 9
            box = (left_end, left_end + width, up + d - 7, up + d + 7)
            if left_end > LEFT and not any(
                box[0] < r and a < box[1] and box[2] < low_ and up_ < box[3] for a, r, up_, low_ in taken
            ):
                break
        taken.append(box)
        if abs(d) > 6:
            parts.append(
                f'<line x1="{at:.1f}" x2="{at - 8 if at_left else at + 8:.1f}" y1="{up:.1f}" y2="{up + d:.1f}" class="lead"/>'
            )
        anchor = "end" if at_left else "start"
        parts.append(
            f'<text x="{at - 9 if at_left else at + 9:.1f}" y="{up + d + 4:.1f}" text-anchor="{anchor}">{escape(name)}</text>'
        )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    upright = f"{metric.replace('_', ' ')}, first {FIRST} tokens of each answer"
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">
<title>{escape(metric)} against win rate for {len(rows)} models</title>
<style>text {{ font: 12px system-ui, sans-serif; fill: #1b1f24; }} .grid {{ stroke: #e4e7eb; }}
.bar {{ stroke: #0072b2; stroke-opacity: .45; stroke-width: 1.5; }}
.lead {{ stroke: #8b949e; stroke-width: .8; }} circle {{ fill: #0072b2; stroke: #fff; }}</style>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
{chr(10).join(parts)}
<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">length-controlled win rate, % (logarithmic)</text>
<text transform="rotate(-90 16 {middle})" x="16" y="{middle}" text-anchor="middle">{escape(upright)}</text>
</svg>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outputs", type=Path)
    parser.add_argument("--winrates", type=Path, required=True)
    parser.add_argument("--metric", default="rouge1_distance", choices=list(MEASURES), help="of the plane")
    parser.add_argument("--against", default="gpt4_1106_preview", help="model that the others are compared with")
    parser.add_argument("--svg", type=Path)
    given = parser.parse_args()
    quality = {row["model"]: float(row["length_controlled_winrate"]) for row in read_lines(given.winrates)}
    rows = read_lines(given.outputs)
    with tempfile.TemporaryDirectory() as folder:
        whole, together = as_they_are(rows, Path(folder)), between_models(rows, Path(folder))
    cut = openings(rows)
    equal = {name: {metric: at_equal_length(texts, metric) for metric in MEASURES} for name, texts in cut.items()}
    n_cut = len(next(iter(cut.values())))
    print(f"{len(rows)} prompts, {len(cut)} models; first {FIRST} tokens: {n_cut} prompts\n")
    print(
        f"| model | LC win rate, % | length, tokens | rouge1 distance, whole | rouge1 distance, first {FIRST} | distinct 2, first {FIRST} |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for name in sorted(cut, key=lambda name: -quality.get(name, -1)):
        length, far = whole[name]["length"], whole[name]["rouge1_distance"]
        won = f"{quality[name]:.1f}" if name in quality else "–"
        cells = [
            name,
            won,
            number(length.value, 0),
            shown(far),
            *(shown(equal[name][metric]) for metric in ("rouge1_distance", "distinct_2")),
        ]
        print("| " + " | ".join(cells) + " |")
    size = [float(whole[name]["length"].value or 0) for name in cut]
    for what, values in (
        ("whole answers", [float(whole[name]["rouge1_distance"].value or 0) for name in cut]),
        (f"first {FIRST} tokens", [float(equal[name]["rouge1_distance"].value or 0) for name in cut]),
    ):
        print(
            f"\nrank correlation of length and rouge1 distance over models, {what}: {rank_correlation(size, values):.2f}",
            end="",
        )
    print(f"\n\n{given.metric}, first {FIRST} tokens, minus that of {given.against}, paired over prompts:")
    for name in cut:
        if name != given.against:
            print(f"  {name:<28}{shown(difference(cut[name], cut[given.against], given.metric))}")
    print(f"\nword distance between two models' answers to one prompt: {shown(together)}, {together.n} prompts")
    if given.svg is not None:
        given.svg.write_text(
            plane({name: row[given.metric] for name, row in equal.items()}, quality, given.metric), encoding="utf-8"
        )
        print(f"written  {given.svg}")


if __name__ == "__main__":
    main()
