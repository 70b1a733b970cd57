"""Measurements of files of generations on the terminal: a table by step, a table of differences, a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from breadth.experiments.collapse import CollapseVerdict
from breadth.experiments.generation_measures import measure_named
from breadth.experiments.generations import FileMeasurement
from breadth.experiments.notation import DASH, VERDICTS, number
from breadth.experiments.over_prompts import Difference
from breadth.metrics.conditions import TextMeasurement

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_STYLES = {"good": "green", "bad": "red", "even": "cyan", "open": "yellow"}
_SHOWN_STEPS = 12  # rows of a table on a terminal; a run of thousands of steps shows these, evenly spaced


def measurement_table(measured: FileMeasurement, *, metrics: Sequence[str] | None = None) -> Table:
    """Return the table of a file: one column for each step (few steps) or one row for each step (many).

    Parameters
    ----------
    measured : FileMeasurement
    metrics : names, optional
        Which to show, in this order. None: all.

    Raises
    ------
    ValueError
        A metric that was not measured.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    names = list(measured.metrics if metrics is None else metrics)
    for name in names:
        measured.place(name)
    # Text, not markup: a file name such as "[red]" is shown as it is
    caption = Text(f"mean over prompts, 95 % interval below it; {settings_sentence(measured)}; {DASH} not known")
    table = Table(title=Text(measured.label, style="bold"), caption=caption, box=SIMPLE_HEAD, pad_edge=False)
    table.title_justify = table.caption_justify = "left"
    found = {(step, row.metric): row for step, row in measured.rows}
    if len(measured.steps) <= 2:
        table.add_column("measure")
        for step in measured.steps:
            table.add_column("value" if step is None else f"step {step}", justify="right")
        table.add_column("prompts" if measured.dealt == "prompt" else "blocks", justify="right")
        table.add_column("what it is")
        for name in names:
            cells = [_cell(found[step, name]) for step in measured.steps]
            n = found[measured.steps[-1], name].n
            table.add_row(name, *(Text(cell) for cell in cells), str(n), measure_named(name).summary)
        return table
    table.add_column("step", justify="right")
    for name in names:
        table.add_column(name.replace("_", "\n"), justify="right")
    for step in _some(measured.steps):
        table.add_row(DASH if step is None else str(step), *(Text(_cell(found[step, name])) for name in names))
    return table


def settings_sentence(measured: FileMeasurement) -> str:
    """Return what the numbers rest on: k, token budget, tokenizer, scope, seed, and how the answers were drawn."""
    words = [f"k = {measured.k}", f"{measured.token_budget:,} tokens a group" if measured.token_budget else "no token budget"]
    words += [f"tokenizer {measured.tokenizer}", measured.scope.replace("_", " "), f"seed {measured.seed}"]
    if measured.conditions:
        words.append("drawn with " + "; ".join(measured.conditions))
    return "; ".join(words)


def difference_table(differences: Sequence[Difference], *, a: str, b: str) -> Table:
    """Return the table of the differences A − B with their verdicts."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    n = max((one.n for one in differences), default=0)
    paired = any(one.paired for one in differences)
    how = f"{'paired over' if paired else 'unpaired:'} up to {n} prompts, 95 % bootstrap interval; one file is one run"
    table = Table(title=Text(f"{a} − {b}", style="bold"), caption=Text(how), box=SIMPLE_HEAD, pad_edge=False)
    table.title_justify = table.caption_justify = "left"
    table.add_column("measure")
    for heading in (a, b, "A − B", "95 % interval"):
        table.add_column(Text(heading), justify="right")
    table.add_column("A against B")
    for one in differences:
        interval = DASH if one.low is None else f"{number(one.low)} to {number(one.high)}"
        table.add_row(one.metric, number(one.a), number(one.b), number(one.value), interval, _verdict(one))
    return table


def verdict_text(verdict: CollapseVerdict, *, width: int = 160) -> Text:
    """Return the verdict, and the prompts that lost most with their answers before and after, each on one line."""
    from rich.text import Text

    tone = {"Yes": "red", "No": "green"}.get(verdict.answer, "yellow")
    text = Text("Is my run collapsing? ", style="bold") + Text(verdict.sentence, style=tone)
    for lost in verdict.lost:
        text.append(f"\n\nprompt  {_line(lost.prompt, width)}\n", style="bold")
        values = f"{number(lost.before)} → {number(lost.after)}"
        text.append(f"        {verdict.metric} {values}")
        for step, answers in ((lost.step_before, lost.answers_before), (lost.step_after, lost.answers_after)):
            for answer in answers:
                text.append(f"\n  {f'step {step}':>10}  {_line(answer, width)}")
    return text


def markdown(measured: FileMeasurement) -> str:
    """Return the last step of a file as a GitHub-flavoured Markdown table, with the notes below it."""
    last = [row for step, row in measured.rows if step == measured.steps[-1]]
    lines = ["| measure | value | 95 % interval | prompts | what it is |", "|---|---:|---:|---:|---|"]
    for row in last:
        interval = DASH if row.low is None else f"{number(row.low)} to {number(row.high)}"
        lines.append(f"| {row.metric} | {number(row.value)} | {interval} | {row.n} | {measure_named(row.metric).summary} |")
    return "\n".join([*lines, "", *(f"- {note}" for note in measured.notes)]) + "\n"


def _verdict(one: Difference) -> Text:
    from rich.text import Text

    if measure_named(one.metric).sign:
        return Text(one.verdict, style=_STYLES[VERDICTS[one.verdict][1]])
    # of quality or length, "bought" would say the wrong thing
    return Text({"bought": "higher", "lost": "lower"}.get(one.verdict, one.verdict))


def _cell(row: TextMeasurement) -> str:
    if row.value is None:
        return DASH
    if row.low is None or row.high is None:
        return number(row.value)
    between = "–" if row.low >= 0 else " to "  # a dash before a minus sign cannot be read
    return f"{number(row.value)}\n{number(row.low)}{between}{number(row.high)}"


def _some(steps: Sequence[int | None]) -> list[int | None]:
    if len(steps) <= _SHOWN_STEPS:
        return list(steps)
    last = len(steps) - 1
    return [steps[round(place * last / (_SHOWN_STEPS - 1))] for place in range(_SHOWN_STEPS)]


def _line(text: str, width: int) -> str:
    flat = " ".join(text.split()) or "(empty)"
    return flat if len(flat) <= width else f"{flat[: width - 1]}…"
