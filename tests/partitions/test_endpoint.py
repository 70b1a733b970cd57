"""The endpoint backend against a local server that also misbehaves."""

import contextlib
import json
import shutil
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import breadth
from breadth.partitions.endpoint import Endpoint

KEY = "sk-secret-of-the-test"


def completion(content, **more):
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}, **more}]}).encode()


def honest(body):
    text = body["messages"][0]["content"]
    a = text.split("<answer_a>\n")[1].split()[0]
    b = text.split("<answer_b>\n")[1].split()[0]
    return completion("SAME" if a == b else "Different.")


class Server:
    """``plan`` holds what the next calls do: a function of the body to bytes, or (status, headers, bytes); then honest."""

    def __init__(self, context=None):
        self.plan, self.bodies, self.keys, self.health = [], [], [], 200
        self.now = self.most = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def reply(self, status, headers, data):
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client has gone
                    self.wfile.write(data)

            def do_GET(self):
                outer.keys.append(self.headers.get("Authorization"))
                self.reply(outer.health, {}, b"{}")

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.bodies.append(body)
                    outer.keys.append(self.headers.get("Authorization"))
                    outer.now += 1
                    outer.most = max(outer.most, outer.now)
                    act = outer.plan.pop(0) if outer.plan else honest
                found = act(body) if callable(act) else act
                with outer.lock:
                    outer.now -= 1
                self.reply(*(found if isinstance(found, tuple) else (200, {}, found)))

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        if context is not None:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    found = Server()
    yield found
    found.http.shutdown()
    found.http.server_close()


def partition(server, **settings):
    settings = {"pause": 0.01, "timeout": 2.0, "model": "judge", "clustering": "components", **settings}
    return breadth.partition("endpoint", url=server.url, **settings)


TEXTS = ["red fox", "blue ship", "red sea"]


def slow(body):
    time.sleep(0.5)
    return honest(body)


def test_verdicts_prompt_and_key(server):
    assert partition(server)(TEXTS, prompts=["Name a thing with {a} in it"] * 3).tolist() == [0, 1, 0]
    assert len(server.bodies) == 3
    assert all("Name a thing with {a} in it" in body["messages"][0]["content"] for body in server.bodies)
    assert all(body["model"] == "judge" and body["temperature"] == 0 for body in server.bodies)
    assert set(server.keys) == {f"Bearer {KEY}"}


