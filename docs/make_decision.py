"""Write docs/which-objective.md from measured studies:  python docs/make_decision.py [--study FOLDER ...]

With folders, what the page needs is taken from their ``summary.json`` and kept in docs/gallery/data/; without, the page is written again from
what is kept. Every number of the page comes from there; the pictures are drawn by docs/gallery/frontier.py.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breadth.experiments.notation import number, shown

DOCS = Path(__file__).resolve().parent
DATA = DOCS / "gallery" / "data"
STUDIES = ("circle", "objectives", "qed")
KEPT = ("quality", "diversity", "policy_entropy", "distinct_valid")


def excerpt(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page and its pictures need of a study's summary, with the numbers as they are."""
    objectives = {
        label: {
            "title": found["title"],
            "learning_rate": found["settings"]["train"]["learning_rate"],
            "settings": found["settings"]["objective"],
            "seeds": [run["seed"] for run in found["runs"]],
            "final": {name: found["final"].get(name) for name in KEPT},
            "at_quality": found["at_quality"],
        }
        for label, found in summary["objectives"].items()
    }
    curves = {
        label: {name: curve[name] for name in ("quality", "diversity", "low", "high", "n_seeds")}
        for label, curve in summary["frontier"]["curves"].items()
    }
    kept = ("a", "b", "at", "quality", "value", "low", "high", "n_seeds", "margin", "verdict")
    tuning = summary.get("tuning")
    return {
        **{name: summary[name] for name in ("study", "title", "commit", "baseline")},
        "task": summary["task"]["summary"],
        "rollouts": summary["settings"]["train"]["steps"] * summary["settings"]["train"]["prompts"] * summary["settings"]["train"]["group_size"],
        "tuning": None if not tuning else {name: tuning[name] for name in ("at_quality", "budget", "chosen")},
        "objectives": objectives,
        "comparisons": [{name: row[name] for name in kept} for row in summary["comparisons"]],
        "frontier": curves,
    }  # fmt: skip


def kept(study: str) -> dict[str, Any]:
    return json.loads((DATA / f"{study}.json").read_text(encoding="utf-8"))


def cell(estimate: Mapping[str, Any] | None, digits: int = 3) -> str:
    found = shown(estimate, digits=digits)
    return f"{found.text} {found.plus_minus}".strip()


def compared(study: Mapping[str, Any], label: str, at: str) -> Mapping[str, Any] | None:
    """Return the comparison of an objective with the baseline at a place; None for the baseline itself."""
    return next((row for row in study["comparisons"] if row["a"] == label and row["at"] == at), None)


def difference(study: Mapping[str, Any], row: Mapping[str, Any] | None) -> str:
    """Return a verdict with its difference, and how many seeds it rests on where those are not all."""
    if row is None:
        return "baseline"
    if row["value"] is None:
        return f"{row['verdict']}: no seed reached it"
    seeds = len(study["objectives"][row["a"]]["seeds"])
    few = f", {row['n_seeds']} of {seeds} seeds" if row["n_seeds"] < seeds else ""
    ends = f" ({number(row['low'])} to {number(row['high'])})" if row["low"] is not None else ""
    return f"{row['verdict']}, {number(row['value'])}{ends}{few}"


def headline(study: Mapping[str, Any], quality: float) -> str:
    """Return the place of the comparisons that stands nearest to a quality."""
    places = {row["at"]: row["quality"] for row in study["comparisons"] if row["quality"] is not None}
    return min(places, key=lambda at: abs(places[at] - quality))


