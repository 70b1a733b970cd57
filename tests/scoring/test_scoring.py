"""Reward model and judge as scorers: right numbers, nothing made up, nothing asked twice."""

from __future__ import annotations

import json
import re
import time

import pytest

from breadth.experiments.generations import measure_file
from breadth.ledger.generations import read_generations
from breadth.partitions.chat import ChatClient, Malformed
from breadth.scoring.item import Item
from breadth.scoring.judge import Judge, read_rating, read_verdict
from breadth.scoring.questions import read_references
from breadth.scoring.scored_file import score_file
from tests.chat_server import ChatServer, completion
from tests.tiny_models import reward_folder


def honest(body):
    """Rates an answer by its last digit; of two, the one with the larger last digit is better, and A where they tie."""
    text = body["messages"][0]["content"]
    digits = [int(d) for d in re.findall(r"answer \S*?(\d)\n</conversation", text)]
    if len(digits) == 1:
        return completion(f"Well. Rating: [[{digits[0]}]]")
    return completion("Verdict: [[" + ("A" if digits[0] >= digits[1] else "B") + "]]")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    found = ChatServer(honest)
    yield found
    found.close()


def judge(server, n_tries=2, in_flight=1, **settings):
    return Judge(
        ChatClient(server.url, model="j", timeout=0.4, pause=0.01, in_flight=in_flight, n_tries=n_tries), **settings
    )


