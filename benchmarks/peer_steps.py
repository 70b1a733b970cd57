"""A step of REINVENT4's or ACEGEN's own code, from a checkout, in a process of its own. ``molecule_peers.py`` starts it.

    python benchmarks/peer_steps.py reinvent4|acegen CHECKOUT

A line of JSON in says the tokens of the task and the threads; then each line ``{"texts": [[token, ...], ...]}`` is answered by one line with the
seconds of one step that samples these texts. Random weights end where chance says, so each draw is replaced by the token of a text, after it
was drawn.

Nothing of breadth is imported: the interpreter may be that of another environment, with what the peer itself needs (REINVENT4: torch and RDKit;
ACEGEN: torch, torchrl and tensordict). Only the modules of the step are loaded from the checkout, not what its packages import beside them:

* REINVENT4: ``Model`` with its ``RNN`` (an LSTM of 3 x 512 behind an embedding of 256, as ``create_model`` makes it), ``ReinventAdapter``,
  ``ReinventSampler``, ``ReinventLearning.update``, ``RLReward`` with ``dap_strategy``, Adam. Left out: scoring, its reading of sampled texts
  with RDKit (a part of scoring at breadth; its seconds are measured apart), diversity filter, inception memory, reports.
* ACEGEN: ``create_lstm_actor``, ``TokenEnv``, ``generate_complete_smiles``, and ``get_log_prob`` and ``compute_loss`` of ``scripts/reinvent``, with
  that script's update. Left out: scoring, replay (10 of 100), logs.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import inspect
import json
import os
import sys
import time
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
ROWS, SIGMA, RATE = 128, 128.0, 1e-4


def timed(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return what a call gives, and its seconds by each clock."""
    start = {name: clock() for name, clock in CLOCKS.items()}
    found = call()
    return found, {name: clock() - start[name] for name, clock in CLOCKS.items()}


def bare(root: Path, packages: Sequence[str]) -> None:
    """Let modules of these packages be imported from a checkout without running the packages' own ``__init__``."""
    for name in packages:
        folder = root.joinpath(*name.split("."))
        if not folder.is_dir():
            raise SystemExit(
                f"{root} is no checkout of what was asked for: there is no folder {folder.relative_to(root)}"
            )
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package


def stand_in(name: str, **names: Any) -> None:
    """Put a module with these names where the step's own modules import one that it does not use."""
    module = types.ModuleType(name)
    module.__dict__.update(names)
    sys.modules[name] = module