def table(study: Mapping[str, Any], quality: float) -> str:
    """Return a study as a table, the most distinct answers at the end of the run first."""
    at = headline(study, quality)
    lines = [
        "| objective | learning rate | R at the end | D at the end | distinct valid in 1,000 "
        f"| D at {at.replace('>=', '≥')} against the baseline | D at the end against it |",
        "|---|---:|---:|---:|---:|---|---|",
    ]  # fmt: skip
    for label, found in sorted(
        study["objectives"].items(), key=lambda item: -(item[1]["final"]["distinct_valid"] or {"value": 0})["value"]
    ):
        final = found["final"]
        cells = [f"[{found['title']}](objectives/{label}.md)", f"{found['learning_rate']:g}", cell(final["quality"]), cell(final["diversity"]),
                 cell(final["distinct_valid"], 0), *(difference(study, compared(study, label, place)) for place in (at, "end of run"))]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def titles(study: Mapping[str, Any], verdict: str, at: str) -> str:
    """Return the objectives with that verdict at that place, in words."""
    found = [
        study["objectives"][row["a"]]["title"]
        for row in study["comparisons"]
        if row["at"] == at and row["verdict"] == verdict
    ]
    return ", ".join(found[:-1]) + (" and " if len(found) > 1 else "") + found[-1] if found else "none"


def about(study: Mapping[str, Any]) -> str:
    seeds = max(len(found["seeds"]) for found in study["objectives"].values())
    tuned = (
        f"; learning rates chosen by {study['tuning']['budget']}, on seeds of their own"
        if study["tuning"]
        else "; one learning rate for all"
    )
    return (f"`breadth study {study['study']}`, commit {study['commit']}: {seeds} seeds, {study['rollouts']:,} rollouts a run{tuned}; "
            "± is half of the 95 % Student-t interval over seeds; differences are paired, with their 95 % interval.")  # fmt: skip


def check(holds: bool, claim: str) -> None:
    """Stop where the words of the page would no longer be what was measured."""
    if not holds:
        raise SystemExit(
            f"docs/make_decision.py: the page says that {claim}; the kept studies do not: change its words"
        )


