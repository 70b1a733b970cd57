"""A study folder as a real one looks on disk, made from formulas in a second: no training, equal bytes every time."""

from __future__ import annotations

import json
import math
from hashlib import sha256
from pathlib import Path

import numpy as np
from synthetic_samples import N_SETS, SET_SIZE, write_samples

STEPS, EVERY = 250, 10
QUALITIES = (0.9, 0.95, 0.8)

# label -> (title, final R, final D, rate of R, verdicts of the R-D and R-H laws)
OBJECTIVES = {
    "dr_grpo": ("Dr. GRPO", 0.998, 0.010, 45.0, "does not hold", "holds"),
    "rlhf": ("RLHF", 0.965, 0.720, 55.0, "holds", "holds"),
    "darling": ("DARLING", 0.984, 0.830, 50.0, "holds", "holds"),
    "qempo": ("QEMPO", 0.959, 0.975, 70.0, "cannot tell", "does not hold"),
}
METRICS = [
    "quality",
    "quality_parsable",
    "parsable_share",
    "valid_share",
    "unique_share",
    "correct_share",
    "diversity",
    "diversity_valid",
    "diversity_undirected",
    "diversity_undirected_valid",
    "diversity_pattern",
    "diversity_pattern_valid",
    "diversity_unique",
    "distinct_valid",
    "policy_entropy",
    "token_entropy",
    "sequence_entropy",
    "kl_prior",
    "length",
]


EVENTS = [
    {
        "event": "started",
        "step": 0,
        "python": "3.11.2",
        "packages": {"torch": "2.8.0", "numpy": "2.4.6"},
        "cores": 2,
        "processor": "a processor",
    },
    {"event": "refused", "step": 7, "reason": "the loss is not finite"},
]


def make_study(
    folder: Path, *, seeds: int = 3, labels: tuple[str, ...] = tuple(OBJECTIVES), samples: bool = True
) -> dict:
    """Write a study's runs and ``summary.json`` into ``folder`` and return the summary."""
    objectives = {label: _objective(folder, label, range(seeds), samples) for label in labels}
    summary = {
        "breadth": "0.1.0",
        "study": "circle",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "command": "breadth study circle",
        "task": {
            "name": "circle",
            "summary": "edge lists that form one simple cycle over exactly 6 of 15 vertices",
            "quality": "1 where the edges form such a cycle, else 0",
            "parsable": "an even number of vertex tokens",
            "valid": "quality 1",
            "distances": {
                "directed": "Jaccard distance of labelled directed edge sets",
                "undirected": "the same without direction",
            },
            "correct_at": 1.0,
            "max_tokens": 12,
            "end_token": False,
            "source": "Nagarajan et al. 2025",
            "notes": [],
        },
        "settings": {
            "task": {"name": "circle", "vertices": 15, "edges": 6},
            "steps": STEPS,
            "group": 128,
            "seeds": list(range(seeds)),
        },
        "prior": {
            "hash": "a1b2c3d4",
            "from_cache": True,
            "seconds": 101.2,
            "parameters": 150_000,
            "quality": {"value": 0.28, "error": 0.014, "n": 1000},
            "diversity": {"value": 0.985, "error": 0.001, "n": 990},
            "policy_entropy": {"value": 1.9, "error": 0.01, "n": 1000},
        },
        "metrics": {
            "quality": "quality",
            "diversity": "diversity",
            "entropy": "policy_entropy",
            "frontier_diversity": "diversity_valid",
        },
        "objectives": objectives,
        "comparisons": _comparisons(objectives),
        "frontier": {
            "metric": "diversity_valid",
            "curves": {label: _frontier(folder, objectives[label]) for label in labels},
        },
        "verdict": "At R ≥ 0.95, DARLING bought diversity over Dr. GRPO; of RLHF and QEMPO three seeds cannot tell.",
        "seconds": {"prior": 0.4, "runs": 143.7, "analysis": 9.1, "total": 153.2},
    }
    (folder / "summary.json").write_text(json.dumps(summary, allow_nan=False))
    return summary


