"""Sampling in steps of fixed shapes says what sampling says. A tape stands in for a CUDA graph: what was recorded once is what runs again.

The tape plays the very calls of one step, with the numbers that were Python's at that time and the tensors where they lay: a step that reads
the number of the token from Python, or the weights of yesterday, fails here as it would on a GPU.
"""

from __future__ import annotations

import contextlib
import gc
import inspect

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from breadth.engine import graph_sampling
from breadth.engine.gpt import GPT, GPTShape
from breadth.engine.graph_sampling import GraphSampling, Plan, captured, eagerly
from breadth.engine.rollout import Sampling, sample
from tests.engine.sharp import WORDS, sharp

PADDED = ["a b c", "", "a", "b b b b b"] * 6
PROMPTS = {"one": [""] * 24, "padded": PADDED, "distinct": ["a b", "c d", "e f", "g h", "b a", "h g"]}
WAYS = {
    "plain": {},
    "top_k": {"top_k": 3},
    "top_p": {"top_p": 0.6},
    "min_p": {"min_p": 0.2},
    "cold": {"temperature": 0.7, "top_k": 5, "top_p": 0.9, "min_p": 0.05},
    "fixed": {"end_token": False},
    "one token": {"max_tokens": 1},
    "two tokens": {"max_tokens": 2, "end_token": False},
}
FIELDS = ("tokens", "mask", "ended", "prompt_tokens", "prompt_mask", "group", "prompt_id")


