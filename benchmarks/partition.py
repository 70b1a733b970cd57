"""What a partition costs: calls of the judge and seconds per group against asking about all pairs, and word overlap at scale.

    OMP_NUM_THREADS=1 python benchmarks/partition.py [--noveltybench FILE.jsonl.gz] [--low 0.05] [--nearest 4]

The judge is a counting stand-in for a cross-encoder that always knows the class of an answer; the seconds are those of
everything around it. The answers are synthetic: half of the words are common to all, half belong to the class. With the
file of NoveltyBench (100 prompts × 10 answers of one model, and the classes of their DeBERTa, taken as the truth) the
screen is also tried on real answers.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

import breadth
from breadth.partitions.clustering import class_share
from breadth.partitions.evaluation import adjusted_rand_index
from breadth.partitions.protocol import Pair


class KnowingJudge:
    """Says what is written in a table; counts its calls, two for a pair (both orders)."""

    name = "knowing"
    threshold = 0.5

    def __init__(self, kind_of: Callable[[str], int]) -> None:
        self.kind_of = kind_of
        self.n_calls = 0

    def score_pairs(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, float]]:
        """Yield 1.0 for answers of one class and 0.0 else."""
        for i, pair in enumerate(pairs):
            self.n_calls += 2
            yield i, float(self.kind_of(pair.a) == self.kind_of(pair.b))


def answers(n: int, n_classes: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Return n answers of about 120 words and their classes."""
    draw = random.Random(seed)
    common = [f"common{i}" for i in range(60)]
    kinds = np.array([draw.randrange(n_classes) if n_classes < n else i for i in range(n)])
    topics = {k: [f"word{draw.randrange(3000)}" for _ in range(40)] for k in sorted(set(kinds.tolist()))}
    texts = []
    for kind in kinds.tolist():
        words = draw.choices(common, k=60) + draw.sample(topics[kind], 30) + draw.choices(topics[kind], k=30)
        draw.shuffle(words)
        texts.append(" ".join(words))
    return texts, kinds


def one(title: str, texts: list[str], truth: np.ndarray, settings: dict, all_pairs: int) -> None:
    """Print one line: calls, how many times fewer than all pairs, seconds, agreement."""
    known = dict(zip(texts, truth.tolist(), strict=True))
    judge = KnowingJudge(known.__getitem__)
    same = breadth.partition(judge, **settings)
    start = time.perf_counter()
    kinds = same(texts)
    seconds = time.perf_counter() - start
    fewer = f"{all_pairs / judge.n_calls:6.1f}×" if judge.n_calls else "   none"
    print(
        f"  {title:<34} {judge.n_calls:>6} calls {fewer} fewer {seconds:8.3f} s  ARI {adjusted_rand_index(kinds, truth):.3f}"
    )


def real(path: str, screens: dict[str, dict]) -> None:
    """Print what each screen does to real answers."""
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        rows = [json.loads(line) for line in handle]
    for title, settings in screens.items():
        calls, agreement, shares = 0, [], []
        for row in rows:
            known = dict(zip((t.strip() for t in row["generations"]), row["partition"], strict=True))
            judge = KnowingJudge(known.__getitem__)
            kinds = breadth.partition(judge, **settings)(
                row["generations"], prompts=[row["prompt"]] * len(row["generations"])
            )
            calls += judge.n_calls
            agreement.append(adjusted_rand_index(kinds, row["partition"]))
            shares.append(class_share(kinds) - class_share(np.array(row["partition"])))
        print(f"  {title:<34} {calls:>6} of {len(rows) * 90} calls, mean ARI {np.mean(agreement):.3f}, "
              f"diversity {np.mean(shares):+.3f} against the truth")  # fmt: skip


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noveltybench", help="file with generations and partition for each prompt")
    parser.add_argument("--low", type=float, default=0.05, help="the screen calls pairs different at or below it")
    parser.add_argument("--nearest", type=int, default=4, help="representatives asked about for each answer, at most")
    args = parser.parse_args()
    nearest = {"screen": "classifier", "screen_low": args.low, "screen_nearest": args.nearest}
    screen = {"screen": "classifier", "screen_low": args.low}
    for n in (8, 16, 64, 256):
        for label, n_classes in (("at most 6 classes", 6), ("all differ", n)):
            print(f"n = {n}, {label}")
            texts, truth = answers(n, n_classes, seed=n)
            all_pairs = n * (n - 1)  # both orders
            one("components, all pairs", texts, truth, {"clustering": "components"}, all_pairs)
            one("greedy", texts, truth, {}, all_pairs)
            one(f"greedy, screen ≤ {args.low:g}", texts, truth, screen, all_pairs)
            one(f"greedy, screen, {args.nearest} nearest", texts, truth, nearest, all_pairs)
    if args.noveltybench:
        print("NoveltyBench, 100 prompts × 10 answers")
        named = {
            "greedy": {},
            f"greedy, screen ≤ {args.low:g}": screen,
            f"greedy, screen, {args.nearest} nearest": nearest,
        }
        real(args.noveltybench, named)
    print("word overlap, 256 prompts × 16 rollouts × 300 words")
    draw = random.Random(0)
    words, weights = [f"w{i}" for i in range(5000)], [1 / (i + 5) for i in range(5000)]
    texts = [" ".join(draw.choices(words, weights, k=300)) for _ in range(256 * 16)]
    for backend in ("rouge1", "rougeL", "jaccard", "tfidf", "classifier"):
        start = time.perf_counter()
        breadth.partition(backend)(texts, group=np.arange(len(texts)) // 16)
        print(f"  {backend:<34} {time.perf_counter() - start:6.2f} s")


if __name__ == "__main__":
    main()
