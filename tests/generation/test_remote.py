"""A server that samples, and one that misbehaves: what is done is kept, the rest is drawn by the next call."""

from __future__ import annotations

import json
import time

import pytest

from breadth.experiments.generations import compare_files
from breadth.generation.prompts import Prompt
from breadth.generation.remote import RemoteSampler
from breadth.generation.writing import generate_file
from breadth.metrics.conditions import Sampling
from breadth.partitions.chat import ChatClient
from tests.chat_server import ChatServer, completion

PROMPTS = [Prompt((f"question {i}", f"and {i}")) for i in range(6)]


def honest(body):
    asked = body["messages"][-1]["content"].splitlines()[0]
    if "Give" in body["messages"][-1]["content"]:
        entry = {"answers": [{"text": f"{asked} v{body['seed'] % 97}-{j}", "probability": 0.2} for j in range(2)]}
        return completion(*[json.dumps(entry)] * body["n"])
    return completion(*[f"{asked} a{body['seed'] % 97}-{j}" for j in range(body["n"])])


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    found = ChatServer(honest)
    yield found
    found.close()


def run(server, out, prompts=PROMPTS, k=4, in_flight=1, n_tries=2, **conditions):
    sampling = Sampling(**conditions)
    client = ChatClient(server.url, model="m", timeout=0.4, pause=0.01, in_flight=in_flight, n_tries=n_tries)
    return generate_file(RemoteSampler(client, sampling), prompts, out, sampling=sampling, k=k)


def rows_of(out):
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_the_conditions_are_sent_and_written(server, tmp_path):
    found = run(server, tmp_path / "a.jsonl", temperature=0.7, min_p=0.1, top_p=0.9, max_tokens=9, in_flight=4)
    assert found.n_answers == 24 and found.failures is None
    body = server.bodies[0]
    assert (body["temperature"], body["min_p"], body["top_p"], body["max_tokens"], body["n"]) == (0.7, 0.1, 0.9, 9, 4)
    rows = rows_of(tmp_path / "a.jsonl")
    assert [row["prompt_index"] for row in rows] == sorted(row["prompt_index"] for row in rows)
    assert rows[0]["sampling"]["min_p"] == 0.1 and rows[0]["sampling"]["model"] == "m" and "logprob" not in rows[0]
    server.bodies.clear()
    run(server, tmp_path / "b.jsonl", temperature=1.0)
    assert "min_p" not in server.bodies[0] and "top_p" not in server.bodies[0]


def test_a_server_that_ignores_n_is_asked_again(server, tmp_path):
    server.honest = lambda body: completion(f"answer {body['seed']}")
    found = run(server, tmp_path / "a.jsonl", prompts=PROMPTS[:1])
    assert found.n_answers == 4 and len({row["response"] for row in rows_of(tmp_path / "a.jsonl")}) == 4
    assert [body["n"] for body in server.bodies] == [4, 3, 2, 1]


def slow(body):
    time.sleep(0.6)
    return honest(body)


def test_trouble_that_passes(server, tmp_path):
    server.plan = [
        slow, honest, (500, {}, b"oops"), honest, b"{not json", honest, completion(), honest,
        completion(*["x"] * 9),  # more than were asked for: the first four are taken
        (400, {}, b"too long"),
    ]  # fmt: skip
    found = run(server, tmp_path / "a.jsonl")
    assert (found.n_answers, found.n_failed) == (20, 1)
    (failure,) = [json.loads(line) for line in found.failures.read_text().splitlines()]
    assert failure["prompt_index"] == 5 and "HTTP 400" in failure["reason"]
    again = run(server, tmp_path / "a.jsonl")
    assert (again.n_answers, again.n_kept, again.n_failed, again.failures) == (24, 20, 0, None)


def test_a_server_that_goes_down_half_way(server, tmp_path):
    server.plan = [honest, honest, honest, (503, {}, b""), (503, {}, b"")]
    with pytest.raises(ConnectionError, match="no reply after 2 tries, the last: the server said HTTP 503"):
        run(server, tmp_path / "a.jsonl", protocol="two_turn")
    assert len(rows_of(tmp_path / "a.jsonl")) == 12
    n = len(server.bodies)
    found = run(server, tmp_path / "a.jsonl", protocol="two_turn")
    assert (found.n_answers, found.n_kept) == (48, 12) and len(server.bodies) == n + 9
    second = [row for row in rows_of(tmp_path / "a.jsonl") if row["turn"] == 2]
    assert all(row["prompt"][1]["content"].startswith(f"question {row['prompt_index']} a") for row in second)


def test_verbalized_answers_and_their_errors(server, tmp_path):
    found = run(server, tmp_path / "a.jsonl", verbalized=2)
    assert found.n_answers == 24 and found.n_unread == 0
    assert {row["probability"] for row in rows_of(tmp_path / "a.jsonl")} == {0.2}
    assert all(body["n"] == 2 for body in server.bodies)
    server.plan = [
        completion("no", '{"answers": ["one"]}')
    ]  # one reply of two unread, one short: asked again for three
    found = run(server, tmp_path / "b.jsonl", prompts=PROMPTS[:1], verbalized=2)
    assert (found.n_answers, found.n_unread, found.n_short) == (4, 1, 0)
    server.honest = lambda body: completion(*["no"] * body["n"])
    found = run(server, tmp_path / "c.jsonl", prompts=PROMPTS[:1], verbalized=2)
    assert (found.n_answers, found.n_failed, found.n_unread) == (0, 1, 6) and not (tmp_path / "c.jsonl").exists()
    assert "no answer found" in found.failures.read_text()


def test_second_turns_are_paired_by_what_was_asked(server, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        run(server, tmp_path / f"{name}.jsonl", protocol="two_turn", seed=seed)
    found = compare_files(tmp_path / "a.jsonl", tmp_path / "b.jsonl", metrics=["rouge1_distance"])
    assert found[0].n == 12 and found[0].paired  # six first turns, six second ones, though their contexts differ
