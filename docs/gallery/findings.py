"""H1, H2 and H3 from run folders: does anything but the objective move quality against diversity?

    python docs/gallery/findings.py --circle runs/circle --objectives runs/objectives --rest runs/objectives_rest --qed runs/qed
        [--transforms runs/transform] [--graded runs/graded] [--qed-claims runs/qed_claims] [--qed-tuned runs/qed_tuned]
        [--line runs/line] [--line-tuned runs/line_tuned] [--json findings.json]

Prints the tables of docs/findings.md. A hypothesis without its folders is left out and said. Nothing is trained here.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from breadth.experiments.compare import compare_frontiers, compare_runs, load_runs
from breadth.experiments.decoding import compare_envelopes, read_sweep
from breadth.experiments.law_questions import pool_runs
from breadth.ledger.run import Run

#: estimators of one reward, without a term for diversity, entropy or KL; the baseline first
ESTIMATORS = ("dr_grpo", "reinforce", "rloo", "gspo", "cispo", "dapo", "ppo_clip")
#: objectives with such a term, by study; each against the study's plain objective
WITH_TERM = {
    "objectives": (
        "dr_grpo",
        ("rlhf", "reinvent", "darling", "qempo", "quality_target", "ucpo", "pass_at_k", "w_reinforce"),
    ),
    "circle": ("dr_grpo", ("rlhf", "darling", "qempo")),
    "qed": ("dr_grpo", ("reinvent", "darling", "qempo")),
    "line": ("dr_grpo", ("rlhf", "darling", "qempo")),
    "line-tuned": ("dr_grpo", ("rlhf", "darling", "qempo")),
    "qed-tuned": ("dr_grpo", ("reinvent", "darling", "qempo")),
}
#: the quality at which D is read where it is not 0.95
AT = {"qed": (0.8,), "qed-tuned": (0.7, 0.8), "line": (0.9, 0.95), "line-tuned": (0.9, 0.95)}  # fmt: skip
#: what differs from Dr. GRPO in the studies ablations/claims-line and ablations/claims-qed, by hypothesis
CLAIMS = {
    "H1 estimators": ("grpo", "rloo", "reinforce"),
    "H1 learning rate": ("rate_5e-4", "rate_1e-3"),
    "H2 transforms": ("half", "square"),
}
Runs = dict[str, list[Run]]


@dataclasses.dataclass(frozen=True)
class Line:
    """One comparison: the mean of D over the common range of quality, and D at one quality; intervals are paired over seeds."""

    hypothesis: str
    study: str
    method: str
    baseline: str
    n_seeds: int
    quality: tuple[float, float] | None  # the common range
    area: float | None
    low: float | None
    high: float | None
    verdict: str  # after Holm's correction within the family
    seeds_for_margin: int | None
    at: str
    at_value: float | None
    at_low: float | None
    at_high: float | None
    at_verdict: str


def choose(runs: Runs, labels: Sequence[str], *, seeds: Sequence[int] | None = None) -> Runs:
    """Return some objectives, complete runs only, in the order named."""
    found = {
        label: [r for r in runs.get(label, []) if r.complete and (seeds is None or r.seed in seeds)] for label in labels
    }
    return {label: members for label, members in found.items() if members}


def renamed(runs: Sequence[Run], label: str) -> list[Run]:
    """Return the same runs under another label."""
    return [dataclasses.replace(run, settings={**run.settings, "label": label}) for run in runs]


def up_to(runs: Sequence[Run], step: int) -> list[Run]:
    """Return the runs as they were at a step."""
    found = []
    for run in runs:
        settings = {**run.settings, "train": {**run.settings["train"], "steps": step}}
        found.append(dataclasses.replace(run, rows=[row for row in run.rows if row["step"] <= step], settings=settings))
    return found


def lines(hypothesis: str, study: str, runs: Runs, at: float) -> list[Line]:
    """Return each objective against the first one."""
    if len(runs) < 2:
        return []
    baseline = next(iter(runs))
    tests = {test.a: test for test in compare_frontiers(runs, baseline=baseline)}
    lifts = {lift.a: lift for lift in compare_runs(runs, baseline=baseline, at_quality=(at,)) if lift.quality == at}
    out = []
    for label in list(runs)[1:]:
        test, lift = tests[label], lifts[label]
        area = test.area
        out.append(
            Line(
                hypothesis, study, label, baseline, test.n_seeds,
                (test.quality[0], test.quality[-1]) if test.quality else None,
                *((area.value, area.low, area.high) if area else (None,) * 3),
                (area.verdict_holm or area.verdict) if area else "cannot tell",
                area.seeds_for_margin if area else None,
                lift.at, lift.value, lift.low, lift.high, lift.verdict_holm or lift.verdict,
            )
        )  # fmt: skip
    return out


def answer(found: Sequence[Line], *, moves: bool) -> str:
    """Return what a family of comparisons says of "it moves R–D" (``moves`` True) or of "it does not".

    One comparison that differs (after Holm) is enough for "it moves"; "it does not" needs every comparison to be the same within the margin.
    """
    verdicts = [line.verdict for line in found] + [line.at_verdict for line in found]
    if not verdicts:
        return "cannot tell (no runs)"
    moved = any(v in ("bought", "lost") for v in verdicts)
    if moved:
        return "yes" if moves else "no"
    if all(v == "the same" for v in verdicts):
        return "no" if moves else "yes"
    return "cannot tell"


def table(found: Sequence[Line]) -> str:
    """Return the comparisons as a Markdown table."""
    rows = [
        "| study | method | against | seeds | mean D, A − B, over R | verdict | D at one R | verdict |",
        "|---|---|---|---:|---|---|---|---|",
    ]
    for x in found:
        over = "" if x.quality is None else f" over {x.quality[0]:.2f} to {x.quality[1]:.2f}"
        rows.append(
            f"| {x.study} | {x.method} | {x.baseline} | {x.n_seeds} | {_cell(x.area, x.low, x.high)}{over} | {x.verdict} | "
            f"{x.at}: {_cell(x.at_value, x.at_low, x.at_high)} | {x.at_verdict} |"
        )
    return "\n".join(rows)


def _cell(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:+.3f}" + ("" if low is None or high is None else f" ({low:+.3f} to {high:+.3f})")


def hypotheses(folders: dict[str, Path]) -> dict[str, list[Line]]:
    """Return the comparisons of each hypothesis from the folders that are there."""
    runs = {name: load_runs([path]) for name, path in folders.items()}
    found: dict[str, list[Line]] = {"H1 estimators": [], "H1 learning rate": [], "H2 transforms": [], "H3 terms": []}
    if "rest" in runs:
        found["H1 estimators"] += lines("H1", "objectives_rest, one rate", choose(runs["rest"], ESTIMATORS), 0.95)
    if "objectives" in runs:
        found["H1 estimators"] += lines(
            "H1", "objectives, tuned", choose(runs["objectives"], ("dr_grpo", "grpo")), 0.95
        )
    if "objectives" in runs and "circle" in runs:
        fast = runs["circle"].get("dr_grpo", [])
        seeds = [run.seed for run in fast]
        slow = [run for run in runs["objectives"].get("dr_grpo", []) if run.seed in seeds]
        if fast and slow:
            rates = [f"rate {group[0].settings['train']['learning_rate']:g}" for group in (fast, slow)]
            pair = {rates[0]: renamed(fast, rates[0]), rates[1]: renamed(slow, rates[1])}
            found["H1 learning rate"] += lines("H1", "circle", pair, 0.95)
    if "transforms" in runs and "circle" in runs:
        pair = {"plain": renamed(runs["circle"]["dr_grpo"], "plain")}
        for run in (run for members in runs["transforms"].values() for run in members if run.complete):
            how = run.settings["train"]["reward_transform"]
            pair.setdefault(how, []).extend(renamed([run], how))
        found["H2 transforms"] += lines("H2", "circle", pair, 0.95)
    if "graded" in runs:
        some = choose(runs["graded"], ["plain", *(k for k in runs["graded"] if k != "plain")])
        found["H2 transforms"] += lines("H2", "circle, graded reward", some, 0.95)
    for name, labels in CLAIMS.items():
        for study in ("line", "line-tuned", "qed-tuned"):
            for at in AT[study] if study in runs else ():
                found[name] += lines(name[:2], study, choose(runs[study], ("dr_grpo", *labels)), at)
        if "qed-claims" in runs:
            some = choose(runs["qed-claims"], labels)
            last = min((run.steps[-1] for members in some.values() for run in members), default=0)
            plain = runs["qed-claims"].get("dr_grpo") or up_to(runs["qed"]["dr_grpo"], last)
            found[name] += lines(name[:2], f"qed, {last} steps", {"dr_grpo": plain, **some}, 0.8)
    for study, (plain, others) in WITH_TERM.items():
        if study in runs:
            for at in AT.get(study, (0.95,)):
                found["H3 terms"] += lines("H3", study, choose(runs[study], (plain, *others)), at)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in (
        "circle",
        "objectives",
        "rest",
        "qed",
        "transforms",
        "graded",
        "qed-claims",
        "qed-tuned",
        "line",
        "line-tuned",
    ):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--json", type=Path)
    given = {k.replace("_", "-"): v for k, v in vars(parser.parse_args()).items() if v is not None}
    out = given.pop("json", None)
    if not given:
        parser.error("give at least one folder of runs")
    found = hypotheses(given)
    extra: dict[str, Any] = {}
    for name, rows in found.items():
        moves = name.startswith("H3")
        claim = "moves R–D" if moves else "leaves R–D where it is"
        print(f"## {name}: {claim}? {answer(rows, moves=moves)}\n\n{table(rows) if rows else 'No runs were given.'}\n")
    own = ("dr_grpo", *CLAIMS["H1 estimators"])
    pools = {"rest": ESTIMATORS[:-1], **dict.fromkeys(("line", "line-tuned", "qed-claims", "qed-tuned"), own)}
    for study, labels in [*pools.items(), *((name, (plain, *others)) for name, (plain, others) in WITH_TERM.items())]:
        some = choose(load_runs([given[study]]), labels) if study in given and study != "objectives" else {}
        if len(some) > 1:
            pooled = pool_runs(some, "objectives", n_boot=0)
            extra[f"one curve, {study}: {', '.join(some)}"] = [
                {"law": row["law"], **_plain(row["pooled"])} for row in pooled
            ]
            for row in pooled:
                one = row["pooled"]
                print(f"one curve for {', '.join(some)} ({study}), {row['law']}: {one.verdict}: {one.reason}")
    for study in ("circle", "line", "line-tuned", "qed"):
        runs = load_runs([given[study]]) if study in given else {}
        base = runs.get("dr_grpo", [])
        if base and all(read_sweep(run.path) for run in base):
            at = (0.7, 0.8) if study == "qed" else (0.9, 0.95)
            wanted = choose(runs, ("dr_grpo", *WITH_TERM[study][1]))
            envelopes = compare_envelopes(wanted, baseline="dr_grpo", at_quality=at)
            extra[f"envelopes, {study}"] = [dataclasses.asdict(one) for one in envelopes]
            print(f"\n## The envelope of the baseline's decoding sweep, {study}\n")
            for one in envelopes:
                print(f"- {one.verdict}: {one.sentence}")
    if out:
        kept = {name: [dataclasses.asdict(row) for row in rows] for name, rows in found.items()}
        out.write_text(json.dumps({"hypotheses": kept, **extra}, indent=1, default=str) + "\n")


def _plain(value: Any) -> dict[str, Any]:
    return (
        {k: v for k, v in vars(value).items() if isinstance(v, str | int | float | None)}
        if hasattr(value, "__dict__")
        else {}
    )


if __name__ == "__main__":
    main()