def test_no_key_is_sent_where_none_is_set(server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    partition(server)(TEXTS)
    assert set(server.keys) == {None}


def truncated(body):
    data = honest(body)
    return 200, {"Content-Length": str(len(data) + 100), "Connection": "close"}, data


@pytest.mark.parametrize(
    "trouble",
    [
        (500, {}, b"oops"), (429, {"Retry-After": "0"}, b""), (503, {}, b""), b"not json", b"{}", b'{"choices": []}',
        completion("MAYBE"), completion(None), completion(""), b"[1, 2]", b"\xff\xfe", truncated,
    ],
)  # fmt: skip
def test_what_passes_is_tried_again(server, trouble):
    server.plan = [trouble, trouble]
    assert partition(server, n_tries=3)(TEXTS[:2]).tolist() == [0, 1]
    assert len(server.bodies) == 3


def test_slow_calls_time_out_and_are_tried_again(server):
    server.plan = [slow]
    assert partition(server, timeout=0.2)(TEXTS[:2]).tolist() == [0, 1]
    server.plan = [slow, slow]
    with pytest.raises(ConnectionError, match="no verdict after 2 tries, the last: timed out"):
        partition(server, timeout=0.2, n_tries=2)(TEXTS[:2])


@pytest.mark.parametrize(
    ("trouble", "n_calls", "text"),
    [
        ((500, {}, b"x"), 2, "no verdict after 2 tries, the last: the server said HTTP 500"),
        (completion("perhaps"), 2, "begins with neither SAME nor DIFFERENT but with 'PERHAPS'"),
        ((401, {}, b"x"), 1, "HTTP 401; is the environment variable OPENAI_API_KEY set and right?"),
        ((404, {}, b"x"), 1, "the server said HTTP 404"),
        ((302, {"Location": "http://127.0.0.1:1/steal"}, b""), 1, "the server said HTTP 302"),
    ],
)
def test_what_does_not_pass_is_told_without_the_key(server, trouble, n_calls, text):
    server.plan = [trouble] * 10
    with pytest.raises(ConnectionError) as caught:
        partition(server, n_tries=2)(TEXTS[:2])
    assert text in str(caught.value) and server.url in str(caught.value)
    assert KEY not in str(caught.value) and KEY not in repr(caught.value.__cause__)
    assert len(server.bodies) == n_calls


def test_what_is_done_is_kept_when_the_server_goes_down(server):
    same = partition(server, in_flight=1, n_tries=1)
    server.plan = [honest, honest, (500, {}, b""), (500, {}, b"")]
    with pytest.raises(ConnectionError):
        same(["a 1", "b 1", "a 2", "c 1"])
    assert same.cost.n_asked == 2 and len(server.bodies) == 3
    server.plan = []
    assert same(["a 1", "b 1", "a 2", "c 1"]).tolist() == [0, 1, 0, 2]
    assert same.cost.n_asked == 6 and len(server.bodies) == 7


def test_calls_in_flight_are_capped(server):
    def pause(body):
        time.sleep(0.02)
        return honest(body)

    server.plan = [pause] * 45
    partition(server, in_flight=3)([f"word{i}" for i in range(10)])
    assert len(server.bodies) == 45 and 2 <= server.most <= 3


@pytest.mark.parametrize(("health", "text"), [(503, "HTTP 503"), (401, "HTTP 401; is the environment variable")])
def test_health_is_checked_first(server, health, text):
    server.health = health
    with pytest.raises(ConnectionError, match=text):
        partition(server)(TEXTS)
    assert server.bodies == []
    server.health = 404  # a server without a list of models is no failing server
    assert partition(server)(TEXTS).tolist() == [0, 1, 0]


def test_a_server_that_is_not_there():
    with pytest.raises(ConnectionError, match="cannot be reached .* is the server running?"):
        Endpoint("http://127.0.0.1:9/v1", model="judge", timeout=1.0).check()


def test_both_orders_and_log_probabilities(server):
    server.plan = [completion("SAME"), completion("DIFFERENT")]
    assert partition(server, both_orders=True).probability(a="x y", b="z") == 0.5
    top = [{"token": "SAME", "logprob": -1.0}, {"token": " diff", "logprob": -2.0}, {"token": "The", "logprob": -0.1}]
    server.plan = [completion("SAME", logprobs={"content": [{"top_logprobs": top}]})]
    assert partition(server, logprobs=True).probability(a="x y", b="z") == pytest.approx(1 / (1 + 2.718281828**-1))
    server.plan = [completion("DIFFERENT", logprobs=None)]
    assert partition(server, logprobs=True).probability(a="x y", b="z") == 0


def test_a_key_that_cannot_be_sent_is_not_shown(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sécret\nX: y")
    with pytest.raises(ValueError, match="OPENAI_API_KEY: expected printable ASCII") as caught:
        partition(server)(TEXTS)
    assert "cret" not in str(caught.value)


def test_an_unknown_certificate_is_refused(tmp_path, monkeypatch):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    found = Server(context)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    try:
        assert found.url.startswith("https://")
        with pytest.raises(ConnectionError, match="cannot be reached .*CERTIFICATE_VERIFY_FAILED"):
            partition(found)(TEXTS)
        assert found.keys == [], "the key has not gone out"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # whom the user trusts is the system's business
        assert partition(found)(TEXTS).tolist() == [0, 1, 0]
    finally:
        found.http.shutdown()
        found.http.server_close()


def test_a_key_does_not_cross_the_network_in_the_open(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    judge = breadth.partition("endpoint", url="http://judge.invalid/v1", model="judge", n_tries=1, timeout=0.5)
    with pytest.raises(
        ValueError, match="expected https for http://judge.invalid/v1: OPENAI_API_KEY would cross"
    ) as caught:
        judge(TEXTS)
    assert KEY not in str(caught.value)
    open_ = breadth.partition(
        "endpoint", url="http://judge.invalid/v1", model="judge", n_tries=1, timeout=0.5, allow_http=True
    )
    with pytest.raises(ConnectionError, match="cannot be reached"):
        open_(TEXTS)


def test_verdicts_of_another_question_are_not_its_own():
    one, other = (
        Endpoint("http://127.0.0.1:1/v1", model="judge", question=f"{word} {{prompt}} {{a}} {{b}}").fingerprint
        for word in ("Same?", "Equal?")
    )
    assert one != other and "judge" in one


@pytest.mark.parametrize(
    ("url", "settings", "text"),
    [
        ("ftp://host/v1", {}, "url: expected http://host/v1 or https://host/v1, got 'ftp'"),
        ("127.0.0.1:8000", {}, "url: expected http://host/v1"),
        ("http://me:pw@host/v1", {}, "url: expected no user or password in it"),
        ("http://host/v1", {"question": "same? {a} {b}"}, "expected {prompt}, {a} and {b} in it, got no {prompt}"),
        ("http://host/v1", {"in_flight": 0}, "in_flight: expected a positive number, got 0"),
    ],
)
def test_bad_settings(url, settings, text):
    with pytest.raises(ValueError) as caught:
        breadth.partition("endpoint", url=url, model="judge", **settings)
    assert text in str(caught.value) and "pw" not in str(caught.value).replace("password", "")
