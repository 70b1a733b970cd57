"""From a batch of verl to streams: sessions, padding, texts, log-probabilities. A dictionary stands in for its tensor dictionary."""

import pytest
import torch

import breadth
from breadth.plugins.verl.batch import Reader, rows_of
from breadth.plugins.verl.settings import Settings

WORDS = ["<pad>", "say", "a", "bird", "robin", "wren", "red", "owl"]


class Tokenizer:
    def batch_decode(self, ids, skip_special_tokens):
        return [" ".join(WORDS[i] for i in row if i or not skip_special_tokens) for row in ids]


def words(text):
    return torch.tensor([WORDS.index(word) for word in text.split()])


ANSWERS = ["robin", "robin red", "wren", "owl", "robin", "robin", "owl", "wren"]
UIDS = ["p", "p", "p", "p", "q", "q", "q", "q"]
REWARDS = [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0]


def batch():
    """Two prompts, four answers each; the tool's word in the second answer is masked out."""
    responses = [words(text) for text in ANSWERS]
    mask = [torch.ones(len(row), dtype=torch.int64) for row in responses]
    mask[1][1] = 0
    scores = [
        torch.cat([torch.zeros(len(row) - 1), torch.tensor([r])]) for row, r in zip(responses, REWARDS, strict=True)
    ]
    data = {
        "uid": UIDS,
        "prompts": [words("say a bird")] * 8,
        "responses": responses,
        "response_mask": mask,
        "rm_scores": scores,
        "old_log_probs": [torch.linspace(-1, -2, len(row)) for row in responses],
        "ref_log_prob": [torch.linspace(-3, -4, len(row)) for row in responses],
        "extra_fields": [{"reward_extra_info": {"right": r, "short": 0.5}} for r in REWARDS],
    }
    keys = [f"{uid}_{i}_0" for i, uid in enumerate(UIDS)]
    return data, rows_of(keys, [{}] * 8)


def read(name, settings=None, data=None, **options):
    made, rows = batch()
    reader = Reader.of(breadth.objective(name, **(settings or {})), Settings(**options))
    return reader, reader.streams(data or made, rows, Tokenizer()), rows


def test_darling_from_texts():
    reader, streams, rows = read("darling", partition={"backend": "canonical", "key": "words"})
    assert streams["kind"].tolist() == [
        0,
        0,
        1,
        2,
        0,
        0,
        1,
        2,
    ]  # the masked word does not tell "robin red" from "robin"
    values = rows.spread(reader.objective.advantage(**streams))
    kind = torch.tensor([0, 0, 1, 2, 0, 0, 1, 2])
    group = torch.tensor([0] * 4 + [1] * 4)
    expected = breadth.objective("darling").advantage(reward=torch.tensor(REWARDS), group=group, kind=kind)
    assert torch.equal(values, expected)
    assert reader.fields == ["uid", "response_mask", "rm_scores", "prompts", "responses"]


def test_an_objective_that_needs_no_more_than_rewards_runs_in_the_trainer_too():
    reader, streams, _ = read("dr_grpo")
    assert reader.fields == ["uid", "response_mask", "rm_scores"]
    assert reader.objective.advantage(**streams).tolist() == [0.25, 0.25, 0.25, -0.75, 0.25, 0.25, -0.75, 0.25]


def test_log_probabilities_are_summed_over_the_mask():
    reader, streams, _ = read("qempo_kl")
    assert streams["seq_logp"].tolist() == [-1.0] * 8  # one kept token each
    assert streams["seq_logp_ref"].tolist() == [-3.0] * 8
    assert {"old_log_probs", "ref_log_prob"} <= set(reader.fields)


def test_several_rewards():
    _, streams, _ = read("vpo", reward_keys=["right", "short"])
    assert streams["reward_vector"].tolist() == [[r, 0.5] for r in REWARDS]
    with pytest.raises(
        ValueError, match="reward_keys: the reward function returned no long for row 0; it returned right, short"
    ):
        read("vpo", reward_keys=["right", "long"])


def test_sessions_with_several_outputs_count_once():
    keys = ["p_0_0", "p_0_1", "p_1_0", "q_0_0", "q_1_1", "q_1_0", "pad9_0_0"]
    rows = rows_of(keys, [{}] * 6 + [{"is_padding": True}])
    assert rows.seen.tolist() == [1, 2, 3, 4]
    assert rows.spread(torch.tensor([1.0, 2.0, 3.0, 4.0])).tolist() == [1, 1, 2, 3, 4, 4, 0]
    with pytest.raises(ValueError, match="expected keys uid_session_output from verl, got 'row7'"):
        rows_of(["row7"], [{}])


def test_what_is_missing_is_named_with_its_remedy():
    data, _ = batch()
    del data["uid"]
    with pytest.raises(
        ValueError, match="objective 'dr_grpo': verl's batch lacks uid: its agent loop has to put one label a row"
    ):
        read("dr_grpo", data=data)
    data, _ = batch()
    del data["ref_log_prob"]
    with pytest.raises(ValueError, match="lacks ref_log_prob: actor_rollout_ref.actor.use_kl_loss=true computes it"):
        read("qempo_kl", data=data)
    with pytest.raises(ValueError, match=r"objective 'darling' needs kind: \+algorithm.breadth.partition=classifier"):
        read("darling")
    with pytest.raises(ValueError, match=r"objective 'ucb' needs key: \+algorithm.breadth.key=module:function"):
        read("ucb")
    with pytest.raises(ValueError, match=r"objective 'vpo' needs reward_vector: \+algorithm.breadth.reward_keys"):
        read("vpo")
    with pytest.raises(ValueError, match="algorithm.breadth.key: expected module:function, got 'first_word'"):
        read("ucb", key="first_word")
    with pytest.raises(ValueError, match="algorithm.breadth.key: cannot load 'breadth.nothing:f'"):
        read("ucb", key="breadth.nothing:f")
    with pytest.raises(
        ValueError, match="algorithm.breadth.partition: expected a name or {backend: …, …}, got {'threshold': 0.4}"
    ):
        read("darling", partition={"threshold": 0.4})


def test_prompts_keep_their_number_from_step_to_step():
    first, second = (read("darling", partition="rouge1")[1]["prompt_id"] for _ in range(2))
    assert torch.equal(first, second) and len(set(first.tolist())) == 1  # one text, whatever the uids
