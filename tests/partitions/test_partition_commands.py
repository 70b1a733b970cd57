"""The partition commands as a user types them."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from typer.testing import CliRunner

import breadth
from breadth.commands.app import app
from breadth.partitions.agreement import adjusted_rand_index
from breadth.partitions.cross_encoder import RECORD
from breadth.partitions.service import PartitionService
from tests.partitions.counting_judge import CountingJudge
from tests.partitions.test_calibrating import make_groups, make_pairs


def run(*arguments):
    return CliRunner().invoke(app, ["partition", *map(str, arguments)])


def told(*arguments):
    found = run(*arguments, "--json")
    assert found.exit_code == 0, found.output + repr(found.exception)
    return json.loads(found.stdout)


@pytest.fixture
def pairs_file(tmp_path):
    a, b, prompts, same = make_pairs()
    rows = [{"prompt": p, "generation_0": x, "generation_1": y, "similar": int(s), "labeler": "AB"[i % 4 // 2]}
            for i, (p, x, y, s) in enumerate(zip(prompts, a, b, same, strict=True))]  # fmt: skip
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    return path


@pytest.fixture
def groups_file(tmp_path):
    rows = [{"prompt": p, "generations": t, "partition": k} for t, p, k in zip(*make_groups(), strict=True)]
    path = tmp_path / "groups.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_train_calibrate_eval_run(tmp_path, pairs_file):
    model = tmp_path / "mine.json"
    trained = told("train", pairs_file, "--out", model, "--objective", "f1")
    assert trained["record"]["objective"] == "f1" and trained["record"]["n"] == 60
    note = run("eval", pairs_file, "--model", model)
    assert "trained on these very pairs" in note.output and "auroc" in note.output and "labeller: A" in note.output
    said = run(
        "calibrate",
        pairs_file,
        "--model",
        model,
        "--objective",
        "precision",
        "--least-recall",
        "0.7",
        "--curve",
        "platt",
    )
    assert said.exit_code == 0 and "trained on these very pairs" in said.output and "held_out_recall" in said.output
    beside = tmp_path / "mine.calibration.json"
    found = told("eval", pairs_file, "--model", model, "--calibration", beside)
    assert found["threshold"] == json.loads(beside.read_text())["threshold"]
    assert set(found["parts"]) >= {"labeller: A", "labeller: B"} and len(found["parts"]) == 3  # equal lengths: one part
    assert found["trained_on_these_pairs"] is True
    generations = tmp_path / "answers.jsonl"
    texts = [json.loads(line)["generation_0"] for line in pairs_file.read_text().splitlines()[:3] if line]
    generations.write_text("".join(json.dumps({"prompt": "p", "response": t}) + "\n" for t in [*texts, texts[0]]))
    labelled = told("run", generations, "--model", model, "--calibration", beside, "--out", tmp_path / "out.jsonl")
    assert labelled["answers"] == 4 and labelled["classes"] <= 3
    assert json.loads((tmp_path / "out.jsonl").read_text().splitlines()[3])["kind"] == 0


def test_eval_and_calibrate_on_partitions(tmp_path, groups_file):
    found = told(
        "calibrate", groups_file, "--backend", "rouge1", "--objective", "distinct", "--out", tmp_path / "c.json"
    )
    assert found["record"]["held_out"] == 0
    worth = told("eval", groups_file, "--backend", "rouge1", "--calibration", tmp_path / "c.json")["partitions"]
    assert worth["ari"]["value"] == 1 and worth["distinct_error"]["value"] == 0 and worth["distinct_true"]["value"] == 3
    assert (
        "adjusted Rand index  1"
        in run("eval", groups_file, "--backend", "rouge1", "--calibration", tmp_path / "c.json").output
    )
    assert (
        told("eval", groups_file, "--backend", "rouge1", "--threshold", "0.95")["partitions"]["distinct_error"]["value"]
        == 3
    )


def test_a_cross_encoder_is_trained_and_its_verdicts_are_kept(tmp_path, own_cache):
    pytest.importorskip("transformers")
    from tests.partitions.test_fine_tuning import make_pairs as coloured
    from tests.partitions.tiny_models import one_thread, save_bert

    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, coloured(16))))
    start = save_bert(tmp_path / "start")
    command = [
        "train",
        path,
        "--backend",
        "cross_encoder",
        "--model",
        start,
        "--out",
        tmp_path / "tuned",
        "--epochs",
        1,
        "--device",
        "cpu",
    ]
    with one_thread():
        trained = told(*command)
    assert trained["record"]["epochs"] == 1 and (tmp_path / "tuned" / RECORD).is_file()
    answers = tmp_path / "answers.jsonl"
    answers.write_text(
        "".join(
            json.dumps({"prompt": "p", "response": t}) + "\n" for t in ("a red fox", "the blue ship", "the red ship")
        )
    )
    first = told(
        "run", answers, "--backend", "cross_encoder", "--model", tmp_path / "tuned", "--clustering", "components"
    )
    again = told(
        "run", answers, "--backend", "cross_encoder", "--model", tmp_path / "tuned", "--clustering", "components"
    )
    assert (first["pairs_asked"], again["pairs_asked"], again["pairs_cached"]) == (3, 0, 3)
    assert (own_cache / "partitions" / "verdicts.sqlite").is_file()
    none = told(
        "run",
        answers,
        "--backend",
        "cross_encoder",
        "--model",
        tmp_path / "tuned",
        "--clustering",
        "components",
        "--no-disk-cache",
    )
    assert none["pairs_asked"] == 3


def test_an_endpoint_that_goes_down_half_way_is_resumed_by_the_next_command(tmp_path, own_cache, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    state = {"left": 4, "asked": 0}

    class Judge(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.answer(200, {})

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            state["left"] -= 1
            state["asked"] += state["left"] >= 0
            self.answer(200 if state["left"] >= 0 else 404, {"choices": [{"message": {"content": "DIFFERENT"}}]})

        def answer(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Judge)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps({"prompt": "p", "response": f"answer {i}"}) + "\n" for i in range(5)))
    command = ["run", answers, "--backend", "endpoint", "--model", "judge", "--clustering", "components", "--url",
               f"http://127.0.0.1:{server.server_address[1]}/v1"]  # fmt: skip
    try:
        broken = run(*command)
        assert isinstance(broken.exception, ConnectionError) and "HTTP 404" in str(broken.exception)
        state["left"] = 100
        assert told(*command)["classes"] == 5
    finally:
        server.shutdown()
        server.server_close()
    assert state["asked"] == 10, "what was answered before it went down is not asked again"


def test_a_served_partition_by_the_command(tmp_path, groups_file, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with PartitionService(breadth.partition("rouge1")) as service:
        there = told("eval", groups_file, "--backend", "remote", "--url", service.url)
    here = told("eval", groups_file, "--backend", "rouge1")
    assert there["partitions"] == here["partitions"] and there["threshold"] == here["threshold"]


def test_canonical_keys_by_name(tmp_path):
    answers = tmp_path / "answers.jsonl"
    answers.write_text(
        "".join(json.dumps({"prompt": "p", "response": t}) + "\n" for t in ("(1+2)*3", "3*(2+1)", "1+2*3", "no"))
    )
    assert told("run", answers, "--backend", "canonical", "--key", "expression")["classes"] == 3
    assert told("run", answers, "--backend", "canonical", "--key", "builtins:len")["classes"] == 3
    assert breadth.partition("canonical", key="expression")(["1+2", "2+1", "1-2"]).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("content", "arguments", "text"),
    [
        ('{"prompt": 1', ["eval"], "line 1: expected a JSON object: prompt, generation_0"),
        ("3", ["eval"], "line 1: expected a JSON object: .*, got int"),
        ("", ["eval"], "no rows in it"),
        (b"\xff\xfe", ["eval"], "expected UTF-8, got byte 0xff at 0"),
        (
            '{"prompt": "p", "generations": ["a"]}',
            ["eval"],
            "row 1: expected prompt, generations and partition, got no 'partition'",
        ),
        (
            '{"prompt": "p", "generations": ["a"], "partition": []}',
            ["eval"],
            "expected a class for each answer, got 0 classes for 1",
        ),
        (
            "{}",
            ["train", "--out", "x.json", "--backend", "rouge1"],
            "only classifier and cross_encoder are trained, got 'rouge1'",
        ),
        ("{}", ["train", "--out", "x", "--backend", "cross_encoder"], "a cross-encoder needs --model"),
        ("{}", ["train", "--out", "x", "--model", "y"], "--model is for cross_encoder"),
        ("{}", ["calibrate", "--backend", "rouge1"], "--out is needed where there is no classifier file"),
        (
            '{"prompt": "p"}',
            ["eval", "--backend", "canonical", "--key", "nowhere:f"],
            "there is no function 'nowhere:f'",
        ),
        ('{"prompt": "p"}', ["eval", "--backend", "canonical", "--key", "os:sep"], "'os:sep' is no function but str"),
    ],
)
def test_bad_input_is_named(tmp_path, content, arguments, text):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = run(arguments[0], path, *arguments[1:])
    with pytest.raises(ValueError, match=text):
        raise found.exception


def test_a_broken_gzip_is_named(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(b"\x1f\x8b nothing")
    with pytest.raises(ValueError, match="not a whole gzip file"):
        raise run("eval", path).exception


def test_spread_of_classes_is_that_of_the_groups():
    same = breadth.partition("canonical")
    group = np.array([5, 5, 5, 9, 9, 2])
    np.testing.assert_allclose(same.diversity(["a", "a", "b", "x", "y", "q"], group=group), [0.5, 0.5, 1, 1, 1, np.nan])


@pytest.mark.parametrize(("n_classes", "times"), [(6, 10), (64, 4)])
def test_the_stated_savings_at_64_answers(n_classes, times):
    """The goal of the screen: a tenth of all pairs for at most 6 classes, a quarter where all differ, the classes right."""
    draw = np.random.default_rng(0)
    kinds = draw.permutation(np.arange(64) % n_classes)
    topics = [[f"w{draw.integers(3000)}" for _ in range(40)] for _ in range(n_classes)]
    common = [f"common{i}" for i in range(60)]
    texts = [f"{k} " + " ".join([*draw.choice(topics[k], 60), *draw.choice(common, 60)]) for k in kinds]
    judge = CountingJudge()
    found = breadth.partition(judge, screen="classifier")(texts)
    assert adjusted_rand_index(found, kinds) >= 0.9
    assert len(judge.asked) * times <= 64 * 63 / 2
    every = CountingJudge()
    breadth.partition(every, clustering="components")(texts)
    assert len(every.asked) == 64 * 63 / 2
