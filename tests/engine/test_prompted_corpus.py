"""Pairs of a prompt and an answer: the prompt is read and only the answer is learnt."""

import pytest
import torch

from breadth.config import EngineSettings, ModelSettings, PriorSettings
from breadth.engine.gpt import load_gpt2
from breadth.engine.pretrain import TokenCorpus, pretrain
from breadth.engine.rollout import Sampling, sample
from breadth.tasks.countdown import CountdownTask
from breadth.tasks.vocabulary import Vocabulary

WORDS = Vocabulary(["a", "b", "c", "?"], pattern=r"\S+", joiner=" ")


def test_only_answers_are_learnt():
    corpus = TokenCorpus([("a b ?", "c"), ("a ?", "b c"), "a"], WORDS, end_token=True, context=8)
    tokens, learnt = corpus.batch(torch.arange(3).numpy())
    assert tokens.tolist() == [[1, 3, 4, 6, 5, 2], [1, 3, 6, 4, 5, 2], [1, 3, 2, 0, 0, 0]]
    assert learnt.tolist() == [
        [False, False, False, False, True, True],
        [False, False, False, True, True, True],
        [False, True, True, False, False, False],
    ]


def test_a_plain_corpus_is_learnt_whole_as_before():
    tokens, learnt = TokenCorpus(["a b", "c"], WORDS, end_token=True, context=8).batch(torch.arange(2).numpy())
    assert torch.equal(learnt[:, 1:], tokens[:, 1:] != 0), "all but the start token and the padding"


def test_a_pair_longer_than_the_context_is_refused():
    with pytest.raises(ValueError, match=r"\('a b \?', 'c c c'\).* has 7 tokens to predict, the model's context is 5"):
        TokenCorpus([("a b ?", "c c c")], WORDS, end_token=True, context=5)


def test_the_context_holds_the_longest_prompt_and_answer(tmp_path):
    task = CountdownTask(numbers=2, max_number=5, max_target=10, held_out=0.2)
    about = task.describe()
    pretrain(
        task, model=ModelSettings(n_layer=1, n_head=2, n_embd=16), prior=PriorSettings(steps=2, batch_size=8), engine=EngineSettings(),
        work=tmp_path / "work", target=tmp_path / "prior",
    )  # fmt: skip
    model = load_gpt2(tmp_path / "prior", dropout=0.0)
    assert model.shape.n_positions == 1 + about.max_prompt_tokens + about.max_tokens
    asked = task.prompts(3, seed=0)
    rollouts = sample(model, asked, task.vocabulary(), Sampling(max_tokens=about.max_tokens), generator=torch.Generator().manual_seed(0))
    assert rollouts.prompt == asked and task.score(rollouts.text, asked).shape == (3,)