class Tape(TorchDispatchMode):
    """Every call of a step with its arguments and what came out."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    def play(self) -> None:
        made = {}

        def now(x):
            return made.get(id(x), x)

        for func, args, kwargs, out in self.calls:
            new = func(*tree_map(now, args), **tree_map(now, kwargs))
            for before, after in zip(tree_leaves(out), tree_leaves(new), strict=True):
                made[id(before)] = after


class OnTape:
    """Captures as a CUDA graph does, and counts: captures, replays."""

    def __init__(self) -> None:
        self.captures = self.replays = 0

    def __call__(self, step):
        self.captures += 1
        tape = Tape()
        for _ in range(3):  # the warm-up
            step()
        with tape:
            step()

        def replay():
            self.replays += 1
            tape.play()

        return replay


def model(seed=0, width=32, **shape):
    return sharp(width, seed=seed, **shape)


def answers(net, prompts=PADDED, *, graphs=None, bf16=False, seed=0, **how):
    generator = torch.Generator().manual_seed(seed)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return sample(net, prompts, WORDS, Sampling(**{"max_tokens": 30, **how}), generator=generator, graphs=graphs)


def same(found, expected, atol=1e-5):
    assert found.text == expected.text
    for name in FIELDS:
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    for name in ("logp_old", "logp_sampled", "entropy"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=atol, rtol=0)


@pytest.mark.parametrize("capture", [eagerly, OnTape()], ids=["eager", "tape"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("prompts", PROMPTS)
def test_it_is_what_sample_says(capture, way, prompts):
    net, prompts = model(), PROMPTS[prompts]
    expected = answers(net, prompts, **WAYS[way])
    graphs = GraphSampling(capture)
    same(answers(net, prompts, graphs=graphs, **WAYS[way]), expected)
    again = answers(
        net, prompts, graphs=graphs, seed=1, **WAYS[way]
    )  # nothing of the first batch is left in its memory
    same(again, answers(net, prompts, seed=1, **WAYS[way]))
    if way == "plain" and len(prompts) == 24:
        assert len(set(expected.mask.sum(-1).tolist())) > 5  # rows ended here and there


def test_a_head_of_its_own_and_float64():
    net = model(tie_word_embeddings=False)
    same(answers(net, graphs=GraphSampling(OnTape())), answers(net))
    wide = model().double()
    same(answers(wide, graphs=GraphSampling(OnTape())), answers(wide), atol=1e-6)


def test_padding_counts_where_it_is_not_left_out(monkeypatch):
    """The twin that must fail."""
    net, own = model(), Plan._read
    expected = answers(net, end_token=False)

    def seeing_padding(self):
        self._real.fill_(True)
        return own(self)

    monkeypatch.setattr(Plan, "_read", seeing_padding)
    found = answers(net, graphs=GraphSampling(eagerly), end_token=False)
    assert float((found.logp_old - expected.logp_old).abs().max()) > 1e-2
    one = PROMPTS["one"]
    same(answers(net, one, graphs=GraphSampling(eagerly)), answers(net, one))  # where there is none, nothing changes


@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
def test_an_update_between_two_calls_shows(bf16):
    net, capture = model(), OnTape()
    graphs = GraphSampling(capture)
    bound = 0.05 if bf16 else 1e-5

    def agree():
        found, expected = (answers(net, graphs=g, bf16=bf16, end_token=False) for g in (graphs, None))
        rows = (found.tokens == expected.tokens).all(-1)
        assert rows.float().mean() > (0.8 if bf16 else 0.99)
        assert float((found.logp_old - expected.logp_old)[rows].abs().max()) < bound
        return found

    first = agree()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.05, fused=True)
    net(torch.tensor([[1, 3, 4]])).square().sum().backward()
    optimizer.step()
    second = agree()
    net.load_state_dict(model(seed=3).state_dict())
    third = agree()
    assert capture.captures == 1
    assert not torch.equal(first.logp_old, second.logp_old) and not torch.equal(second.logp_old, third.logp_old)
    net.load_state_dict(model(seed=4).state_dict(), assign=True)  # weights in other places
    agree()
    assert capture.captures == 2


def test_copies_that_are_not_written_anew_are_yesterdays(monkeypatch):
    """The twin of the test before."""
    net, graphs = model(), GraphSampling(OnTape())
    answers(net, graphs=graphs, bf16=True)
    monkeypatch.setattr(Plan, "_refresh", lambda self: None)
    net.load_state_dict(model(seed=3).state_dict())
    found, expected = (answers(net, graphs=g, bf16=True, end_token=True) for g in (graphs, None))
    assert found.text != expected.text


@pytest.mark.parametrize("prompts", PROMPTS)
def test_in_bfloat16_it_is_within_the_stated_bound(prompts):
    net, prompts = model(width=64), PROMPTS[prompts]
    found, expected = (
        answers(net, prompts, graphs=g, bf16=True, end_token=False) for g in (GraphSampling(eagerly), None)
    )
    rows = (found.tokens == expected.tokens).all(-1)
    error = (found.logp_old - expected.logp_old)[rows].abs()
    assert rows.float().mean() > 0.8 and float(error.max()) < 0.1 and 0 < float(error.mean()) < 0.01


@pytest.mark.parametrize("token", [0, 1, 11])
def test_damaged_weights_are_named_with_the_token(token):
    net = model()
    with torch.no_grad():
        if token:  # the position of the token before it
            net.transformer["wpe"].weight[token] = float("nan")
        else:
            net.transformer["ln_f"].weight[0] = float("nan")
    for graphs in (None, GraphSampling(OnTape())):
        with pytest.raises(ValueError, match=f"not finite at token {token}: its weights are damaged"):
            answers(net, [""] * 4, graphs=graphs, end_token=False)
    sound = model()
    same(answers(sound, graphs=graphs), answers(sound))


def test_damage_does_not_stay_in_the_memory():
    net, graphs = model(), GraphSampling(OnTape())
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        net.transformer["h"][1].attn.c_attn.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="its weights are damaged"):
        answers(net, graphs=graphs)
    net.load_state_dict(weights)
    same(answers(net, graphs=graphs), answers(net))


def test_it_stops_at_the_next_look_after_the_last_end():
    net, capture = model(), OnTape()
    with torch.no_grad():
        net.transformer["ln_f"].bias.copy_(net.transformer["wte"].weight[WORDS.eos_id])  # ends are likely
    expected = answers(net, max_tokens=58)
    longest = expected.mask.shape[1]
    assert expected.ended.all() and longest < 40
    same(answers(net, graphs=GraphSampling(capture), max_tokens=58), expected)
    every = graph_sampling.LOOK_EVERY
    assert capture.replays == -(-longest // every) * every - 1


def test_a_step_is_made_once_for_a_shape_and_goes_with_its_model():
    net, capture = model(), OnTape()
    graphs = GraphSampling(capture)
    answers(net, ["a b"] * 4, graphs=graphs)
    answers(net, ["a", "c c c c"] * 2, graphs=graphs)  # wider prompts in the same room
    assert capture.captures == 1
    answers(net, ["a"] * 5, graphs=graphs)
    answers(net, ["a b"] * 4, graphs=graphs)
    assert capture.captures == 2  # two are kept
    answers(net, ["a"] * 4, graphs=graphs, top_k=2)
    answers(net, ["a"] * 5, graphs=graphs)
    assert capture.captures == 4  # the oldest had gone
    answers(net, ["a"] * 5, graphs=graphs, bf16=True)
    assert capture.captures == 5
    assert len(graphs._plans) == 1
    del net
    gc.collect()
    assert len(graphs._plans) == 0


def recorded(net, way):
    """Return the tapes of three steps in a row, of 24 rows."""
    how, tapes = Sampling(**{"max_tokens": 30, **WAYS[way]}), []
    with torch.no_grad():
        plan = Plan(net, 24, 64, how, WORDS, torch.float32, eagerly)
        for _ in range(3):
            with Tape() as tape:
                plan._step()
            tapes.append(tape)
    return tapes


@pytest.mark.parametrize("way", [way for way in WAYS if way != "one token"])
def test_every_step_is_the_same_calls_at_the_same_places(way):
    def what(call):
        func, args, kwargs, _ = call
        leaves = tree_leaves((args, kwargs))
        return func, [x.shape if isinstance(x, torch.Tensor) else x for x in leaves]

    first, *others = recorded(model(), way)
    for tape in others:
        assert [what(call) for call in tape.calls] == [what(call) for call in first.calls]


def asked(tape):
    """Return the calls that bring something from the host's memory: tensors that lie there, or indices that may."""
    found = []
    for func, args, kwargs, out in tape.calls:
        devices = {x.device.type for x in tree_leaves((args, kwargs, out)) if isinstance(x, torch.Tensor)}
        if devices - {"meta"} or func.overloadpacket in (torch.ops.aten.index, torch.ops.aten.index_put_):
            found.append(func.overloadpacket.__name__)
    return found


