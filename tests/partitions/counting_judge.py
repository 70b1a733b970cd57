"""A judge of pairs that counts its calls: answers are the same if their first words are."""

from collections.abc import Callable


class CountingJudge:
    name = "counting"
    threshold = 0.5

    def __init__(
        self, same: Callable = lambda pair: pair.a.split()[0] == pair.b.split()[0], fail_after: int | None = None
    ):
        self.same, self.fail_after = same, fail_after
        self.asked: list = []
        self.n_batches = 0

    def score_pairs(self, pairs):
        self.n_batches += 1
        for i, pair in enumerate(pairs):
            if self.fail_after is not None and len(self.asked) >= self.fail_after:
                raise ConnectionError("judge: down")
            self.asked.append(pair)
            yield i, float(self.same(pair))
