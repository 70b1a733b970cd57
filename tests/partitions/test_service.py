"""A served partition and its client: the same answers, batched, cached, and polite to bad callers."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

import breadth
from breadth.commands.partition_serving import serve
from breadth.partitions.service import PartitionService
from tests.partitions.counting_judge import CountingJudge

TEXTS = ["the red fox jumps over the lazy dog today", "over the lazy dog the red fox jumps today",
         "a completely different story about ships and the sea", "red fox"]  # fmt: skip


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def call(url, body=None, headers=None):
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def remote(service, **settings):
    return breadth.partition("remote", url=service.url, pause=0.01, timeout=10.0, **settings)


@pytest.mark.parametrize("backend", ["rouge1", "classifier"])
def test_a_served_partition_is_the_partition(backend):
    local = breadth.partition(backend)
    with PartitionService(local) as service:
        there = remote(service)
        assert there.threshold == local.threshold
        prompts = ["Tell a story"] * 4
        assert there(TEXTS, prompts=prompts).tolist() == local(TEXTS, prompts=prompts).tolist()
        np.testing.assert_allclose(
            there.distance(TEXTS, prompts=prompts), local.distance(TEXTS, prompts=prompts), atol=1e-12
        )
        assert local.backend.fingerprint in there.backend.fingerprint
        status, said = call(service.url + "/partition", {"texts": TEXTS, "prompts": prompts, "group": [0, 0, 0, 7]})
        assert status == 200 and said["kinds"] == local(TEXTS, prompts=prompts, group=[0, 0, 0, 7]).tolist()
        assert said["diversity"][3] is None and said["diversity"][0] == pytest.approx(0.5)


def test_soft_has_no_kinds():
    with PartitionService(breadth.partition("rouge1", clustering="soft")) as service:
        said = call(service.url + "/partition", {"texts": TEXTS[:3]})[1]
    assert said["kinds"] is None and len(said["diversity"]) == 3


def test_pairs_are_cached_and_callers_share_batches():
    judge = CountingJudge()
    with PartitionService(breadth.partition(judge), linger=0.3) as service:
        texts = [f"{word} {i}" for i in range(4) for word in ("red", "blue")]
        found = [None] * 4

        def one(k):
            found[k] = remote(service, clustering="components")(texts).tolist()

        threads = [threading.Thread(target=one, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [[0, 1] * 4] * 4
        assert len(judge.asked) == 28, "4 callers, 28 pairs, each judged once"
        about = call(service.url + "/models")[1]
        assert about["requests"] == 4 and about["batches"] < 4 and about["pairs_cached"] == 3 * 28
        assert about["status"] == "ok" and about["backend"] == "counting"


def test_many_pairs_go_in_several_calls():
    with PartitionService(breadth.partition("rouge1")) as service:
        there = remote(service, pairs_per_call=2, clustering="components")
        assert there(TEXTS).tolist() == breadth.partition("rouge1", clustering="components")(TEXTS).tolist()
        assert service.n_requests == 3


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/pairs", b"{", 400, "not JSON"),
        ("/pairs", {"pairs": [{"a": "x"}]}, 400, r"pairs[0]: expected the texts a and b"),
        ("/pairs", {"pairs": [1]}, 400, r"pairs[0]: expected the texts a and b"),
        ("/pairs", [], 400, 'expected {"pairs"'),
        ("/partition", {"texts": "x"}, 400, 'expected {"texts"'),
        ("/partition", {"texts": [1]}, 400, "texts[0]: expected a str"),
        ("/partition", {"texts": ["x"], "group": [1, 2]}, 400, "group: expected 1 labels"),
        ("/partition", {"texts": ["x"], "prompts": [3]}, 400, "prompts: expected texts"),
        ("/other", {}, 404, "nothing at /v1/other"),
        ("/pairs", b"x" * 5000, 413, "expected at most 2000 bytes, got 5000"),
    ],
)
def test_bad_requests_are_told(path, body, status, text):
    with PartitionService(breadth.partition("rouge1"), most_bytes=2000) as service:
        found, said = call(service.url + path, body)
        assert found == status and text in said["error"]
        assert call(service.url + "/pairs", {"pairs": [{"a": "x", "b": "x"}]}) == (200, {"scores": [1.0]})


def test_a_page_of_another_host_is_refused():
    with PartitionService(breadth.partition("rouge1")) as service:
        status, said = call(service.url + "/pairs", {"pairs": []}, {"Host": "evil.example"})
    assert status == 403 and "another host" in said["error"]


def test_a_failing_backend_is_told_and_the_service_goes_on():
    judge = CountingJudge(fail_after=1)
    with PartitionService(breadth.partition(judge)) as service:
        with pytest.raises(ConnectionError, match="no scores after 2 tries, the last: the server said HTTP 502"):
            remote(service, n_tries=2, clustering="components")(["red 1", "blue 1", "green 1"])
        judge.fail_after = None
        assert remote(service, clustering="components")(["red 1", "blue 1", "green 1"]).tolist() == [0, 1, 2]
        assert len(judge.asked) == 3, "what was said before the failure is kept"


def test_stopping_answers_those_that_wait():
    class Slow(CountingJudge):
        def score_pairs(self, pairs):
            time.sleep(0.3)
            yield from super().score_pairs(pairs)

    service = PartitionService(breadth.partition(Slow())).start()
    found = []
    thread = threading.Thread(
        target=lambda: found.append(call(service.url + "/pairs", {"pairs": [{"a": "red 1", "b": "red 2"}]}))
    )
    thread.start()
    while not service.n_requests:
        time.sleep(0.01)
    service.stop()
    service.stop()
    thread.join()
    assert found == [(200, {"scores": [1.0]})]
    with pytest.raises(ConnectionError, match=r"endpoint .*, model 'partition': no description after 1 tries"):
        remote(service, n_tries=1)
    PartitionService(breadth.partition("rouge1")).stop()  # never started


def test_a_server_that_is_something_else():
    with PartitionService(breadth.partition("rouge1")) as service:
        service.about = lambda: {"object": "list", "data": []}
        with pytest.raises(ConnectionError, match="a server that is no breadth partition serve"):
            remote(service, n_tries=1)


@pytest.mark.parametrize(
    ("call_", "text"),
    [
        (lambda: PartitionService(breadth.partition("rouge1"), linger=-1), "linger: expected 0 to 10 seconds, got -1"),
        (
            lambda: PartitionService(breadth.partition("rouge1"), most_waiting=0),
            "most_waiting: expected 1 or more, got 0",
        ),
        (
            lambda: breadth.partition("remote", url="http://127.0.0.1:1/v1", threshold=0.5, pairs_per_call=0),
            "pairs_per_call",
        ),
    ],
)
def test_bad_settings(call_, text):
    with pytest.raises(ValueError, match=text):
        call_()


def test_the_command_serves_until_it_is_asked_to_end():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "breadth", "partition", "serve", "--backend", "rouge1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert f"http://127.0.0.1:{port}/v1" in process.stdout.readline()
        there = breadth.partition("remote", url=f"http://127.0.0.1:{port}/v1")
        assert there(TEXTS).tolist() == breadth.partition("rouge1")(TEXTS).tolist()
        with pytest.raises(ValueError, match=f"serve: cannot listen on 127.0.0.1:{port} .* choose another --port"):
            serve(backend="rouge1", port=port)
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=20)[0]
    finally:
        process.kill()
    assert process.returncode == 0 and "stopped after" in rest
