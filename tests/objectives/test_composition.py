"""The door of an objective: streams by name, what is missing, what is odd, and that pieces run in their order."""

import copy
import pickle

import numpy as np
import pytest
import torch

from breadth import catalogue, objective
from breadth.advantages.baseline import centre
from breadth.losses.tokens import policy_gradient_loss
from breadth.objectives.composition import Aggregation, Objective, Piece

NAN = float("nan")


@pytest.mark.parametrize(
    ("name", "streams", "error", "text"),
    [
        ("grpo", {"rewards": [1.0], "group": [0]}, TypeError, "unknown stream 'rewards', did you mean 'reward'?"),
        (
            "grpo",
            {"reward": [1.0]},
            ValueError,
            "objective 'grpo' needs group, which it was not given:\n  group: (N,) int64",
        ),
        (
            "qempo",
            {"reward": [1.0, 0.0], "group": [0, 0], "correct": None},
            ValueError,
            "objective 'qempo' needs correct, seq_logp, which it was not given:\n  correct: (N,) bool; the",
        ),
        ("darling", {"reward": [1.0], "group": [0]}, ValueError, "objective 'darling' needs kind"),
        (
            "grpo",
            {"reward": [1.0, 2.0], "group": [0]},
            ValueError,
            "group: expected shape (2,) for 2 rewards, got (1,)",
        ),
        ("grpo", {"reward": [], "group": []}, ValueError, "reward: expected shape (N,) with N >= 1, got (0,)"),
        (
            "grpo",
            {"reward": [1.0, torch.inf], "group": [0, 0]},
            ValueError,
            "reward: 1 infinite values, first in row 1",
        ),
        ("grpo", {"reward": [1.0], "group": [0.5]}, TypeError, "group: expected integers, got torch.float32"),
        ("grpo", {"reward": [1.0], "group": [0], "scored": [1]}, TypeError, "scored: expected dtype torch.bool"),
        (
            "rlhf",
            {"reward": [1.0, 0.0], "group": [0, 0], "seq_logp": [-1.0, NAN], "seq_logp_ref": [0.0, 0.0]},
            ValueError,
            "seq_logp: 1 values of scored rollouts are not finite, first in row 1",
        ),
    ],
)
def test_what_is_wrong_is_said(name, streams, error, text):
    with pytest.raises(error) as caught:
        objective(name).advantage(**streams)
    assert text in str(caught.value)


def test_what_is_wrong_with_a_loss_is_said():
    logp, mask = torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="objective 'grpo' needs advantage, which it was not given"):
        objective("grpo").loss(logp=logp, mask=mask)
    with pytest.raises(ValueError, match="needs logp_ref, which it was not given"):
        objective("grpo", beta=0.1).loss(logp=logp, mask=mask, advantage=torch.zeros(2))
    with pytest.raises(ValueError, match="objective 'reinvent' needs reward, seq_logp_ref, which it was not given"):
        objective("reinvent").loss(logp=logp, mask=mask)
    with pytest.raises(TypeError, match="unknown stream 'masks', did you mean 'mask'"):
        objective("grpo").loss(logp=logp, mask=mask, advantage=torch.zeros(2), masks=mask)
    with pytest.raises(ValueError, match=r"mask: expected at least one kept token, got none in shape \(2, 3\)"):
        objective("grpo").loss(logp=logp, mask=mask & False, advantage=torch.zeros(2))
    with pytest.raises(ValueError, match=r"mask: expected shape \(2, 3\), as logp, got \(2, 2\)"):
        objective("grpo").loss(logp=logp, mask=mask[:, :2], advantage=torch.zeros(2))


def test_known_streams_that_are_not_used_are_accepted():
    given = {"key": ["a", "b"], "prompt_id": [1, 1], "distance": None, "parsable": [True, True]}
    got = objective("dr_grpo").advantage(reward=[1, 0], group=np.array([3, 3]), **given)
    assert got.tolist() == [0.5, -0.5]


def test_sequence_streams_follow_from_token_streams():
    logp = torch.tensor([[-1.0, NAN], [-2.0, -3.0]])
    mask = torch.tensor([[True, False], [True, True]])
    base = {"reward": [1.0, 0.0], "group": [0, 0]}
    a = objective("rlhf").advantage(**base, logp_old=logp, logp_ref=2 * logp, mask=mask)
    b = objective("rlhf").advantage(**base, seq_logp=[-1.0, -5.0], seq_logp_ref=[-2.0, -10.0])
    assert torch.equal(a, b)