def page() -> str:
    """Return docs/which-objective.md."""
    circle, many, qed = (kept(name) for name in STUDIES)
    plain, tuned = (study["objectives"][study["baseline"]] for study in (circle, many))
    top = headline(circle, 0.97)
    low = headline(many, 0.95)
    target, molecules = many["objectives"]["quality_target"], qed["objectives"]
    drugs = headline(qed, 0.8)

    check(circle["rollouts"] == many["rollouts"], "the circle study and the tuned one have equal rollouts")
    check(
        max(molecules, key=lambda label: molecules[label]["final"]["quality"]["value"]) == "dr_grpo",
        "Dr. GRPO has the highest R on molecules",
    )
    good = {label: found for label, found in molecules.items() if found["final"]["quality"]["value"] >= 0.85}
    check(
        max(good, key=lambda label: good[label]["final"]["distinct_valid"]["value"]) == "darling",
        "DARLING has the most distinct molecules at R 0.85",
    )
    missed = compared(qed, "qempo", "R >= 0.85")
    check(missed is not None and missed["value"] is None, "QEMPO does not reach R 0.85 on molecules")

    def at_end(found: Mapping[str, Any]) -> str:
        final = found["final"]
        return f"R {cell(final['quality'])}, D {cell(final['diversity'])}, {cell(final['distinct_valid'], 0)} distinct valid answers in 1,000"

    def bought(label: str) -> str:
        row = compared(circle, label, top)
        return (
            f"{circle['objectives'][label]['title']} {number(row['value'])} ({number(row['low'])} to {number(row['high'])})"
            if row
            else label
        )

    met, ended = target["final"], many["objectives"]["pass_at_k"]
    rows = (
        (
            "to train long, and not to collapse",
            "[RLHF](objectives/rlhf.md), [QEMPO](objectives/qempo.md)",
            f"at equal rollouts these *bought* D: {titles(many, 'bought', 'end of run')}",
        ),
        (
            "a quality that is met, and the most range there",
            "[quality target](objectives/quality_target.md), `--target-quality`",
            f"asked for R {target['settings']['target']:g} it ended at R {cell(met['quality'])} with D {cell(met['diversity'])}",
        ),
        (
            "many different good molecules",
            "[DARLING](objectives/darling.md) by mean Tanimoto distance",
            at_end(molecules["darling"]),
        ),
        (
            "the widest set at a modest quality",
            "[QEMPO](objectives/qempo.md)",
            f"on molecules {at_end(molecules['qempo'])}; it does not reach R 0.85",
        ),
        (
            "the highest quality, range does not matter",
            "[Dr. GRPO](objectives/dr_grpo.md), [GRPO](objectives/grpo.md)",
            f"on molecules {at_end(molecules['dr_grpo'])}",
        ),
        (
            "pass@k on problems with right answers",
            "[pass@k](objectives/pass_at_k.md), [negative reinforcement](objectives/nsr.md)",
            f"on circles pass@k ended at {at_end(ended)}",
        ),
        ("to stay in TRL or verl", "see [where each runs](support.md)", ""),
        (
            "no reference model in memory",
            "[DARLING](objectives/darling.md), [QEMPO](objectives/qempo.md), [entropy terms](objectives/adaptive_entropy.md)",
            "[needs](support.md) of each: no `seq_logp_ref`",
        ),
    )
    choices = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"""# Which objective should I use?

<!-- Written by docs/make_decision.py from docs/gallery/data/; change that script, not this page. -->

Everything below was measured by studies that come with breadth, on small models. It says what to try first, not what is best on your
model: run `breadth study` or two trainings of your own, and read the verdict.

## 1. Tune the learning rate of what you have

{tuned["title"]} at learning rate {plain["learning_rate"]:g} ended at {at_end(plain)}. At {tuned["learning_rate"]:g}, chosen on seeds of
its own, it ended at {at_end(tuned)}, both after {many["rollouts"]:,} rollouts. At one rate for
all, objectives that keep range *bought* a lot at {top.replace(">=", "≥")}: {bought("rlhf")}, {bought("darling")}, {bought("qempo")} of D. With
a rate chosen for each, at {low.replace(">=", "≥")}, *bought* is the verdict of {titles(many, "bought", low)}; *the same* within
{many["comparisons"][0]["margin"]:g}: {titles(many, "the same", low)}. **If you compare against a baseline whose rate was never
searched, you measure the rate.**

## 2. Then choose by what you need

| you need | first try | what was measured |
|---|---|---|
{choices}

On molecules all had one learning rate, which the first section warns of; beside Dr. GRPO at a slower one, which does better, QEMPO and
DARLING keep a lead, and on lines, each at its own rate, RLHF and QEMPO do so beyond what colder decoding gives
([findings](findings.md#h3-terms-for-diversity-entropy-kl)). Where an oracle reads fragments alone, QEMPO
[floods it with junk](molecule-laws.md#entropy-finds-the-holes-of-an-oracle): look at the molecules.
D at the end of equal rollouts stands at different R: one that
is wider and less good may have learnt less. D at an equal R is the fairer question, the end of the run the more practical one; the tables
below have both.

Where each ends in the limit, on a policy small enough to know: [fixed points](fixed-points.md).

## The evidence

### Circles, each at a learning rate of its own

Task: {many["task"].rstrip(".")}.

![Frontier of ten objectives on circles](gallery/frontier-objectives.svg)

{table(many, 0.95)}

{about(many)}

### Drug-like molecules

Task: {qed["task"].rstrip(".")}.

![Frontier of four objectives on molecules](gallery/frontier-qed.svg)

{table(qed, 0.8)}

{about(qed)} At {drugs.replace(">=", "≥")} the baseline is {molecules[qed["baseline"]]["title"]}.

## Make such a page for your own task

    breadth study my-study.toml                       # objectives × seeds
    breadth compare runs/my-study --baseline dr_grpo  # bought, lost, the same, cannot tell
    breadth report runs/my-study                      # the frontier as a page
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, nargs="*", default=[], help="folders of studies")
    for folder in parser.parse_args().study:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        if summary["study"] not in STUDIES:
            raise SystemExit(f"{folder}: expected a study called {', '.join(STUDIES)}, got {summary['study']!r}")
        text = json.dumps(excerpt(summary), ensure_ascii=False, indent=1)
        DATA.mkdir(exist_ok=True)
        (DATA / f"{summary['study']}.json").write_text(text + "\n", encoding="utf-8")
    (DOCS / "which-objective.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