def write(path, digits, prompt="p"):
    rows = [{"prompt": f"{prompt}{i // 4}", "response": f"answer {d}", "step": 7} for i, d in enumerate(digits)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rewards(path):
    return [json.loads(line)["reward"] for line in path.read_text().splitlines()]


def test_single_answers_are_rated_and_equal_ones_once(server, tmp_path):
    path = write(tmp_path / "a.jsonl", [3, 3, 8, 1, 5, 9, 3, 2])
    found = score_file(path, judge(server, in_flight=4), tmp_path / "out.jsonl")
    assert rewards(tmp_path / "out.jsonl") == [3, 3, 8, 1, 5, 9, 3, 2]
    assert (found.n, found.n_unscored, found.n_asked, found.mean) == (8, 0, 7, 34 / 8) and len(server.bodies) == 7
    row = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert row["scorer"]["model"] == "j" and row["step"] == 7 and row["reward_status"] == "scored"
    assert "Well. Rating" in (tmp_path / "out.jsonl.scores").read_text()
    assert measure_file(tmp_path / "out.jsonl").series("quality")[0][1].value == 34 / 8
    again = score_file(path, judge(server), tmp_path / "out.jsonl")
    assert again.n_asked == 0 and len(server.bodies) == 7
    with pytest.raises(ValueError, match="line 1: scores of another scorer"):
        score_file(path, judge(server, max_tokens=5), tmp_path / "out.jsonl")


def slow(body):
    time.sleep(0.6)
    return honest(body)


def test_trouble_leaves_an_answer_unscored_never_zero(server, tmp_path):
    server.plan = [
        slow, honest, (500, {}, b""), honest, b"{oops", honest,
        completion("Rating: [[0]]"), completion("Rating: [[11]]"),  # outside the scale, both tries
        (400, {}, b"too long"),
        completion("I would rather not."), completion("No."),
    ]  # fmt: skip
    path = write(tmp_path / "a.jsonl", [3, 4, 5, 6, 7, 8])
    found = score_file(path, judge(server), tmp_path / "out.jsonl")
    assert rewards(tmp_path / "out.jsonl") == [3, 4, 5, None, None, None] and found.mean == 4
    assert found.n_unscored == 3 and sorted(found.reasons.values()) == [1, 1, 1]
    assert any("a rating of 11, outside 1 to 10" in reason for reason in found.reasons)
    measured = measure_file(tmp_path / "out.jsonl")
    assert any("3 of 6 rows have no reward" in note for note in measured.notes)
    assert measured.series("quality")[0][1].n_unscored == 3
    again = score_file(path, judge(server), tmp_path / "out.jsonl")
    assert rewards(tmp_path / "out.jsonl") == [3, 4, 5, 6, 7, 8] and again.n_asked == 3


def test_a_judge_that_goes_down_half_way(server, tmp_path):
    path = write(tmp_path / "a.jsonl", [1, 2, 3, 4, 5, 6])
    server.plan = [honest, honest, (503, {}, b""), (503, {}, b"")]
    with pytest.raises(ConnectionError, match="no judgement after 2 tries, the last: the server said HTTP 503"):
        score_file(path, judge(server), tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
    n = len(server.bodies)
    assert score_file(path, judge(server), tmp_path / "out.jsonl").n_unscored == 0 and len(server.bodies) == n + 4
    server.close()
    with pytest.raises(ConnectionError, match="cannot be reached"):
        score_file(write(tmp_path / "b.jsonl", [1]), judge(server), tmp_path / "b.out.jsonl")


def test_a_judge_that_never_says_a_number_stops_the_call(server, tmp_path):
    server.honest = lambda body: completion("Lovely.")
    path = write(tmp_path / "a.jsonl", range(10), prompt="long ")
    path.write_text("".join(json.dumps({"prompt": "p", "response": f"answer {i}"}) + "\n" for i in range(30)))
    with pytest.raises(
        ValueError, match="20 of 20 answers could not be scored, more than 50%; the last: .*without a rating"
    ):
        score_file(path, judge(server, n_tries=1), tmp_path / "out.jsonl")


def test_pairs_in_both_orders(server, tmp_path):
    a, b = write(tmp_path / "a.jsonl", [9, 1, 5, 7]), write(tmp_path / "b.jsonl", [2, 2, 5, 8])
    score_file(a, judge(server, pairwise=True), tmp_path / "out.jsonl", base=b)
    assert rewards(tmp_path / "out.jsonl") == [1, 0, 0.5, 0]  # the tie goes to A in both orders: a contradiction, ½
    assert len(server.bodies) == 8
    with pytest.raises(ValueError, match="line 1: the base has no answer to this question"):
        score_file(
            write(tmp_path / "c.jsonl", [1], prompt="q"), judge(server, pairwise=True), tmp_path / "c.out", base=b
        )


def test_two_turns_and_references(server, tmp_path):
    (tmp_path / "q.jsonl").write_text(
        '{"turns": ["1+1?", "times 3?"], "reference": ["the answer is 2", "6 {conversation}"]}\n'
    )
    references = read_references(tmp_path / "q.jsonl")
    chat = [
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "2 {reference}"},
        {"role": "user", "content": "times 3?"},
    ]
    (tmp_path / "a.jsonl").write_text(json.dumps({"prompt": chat, "response": "answer 6"}) + "\n")
    score_file(tmp_path / "a.jsonl", judge(server, references=references), tmp_path / "out.jsonl")
    shown = server.bodies[0]["messages"][0]["content"]
    assert "<reference_answer>\n6 {conversation}\n" in shown and "### assistant\n2 {reference}\n" in shown
    assert shown.index("1+1?") < shown.index("times 3?") < shown.index("answer 6")
    assert next(read_generations(tmp_path / "out.jsonl")).messages == chat


def test_ratings_and_verdicts_are_read_or_refused():
    assert read_rating("I'd say 7/10 at first. Rating: [[ 8.5 / 10 ]]") == 8.5 and read_rating("**Rating:** 7") == 7
    assert read_verdict("[[B]]") == 0
    for said in ("", "10 of 10 points", "Rating: good"):
        with pytest.raises(Malformed):
            read_rating(said)
    with pytest.raises(Malformed, match="without a verdict"):
        read_verdict("A is better")


def test_a_reward_model_gives_its_raw_output(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from breadth.scoring.reward_model import RewardModel

    folder = reward_folder(tmp_path / "model", chat=True)
    scorer = RewardModel(folder, batch_size=3)
    assert scorer.template == "chat"
    items = [Item(({"role": "user", "content": "w1 w2"},), " ".join(f"w{j}" for j in range(i + 1))) for i in range(7)]
    found = dict(scorer.score(items))
    assert sorted(found) == list(range(7)) and len({score.value for score in found.values()}) == 7
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    for i, item in enumerate(items):
        ids = scorer.tokenizer(f"<user> w1 w2 <eos> <assistant> {item.response} <eos> ", add_special_tokens=False)[
            "input_ids"
        ]
        with torch.inference_mode():
            alone = float(model(torch.tensor([ids])).logits[0, 0])
        assert found[i].value == pytest.approx(alone, abs=1e-5), i  # padding changes nothing
    long = Item(({"role": "user", "content": "w1"},), "w2 " * 100)
    assert dict(scorer.score([long]))[0].value is not None and scorer.n_cut == 1
    plain = RewardModel(folder, template="plain")
    assert dict(plain.score(items[:1]))[0].value != found[0].value
    assert dict(plain.score([long]))[0].value is not None and plain.n_cut == 1
    path = write(tmp_path / "a.jsonl", [1, 2])
    assert score_file(path, scorer, tmp_path / "out.jsonl").n_unscored == 0


def test_reward_models_that_would_mislead_are_refused(tmp_path):
    pytest.importorskip("transformers")
    from breadth.scoring.reward_model import RewardModel
    from tests.tiny_models import causal_folder

    two = reward_folder(tmp_path / "two", labels=2)
    with pytest.raises(ValueError, match="has 2 outputs; say which one is the reward, 0 to 1"):
        RewardModel(two)
    item = [Item(({"role": "user", "content": "w1"},), "w2")]
    assert dict(RewardModel(two, label=1).score(item))[0].value != dict(RewardModel(two, label=0).score(item))[0].value
    with pytest.raises(ValueError, match="lacks 1 weights .score.weight, …., it would judge at random"):
        RewardModel(causal_folder(tmp_path / "causal"), label=0)
    with pytest.raises(FileNotFoundError, match="nothing is downloaded"):
        RewardModel(tmp_path / "nothing")
