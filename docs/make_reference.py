"""Write one page for each metric and law of the catalogue:  python docs/make_reference.py

What a page says comes from the docstring and from calls that are run while it is written. Pages of metrics that need an extra which is not
installed are left as they are; the last line names them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from breadth import catalogue
from breadth.catalogue import Entry
from breadth.laws.curves import CURVES, theory_curve
from breadth.laws.fit import fit_law
from breadth.laws.intervals import interval_kind

DOCS = Path(__file__).resolve().parent
ROLE = re.compile(r":[a-z]+:`([^`]+)`")


def script(path: Path) -> Any:
    """Return a script beside this one as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXAMPLES = script(DOCS / "make_reference_examples.py").EXAMPLES
SHOWN = script(DOCS / "gallery" / "laws.py").SHOWN


def markdown(docstring: str) -> str:
    """Return a numpy-style docstring as Markdown: sections become headings, their arguments a list; examples stay code."""
    text = (
        ROLE.sub(lambda m: f"`{m[1]}`", inspect.cleandoc(docstring))
        .replace("``", "`")
        .replace("*", "\\*")
        .replace("<", "&lt;")
    )
    text = re.sub(r"`[^`]*`", lambda m: m[0].replace("\\*", "*").replace("&lt;", "<"), text)
    out: list[str] = []
    lines = text.split("\n")
    section = ""
    for i, line in enumerate(lines):
        following = lines[i + 1] if i + 1 < len(lines) else ""
        if re.fullmatch(r"-{3,}", line.strip()):
            continue
        if re.fullmatch(r"-{3,}", following.strip()) and line.strip():
            section = line.strip()
            if section != "Examples":
                out += ["", f"**{section}**", ""]
        elif section == "Examples":
            continue  # the page has an example of its own
        elif re.match(r"(Source|Departures):", line):
            section = ""
            out += ["", line]
        elif section in ("Parameters", "Raises", "Returns") and line and not line.startswith(" "):
            name, colon, kind = line.partition(" : ")
            shown = f"`{name.replace(chr(92), '')}`" if section != "Returns" else line
            out.append(f"- {shown}" + (f" ({kind}):" if colon and section != "Returns" else ":"))
        else:
            out.append(
                f"  {line.strip()}" if section in ("Parameters", "Raises", "Returns") and line.strip() else line.strip()
            )
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip()


def said_of(name: str, docstring: str) -> str:
    """Return the items of a docstring's lists that name a metric, the lines that continue them included."""
    items = re.split(r"\n(?=\s*- )", inspect.cleandoc(docstring))
    found = [
        re.sub(r"\s+", " ", item.split("\n\n")[0]).strip()
        for item in items[1:]
        if f"``{name}``" in item.split("\n\n")[0]
    ]
    return markdown("\n".join(found))


def number(value: Any) -> str:
    return "None" if value is None else f"{float(value):.4g}"


def metric_page(entry: Entry) -> str | None:
    """Return the page of a metric; None where an extra is missing."""
    if entry.name not in EXAMPLES:
        raise ValueError(
            f"docs/make_reference_examples.py: no example for the metric {entry.name!r}; add one to EXAMPLES"
        )
    setup, expression = EXAMPLES[entry.name]
    names: dict[str, Any] = {}
    try:
        exec(setup, names)
        found = {side: eval(expression, names | {"x": names[side], "name": side}) for side in ("narrow", "wide")}
        target = catalogue.resolve(entry)
    except ImportError:
        return None
    lines = [
        f"# {entry.name}",
        "",
        f"{entry.summary[0].upper()}{entry.summary[1:]}." + (f" Source: {entry.source}." if entry.source else ""),
        "",
    ]
    if callable(target) and target.__name__ == entry.name:
        signature = re.sub(r"(: |-> )'([^']+)'", r"\1\2", str(inspect.signature(target)))
        if len(signature) > 70:
            signature = (
                re.sub(r", (?=\*|\w+:)", ",\n    ", signature).replace("(", "(\n    ", 1).replace(") ->", ",\n) ->")
            )
        lines += ["```text", f"{target.__module__}.{entry.name}{signature}", "```", "", markdown(target.__doc__ or "")]
    else:
        where = "breadth.metrics.measure:measure_sets" if inspect.ismodule(target) else entry.target
        function = catalogue.resolve(Entry("metric", entry.name, entry.title, where, entry.summary))
        said = said_of(entry.name, function.__doc__ or "")
        lines += [
            f"A row of the ledger ([formats](../formats.md)), made by `{where.replace(':', '.')}` for every checkpoint:",
            "",
            said,
        ]
    values = ", ".join(f"{side} {number(value)}" for side, value in found.items())
    direction = {
        1: "Here it is higher for the wide set.",
        -1: "Here it is lower for the wide set.",
        0: "It does not tell these two apart.",
    }
    if None in found.values():
        sign = "One of the two has nothing to compare."
    else:
        sign = direction[int(np.sign(round(float(found["wide"]) - float(found["narrow"]), 9)))]
    block = [
        setup.rstrip(),
        "",
        'for name, x in (("narrow", narrow), ("wide", wide)):',
        f"    print(name, {expression})",
    ]
    lines += [
        "",
        "## A narrow and a wide set of answers",
        "",
        "```python",
        *block,
        "```",
        "",
        f"Gives: **{values}**. {sign}",
    ]
    lines += ["", "What confounds it, and how it is compared fairly: [measures of text](../metrics.md)." if entry.name not in LEDGER_ONLY else
              "What a checkpoint's rows mean, with units and errors: [formats](../formats.md)."]  # fmt: skip
    return "\n".join(lines) + "\n"


