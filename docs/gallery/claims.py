"""Which claims of the papers held on countdown, from run folders: pass@k beside the prior's, coverage, controls, lost answers.

    python docs/gallery/claims.py --study runs/countdown [more folders] [--pairs runs/countdown_pairs] [--write]

Prints the tables of docs/claims.md; ``--write`` puts them into the page and draws its figure. Nothing is trained here.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from claims_answers import diversities, learned_sentence, lost_table
from claims_picture import picture

from breadth.experiments.compare import check_comparable, load_runs
from breadth.experiments.pass_curves import PassCurve, pass_curves
from breadth.laws.lift import lift_from_values
from breadth.laws.multiple import correct_lifts
from breadth.ledger.run import Run
from breadth.records import Estimate, Lift

HERE = Path(__file__).resolve().parent
PAGE, FIGURE = HERE.parent / "claims.md", HERE / "claims.svg"
BASELINE, PRIOR = "dr_grpo", "prior"
LEAST = 3  # seeds of a verdict: two differences can be equal by chance, the numbers being counts over 64 prompts
MARGIN = 0.02  # δ of the equivalence test, in units of a share
METRICS = {"pass@1": "pass_at_1", "pass@8": "pass_at_8", "pass@64": "pass_at_64", "coverage": "solution_coverage"}
WORDS = {"bought": "higher", "lost": "lower"}
Runs = dict[str, list[Run]]
Part = tuple[str, str, str]  # metric, "higher" | "lower" | "not lower" | "the same", against whom


@dataclass(frozen=True)
class Claim:
    """What a paper says of an objective, in parts that a comparison can decide."""

    says: str
    source: str
    label: str
    parts: tuple[Part, ...]


CLAIMS = (
    Claim("reward raises pass@1 and lowers pass@k at large k below the prior's", "Yue et al. 2025, 2504.13837", "dr_grpo",
          (("pass@1", "higher", PRIOR), ("pass@64", "lower", PRIOR))),
    Claim("the same of GRPO", "Yue et al. 2025, 2504.13837", "grpo",
          (("pass@1", "higher", PRIOR), ("pass@64", "lower", PRIOR))),
    Claim("a KL penalty keeps the prior's range at a gain in pass@1", "the usual reason for the penalty", "rlhf",
          (("pass@1", "higher", PRIOR), ("pass@64", "not lower", PRIOR))),
    Claim("quality times diversity raises both", "DARLING, 2509.02534", "darling",
          (("pass@1", "higher", BASELINE), ("pass@64", "higher", BASELINE), ("coverage", "higher", BASELINE))),
    Claim("… with a learned partition too", "DARLING, 2509.02534", "darling_learned",
          (("pass@1", "higher", BASELINE), ("pass@64", "higher", BASELINE), ("coverage", "higher", BASELINE))),
    Claim("rewarding unlikely right answers raises pass@k at large k over GRPO", "unlikeliness, 2506.02355", "unlikeliness",
          (("pass@64", "higher", "grpo"),)),
    Claim("more range at no loss of quality", "QEMPO, 2602.15894", "qempo",
          (("pass@1", "not lower", BASELINE), ("coverage", "higher", BASELINE))),
    Claim("more range at no loss of quality, near the prior", "QEMPO-KL, 2602.15894", "qempo_kl",
          (("pass@1", "not lower", BASELINE), ("coverage", "higher", BASELINE))),
    Claim("mostly negative reinforcement keeps pass@k at every k", "W-REINFORCE, 2506.01347", "w_reinforce",
          (("pass@1", "higher", PRIOR), ("pass@64", "not lower", PRIOR), ("pass@64", "higher", BASELINE))),
    Claim("training for pass@k raises pass@k and keeps pass@1", "pass@k training, 2508.10751", "pass_at_k",
          (("pass@8", "higher", BASELINE), ("pass@1", "not lower", BASELINE))),
    Claim("its optimum is that of RLHF with the same β", "GVPO, 2504.19599", "gvpo",
          (("pass@1", "the same", "rlhf"), ("coverage", "the same", "rlhf"))),
    Claim("a bonus for rarely seen answers raises pass@k at no loss of pass@1", "UCB, 2509.06941", "ucb",
          (("pass@64", "higher", BASELINE), ("pass@1", "not lower", BASELINE))),
    Claim("a penalty for repeats inside the batch raises pass@k at large k", "batch exploration, 2509.06941", "batch_exploration",
          (("pass@64", "higher", BASELINE),)),
    Claim("a fifth of the tokens is enough", "forking tokens, 2506.01939", "forking_tokens",
          (("pass@1", "not lower", BASELINE),)),
    Claim("rare among the good against common among the bad: more range at no loss of quality", "DivPO, 2501.18101", "divpo",
          (("coverage", "higher", BASELINE), ("pass@1", "not lower", BASELINE))),
    Claim("control: a reward that says nothing raises pass@1 as well", "Shao et al. 2025, 2506.10947", "random_reward",
          (("pass@1", "higher", PRIOR),)),
    Claim("control: one training prompt is enough", "Wang et al. 2025, 2504.20571", "one_prompt",
          (("pass@1", "higher", PRIOR), ("pass@1", "not lower", BASELINE))),
    Claim("control: copying the prior's right answers is enough", "rejection sampling", "sft_correct",
          (("pass@1", "higher", PRIOR), ("pass@1", "not lower", BASELINE))),
    Claim("control: copying them evenly keeps the range", "diverse rejection sampling", "sft_diverse",
          (("pass@1", "higher", PRIOR), ("coverage", "not lower", PRIOR))),
)  # fmt: skip


def at_end(run: Run, metric: str) -> float | None:
    """Return a metric at the last step of a run."""
    return run.at(run.steps[-1]).get(metric, {}).get("value")


def differences(runs: Runs, metric: str, against: str, labels: Sequence[str]) -> dict[str, Lift]:
    """Return each label minus ``against`` (another label, or the runs' own prior), paired over seeds, Holm over the labels."""
    found: list[Lift] = []
    for label in labels:
        mine = {run.seed: at_end(run, metric) for run in runs[label]}
        if against == PRIOR:
            other = {run.seed: run.at(0).get(metric, {}).get("value") for run in runs[label]}
        else:
            other = {run.seed: at_end(run, metric) for run in runs.get(against, [])}
        seeds = sorted(mine.keys() & other.keys())
        if seeds:
            found.append(
                lift_from_values(
                    [mine[s] for s in seeds],
                    [other[s] for s in seeds],
                    seeds=seeds,
                    margin=MARGIN,
                    labels=(label, against),
                )
            )
    found = [
        lift if lift.n_seeds >= LEAST else replace(lift, low=None, high=None, p=None, verdict="cannot tell")
        for lift in found
    ]
    return {lift.a: lift for lift in correct_lifts(found)}


def families(runs: Runs) -> dict[tuple[str, str], dict[str, Lift]]:
    """Return the comparisons by (metric, against): with the prior and the baseline for all, with another objective where a claim asks."""
    found = {}
    for name, metric in METRICS.items():
        for against in sorted({part[2] for claim in CLAIMS for part in claim.parts}):
            asked = {c.label for c in CLAIMS if any(part[0] == name and part[2] == against for part in c.parts)}
            labels = [label for label in runs if label != against and (against in (PRIOR, BASELINE) or label in asked)]
            found[name, against] = differences(runs, metric, against, labels)
    return found


def decided(lift: Lift | None, wanted: str, *, corrected: bool = False) -> bool | None:
    """Return whether a comparison shows what a part of a claim says: True, False, or None where it cannot tell.

    "not lower" is shown where the 95 % interval lies above −δ. ``corrected``: after Holm's correction over all lines that are compared with
    the same rival on the same number.
    """
    if lift is None or lift.low is None or lift.high is None:
        return None
    verdict = (lift.verdict_holm if corrected else None) or lift.verdict
    verdict = WORDS.get(verdict, verdict)
    if wanted == "not lower":
        if verdict in ("higher", "the same") or lift.low > -lift.margin:
            return True
        return False if verdict == "lower" else None
    if verdict == "cannot tell":
        return None
    return verdict == wanted


def verdict_of(parts: Sequence[bool | None]) -> str:
    """Return what the parts of a claim say together."""
    if any(part is False for part in parts):
        return "did not hold"
    return "held" if all(parts) else "cannot tell"


def claims_table(runs: Runs, found: Mapping[tuple[str, str], Mapping[str, Lift]]) -> str:
    """Return the claims with their verdicts; those whose runs are not there are left out."""
    rows = ["| claim | source | verdict | after Holm | because |", "|---|---|---|---|---|"]
    for claim in CLAIMS:
        if claim.label not in runs:
            continue
        lifts = [found[metric, against].get(claim.label) for metric, _, against in claim.parts]
        parts, strict = (
            [decided(lift, wanted, corrected=c) for lift, (_, wanted, _) in zip(lifts, claim.parts, strict=True)]
            for c in (False, True)
        )
        why = "; ".join(
            f"{metric} {'≥' if wanted == 'not lower' else wanted} {against}: {_said(lift)}, "
            f"{ {True: 'yes', False: 'no', None: 'cannot tell'}[part] }"
            for lift, part, (metric, wanted, against) in zip(lifts, parts, claim.parts, strict=True)
        )
        rows.append(
            f"| `{claim.label}`: {claim.says} | {claim.source} | **{verdict_of(parts)}** | {verdict_of(strict)} | {why} |"
        )
    return "\n".join(rows)


def _said(lift: Lift | None) -> str:
    if lift is None or lift.value is None:
        return "no runs"
    return f"{lift.value:+.3f}" + ("" if lift.low is None else f" ({lift.low:+.3f} to {lift.high:+.3f})")


def curves_table(curves: Sequence[PassCurve], distinct: Sequence[PassCurve]) -> str:
    """Return pass@k at the ends of training, with the k from which the prior is ahead again."""
    of = {curve.label: curve for curve in distinct}
    last = curves[0].k[-1]
    head = [
        "objective",
        "seeds",
        "pass@1",
        "pass@8",
        f"pass@{last}",
        f"distinct right in {last}",
        "coverage",
        "prior ahead",
    ]
    rows = [f"| {' | '.join(head)} |", "|---|---:|---:|---:|---:|---:|---:|---|"]
    longest = max(curves, key=lambda curve: len(curve.seeds))
    cells = [_cell(longest.prior[longest.k.index(k)]) for k in (1, 8, last) if k in longest.k]
    cells += [_cell(of[longest.label].prior[-1], 2), _cell(longest.coverage[1])]
    rows.append(f"| the prior | {len(longest.seeds)} | {' | '.join(cells)} | |")
    for curve in curves:
        cells = [_cell(curve.value[curve.k.index(k)]) for k in (1, 8, last)]
        ahead = (
            "never" if curve.crossing is None else "always" if curve.crossing <= 1 else f"from k ≈ {curve.crossing:.1f}"
        )
        rows.append(
            f"| `{curve.label}` | {len(curve.seeds)} | {' | '.join(cells)} | {_cell(of[curve.label].value[-1], 2)} | "
            f"{_cell(curve.coverage[0])} | {ahead} |"
        )
    return "\n".join(rows)


def differences_table(runs: Runs, found: Mapping[tuple[str, str], Mapping[str, Lift]], against: str) -> str:
    """Return every objective minus one, for all metrics; in bold what differs after Holm's correction."""
    rows = [f"| objective | seeds | {' | '.join(METRICS)} |", "|---|---:|" + "---|" * len(METRICS)]
    for label in runs:
        lifts = [found[name, against].get(label) for name in METRICS]
        if any(lifts):
            seeds = max(lift.n_seeds for lift in lifts if lift)
            rows.append(f"| `{label}` | {seeds} | {' | '.join(_verdict_cell(lift) for lift in lifts)} |")
    return "\n".join(rows)


def _verdict_cell(lift: Lift | None) -> str:
    if lift is None or lift.value is None:
        return "–"
    verdict = lift.verdict_holm or lift.verdict
    word = WORDS.get(verdict, verdict)
    return f"{_said(lift)} " + (f"**{word}**" if word in WORDS.values() else word)


def _cell(estimate: Estimate, digits: int = 3) -> str:
    if estimate.value is None:
        return "–"
    half = "" if estimate.high is None else f" ± {estimate.high - estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f}{half}"


def budget(runs: Runs) -> str:
    """Return what was run: how many runs, steps, answers learned from, learning rates; and the lines that depart from the rest."""
    n_runs, steps = sum(map(len, runs.values())), next(iter(runs.values()))[0].settings["train"]["steps"]
    counts = ", ".join(
        f"{len(labels)} lines × {n} seeds" for n, labels in sorted(_by_seeds(runs).items(), reverse=True)
    )
    spent = {
        label: (answers_of(members[0]), members[0].settings["train"]["learning_rate"])
        for label, members in runs.items()
    }
    common = max(spent.values(), key=list(spent.values()).count)
    others = [
        f"`{label}` {' and '.join(text for text, own, usual in _differing(mine, common) if own != usual)}"
        for label, mine in spent.items()
        if mine != common
    ]
    rest = f", except {'; '.join(others)}" if others else ""
    return f"{n_runs} runs ({counts}), {steps} steps each. All learn from {common[0]:,} answers at learning rate {common[1]:g}{rest}."


def _differing(mine: tuple[int, float], common: tuple[int, float]) -> list[tuple[str, float, float]]:
    return [(f"from {mine[0]:,} answers", mine[0], common[0]), (f"at {mine[1]:g}", mine[1], common[1])]


def answers_of(run: Run) -> int:
    """Return how many answers a run learned from: its rollouts, or the pool that its pairs or examples were chosen from."""
    train = run.settings["train"]
    pool = run.settings.get("preference") or run.settings.get("sft")
    return pool["prompts"] * pool["samples"] if pool else train["steps"] * train["prompts"] * train["group_size"]


def _by_seeds(runs: Runs) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for label, members in runs.items():
        found.setdefault(len(members), []).append(label)
    return found


def blocks_of(runs: Runs, pairs: Runs) -> dict[str, str]:
    """Return the generated blocks of the page by name."""
    out: dict[str, str] = {}
    if runs:
        found = families(runs)
        out["budget"] = budget(runs)
        out["claims"] = claims_table(runs, found)
        out["curves"] = curves_table(pass_curves(runs), pass_curves(runs, family="distinct"))
        out["baseline"] = differences_table(runs, found, BASELINE)
        out["prior"] = differences_table(runs, found, PRIOR)
        out["lost"] = lost_table(runs)
        learned = [run for run in runs.get("darling_learned", []) if (run.path / "partition.json").is_file()]
        if learned:
            out["learned"] = learned_sentence(learned)
    if pairs:
        out["pairs"] = curves_table(pass_curves(pairs), pass_curves(pairs, family="distinct"))
        out["diversities"] = diversities(pairs)
    return out


def complete(folders: Sequence[Path]) -> Runs:
    """Return the complete runs of some folders by label, those of a study's order first."""
    runs = load_runs(folders) if folders else {}
    kept = {label: [run for run in members if run.complete] for label, members in runs.items()}
    kept = {label: members for label, members in kept.items() if members}
    if kept:
        check_comparable(kept)
    order = [claim.label for claim in CLAIMS]
    return dict(sorted(kept.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


def replaced(page: str, blocks: Mapping[str, str]) -> str:
    """Return a page with each block between its markers ``<!-- NAME -->`` and ``<!-- /NAME -->``; ValueError without them."""
    for name, text in blocks.items():
        mark: Callable[[re.Match[str]], str] = lambda _, n=name, t=text: f"<!-- {n} -->\n{t}\n<!-- /{n} -->"  # noqa: E731
        page, n = re.subn(f"<!-- {name} -->.*?<!-- /{name} -->", mark, page, flags=re.S)
        if n != 1:
            raise ValueError(f"the page: expected one block between <!-- {name} --> and <!-- /{name} -->, found {n}")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, nargs="*", default=[], help="folders of runs from one prior")
    parser.add_argument("--pairs", type=Path, nargs="*", default=[], help="folders of runs that learn from pairs")
    parser.add_argument(
        "--write", action="store_true", help="put the blocks into docs/claims.md, and draw docs/gallery/claims.svg"
    )
    given = parser.parse_args()
    if not given.study and not given.pairs:
        parser.error("give at least one folder of runs")
    runs, pairs = complete(given.study), complete(given.pairs)
    blocks = blocks_of(runs, pairs)
    for name, text in blocks.items():
        print(f"## {name}\n\n{text}\n")
    if given.write:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), blocks), encoding="utf-8")
        if runs:
            FIGURE.write_text(picture(pass_curves(runs)), encoding="utf-8")
        print(f"written  {PAGE}")


if __name__ == "__main__":
    main()
