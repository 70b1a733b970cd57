"""A local OpenAI-compatible server for tests, which also misbehaves when it is told to."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(*texts, **more):
    """The bytes of a chat completion with these choices."""
    choices = [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more} for text in texts]
    return json.dumps({"choices": choices}).encode()


class ChatServer:
    """``plan`` holds what the next calls do: a function of the body to bytes, or (status, headers, bytes); then ``honest``."""

    def __init__(self, honest):
        self.plan, self.bodies, self.honest = [], [], honest
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def reply(self, status, headers, data):
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client has gone
                    self.send_response(status)
                    for name, value in {"Content-Length": str(len(data)), **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(data)

            def do_GET(self):
                self.reply(200, {}, b"{}")

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.bodies.append(body)
                    act = outer.plan.pop(0) if outer.plan else outer.honest
                found = act(body) if callable(act) else act
                self.reply(*(found if isinstance(found, tuple) else (200, {}, found)))

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()