def paths(label: str, seed: int, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return R, D and H of a run over its steps: both laws hold up to noise where the objective's verdict says so."""
    _, r_end, d_end, rate, law, _ = OBJECTIVES[label]
    rng = np.random.default_rng([sorted(OBJECTIVES).index(label), seed])
    r = 0.28 + (r_end - 0.28) * (1 - np.exp(-steps / (rate * rng.uniform(0.9, 1.1))))
    b, c = r_end + 0.02, exponent(label)
    d = 0.985 - np.log((b - 0.28) / (b - r)) / c
    if law != "holds":  # diversity falls late and by itself
        d = 0.985 - (0.985 - d_end) / (1 + np.exp(-(steps - 140 * rng.uniform(0.85, 1.15)) / 22))
    h = 1.9 - np.log((1.08 - 0.28) / (1.08 - r)) / 1.3
    noise = rng.normal(0, 1, (3, len(steps)))
    return (
        np.clip(r + 0.006 * noise[0], 0, 1),
        np.clip(d + 0.004 * noise[1], 0, 1),
        np.clip(h + 0.02 * noise[2], 0, None),
    )


def exponent(label: str) -> float:
    """Return c of the R-D law that leads from the prior to the objective's final R and D."""
    _, r_end, d_end, *_ = OBJECTIVES[label]
    return math.log((r_end + 0.02 - 0.28) / 0.02) / (0.985 - d_end)


def _objective(folder: Path, label: str, seeds: range, samples: bool) -> dict:
    title, r_end, d_end, _, rd, rh = OBJECTIVES[label]
    runs = []
    for seed in seeds:
        home = f"runs/{label}/seed-{seed}"
        steps = np.arange(0, STEPS + 1, EVERY)
        r, d, h = paths(label, seed, steps)
        (folder / home).mkdir(parents=True)
        _write_lines(folder / home / "ledger.jsonl", _ledger(label, seed, steps, r, d, h))
        _write_lines(folder / home / "steps.jsonl", _training(label, seed))
        _write_lines(folder / home / "events.jsonl", EVENTS)
        if samples:
            write_samples(folder / home / f"samples/step-{STEPS:06d}.parquet", STEPS, seed, r[-1], d[-1])
        final = {
            name: {"value": float(value[-1]), "error": 0.004, "n": N_SETS * SET_SIZE, "unit": ""}
            for name, value in (("quality", r), ("diversity", d), ("policy_entropy", h), ("diversity_valid", d))
        }
        at = [_matched(q, steps, r, d) for q in QUALITIES]
        fits = {"R-D": fit("R-D", d, r, rd, exponent(label)), "R-H": fit("R-H", h, r, rh), "H-D": fit("H-D", d, h, rd)}
        runs.append(
            {
                "seed": seed,
                "path": home,
                "steps": STEPS,
                "complete": True,
                "seconds": 20.4 + seed,
                "final": {"step": STEPS, **final},
                "at_quality": at,
                "fits": fits,
                "composition": COMPOSITION,
            }
        )
    pooled = [
        np.concatenate(parts)
        for parts in zip(*(paths(label, s, np.arange(0, STEPS + 1, EVERY)) for s in seeds), strict=True)
    ]
    return {
        "kind": label,
        "title": title,
        "settings": {"kind": label, "learning_rate": 2e-3, "floor": 0.1 if label == "darling" else None},
        "source": "arXiv:2503.20783",
        "runs": runs,
        "final": {
            name: over_seeds([run["final"][name]["value"] for run in runs])
            for name in runs[0]["final"]
            if name != "step"
        },
        "at_quality": [
            {"quality": q, **over_seeds([run["at_quality"][i]["diversity"]["value"] for run in runs])}
            for i, q in enumerate(QUALITIES)
        ],
        "fits": {
            "R-D": fit("R-D", pooled[1], pooled[0], rd, exponent(label)),
            "R-H": fit("R-H", pooled[2], pooled[0], rh),
            "H-D": fit("H-D", pooled[1], pooled[2], rd),
        },
        "composition": COMPOSITION,
    }


COMPOSITION = {
    "a": 1.1e-5,
    "b": 0.981,
    "c": 10.9,
    "r_max": 0.972,
    "direct": {"a": 2.0e-5, "b": 0.99, "c": 10.4},
    "note": "R–H law of H = 1.7·D + 0.1",
}


def over_seeds(values: list[float | None]) -> dict:
    """Return the mean over seeds with its Student-t interval; None where no seed, or only one, has a value."""
    known = np.array([v for v in values if v is not None])
    if len(known) == 0:
        return {"value": None, "low": None, "high": None, "n_seeds": 0}
    t = {2: 12.706, 3: 4.303}.get(len(known))
    half = t * known.std(ddof=1) / math.sqrt(len(known)) if t else None
    mean = float(known.mean())
    return {"value": mean, "low": mean - half if t else None, "high": mean + half if t else None, "n_seeds": len(known)}


def _matched(q: float, steps: np.ndarray, r: np.ndarray, d: np.ndarray) -> dict:
    reached = np.flatnonzero(r >= q)
    if len(reached) == 0:
        return {
            "quality": q,
            "step": None,
            "diversity": {"value": None, "error": None, "n": 0},
            "reason": f"R reached {r.max():.3f}",
        }
    best = reached[np.argmax(d[reached])]
    estimate = {"value": float(d[best]), "error": 0.003, "n": 900}
    return {"quality": q, "step": int(steps[best]), "diversity": estimate, "reason": None}


def fit(law: str, x: np.ndarray, y: np.ndarray, verdict: str, c: float = 1.3) -> dict:
    """Return a FIT: least squares at the exponent c, with the verdict asked for."""
    grid = np.linspace(x.min(), x.max(), 40)
    slope, intercept = np.polyfit(x, y, 1)
    design = np.stack([-np.exp(c * (x - x.max())), np.ones_like(x)], axis=1)
    (a, b), *_ = np.linalg.lstsq(design, y, rcond=None)
    curve = intercept + slope * grid if law == "H-D" else b - a * np.exp(c * (grid - x.max()))
    params = {"a": slope, "b": intercept} if law == "H-D" else {"a": a * math.exp(-c * x.max()), "b": b, "c": c}
    unknown = verdict == "cannot tell"
    reason = {
        "holds": "R² 0.96, no lack of fit",
        "does not hold": "lack of fit (p 0.002)",
        "cannot tell": "c at its bound",
    }[verdict]
    return {
        "form": "linear" if law == "H-D" else "exponential",
        "formula": "H = a·D + b" if law == "H-D" else f"R = −a·exp(c·{law[-1]}) + b",
        "x_name": law[-1],
        "params": {
            k: {
                "value": float(v),
                "low": None if unknown else v - abs(v) / 10,
                "high": None if unknown else v + abs(v) / 10,
            }
            for k, v in params.items()
        },
        "r2": None if unknown else 0.96,
        "rmse": 0.021,
        "rmse_x": None if unknown else 0.034,
        "verdict": verdict,
        "reason": reason,
        "n": len(x),
        "n_effective": len(x) / 3,
        "n_dropped": 0,
        "rivals": {"linear": 12.0, "power": 3.1},
        "lack_of_fit_p": 0.2,
        "interval": "profile",
        "interval_level": 0.95,
        "x": x.tolist(),
        "y": y.tolist(),
        "band": {
            "x": grid.tolist(),
            "low": (curve - 0.03).tolist(),
            "value": curve.tolist(),
            "high": (curve + 0.03).tolist(),
        },
    }


def _frontier(folder: Path, objective: dict) -> dict:
    grid = np.round(np.linspace(0.3, 1.0, 71), 6)
    by_run = []
    for run in objective["runs"]:
        rows = [json.loads(line) for line in (folder / run["path"] / "ledger.jsonl").read_text().splitlines()]
        r, d = ([row["value"] for row in rows if row["metric"] == m] for m in ("quality", "diversity_valid"))
        best = [max((dd for rr, dd in zip(r, d, strict=True) if rr >= q), default=None) for q in grid]
        by_run.append(best)
    spread = [over_seeds(list(column)) for column in zip(*by_run, strict=True)]
    return {
        "quality": grid.tolist(),
        "diversity": [s["value"] for s in spread],
        "low": [s["low"] for s in spread],
        "high": [s["high"] for s in spread],
        "n_seeds": [s["n_seeds"] for s in spread],
        "seeds": by_run,
    }


def _comparisons(objectives: dict) -> list[dict]:
    rows = []
    for label in objectives:
        if label == "dr_grpo" or "dr_grpo" not in objectives:
            continue
        for at, i in (("R >= 0.90", 0), ("R >= 0.95", 1), ("end of run", None)):
            read = [
                [
                    run["final"]["diversity_valid"]["value"]
                    if i is None
                    else run["at_quality"][i]["diversity"]["value"]
                    for run in o["runs"]
                ]
                for o in (objectives[label], objectives["dr_grpo"])
            ]
            both = [(a, b) for a, b in zip(*read, strict=True) if a is not None and b is not None]
            value = over_seeds([a - b for a, b in both])
            low, high = (
                value["low"] if value["low"] is not None else -1,
                value["high"] if value["high"] is not None else 1,
            )
            verdict = (
                "bought" if low > 0 else "lost" if high < 0 else "the same" if max(-low, high) < 0.02 else "cannot tell"
            )
            names = objectives[label]["title"], objectives["dr_grpo"]["title"]
            words = f"At {at}, {names[0]} against {names[1]}: {value['value']}"
            rows.append(
                {
                    "a": label,
                    "b": "dr_grpo",
                    "at": at,
                    "quality": None if i is None else QUALITIES[i],
                    **value,
                    "margin": 0.02,
                    "verdict": verdict,
                    "seeds_needed": 6 if verdict == "cannot tell" else None,
                    "sentence": f"{words} ({verdict}).",
                    "values_a": read[0],
                    "values_b": read[1],
                }
            )
    return rows


def _ledger(label: str, seed: int, steps: np.ndarray, r: np.ndarray, d: np.ndarray, h: np.ndarray) -> list[dict]:
    rng = np.random.default_rng(seed)
    rows = []
    for i, step in enumerate(steps):
        values = dict.fromkeys(METRICS, 0.5)
        values |= {
            "quality": r[i],
            "diversity": d[i],
            "diversity_valid": d[i],
            "policy_entropy": h[i],
            "length": 12.0,
            "unique_share": d[i],
        }
        for metric, value in values.items():
            sets = value + rng.normal(0, 0.01, N_SETS)
            row = {
                "study": "circle",
                "objective": label,
                "seed": seed,
                "step": int(step),
                "checkpoint": sha256(f"{label} {seed} {i}".encode()).hexdigest()[:16],
            }
            row |= {
                "metric": metric,
                "value": float(value),
                "error": 0.004,
                "n": N_SETS * SET_SIZE,
                "n_unscored": 0,
                "unit": "",
            }
            rows.append(row | {"sets": sets.round(5).tolist()})
    return rows


def _training(label: str, seed: int) -> list[dict]:
    rng = np.random.default_rng([sorted(OBJECTIVES).index(label), seed])
    steps = np.arange(1, STEPS + 1)
    reward = paths(label, seed, steps)[0]
    rows = []
    for step, value in zip(steps, reward, strict=True):
        row = {
            "step": int(step),
            "reward": float(value),
            "reward_error": 0.04,
            "n_unscored": 0,
            "loss": float(rng.normal(0, 0.1)),
        }
        row |= {"grad_norm": float(rng.gamma(4, 0.1)), "learning_rate": 2e-3, "length": 12.0}
        own = {"qempo": {"inv_lambda": 0.03 * (1 - value)}, "rlhf": {"kl_prior": 3 * value}}.get(label, {})
        rows.append(row | {k: float(v) for k, v in own.items()})
    return rows


def _write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
