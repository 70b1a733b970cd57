"""Fuzzing that is guided by coverage, over the parsers of files and answers: atheris changes bytes until other lines of them run.

    pip install atheris            # not part of the extra [test]: it comes for few versions of Python, and only this script needs it
    python -m tests.faults.coverage_fuzz all --runs 100000 --seconds 180
    python -m tests.faults.coverage_fuzz ledger --found found/      # inputs that failed are kept there

The checks are those of :mod:`tests.faults.readers`: what a reader may say, and what it must keep of what it took. A case that raises
anything else, takes a minute or more than 2 GiB ends the reader's fuzzing with code 77, and its bytes are kept.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INSTRUMENTED = ["breadth", "tomllib"]  # json, csv and RDKit are C: what they do with a case is seen only by its outcome
SECONDS_A_CASE, MEMORY_MIB = 60, 2048
FAILED = 77  # libFuzzer's code for a case that raised


@dataclass(frozen=True)
class Target:
    """A reader of :data:`tests.faults.reader_table.READERS`, cases to begin with, and words that random bytes seldom make."""

    reader: str
    seeds: tuple[bytes, ...]
    words: tuple[str, ...]
    kind: str = "file"  # file: (which suffix, bytes); text: a str


ROW = b'{"study": "s", "objective": "o", "seed": 0, "step": 2, "checkpoint": "c", "metric": "quality", "value": 0.5, "error": null, "n": 8}\n'
EVAL = b'{"step": 3, "prompt": "p", "completion": ["a", "b"], "advantage": 0.1, "score": 1e3, "\\ud83d": [{"role": "user", "content": "x"}]}\n'
SETTINGS = (
    b'study = "x"\nseed = 3\n[task]\nkind = "circle"\nvertices = 6\n[model]\nn_layer = 1\n[objective]\nkind = "darling"\nfloor = 0.1\n'
    b'[train]\nsteps = 4\nlearning_rate = 1e-3\n[measure]\nevery = 2\n'
)  # fmt: skip
JSON = ("null", "true", "NaN", "Infinity", "1e999", "\\ud800", "[[[[", "{}", '":', "\n")

TARGETS = {
    "ledger": Target("ledger", (ROW, ROW + ROW[:-20], b"\n"), (*JSON, '"metric"', '"value"')),
    "jsonl": Target("generations", (EVAL, EVAL * 2), (*JSON, '"prompt"', '"completion"', '"Agent"', '"SMILES"', '"filter"', '"resps"')),
    "toml": Target("toml", (SETTINGS,), ("[train]", "[[", "'''", '"""', "inf", "nan", "0x", "1979-05-27", "\\u0000", "steps = ", "= {", ".")),
    "smiles": Target("smiles", (b"CC(=O)Oc1ccccc1C(=O)O", b"C[C@@H](N)C(=O)[O-].[Na+]", b"C%12CC%12"), ("[nH]", "Cl", "@@", "%10", "/C=C/"), "text"),
    "edges": Target("answers", (b"0 1 1 2 2 0", b"0 1 2 3"), ("10", "-1", "1e0", "\u0663"), "text"),
    "expression": Target("expression", (b"(3+5)*2-7/4 = 14.25", "8 \u00d7 (3 \u2212 1)".encode()), ("**", "//", "->", "\u00f7", "=", "((("), "text"),
}  # fmt: skip


def case_of(target: Target, data: bytes) -> Any:
    """Return bytes as the reader's case; a text may hold halves of surrogate pairs, as a JSON file may."""
    if target.kind == "text":
        return data.decode("utf-8", "surrogatepass" if b"\xed" in data else "replace")
    return (data[0] if data else 0, data[1:])


def fuzz(name: str, *, runs: int, seconds: int, found: Path, seed: int) -> None:
    """Give one parser ``runs`` cases, or as many as ``seconds`` allow; end the process with libFuzzer's code."""
    try:
        import atheris
    except ImportError as error:
        raise SystemExit(f"guided fuzzing needs atheris ({error}): pip install atheris") from error

    target = TARGETS[name]
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.faults.reader_table import READERS

        check, _ = READERS[target.reader]
        for one in target.seeds:  # what is imported at the first use is imported here
            check(case_of(target, b"\0" + one if target.kind == "file" else one))

    def one_input(data: bytes) -> None:
        try:
            case = case_of(target, data)
        except UnicodeDecodeError:
            return
        check(case)

    corpus = Path(tempfile.mkdtemp(prefix=f"breadth-{name}-"))
    for i, one in enumerate(target.seeds):
        (corpus / f"seed-{i}").write_bytes(b"\0" + one if target.kind == "file" else one)
    words = corpus.with_suffix(".dict")
    words.write_text(
        "".join('"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"\n' for word in target.words)
    )
    found.mkdir(parents=True, exist_ok=True)
    options = {
        "runs": runs, "max_total_time": seconds, "seed": seed, "dict": words, "timeout": SECONDS_A_CASE, "rss_limit_mb": MEMORY_MIB,
        "artifact_prefix": f"{found}/{name}-", "print_final_stats": 1, "max_len": 2_000, "len_control": 10,
    }  # fmt: skip
    atheris.Setup([sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), str(corpus)], one_input)
    atheris.Fuzz()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("parser", choices=[*TARGETS, "all"])
    arguments.add_argument("--runs", type=int, default=100_000)
    arguments.add_argument("--seconds", type=int, default=180, help="for each parser")
    arguments.add_argument("--found", type=Path, default=Path("found"), help="folder for inputs that failed")
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    if given.parser != "all":
        fuzz(given.parser, runs=given.runs, seconds=given.seconds, found=given.found, seed=given.seed)
        return
    worst = 0
    for name in TARGETS:
        words = [sys.executable, "-m", "tests.faults.coverage_fuzz", name]
        for key in ("runs", "seconds", "found", "seed"):
            words += [f"--{key}", str(getattr(given, key))]
        done = subprocess.run(
            words, stderr=subprocess.PIPE, text=True, errors="replace", env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        counts = re.findall(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+)", done.stderr, flags=re.MULTILINE)
        n, covered, _ = counts[-1] if counts else ("0", "0", "0")
        print(
            f"{name}: {int(n):,} cases, {covered} edges covered, {'no fault' if done.returncode == 0 else f'code {done.returncode}'}",
            flush=True,
        )
        if done.returncode:
            print(done.stderr[-4_000:], flush=True)
        worst = worst or done.returncode
    sys.exit(worst)


if __name__ == "__main__":
    main()
