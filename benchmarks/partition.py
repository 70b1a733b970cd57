"""What a partition costs: calls of the judge and seconds per group against asking about all pairs, and word overlap at scale.

    OMP_NUM_THREADS=1 python benchmarks/partition.py [--noveltybench FILE.jsonl.gz] [--out benchmarks/results/partition.json]

The judge is a real cross-encoder (BERT of 1 layer, 64 wide, made from a config: weights cost what they cost, trained or
not) whose verdict is replaced by the truth, so that the clustering is right and what is measured is its price; two calls a
pair, for both orders. Without transformers only calls are counted. The answers are synthetic, some 120 words: half of the
words are common to all, half belong to the class. With the file of NoveltyBench (100 prompts × 10 answers of one model, and
the classes of their DeBERTa, taken as the truth) the screen is also tried on real answers. Seconds are processor seconds of
this process, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import breadth
from breadth.partitions.agreement import adjusted_rand_index
from breadth.partitions.classifier import Classifier
from breadth.partitions.clustering import class_share
from breadth.partitions.protocol import Pair

ALL_PAIRS_UP_TO = 64  # answers: beyond it all pairs are only counted (65,280 calls for 256)


class KnowingJudge:
    """Says what is written in a table, after a real model has done the work; counts its calls, two for a pair."""

    name = "knowing"
    threshold = 0.5

    def __init__(self, kind_of: Callable[[str], int], model: Any = None) -> None:
        self.kind_of, self.model = kind_of, model
        self.n_calls = 0

    def score_pairs(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, float]]:
        """Yield 1.0 for answers of one class and 0.0 else."""
        self.n_calls += 2 * len(pairs)
        if self.model is not None:
            for _ in self.model.score_pairs(pairs):
                pass
        for i, pair in enumerate(pairs):
            yield i, float(self.kind_of(pair.a) == self.kind_of(pair.b))


def cross_encoder() -> Any:
    """Return a small cross-encoder made from a config; None without transformers."""
    try:
        import transformers
        from tokenizers import Tokenizer, models, pre_tokenizers, processors
    except ImportError:
        return None
    from breadth.partitions.cross_encoder import CrossEncoder

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"common{i}" for i in range(60)), *(f"word{i}" for i in range(3000))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), words[:4], strict=True))
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=256,
        max_position_embeddings=512,
    )
    model = transformers.BertForSequenceClassification(config)
    return CrossEncoder(
        model, tokenizer=transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names), max_length=512
    )


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


def one(title: str, texts: list[str], truth: np.ndarray, settings: dict, all_pairs: int, model: Any) -> dict[str, Any]:
    """Print and return one line: calls, how many times fewer than all pairs, seconds, agreement."""
    known = dict(zip(texts, truth.tolist(), strict=True))
    judge = KnowingJudge(known.__getitem__, model)
    same = breadth.partition(judge, **settings)
    start = time.process_time()
    kinds = same(texts)
    seconds = time.process_time() - start
    agreement = adjusted_rand_index(kinds, truth)
    print(
        f"  {title:<34} {judge.n_calls:>6} calls {all_pairs / judge.n_calls:6.1f}× fewer {seconds:8.3f} s  ARI {agreement:.3f}",
        flush=True,
    )
    return {"way": title, "calls": judge.n_calls, "seconds": round(seconds, 3), "ari": round(agreement, 4),
            "times_fewer": round(all_pairs / judge.n_calls, 2)}  # fmt: skip


def groups(nearest: dict, model: Any) -> list[dict[str, Any]]:
    """Print and return the cost of groups of 8, 16, 64 and 256."""
    found = []
    for n in (8, 16, 64, 256):
        for label, n_classes in (("at most 6 classes", 6), ("all differ", n)):
            print(f"n = {n}, {label}")
            texts, truth = answers(n, n_classes, seed=n)
            all_pairs = n * (n - 1)  # both orders
            ways = {"greedy, screen": nearest}
            if n_classes < n:  # where all differ, greedy without a screen asks about all pairs
                ways = {"greedy": {}, **ways}
            if n <= ALL_PAIRS_UP_TO:
                ways = {"components, all pairs": {"clustering": "components"}, **ways}
            rows = [one(title, texts, truth, settings, all_pairs, model) for title, settings in ways.items()]
            found += [{"n": n, "classes": len(set(truth.tolist())), "all_pairs": all_pairs, **row} for row in rows]
    return found


def real(path: str, screens: dict[str, dict]) -> list[dict[str, Any]]:
    """Print and return what each screen does to real answers."""
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        rows = [json.loads(line) for line in handle]
    found = []
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
        found.append({"way": title, "calls": calls, "all_pairs": len(rows) * 90, "ari": round(float(np.mean(agreement)), 4),
                      "diversity_error": round(float(np.mean(shares)), 4)})  # fmt: skip
    return found


def overlap() -> list[dict[str, Any]]:
    """Print and return the seconds of a training step's worth of answers, and of a small one."""
    draw = random.Random(0)
    words, weights = [f"w{i}" for i in range(5000)], [1 / (i + 5) for i in range(5000)]
    texts = [" ".join(draw.choices(words, weights, k=300)) for _ in range(256 * 16)]
    found = []
    for n, size in ((256 * 16, 16), (1024, 8)):
        print(f"{n // size} prompts × {size} rollouts × 300 words")
        for backend in ("rouge1", "rougeL", "jaccard", "tfidf", "classifier"):
            same = breadth.partition(backend)
            start = time.process_time()
            same(texts[:n], group=np.arange(n) // size)
            seconds = time.process_time() - start
            print(f"  {backend:<34} {seconds:6.2f} s", flush=True)
            found.append({"answers": n, "group": size, "backend": backend, "seconds": round(seconds, 3)})
    return found


def main() -> None:
    """Print the tables, and write the numbers where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noveltybench", help="file with generations and partition for each prompt")
    parser.add_argument("--low", type=float, default=0.05, help="the screen calls pairs different at or below it")
    parser.add_argument("--nearest", type=int, default=4, help="representatives asked about for each answer, at most")
    parser.add_argument("--out", type=Path, help="where to write the numbers as JSON")
    args = parser.parse_args()
    nearest = {"screen": "classifier", "screen_nearest": args.nearest}
    model = cross_encoder()
    document: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.environ.get('OMP_NUM_THREADS', 'all')} thread, processor seconds",
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "breadth": breadth.__version__},
        "judge": "BERT, 1 layer, 64 wide" if model is not None else "none: calls only",
        "groups": groups(nearest, model),
    }
    if args.noveltybench:
        print("NoveltyBench, 100 prompts × 10 answers")
        # their own rule for answers of up to five words is another one, see the documentation; without ours:
        plain = {"screen": Classifier(short_words=0), "screen_nearest": args.nearest}
        ways = {"greedy": {}, "greedy, screen": nearest, "greedy, screen, no short rule": plain,
                f"greedy, screen ≤ {args.low:g}, no short rule": {**plain, "screen_low": args.low}}  # fmt: skip
        document["noveltybench"] = real(args.noveltybench, ways)
    document["overlap"] = overlap()
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
