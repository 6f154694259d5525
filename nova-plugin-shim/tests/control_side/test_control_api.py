# SPDX-License-Identifier: Apache-2.0
"""The client of the control API: what it sends, and what an operator reads when something is wrong."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from vmferry_openstack import control_api
from vmferry_openstack.control_api import AgentClient, ControlError, RelayClient, Unavailable

SHIM = Path(__file__).resolve().parents[2]


@pytest.fixture
def client(relay):
    return RelayClient(relay.path)


def test_asks_and_decodes(client, relay):
    client.create("volume-1", 1 << 30)
    assert client.location("volume-1")["size"] == 1 << 30
    assert relay.calls == ["POST /v1/volumes", "GET /v1/volumes/volume-1/location"]


def test_encodes_a_name_as_one_path_segment(client, relay):
    with pytest.raises(ControlError):
        client.location("a/b c%")
    assert relay.calls == ["GET /v1/volumes/a%2Fb%20c%25/location"]


def test_an_answer_without_a_body_is_none(client, relay):
    client.create("volume-1", 1)
    assert client.extend("volume-1", 2) is None


def test_a_refusal_is_told_in_the_relays_words(client, relay):
    relay.fail("POST", "NO_SPACE", "node node-a has no room")
    with pytest.raises(ControlError, match="^node node-a has no room$") as refused:
        client.create("volume-1", 1)
    assert refused.value.code == "NO_SPACE"
    assert not isinstance(refused.value, Unavailable)


def test_no_socket(tmp_path):
    path = tmp_path / "none.sock"
    message = f"the vmferry relay does not answer on {path}: no such file or directory; start it with 'systemctl start vmferry-relay'"
    with pytest.raises(Unavailable) as refused:
        RelayClient(str(path)).status()
    assert str(refused.value) == message


def test_nobody_listens(tmp_path, relay):
    relay._server.server_close()
    relay._server.shutdown()
    with pytest.raises(Unavailable, match="connection refused; start it with 'systemctl start vmferry-agent'"):
        AgentClient(relay.path).require_servable("volume-1")


def test_a_server_that_hangs(client, relay, monkeypatch):
    monkeypatch.setattr(control_api, "ANSWER_TIMEOUT", 0.2)
    relay.hang("GET /v1/status")
    began = time.monotonic()
    with pytest.raises(Unavailable, match="GET /v1/status took longer than 0.2 s"):
        client.status()
    assert time.monotonic() - began < 5


def test_a_server_that_hangs_up(client, relay):
    relay.hang_up("GET /v1/status")
    with pytest.raises(Unavailable, match="does not answer on .*closed connection without response"):
        client.status()


def test_busy_elsewhere_is_unavailable_too(client, relay):
    relay.fail("GET", "UNAVAILABLE", "GET /v1/status took longer than 60 s")
    with pytest.raises(Unavailable, match="longer than 60 s"):
        client.status()


@pytest.mark.parametrize("status, text", [(500, "<html>"), (404, "{}"), (409, '{"code": "X"}'), (400, "[]")])
def test_an_error_without_a_reason(client, relay, status, text):
    relay.say("GET", status, text)
    with pytest.raises(ControlError, match=f"HTTP status {status} and no reason") as refused:
        client.status()
    assert refused.value.code == "INTERNAL"


def test_an_answer_that_is_no_json(client, relay):
    relay.say("GET", 200, "hello")
    with pytest.raises(ControlError, match="can't read the relay's answer to GET /v1/status"):
        client.status()


def test_a_purpose_must_be_a_uuid(client):
    with pytest.raises(ValueError):
        client.drop("../volumes/volume-1")


def test_works_in_a_green_process(relay):
    """nova-compute and cinder-volume run under eventlet: one request that hangs holds up no other."""
    relay.hang("GET /v1/volumes/slow/location")
    relay.create({"name": "quick", "size": 7})
    program = f"""
import eventlet
eventlet.monkey_patch()
from vmferry_openstack.control_api import RelayClient
client = RelayClient({relay.path!r})
slow = eventlet.spawn(client.location, "slow")
eventlet.sleep(0.3)
print(eventlet.spawn(client.location, "quick").wait()["size"])
slow.kill()
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=SHIM, capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.stdout, result.returncode) == ("7\n", 0), result.stderr