@contextlib.contextmanager
def drawing(tokens: Tensor) -> Iterator[None]:
    """Let the t-th draw of the next token give the t-th column of ``tokens`` (N, T): after a real draw, whose cost stays."""
    plain, t = torch.multinomial, -1

    def multinomial(probabilities: Tensor, *args: Any, **named: Any) -> Tensor:
        nonlocal t
        t += 1
        drawn = plain(probabilities, *args, **named)
        return tokens[:, t].view_as(drawn) if t < tokens.shape[1] else torch.zeros_like(drawn)

    torch.multinomial = multinomial
    try:
        yield
    finally:
        torch.multinomial = plain


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Return rows of tokens as (N, T), 0 behind their ends."""
    out = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for row, tokens in zip(out, rows, strict=True):
        row[: len(tokens)] = torch.tensor(tokens)
    return out


class Reinvent4:
    """Agent, prior, sampler and learning of REINVENT4."""

    def __init__(self, root: Path, tokens: Sequence[str]) -> None:
        packages = ("models", "models.reinvent", "models.reinvent.models", "models.model_factory")
        packages += ("runmodes", "runmodes.RL", "runmodes.samplers")
        bare(root, ["reinvent", *(f"reinvent.{name}" for name in packages)])
        for folder in ("memories", "data_classes"):  # the memory of good molecules: switched off
            stand_in(f"reinvent.runmodes.RL.{folder}")
        stand_in("reinvent.runmodes.RL.memories.inception", inception_filter=None, Inception=None)
        stand_in("reinvent.runmodes.RL.learning", Learning=object)  # the loop around update: scoring and reports
        from reinvent.models.model_factory.reinvent_adapter import ReinventAdapter
        from reinvent.models.model_factory.sample_batch import SmilesState
        from reinvent.models.reinvent.models.model import Model
        from reinvent.models.reinvent.models.vocabulary import SMILESTokenizer, create_vocabulary
        from reinvent.runmodes.RL.reinvent import ReinventLearning
        from reinvent.runmodes.RL.reward import RLReward, dap_strategy
        from reinvent.runmodes.samplers import reinvent as sampling

        tokenizer = SMILESTokenizer()
        vocabulary = create_vocabulary(tokens, tokenizer=tokenizer)
        sizes = {"layer_size": 512, "num_layers": 3, "cell_type": "lstm", "embedding_layer_size": 256, "dropout": 0.0}
        model = Model(vocabulary, tokenizer, None, sizes | {"layer_normalization": False}, max_sequence_length=256)
        self.agent, self.prior = ReinventAdapter(model), ReinventAdapter(copy.deepcopy(model))
        for p in self.prior.get_network_parameters():
            p.requires_grad = False
        self.sampler = sampling.ReinventSampler(self.agent, batch_size=ROWS)
        self.learning = ReinventLearning()
        self.learning.prior, self.learning.inception = self.prior, None
        self.learning._state = types.SimpleNamespace(agent=self.agent)
        optimizer = torch.optim.Adam(self.agent.get_network_parameters(), lr=RATE)
        self.learning.reward_nlls = RLReward(optimizer, SIGMA, dap_strategy)
        self.n_parameters = sum(p.numel() for p in self.agent.get_network_parameters())
        self.n_tokens, self.reads_to = len(vocabulary), None
        self.rows: list[list[int]] = []
        plain = model._sample

        def forced(batch_size: int) -> Any:  # later versions sample a batch in parts
            rows, self.rows = self.rows[:batch_size], self.rows[batch_size:]
            with drawing(padded(rows)):
                return plain(batch_size=batch_size)

        model._sample = forced
        self.read = sampling.validate_smiles, sampling.Chem
        sampling.validate_smiles = lambda molecules, texts: (texts, np.full(len(texts), SmilesState.VALID))
        sampling.Chem = types.SimpleNamespace(MolFromSmiles=lambda text, sanitize: None)

    def step(self, tokens: Sequence[Sequence[str]]) -> dict[str, Any]:
        """Sample these texts, update on them, and return the seconds."""
        model, texts = self.agent.model, ["".join(text) for text in tokens]
        rows = [model.vocabulary.encode(model.tokenizer.tokenize(text))[1:].tolist() for text in texts]
        scores = np.random.default_rng(0).random(len(texts))

        def update() -> Any:
            results = types.SimpleNamespace(total_scores=scores, smilies=self.learning.sampled.smilies)
            takes = len(inspect.signature(self.learning.update).parameters)  # 1, or 2 in later versions
            return self.learning.update(*(results, texts)[:takes])

        self.rows = list(rows)
        self.learning.sampled, sampling = timed(lambda: self.sampler.sample([]))
        if list(self.learning.sampled.items2) != list(texts):
            raise SystemExit("REINVENT4 sampled other texts than were asked for")
        (_, _, _, loss), updating = timed(update)
        check, chem = self.read
        _, reading = timed(lambda: check([chem.MolFromSmiles(text, sanitize=False) for text in texts], texts))
        return {
            "parts": {"sampling": sampling, "update": updating},
            "reading": reading,
            "loss": float(loss.detach()),
            "lengths": [*map(len, rows)],
        }


class Acegen:
    """Policy, prior and environment of ACEGEN, and the update of its script for REINVENT."""

    def __init__(self, root: Path, tokens: Sequence[str]) -> None:
        bare(root, ["acegen", "acegen.models", "acegen.rl_env", "acegen.data"])
        stand_in("acegen.vocabulary", SMILESVocabulary=object, Vocabulary=object)  # names of types
        older_names()
        from acegen.models.lstm import create_lstm_actor
        from acegen.rl_env.token_env import TokenEnv
        from acegen.rl_env.utils import generate_complete_smiles
        from torchrl.envs import InitTracker, TransformedEnv
        from torchrl.modules.utils import get_primers_from_module

        self.vocabulary = ["", "GO", "EOS", *tokens]
        self.policy, self.sampling = create_lstm_actor(vocabulary_size=len(self.vocabulary))
        self.prior = copy.deepcopy(self.policy)
        env = TransformedEnv(TokenEnv(1, 2, len(self.vocabulary), device=torch.device("cpu"), batch_size=ROWS))
        env.append_transform(InitTracker())
        if primers := get_primers_from_module(self.sampling):
            env.append_transform(primers)
        self.env, self.generate = env, generate_complete_smiles
        names = loss_of_script(root / "scripts" / "reinvent" / "reinvent.py", ("get_log_prob", "compute_loss"))
        self.compute_loss = names["compute_loss"]
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=RATE, eps=1e-8, weight_decay=0.0)
        self.n_parameters = sum(p.numel() for p in self.policy.parameters())
        self.n_tokens, self.reads_to = len(self.vocabulary), env.max_length

    def decode(self, tokens: np.ndarray) -> str:
        """Return the text of tokens, as its vocabulary would."""
        text = [self.vocabulary[token] for token in tokens.tolist()]
        return "".join(text[: text.index("EOS")] if "EOS" in text else text)

    def step(self, texts: Sequence[Sequence[str]]) -> dict[str, Any]:
        """Sample these texts, update on them, and return the seconds."""
        number = {token: i for i, token in enumerate(self.vocabulary)}
        rows = [[number[token] for token in text] + [2] for text in texts]
        scores, seen = torch.rand(len(texts)).tolist(), []

        def scoring(found: list[str]) -> list[float]:
            seen.extend(found)
            return scores

        def sample() -> Any:
            with drawing(padded(rows)):
                return self.generate(self.env, self, scoring, self.sampling, self.policy, remove_duplicates=True)

        def update(data: Any) -> Tensor:
            _, loss, likelihood = self.compute_loss(data, self.policy, self.prior, SIGMA)
            loss = loss.mean()
            loss += 5 * 1e3 * -(1 / likelihood).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            return loss

        data, sampling = timed(sample)
        if seen != ["".join(text) for text in texts]:
            raise SystemExit("ACEGEN sampled other texts than were asked for")
        loss, updating = timed(lambda: update(data))
        return {
            "parts": {"sampling": sampling, "update": updating},
            "loss": float(loss.detach()),
            "lengths": [*map(len, rows)],
        }


def older_names() -> None:
    """Give a newer torchrl two names that it has dropped, as ACEGEN's own module of compatibility does."""
    import torchrl.data
    from torchrl.modules import LSTMModule

    if not hasattr(torchrl.data, "OneHotDiscreteTensorSpec"):
        torchrl.data.OneHotDiscreteTensorSpec = torchrl.data.OneHot
    if "default_recurrent_mode" in inspect.signature(LSTMModule).parameters:

        def recurrent(module: Any, mode: bool) -> Any:
            keys = {"in_keys": module.in_keys, "out_keys": module.out_keys}
            return LSTMModule(lstm=module.lstm, default_recurrent_mode=mode, **keys)

        LSTMModule.set_recurrent_mode = recurrent


def loss_of_script(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Return functions of a script, without running what else it does when it is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kept = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    if len(kept) != len(names):
        raise SystemExit(f"{path} has no functions {', '.join(names)}")
    space: dict[str, Any] = {"torch": torch}
    exec(compile(ast.Module(kept, []), str(path), "exec"), space)
    return space


def main() -> None:
    """Answer each line of texts with the seconds of a step."""
    which, root = sys.argv[1], Path(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the peer prints does not come between the answers
    sys.path.insert(0, str(root))
    told = json.loads(sys.stdin.readline())
    torch.set_num_threads(told["threads"])
    torch.manual_seed(0)
    peer = {"reinvent4": Reinvent4, "acegen": Acegen}[which](root, told["tokens"])
    about = {
        "parameters": peer.n_parameters,
        "tokens": peer.n_tokens,
        "reads_to": peer.reads_to,
        "torch": torch.__version__,
    }
    print(json.dumps(about), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(peer.step(json.loads(line)["texts"])), file=answers, flush=True)


if __name__ == "__main__":
    main()
