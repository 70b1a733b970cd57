"""What the tests of the TRL plug-in share: a tiny folder, a data set, and settings that start on a CPU."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a process of torchrun has no pytest that does it

from tests.tiny_models import WORDS, causal_folder  # noqa: E402

#: what TRL's configs need on a small machine without an accelerator
SMALL = {
    "report_to": "none", "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "save_strategy": "no", "disable_tqdm": True,
    "logging_steps": 1, "learning_rate": 1e-3,
}  # fmt: skip
GRPO = {**SMALL, "per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 6}


def folder(path) -> str:
    return str(causal_folder(Path(path) / "model", scale=0.4))


def prompts(n=12) -> list[str]:
    return [f"{WORDS[i % 20]} {WORDS[(3 * i) % 20]}" for i in range(n)]


def dataset(n=12):
    from datasets import Dataset

    from breadth.plugins.trl import add_uid

    return add_uid(Dataset.from_dict({"prompt": prompts(n)}))


def odd(completions, **columns):
    """1 where the number of words is odd."""
    return [float(len(text.split()) % 2) for text in completions]


def by_length(texts, *, group=None, prompts=None):
    """A partition: answers of as many words say the same."""
    import numpy as np

    return np.array([len(text.split()) for text in texts])


def words():
    """A task: an odd number of words is right; answers of as many words are the same."""
    import numpy as np

    from breadth.records import TaskDescription
    from breadth.tasks.protocol import Task

    class Words(Task):
        """An odd number of words is right; answers of as many words are the same."""

        name = "words"

        def prompts(self, n, *, seed, split="train"):
            return [prompts()[(seed + i) % 12] for i in range(n)]

        def score(self, texts, prompts=None):
            return np.array(odd(texts))

        def key(self, texts, prompts=None):
            return [str(len(text.split())) for text in texts]

        def describe(self):
            about = {
                "summary": "words",
                "quality": "odd",
                "parsable": "always",
                "valid": "always",
                "distances": {"class": "another number"},
            }
            return TaskDescription(name="words", **about, correct_at=1.0, max_tokens=6, end_token=True)

    return Words()