LEDGER_ONLY = {name for name, (_, expression) in EXAMPLES.items() if expression.startswith("row(")}


def law_page(entry: Entry) -> str:
    """Return the page of a law: formula, picture, and what a fit of its own points gives."""
    x_name, y_name, settings = SHOWN[entry.name]
    curve = theory_curve(1.0) if entry.name == "theory" else CURVES[entry.name]
    numbers = settings[0]
    arguments = ", ".join(f"{name}={value:g}" for name, value in numbers.items())
    draws = "" if interval_kind(curve) == "profile" else ", n_boot=200"
    code = f"""import numpy as np
from breadth import fit_law
from breadth.laws.curves import {entry.name}

x = np.linspace(0.1, 0.9, 26)
y = {entry.name}(x, {arguments}) + 0.003 * np.random.default_rng(0).standard_normal(26)
fit = fit_law(y, x, form="{entry.name}", x_name="{x_name}", y_name="{y_name}"{draws})
print(fit.verdict, fit.reason)
for name, found in fit.params.items():
    print(name, found.value, found.low, found.high)"""
    names: dict[str, Any] = {"fit_law": fit_law}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, names)
    fit = names["fit"]
    direction = {-1: "falls", 1: "rises", 0: "falls or rises"}[curve.direction]
    shape = "the shape" if curve.axes(names["x"]) else "none: least squares has a closed form"
    searched = f"`{curve.steepness}`" if curve.steepness else shape
    lines = [
        f"# {entry.name}", "", f"**{curve.describe(x_name, y_name)}** · {entry.summary}" + (f" · {entry.source}" if entry.source else ""), "",
        f"![{entry.name}: three curves](../gallery/laws/{entry.name}.svg)", "", markdown(catalogue.resolve(entry).__doc__ or ""), "",
        "| of the curve | |", "|---|---|", f"| parameters | {', '.join(f'`{p}`' for p in curve.params)} |",
        f"| nonlinear, searched over a grid and refined | {searched} |",
        f"| direction | {direction} with {x_name} |", f"| needs x > 0 | {'yes' if curve.needs_positive_x else 'no'} |", "",
        "## Fitted to points of its own, with noise of 0.003", "", "```python", code, "```", "",
        f"| parameter | put in | found | 95 % interval ({fit.interval}) |",
        "|---|---:|---:|---|",
    ]  # fmt: skip
    for name, found in fit.params.items():
        ends = " to ".join("open" if end is None else f"{end:.4g}" for end in (found.low, found.high))
        lines.append(
            f"| `{name}` | {numbers[name]:g} | {number(found.value)} | {ends} |"
            if name in numbers
            else f"| `{name}` | – | {number(found.value)} | {ends} |"
        )
    lines += ["", f"Verdict: **{fit.verdict}**" + (f" ({fit.reason})" if fit.reason else "") + ".", ""]
    lines += ["`fit.rivals` holds the other forms on the same points.", ""]
    lines.append(
        f"On a run: `breadth fit RUN --form {entry.name}`. How verdicts are reached: [laws and frontiers](../laws.md)."
    )
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str | None]:
    """Return every page by its path under docs/; None where an extra is missing."""
    found: dict[str, str | None] = {
        f"metrics/{name}.md": metric_page(entry) for name, entry in catalogue.entries("metric").items()
    }
    return found | {f"laws/{name}.md": law_page(entry) for name, entry in catalogue.entries("law").items()}


def main() -> None:
    left = []
    for path, text in pages().items():
        (DOCS / path).parent.mkdir(exist_ok=True)
        if text is None:
            left.append(path)
        else:
            (DOCS / path).write_text(text, encoding="utf-8")
    print("written", *([f"left as they were, an extra is missing: {', '.join(left)}"] if left else []))


if __name__ == "__main__":
    main()