@pytest.mark.parametrize("way", [way for way in WAYS if way != "one token"])
def test_away_from_the_host_nothing_asks_it(monkeypatch, way):
    """On a device without numbers: none is read, no shape depends on one, and none comes from the host's memory."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: False)  # it does not know that device
    monkeypatch.setattr(Plan, "_exactly", lambda self: contextlib.nullcontext())
    with torch.device("meta"):
        net = GPT(GPTShape(len(WORDS), 64, 32, 2, 4))
    tape = recorded(net, way)[0]
    assert not asked(tape) and len(tape.calls) > 50


def test_that_test_sees_what_it_looks_for():
    x, one = torch.zeros(3, device="meta"), torch.tensor(1.0)
    with Tape() as tape:
        x.masked_fill_(x > 0, 0.0)  # its number is an argument of the kernel
    assert not asked(tape)
    with Tape() as tape:
        x.add(one)
        x[[0, 1]] = 1.0
    assert asked(tape) == ["add", "index_put_"]
    for reading in (lambda: bool(x.any()), lambda: x.nonzero(), lambda: x[x > 0], lambda: x.tolist()):
        with pytest.raises((RuntimeError, NotImplementedError)):
            reading()


def test_what_it_cannot_do_is_refused():
    class Other(GPT):
        pass

    with pytest.raises(TypeError, match="expected a model of class GPT, got Other"):
        answers(Other(model().shape, seed=0), graphs=GraphSampling(eagerly))
    if not torch.cuda.is_available():
        with pytest.raises(
            RuntimeError, match="expected a CUDA device, torch sees none: set engine.cuda_graphs = false"
        ):
            answers(model(), graphs=GraphSampling())


def test_a_capture_follows_a_warm_up_on_a_stream_of_its_own(monkeypatch):
    """The calls of PyTorch's recipe in their order, by names; what they do needs a GPU."""
    said = []

    class Stream:
        def __init__(self, name="aside"):
            self.name = name

        def wait_stream(self, other):
            said.append(f"{self.name} waits for {other.name}")

    class Graph:
        def replay(self):
            said.append("replay")

    @contextlib.contextmanager
    def on(name):
        said.append(f"on {name}")
        yield
        said.append("back")

    known = inspect.signature(torch.cuda.graph.__init__).parameters
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: Stream("main"))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: on(stream.name))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, **how: on(f"capture {set(how) <= set(known)}"))
    replay = captured(lambda: said.append("step"))
    replay()
    warm = ["aside waits for main", "on aside", *["step"] * graph_sampling.WARM_UP, "back", "main waits for aside"]
    assert said == [*warm, "on capture True", "step", "back", "replay"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="capture and replay need a CUDA device, and torch sees none")
@pytest.mark.parametrize("bf16", [False, True], ids=["fp32", "bf16"])
@pytest.mark.parametrize("way", WAYS)
def test_captured_on_a_gpu_it_is_what_the_same_steps_say_one_by_one(way, bf16):
    net, graphs, by_hand = model(width=64).cuda(), GraphSampling(captured), GraphSampling(eagerly)

    def drawn(graphs, seed):
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            how = Sampling(**{"max_tokens": 30, **WAYS[way]})
            return sample(net, PADDED, WORDS, how, generator=torch.Generator().manual_seed(seed), graphs=graphs)

    def near(found, expected):  # a library may choose another kernel under a capture
        width = min(found.tokens.shape[1], expected.tokens.shape[1])
        rows = (found.tokens[:, :width] == expected.tokens[:, :width]).all(-1)
        error = (found.logp_old[:, :width] - expected.logp_old[:, :width])[rows].abs()
        assert rows.float().mean() > (0.8 if bf16 else 0.95) and float(error.max()) < (0.1 if bf16 else 1e-4)

    for seed in range(3):
        found = drawn(graphs, seed)
        near(found, drawn(by_hand, seed))
        near(found, drawn(None, seed))
        with torch.no_grad():  # an update, where the weights lie
            for parameter in net.parameters():
                parameter.mul_(1.1)
    with torch.no_grad():
        net.transformer["ln_f"].weight[0] = float("nan")
    with pytest.raises(ValueError, match="its weights are damaged"):
        drawn(graphs, 0)