def test_numpy_arrays_are_taken():
    got = objective("grpo").advantage(reward=np.array([1.0, NAN, 0.0]), group=np.array([5, 5, 5]))
    assert got.dtype == torch.float64
    assert got[1] == 0


def test_on_policy_is_the_default():
    logp, mask, advantage = torch.randn(2, 3), torch.ones(2, 3, dtype=torch.bool), torch.tensor([1.0, -1.0])
    a = objective("grpo").loss(logp=logp, mask=mask, advantage=advantage)
    b = objective("grpo").loss(logp=logp, logp_old=logp, mask=mask, advantage=advantage)
    assert torch.equal(a.value, b.value)
    assert a.stats == b.stats
    assert a.matrix.shape == (2, 3)


REMEMBERING = ("augmented_memory", "molrl_mgpt", "niching", "reinvent_filter", "ucb", "adaptive_entropy", "quality_target")


@pytest.mark.parametrize("name", [name for name in catalogue.entries("objective") if name not in REMEMBERING])
def test_without_memory_there_is_no_state(name):
    method = objective(name)
    if catalogue.lookup("objective", name).family in ("policy", "actor_critic", "group"):
        method.observe(reward=[1.0], group=[0])
    assert method.state_dict() == {}
    method.load_state_dict({})
    with pytest.raises(ValueError, match=f"objective '{name}' has no state, got keys counts"):
        method.load_state_dict({"counts": 1})
    with pytest.raises(TypeError, match="unknown stream"):
        method.observe(rewardd=[1.0])
    assert str(pickle.loads(pickle.dumps(method))) == str(copy.deepcopy(method)) == str(method)


@pytest.mark.parametrize("name", catalogue.entries("objective"))
def test_pieces_are_printed_in_the_order_in_which_they_run(name):
    slots = [str(piece).split()[0] for piece in objective(name).pieces]
    assert slots == sorted(slots, key=["selection", "A1", "A2", "A3", "token", "loss", "penalty", "value", "aggregation"].index)
    assert str(objective(name)).splitlines()[0].startswith(f"{name} (")


def test_an_objective_is_frozen():
    with pytest.raises(AttributeError):
        objective("grpo").name = "other"
    with pytest.raises(ValueError, match="family: expected one of policy, actor_critic, group, pair, selection, sft, got 'other'"):
        Objective(
            "x",
            "x",
            "other",
            Piece("A2", centre),
            Piece("loss", policy_gradient_loss),
            Aggregation("token_mean"),
            "",
            (),
        )


def test_a_composition_of_ones_own_runs_in_its_order():
    calls = []

    def double(values, group, *, by=2.0):
        calls.append("A1")
        return values * by

    def add_length(values, group, *, length):
        calls.append("A3")
        return values + length

    def first_token_only(logp_old, advantage, mask):
        weight = torch.zeros_like(logp_old)
        weight[:, 0] = 1.0
        return weight

    mine = Objective(
        name="mine",
        title="Mine",
        family="policy",
        shape_rewards=(Piece("A1", double, {"by": 4.0}),),
        baseline=Piece("A2", centre, takes=("scored",)),
        shape_advantages=(Piece("A3", add_length, needs=("length",)),),
        token_weights=(Piece("token weight", first_token_only),),
        loss_piece=Piece("loss", policy_gradient_loss),
        aggregation=Aggregation("seq_mean_token_sum"),
        source="",
        invariants=("order_blind",),
    )
    assert mine.needs == ("reward", "group", "length")
    advantage = mine.advantage(reward=[1.0, 0.0, NAN], group=[0, 0, 0], length=[1, 2, 3])
    assert advantage.tolist() == [3.0, 0.0, 0.0]
    assert calls == ["A1", "A3"]
    logp = torch.zeros(3, 2, requires_grad=True)
    mine.loss(logp=logp, mask=torch.ones(3, 2, dtype=torch.bool), advantage=advantage).value.backward()
    assert logp.grad.tolist() == [[-1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
