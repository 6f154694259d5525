# SPDX-License-Identifier: Apache-2.0
"""The lab's client of the control API, against a server that knows what was asked."""

import http.server
import json
import socketserver
import threading
from types import SimpleNamespace

import pytest

from lab.product import Control, ControlError


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        asked = [self.command, self.path, json.loads(self.rfile.read(length)) if length else None]
        self.server.asked.append(asked)
        status, body = self.server.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    (tmp_path / "run/vmferry").mkdir(parents=True)
    with socketserver.UnixStreamServer(str(tmp_path / "run/vmferry/relay.sock"), Handler) as running:
        running.asked, running.answers = [], []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.control = Control(SimpleNamespace(root=tmp_path), "relay")
        yield running
        running.shutdown()
        thread.join()


def test_get_returns_the_answers_json(server):
    server.answers.append((200, b'{"node": "hosta"}'))
    assert server.control.get("/v1/status") == {"node": "hosta"}
    assert server.asked == [["GET", "/v1/status", None]]


def test_put_sends_json_and_accepts_an_empty_answer(server):
    server.answers.append((204, b""))
    assert server.control.put("/v1/rate", {"bytesPerSecond": None}) is None
    assert server.asked == [["PUT", "/v1/rate", {"bytesPerSecond": None}]]


def test_a_problem_is_raised_with_its_code_and_message(server):
    server.answers.append((409, b'{"code": "NAME_TAKEN", "message": "volume root exists"}'))
    with pytest.raises(ControlError, match="volume root exists") as raised:
        server.control.post("/v1/volumes", {"name": "root", "size": 1})
    assert (raised.value.status, raised.value.code) == (409, "NAME_TAKEN")
